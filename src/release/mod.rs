//! What a release is made of: build, verify, push, as one flow.

pub mod ship;
