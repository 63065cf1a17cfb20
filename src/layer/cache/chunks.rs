//! Chunks that were compressed before.
//!
//! A chunk is compressed on its own and always to the same bytes, so those of an earlier layer can stand in a new one.
//! Candidates are found by size and CRC-32, which cost nothing, and proven by decompressing them and comparing: that is
//! several times as fast as compressing, needs no stronger hash on the way of a layer that is made for the first time,
//! and whatever is wrong in the cache cannot get into a layer.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::layer::compress::{Codec, GZIP_HEADER, Piece};

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
    /// By the data's CRC-32 and size.
    places: HashMap<(u32, u32), Vec<Place>>,
}

struct Blob {
    path: PathBuf,
    file: OnceLock<Option<File>>,
}

#[derive(Clone, Copy)]
struct Place {
    blob: usize,
    offset: u64,
    size: u32,
}

/// How many candidates of one size and sum are looked at: honest data has no more.
const CANDIDATES: usize = 4;

/// What proves a candidate. One for each thread.
#[derive(Default)]
pub struct Proof {
    inflate: Option<libdeflater::Decompressor>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    scratch: Vec<u8>,
}

impl Reuse {
    pub(super) fn add(&mut self, path: PathBuf, codec: Codec, table: &Table) {
        let blob = self.blobs.len();
        let mut offset = if matches!(codec, Codec::Gzip(_)) { GZIP_HEADER.len() as u64 } else { 0 };
        for piece in &table.pieces {
            let places = self.places.entry((piece.crc, piece.size)).or_default();
            if places.len() < CANDIDATES {
                places.push(Place { blob, offset, size: piece.compressed });
            }
            offset += u64::from(piece.compressed);
        }
        self.blobs.push(Blob { path, file: OnceLock::new() });
    }

    /// Puts the compressed form of `data` into `out`, if an earlier layer has it.
    pub fn find(&self, codec: Codec, data: &[u8], crc: u32, proof: &mut Proof, out: &mut Vec<u8>) -> bool {
        let Ok(size) = u32::try_from(data.len()) else { return false };
        let places = self.places.get(&(crc, size)).into_iter().flatten();
        let found = places.into_iter().any(|place| self.is_at(*place, codec, data, proof, out).unwrap_or(false));
        if !found {
            out.clear();
        }
        found
    }

    fn is_at(&self, place: Place, codec: Codec, data: &[u8], proof: &mut Proof, out: &mut Vec<u8>) -> Option<bool> {
        use std::os::unix::fs::FileExt;
        let blob = self.blobs.get(place.blob)?;
        let file = blob.file.get_or_init(|| File::open(&blob.path).ok()).as_ref()?;
        out.clear();
        out.resize(place.size as usize, 0);
        file.read_exact_at(out, place.offset).ok()?;
        proof.scratch.resize(data.len(), 0);
        let size = match codec {
            Codec::None => return None,
            Codec::Gzip(_) => {
                // The chunk with an end is a stream of its own.
                out.extend_from_slice(&dockless_deflate::END);
                let inflate = proof.inflate.get_or_insert_with(libdeflater::Decompressor::new);
                let size = inflate.deflate_decompress(out, &mut proof.scratch);
                out.truncate(place.size as usize);
                size.ok()?
            }
            Codec::Zstd(_) => {
                if proof.zstd.is_none() {
                    proof.zstd = zstd::bulk::Decompressor::new().ok();
                }
                proof.zstd.as_mut()?.decompress_to_buffer(out, proof.scratch.as_mut_slice()).ok()?
            }
        };
        Some(proof.scratch.get(..size)? == data)
    }
}
