//! Deflate streams that can be joined (RFC 1951): each chunk is compressed on its own, ends on a byte and is not the
//! last, so that any number of them, written one after the other, are one stream.
//!
//! libdeflate is the fastest encoder and makes the smallest output, but it only makes whole streams: its last block is
//! marked as final, and the stream ends within a byte. Nothing in a deflate stream says where a block begins, so
//! [`unfinal`] walks over the symbols to find the last block's header, clears its bit and pads the end with an empty
//! stored block. The walk decodes no content, looks up two literals at a time, and checks what it meets: if the
//! stream is not what it should be, the chunk is stored instead, so that no wrong byte can come out.

use libdeflater::{CompressionLvl, Compressor};

/// Makes chunks. One for each thread: it keeps the encoder's tables.
pub struct Deflater {
    compressor: Compressor,
    probe: Compressor,
    tables: Box<Tables>,
    scratch: Vec<u8>,
}

/// The largest content of a stored block.
const STORED: usize = 65_535;

/// The two bytes that end a stream of chunks: a final block with fixed codes and no symbol but the end.
pub const END: [u8; 2] = [0x03, 0x00];

impl Deflater {
    /// A maker of chunks at libdeflate's level 1 to 12.
    ///
    /// # Panics
    /// Where the level is not one of them: levels are checked where they are read.
    pub fn new(level: i32) -> Self {
        Self {
            compressor: Compressor::new(CompressionLvl::new(level).expect("a level from 1 to 12")),
            // `CompressionLvl::fastest` is level 0, which only stores.
            probe: Compressor::new(CompressionLvl::new(1).expect("a level from 1 to 12")),
            tables: Box::default(),
            scratch: Vec::new(),
        }
    }

    /// Appends `data` as blocks of which none is final, ending on a byte. Data that does not shrink is stored.
    pub fn chunk(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if data.is_empty() {
            return;
        }
        let stored = data.len() + 5 * data.len().div_ceil(STORED);
        let start = out.len();
        if !looks_random(data, &mut self.probe, &mut self.scratch) {
            // What does not fit into the stored size is not worth having. Eight more bytes for the walk's look ahead.
            out.resize(start + stored + PADDING, 0);
            if let Ok(size) = self.compressor.deflate_compress(data, &mut out[start..start + stored]) {
                out[start + size..start + size + PADDING].fill(0);
                if let Some(end) = unfinal(&mut out[start..start + size + PADDING], size, &mut self.tables)
                    && end < stored
                {
                    out.truncate(start + end);
                    return;
                }
            }
            out.truncate(start);
        }
        for block in data.chunks(STORED) {
            let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
            out.push(0);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&(!length).to_le_bytes());
            out.extend_from_slice(block);
        }
    }
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

/// How many bytes after the stream's end the walk may look at.
const PADDING: usize = 16;

const LITERAL_BITS: u32 = 11;
const DISTANCE_BITS: u32 = 10;

/// What a look into a table says: how many bits to go on, and what was met.
#[derive(Clone, Copy, Default)]
struct Step {
    bits: u8,
    met: u8,
}

const INVALID: u8 = 0;
/// One or two literals.
const LITERAL: u8 = 1;
/// A length with its extra bits; a distance follows. Or a distance with its extra bits.
const MATCH: u8 = 2;
const END_OF_BLOCK: u8 = 3;
/// A code longer than the table's index.
const LONG: u8 = 4;

struct Tables {
    literals: [Step; 1 << LITERAL_BITS],
    distances: [Step; 1 << DISTANCE_BITS],
    literal_code: Code,
    distance_code: Code,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            literals: [Step::default(); 1 << LITERAL_BITS],
            distances: [Step::default(); 1 << DISTANCE_BITS],
            literal_code: Code::default(),
            distance_code: Code::default(),
        }
    }
}

/// A canonical Huffman code (RFC 1951 3.2.2), for codes too long for the tables.
#[derive(Default)]
struct Code {
    counts: [u16; 16],
    symbols: Vec<u16>,
}

