//! Deflate streams that can be joined (RFC 1951): each chunk is compressed on its own, ends on a byte and is not the
//! last, so that any number of them, written one after the other, are one stream.
//!
//! Levels 1 to 4 are an encoder of our own (`encoder`): it ends a chunk with an empty stored block, and is made to be
//! fast at what a hash of the four newest positions finds. Levels 5 to 12 are libdeflate's, whose output is smaller the
//! longer it searches, but which only makes whole streams: its last block is marked as final, and the stream ends
//! within a byte. Nothing in a deflate stream says where a block begins, so `walk::unfinal` walks over the symbols to
//! find the last block's header, clears its bit and pads the end with an empty stored block. The walk decodes no
//! content, and checks what it meets: if the stream is not what it should be, the chunk is stored instead, so that no
//! wrong byte can come out.
//!
//! Whatever the level, the bytes depend on the chunk alone: not on the machine, nor on what was compressed before.
#![expect(
    clippy::cast_possible_truncation,
    reason = "symbols, lengths and distances are small by the format; positions are kept modulo the ring's size"
)]

mod bits;
mod block;
mod encoder;
mod format;
mod huffman;
mod matches;
mod walk;

use libdeflater::{CompressionLvl, Compressor};

use self::bits::Bits;
use self::encoder::Encoder;
use self::format::STORED;
use self::matches::Effort;
use self::walk::{PADDING, Tables, unfinal};

/// Makes chunks. One for each thread: it keeps the encoder's tables.
pub struct Deflater {
    engine: Engine,
    probe: Compressor,
    scratch: Vec<u8>,
}

enum Engine {
    Own(Box<Encoder>),
    Libdeflate(Compressor, Box<Tables>),
}

/// The two bytes that end a stream of chunks: a final block with fixed codes and no symbol but the end.
pub const END: [u8; 2] = [0x03, 0x00];

impl Deflater {
    /// A maker of chunks at level 1 to 12.
    ///
    /// # Panics
    /// Where the level is not one of them: levels are checked where they are read.
    pub fn new(level: i32) -> Self {
        let libdeflate = |level| Compressor::new(CompressionLvl::new(level).expect("a level from 1 to 12"));
        let engine = match Effort::of(level) {
            Some(effort) => Engine::Own(Box::new(Encoder::new(effort))),
            None => Engine::Libdeflate(libdeflate(level), Box::default()),
        };
        // `CompressionLvl::fastest` is level 0, which only stores.
        Self { engine, probe: libdeflate(1), scratch: Vec::new() }
    }

    /// Appends `data` as blocks of which none is final, ending on a byte. Data that does not shrink is stored.
    pub fn chunk(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if data.is_empty() {
            return;
        }
        let stored = data.len() + 5 * data.len().div_ceil(STORED);
        let start = out.len();
        // What does not fit into the stored size is not worth having. A few more bytes for those who look or write
        // ahead.
        out.resize(start + stored + PADDING, 0);
        let room = &mut out[start..];
        let size = if looks_random(data, &mut self.probe, &mut self.scratch) {
            None
        } else {
            match &mut self.engine {
                Engine::Own(encoder) => encoder.chunk(data, room),
                Engine::Libdeflate(compressor, tables) => joinable(compressor, tables, data, room, stored),
            }
        };
        let size = size.filter(|size| *size < stored).unwrap_or_else(|| {
            let mut bits = Bits::new(&mut out[start..]);
            block::store(data, &mut bits);
            bits.size()
        });
        out.truncate(start + size);
    }
}

/// Compresses with libdeflate, and makes the stream one that can go on.
fn joinable(
    compressor: &mut Compressor,
    tables: &mut Tables,
    data: &[u8],
    room: &mut [u8],
    stored: usize,
) -> Option<usize> {
    let size = compressor.deflate_compress(data, &mut room[..stored]).ok()?;
    room[size..size + PADDING].fill(0);
    unfinal(&mut room[..size + PADDING], size, tables)
}

