//! What a release is made of: build, verify, push, as one flow; and what is asked before it.

mod ahead;
pub mod deliver;
pub mod doctor;
pub mod flow;
pub mod preflight;
mod rehearse;
pub mod ship;
