//! What a release is made of: build, verify, push, as one flow; and what is asked before it.

pub mod doctor;
pub mod preflight;
pub mod ship;
