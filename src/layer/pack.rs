//! Entries become a layer: a tar in its one form, hashed, compressed and hashed again, while what is inside is noted.
//!
//! A layer that exists is finished: [`Packed`] is only made once its blob has been written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use super::attributes::{Of, is_elsewhere, keep};
use super::cache::chunks::Reuse;
use super::compress::{Codec, Failed, Finished, Piece, Pool, Stream, stream};
use super::contents::{Contents, Head, Texts};
use super::entry::{Entry, Kind};
use super::sniff::{self, Passing};
use super::tar::{BLOCK, header, padding};
use super::untar::{RECORDS_LIMIT, Reader, UntarError};
use crate::event::{Event, Observer};
use crate::oci::digest::Digest;

/// A finished layer. Its blob's digest and size are known to whoever took the bytes.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The digest of the tar.
    pub diff_id: Digest,
    /// The size of the tar in bytes.
    pub size: u64,
    /// What is inside.
    pub contents: Contents,
    /// `.pyc` files that hold the time of their source: stale where the source's time is another in the layer.
    pub timed_pyc: u64,
    /// The chunks that the blob is made of.
    pub pieces: Vec<Piece>,
    /// How many of them were compressed before.
    pub reused: usize,
    /// Whether each file stood, when it had been read, as it stood when it was listed: else these are not the bytes of
    /// what was listed, though of what there was.
    pub as_listed: bool,
}

/// Why a layer was not made.
#[derive(Debug, Error)]
pub enum PackError {
    /// A file of the layer could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file had another size while it was read than before.
    #[error("{path} changed while it was read: it had {before} bytes, then {after}")]
    Changed {
        /// The file.
        path: String,
        /// Its size when the folder was listed.
        before: u64,
        /// What was there, or a bound of it: one more byte than before is enough to know.
        after: u64,
    },
    /// The archive that the layer is made of.
    #[error(transparent)]
    Archive(#[from] UntarError),
    /// An entry that cannot be in a layer.
    #[error("{0}")]
    Entry(String),
    /// The blob could not be written.
    #[error("cannot write the layer's blob")]
    Write(#[source] io::Error),
    /// The threads that compress are gone.
    #[error("cannot compress the layer")]
    Compress(#[from] io::Error),
}

impl From<Failed<Self>> for PackError {
    fn from(failed: Failed<Self>) -> Self {
        match failed {
            Failed::Write(error) => Self::Write(error),
            Failed::Read(error) => error,
        }
    }
}

/// What a layer is made with.
#[derive(Clone, Copy)]
pub struct Packing<'a> {
    /// The threads.
    pub pool: &'a Pool,
    /// The compression.
    pub codec: Codec,
    /// Chunks that were compressed before. Where there is nothing, chunks are not marked to be found again either.
    pub reuse: Option<&'a Arc<Reuse>>,
    /// Who wants to know how far it is.
    pub observer: &'a dyn Observer,
    /// The layer's id in events.
    pub id: &'a str,
}

/// How many bytes pass between two words about progress.
const STRIDE: u64 = 1 << 20;

/// What an attribute takes in a header beside its name and value, at most: `1048576 SCHILY.xattr.NAME=VALUE\n`.
const ATTRIBUTE_COST: usize = 24;

/// Packs entries whose data is in files.
///
/// # Errors
/// Where a file cannot be read, changes while it is read, or `out` does not take the bytes.
pub fn entries<W: Write + Send>(
    mut entries: Vec<Entry>,
    packing: Packing<'_>,
    out: W,
) -> Result<(W, Packed), PackError> {
    // Taken from the end, so that they give their memory back while the nodes grow.
    entries.reverse();
    let (out, finished, ended) = stream(packing.pool, packing.codec, packing.reuse.cloned(), out, |stream| {
        let mut packer = Packer::new(stream, packing);
        packer.contents.nodes.reserve_exact(entries.len());
        while let Some(entry) = entries.pop() {
            packer.file_entry(entry)?;
            if entries.len() < entries.capacity() / 16 * 15 {
                entries.shrink_to_fit();
            }
        }
        Ok::<_, PackError>(packer.end())
    })?;
    let Finished { diff_id, size, pieces, reused } = finished;
    let Ended { contents, timed_pyc, as_listed } = ended;
    Ok((out, Packed { diff_id, size, contents, timed_pyc, pieces, reused, as_listed }))
}

/// Packs the entries of an archive in their order, each as `map` makes it (`None`: left out).
///
/// # Errors
/// Where the archive is damaged or `out` does not take the bytes.
pub fn archive<R: Read, W: Write + Send>(
    mut reader: Reader<R>,
    packing: Packing<'_>,
    mut map: impl FnMut(Entry) -> Result<Option<Entry>, PackError>,
    out: W,
) -> Result<(W, Packed), PackError> {
    let (out, finished, ended) = stream(packing.pool, packing.codec, packing.reuse.cloned(), out, |stream| {
        let mut packer = Packer::new(stream, packing);
        while let Some(entry) = reader.next_entry()? {
            if let Some(entry) = map(entry)? {
                packer.archive_entry(entry, &mut reader)?;
            }
        }
        reader.drain()?;
        Ok::<_, PackError>(packer.end())
    })?;
    let Finished { diff_id, size, pieces, reused } = finished;
    let Ended { contents, timed_pyc, as_listed } = ended;
    Ok((out, Packed { diff_id, size, contents, timed_pyc, pieces, reused, as_listed }))
}

/// What a packer has found when all is packed.
struct Ended {
    contents: Contents,
    timed_pyc: u64,
    as_listed: bool,
}

struct Packer<'s, 'p, 'a> {
    stream: &'s mut Stream<'p>,
    packing: Packing<'a>,
    contents: Contents,
    texts: Texts,
    timed_pyc: u64,
    as_listed: bool,
    header: Vec<u8>,
    told: u64,
}

impl<'s, 'p, 'a> Packer<'s, 'p, 'a> {
    fn new(stream: &'s mut Stream<'p>, packing: Packing<'a>) -> Self {
        Self {
            stream,
            packing,
            contents: Contents::default(),
            texts: Texts::default(),
            timed_pyc: 0,
            as_listed: true,
            header: Vec::new(),
            told: 0,
        }
    }

