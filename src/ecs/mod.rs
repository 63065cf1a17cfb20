//! Task definitions: what a source says of the containers that ECS will start, and where it says so.
//!
//! A source may come from a stranger's pull request. Bytes, depth and alias expansion are limited before anything is
//! built from them; a value that the source does not settle is a value of its own ([`task_definition::Stated`]), never
//! a guess; values of `environment` and `secrets` are not kept, `PATH` excepted.

pub mod cloudformation;
pub mod details;
mod disk;
pub mod edit;
mod error;
mod foreign;
pub mod json;
pub mod live;
pub mod load;
mod location;
mod node;
pub mod pattern;
pub mod plan;
mod reader;
mod service;
pub mod sources;
mod spelling;
mod strict;
pub mod target;
pub mod task_definition;
pub mod terraform;
mod value;
mod yaml;
