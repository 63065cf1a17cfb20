//! Images: recipes become layers, configurations, manifests and an index; images of any origin become facts.

pub mod archive;
pub mod base;
pub mod build;
pub mod check;
pub mod config;
pub mod diff;
pub mod inspect;
pub mod lock;
pub mod open;
pub mod plan;
pub mod recipe;
pub mod root;
