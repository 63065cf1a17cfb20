//! What determines a layer's bytes, in one digest.

use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use crate::layer::compress::{Codec, LAYER_FORMAT};
use crate::layer::entry::{Entry, Kind};
use crate::layer::stamp::Stamp;
use crate::oci::digest::Digest;

/// A key of the layer cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    digest: Digest,
    safe: bool,
}

/// What a key is made with beside the files.
#[derive(Debug, Clone, Copy)]
pub struct Ground {
    codec: Codec,
    /// When the files began to be listed, in nanoseconds since 1970.
    begun: i64,
}

/// Within this time of its last change, a file may change again and keep its change time: the kernel's clock for files
/// ticks a hundred times a second at least.
const TICK: i64 = 20_000_000;
/// The same of a file system that keeps whole seconds, or two.
const COARSE_TICK: i64 = 2_000_000_000;

impl Ground {
    /// The ground of keys of files that are listed from now on.
    pub fn now(codec: Codec) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { codec, begun: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX) }
    }

    /// The key of these entries: paths, kinds, sizes, modes, owners, times, link groups and attributes as they will be
    /// in the layer, and how each file stands on the disk. An attribute that is not listed yet is covered by the change
    /// time.
    pub fn entries(self, entries: &[Entry]) -> Key {
        let mut making = Making::new(self, "entries");
        for entry in entries {
            making.entry(entry);
        }
        making.finish()
    }

    /// The key of the layer that is made of an archive of so many bytes, with the latest time that its entries may
    /// have.
    pub fn archive(self, size: u64, stamp: &Stamp, latest: Option<i64>) -> Key {
        let mut making = Making::new(self, "archive");
        making.number(size);
        making.number(u64::from(latest.is_some()));
        making.signed(latest.unwrap_or_default());
        making.stamp(stamp);
        making.finish()
    }
}

impl Key {
    /// The digest.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether a file that changes from now on must have another key. One that was written a moment before it was
    /// listed might be written again within the same tick of the clock.
    pub(super) fn is_safe(&self) -> bool {
        self.safe
    }
}

struct Making {
    hash: Sha256,
    buffer: Vec<u8>,
    begun: i64,
    /// From when on whatever changes has another time.
    settled: i64,
}

impl Making {
    fn new(ground: Ground, what: &str) -> Self {
        let (hash, buffer) = (Sha256::new(), Vec::with_capacity(64 << 10));
        let mut making = Self { hash, buffer, begun: ground.begun, settled: i64::MIN };
        making.number(LAYER_FORMAT.into());
        making.bytes(ground.codec.to_string().as_bytes());
        making.bytes(what.as_bytes());
        making
    }

    fn number(&mut self, number: u64) {
        self.buffer.extend_from_slice(&number.to_le_bytes());
    }

    fn signed(&mut self, number: i64) {
        self.buffer.extend_from_slice(&number.to_le_bytes());
    }

