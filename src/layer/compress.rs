//! A stream of tar bytes becomes a blob: cut into chunks, compressed side by side, written in order.
//!
//! One `Pool` of threads serves every layer of every platform. A `Stream` takes the bytes of one layer, hashes
//! them (the diff ID) and cuts them; the pool compresses; a thread of the layer's own writes the results in order and
//! hashes them (the digest). The number of chunks that exist at a time is bounded for the whole pool, and so is the
//! memory, whatever the size of a file or layer.
//!
//! # The bytes are a promise
//! Which chunk a byte falls into depends on the entries alone, never on threads, buffers or time:
//! - at an entry's header, once the chunk holds `Cut::piece` bytes, or `Cut::least` bytes and the CRC-32 of the
//!   entry's path is a multiple of 16. An entry that is inserted or grows shifts nothing beyond the next such path;
//! - at the start of the data of a file of at least `Cut::piece` bytes, and at each multiple of it in that data.
//!
//! Each chunk is compressed on its own, so an unchanged chunk's compressed bytes can be used again.

mod codec;

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use dockless_deflate::Deflater;

use self::codec::Cut;
pub use self::codec::{Codec, ParseCodecError};
use super::cache::chunks::{Mark, Reuse};
use crate::mutex::{lock, unpoisoned};
use crate::oci::digest::Digest;

/// The version of a layer's bytes: tar form, cuts, encoders and their parameters. It is raised whenever the same
/// entries would become other bytes.
pub const LAYER_FORMAT: u32 = 3;

/// The first bytes of every gzip layer: no name, no time, no flags, an unknown operating system (RFC 1952 2.3).
pub(super) const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// One chunk of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The size of what it became, in bytes.
    pub compressed: u32,
    /// What it is found again by; nothing where nobody is going to look for it.
    pub mark: Option<Mark>,
}

/// A chunk that has been through the pool.
struct Chunk {
    data: Vec<u8>,
    compressed: Vec<u8>,
    /// Of the data; 0 where no gzip is made of it.
    crc: u32,
    mark: Option<Mark>,
    reused: bool,
    _permit: Permit,
}

struct Job {
    data: Vec<u8>,
    codec: Codec,
    reuse: Option<Arc<Reuse>>,
    permit: Permit,
    done: SyncSender<io::Result<Chunk>>,
}

/// How many chunks may exist.
struct Permits {
    state: Mutex<Free>,
    freed: Condvar,
    buffers: Mutex<Vec<Vec<u8>>>,
}

struct Free {
    count: usize,
    /// The ranks of the streams that wait for one.
    waiting: Vec<u64>,
}

struct Permit(Arc<Permits>);

impl Permit {
    /// Waits for one. The stream that began first goes first: a layer is done as soon as it can be, and may be sent,
    /// and the next ones have what it leaves over.
    fn take(permits: &Arc<Permits>, rank: u64) -> Self {
        let mut state = lock(&permits.state);
        state.waiting.push(rank);
        let blocked = |state: &mut Free| state.count == 0 || state.waiting.iter().min() != Some(&rank);
        let mut state = unpoisoned(permits.freed.wait_while(state, blocked));
        state.waiting.retain(|other| *other != rank);
        state.count -= 1;
        if state.count > 0 {
            permits.freed.notify_all();
        }
        Self(Arc::clone(permits))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.0.state).count += 1;
        self.0.freed.notify_all();
    }
}

impl Permits {
    fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.used();
        buffer.clear();
        buffer
    }

    /// A buffer with whatever was left in it: to be written over, and not cleared for it.
    fn used(&self) -> Vec<u8> {
        lock(&self.buffers).pop().unwrap_or_default()
    }

    fn give_back(&self, buffer: Vec<u8>) {
        lock(&self.buffers).push(buffer);
    }
}

/// Threads that compress.
pub struct Pool {
    jobs: Option<Sender<Job>>,
    permits: Arc<Permits>,
    threads: Vec<JoinHandle<()>>,
    width: usize,
    /// How many streams have begun.
    streams: AtomicU64,
}

impl Pool {
    /// A pool of so many threads, at least one.
    pub fn new(threads: usize) -> Self {
        let width = threads.max(1);
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let permits = Arc::new(Permits {
            // One chunk at each thread, one waiting for it, and one being filled by each of two layers.
            state: Mutex::new(Free { count: 2 * width + 2, waiting: Vec::new() }),
            freed: Condvar::new(),
            buffers: Mutex::new(Vec::new()),
        });
        let threads = (0..width)
            .map(|_| {
                let (queue, permits) = (Arc::clone(&queue), Arc::clone(&permits));
                std::thread::spawn(move || work(&queue, &permits))
            })
            .collect();
        Self { jobs: Some(jobs), permits, threads, width, streams: AtomicU64::new(0) }
    }

