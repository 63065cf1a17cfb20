//! The rules, on images and task definitions made by hand.

mod build;
mod container;
mod platforms;
mod program;
mod terraform;
