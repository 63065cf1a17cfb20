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
//! | `gate`, `image` | what several commands ask for: task definitions and verdicts; images and registries |
//! | `inputs` | what a command reads, which no file that it writes may replace |
//! | `holder` | which variable or parameter holds an image |
//! | `signals` | what ends the first process of a container |
//! | `snippet`, `table`, `text` | how things look |

pub mod args;
pub mod build;
pub mod check;
pub mod context;
pub mod diff;
pub mod doctor;
pub mod failure;
pub mod gate;
pub mod holder;
pub mod iam_policy;
pub mod image;
pub mod init;
pub mod inputs;
pub mod inspect;
pub mod lock;
pub mod progress;
pub mod push;
pub mod render;
pub mod report;
pub mod serve;
pub mod settings;
pub mod signals;
pub mod snippet;
pub mod table;
pub mod targets;
pub mod text;
pub mod verify;
