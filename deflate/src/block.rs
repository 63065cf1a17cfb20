//! A block of a deflate stream (RFC 1951 3.2.3): what was found in a stretch of data, with the codes that suit it.

use crate::bits::Bits;
use crate::format::{
    DISTANCES, DISTANCES_USED, END_OF_BLOCK, FIXED_DISTANCES, FIXED_MAIN, LENGTHS, MAIN, ORDER, STORED,
    distance_symbol, length_symbol, repeat,
};
use crate::huffman::{Code, codes, lengths};

/// Literals and then a match; without one at the end of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sequence {
    literals: u16,
    length: u16,
    distance: u16,
    /// The distance's symbol.
    symbol: u8,
}

/// The most literals that a sequence holds.
pub(crate) const MOST_LITERALS: usize = u16::MAX as usize;

impl Sequence {
    pub(crate) fn literals(count: usize) -> Self {
        Self { literals: count as u16, length: 0, distance: 0, symbol: 0 }
    }
}

/// How often each symbol occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Symbols {
    /// Literals, the end of the block, and lengths.
    main: [u32; MAIN],
    distances: [u32; DISTANCES],
}

/// Shorter than the format's 15, so that four literals and what is left of a byte fit into a word.
const LONGEST_MAIN: usize = 14;
const LONGEST_DISTANCE: usize = 15;
const LONGEST_OF_LENGTHS: usize = 7;
/// The symbol of each length.
static OF_LENGTH: [u8; 512] = {
    let mut table = [0; 512];
    let mut symbol = 0;
    while symbol < LENGTHS {
        let (base, extra) = length_symbol(symbol);
        let mut length = base as usize;
        while length < base as usize + (1 << extra) && length <= 258 {
            table[length] = symbol as u8;
            length += 1;
        }
        symbol += 1;
    }
    table
};

/// The symbol of each distance less one: below 256 by itself, above by its 128th part.
static OF_DISTANCE: [u8; 512] = {
    let mut table = [0; 512];
    let mut symbol = 0;
    while symbol < DISTANCES_USED {
        let (base, extra) = distance_symbol(symbol);
        let mut distance = base as usize - 1;
        while distance < base as usize - 1 + (1 << extra) {
            table[if distance < 256 { distance } else { 256 + (distance >> 7) }] = symbol as u8;
            distance += 1;
        }
        symbol += 1;
    }
    table
};

impl Symbols {
    pub(crate) const NONE: Self = Self { main: [0; MAIN], distances: [0; DISTANCES] };

    #[inline]
    pub(crate) fn literal(&mut self, byte: u8) {
        self.main[usize::from(byte)] += 1;
    }

    /// Counts a match, and makes a sequence of it and the literals before it, which have been counted.
    #[inline]
    pub(crate) fn sequence(&mut self, literals: usize, length: usize, distance: u16) -> Sequence {
        let back = usize::from(distance.wrapping_sub(1));
        let symbol = OF_DISTANCE[if back < 256 { back } else { 256 + (back >> 7 & 255) }];
        self.main[END_OF_BLOCK + 1 + usize::from(OF_LENGTH[length & 511] & 31)] += 1;
        self.distances[usize::from(symbol & 31)] += 1;
        Sequence { literals: literals as u16, length: length as u16, distance, symbol }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.main.iter_mut().zip(&other.main) {
            *count += more;
        }
        for (count, more) in self.distances.iter_mut().zip(&other.distances) {
            *count += more;
        }
    }
}

/// Logarithms, to say what a code would cost without making it. Whole numbers, so that all machines cut alike.
pub(crate) struct Logarithms(Box<[u32; LOGARITHMS]>);

const LOGARITHMS: usize = 1 << 10;

impl Logarithms {
    pub(crate) fn new() -> Self {
        let mut table = Box::new([0; LOGARITHMS]);
        for (number, logarithm) in table.iter_mut().enumerate().skip(1) {
            let whole = number.ilog2();
            // Squaring doubles the logarithm: each time its next bit shows.
            let mut rest = (number as u64) << (31 - whole);
            *logarithm = whole << 16;
            for bit in (0..16).rev() {
                rest = (rest * rest) >> 31;
                if rest >> 32 != 0 {
                    *logarithm |= 1 << bit;
                    rest >>= 1;
                }
            }
        }
        Self(table)
    }

    /// The binary logarithm in units of 1/65536.
    #[inline]
    fn of(&self, number: u32) -> u64 {
        let shift = 22_u32.saturating_sub(number.leading_zeros());
        u64::from(self.0[(number >> shift) as usize & (LOGARITHMS - 1)] + (shift << 16))
    }

