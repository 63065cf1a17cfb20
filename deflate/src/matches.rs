//! Finding what a chunk has already said: matches within the last 32 KiB (RFC 1951 3.2.5).
//!
//! The bytes around the place we look at lie in a ring of 64 KiB, so that a position is a `u16`, whatever the size of
//! the chunk, and an index into the ring needs no check. For each hash of four bytes a word of 64 bits holds the four
//! newest positions, the newest in the lowest bits: to put one in is a shift, to look at all of them one load. A
//! position that is older than the ring reads as a younger one; the bytes there are compared before it is believed, so
//! it can cost a try but never a wrong match.

use std::fmt::Debug;

use crate::block::{Sequence, Symbols};

/// The farthest that a match may lie back.
const WINDOW: usize = 32 << 10;
/// The longest match.
const LONGEST: usize = 258;
const RING: usize = 1 << 16;
/// So many bytes of the ring's begin are there once more after its end, for loads across it.
const OVERLAP: usize = 8;
const FOUR_BITS: u32 = 14;
const THREE_BITS: u32 = 13;
/// A match of three bytes that lies farther back costs more than three literals.
const THREE_FAR: u16 = 4096;
/// How many bytes must have been fed beyond a position that is looked at: a longest match, one byte further, and a
/// load.
const AHEAD: usize = 512;

/// How hard to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effort {
    /// How many of the four positions are tried at each byte.
    pub(crate) tries: u32,
    /// How many at the byte after a match, for a longer one.
    pub(crate) second_tries: u32,
    /// A match of so many bytes is taken without a look at the byte after.
    pub(crate) lazy: usize,
    /// A match of so many bytes is taken without a look at the other positions.
    pub(crate) nice: usize,
    /// Within a match so many positions are remembered,
    pub(crate) dense: usize,
    /// and after them each one of so many.
    pub(crate) step: usize,
}

impl Effort {
    /// What a level means here; none where the level is not ours.
    pub(crate) fn of(level: i32) -> Option<Self> {
        let one = Self { tries: 1, second_tries: 0, lazy: 0, nice: 32, dense: 8, step: 8 };
        match level {
            1 => Some(one),
            2 => Some(Self { tries: 4, ..one }),
            3 => Some(Self { tries: 4, second_tries: 2, lazy: 8, ..one }),
            // The default: on a Python service 0.7 % larger than libdeflate's level 4, in four fifths of its time.
            4 => Some(Self { tries: 4, second_tries: 4, lazy: 16, dense: 16, ..one }),
            _ => None,
        }
    }
}

type Ring = [u8; RING + OVERLAP];

/// The memory of a chunk.
pub(crate) struct Matches {
    ring: Box<Ring>,
    four: Box<[u64; 1 << FOUR_BITS]>,
    three: Box<[u16; 1 << THREE_BITS]>,
    /// How many bytes of the chunk have been fed.
    fed: usize,
}

/// What was found.
pub(crate) struct Found {
    /// All symbols of the stretch.
    pub(crate) symbols: Symbols,
    /// The sequences of the block and of the stretch.
    pub(crate) sequences: Vec<Sequence>,
}

/// How far the parsing of a chunk has come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    /// The next byte that is looked at.
    pub(crate) at: usize,
    /// The first byte that no sequence holds.
    pub(crate) literals: usize,
}

#[inline]
fn load32(ring: &Ring, at: u16) -> u32 {
    let at = usize::from(at);
    u32::from_le_bytes([ring[at], ring[at + 1], ring[at + 2], ring[at + 3]])
}

#[inline]
fn load64(ring: &Ring, at: u16) -> u64 {
    u64::from(load32(ring, at)) | u64::from(load32_after(ring, at)) << 32
}

#[inline]
fn load32_after(ring: &Ring, at: u16) -> u32 {
    let at = usize::from(at);
    u32::from_le_bytes([ring[at + 4], ring[at + 5], ring[at + 6], ring[at + 7]])
}

const MULTIPLIER: u32 = 0x9e37_79b1;

#[inline]
fn hash4(bytes: u32) -> usize {
    (bytes.wrapping_mul(MULTIPLIER) >> (32 - FOUR_BITS)) as usize
}

#[inline]
fn hash3(bytes: u32) -> usize {
    ((bytes << 8).wrapping_mul(MULTIPLIER) >> (32 - THREE_BITS)) as usize
}

/// How many bytes are equal at both places.
#[inline]
fn common(ring: &Ring, one: u16, other: u16) -> usize {
    let mut length = 0_u16;
    while usize::from(length) < LONGEST {
        let difference = load64(ring, one.wrapping_add(length)) ^ load64(ring, other.wrapping_add(length));
        if difference != 0 {
            length += (difference.trailing_zeros() / 8) as u16;
            break;
        }
        length += 8;
    }
    usize::from(length).min(LONGEST)
}

/// The positions of a bucket that are longer than `best`; `best` and no distance where there is none.
#[inline]
fn longer(ring: &Ring, at: u16, mut bucket: u64, best: usize, tries: u32, nice: usize) -> (usize, u16) {
    let (mut best, mut distance) = (best, 0);
    // What a longer match must have: the byte after the best one and three before it.
    let mut want = load32(ring, at.wrapping_add(best as u16 - 3));
    for _ in 0..tries {
        let place = bucket as u16;
        bucket >>= 16;
        if load32(ring, place.wrapping_add(best as u16 - 3)) == want {
            let back = at.wrapping_sub(place);
            if usize::from(back).wrapping_sub(1) < WINDOW {
                let length = common(ring, place, at);
                if length > best {
                    (best, distance) = (length, back);
                    if length >= nice {
                        break;
                    }
                    want = load32(ring, at.wrapping_add(best as u16 - 3));
                }
            }
        }
    }
    (best, distance)
}

