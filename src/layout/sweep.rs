//! What must stay in a layout, and the removal of the rest.

use std::collections::BTreeSet;
use std::fs;

use super::{Layout, LayoutError, TEMPORARY, failed};
use crate::blob::BlobSource;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Index, Manifest};
use crate::oci::media_type::{Kind, kind};

impl Layout {
    /// Everything that `index.json` reaches, as far as the types are known. A manifest that is missing or damaged is an error.
    pub fn reachable(&self, index: &Index) -> Result<BTreeSet<Digest>, LayoutError> {
        self.walk(index).map(|(seen, _)| seen)
    }

    /// All blobs that must stay; `None` where that cannot be known. What an artifact manifest of OCI 1.1's drafts, a manifest
    /// of Docker's schema 1 or of a later specification names is for those who know it.
    pub(super) fn needed(&self, index: &Index) -> Option<BTreeSet<Digest>> {
        self.walk(index).ok().and_then(|(seen, all_known)| all_known.then_some(seen))
    }

    /// What is reached, and whether every document on the way was of a type that is known.
    fn walk(&self, index: &Index) -> Result<(BTreeSet<Digest>, bool), LayoutError> {
        let mut seen = BTreeSet::new();
        let mut read = BTreeSet::new();
        let mut all_known = true;
        let mut todo: Vec<Descriptor> = index.manifests.clone();
        while let Some(descriptor) = todo.pop() {
            seen.insert(descriptor.digest);
            let kind = kind(&descriptor.media_type);
            all_known &= kind != Kind::Other;
            // Seen is not read: another manifest may name the same document as a layer.
            if !matches!(kind, Kind::Index | Kind::Manifest) || !read.insert(descriptor.digest) {
                continue;
            }
            let parse_error = |source: serde_json::Error| LayoutError::Document {
                path: self.blob_path(descriptor.digest).display().to_string(),
                line: source.line(),
                column: source.column(),
                source,
            };
            let bytes = self.document(&descriptor)?;
            if kind == Kind::Index {
                let index: Index = serde_json::from_slice(&bytes).map_err(parse_error)?;
                todo.extend(index.manifests);
            } else {
                let manifest: Manifest = serde_json::from_slice(&bytes).map_err(parse_error)?;
                seen.insert(manifest.config.digest);
                seen.extend(manifest.layers.iter().map(|layer| layer.digest));
            }
        }
        Ok((seen, all_known))
    }

    /// Removes temporary files that a dead process left and, where it is known what must stay, all other blobs.
    pub(super) fn sweep(&self, needed: Option<&BTreeSet<Digest>>) -> Result<(), LayoutError> {
        let folder = self.root.join("blobs/sha256");
        for entry in fs::read_dir(&folder).map_err(failed("read", &folder))? {
            let entry = entry.map_err(failed("read", &folder))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let unused = match format!("sha256:{name}").parse::<Digest>() {
                Ok(digest) => needed.is_some_and(|needed| !needed.contains(&digest)),
                Err(_) => name.starts_with(TEMPORARY),
            };
            if unused {
                fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::session::Session;
    use crate::oci::media_type::MediaType;

    /// A document that names a blob, in a type that is not known here.
    fn foreign(session: &Session, media_type: &str) -> (Descriptor, Digest) {
        let (blob, size) = session.put(b"a signature").expect("a blob");
        let text = serde_json::json!({"mediaType": media_type, "blobs": [{"digest": blob.to_string(), "size": size}]});
        session.put(text.to_string().as_bytes()).expect("a blob");
        (Descriptor::of(MediaType::from(media_type), text.to_string().as_bytes()), blob)
    }

    #[test]
    fn what_a_document_of_an_unknown_type_names_stays() {
        for media_type in [
            "application/vnd.oci.artifact.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let session = Layout::session(folder.path()).expect("a session");
            let (entry, blob) = foreign(&session, media_type);
            session.finish(vec![entry]).expect("an index");
            let dead = folder.path().join("blobs/sha256/.tmp-dead");
            fs::write(&dead, "half a blo").expect("a file");
            let layout = Layout::open(folder.path()).expect("a layout");
            // Another image comes, and a build that fails.
            let session = Layout::session(folder.path()).expect("a session");
            session.finish(Vec::new()).expect("an index");
            assert!(layout.blob_path(blob).exists(), "{media_type}");
            assert!(!dead.exists());
        }
    }

    #[test]
    fn tidying_removes_temporary_files_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = Layout::session(folder.path()).expect("a session");
        let (blob, _) = session.put(b"nothing names it").expect("a blob");
        session.keep();
        let dead = folder.path().join("blobs/sha256/.tmp-dead");
        fs::write(&dead, "half a blo").expect("a file");
        Layout::session(folder.path()).expect("a session").keep();
        assert!(!dead.exists());
        assert!(Layout::open(folder.path()).expect("a layout").blob_path(blob).exists());
    }
}
