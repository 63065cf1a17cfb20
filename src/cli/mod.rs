//! The terminal: arguments, progress, reports, failures, and a command per file. Declared by `main.rs` alone.

pub mod args;
pub mod context;
pub mod failure;
pub mod progress;
pub mod report;
pub mod settings;
pub mod snippet;
pub mod table;
pub mod text;
