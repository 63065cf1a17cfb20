//! The layer cache: a layer whose files are as they were is taken as it was made, without opening one of them; of a
//! layer that changed, the chunks that did not are not compressed again.
//!
//! A folder of the user's, in five parts. `keys/` leads from what determines a layer's bytes ([`key::Key`]) to its
//! blob; `blobs/` has the compressed layers (hard links of those in layouts, where the disk is the same); `tables/`
//! says where their chunks lie ([`chunks`]); `contents/` has what is inside a layer, also of a base's; `whole/` has
//! the blobs of layouts that need not be read again ([`LayerCache::is_whole`]).
//!
//! The contract:
//! - What a build makes is byte for byte the same with a cache and without. A key covers all that a layer is made of,
//!   and a chunk is found by the digest of the data at hand.
//! - Nothing in the folder is believed because it is there: documents end in their checksum, a blob counts as long as
//!   it has the size and the time that it was written with, and is hashed again where it has not (a restored folder);
//!   a chunk has a checksum of its own.
//! - Any number of processes may share the folder: files come by rename and are never changed. What one of them removes
//!   under another's feet is made anew. A cache that cannot be read or written costs time, and fails no build.
//! - It grows to a bound; beyond it, what was not used for longest goes.

pub mod chunks;
pub mod key;
mod whole;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::chunks::{Reuse, Table};
use self::key::Key;
use super::compress::{Codec, LAYER_FORMAT};
use super::contents::Contents;
use super::pack::Packed;
use crate::blob::digest_of;
use crate::layout::replace_file;
use crate::oci::digest::Digest;

/// How many bytes of blobs a cache keeps unless it is told otherwise.
pub const LIMIT: u64 = 10 << 30;

/// The version of the documents: another one is another folder.
const VERSION: &str = "layers-3";

/// The folders of a version.
const PARTS: [&str; 5] = ["keys", "blobs", "tables", "contents", "whole"];

/// How the folder of each version begins.
const VERSIONS: &str = "layers-";

/// For how long the folder of an earlier version is kept after it was used: somebody may go back to it.
const EARLIER_AGE: Duration = Duration::from_hours(7 * 24);

/// The file that is written whenever the folder is looked over, and what is in it.
const TRIMMED: (&str, &[u8]) = ("trimmed", b"looked over\n");

/// For how long contents without a blob are kept after they were used.
const CONTENTS_AGE: Duration = Duration::from_hours(90 * 24);

/// How often the folder is looked over at most: each build would be too often.
const TRIM_EVERY: Duration = Duration::from_mins(1);

/// The word for the compression of a layer that we did not make: no codec has it, so its chunks are not looked up.
const FOREIGN: &str = "foreign";

/// The word for the compression of a layer of ours. Chunks of another format are other bytes for the same data: taken,
/// they would make a layer that no version makes.
fn made_as(codec: Codec) -> String {
    format!("{codec} format {LAYER_FORMAT}")
}

/// A cache folder.
pub struct LayerCache {
    folder: PathBuf,
    limit: u64,
    reuse: OnceLock<(Codec, Arc<Reuse>)>,
}

/// A layer that was made before.
#[derive(Debug, Clone)]
pub struct Known {
    /// The blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The digest of the tar.
    pub diff_id: Digest,
    /// The size of the tar in bytes.
    pub tar_size: u64,
    /// As [`Packed::timed_pyc`].
    pub timed_pyc: u64,
    /// What is inside.
    pub contents: Arc<Contents>,
    /// The file of the blob.
    pub path: PathBuf,
    /// The same, held open: another process may remove it from the cache.
    pub file: Arc<File>,
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

/// What a key leads to.
#[derive(Serialize, Deserialize)]
struct Record {
    digest: [u8; 32],
    size: u64,
    diff_id: [u8; 32],
    tar_size: u64,
    timed_pyc: u64,
}

impl LayerCache {
    /// The cache in a folder of the user's, made where it is not there. It keeps about `limit` bytes.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        let folder = folder.join(VERSION);
        for part in PARTS {
            fs::create_dir_all(folder.join(part))?;
        }
        Ok(Self { folder, limit, reuse: OnceLock::new() })
    }

