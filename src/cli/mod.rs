//! The terminal: arguments, progress, reports, failures, and a file per command. Declared by `main.rs` alone, so that
//! the library cannot know it.
//!
//! | room | knows |
//! |---|---|
//! | `args` | the command line as it is typed |
//! | `settings` | the environment |
//! | `context` | both of them, and stdout |
//! | `progress` | the library's events, as bars or lines on stderr |
//! | `report` | results and findings: JSON, text, annotations, files |
//! | `failure` | what went wrong, and the exit code |
//! | `snippet`, `table`, `text` | how things look |

use failure::Failure;

pub mod args;
pub mod build;
pub mod check;
pub mod context;
pub mod failure;
pub mod inspect;
pub mod progress;
pub mod push;
pub mod report;
pub mod serve;
pub mod settings;
pub mod snippet;
pub mod table;
pub mod targets;
pub mod text;
pub mod verify;

/// The answer of a command whose room of the library is not built yet.
fn missing_room(room: &str) -> Failure {
    Failure::new(format!("this build of dockless lacks the room {room}"))
}
