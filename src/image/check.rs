//! Is every blob that an index reaches there and whole, and do documents and layers agree? Problems are data: all of
//! them are found, not the first alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use serde::Serialize;

use super::archive::{ArchiveError, ImageArchive};
use super::base::choose;
use super::open::OpenError;
use crate::blob::reach::{DEPTH, ReachError};
use crate::blob::{BlobSource, digest_of};
use crate::cause::in_one_line;
use crate::layer::sniff;
use crate::layout::{Layout, LayoutError};
use crate::oci::config::ImageConfiguration;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Index, Manifest};
use crate::oci::media_type::{Kind, kind};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The blob that it concerns; none where it is the layout or archive itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Who refers to the blob: the digest of a manifest or index, or `index.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    /// What is wrong, each cause after a colon.
    pub message: String,
}

/// What a check saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The number of blobs that were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// The digests of images that were not read, since they are of an algorithm that is not supported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<String>,
}

impl Checked {
    /// Whether everything was read, and nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty() && self.unsupported.is_empty()
    }

    /// Of a layout or an archive that is too damaged to say what it holds.
    fn damaged(error: &(dyn std::error::Error + 'static)) -> Self {
        let problem = Problem { digest: None, referrer: None, message: in_one_line(error) };
        Self { problems: vec![problem], ..Self::default() }
    }
}

/// Reads everything that a layout folder or an archive holds, or what its image of this name reaches. That it is
/// damaged is an answer.
///
/// # Errors
/// Where there is nothing to check: no such path or name, neither a layout nor an archive, or the disk does not give
/// it.
pub fn check_path(path: &Path, name: Option<&str>) -> Result<Checked, OpenError> {
    let chosen = |index: &Index| match name {
        None => Ok(index.clone()),
        Some(_) => choose(index, name)
            .map(|entry| Index::new(vec![entry], BTreeMap::new()))
            .map_err(|reason| OpenError::Name { path: path.display().to_string(), reason }),
    };
    if !path.exists() {
        return Err(OpenError::NoPath(path.display().to_string()));
    }
    if path.is_dir() {
        return match Layout::open(path).and_then(|layout| Ok((layout.index()?, layout))) {
            Ok((index, layout)) => Ok(check(&layout, &chosen(&index)?)),
            Err(error) if is_damage(path, &error) => Ok(Checked::damaged(&error)),
            Err(error) => Err(error.into()),
        };
    }
    match ImageArchive::open(path) {
        Ok(archive) => Ok(check(&archive, &chosen(archive.index())?)),
        Err(error @ (ArchiveError::Tar { .. } | ArchiveError::Document { .. } | ArchiveError::Damaged { .. })) => {
            Ok(Checked::damaged(&error))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a folder is a layout, and not a whole one. A folder with nothing of a layout is something else.
fn is_damage(root: &Path, error: &LayoutError) -> bool {
    match error {
        LayoutError::NotALayout { .. } => {
            ["oci-layout", "index.json", "blobs/sha256"].iter().any(|name| root.join(name).exists())
        }
        LayoutError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        LayoutError::Document { .. } => true,
        LayoutError::Blob(_) => false,
    }
}

/// Reads everything that an index reaches, once.
pub fn check(source: &dyn BlobSource, index: &Index) -> Checked {
    let unsupported = index.unsupported.iter().map(|entry| entry.digest.clone()).collect();
    let checked = Checked { unsupported, ..Checked::default() };
    let mut check = Check { source, seen: BTreeSet::new(), diff_ids: BTreeMap::new(), checked };
    for entry in &index.manifests {
        check.descriptor(entry, "index.json", 0);
    }
    check.checked
}

struct Check<'a> {
    source: &'a dyn BlobSource,
    /// Each blob as it was stated: where another states it with another size or type, it is read again.
    seen: BTreeSet<(Digest, u64, String)>,
    /// The digests of layers' tars; `None` where a layer cannot be read.
    diff_ids: BTreeMap<(Digest, u64, String), Option<Digest>>,
    checked: Checked,
}

impl Check<'_> {
    fn problem(&mut self, digest: Digest, referrer: &str, message: impl Into<String>) {
        self.checked.problems.push(Problem {
            digest: Some(digest),
            referrer: Some(referrer.into()),
            message: message.into(),
        });
    }

    fn descriptor(&mut self, descriptor: &Descriptor, referrer: &str, depth: usize) {
        let digest = descriptor.digest;
        if !self.see(descriptor) {
            return;
        }
        let own = digest.to_string();
        match kind(&descriptor.media_type) {
            Kind::Index | Kind::Manifest if depth >= DEPTH => {
                let nested = ReachError::Nested { digest, place: self.source.place() };
                self.problem(digest, referrer, nested.to_string());
            }
            Kind::Index => {
                if let Some(index) = self.document::<Index>(descriptor, referrer, "an image index") {
                    for entry in &index.manifests {
                        self.descriptor(entry, &own, depth + 1);
                    }
                }
            }
            Kind::Manifest => {
                if let Some(manifest) = self.document::<Manifest>(descriptor, referrer, "an image manifest") {
                    self.manifest(&manifest, &own, depth);
                }
            }
            Kind::Layer(_) | Kind::Config | Kind::Other => {
                self.whole(descriptor, referrer);
            }
        }
    }

    fn manifest(&mut self, manifest: &Manifest, own: &str, depth: usize) {
        if kind(&manifest.config.media_type) != Kind::Config {
            for descriptor in std::iter::once(&manifest.config).chain(&manifest.layers) {
                self.descriptor(descriptor, own, depth + 1);
            }
            return;
        }
        self.see(&manifest.config);
        let config = self.document::<ImageConfiguration>(&manifest.config, own, "an image configuration");
        let read = config.is_some();
        let diff_ids = config.map(|config| config.rootfs.diff_ids).unwrap_or_default();
        if read && diff_ids.len() != manifest.layers.len() {
            let message = uneven(manifest, &diff_ids);
            self.problem(manifest.config.digest, own, message);
        }
        for (index, layer) in manifest.layers.iter().enumerate() {
            self.see(layer);
            let found = match self.diff_ids.get(&stated(layer)) {
                Some(found) => *found,
                None => match self.diff_id(layer) {
                    Ok(found) => Some(found),
                    Err(message) => {
                        self.problem(layer.digest, own, message);
                        None
                    }
                },
            };
            self.diff_ids.insert(stated(layer), found);
            if let (Some(found), Some(promised)) = (found, diff_ids.get(index))
                && found != *promised
            {
                self.problem(layer.digest, own, other_tar(found, *promised));
            }
        }
    }

    /// Counts a blob the first time; the answer is whether it has not been stated in this way before.
    fn see(&mut self, descriptor: &Descriptor) -> bool {
        let first = (descriptor.digest, 0, String::new());
        if self.seen.range(first..).next().is_none_or(|(digest, ..)| *digest != descriptor.digest) {
            self.checked.blobs += 1;
            self.checked.bytes += descriptor.size;
        }
        self.seen.insert(stated(descriptor))
    }

    fn document<T: serde::de::DeserializeOwned>(
        &mut self,
        descriptor: &Descriptor,
        referrer: &str,
        what: &str,
    ) -> Option<T> {
        let bytes = match self.source.document(descriptor) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problem(descriptor.digest, referrer, in_one_line(&error));
                return None;
            }
        };
        match serde_json::from_slice(&bytes) {
            Ok(document) => Some(document),
            Err(error) => {
                self.problem(descriptor.digest, referrer, format!("it is not {what}: {error}"));
                None
            }
        }
    }

    fn whole(&mut self, descriptor: &Descriptor, referrer: &str) {
        let read = || -> Result<u64, Box<dyn std::error::Error>> {
            Ok(io::copy(&mut self.source.open(descriptor)?, &mut io::sink())?)
        };
        if let Err(error) = read() {
            let message = in_one_line(error.as_ref());
            self.problem(descriptor.digest, referrer, message);
        }
    }

    fn diff_id(&self, layer: &Descriptor) -> Result<Digest, String> {
        let Kind::Layer(compression) = kind(&layer.media_type) else {
            return Err(format!("its media type {} is not that of a layer", layer.media_type));
        };
        let read = || -> Result<Digest, Box<dyn std::error::Error>> {
            let mut blob = self.source.open(layer)?;
            let read = sniff::decompress(&mut blob, compression).and_then(digest_of);
            // A blob that is damaged is the reason for whatever the decompressor had to say.
            io::copy(&mut blob, &mut io::sink())?;
            Ok(read?)
        };
        read().map_err(|error| in_one_line(error.as_ref()))
    }
}

/// That a layer is not what the configuration says.
pub(super) fn other_tar(found: Digest, promised: Digest) -> String {
    format!("its tar has the digest {found}, but the diff ID is {promised}")
}

/// That a configuration does not fit the manifest.
pub(super) fn uneven(manifest: &Manifest, diff_ids: &[Digest]) -> String {
    format!("{} layers, but {} diff IDs", manifest.layers.len(), diff_ids.len())
}

/// A blob as a descriptor states it.
fn stated(descriptor: &Descriptor) -> (Digest, u64, String) {
    (descriptor.digest, descriptor.size, descriptor.media_type.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type::MediaType;

    #[test]
    fn every_statement_about_a_blob_is_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = Layout::session(folder.path()).expect("a session");
        let put = |media_type: MediaType, bytes: &[u8]| {
            session.put(bytes).expect("a blob");
            Descriptor::of(media_type, bytes)
        };
        let tar = [0; 1024];
        let layer = put(MediaType::ImageLayer, &tar);
        let image = |diff_ids: &[Digest], layer: &Descriptor| {
            let config = serde_json::json!({
                "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}
            });
            let config = put(MediaType::ImageConfig, config.to_string().as_bytes());
            let manifest = Manifest::new(config, vec![layer.clone()], BTreeMap::new());
            put(MediaType::ImageManifest, &crate::oci::canonical(&manifest))
        };
        let right = image(&[Digest::of(&tar)], &layer);
        let problems = |entries: &[&Descriptor]| -> Vec<String> {
            let entries = entries.iter().map(|entry| (*entry).clone()).collect();
            let checked = check(session.layout(), &Index::new(entries, BTreeMap::new()));
            checked.problems.into_iter().map(|problem| problem.message).collect()
        };
        assert_eq!(problems(&[&right, &right]), Vec::<String>::new());
        // The layer is known by then: what the second image says of it is not.
        let other = image(&[Digest::of(b"other")], &layer);
        assert!(problems(&[&right, &other])[0].contains("but the diff ID is"));
        assert_eq!(problems(&[&image(&[], &layer)]), ["1 layers, but 0 diff IDs"]);
        let longer = image(&[Digest::of(&tar)], &Descriptor { size: 2000, ..layer.clone() });
        assert!(problems(&[&right, &longer])[0].contains("cut off"));
        let checked = check(session.layout(), &Index::new(vec![right.clone(), other], BTreeMap::new()));
        assert_eq!(checked.blobs, 5);
    }

    #[test]
    fn manifests_within_manifests_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = Layout::session(folder.path()).expect("a session");
        let mut inner = Descriptor::of(MediaType::ImageLayer, b"x");
        session.put(b"x").expect("a blob");
        for _ in 0..20 {
            let bytes = crate::oci::canonical(&Manifest::new(inner, Vec::new(), BTreeMap::new()));
            session.put(&bytes).expect("a blob");
            inner = Descriptor::of(MediaType::ImageManifest, &bytes);
        }
        let checked = check(session.layout(), &Index::new(vec![inner], BTreeMap::new()));
        assert!(checked.problems[0].message.contains("is nested too deeply"));
    }
}