    /// Where it is, beside the caches of other versions.
    pub fn folder(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

    /// The layer of this key, if it was made before and its blob is still whole.
    pub fn find(&self, key: &Key) -> Option<Known> {
        let at = self.path("keys", key.digest());
        let record: Record = read(&at)?;
        let digest = Digest::from_bytes(record.digest);
        let (Some(contents), Some((path, file))) = (self.contents(digest), self.blob_of(digest, record.size)) else {
            // Best effort: it leads nowhere.
            let _ = fs::remove_file(at);
            return None;
        };
        Some(Known {
            digest,
            size: record.size,
            diff_id: Digest::from_bytes(record.diff_id),
            tar_size: record.tar_size,
            timed_pyc: record.timed_pyc,
            contents,
            path,
            file: Arc::new(file),
        })
    }

    /// The file of a layer's blob.
    fn blob(&self, digest: Digest) -> PathBuf {
        self.path("blobs", digest)
    }

    /// Whether the blob is there and whole. One whose time is another than when it was written is read again.
    fn holds(&self, digest: Digest, size: u64) -> bool {
        let (blob, at) = (self.blob(digest), self.path("tables", digest));
        let Ok(data) = fs::metadata(&blob) else { return false };
        let Some(mut table) = read::<Table>(&at).filter(|_| data.is_file() && data.len() == size) else {
            self.forget(digest);
            return false;
        };
        let now = modified(&data);
        if table.modified != now {
            if !File::open(&blob).and_then(digest_of).is_ok_and(|found| found == digest) {
                self.forget(digest);
                return false;
            }
            table.modified = now;
            let _ = write(&at, &table);
        } else if let Ok(file) = File::options().append(true).open(&at) {
            // When it was last used.
            let _ = file.set_modified(SystemTime::now());
        }
        true
    }

    fn forget(&self, digest: Digest) {
        for part in ["blobs", "tables", "contents"] {
            let _ = fs::remove_file(self.path(part, digest));
        }
    }

    /// Keeps a layer whose blob is in `file`. A key that is not safe, or of other files than were read, is left out:
    /// the layer's chunks are of use all the same. Whether it could be kept is nobody's concern.
    pub fn keep(&self, key: Option<&Key>, codec: Codec, packed: &Packed, blob: (&Path, Digest, u64)) {
        let _ = self.try_keep(key, codec, packed, blob);
    }

    fn try_keep(
        &self,
        key: Option<&Key>,
        codec: Codec,
        packed: &Packed,
        (file, digest, size): (&Path, Digest, u64),
    ) -> io::Result<()> {
        self.link(file, digest, Table { codec: made_as(codec), size, modified: 0, pieces: packed.pieces.clone() })?;
        self.keep_contents(digest, &packed.contents)?;
        if let Some(key) = key.filter(|key| key.is_safe() && packed.as_listed) {
            let record = Record {
                digest: *digest.as_bytes(),
                size,
                diff_id: *packed.diff_id.as_bytes(),
                tar_size: packed.size,
                timed_pyc: packed.timed_pyc,
            };
            write(&self.path("keys", key.digest()), &record)?;
        }
        Ok(())
    }

    /// Takes a blob into the cache, with what is known of it.
    fn link(&self, file: &Path, digest: Digest, table: Table) -> io::Result<()> {
        let to = self.blob(digest);
        let same = |data: fs::Metadata| (data.dev(), data.ino());
        let linked = || fs::metadata(file).map(same).ok() == fs::metadata(&to).map(same).ok();
        if fs::hard_link(file, &to).is_err() && !linked() && !self.holds(digest, table.size) {
            // Another disk, or one without links; or there is a blob that we know nothing of: this one is whole.
            let temporary = tempfile::Builder::new().prefix(".tmp-").tempfile_in(self.folder.join("blobs"))?;
            fs::copy(file, temporary.path())?;
            // A layout may take it by a link, and counts on it.
            temporary.as_file().sync_all()?;
            temporary.persist(&to).map_err(|error| error.error)?;
        }
        let modified = modified(&fs::metadata(&to)?);
        write(&self.path("tables", digest), &Table { modified, ..table })?;
        self.keep_whole(file, digest);
        Ok(())
    }

    /// Keeps a layer that somebody else has made, a base's. Whether it could be kept is nobody's concern.
    pub fn keep_foreign(&self, file: &Path, digest: Digest, size: u64) {
        let table = Table { codec: FOREIGN.into(), size, modified: 0, pieces: Vec::new() };
        let _ = self.link(file, digest, table);
    }

    /// The blob of this digest, by its path and held open, if it is here and whole.
    pub fn blob_of(&self, digest: Digest, size: u64) -> Option<(PathBuf, File)> {
        let path = self.blob(digest);
        let file = File::open(&path).ok()?;
        self.holds(digest, size).then_some((path, file))
    }

    /// What is inside the layer of this digest, if it was looked into before.
    pub fn contents(&self, digest: Digest) -> Option<Arc<Contents>> {
        let at = self.path("contents", digest);
        let contents = read(&at)?;
        if let Ok(file) = File::options().append(true).open(&at) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(Arc::new(contents))
    }

    /// Remembers what is inside a layer.
    ///
    /// # Errors
    /// Where the folder does not take it.
    pub fn keep_contents(&self, digest: Digest, contents: &Contents) -> io::Result<()> {
        write(&self.path("contents", digest), contents)
    }

    /// The chunks of all layers of this codec.
    pub fn reuse(&self, codec: Codec) -> Arc<Reuse> {
        let load = || {
            let mut reuse = Reuse::default();
            let entries = fs::read_dir(self.folder.join("tables")).into_iter().flatten().flatten();
            for entry in entries {
                let name = entry.file_name();
                let Ok(digest) = format!("sha256:{}", name.to_string_lossy()).parse::<Digest>() else { continue };
                if let Some(table) = read::<Table>(&entry.path()).filter(|table| table.codec == made_as(codec)) {
                    reuse.add(self.blob(digest), codec, &table);
                }
            }
            Arc::new(reuse)
        };
        // A build has one codec. Chunks of another one are other bytes.
        match self.reuse.get_or_init(|| (codec, load())) {
            (loaded, reuse) if *loaded == codec => Arc::clone(reuse),
            _ => load(),
        }
    }

    /// Removes what was not used for longest, down to the bound, and what dead processes left.
    pub fn trim(&self) {
        let _ = self.try_trim();
    }

    fn try_trim(&self) -> io::Result<()> {
        let (name, text) = TRIMMED;
        let marker = self.folder.join(name);
        let lock = File::options().create(true).append(true).open(&marker)?;
        let size = lock.metadata()?.len();
        // One process at a time, and none of them often. An empty file was made just now.
        if lock.try_lock().is_err() || (size > 0 && age(&lock.metadata()?).is_some_and(|age| age < TRIM_EVERY)) {
            return Ok(());
        }
        replace_file(&marker, text)?;
        let mut blobs = Vec::new();
        for entry in fs::read_dir(self.folder.join("blobs"))?.flatten() {
            let data = entry.metadata()?;
            let Ok(digest) = format!("sha256:{}", entry.file_name().to_string_lossy()).parse::<Digest>() else {
                if age(&data).is_some_and(|age| age > Duration::from_hours(24)) {
                    fs::remove_file(entry.path())?;
                }
                continue;
            };
            let used = fs::metadata(self.path("tables", digest)).and_then(|data| data.modified());
            blobs.push((used.unwrap_or(SystemTime::UNIX_EPOCH), data.len(), digest));
        }
        blobs.sort();
        let mut total: u64 = blobs.iter().map(|(_, size, _)| size).sum();
        for (_, size, digest) in &blobs {
            if total <= self.limit {
                break;
            }
            self.forget(*digest);
            total -= size;
        }
        for entry in fs::read_dir(self.folder.join("contents"))?.flatten() {
            if age(&entry.metadata()?).is_some_and(|age| age > CONTENTS_AGE) {
                fs::remove_file(entry.path())?;
            }
        }
        for entry in fs::read_dir(self.folder.join("keys"))?.flatten() {
            let leads = |record: Record| self.blob(Digest::from_bytes(record.digest)).exists();
            if !read(&entry.path()).is_some_and(leads) {
                fs::remove_file(entry.path())?;
            }
        }
        self.trim_whole()?;
        self.trim_earlier()
    }

    /// Removes what earlier versions kept, once it is used no more. What later ones keep is theirs.
    fn trim_earlier(&self) -> io::Result<()> {
        let number = |name: &str| name.strip_prefix(VERSIONS)?.parse::<u32>().ok();
        for entry in fs::read_dir(self.folder())?.flatten() {
            let (folder, marker) = (entry.path(), entry.path().join(TRIMMED.0));
            let is_earlier = entry.file_name().to_str().and_then(number).is_some_and(|it| Some(it) < number(VERSION));
            // Only what says so is a version's: where the cache is, is the user's choice.
            if is_earlier
                && fs::read(&marker).is_ok_and(|text| text == TRIMMED.1)
                && fs::metadata(&marker).is_ok_and(|data| age(&data).is_some_and(|age| age > EARLIER_AGE))
            {
                // The marker is the last to go: what is interrupted is taken up by the next build.
                for part in PARTS {
                    let _ = fs::remove_dir_all(folder.join(part));
                }
                let _ = fs::remove_dir_all(folder);
            }
        }
        Ok(())
    }

    fn path(&self, part: &str, digest: Digest) -> PathBuf {
        self.folder.join(part).join(digest.encoded())
    }
}

/// How long ago it was written.
fn age(data: &fs::Metadata) -> Option<Duration> {
    SystemTime::now().duration_since(data.modified().ok()?).ok()
}

fn modified(data: &fs::Metadata) -> i64 {
    data.mtime().saturating_mul(1_000_000_000).saturating_add(data.mtime_nsec())
}

/// A document, if its checksum is right.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = fs::read(path).ok()?;
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    postcard::from_bytes(body).ok()
}