    /// Bytes with their length before them: nothing runs into its neighbour.
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.buffer.extend_from_slice(bytes);
    }

    fn stamp(&mut self, stamp: &Stamp) {
        self.number(stamp.identity);
        self.signed(stamp.changed);
        // Each by itself: a layer may be of files of several disks.
        let tick = if stamp.changed % 1_000_000_000 == 0 { COARSE_TICK } else { TICK };
        self.settled = self.settled.max(stamp.changed.saturating_add(tick));
    }

    fn entry(&mut self, entry: &Entry) {
        self.bytes(&entry.path);
        match &entry.kind {
            Kind::Directory => self.number(1),
            Kind::File(size) => {
                self.number(2);
                self.number(*size);
            }
            Kind::Symlink(target) => {
                self.number(3);
                self.bytes(target);
            }
            Kind::Hardlink(target) => {
                self.number(4);
                self.bytes(target);
            }
            Kind::Character(major, minor) => {
                self.number(5);
                self.number(u64::from(*major) << 32 | u64::from(*minor));
            }
            Kind::Block(major, minor) => {
                self.number(6);
                self.number(u64::from(*major) << 32 | u64::from(*minor));
            }
            Kind::Fifo => self.number(7),
        }
        self.number(entry.mode.into());
        self.number(u64::from(entry.uid) << 32 | u64::from(entry.gid));
        self.signed(entry.mtime);
        self.number(entry.xattrs.as_ref().map_or(0, |xattrs| xattrs.len() as u64));
        for (name, value) in entry.xattrs.iter().flat_map(|xattrs| xattrs.iter()) {
            self.bytes(name);
            self.bytes(value);
        }
        self.number(entry.source.is_some().into());
        if let Some(source) = &entry.source {
            self.stamp(&source.stamp);
        }
        if self.buffer.len() >= 60 << 10 {
            self.hash.update(&self.buffer);
            self.buffer.clear();
        }
    }

    fn finish(mut self) -> Key {
        // A change time that is not known is later than any.
        self.hash.update(&self.buffer);
        let safe = self.settled < self.begun;
        Key { digest: Digest::from_bytes(self.hash.finalize().into()), safe }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::entry::{Source, Tree};

    fn file(stamp: Stamp) -> Entry {
        let tree = Tree { folder: "x".into(), dest: b"x".as_slice().into(), attributes: false };
        let source = Some(Source { tree: tree.into(), stamp });
        let (path, kind) = (b"x".as_slice().into(), Kind::File(1));
        Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 5, xattrs: None, source }
    }

    #[test]
    fn whatever_is_another_has_another_key() {
        let ground = Ground { codec: Codec::GZIP, begun: i64::MAX };
        let stamp = Stamp { identity: 3, changed: 4 };
        let base = file(stamp);
        let mut others = vec![Vec::new(), vec![base.clone(), base.clone()]];
        let mut with = |change: &dyn Fn(&mut Entry)| {
            let mut other = base.clone();
            change(&mut other);
            others.push(vec![other]);
        };
        with(&|entry| entry.path = b"y".as_slice().into());
        with(&|entry| entry.kind = Kind::File(2));
        with(&|entry| entry.kind = Kind::Symlink(b"y".as_slice().into()));
        with(&|entry| entry.kind = Kind::Hardlink(b"y".as_slice().into()));
        with(&|entry| entry.mode = 0o755);
        with(&|entry| entry.uid = 1);
        with(&|entry| entry.gid = 1);
        with(&|entry| entry.mtime = 6);
        with(&|entry| entry.xattrs = Some(Box::new(vec![(b"a".as_slice().into(), b"b".as_slice().into())])));
        with(&|entry| entry.source = None);
        others.extend([(9, 4), (3, 9)].map(|(identity, changed)| vec![file(Stamp { identity, changed })]));
        let mut keys: Vec<Digest> = others.iter().map(|entries| ground.entries(entries).digest).collect();
        keys.push(ground.entries(std::slice::from_ref(&base)).digest);
        keys.push(Ground { codec: Codec::Gzip(5), ..ground }.entries(&[base]).digest);
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    /// A file that is written twice within a tick has one change time, and one key, for two contents.
    #[test]
    fn a_file_of_this_moment_is_not_safe() {
        let second = 1_000_000_000;
        let key = |changed: i64, begun: i64| {
            let stamp = Stamp { identity: 1, changed };
            Ground { codec: Codec::GZIP, begun }.entries(&[file(stamp)])
        };
        assert!(!key(7 * second + 1, 7 * second + 1).safe);
        assert!(!key(7 * second + 1, 7 * second + TICK).safe);
        assert!(key(7 * second + 1, 7 * second + TICK + 2).safe);
        // Whole seconds: the file system may have no others.
        assert!(!key(7 * second, 8 * second).safe);
        assert!(key(7 * second, 9 * second + 1).safe);
        // A clock that is ahead.
        assert!(!key(9 * second, 7 * second).safe);
        // What another file has says nothing of this one's file system.
        let stamps = [7 * second, 5 * second + 1].map(|changed| Stamp { identity: 1, changed });
        let both = |begun| Ground { codec: Codec::GZIP, begun }.entries(&stamps.map(file));
        assert!(!both(8 * second).safe && both(9 * second + 1).safe);
    }
}
