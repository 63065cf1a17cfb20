//! Entries become a layer: a tar in its one form, hashed, compressed and hashed again, while what is inside is noted.
//!
//! A layer that exists is finished: [`Packed`] is only made once its blob has been written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use super::attributes::{Of, keep};
use super::cache::chunks::Reuse;
use super::compress::{Codec, Failed, Finished, Piece, Pool, Stream, stream};
use super::contents::{Contents, Head};
use super::entry::{Entry, Kind};
use super::sniff::{self, Passing};
use super::tar::{BLOCK, header, padding};
use super::untar::{Reader, UntarError};
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
    /// Chunks that were compressed before.
    pub reuse: Option<&'a Arc<Reuse>>,
    /// Who wants to know how far it is.
    pub observer: &'a dyn Observer,
    /// The layer's id in events.
    pub id: &'a str,
}

/// How many bytes pass between two words about progress.
const STRIDE: u64 = 1 << 20;

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
    let (out, finished, (contents, timed_pyc)) =
        stream(packing.pool, packing.codec, packing.reuse.cloned(), out, |stream| {
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
    Ok((out, Packed { diff_id, size, contents, timed_pyc, pieces, reused }))
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
    let (out, finished, (contents, timed_pyc)) =
        stream(packing.pool, packing.codec, packing.reuse.cloned(), out, |stream| {
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
    Ok((out, Packed { diff_id, size, contents, timed_pyc, pieces, reused }))
}

struct Packer<'s, 'p, 'a> {
    stream: &'s mut Stream<'p>,
    packing: Packing<'a>,
    contents: Contents,
    timed_pyc: u64,
    header: Vec<u8>,
    told: u64,
}

impl<'s, 'p, 'a> Packer<'s, 'p, 'a> {
    fn new(stream: &'s mut Stream<'p>, packing: Packing<'a>) -> Self {
        Self { stream, packing, contents: Contents::default(), timed_pyc: 0, header: Vec::new(), told: 0 }
    }

    fn begin(&mut self, entry: &Entry) -> Result<(), PackError> {
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
    fn end(self) -> (Contents, u64) {
        self.stream.append(&[0; 2 * BLOCK]);
        (self.contents, self.timed_pyc)
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
            entry.xattrs = keep(&of.all().map_err(failed)?);
        }
        self.begin(&entry)?;
        if let Some((mut file, size)) = file {
            let first = self.data(&mut file, size, path)?;
            // One more byte: the file has grown since it was listed.
            if file.read(&mut [0]).map_err(failed)? > 0 {
                return Err(PackError::Changed { path: path.display().to_string(), before: size, after: size + 1 });
            }
            head = self.head(&first, size, &file);
            self.note_pyc(&entry.path, &first);
        }
        self.contents.nodes.push(entry.into_node(head));
        Ok(())
    }

    fn archive_entry<R: Read>(&mut self, entry: Entry, reader: &mut Reader<R>) -> Result<(), PackError> {
        self.begin(&entry)?;
        let mut head = Head::Other;
        if let Kind::File(size) = entry.kind {
            let first = self.data(&mut Data(reader), size, Path::new(""))?;
            self.note_pyc(&entry.path, &first);
            head = match first {
                First::Passed(mut passing) => passing.head(),
                first @ First::InChunk { .. } => sniff::head(first.start(self.stream), size, |_| None),
            };
        }
        self.contents.nodes.push(entry.into_node(head));
        Ok(())
    }

    /// Takes the data of a file into the stream, and pads it.
    fn data(&mut self, file: &mut impl Read, size: u64, path: &Path) -> Result<First, PackError> {
        let mut first = First::InChunk { start: 0, size: 0 };
        let read = |file: &mut dyn Read, buffer: &mut [u8], done: u64| {
            file.read_exact(buffer).map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof if path.as_os_str().is_empty() => {
                    PackError::Archive(UntarError::Io { offset: done, source })
                }
                io::ErrorKind::UnexpectedEof => {
                    PackError::Changed { path: path.display().to_string(), before: size, after: done }
                }
                _ => PackError::Read { path: path.display().to_string(), source },
            })
        };
        match self.stream.pieces(size)? {
            None => {
                let space = self.stream.space();
                let start = space.len();
                let size_here = usize::try_from(size).unwrap_or(usize::MAX);
                space.resize(start + size_here, 0);
                read(file, &mut space[start..], 0)?;
                first = First::InChunk { start, size: size_here };
            }
            Some(piece) => {
                let mut done = 0;
                let mut passing: Option<Passing> = None;
                while done < size {
                    let count = piece.min(usize::try_from(size - done).unwrap_or(piece));
                    let space = self.stream.space();
                    space.resize(count, 0);
                    read(file, space, done)?;
                    let passing = passing.get_or_insert_with(|| Passing::new(space, size));
                    // A file of the disk can be asked later.
                    if path.as_os_str().is_empty() {
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

/// The data of an archive's entry.
struct Data<'r, R>(&'r mut Reader<R>);

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_data(buffer)
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
