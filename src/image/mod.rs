//! Images: recipes become layers, configurations, manifests and an index; images of any origin become facts.

pub mod inspect;
pub mod root;