    /// Gives back the memory that it keeps for the next stream.
    pub fn rest(&self) {
        lock(&self.permits.buffers).clear();
    }

    /// How many threads it has.
    pub fn width(&self) -> usize {
        self.width
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>, permits: &Permits) {
    let mut gzip: Option<(i32, Deflater)> = None;
    let mut zstd: Option<(i32, zstd::bulk::Compressor<'static>)> = None;
    loop {
        let Ok(job) = lock(queue).recv() else { return };
        let Job { data, codec, reuse, permit, done } = job;
        let mut compressed = permits.used();
        let crc = if matches!(codec, Codec::Gzip(_)) { crc32fast::hash(&data) } else { 0 };
        let name = reuse.as_ref().filter(|_| codec != Codec::None).map(|_| blake3::hash(&data).into());
        let found = reuse.zip(name).and_then(|(reuse, name)| reuse.find(&name, &mut compressed));
        if found.is_none() {
            compressed.clear();
        }
        let result = match codec {
            Codec::None => Ok(()),
            _ if found.is_some() => Ok(()),
            Codec::Gzip(level) => {
                if gzip.as_ref().is_none_or(|(made_for, _)| *made_for != level) {
                    gzip = Some((level, Deflater::new(level)));
                }
                if let Some((_, deflater)) = &mut gzip {
                    deflater.chunk(&data, &mut compressed);
                }
                Ok(())
            }
            Codec::Zstd(level) => {
                let mut ready = Ok(());
                if zstd.as_ref().is_none_or(|(made_for, _)| *made_for != level) {
                    ready = zstd::bulk::Compressor::new(level).map(|compressor| zstd = Some((level, compressor)));
                }
                ready.and_then(|()| match &mut zstd {
                    Some((_, compressor)) => {
                        compressed.reserve(zstd::zstd_safe::compress_bound(data.len()));
                        compressor.compress_to_buffer(&data, &mut compressed).map(drop)
                    }
                    None => Ok(()),
                })
            }
        };
        let reused = found.is_some();
        let mark = found.or_else(|| Some(Mark { data: name?, sum: crc32fast::hash(&compressed) }));
        // Nobody waits for it any more where the layer has failed.
        let _ = done.send(result.map(|()| Chunk { data, compressed, crc, mark, reused, _permit: permit }));
    }
}

/// What became of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The digest of the bytes that went in.
    pub diff_id: Digest,
    /// Their number.
    pub size: u64,
    /// The chunks in order; none where they are not compressed.
    pub pieces: Vec<Piece>,
    /// How many of them were compressed before.
    pub reused: usize,
}

/// The bytes of one layer on their way into the pool.
pub struct Stream<'p> {
    pool: &'p Pool,
    /// How many had begun before it.
    rank: u64,
    codec: Codec,
    reuse: Option<Arc<Reuse>>,
    cut: Cut,
    buffer: Vec<u8>,
    permit: Option<Permit>,
    hash: Sha256,
    size: u64,
    ordered: SyncSender<Receiver<io::Result<Chunk>>>,
}

impl Stream<'_> {
    /// Begins an entry: its header, extended records included, comes next.
    ///
    /// # Errors
    /// Where a stream cannot be written, or a thread that compresses has stopped.
    pub fn entry(&mut self, path: &[u8], header: &[u8]) -> io::Result<()> {
        let held = self.buffer.len();
        if held >= self.cut.piece || (held >= self.cut.least && crc32fast::hash(path).is_multiple_of(16)) {
            self.end_chunk()?;
        }
        self.append(header);
        Ok(())
    }

    /// The size of the pieces that a file of `size` bytes is given in; each is followed by [`Self::end_piece`].
    /// Call it once a file, before its data.
    ///
    /// # Errors
    /// Where a stream cannot be written, or a thread that compresses has stopped.
    pub fn pieces(&mut self, size: u64) -> io::Result<Option<usize>> {
        if size < self.cut.piece as u64 {
            return Ok(None);
        }
        self.end_chunk()?;
        Ok(Some(self.cut.piece))
    }

    /// Ends a full piece of a large file.
    ///
    /// # Errors
    /// Where a stream cannot be written, or a thread that compresses has stopped.
    pub fn end_piece(&mut self) -> io::Result<()> {
        self.end_chunk()
    }

    /// Adds bytes to the chunk.
    pub fn append(&mut self, bytes: &[u8]) {
        self.space().extend_from_slice(bytes);
    }

    /// The chunk so far: data is read straight into it. What is there may be looked at, not changed.
    pub fn space(&mut self) -> &mut Vec<u8> {
        if self.permit.is_none() {
            self.permit = Some(Permit::take(&self.pool.permits, self.rank));
            self.buffer = self.pool.permits.buffer();
        }
        &mut self.buffer
    }

    /// The number of bytes that went in.
    pub fn position(&self) -> u64 {
        self.size + self.buffer.len() as u64
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        let Some(permit) = self.permit.take() else { return Ok(()) };
        let data = std::mem::take(&mut self.buffer);
        self.hash.update(&data);
        self.size += data.len() as u64;
        let (done, result) = sync_channel(1);
        let job = Job { data, codec: self.codec, reuse: self.reuse.clone(), permit, done };
        // Both ends live as long as the pool and the writer: a closed one means that the writer has failed.
        let stopped = || io::Error::other("the writer of the layer has stopped");
        self.ordered.send(result).map_err(|_| stopped())?;
        self.pool.jobs.as_ref().ok_or_else(stopped)?.send(job).map_err(|_| stopped())
    }

    fn finish(mut self) -> io::Result<Finished> {
        self.end_chunk()?;
        let diff_id = Digest::from_bytes(self.hash.finalize().into());
        Ok(Finished { diff_id, size: self.size, pieces: Vec::new(), reused: 0 })
    }
}

