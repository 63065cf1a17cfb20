//! What must stay in a layout, and the removal of the rest.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::{Layout, LayoutError, TEMPORARY, failed};
use crate::blob::reach::{Document, reach};
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::Index;
use crate::oci::media_type::{Kind, kind};

impl Layout {
    /// All blobs that must stay; `None` where that cannot be known. What an artifact manifest of OCI 1.1's drafts, a
    /// manifest of Docker's schema 1 or of a later specification names is for those who know it.
    pub(super) fn needed(&self, index: &Index) -> Option<BTreeSet<Digest>> {
        let is_known = |entry: &Descriptor| kind(&entry.media_type) != Kind::Other;
        let mut all_known = index.unsupported.is_empty() && index.manifests.iter().all(is_known);
        let mut needed: BTreeSet<Digest> = index.manifests.iter().map(|entry| entry.digest).collect();
        reach(self, &index.manifests, &mut |_, _, document| {
            if let Document::Index(index) = document {
                all_known &= index.manifests.iter().all(is_known);
            }
            needed.extend(document.names().map(|named| named.digest));
        })
        .ok()?;
        all_known.then_some(needed)
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
                remove(&entry.path())?;
            }
        }
        self.sweep_root()
    }

    /// Removes what was to become `index.json` or `oci-layout`. Nobody begins a layout, since the caller has its blobs
    /// to itself; and where someone is changing the index they stay for the next time.
    fn sweep_root(&self) -> Result<(), LayoutError> {
        let Some(_lock) = File::open(self.root.join("oci-layout")).ok().filter(|lock| lock.try_lock().is_ok()) else {
            return Ok(());
        };
        for entry in fs::read_dir(&self.root).map_err(failed("read", &self.root))? {
            let entry = entry.map_err(failed("read", &self.root))?;
            // A folder is not ours: we make files here.
            let is_file = entry.file_type().is_ok_and(|what| what.is_file());
            if is_file && entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// Removes a file, which another process may have done meanwhile.
fn remove(path: &Path) -> Result<(), LayoutError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
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
        let begun = folder.path().join(".tmp-index");
        for path in [&dead, &begun] {
            fs::write(path, "half a blo").expect("a file");
        }
        // Somebody else's, and in nobody's way.
        fs::create_dir(folder.path().join(".tmp-mine")).expect("a folder");
        let marker = File::open(folder.path().join("oci-layout")).expect("the marker");
        marker.lock().expect("a lock");
        Layout::session(folder.path()).expect("a session").keep();
        assert!(!dead.exists());
        assert!(begun.exists(), "another process is changing the index");
        drop(marker);
        Layout::session(folder.path()).expect("a session").keep();
        assert!(!begun.exists());
        assert!(Layout::open(folder.path()).expect("a layout").blob_path(blob).exists());
    }
}