    /// What the symbols of both cost in bits, by their entropy.
    pub(crate) fn cost(&self, one: &Symbols, other: &Symbols) -> u64 {
        let of = |one: &[u32], other: &[u32]| {
            let (mut all, mut saved) = (0_u32, 0_u64);
            for (one, other) in one.iter().zip(other) {
                let count = one + other;
                all += count;
                saved += u64::from(count) * self.of(count);
            }
            (u64::from(all) * self.of(all)).saturating_sub(saved)
        };
        (of(&one.main, &other.main) + of(&one.distances, &other.distances)) >> 16
    }
}

/// How the lengths of a dynamic block's codes are told (RFC 1951 3.2.7).
struct Told {
    main: [u8; MAIN],
    distances: [u8; DISTANCES],
    main_count: usize,
    distance_count: usize,
    /// Symbols with their extra bits' values.
    items: Vec<(u8, u8)>,
    lengths: [u8; 19],
    lengths_count: usize,
}

impl Told {
    fn new(symbols: &Symbols) -> Self {
        let main = lengths(&symbols.main, LONGEST_MAIN);
        let distances = lengths(&symbols.distances, LONGEST_DISTANCE);
        let last = |lengths: &[u8]| lengths.iter().rposition(|length| *length > 0).map_or(0, |last| last + 1);
        let (main_count, distance_count) = (last(&main).max(257), last(&distances).max(1));
        let mut all = [0; MAIN + DISTANCES];
        all[..main_count].copy_from_slice(&main[..main_count]);
        all[main_count..main_count + distance_count].copy_from_slice(&distances[..distance_count]);
        let mut items = Vec::with_capacity(MAIN + DISTANCES);
        for run in all[..main_count + distance_count].chunk_by(|one, other| one == other) {
            let (length, mut count) = (run[0], run.len());
            if length == 0 {
                while count >= 11 {
                    let zeros = count.min(138);
                    items.push((18, (zeros - repeat(18).0) as u8));
                    count -= zeros;
                }
                if count >= 3 {
                    items.push((17, (count - repeat(17).0) as u8));
                    count = 0;
                }
            } else if count >= 4 {
                items.push((length, 0));
                count -= 1;
                while count >= 3 {
                    let same = count.min(6);
                    items.push((16, (same - repeat(16).0) as u8));
                    count -= same;
                }
            }
            items.extend(std::iter::repeat_n((length, 0), count));
        }
        let mut counts = [0; 19];
        for (symbol, _) in &items {
            counts[usize::from(*symbol)] += 1;
        }
        let lengths = lengths(&counts, LONGEST_OF_LENGTHS);
        let lengths_count = ORDER.iter().rposition(|symbol| lengths[*symbol] > 0).map_or(4, |last| (last + 1).max(4));
        Self { main, distances, main_count, distance_count, items, lengths, lengths_count }
    }

    /// Its size in bits.
    fn size(&self) -> u64 {
        let items =
            self.items.iter().map(|(symbol, _)| u32::from(self.lengths[usize::from(*symbol)]) + repeat(*symbol).1);
        14 + 3 * self.lengths_count as u64 + u64::from(items.sum::<u32>())
    }

    fn write(&self, out: &mut Bits<'_>) {
        out.add((self.main_count - 257) as u64, 5);
        out.add((self.distance_count - 1) as u64, 5);
        out.add((self.lengths_count - 4) as u64, 4);
        out.flush();
        for symbol in &ORDER[..self.lengths_count] {
            out.add(u64::from(self.lengths[*symbol]), 3);
            out.flush();
        }
        let codes = codes(&self.lengths);
        for (symbol, value) in &self.items {
            let code = codes[usize::from(*symbol)];
            out.add(u64::from(code.bits), u32::from(code.length));
            out.add(u64::from(*value), repeat(*symbol).1);
            out.flush();
        }
    }
}

/// The size in bits of what stands for the symbols.
fn size(symbols: &Symbols, main: &[u8; MAIN], distances: &[u8; DISTANCES]) -> u64 {
    let sum = |counts: &[u32], lengths: &[u8]| -> u64 {
        counts.iter().zip(lengths).map(|(count, length)| u64::from(*count) * u64::from(*length)).sum()
    };
    let mut bits = sum(&symbols.main, main) + sum(&symbols.distances, distances);
    for symbol in 0..LENGTHS {
        bits += u64::from(symbols.main[END_OF_BLOCK + 1 + symbol]) * u64::from(length_symbol(symbol).1);
    }
    for symbol in 0..DISTANCES_USED {
        bits += u64::from(symbols.distances[symbol]) * u64::from(distance_symbol(symbol).1);
    }
    bits
}

