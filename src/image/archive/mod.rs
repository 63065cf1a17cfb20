//! Image archives: a `.tar` that holds an OCI image layout (an OCI archive), or what `docker save` wrote before there
//! was one (a docker-archive). Reading gives an index and a [`BlobSource`], whichever form it is; writing is
//! deterministic, and the file appears under its name whole or not at all.
//!
//! Archives come from strangers, by mail and from CI caches. What they try, and our defence: `members` limits what the
//! tar can make us keep and keeps every name off the disk; `docker` limits what `manifest.json` can make us build;
//! blobs are handed out to be read through [`Verified`](crate::blob::Verified), so that an archive can lie about bytes
//! but not be believed. Nothing is ever unpacked to the disk.

mod docker;
mod members;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use self::members::{Member, Members, Section};
pub use self::write::{write_docker, write_oci};
use crate::blob::reach::ReachError;
use crate::blob::{BlobError, BlobSource};
use crate::layer::untar::UntarError;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::Index;
use crate::oci::reference::ParseReferenceError;

const OCI_LAYOUT: &str = "oci-layout";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs/sha256/";

/// Why an archive could not be read or written.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The file.
    #[error("cannot {what} {path}")]
    Io {
        /// `read`, `write`, …
        what: &'static str,
        /// Which file or folder.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is neither an OCI archive nor a docker-archive.
    #[error("{path} is not an image archive: {reason}")]
    NotAnArchive {
        /// The file.
        path: String,
        /// What is missing or wrong, and the repair.
        reason: String,
    },
    /// It is compressed as a whole: blobs could not be found in it without unpacking it.
    #[error("{path} is compressed: decompress it first, as with {program} -dc < {path} > image.tar")]
    Compressed {
        /// The file.
        path: String,
        /// The program that decompresses it.
        program: &'static str,
    },
    /// It is no tar, or a damaged one.
    #[error("cannot read {path} as a tar archive: copy, download or save it again")]
    Tar {
        /// The file.
        path: String,
        /// What is wrong, and where.
        source: UntarError,
    },
    /// A document is not what it should be.
    #[error("{document} of {path} is damaged: line {line}, column {column}")]
    Document {
        /// The file, or where the document comes from.
        path: String,
        /// The document's name or digest.
        document: String,
        /// Where.
        line: usize,
        /// Where.
        column: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// Its parts do not fit together, or are larger than what is read.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The image cannot be written in this form.
    #[error("cannot write {path}: {reason}")]
    Refused {
        /// The file.
        path: String,
        /// Why, and the way round.
        reason: String,
    },
    /// Not all that the image names can be had, or be believed.
    #[error("cannot write {path}")]
    Reach {
        /// The file.
        path: String,
        /// Why.
        source: ReachError,
    },
    /// A tag for it is none.
    #[error(transparent)]
    Tag(#[from] ParseReferenceError),
    /// A blob for it.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl ArchiveError {
    fn document(path: &str, document: &str, source: serde_json::Error) -> Self {
        let (line, column) = (source.line(), source.column());
        Self::Document { path: path.into(), document: document.into(), line, column, source }
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.display().to_string();
    move |source| ArchiveError::Io { what, path, source }
}

/// Which form an archive has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An OCI image layout in a tar.
    Oci,
    /// `manifest.json`, configurations and layers.
    Docker,
}

/// Where a blob is.
#[derive(Debug)]
enum Place {
    Member(Member),
    /// A manifest that we made.
    Memory(Arc<[u8]>),
}

/// An archive that is open: what it holds is known, and its blobs can be read side by side.
#[derive(Debug)]
pub struct ImageArchive {
    file: Arc<File>,
    shown: String,
    form: Form,
    index: Index,
    blobs: BTreeMap<Digest, Place>,
}

impl ImageArchive {
    /// Opens an archive: reads the headers and the documents that name its images. Only the compressed layers of a
    /// docker-archive are read as well, since nothing in it states their digests.
    ///
    /// An archive that is both (as newer `docker save` writes) is taken as an OCI archive.
    ///
    /// # Errors
    /// Where the file is no tar, a compressed or damaged one, or holds no images.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let members = Members::read(path)?;
        let layout = (members.find(OCI_LAYOUT), members.find(INDEX));
        let (form, index, blobs) = match (layout, members.find(docker::MANIFEST)) {
            ((Some(marker), Some(index)), _) => {
                let (index, blobs) = read_layout(&members, marker, index)?;
                (Form::Oci, index, blobs)
            }
            (_, Some(manifest)) => {
                let (index, blobs) = docker::read(&members, manifest)?;
                (Form::Docker, index, blobs)
            }
            (layout, None) => return Err(neither(&members, layout)),
        };
        Ok(Self { file: members.file, shown: members.shown, form, index, blobs })
    }

    /// The images: what `index.json` says, or for a docker-archive the index that we make of `manifest.json`, where
    /// each tag is an entry that bears [`REF_NAME`](crate::layout::REF_NAME) and
    /// [`IMAGE_NAME`](crate::layout::IMAGE_NAME).
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Which form it has.
    pub fn form(&self) -> Form {
        self.form
    }
}

impl BlobSource for ImageArchive {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BlobError> {
        match self.blobs.get(&descriptor.digest) {
            Some(Place::Member(member)) => Ok(Box::new(Section::new(&self.file, *member))),
            Some(Place::Memory(bytes)) => Ok(Box::new(io::Cursor::new(Arc::clone(bytes)))),
            None => Err(BlobError::Missing { digest: descriptor.digest, place: self.place() }),
        }
    }

    fn place(&self) -> String {
        self.shown.clone()
    }
}

fn read_layout(
    members: &Members,
    marker: Member,
    index: Member,
) -> Result<(Index, BTreeMap<Digest, Place>), ArchiveError> {
    let broken = |document: &'static str| |source| ArchiveError::document(&members.shown, document, source);
    let text = members.document(OCI_LAYOUT, marker)?;
    let stated: serde_json::Value = serde_json::from_slice(&text).map_err(broken(OCI_LAYOUT))?;
    match stated["imageLayoutVersion"].as_str() {
        Some(version) if version.starts_with("1.") => {}
        Some(version) => {
            return Err(members.damaged(format!("its image layout has the version {version:?}, expected 1.0.0")));
        }
        None => return Err(members.damaged("its file oci-layout does not state imageLayoutVersion")),
    }
    let index = Index::of_layout(&members.document(INDEX, index)?).map_err(broken(INDEX))?;
    let blobs = members
        .names(BLOBS)
        .filter_map(|name| {
            let digest = format!("sha256:{}", &name[BLOBS.len()..]).parse().ok()?;
            Some((digest, Place::Member(members.find(name)?)))
        })
        .collect();
    Ok((index, blobs))
}

/// What is wrong with an archive that is of neither form.
fn neither(members: &Members, layout: (Option<Member>, Option<Member>)) -> ArchiveError {
    // The most common mistake: `tar -cf image.tar folder`.
    let nested = members.names("").find_map(|name| match name.split_once('/') {
        Some((folder, OCI_LAYOUT | docker::MANIFEST)) => Some(folder),
        _ => None,
    });
    let reason = match (layout, nested) {
        ((Some(_), None), _) => return members.damaged(format!("it has {OCI_LAYOUT}, but no {INDEX}")),
        ((None, Some(_)), _) => return members.damaged(format!("it has {INDEX}, but no {OCI_LAYOUT}")),
        _ if members.names("").next().is_none() => return members.damaged("it is empty"),
        (_, Some(folder)) => {
            format!("the image is in its folder {folder:?}: make it as with tar -C {folder:?} -cf image.tar .")
        }
        _ => format!("it has neither {OCI_LAYOUT} and {INDEX} nor {}", docker::MANIFEST),
    };
    ArchiveError::NotAnArchive { path: members.shown.clone(), reason }
}
