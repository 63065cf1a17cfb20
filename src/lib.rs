//! dockless: a container image from files on a disk to a running ECS task, without a Docker daemon.
//!
//! # Where to begin
//!
//! [`release::ship::make`] builds an image, [`release::flow::release`] builds, judges and sends one;
//! [`ecs::load::read`] reads task definitions, [`image::inspect::facts`] an image, and [`verify::rules::verify`] says
//! whether they go together; [`registry::push::push`] sends what exists. Networks are async, all else is not.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use dockless::event::Silent;
//! use dockless::image::base::Bases;
//! use dockless::image::build::{Caching, Options};
//! use dockless::image::plan::run::Runs;
//! use dockless::image::recipe::Recipe;
//! use dockless::layer::compress::{Codec, Pool};
//! use dockless::oci::platform::Platform;
//! use dockless::release::ship::{Output, Request, make};
//!
//! let recipe = Recipe::load(Path::new("examples/hello"))?;
//! let shipped = make(&Request {
//!     recipe: &recipe,
//!     platforms: &[Platform::linux_amd64(), Platform::linux_arm64()],
//!     options: Options {
//!         flags: &Default::default(),
//!         annotations: &Default::default(),
//!         codec: Codec::GZIP,
//!         source_date_epoch: None,
//!         pool: &Pool::new(2),
//!         cache: Caching::default(),
//!         begun: None,
//!         made: None,
//!         observer: &Silent,
//!     },
//!     output: &Output::Layout("oci".into()),
//!     records: &[],
//!     tags: &[],
//!     bases: Bases::default(),
//!     // No command is run: what a `run` layer left in this folder counts.
//!     runs: Runs {
//!         folder: Path::new("target/run"),
//!         otherwise: Path::new("target/run"),
//!         environment: &Default::default(),
//!         jobs: 1,
//!         anew: false,
//!         never: true,
//!     },
//!     ready: None,
//! })?;
//! println!("{}", shipped.built.index.digest);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Without its default features the crate is the library alone, and brings nothing along that only a command line
//! needs.
//!
//! # The way of a file
//!
//! ```text
//!  folder ──scan──▶ entries ──tar──▶ bytes ──┬─▶ sha256: the diff ID
//!  files  ──copy─▶                           └─▶ chunks ══compress══▶ joined in order ──┬─▶ sha256: the digest
//!  archive ─untar▶        └─ contents: paths, links, ELF heads                          └─▶ blobs/sha256/…
//!
//!  layers ─▶ image configuration ─▶ image manifest ─▶ image index ─▶ index.json, archive, registry
//!                 facts ─▶ rules ◀─ task definition                      (after the verdict)
//! ```
//!
//! A layer that exists is finished: nothing hands out a digest that is not computed yet. What climbs from floor to
//! floor are small values (descriptors, diff IDs, contents); the bytes stay in files.
//!
//! # The house
//!
//! Rooms by what they know. Imports point down, rooms on one floor do not import each other; `tests/floors.rs` is red
//! where one does.
//!
//! | floor | room | knows |
//! |---|---|---|
//! | 9 | `main.rs` | parse, run one command, leave with its exit code |
//! | 8 | `cli/` | the terminal; declared by `main.rs` alone |
//! | 7 | [`release`] | build, put where it goes, verify, as one flow |
//! | 6 | [`verify`] | facts × task definition → findings, pure |
//! | 6 | [`project`] | a Dockerfile, or a folder → a recipe with comments |
//! | 5 | [`image`] | recipe, plan, build, archives, the facts of any image |
//! | 4 | [`layer`], [`serve`] | entries to blobs and back; the embedded registry |
//! | 3 | [`layout`], [`registry`] | the layout folder; the client of a registry |
//! | 2 | [`blob`], [`ecs`] | bytes that carry a digest; task definitions with their places |
//! | 1 | [`oci`], [`aws`], [`elf`], [`event`] | the specification's values; credentials, hosts and calls of AWS; machines; progress |
//! | 0 | [`cause`], [`mutex`], [`secret`] | errors with their causes; locks that outlive a panic; what is never printed |
//!
//! # Invariants
//!
//! 1. The library prints nothing and reads no environment; progress leaves it through [`event::Observer`] alone.
//!    (The TLS and HTTP crates read `SSL_CERT_FILE` and the proxy variables themselves, which `registry::http` holds to
//!    what they can mean, and the AWS SDK its own variables and files, once it is asked.)
//! 2. Same inputs, same digests: any thread count, folder order, umask, time zone, locale, home or working folder.
//! 3. Every blob that is read passes [`blob::Verified`]. Every file that is written is temporary, flushed, renamed.
//! 4. Findings are data, failures are errors. Text, JSON and exit codes are made in `cli/` alone.
//! 5. Memory is bounded by threads × chunk and by a few hundred bytes an entry, never by the size of a file or layer.
//! 6. A document of ours is canonical; one that was pulled keeps its bytes.
//! 7. Secrets reach no log, error, report or `Debug`.
//! 8. Async only where the network is; packing is plain threads.
//! 9. `Authorization` goes to the origin that challenged, and plain http stays on loopback.

#[cfg(not(unix))]
compile_error!(
    "dockless is for Linux and macOS: modes, owners and links of files are those of Unix; build it there, or in WSL"
);

pub mod aws;
pub mod blob;
pub mod cause;
pub mod ecs;
pub mod elf;
pub mod event;
pub mod image;
pub mod layer;
pub mod layout;
pub mod mutex;
pub mod oci;
pub mod project;
pub mod registry;
pub mod release;
pub mod secret;
pub mod serve;
pub mod verify;
