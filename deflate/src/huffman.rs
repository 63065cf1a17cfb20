//! Prefix codes of limited length (RFC 1951 3.2.2).

/// The lengths in bits of a prefix code for symbols that occur so often, none longer than `most`; 0 for those that do
/// not occur. At least two symbols get a code: some decoders refuse a code of one.
pub(crate) fn lengths<const N: usize>(counts: &[u32; N], most: usize) -> [u8; N] {
    let mut lengths = [0; N];
    // Count and symbol in one word each, sorted by both: the same order everywhere.
    let mut sorted = [0_u64; N];
    let mut used = 0;
    for (symbol, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        sorted[used] = u64::from(*count) << 16 | symbol as u64;
        used += 1;
    }
    // Symbols that do not occur, in place of those that are missing.
    for symbol in 0..N as u64 {
        if used >= 2 {
            break;
        }
        if counts[symbol as usize] == 0 {
            sorted[used] = 1 << 16 | symbol;
            used += 1;
        }
    }
    let sorted = &mut sorted[..used];
    sorted.sort_unstable();
    let mut of_depth = depths(sorted, most);
    // The rarest symbols get the longest codes.
    let mut depth = most;
    for word in sorted {
        while of_depth[depth] == 0 {
            depth -= 1;
        }
        of_depth[depth] -= 1;
        lengths[(*word & 0xffff) as usize] = depth as u8;
    }
    lengths
}

/// How many codes have which length, for counts in ascending order: Huffman's tree, its leaves lifted to `most`.
fn depths(sorted: &[u64], most: usize) -> [u32; 64] {
    // A tree by two queues: leaves in order of their counts, inner nodes in order of their making, which is the same.
    // Each inner node's parent is kept; the depth of a leaf's parent is then read from the root down.
    let leaves = sorted.len();
    let mut weights = [0_u64; 288];
    let mut parents = [0_u16; 288];
    let mut leaf_parents = [0_u16; 288];
    let (mut leaf, mut inner) = (0, 0);
    for node in 0..leaves - 1 {
        for _ in 0..2 {
            let weight = if leaf < leaves && (inner >= node || sorted[leaf] >> 16 <= weights[inner]) {
                leaf_parents[leaf] = node as u16;
                leaf += 1;
                sorted[leaf - 1] >> 16
            } else {
                parents[inner] = node as u16;
                inner += 1;
                weights[inner - 1]
            };
            weights[node] += weight;
        }
    }
    let mut depth_of = [0_u8; 288];
    let mut of_depth = [0_u32; 64];
    for node in (0..leaves - 1).rev() {
        depth_of[node] = if node == leaves - 2 { 0 } else { depth_of[parents[node] as usize] + 1 };
    }
    for parent in &leaf_parents[..leaves] {
        of_depth[(depth_of[*parent as usize] as usize + 1).min(63)] += 1;
    }
    // Codes that are too long become codes of `most` bits; what that is too much of the code space is given back by
    // codes that become longer, the longest first.
    let mut over = 0_u64;
    for depth in most + 1..64 {
        // In units of the shortest possible code.
        over += u64::from(of_depth[depth]);
        of_depth[most] += of_depth[depth];
        of_depth[depth] = 0;
    }
    if over > 0 {
        let mut space: u64 = (1..=most).map(|depth| u64::from(of_depth[depth]) << (most - depth)).sum();
        while space > 1 << most {
            let mut depth = most - 1;
            while of_depth[depth] == 0 {
                depth -= 1;
            }
            of_depth[depth] -= 1;
            of_depth[depth + 1] += 2;
            of_depth[most] -= 1;
            space -= 1;
        }
    }
    of_depth
}

/// A code and its length in bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Code {
    /// First bit lowest, as they are written.
    pub(crate) bits: u16,
    pub(crate) length: u8,
}

/// The codes that lengths stand for, in the order that the format says.
pub(crate) fn codes<const N: usize>(lengths: &[u8; N]) -> [Code; N] {
    let mut of_length = [0_u16; 16];
    for length in lengths {
        of_length[usize::from(*length & 15)] += 1;
    }
    of_length[0] = 0;
    let mut next = [0_u16; 16];
    for length in 1..16 {
        next[length] = (next[length - 1] + of_length[length - 1]) << 1;
    }
    let mut codes = [Code::default(); N];
    for (code, length) in codes.iter_mut().zip(lengths).filter(|(_, length)| **length > 0) {
        let value = &mut next[usize::from(*length & 15)];
        *code = Code { bits: value.reverse_bits() >> (16 - *length), length: *length };
        *value += 1;
    }
    codes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The code space that lengths take, in units of a code of 15 bits.
    fn space(lengths: &[u8]) -> u32 {
        lengths.iter().filter(|length| **length > 0).map(|length| 1 << (15 - length)).sum()
    }

    proptest! {
        #[test]
        fn codes_fill_their_space(counts in prop::array::uniform32(prop_oneof![Just(0_u32), 0..50_u32, 0..200_000_u32]), most in 6..=15_usize) {
            let lengths = lengths(&counts, most);
            prop_assert_eq!(space(&lengths), 1 << 15);
            prop_assert!(lengths.iter().all(|length| usize::from(*length) <= most));
            for (count, length) in counts.iter().zip(&lengths) {
                prop_assert!(*count == 0 || *length > 0);
            }
            let codes = codes(&lengths);
            for (index, one) in codes.iter().enumerate().filter(|(_, code)| code.length > 0) {
                for other in codes[index + 1..].iter().filter(|code| code.length > 0) {
                    let shared = one.length.min(other.length);
                    prop_assert!((one.bits ^ other.bits) & ((1 << shared) - 1) != 0, "one code begins with another");
                }
            }
        }

        #[test]
        fn codes_without_a_limit_are_the_cheapest(counts in prop::array::uniform16(1..1000_u32)) {
            let lengths = lengths(&counts, 15);
            let cost: u64 = counts.iter().zip(&lengths).map(|(count, length)| u64::from(*count) * u64::from(*length)).sum();
            // Huffman's cost is the sum of all inner nodes' weights.
            let mut weights: Vec<u64> = counts.iter().map(|count| u64::from(*count)).collect();
            let mut least = 0;
            while weights.len() > 1 {
                weights.sort_unstable_by(|one, other| other.cmp(one));
                let sum = weights.pop().unwrap_or(0) + weights.pop().unwrap_or(0);
                least += sum;
                weights.push(sum);
            }
            prop_assert_eq!(cost, least);
        }
    }
}
