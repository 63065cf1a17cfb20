//! Projects: what `init` makes of a folder. A Dockerfile is translated instruction by instruction; without one the
//! files that each language's tools leave behind say what kind of project it is. Either way the result is the text of a
//! recipe with comments, and remarks on what could not be said in it.
//!
//! | room | knows |
//! |---|---|
//! | `dockerfile` | the format: lines, instructions, variables |
//! | `shell` | the commands of a RUN, as far as they can be known without running them |
//! | `folder` | the project's files |
//! | `draft` | a recipe that is being written, and its text |
//! | `remark` | what the reader must know |
//! | `translate` | from instructions to a draft |
//! | `detect` | from files to a draft |
//! | `init` | all of it in one go |
//!
//! A Dockerfile may be a stranger's. Nothing of it is ever run: commands become text in the recipe, where they are read
//! before they are built. Its size, its number of instructions and what its variables expand to are limited, and every
//! search is paid for out of one [`budget::Budget`], so that no file takes more than a moment. Its texts reach the
//! recipe through one function that escapes them for TOML, and one that makes comments of them; neither lets a control
//! character through. Of the folder only the existence of files is asked, and a few files with fixed names are read.

pub mod budget;
pub mod detect;
pub mod dockerfile;
pub mod draft;
pub mod folder;
pub mod init;
pub mod remark;
pub mod requirements;
pub mod shell;
pub mod translate;
