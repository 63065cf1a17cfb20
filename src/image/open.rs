//! Images by name: a layout folder, an archive, or a reference of a registry, as a person types it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::archive::{ArchiveError, ImageArchive};
use super::base::choose;
use crate::blob::BlobSource;
use crate::layout::{Layout, LayoutError};
use crate::oci::descriptor::Descriptor;
use crate::oci::reference::{ParseReferenceError, Reference};

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In a layout folder.
    Layout {
        /// The folder.
        path: PathBuf,
        /// Which of its images.
        name: Option<String>,
    },
    /// In an archive, of either kind.
    Archive {
        /// The file.
        path: PathBuf,
        /// Which of its images.
        name: Option<String>,
    },
    /// In a registry.
    Registry(Reference),
}

/// Why an image could not be found.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Neither a path that exists nor a reference.
    #[error("{given:?} is no image: there is no such path, and it is no reference")]
    Neither {
        /// What was given.
        given: String,
        /// Why it is no reference.
        source: ParseReferenceError,
    },
    /// A path that does not exist.
    #[error(
        "there is no file or folder {0} (an image of a registry is written registry.example.com/app:v1, or docker://app)"
    )]
    NoPath(String),
    /// A name that the layout or archive does not have, or that it has several of.
    #[error("{path}: {reason}")]
    Name {
        /// The layout or archive.
        path: String,
        /// What it holds.
        reason: String,
    },
    /// The layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// An image that has been found.
#[derive(Clone)]
pub struct Image {
    /// The name that it goes by in messages.
    pub name: String,
    /// Its index or manifest.
    pub top: Descriptor,
    /// Where its blobs are.
    pub source: Arc<dyn BlobSource>,
}

impl Location {
    /// Reads what a person typed: `oci:PATH[:NAME]`, `oci-archive:PATH[:NAME]`, `docker-archive:PATH[:NAME]`,
    /// `docker://REFERENCE`, or a path or reference; a path that exists wins.
    ///
    /// # Errors
    /// Where it is none of them.
    pub fn parse(given: &str) -> Result<Self, OpenError> {
        if let Some(reference) = given.strip_prefix("docker://") {
            return registry(given, reference);
        }
        if let Some(rest) = given.strip_prefix("oci:") {
            let (path, name) = split_name(rest);
            return Ok(Self::Layout { path, name });
        }
        for scheme in ["oci-archive:", "docker-archive:"] {
            if let Some(rest) = given.strip_prefix(scheme) {
                let (path, name) = split_name(rest);
                return Ok(Self::Archive { path, name });
            }
        }
        let (path, name) = split_name(given);
        if path.is_dir() {
            return Ok(Self::Layout { path, name });
        }
        if path.exists() {
            return Ok(Self::Archive { path, name });
        }
        let looks_like_path = given.starts_with(['.', '/', '~'])
            || Path::new(given).extension().is_some_and(|extension| extension == "tar");
        // A single word would mean an image of Docker Hub, and is a mistyped folder nearly always.
        let single = !given.contains(['/', '.', ':', '@']);
        if looks_like_path || single { Err(OpenError::NoPath(given.into())) } else { registry(given, given) }
    }
}

fn registry(given: &str, reference: &str) -> Result<Location, OpenError> {
    reference.parse().map(Location::Registry).map_err(|source| OpenError::Neither { given: given.into(), source })
}

/// Splits `PATH[:NAME]` behind the longest path that exists; a name may hold colons and slashes itself.
fn split_name(text: &str) -> (PathBuf, Option<String>) {
    let whole = || (PathBuf::from(text), None);
    if Path::new(text).exists() {
        return whole();
    }
    let colons = text.rmatch_indices(':').map(|(at, _)| at);
    for at in colons {
        if Path::new(&text[..at]).exists() {
            return (PathBuf::from(&text[..at]), Some(text[at + 1..].to_owned()));
        }
    }
    whole()
}

/// Opens an image on the disk.
///
/// # Errors
/// Where it cannot be read, or the name does not say which.
pub fn local(path: &Path, name: Option<&str>, shown: &str) -> Result<Image, OpenError> {
    let named = |reason| OpenError::Name { path: path.display().to_string(), reason };
    if !path.exists() {
        return Err(OpenError::NoPath(path.display().to_string()));
    }
    if path.is_dir() {
        let layout = Layout::open(path)?;
        let top = choose(&layout.index()?, name).map_err(named)?;
        return Ok(Image { name: shown.into(), top: bare(top), source: Arc::new(layout) });
    }
    let archive = ImageArchive::open(path)?;
    let top = choose(archive.index(), name).map_err(named)?;
    Ok(Image { name: shown.into(), top: bare(top), source: Arc::new(archive) })
}

/// The descriptor without what the layout says of it.
fn bare(top: Descriptor) -> Descriptor {
    Descriptor { platform: top.platform, ..Descriptor::new(top.media_type, top.digest, top.size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_exists_wins() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display().to_string();
        let layout = |text: &str| match Location::parse(text) {
            Ok(Location::Layout { path, name }) => (path.display().to_string(), name),
            other => panic!("{other:?}"),
        };
        assert_eq!(layout(&path), (path.clone(), None));
        assert_eq!(layout(&format!("oci:{path}:v1")), (path.clone(), Some("v1".into())));
        let full = "localhost:5000/a/b:v1";
        assert_eq!(layout(&format!("{path}:{full}")), (path.clone(), Some(full.into())));
        assert!(matches!(Location::parse("example.com/app:v1"), Ok(Location::Registry(_))));
        assert!(matches!(Location::parse("docker://app"), Ok(Location::Registry(_))));
        assert!(matches!(Location::parse("./nothing"), Err(OpenError::NoPath(_))));
        assert!(matches!(Location::parse("nothing.tar"), Err(OpenError::NoPath(_))));
        assert!(matches!(Location::parse("oci"), Err(OpenError::NoPath(_))));
        assert!(matches!(Location::parse("example.com/Nothing Here"), Err(OpenError::Neither { .. })));
    }
}
