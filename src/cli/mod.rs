//! The terminal: arguments, progress, reports, failures, and a command per file. Declared by `main.rs` alone.

pub mod args;
