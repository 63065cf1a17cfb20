//! Chunks that were compressed before.
//!
//! A chunk is compressed on its own and always to the same bytes, so those of an earlier layer can stand in a new one.
//! It is found by the BLAKE3 digest of its data, which no other chunk has. That adds one or two hundredths to the time
//! of a layer that is made for the first time, and is much faster than to decompress what is found and compare.
//!
//! The bytes that are found are held to their own CRC-32, lest what a disk has spoiled gets into a layer. Who can write
//! into the cache can write a sum as well: they could as well exchange the layer that a key leads to.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::layer::compress::{Codec, GZIP_HEADER, Piece};

/// What a chunk is found by and held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The BLAKE3 digest of its data.
    pub data: [u8; 32],
    /// The CRC-32 of what the data became.
    pub sum: u32,
}

/// Where the chunks of a blob lie.
#[derive(Serialize, Deserialize)]
pub(super) struct Table {
    /// How they are compressed, and in which format.
    pub(super) codec: String,
    /// The blob's size in bytes.
    pub(super) size: u64,
    /// The time of the blob's last change when it was known to be whole, in nanoseconds since 1970.
    pub(super) modified: i64,
    /// The chunks in order, from the first byte after the header.
    pub(super) pieces: Vec<Piece>,
}

/// The chunks of a cache.
#[derive(Default)]
pub struct Reuse {
    blobs: Vec<Blob>,
    /// By the digest of the data. One place is enough: where it turns out to be none, the chunk is compressed again.
    places: HashMap<[u8; 32], Place>,
}

struct Blob {
    path: PathBuf,
    file: OnceLock<Option<File>>,
}

struct Place {
    blob: usize,
    offset: u64,
    size: u32,
    sum: u32,
}

impl Reuse {
    pub(super) fn add(&mut self, path: PathBuf, codec: Codec, table: &Table) {
        let blob = self.blobs.len();
        let mut offset = if matches!(codec, Codec::Gzip(_)) { GZIP_HEADER.len() as u64 } else { 0 };
        for piece in &table.pieces {
            let size = piece.compressed;
            if let Some(Mark { data, sum }) = piece.mark {
                self.places.insert(data, Place { blob, offset, size, sum });
            }
            offset += u64::from(size);
        }
        self.blobs.push(Blob { path, file: OnceLock::new() });
    }

    /// Writes the compressed form of the data that has this digest over `out`, if an earlier layer has it. If none has,
    /// there may be anything in `out`.
    pub fn find(&self, data: &[u8; 32], out: &mut Vec<u8>) -> Option<Mark> {
        let place = self.places.get(data)?;
        let blob = self.blobs.get(place.blob)?;
        let file = blob.file.get_or_init(|| File::open(&blob.path).ok()).as_ref()?;
        out.resize(place.size as usize, 0);
        file.read_exact_at(out, place.offset).ok()?;
        (crc32fast::hash(out) == place.sum).then_some(Mark { data: *data, sum: place.sum })
    }
}
