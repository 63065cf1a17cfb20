//! A chunk becomes blocks, cut where its content changes.
//!
//! The data is taken in stretches. When a stretch has been parsed, what its symbols cost together with the block before
//! it is compared with what they cost apart: the block ends where that is more than the codes of a new one take.

use crate::bits::Bits;
use crate::block::{self, Logarithms, MOST_LITERALS, Sequence, Symbols};
use crate::matches::{Effort, Found, Matches, Place};

/// The size of a stretch in bytes.
const STRETCH: usize = 8 << 10;

/// What the codes of a block take, in bits, and a little more, since they take time too.
const CODES: u64 = 1000;

/// A block of so many sequences ends after the stretch: bounds the memory.
const MOST_SEQUENCES: usize = 1 << 16;

/// Makes the blocks of chunks; keeps its tables between them.
pub(crate) struct Encoder {
    effort: Effort,
    matches: Matches,
    found: Found,
    logarithms: Logarithms,
}

impl Encoder {
    pub(crate) fn new(effort: Effort) -> Self {
        let found = Found { symbols: Symbols::NONE, sequences: Vec::new() };
        Self { effort, matches: Matches::new(), found, logarithms: Logarithms::new() }
    }

    /// Writes a chunk as blocks of which none is final, the last one empty and ending on a byte. The size, or none
    /// where `out` is too small.
    pub(crate) fn chunk(&mut self, data: &[u8], out: &mut [u8]) -> Option<usize> {
        let room = out.len();
        let mut bits = Bits::new(out);
        self.blocks(data, &mut bits);
        block::store(&[], &mut bits);
        (bits.size() <= room).then(|| bits.size())
    }

    fn blocks(&mut self, data: &[u8], out: &mut Bits<'_>) {
        self.matches.clear();
        self.found.sequences.clear();
        let mut place = Place::default();
        // The block begins at `start`; the stretch at `middle`, with the sequence of that number.
        let (mut start, mut middle, mut first) = (0, 0, 0);
        let (mut symbols, mut cost) = (Symbols::NONE, 0);
        while middle < data.len() {
            let until = middle + STRETCH;
            place = self.matches.parse(data, place, until, self.effort, &mut self.found);
            let mut stretch = std::mem::replace(&mut self.found.symbols, Symbols::NONE);
            let sequences = &mut self.found.sequences;
            if place.at < until {
                // No match begins in the last bytes.
                for byte in &data[place.at..] {
                    stretch.literal(*byte);
                }
                place.at = data.len();
            }
            for run in data[place.literals..place.at].chunks(MOST_LITERALS) {
                sequences.push(Sequence::literals(run.len()));
            }
            place.literals = place.at;
            let apart = self.logarithms.cost(&stretch, &Symbols::NONE);
            let together = self.logarithms.cost(&symbols, &stretch);
            if middle > start && (together > cost + apart + CODES || sequences.len() > MOST_SEQUENCES) {
                block::write(&data[start..middle], &mut symbols, &sequences[..first], out);
                sequences.drain(..first);
                start = middle;
                (symbols, cost) = (stretch, apart);
            } else {
                symbols.add(&stretch);
                cost = together;
            }
            (middle, first) = (place.at, sequences.len());
        }
        if middle > start {
            block::write(&data[start..], &mut symbols, &self.found.sequences, out);
        }
    }
}