/// Writes a document with its checksum. It need not survive the machine: then it has another sum, and is no document.
fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    use std::io::Write;
    let mut bytes = postcard::to_stdvec(value).map_err(io::Error::other)?;
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
    file.write_all(&bytes)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Silent;
    use crate::layer::compress::Pool;
    use crate::layer::entry::{Entry, Kind, Source, Tree};
    use crate::layer::pack::{Packing, entries};
    use crate::layer::stamp::Stamp;

    /// A library may build with one codec and then another over the same open cache.
    #[test]
    fn chunks_of_another_codec_or_format_are_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("file");
        let text = (0..400_000).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        fs::write(&source, &text).expect("a file");
        let pool = Pool::new(1);
        let pack = |codec, reuse: Option<&Arc<Reuse>>| {
            let tree = Tree { folder: source.clone(), dest: b"file".as_slice().into(), attributes: false };
            let at = Source { tree: tree.into(), stamp: Stamp::default() };
            let (path, kind) = (b"file".as_slice().into(), Kind::File(text.len() as u64));
            let entry = Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: None, source: Some(at) };
            let packing = Packing { pool: &pool, codec, reuse, observer: &Silent, id: "file" };
            entries(vec![entry], packing, Vec::new()).expect("a layer")
        };
        let cache = LayerCache::open(&folder.path().join("cache"), LIMIT).expect("a cache");
        let mut made = Vec::new();
        for codec in [Codec::GZIP, Codec::ZSTD] {
            let (bytes, packed) = pack(codec, Some(&Arc::default()));
            assert_eq!((packed.reused, pack(codec, None).0 == bytes), (0, true), "{codec}");
            let blob = folder.path().join(codec.to_string());
            fs::write(&blob, &bytes).expect("a blob");
            cache.keep(None, codec, &packed, (&blob, Digest::of(&bytes), bytes.len() as u64));
            made.push((codec, bytes));
        }
        for (codec, bytes) in made.iter().chain(&made) {
            let (again, packed) = pack(*codec, Some(&cache.reuse(*codec)));
            assert!(again == *bytes, "{codec}");
            assert_eq!(packed.reused, packed.pieces.len(), "{codec}");
            assert!(packed.pieces.iter().all(|piece| piece.mark.is_some()), "{codec}");
        }
        assert_eq!(pack(Codec::Gzip(1), Some(&cache.reuse(Codec::Gzip(1)))).1.reused, 0);
        // What an earlier version has left: the same codec, other bytes. It was taken once.
        for (codec, bytes) in &made {
            let at = cache.path("tables", Digest::of(bytes));
            let table: Table = read(&at).expect("a table");
            write(&at, &Table { codec: codec.to_string(), ..table }).expect("a table");
        }
        let later = LayerCache::open(&folder.path().join("cache"), LIMIT).expect("a cache");
        assert_eq!(pack(Codec::GZIP, Some(&later.reuse(Codec::GZIP))).1.reused, 0);
    }
}
