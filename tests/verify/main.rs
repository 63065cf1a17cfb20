//! The rules, on images and task definitions made by hand.

mod asks;
mod bounds;
mod build;
mod case;
mod container;
mod corpus;
mod elf;
mod layers;
mod libraries;
mod platforms;
mod program;
mod runtime;
mod terraform;
mod wrong_images;
