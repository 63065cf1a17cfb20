//! The binary against other people's tools: what we write, they read; what they push, we read.
//!
//! A description of a format can be misread in the same way by its writer and by its tests. umoci, skopeo, runc, GNU
//! tar, bsdtar, gzip, pigz, zstd, Python, buildah, crane, Debian's registry and CNCF's read it independently of us.
//!
//! Nobody else's registry answers as Amazon ECR does: pushes to ECR go to ours, and what is held to its word there is
//! the client, by the log of the server.
//!
//! These tests need root, those tools, a Debian mirror and the registries of pip, npm, Maven and their kind, and take
//! minutes: they run where `DOCKLESS_INTEROP=1` asks for them (`.ci/run` does), and then a missing tool is a failure.
//! Otherwise each says that it was skipped.
#![cfg(target_os = "linux")]

mod clients;
mod compression;
mod debian;
mod dockerfiles;
mod ecr_faults;
mod ecr_kills;
mod ecr_limits;
mod images;
mod limits;
mod moto;
mod registered;
mod registries;
mod rehearsal;
mod rootfs;
mod runtimes;
mod skopeo;
mod stories;
mod support;
mod transcript;
mod tree;
mod verdicts;