/// Why a layer was not made: its writer's reason, or its reader's.
#[derive(Debug)]
pub enum Failed<E> {
    /// The blob could not be written.
    Write(io::Error),
    /// The entries could not be read.
    Read(E),
}

/// Makes one compressed stream: `fill` gives its bytes, `out` takes the blob's. Chunks that `reuse` has are not
/// compressed again, and where there is one, each chunk is marked.
///
/// # Errors
/// The first failure of either side.
pub fn stream<W: Write + Send, T, E: From<io::Error>>(
    pool: &Pool,
    codec: Codec,
    reuse: Option<Arc<Reuse>>,
    out: W,
    fill: impl FnOnce(&mut Stream<'_>) -> Result<T, E>,
) -> Result<(W, Finished, T), Failed<E>> {
    // Deep enough for all chunks that may exist: what bounds them is the permits.
    let (ordered, results) = sync_channel(2 * pool.width + 2);
    std::thread::scope(|scope| {
        let permits = &pool.permits;
        let writer = scope.spawn(move || write(&results, codec, out, permits));
        let mut stream = Stream {
            pool,
            rank: pool.streams.fetch_add(1, Ordering::Relaxed),
            codec,
            reuse,
            cut: codec.cut(),
            buffer: Vec::new(),
            permit: None,
            hash: Sha256::new(),
            size: 0,
            ordered,
        };
        let filled = fill(&mut stream).and_then(|value| Ok((value, stream.finish()?)));
        let written = writer.join().unwrap_or_else(|_| Err(io::Error::other("the writer of the layer panicked")));
        match (written, filled) {
            // The reader's complaint is then only that the writer is gone.
            (Err(error), _) => Err(Failed::Write(error)),
            (Ok(_), Err(error)) => Err(Failed::Read(error)),
            (Ok((out, pieces, reused)), Ok((value, finished))) => {
                Ok((out, Finished { pieces, reused, ..finished }, value))
            }
        }
    })
}

fn write<W: Write>(
    results: &Receiver<Receiver<io::Result<Chunk>>>,
    codec: Codec,
    mut out: W,
    permits: &Permits,
) -> io::Result<(W, Vec<Piece>, usize)> {
    let (mut pieces, mut reused) = (Vec::new(), 0);
    let gzip = matches!(codec, Codec::Gzip(_));
    if gzip {
        out.write_all(&GZIP_HEADER)?;
    }
    let mut crc = crc32fast::Hasher::new();
    let mut size = 0_u32;
    for result in results {
        let chunk = result.recv().map_err(|_| io::Error::other("a thread that compresses has stopped"))??;
        match codec {
            Codec::None => out.write_all(&chunk.data)?,
            _ => out.write_all(&chunk.compressed)?,
        }
        if gzip {
            crc.combine(&crc32fast::Hasher::new_with_initial_len(chunk.crc, chunk.data.len() as u64));
            #[expect(clippy::cast_possible_truncation, reason = "ISIZE is the size modulo 2^32")]
            let length = chunk.data.len() as u32;
            size = size.wrapping_add(length);
        }
        reused += usize::from(chunk.reused);
        let Chunk { data, compressed, mark, .. } = chunk;
        if let (false, Ok(compressed)) = (codec == Codec::None, u32::try_from(compressed.len())) {
            pieces.push(Piece { compressed, mark });
        }
        permits.give_back(data);
        permits.give_back(compressed);
    }
    if gzip {
        out.write_all(&dockless_deflate::END)?;
        out.write_all(&crc.finalize().to_le_bytes())?;
        out.write_all(&size.to_le_bytes())?;
    }
    Ok((out, pieces, reused))
}
