//! A layout that is read: what it refers to at this moment stays until the reader is done.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::blob::{BlobError, BlobSource};
use crate::oci::descriptor::Descriptor;

/// While there is one, nobody removes blobs, also where their names come to be another image's. Others may write.
#[derive(Debug)]
pub struct Hold {
    _lock: Option<File>,
}

impl Hold {
    /// Holds a layout's blobs; best before its index is read. A folder that cannot be locked (a share without locks, or
    /// no layout) is not held: reading needs no leave.
    pub fn on(root: &Path) -> Self {
        let lock = File::open(root.join("blobs")).ok();
        Self { _lock: lock.filter(|lock| lock.lock_shared().is_ok()) }
    }

    /// With the shared lock that its owner has.
    pub(super) fn with(lock: Option<File>) -> Self {
        Self { _lock: lock }
    }
}

/// Blobs with what keeps them.
pub struct Held<S> {
    source: S,
    _hold: Hold,
}

impl<S: BlobSource> Held<S> {
    /// Keeps the hold as long as the source.
    pub fn new(source: S, hold: Hold) -> Self {
        Self { source, _hold: hold }
    }
}

impl<S: BlobSource> BlobSource for Held<S> {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BlobError> {
        self.source.open_unverified(descriptor)
    }

    fn place(&self) -> String {
        self.source.place()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::layout::Layout;
    use crate::layout::session::Session;
    use crate::oci::canonical;
    use crate::oci::manifest::Index;
    use crate::oci::media_type::MediaType;

    /// Puts a nameless image in place of the one before.
    fn replace(session: Session, name: &str) -> (Descriptor, Hold) {
        let content = canonical(&Index::new(Vec::new(), BTreeMap::from([("name".into(), name.into())])));
        session.put(&content).expect("a blob");
        let entry = Descriptor::of(MediaType::ImageIndex, &content);
        let hold = session.finish(vec![entry.clone()]).expect("an index");
        (entry, hold)
    }

    #[test]
    fn what_is_read_stays_while_another_build_replaces_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = || Layout::session(folder.path()).expect("a session");
        let layout = session().layout().clone();
        let (one, pushing) = replace(session(), "one");
        let (two, _) = replace(session(), "two");
        assert!(layout.contains(&one), "whoever built it still sends it");
        drop(pushing);
        let reading = Hold::on(folder.path());
        let (three, _) = replace(session(), "three");
        assert!(layout.contains(&two), "whoever opened it still sends it");
        drop(reading);
        replace(session(), "three");
        assert!(layout.contains(&three) && !layout.contains(&one) && !layout.contains(&two));
    }
}
