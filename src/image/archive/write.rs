//! Writing image archives. The same image gives the same bytes: members stand in the order of layers, with mode 0644
//! or 0755, owner 0:0 and time 0.
//!
//! The archive is written to a temporary file in a folder beside its name, flushed to the disk and renamed: a reader
//! sees the old one or the new one, and a failure leaves nothing, not even a folder that was made for it; what a killed
//! process leaves is known by that folder's name. Every blob passes [`Verified`](crate::blob::Verified) on its way, so
//! that what is damaged where it comes from is not passed on; and since it is read while it is written, an archive may
//! be replaced by one made of its own blobs.

use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tempfile::NamedTempFile;

use super::{ArchiveError, BLOBS, INDEX, OCI_LAYOUT, docker, failed};
use crate::blob::reach::{ReachError, blobs};
use crate::blob::{BlobError, BlobSource};
use crate::layer::entry::{Entry, Kind};
use crate::layer::own::Scratch;
use crate::layer::tar::{BLOCK, header, padding};
use crate::layout::session::MadeFolders;
use crate::layout::{persist, temporary};
use crate::oci::config::ImageConfiguration;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Index, Manifest};
use crate::oci::media_type::{self, Compression, kind};
use crate::oci::reference::Reference;

/// How much of a blob is copied at a time.
const BUFFER: usize = 256 << 10;

/// Writes an OCI archive of all that an index reaches, with the index as its `index.json`.
///
/// # Errors
/// Where a blob is missing, damaged or stated with two sizes, or the disk does not take the archive.
pub fn write_oci(path: &Path, source: &dyn BlobSource, index: &Index) -> Result<(), ArchiveError> {
    let blobs = reachable(path, source, index)?;
    let mut output = Output::create(path)?;
    // The order of layers: a folder before what it holds, names by their bytes.
    output.header("blobs", Kind::Directory)?;
    output.header(BLOBS.trim_end_matches('/'), Kind::Directory)?;
    for (digest, descriptor) in &blobs {
        output.blob(&format!("{BLOBS}{}", digest.encoded()), source, descriptor)?;
    }
    output.document(INDEX, &crate::oci::canonical(index))?;
    output.document(OCI_LAYOUT, json!({"imageLayoutVersion": "1.0.0"}).to_string().as_bytes())?;
    output.finish()
}

/// Writes a docker-archive of one image, for `docker load` and what else reads it. The tags are full references; one
/// without a tag gets `latest`.
///
/// # Errors
/// Where the descriptor is not that of an image manifest, a layer is compressed by zstd, a tag is none, a blob is
/// missing or damaged, or the disk does not take the archive.
pub fn write_docker(
    path: &Path,
    source: &dyn BlobSource,
    manifest: &Descriptor,
    tags: &[String],
) -> Result<(), ArchiveError> {
    let refused = |reason: String| ArchiveError::Refused { path: path.display().to_string(), reason };
    let repo_tags = tags.iter().map(|tag| full(path, tag)).collect::<Result<Vec<_>, _>>()?;
    match kind(&manifest.media_type) {
        media_type::Kind::Manifest => {}
        media_type::Kind::Index => {
            return Err(refused(
                "a docker-archive holds one platform, and this is an index: choose one with --platform, or write an OCI \
                 archive (--format oci)"
                    .into(),
            ));
        }
        _ => return Err(refused(format!("{:?} is no image manifest", manifest.media_type.to_string()))),
    }
    let image: Manifest = document(source, manifest)?;
    let config: ImageConfiguration = document(source, &image.config)?;
    if config.rootfs.diff_ids.len() != image.layers.len() {
        return Err(refused(format!(
            "the manifest {} has {} layers, but its configuration has {}",
            manifest.digest,
            image.layers.len(),
            config.rootfs.diff_ids.len()
        )));
    }
    let mut members = BTreeMap::new();
    let mut layers = Vec::with_capacity(image.layers.len());
    for layer in &image.layers {
        match kind(&layer.media_type) {
            media_type::Kind::Layer(Compression::None | Compression::Gzip) => {}
            media_type::Kind::Layer(Compression::Zstd) => {
                return Err(refused(format!(
                    "layer {} is compressed by zstd, which older versions of docker load cannot read: build with \
                     --compression gzip, or write an OCI archive (--format oci)",
                    layer.digest
                )));
            }
            _ => return Err(refused(format!("{} ({:?}) is no layer", layer.digest, layer.media_type.to_string()))),
        }
        let name = format!("{}.tar", layer.digest.encoded());
        members.insert(name.clone(), layer);
        layers.push(name);
    }
    let config = format!("{}.json", image.config.digest.encoded());
    members.insert(config.clone(), &image.config);
    let mut output = Output::create(path)?;
    for (name, descriptor) in members {
        output.blob(&name, source, descriptor)?;
    }
    // Its name sorts behind the hexadecimal ones.
    output.document(docker::MANIFEST, &crate::oci::canonical(&[Saved { config, repo_tags, layers }]))?;
    output.finish()
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// A tag as it stands in `RepoTags`: with its registry, which every reader takes and none has to guess.
fn full(path: &Path, tag: &str) -> Result<String, ArchiveError> {
    let reference: Reference = tag.parse()?;
    match (reference.tag_or_latest(), reference.digest()) {
        (Some(tag), None) => Ok(format!("{}:{tag}", reference.name())),
        _ => Err(ArchiveError::Refused {
            path: path.display().to_string(),
            reason: format!("{tag} has a digest, which a docker-archive's names cannot have: leave it out"),
        }),
    }
}

fn document<T: DeserializeOwned>(source: &dyn BlobSource, descriptor: &Descriptor) -> Result<T, ArchiveError> {
    let bytes = source.document(descriptor)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ArchiveError::document(&source.place(), &descriptor.digest.to_string(), error))
}

