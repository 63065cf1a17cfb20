//! The walk over a deflate stream (RFC 1951) to its last block: symbols are counted over, not decoded.
//!
//! The stream comes from our own encoder, but nothing here trusts it: every look is bounded, the walk ends on any
//! bytes, and a stream that is not whole is no stream.

use crate::format::{self, DISTANCES, FIXED_DISTANCES, FIXED_MAIN, MAIN, ORDER, repeat};
use crate::huffman::codes;

/// How many bytes after the stream's end the walk may look at.
pub(super) const PADDING: usize = 16;

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

pub(super) struct Tables {
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
        257..=285 => (format::length_symbol(usize::from(symbol) - format::END_OF_BLOCK - 1).1, MATCH),
        _ => (0, INVALID),
    }
}

fn distance_symbol(symbol: u16) -> (u8, u8) {
    match symbol {
        0..=29 => (format::distance_symbol(usize::from(symbol)).1, MATCH),
        _ => (0, INVALID),
    }
}

fn fill<const N: usize>(table: &mut [Step], bits: u32, lengths: &[u8; N], meaning: fn(u16) -> (u8, u8)) {
    table.fill(Step::default());
    for (symbol, code) in codes(lengths).iter().enumerate().filter(|(_, code)| code.length > 0) {
        let (reversed, length) = (usize::from(code.bits), code.length);
        let length_bits = u32::from(length);
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
pub(super) fn unfinal(bytes: &mut [u8], size: usize, tables: &mut Tables) -> Option<usize> {
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
pub(super) fn walk(bytes: &[u8], size: usize, tables: &mut Tables) -> Option<(usize, usize)> {
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
                set_codes(tables, &FIXED_MAIN, &FIXED_DISTANCES)?;
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

fn set_codes(tables: &mut Tables, literals: &[u8; MAIN], distances: &[u8; DISTANCES]) -> Option<()> {
    tables.literal_code.set(literals)?;
    tables.distance_code.set(distances)?;
    fill(&mut tables.literals, LITERAL_BITS, literals, literal_symbol);
    pair_literals(&mut tables.literals);
    fill(&mut tables.distances, DISTANCE_BITS, distances, distance_symbol);
    Some(())
}

/// The header of a block with dynamic codes (RFC 1951 3.2.7).
fn read_codes(bits: &mut Bits<'_>, tables: &mut Tables) -> Option<()> {
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
        let symbol = u8::try_from(symbol).ok()?;
        let value = match symbol {
            0..=15 => symbol,
            16 => *lengths.get(at.checked_sub(1)?)?,
            _ => 0,
        };
        let (least, more) = repeat(symbol);
        let end = at + least + usize::try_from(bits.take(more)).ok()?;
        lengths.get_mut(at..end)?.fill(value);
        at = end;
    }
    if at != literals + distances {
        return None;
    }
    let (mut main, mut far) = ([0; MAIN], [0; DISTANCES]);
    main[..literals].copy_from_slice(&lengths[..literals]);
    far[..distances].copy_from_slice(&lengths[literals..literals + distances]);
    set_codes(tables, &main, &far)
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