#[inline]
fn put(four: &mut [u64; 1 << FOUR_BITS], bytes: u32, at: u16) -> u64 {
    let slot = &mut four[hash4(bytes)];
    let bucket = *slot;
    *slot = bucket << 16 | u64::from(at);
    bucket
}

/// A table.
#[expect(clippy::unnecessary_box_returns, reason = "it is too large for the stack")]
fn zeros<T: Copy + Default + Debug, const N: usize>() -> Box<[T; N]> {
    vec![T::default(); N].into_boxed_slice().try_into().expect("as many as were asked for")
}

impl Matches {
    pub(crate) fn new() -> Self {
        Self { ring: zeros(), four: zeros(), three: zeros(), fed: 0 }
    }

    /// Forgets everything: a chunk depends on nothing before it.
    pub(crate) fn clear(&mut self) {
        self.ring.fill(0);
        self.four.fill(0);
        self.three.fill(0);
        self.fed = 0;
    }

    /// Puts the bytes of the chunk into the ring that a look at `at` needs, and what fits after them.
    fn feed(&mut self, data: &[u8], at: usize) {
        let end = data.len().min(at + WINDOW);
        while self.fed < end {
            let start = self.fed % RING;
            let count = (end - self.fed).min(RING - start);
            self.ring[start..start + count].copy_from_slice(&data[self.fed..self.fed + count]);
            self.fed += count;
        }
        let (ring, overlap) = self.ring.split_at_mut(RING);
        overlap.copy_from_slice(&ring[..OVERLAP]);
    }

    /// Goes on from a place until `until` or a little beyond, and counts and keeps what it finds.
    pub(crate) fn parse(
        &mut self,
        data: &[u8],
        mut place: Place,
        until: usize,
        effort: Effort,
        found: &mut Found,
    ) -> Place {
        while place.at < until {
            if self.fed < data.len() && place.at + AHEAD >= self.fed {
                self.feed(data, place.at);
            }
            let limit = if self.fed < data.len() { self.fed - AHEAD } else { data.len().saturating_sub(OVERLAP) };
            if place.at >= limit {
                break;
            }
            let tables = (&mut *self.four, &mut *self.three);
            place = search(&self.ring, tables, data.len(), place, limit.min(until), effort, found);
        }
        place
    }
}

#[inline(never)]
fn search(
    ring: &Ring,
    (four, three): (&mut [u64; 1 << FOUR_BITS], &mut [u16; 1 << THREE_BITS]),
    end: usize,
    place: Place,
    limit: usize,
    effort: Effort,
    Found { symbols, sequences }: &mut Found,
) -> Place {
    let Place { mut at, mut literals } = place;
    // No match begins in the last bytes: a load there would not be of the chunk alone.
    let last = end.saturating_sub(OVERLAP);
    while at < limit {
        let here = at as u16;
        let bytes = load32(ring, here);
        let bucket = put(four, bytes, here);
        let slot = &mut three[hash3(bytes)];
        let near = *slot;
        *slot = here;
        let (mut length, mut distance) = (3, 0);
        // Most places have no match: four loads and comparisons say so.
        if load32(ring, bucket as u16) == bytes
            || load32(ring, (bucket >> 16) as u16) == bytes
            || load32(ring, (bucket >> 32) as u16) == bytes
            || load32(ring, (bucket >> 48) as u16) == bytes
        {
            (length, distance) = longer(ring, here, bucket, 3, effort.tries, effort.nice);
        }
        if distance == 0 {
            let back = here.wrapping_sub(near);
            if (load32(ring, near) ^ bytes) << 8 != 0 || back.wrapping_sub(1) >= THREE_FAR {
                symbols.literal(bytes as u8);
                at += 1;
                continue;
            }
            distance = back;
        }
        let mut from = at + 1;
        while length < effort.lazy && at + 1 < last {
            let next = (at + 1) as u16;
            let bytes = load32(ring, next);
            let bucket = put(four, bytes, next);
            from = at + 2;
            let (second, back) = longer(ring, next, bucket, length, effort.second_tries, effort.nice);
            if back == 0 {
                break;
            }
            // A byte more saves about four bits; each doubling of the distance costs one.
            if 4 * (second - length) as u32 + back.leading_zeros() <= distance.leading_zeros() + 2 {
                break;
            }
            symbols.literal(load32(ring, at as u16) as u8);
            at += 1;
            from = at + 1;
            (length, distance) = (second, back);
        }
        // The ring holds something beyond the chunk's end too.
        let length = length.min(end - at);
        sequences.push(symbols.sequence(at - literals, length, distance));
        at += length;
        literals = at;
        let dense = at.min(from + effort.dense);
        while from < dense {
            put(four, load32(ring, from as u16), from as u16);
            from += 1;
        }
        while from < at {
            put(four, load32(ring, from as u16), from as u16);
            from += effort.step;
        }
    }
    Place { at, literals }
}