/// Whether compressing is a waste: three samples have flat byte counts and do not shrink at the fastest level either.
///
/// Whole numbers only, and nothing of the machine: part of the layer's format.
fn looks_random(data: &[u8], probe: &mut Compressor, scratch: &mut Vec<u8>) -> bool {
    const SAMPLE: usize = 16 << 10;
    if data.len() < 4 * SAMPLE {
        return false;
    }
    let samples = [0, (data.len() - SAMPLE) / 2, data.len() - SAMPLE].map(|at| &data[at..at + SAMPLE]);
    for sample in samples {
        let mut counts = [0_u32; 256];
        for byte in sample {
            counts[usize::from(*byte)] += 1;
        }
        // The sum of squares is n²/256 + n for random bytes, more the less flat the counts are.
        let squares: u64 = counts.iter().map(|count| u64::from(*count) * u64::from(*count)).sum();
        if squares * 256 * 4 > (SAMPLE * SAMPLE) as u64 * 5 {
            return false;
        }
    }
    scratch.resize(SAMPLE, 0);
    // An output that must be 1/64 smaller than its input.
    let room = SAMPLE - SAMPLE / 64;
    samples.into_iter().all(|sample| probe.deflate_compress(sample, &mut scratch[..room]).is_err())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::walk::walk;
    use super::*;

    fn inflate(stream: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::DeflateDecoder::new(stream).read_to_end(&mut out).expect("a deflate stream");
        out
    }

    /// Bytes that compress as text does, the same at each call.
    fn text(size: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let words: Vec<Vec<u8>> = (0..600)
            .map(|index| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(index);
                state.to_le_bytes()[..=usize::try_from(state >> 61).expect("small")].to_vec()
            })
            .collect();
        let mut out = Vec::with_capacity(size + 8);
        while out.len() < size {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            out.extend_from_slice(&words[usize::try_from(state >> 33).expect("32 bits") % words.len()]);
        }
        out.truncate(size);
        out
    }

    fn random(size: usize, mut state: u64) -> Vec<u8> {
        (0..size)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect()
    }

    fn joined(chunks: &[Vec<u8>], level: i32) -> Vec<u8> {
        let mut deflater = Deflater::new(level);
        let mut stream = Vec::new();
        for chunk in chunks {
            deflater.chunk(chunk, &mut stream);
        }
        stream.extend_from_slice(&END);
        stream
    }

    #[test]
    fn chunks_join_to_one_stream() {
        let chunks = [
            text(1 << 20, 7),
            random(300_000, 9),
            Vec::new(),
            vec![0; 1 << 20],
            text(3, 1),
            [text(200_000, 3), random(200_000, 5), text(100_000, 4)].concat(),
        ];
        for level in 1..=12 {
            let stream = joined(&chunks, level);
            assert_eq!(inflate(&stream), chunks.concat(), "level {level}");
        }
    }

    /// What two decoders make of a chunk at each of our own levels is the chunk.
    fn comes_back(data: &[u8]) {
        for level in 1..=4 {
            let stream = joined(&[data.to_vec()], level);
            assert!(inflate(&stream) == data, "level {level}, {} bytes", data.len());
            let mut other = vec![0; data.len()];
            let size =
                libdeflater::Decompressor::new().deflate_decompress(&stream, &mut other).expect("a deflate stream");
            assert!(other[..size] == *data, "level {level}, {} bytes", data.len());
        }
    }

    #[test]
    fn short_chunks_come_back() {
        let (words, noise) = (text(600, 5), random(600, 11));
        for size in 1..600 {
            comes_back(&words[..size]);
            comes_back(&noise[..size]);
            comes_back(&vec![b'x'; size]);
        }
    }

    /// Distances about the window's size, and positions about the ring's.
    #[test]
    fn periods_come_back() {
        for period in
            [1, 2, 3, 255, 256, 257, 258, 259, 4095, 4096, 4097, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537]
        {
            let noise = random(period, period as u64);
            let data: Vec<u8> = noise.iter().copied().cycle().take(300_000).collect();
            comes_back(&data);
            // Without the look at samples, which says noise: distances of up to 32,768 bytes are there to be used.
            let mut stream = vec![0; 400_000];
            let effort = Effort::of(4).expect("a level of our own");
            let size = Encoder::new(effort).chunk(&data, &mut stream).expect("room");
            stream.truncate(size);
            stream.extend_from_slice(&END);
            assert!(inflate(&stream) == data, "period {period}");
            assert_eq!(size < data.len() / 2, period <= 32_768, "period {period}: {size}");
        }
    }

    #[test]
    fn content_that_changes_comes_back() {
        let pieces: Vec<Vec<u8>> = (0..60)
            .map(|index| match index % 4 {
                0 => text(9_000 + 777 * index, index as u64),
                1 => random(3_000 + 311 * index, index as u64 + 1),
                2 => vec![index as u8; 5_000 + 1000 * index],
                _ => text(400, 3).into_iter().cycle().take(20_000).map(|byte| byte & 0xf).collect(),
            })
            .collect();
        comes_back(&pieces.concat());
    }

    /// At each of the last bytes a longer match than at the one before, by what would follow: the look for a longer one
    /// went on beyond the end.
    #[test]
    fn the_last_bytes_have_an_end() {
        for tail in 4..24_u8 {
            let mut end: Vec<u8> = (1..=tail).collect();
            let size = end.len();
            end.resize(size + 64, 0);
            let mut data = Vec::new();
            for start in 0..size + 4 {
                data.extend_from_slice(&end[start..start + 3 + start]);
                data.push(0xe0 + u8::try_from(start).expect("small"));
            }
            data.extend_from_slice(&end[..size]);
            comes_back(&data);
            // The ring's bytes after the end are then those of 64 KiB before.
            let mut long = random(65_536 - data.len() % 61, 7);
            long.extend_from_slice(&end);
            long.extend(random(65_536 - end.len() - data.len() - size, 9));
            long.extend_from_slice(&data);
            comes_back(&long);
        }
    }

    /// Counts like Fibonacci's numbers make codes as long as can be: they are longer than the format allows.
    #[test]
    fn the_longest_codes_come_back() {
        let (mut one, mut other) = (1_usize, 1_usize);
        let mut data = Vec::new();
        for byte in 0..28_u8 {
            data.extend((0..one).map(|_| byte));
            (one, other) = (other, one + other);
        }
        let mut state = 9_u64;
        for index in (1..data.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            data.swap(index, (state >> 33) as usize % (index + 1));
        }
        comes_back(&data);
    }

    #[test]
    fn a_chunk_depends_on_nothing_before_it() {
        let (one, other) = (text(900_000, 3), [random(70_000, 5), text(200_000, 9)].concat());
        for level in [1, 2, 3, 4, 6] {
            let mut used = Deflater::new(level);
            let (mut before, mut after, mut fresh) = (Vec::new(), Vec::new(), Vec::new());
            used.chunk(&one, &mut before);
            used.chunk(&other, &mut after);
            Deflater::new(level).chunk(&other, &mut fresh);
            assert!(after == fresh, "level {level}");
        }
    }

    /// The bytes themselves, which are part of what `LAYER_FORMAT` names.
    #[test]
    fn the_bytes_are_those_of_the_format() {
        let data = [text(300_000, 3), random(100_000, 5), vec![0; 100_000], text(60_000, 4)].concat();
        let found: Vec<(i32, usize, u32)> = (1..=4)
            .map(|level| {
                let stream = joined(std::slice::from_ref(&data), level);
                (level, stream.len(), libdeflater::crc32(&stream))
            })
            .collect();
        let known = [
            (1, 273_681, 4_124_844_952),
            (2, 262_358, 1_630_718_085),
            (3, 262_341, 3_464_988_902),
            (4, 262_360, 4_121_378_608),
        ];
        assert_eq!(found, known);
    }

    #[test]
    fn text_is_compressed_and_noise_is_stored() {
        let mut deflater = Deflater::new(6);
        let mut out = Vec::new();
        deflater.chunk(&text(1 << 20, 7), &mut out);
        assert!(out.len() < 800_000, "{}", out.len());
        let noise = random(1 << 20, 3);
        out.clear();
        deflater.chunk(&noise, &mut out);
        assert_eq!(out.len(), noise.len() + 17 * 5);
    }

    #[test]
    fn a_broken_stream_is_not_taken() {
        let data = text(10_000, 7);
        let mut stream = vec![0; 20_000];
        let size = Compressor::new(CompressionLvl::default()).deflate_compress(&data, &mut stream).expect("room");
        stream.truncate(size);
        let mut tables = Tables::default();
        for cut in [1, 5, size / 2, size - 1] {
            let mut short = stream[..cut].to_vec();
            short.resize(cut + PADDING, 0);
            assert_eq!(walk(&short, cut, &mut tables), None, "cut at {cut}");
        }
    }

    /// A stream that is cut off where zeros are a literal's code: the walk went on for ever.
    #[test]
    fn the_walk_ends_where_zeros_are_literals() {
        // A final block with fixed codes, where eight zero bits are no code but 0x30 reversed begins one, and one with
        // a dynamic code of two literals, where a single zero bit is the first of them.
        let data =
            [vec![b'a'; 1], vec![b'b'; 1]].concat().repeat(3).into_iter().chain(text(40, 3)).collect::<Vec<u8>>();
        let mut stream = vec![0; 4096];
        let size = Compressor::new(CompressionLvl::default()).deflate_compress(&data, &mut stream).expect("room");
        for cut in 1..size {
            let mut short = stream[..cut].to_vec();
            short.resize(cut + PADDING, 0);
            assert_eq!(walk(&short, cut, &mut Tables::default()), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_come_back(pieces in prop::collection::vec((0..3_u8, 0..70_000_usize, any::<u64>()), 0..5), level in 1..=9) {
            let chunks: Vec<Vec<u8>> = pieces.into_iter().map(|(kind, size, seed)| match kind {
                0 => text(size, seed),
                1 => random(size, seed | 1),
                _ => [text(size / 2, seed), vec![7; size / 2]].concat(),
            }).collect();
            prop_assert_eq!(inflate(&joined(&chunks, level)), chunks.concat());
        }

        /// Chunks of what was said before, cut and changed, with runs: all that a match can meet, close to the end too.
        #[test]
        fn any_phrases_come_back(
            words in prop::collection::vec(prop::collection::vec(0..4_u8, 1..20), 1..8),
            order in prop::collection::vec((0..8_usize, 0..20_usize, 0..20_usize), 1..200),
        ) {
            let mut data = Vec::new();
            for (word, start, count) in order {
                let word = &words[word % words.len()];
                data.extend(word.iter().cycle().skip(start).take(count));
            }
            comes_back(&data);
        }

        #[test]
        fn the_walk_ends_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let size = bytes.len();
            let mut padded = bytes;
            padded.resize(size + PADDING, 0);
            let _ = walk(&padded, size, &mut Tables::default());
        }
    }
}