impl Code {
    fn set(&mut self, lengths: &[u8]) -> Option<()> {
        self.counts = [0; 16];
        for length in lengths {
            self.counts[usize::from(*length)] += 1;
        }
        self.counts[0] = 0;
        let mut offsets = [0_u16; 17];
        let mut left: i32 = 1;
        for bits in 1..16 {
            left = (left << 1) - i32::from(self.counts[bits]);
            if left < 0 {
                return None;
            }
            offsets[bits + 1] = offsets[bits] + self.counts[bits];
        }
        self.symbols.clear();
        self.symbols.resize(lengths.len(), 0);
        for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let at = &mut offsets[usize::from(*length)];
            self.symbols[usize::from(*at)] = u16::try_from(symbol).ok()?;
            *at += 1;
        }
        Some(())
    }

    /// The symbol that the bits begin with, and its length.
    fn decode(&self, bits: u64) -> Option<(u16, u8)> {
        let (mut code, mut first, mut index) = (0_u32, 0_u32, 0_u32);
        for length in 1..16_u8 {
            code |= u32::try_from(bits >> (length - 1) & 1).unwrap_or(0);
            let count = u32::from(self.counts[usize::from(length)]);
            if code < first + count {
                return Some((*self.symbols.get(usize::try_from(index + code - first).ok()?)?, length));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// What a literal or length symbol means: its extra bits, and what was met.
fn literal_symbol(symbol: u16) -> (u8, u8) {
    match symbol {
        0..=255 => (0, LITERAL),
        256 => (0, END_OF_BLOCK),
        257..=264 | 285 => (0, MATCH),
        265..=284 => (u8::try_from((symbol - 261) / 4).unwrap_or(0), MATCH),
        _ => (0, INVALID),
    }
}

fn distance_symbol(symbol: u16) -> (u8, u8) {
    match symbol {
        0..=3 => (0, MATCH),
        4..=29 => (u8::try_from((symbol - 2) / 2).unwrap_or(0), MATCH),
        _ => (0, INVALID),
    }
}

fn fill(table: &mut [Step], bits: u32, lengths: &[u8], meaning: fn(u16) -> (u8, u8)) {
    table.fill(Step::default());
    let mut counts = [0_u16; 16];
    for length in lengths {
        counts[usize::from(*length)] += 1;
    }
    counts[0] = 0;
    let mut next = [0_u16; 17];
    for length in 1..16 {
        next[length + 1] = (next[length] + counts[length]) << 1;
    }
    for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
        let code = next[usize::from(*length)];
        next[usize::from(*length)] += 1;
        let reversed = usize::from(code.reverse_bits() >> (16 - u32::from(*length)));
        let length_bits = u32::from(*length);
        if length_bits > bits {
            table[reversed & ((1 << bits) - 1)] = Step { bits: 0, met: LONG };
            continue;
        }
        let (extra, met) = meaning(u16::try_from(symbol).unwrap_or(u16::MAX));
        for step in table[reversed..].iter_mut().step_by(1 << length_bits) {
            *step = Step { bits: length + extra, met };
        }
    }
}

/// Lets the table say two literals at once where both fit into the index.
fn pair_literals(table: &mut [Step; 1 << LITERAL_BITS]) {
    let single = *table;
    for (index, step) in table.iter_mut().enumerate() {
        if step.met == LITERAL {
            let second = single[index >> step.bits];
            if second.met == LITERAL && u32::from(step.bits + second.bits) <= LITERAL_BITS {
                step.bits += second.bits;
            }
        }
    }
}

/// Bits of a stream, least significant first.
struct Bits<'a> {
    bytes: &'a [u8],
    next: usize,
    buffer: u64,
    held: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, next: 0, buffer: 0, held: 0 }
    }

    /// Holds at least 56 bits; past the end they are zeros.
    #[inline]
    fn refill(&mut self) {
        if let Some(eight) = self.bytes.get(self.next..self.next + 8)
            && let Ok(eight) = <[u8; 8]>::try_from(eight)
        {
            self.buffer |= u64::from_le_bytes(eight) << self.held;
            let taken = (63 - self.held) / 8;
            self.next += taken as usize;
            self.held += taken * 8;
        } else {
            while self.held <= 56 {
                self.buffer |= u64::from(self.bytes.get(self.next).copied().unwrap_or(0)) << self.held;
                self.next += 1;
                self.held += 8;
            }
        }
    }

    #[inline]
    fn skip(&mut self, count: u32) {
        self.buffer >>= count;
        self.held -= count;
    }

    fn take(&mut self, count: u32) -> u64 {
        if self.held < count {
            self.refill();
        }
        let value = self.buffer & ((1 << count) - 1);
        self.skip(count);
        value
    }

    fn position(&self) -> usize {
        self.next * 8 - self.held as usize
    }
}

/// Clears the final bit of a stream's last block and makes it end on a byte; the answer is its new size.
///
/// `bytes` holds the stream of `size` bytes and [`PADDING`] zeros after it. `None` where it is not a whole deflate
/// stream of that size.
fn unfinal(bytes: &mut [u8], size: usize, tables: &mut Tables) -> Option<usize> {
    let (last, end) = walk(bytes, size, tables)?;
    bytes[last / 8] &= !(1 << (last % 8));
    if end % 8 == 0 {
        return Some(end / 8);
    }
    // An empty stored block: three zero bits, zeros to the end of the byte, the length 0 and its complement.
    let at = (end + 3).div_ceil(8);
    bytes[at..at + 4].copy_from_slice(&[0, 0, 0xff, 0xff]);
    Some(at + 4)
}