    fn begin(&mut self, entry: &Entry) -> Result<(), PackError> {
        check_attributes(entry)?;
        self.header.clear();
        header(entry, &mut self.header);
        self.stream.entry(&entry.path, &self.header)?;
        let position = self.stream.position();
        if position - self.told >= STRIDE {
            self.tell(position);
        }
        Ok(())
    }

    fn tell(&mut self, position: u64) {
        self.told = position;
        self.packing.observer.note(Event::LayerAdvanced { id: self.packing.id, bytes: position });
    }

    /// Two zero blocks end the archive; no padding to a record follows.
    fn end(self) -> Ended {
        self.stream.append(&[0; 2 * BLOCK]);
        Ended { contents: self.contents, timed_pyc: self.timed_pyc, as_listed: self.as_listed }
    }

    fn file_entry(&mut self, mut entry: Entry) -> Result<(), PackError> {
        let mut head = Head::Other;
        let path = entry.source_path().unwrap_or_default();
        let path = path.as_path();
        let failed = |source| PackError::Read { path: path.display().to_string(), source };
        let file = match entry.kind {
            Kind::File(size) if entry.source.is_some() => Some((open(path).map_err(failed)?, size)),
            _ => None,
        };
        // Those of folders were asked for when it was listed.
        if entry.source.as_ref().is_some_and(|source| source.tree.attributes) && entry.kind != Kind::Directory {
            let of = file.as_ref().map_or(Of::Path(path), |(file, _)| Of::File(file));
            let all = of.all().map_err(failed)?;
            if let Some(reason) = is_elsewhere(&all, false) {
                return Err(PackError::Entry(format!("{} cannot be in a layer: {reason}", path.display())));
            }
            entry.xattrs = keep(&all);
        }
        self.begin(&entry)?;
        if let Some((mut file, size)) = file {
            let first = self.data(&mut OnDisk { file: &mut file, path, size }, size)?;
            // Once it is read: whatever happened to it since it was listed shows now.
            let data = file.metadata().map_err(failed)?;
            // Those of /proc say that they are empty.
            let hides = size == 0 && file.read(&mut [0]).map_err(failed)? > 0;
            if data.len() > size || hides {
                return Err(PackError::Changed {
                    path: path.display().to_string(),
                    before: size,
                    after: data.len().max(size + 1),
                });
            }
            self.as_listed &= entry.source.as_ref().is_none_or(|source| source.stamp.is_of(&data));
            head = self.head(&first, size, &file);
            self.note_pyc(&entry.path, &first);
        }
        self.texts.keep(&mut head);
        self.contents.nodes.push(entry.into_node(head));
        Ok(())
    }

