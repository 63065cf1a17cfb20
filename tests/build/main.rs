//! The whole binary, from files on a disk to an image in a layout, an archive or a registry. Needs nothing but itself:
//! every file, program and registry is made by the tests.
//!
//! `SNAPSHOTS=overwrite` renews the golden files in `testdata/build`; the digests in `golden.rs` are printed by its
//! assertion when they differ.

mod apart;
mod base;
mod bases;
mod cache;
mod check;
mod copy;
mod damage;
mod elf;
mod files;
mod first;
mod golden;
mod hostile;
mod interrupted;
mod layouts;
mod leftovers;
mod locks;
mod project;
mod recipe_errors;
mod records;
mod refusals;
mod registries;
mod registry;
mod run;
mod same;
mod scan;
mod verify;