/// All blobs that an index reaches, by digest.
fn reachable(
    path: &Path,
    source: &dyn BlobSource,
    index: &Index,
) -> Result<BTreeMap<Digest, Descriptor>, ArchiveError> {
    if let Some(entry) = index.unsupported.first() {
        return Err(ArchiveError::Refused {
            path: path.display().to_string(),
            reason: format!(
                "{} has an image whose digest {} is not supported: only sha256 is",
                source.place(),
                entry.digest
            ),
        });
    }
    blobs(source, &index.manifests).map_err(|error| match error {
        ReachError::Blob(error) => error.into(),
        error => ArchiveError::Reach { path: path.display().to_string(), source: error },
    })
}

/// An archive that is being written. Dropped before [`Output::finish`] it leaves nothing: fields are dropped in their
/// order, the temporary file before its folder and the folders that were made for both.
struct Output {
    path: PathBuf,
    out: BufWriter<NamedTempFile>,
    scratch: Scratch,
    made: MadeFolders,
    buffer: Vec<u8>,
}

impl Output {
    fn create(path: &Path) -> Result<Self, ArchiveError> {
        if path.is_dir() {
            let shown = path.display().to_string();
            return Err(ArchiveError::Refused { path: shown, reason: "there is a folder of this name".into() });
        }
        // It would be replaced, and who reads from it would wait for ever.
        if path.metadata().is_ok_and(|data| !data.is_file()) {
            let shown = path.display().to_string();
            return Err(ArchiveError::Refused { path: shown, reason: "it is a pipe or a device, not a file".into() });
        }
        let made = MadeFolders::all(folder(path)).map_err(failed("create the folder of", path))?;
        let scratch = Scratch::beside(folder(path)).map_err(failed("write", path))?;
        let file = temporary(scratch.folder()).map_err(failed("write", path))?;
        let out = BufWriter::with_capacity(BUFFER, file);
        Ok(Self { path: path.to_owned(), out, scratch, made, buffer: vec![0; BUFFER] })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.out.write_all(bytes).map_err(failed("write", &self.path))
    }

    fn header(&mut self, name: &str, kind: Kind) -> Result<(), ArchiveError> {
        let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
        let path = name.as_bytes().into();
        let mut bytes = Vec::with_capacity(BLOCK);
        header(&Entry { path, kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: None, source: None }, &mut bytes);
        self.write(&bytes)
    }

    fn pad(&mut self, size: u64) -> Result<(), ArchiveError> {
        self.write(&[0; BLOCK][..padding(size)])
    }

    fn document(&mut self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        let size = bytes.len() as u64;
        self.header(name, Kind::File(size))?;
        self.write(bytes)?;
        self.pad(size)
    }

    fn blob(&mut self, name: &str, source: &dyn BlobSource, descriptor: &Descriptor) -> Result<(), ArchiveError> {
        let mut reader = source.open(descriptor)?;
        self.header(name, Kind::File(descriptor.size))?;
        loop {
            let count = reader.read(&mut self.buffer).map_err(|error| BlobError::Read {
                digest: descriptor.digest,
                place: source.place(),
                source: error.into(),
            })?;
            if count == 0 {
                return self.pad(descriptor.size);
            }
            self.out.write_all(&self.buffer[..count]).map_err(failed("write", &self.path))?;
        }
    }

    fn finish(mut self) -> Result<(), ArchiveError> {
        self.write(&[0; 2 * BLOCK])?;
        let Self { path, out, scratch, mut made, .. } = self;
        let file = out.into_inner().map_err(|error| failed("write", &path)(error.into_error()))?;
        persist(file, &path).map_err(failed("write", &path))?;
        drop(scratch);
        made.keep();
        Ok(())
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::own::Own;

    /// A killed process left `.tmp-…` beside the archive for ever, and the next build packed it.
    #[test]
    fn what_is_half_written_is_no_source() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut output = Output::create(&folder.path().join("image.tar")).expect("an archive is begun");
        output.write(&vec![7; 1 << 20]).expect("bytes");
        let there = || std::fs::read_dir(folder.path()).expect("the folder").flatten().collect::<Vec<_>>();
        for entry in there() {
            assert!(Own::default().holds(&entry.path(), &entry.metadata().expect("what it is")), "{entry:?}");
        }
        assert_eq!(there().len(), 1);
        drop(output);
        assert!(there().is_empty());
    }
}
