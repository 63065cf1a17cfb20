//! Does this image run on that task? Facts and targets in, findings out; nothing here reads a file or a clock.
//!
//! - [`allow`]: what is allowed.
//! - [`finding`]: what can be found, and what it means.
//! - [`rules`]: the rules together, the verdict.
//! - [`sidecar`]: the rule on the other containers, for whoever knows what their images have.

pub mod allow;
mod beside;
mod executable;
mod explain;
pub mod finding;
mod libraries;
mod lookup;
mod platforms;
mod process;
mod reference;
mod refused;
pub mod rules;
mod runtime;
mod scan;
mod script;
mod secret;
mod shell;
pub mod sidecar;
mod start;
mod wrapper;