/// Writes a block, not the last one, in the form that is smallest.
pub(crate) fn write(data: &[u8], symbols: &mut Symbols, sequences: &[Sequence], out: &mut Bits<'_>) {
    symbols.main[END_OF_BLOCK] = 1;
    let told = Told::new(symbols);
    let dynamic = told.size() + size(symbols, &told.main, &told.distances);
    let fixed = size(symbols, &FIXED_MAIN, &FIXED_DISTANCES);
    if 8 * (data.len() + 5 * data.len().div_ceil(STORED)) as u64 <= dynamic.min(fixed) {
        store(data, out);
    } else if fixed <= dynamic {
        out.add(0b010, 3);
        content(data, sequences, &codes(&FIXED_MAIN), &codes(&FIXED_DISTANCES), out);
    } else {
        out.add(0b100, 3);
        told.write(out);
        content(data, sequences, &codes(&told.main), &codes(&told.distances), out);
    }
}

/// Writes data as stored blocks, none the last (RFC 1951 3.2.4); without data, an empty one.
pub(crate) fn store(data: &[u8], out: &mut Bits<'_>) {
    let mut rest = data;
    loop {
        let (block, more) = rest.split_at(rest.len().min(STORED));
        out.add(0, 3);
        out.align();
        let length = block.len() as u16;
        out.bytes(&length.to_le_bytes());
        out.bytes(&(!length).to_le_bytes());
        out.bytes(block);
        rest = more;
        if rest.is_empty() {
            return;
        }
    }
}

/// A distance's code, and what its extra bits are added to.
#[derive(Clone, Copy, Default)]
struct Distance {
    bits: u16,
    base: u16,
    length: u8,
    /// Extra bits included.
    all: u8,
}

#[inline(never)]
fn content(data: &[u8], sequences: &[Sequence], main: &[Code; MAIN], distances: &[Code; DISTANCES], to: &mut Bits<'_>) {
    // A whole length, its extra bits included: bits in the low 24, their number in the high 8.
    let mut of_length = [0_u32; 512];
    for (length, whole) in of_length.iter_mut().enumerate().take(259).skip(3) {
        let symbol = usize::from(OF_LENGTH[length]);
        let (base, extra) = length_symbol(symbol);
        let code = main[END_OF_BLOCK + 1 + symbol];
        let value = (length as u32 - u32::from(base)) << code.length | u32::from(code.bits);
        *whole = value | u32::from(code.length + extra) << 24;
    }
    let of_distance: [Distance; DISTANCES] = std::array::from_fn(|symbol| {
        let Code { bits, length } = distances[symbol];
        let (base, extra) = if symbol < DISTANCES_USED { distance_symbol(symbol) } else { (0, 0) };
        Distance { bits, base, length, all: length + extra }
    });
    let literals: &[Code; 256] = main.first_chunk().expect("more than 256 symbols");
    // Its own for as long as the loop runs: the compiler keeps it in registers then, which it can't where the bytes are
    // written through a reference to a reference.
    let mut out = std::mem::take(to);
    let mut rest = data;
    for sequence in sequences {
        let (mut run, more) = rest.split_at(usize::from(sequence.literals));
        let literal = |byte: u8, out: &mut Bits<'_>| {
            let code = literals[usize::from(byte)];
            out.add(u64::from(code.bits), u32::from(code.length));
        };
        while let [a, b, c, d, more @ ..] = run {
            literal(*a, &mut out);
            literal(*b, &mut out);
            literal(*c, &mut out);
            literal(*d, &mut out);
            out.flush();
            run = more;
        }
        for byte in run {
            literal(*byte, &mut out);
        }
        out.flush();
        if sequence.length > 0 {
            let whole = of_length[usize::from(sequence.length) & 511];
            out.add(u64::from(whole & 0xff_ffff), whole >> 24);
            let distance = of_distance[usize::from(sequence.symbol & 31)];
            let extra = u64::from(sequence.distance.wrapping_sub(distance.base));
            out.add(extra << (distance.length & 63) | u64::from(distance.bits), u32::from(distance.all));
            out.flush();
        }
        rest = &more[usize::from(sequence.length)..];
    }
    let code = main[END_OF_BLOCK];
    out.add(u64::from(code.bits), u32::from(code.length));
    out.flush();
    *to = out;
}
