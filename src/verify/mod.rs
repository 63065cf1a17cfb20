//! Does this image run on that task? Facts and targets in, findings out; nothing here reads a file or a clock.
//!
//! - [`finding`]: what can be found, and what it means.
//! - [`rules`]: the rules together, the verdict.

mod allow;
mod executable;
mod explain;
pub mod finding;
mod libraries;
mod lookup;
mod platforms;
mod process;
pub mod rules;
mod scan;
mod script;
