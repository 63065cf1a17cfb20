//! dockless: a container image from files on a disk to a running ECS task, without a Docker daemon.

pub mod blob;
pub mod ecs;
pub mod elf;
pub mod event;
pub mod image;
pub mod layer;
pub mod layout;
pub mod oci;
pub mod registry;
pub mod release;
pub mod serve;
pub mod verify;