    fn archive_entry<R: Read>(&mut self, entry: Entry, reader: &mut Reader<R>) -> Result<(), PackError> {
        self.begin(&entry)?;
        let mut head = Head::Other;
        if let Kind::File(size) = entry.kind {
            let first = self.data(&mut InArchive(reader), size)?;
            self.note_pyc(&entry.path, &first);
            head = match first {
                First::Passed(mut passing) => passing.head(),
                first @ First::InChunk { .. } => sniff::head(first.start(self.stream), size, |_| None),
            };
        }
        self.texts.keep(&mut head);
        self.contents.nodes.push(entry.into_node(head));
        Ok(())
    }

    /// Takes the data of a file into the stream, and pads it.
    fn data<O: Origin>(&mut self, origin: &mut O, size: u64) -> Result<First, PackError> {
        let mut first = First::InChunk { start: 0, size: 0 };
        match self.stream.pieces(size)? {
            None => {
                let space = self.stream.space();
                let start = space.len();
                let size_here = usize::try_from(size).unwrap_or(usize::MAX);
                space.resize(start + size_here, 0);
                origin.fill(&mut space[start..], 0)?;
                first = First::InChunk { start, size: size_here };
            }
            Some(piece) => {
                let mut done = 0;
                let mut passing: Option<Passing> = None;
                while done < size {
                    let count = piece.min(usize::try_from(size - done).unwrap_or(piece));
                    let space = self.stream.space();
                    space.resize(count, 0);
                    origin.fill(space, done)?;
                    let passing = passing.get_or_insert_with(|| Passing::new(space, size));
                    if O::PASSES {
                        passing.pass(done, space);
                    }
                    done += count as u64;
                    if count == piece {
                        self.stream.end_piece()?;
                    }
                    let position = self.stream.position();
                    self.tell(position);
                }
                if let Some(passing) = passing {
                    first = First::Passed(passing);
                }
            }
        }
        let padding = padding(size);
        if padding > 0 {
            self.stream.append(&[0; BLOCK][..padding]);
        }
        Ok(first)
    }

    fn head(&mut self, first: &First, size: u64, file: &File) -> Head {
        let start = first.start(self.stream);
        sniff::head(start, size, |at| read_part(file, at, size))
    }

    /// Flags 0 in a `.pyc`'s header: it is valid while its source has the time that stands in it (PEP 552).
    fn note_pyc(&mut self, path: &[u8], first: &First) {
        let start = first.start(self.stream);
        if path.ends_with(b".pyc") && start.len() >= 8 && start[4..8] == [0; 4] {
            self.timed_pyc += 1;
        }
    }
}

/// The first bytes of a file: still in the chunk, or kept because the chunk is gone.
enum First {
    InChunk { start: usize, size: usize },
    Passed(Passing),
}

impl First {
    fn start<'b>(&'b self, stream: &'b mut Stream<'_>) -> &'b [u8] {
        match self {
            Self::InChunk { size: 0, .. } => &[],
            Self::InChunk { start, size } => &stream.space()[*start..start + size],
            Self::Passed(passing) => passing.first(),
        }
    }
}

/// What others could not read, or would read as something else, is in no layer.
fn check_attributes(entry: &Entry) -> Result<(), PackError> {
    let Some(xattrs) = &entry.xattrs else { return Ok(()) };
    let path = String::from_utf8_lossy(&entry.path);
    if let Some((name, _)) = xattrs.iter().find(|(name, _)| name.contains(&b'=')) {
        return Err(PackError::Entry(format!(
            "{path} has the extended attribute {:?}: a tar cannot have = in its name; remove it with setfattr -x",
            String::from_utf8_lossy(name)
        )));
    }
    let size: usize = xattrs.iter().map(|(name, value)| name.len() + value.len() + ATTRIBUTE_COST).sum();
    if size as u64 > RECORDS_LIMIT {
        return Err(PackError::Entry(format!(
            "{path} has extended attributes of {size} bytes: those who unpack layers read at most {RECORDS_LIMIT}"
        )));
    }
    Ok(())
}