/// The positions in bits of the last block's header and of the end.
fn walk(bytes: &[u8], size: usize, tables: &mut Tables) -> Option<(usize, usize)> {
    let mut bits = Bits::new(bytes);
    loop {
        let header = bits.position();
        let last = bits.take(1) == 1;
        match bits.take(2) {
            0 => {
                let data = bits.position().div_ceil(8);
                let length = u16::from_le_bytes([*bytes.get(data)?, *bytes.get(data + 1)?]);
                bits = Bits::new(bytes);
                bits.next = data + 4 + usize::from(length);
            }
            1 => {
                let mut lengths = [8_u8; 288];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                set_codes(tables, &lengths, &[5; 30])?;
                walk_block(&mut bits, tables, size)?;
            }
            2 => {
                read_codes(&mut bits, tables)?;
                walk_block(&mut bits, tables, size)?;
            }
            _ => return None,
        }
        if bits.position() > size * 8 {
            return None;
        }
        if last {
            return (bits.position().div_ceil(8) == size).then(|| (header, bits.position()));
        }
    }
}

fn set_codes(tables: &mut Tables, literals: &[u8], distances: &[u8]) -> Option<()> {
    tables.literal_code.set(literals)?;
    tables.distance_code.set(distances)?;
    fill(&mut tables.literals, LITERAL_BITS, literals, literal_symbol);
    pair_literals(&mut tables.literals);
    fill(&mut tables.distances, DISTANCE_BITS, distances, distance_symbol);
    Some(())
}

/// The header of a block with dynamic codes (RFC 1951 3.2.7).
fn read_codes(bits: &mut Bits<'_>, tables: &mut Tables) -> Option<()> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let literals = usize::try_from(bits.take(5)).ok()? + 257;
    let distances = usize::try_from(bits.take(5)).ok()? + 1;
    let count = usize::try_from(bits.take(4)).ok()? + 4;
    let mut lengths = [0_u8; 19];
    for at in ORDER.iter().take(count) {
        lengths[*at] = u8::try_from(bits.take(3)).ok()?;
    }
    let mut code = Code::default();
    code.set(&lengths)?;
    let mut lengths = [0_u8; 320];
    let mut at = 0;
    while at < literals + distances {
        bits.refill();
        let (symbol, length) = code.decode(bits.buffer)?;
        bits.skip(u32::from(length));
        let (value, repeat) = match symbol {
            0..=15 => (u8::try_from(symbol).ok()?, 1),
            16 => (*lengths.get(at.checked_sub(1)?)?, 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            _ => (0, 11 + bits.take(7)),
        };
        let end = at + usize::try_from(repeat).ok()?;
        lengths.get_mut(at..end)?.fill(value);
        at = end;
    }
    if at != literals + distances {
        return None;
    }
    set_codes(tables, &lengths[..literals], &lengths[literals..literals + distances])
}

/// Goes over the symbols of a block, to its end.
fn walk_block(bits: &mut Bits<'_>, tables: &Tables, size: usize) -> Option<()> {
    const LITERAL_MASK: u64 = (1 << LITERAL_BITS) - 1;
    const DISTANCE_MASK: u64 = (1 << DISTANCE_BITS) - 1;
    loop {
        // Past the end there are only zeros, which may well be a literal's code.
        if bits.next > size + PADDING {
            return None;
        }
        bits.refill();
        let mut step = look(&tables.literals, bits.buffer & LITERAL_MASK);
        bits.skip(u32::from(step.bits));
        if step.met == LITERAL {
            // 56 bits are enough for two more looks of 11 before the longest match of 48 needs new ones.
            step = look(&tables.literals, bits.buffer & LITERAL_MASK);
            bits.skip(u32::from(step.bits));
            if step.met == LITERAL {
                step = look(&tables.literals, bits.buffer & LITERAL_MASK);
                bits.skip(u32::from(step.bits));
                if step.met == LITERAL {
                    continue;
                }
            }
            bits.refill();
        }
        if step.met == LONG {
            let (symbol, length) = tables.literal_code.decode(bits.buffer)?;
            let (extra, met) = literal_symbol(symbol);
            bits.skip(u32::from(length + extra));
            step.met = met;
        }
        match step.met {
            LITERAL => {}
            MATCH => {
                let distance = look(&tables.distances, bits.buffer & DISTANCE_MASK);
                bits.skip(u32::from(distance.bits));
                match distance.met {
                    MATCH => {}
                    LONG => {
                        let (symbol, length) = tables.distance_code.decode(bits.buffer)?;
                        let (extra, met) = distance_symbol(symbol);
                        if met != MATCH {
                            return None;
                        }
                        bits.skip(u32::from(length + extra));
                    }
                    _ => return None,
                }
            }
            END_OF_BLOCK => return Some(()),
            _ => return None,
        }
    }
}

#[inline]
fn look<const N: usize>(table: &[Step; N], index: u64) -> Step {
    // The mask at the call keeps the index inside; the remainder lets the compiler see it.
    #[expect(clippy::cast_possible_truncation, reason = "masked to at most 11 bits")]
    table[index as usize % N]
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

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

        #[test]
        fn the_walk_ends_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let size = bytes.len();
            let mut padded = bytes;
            padded.resize(size + PADDING, 0);
            let _ = walk(&padded, size, &mut Tables::default());
        }
    }
}
