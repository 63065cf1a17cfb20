//! The rules, on images and task definitions made by hand.

mod asks;
mod build;
mod container;
mod corpus;
mod elf;
mod layers;
mod platforms;
mod program;
mod terraform;
mod wrong_images;