/// Where the data of a file comes from, and how an error names it.
trait Origin {
    /// Whether what has passed cannot be asked for later.
    const PASSES: bool;

    /// Reads as much as the buffer takes; `done` bytes of the file have been read before.
    fn fill(&mut self, buffer: &mut [u8], done: u64) -> Result<(), PackError>;
}

/// A file of the disk, of which so many bytes are expected.
struct OnDisk<'f> {
    file: &'f mut File,
    path: &'f Path,
    size: u64,
}

impl Origin for OnDisk<'_> {
    const PASSES: bool = false;

    fn fill(&mut self, buffer: &mut [u8], done: u64) -> Result<(), PackError> {
        let path = || self.path.display().to_string();
        self.file.read_exact(buffer).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => PackError::Changed { path: path(), before: self.size, after: done },
            _ => PackError::Read { path: path(), source },
        })
    }
}

/// The data of an archive's entry.
struct InArchive<'r, R>(&'r mut Reader<R>);

impl<R: Read> Origin for InArchive<'_, R> {
    const PASSES: bool = true;

    fn fill(&mut self, mut buffer: &mut [u8], _done: u64) -> Result<(), PackError> {
        while !buffer.is_empty() {
            match self.0.read_data(buffer) {
                Ok(0) => {
                    let source = io::ErrorKind::UnexpectedEof.into();
                    return Err(UntarError::Io { offset: self.0.offset(), source }.into());
                }
                Ok(count) => buffer = &mut buffer[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(UntarError::Io { offset: self.0.offset(), source }.into()),
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;
    // A file that has been replaced by a link or a pipe since it was listed is not followed, and not waited for.
    #[expect(clippy::cast_possible_wrap, reason = "flags are bits")]
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    File::options().read(true).custom_flags(flags).open(path)
}

fn read_part(file: &File, at: u64, size: u64) -> Option<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let mut part = vec![0; sniff::PART.min(usize::try_from(size.checked_sub(at)?).ok()?)];
    file.read_exact_at(&mut part, at).ok()?;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Silent;
    use crate::layer::scan::{Owners, rootfs};

    fn packed(entries: Vec<Entry>) -> Result<Packed, PackError> {
        let packing = Packing { pool: &Pool::new(1), codec: Codec::GZIP, reuse: None, observer: &Silent, id: "layer" };
        super::entries(entries, packing, Vec::new()).map(|(_, packed)| packed)
    }

    #[test]
    fn attributes_that_nobody_could_read_are_refused() {
        let file = |name: &str, size: usize| {
            let xattrs = Some(Box::new(vec![(name.as_bytes().into(), vec![b'x'; size].into())]));
            let (path, kind) = (b"a".as_slice().into(), Kind::File(0));
            Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs, source: None }
        };
        assert!(packed(vec![file("user.a", 1_000_000)]).is_ok());
        for (name, size, word) in
            [("user.a", 1 << 20, "read at most 1048576"), ("user.a=b", 1, "cannot have = in its name")]
        {
            let error = packed(vec![file(name, size)]).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(word), "{error}");
        }
    }

    /// A link or a folder was exchanged between the listing and the reading; the cache remembered the bytes of the
    /// other one as those of the listed one.
    #[test]
    fn what_is_not_as_it_was_listed_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("here")).expect("a folder");
        std::fs::create_dir(path("other")).expect("a folder");
        std::fs::write(path("here/file"), "one").expect("a file");
        std::fs::write(path("other/file"), "two").expect("a file");
        let listed = || rootfs(&path("here"), &Owners::default(), None).expect("entries").0;
        assert!(packed(listed()).expect("a layer").as_listed);
        let before = listed();
        std::fs::rename(path("here"), path("there")).expect("a folder");
        std::fs::rename(path("other"), path("here")).expect("a folder");
        assert!(!packed(before).expect("a layer").as_listed);
        let before = listed();
        std::fs::write(path("here/file"), "longer").expect("a file");
        assert!(matches!(packed(before), Err(PackError::Changed { before: 3, after: 6, .. })));
    }
}
