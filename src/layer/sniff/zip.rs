//! The native libraries inside a jar, found while its bytes pass.
//!
//! A zip's central directory stands at its end, but a layer's bytes pass once. So the local headers are looked for
//! instead (APPNOTE.TXT 4.3.7), which stand before the data; those of a jar that is stored in another jar are found as
//! well. Only the first bytes of a library are inflated, into a buffer of fixed size. A stranger may put any bytes
//! where a header is expected: at worst a library is told of that is none.

use flate2::{Decompress, FlushDecompress};

use crate::elf;
use crate::layer::contents::Member;

const SIGNATURE: &[u8] = b"PK\x03\x04";
const HEADER: usize = 30;
/// The longest name and extra field of a header that is looked at; longer ones are no library's.
const LONGEST: usize = 4096;
/// Compressed bytes that hold at least an ELF file's first [`elf::HEADER`] bytes, dynamic Huffman codes included.
const ENOUGH: usize = 1024;
/// How many libraries are kept of one archive.
const MOST_MEMBERS: usize = 256;

/// Whether these first bytes are those of a zip.
pub(super) fn is_zip(first: &[u8]) -> bool {
    first.starts_with(SIGNATURE)
}

/// Looks for libraries in pieces that come in order.
pub(super) struct Search {
    /// What has come and is not looked through yet: less than a header with its name and [`ENOUGH`].
    kept: Vec<u8>,
    members: Vec<Member>,
    inflate: Decompress,
}

impl Search {
    pub(super) fn new() -> Self {
        Self { kept: Vec::new(), members: Vec::new(), inflate: Decompress::new(false) }
    }

    pub(super) fn pass(&mut self, piece: &[u8]) {
        self.kept.extend_from_slice(piece);
        self.look(false);
    }

    /// What was found, once everything has come.
    pub(super) fn end(&mut self) -> Vec<Member> {
        self.look(true);
        std::mem::take(&mut self.members)
    }

    fn look(&mut self, last: bool) {
        let kept = std::mem::take(&mut self.kept);
        let mut at = 0;
        loop {
            let rest = &kept[at..];
            let Some(start) = rest.windows(SIGNATURE.len()).position(|bytes| bytes == SIGNATURE) else {
                at = kept.len().saturating_sub(SIGNATURE.len() - 1).max(at);
                break;
            };
            at += start;
            let rest = &kept[at..];
            let whole = if rest.len() < HEADER {
                HEADER
            } else {
                let (name, extra) = lengths(rest);
                if name > LONGEST || extra > LONGEST { 0 } else { HEADER + name + extra + ENOUGH }
            };
            if rest.len() < whole && !last {
                break;
            }
            self.member(rest);
            at += SIGNATURE.len();
        }
        if !last {
            self.kept = kept;
            self.kept.drain(..at);
        }
    }

    /// Keeps the member whose header begins here, if it is a library.
    fn member(&mut self, bytes: &[u8]) {
        if bytes.len() < HEADER || self.members.len() >= MOST_MEMBERS {
            return;
        }
        let (name_length, extra) = lengths(bytes);
        let Some(name) = bytes.get(HEADER..HEADER + name_length) else { return };
        let Some(data) = bytes.get(HEADER + name_length + extra..) else { return };
        if name_length > LONGEST || !is_library(name) {
            return;
        }
        let mut first = [0; elf::HEADER];
        let count = match u16::from_le_bytes([bytes[8], bytes[9]]) {
            0 => {
                let count = data.len().min(first.len());
                first[..count].copy_from_slice(&data[..count]);
                count
            }
            8 => {
                self.inflate.reset(false);
                let data = &data[..data.len().min(ENOUGH)];
                // What is damaged is no library; what came before the damage may be one.
                let _ = self.inflate.decompress(data, &mut first, FlushDecompress::None);
                usize::try_from(self.inflate.total_out()).unwrap_or(0).min(first.len())
            }
            _ => 0,
        };
        // How large it is may only be told after it.
        if let Some(elf) = elf::parse(&first[..count], u64::MAX) {
            self.members.push(Member { name: name.into(), elf });
        }
    }
}

fn lengths(header: &[u8]) -> (usize, usize) {
    let half = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    (half(26), half(28))
}

/// By its name: what Java and Node load. Everything else would have to be inflated to be known.
fn is_library(name: &[u8]) -> bool {
    let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name.ends_with(b".so") || name.ends_with(b".node") || name.windows(4).any(|bytes| bytes == b".so.")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A local header and the data; sizes are told after it, as `java.util.zip` does.
    fn member(name: &str, data: &[u8], deflated: bool) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend([20, 0, 8, 0, if deflated { 8 } else { 0 }, 0]);
        out.resize(26, 0);
        out.extend(u16::try_from(name.len()).expect("short").to_le_bytes());
        out.extend(3_u16.to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend([1, 2, 3]);
        if deflated {
            let mut encoder = flate2::write::DeflateEncoder::new(out, flate2::Compression::best());
            encoder.write_all(data).expect("a vector takes everything");
            return encoder.finish().expect("a vector takes everything");
        }
        out.extend_from_slice(data);
        out
    }

    fn library(machine: u8) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(200_000, 0);
        (bytes[16], bytes[18]) = (3, machine);
        let mut state = 1_u32;
        for byte in &mut bytes[64..] {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8 & 15;
        }
        bytes
    }

    #[test]
    fn libraries_are_found_wherever_the_pieces_end() {
        let inner = [member("lib/linux-arm64/libb.so", &library(183), true)].concat();
        let jar = [
            member("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n", true),
            member("native/liba.so", &library(62), true),
            member("native/readme.so", b"not ELF", true),
            member("BOOT-INF/lib/inner.jar", &inner, false),
            member("c.node", &library(40), false),
        ]
        .concat();
        for piece in [jar.len(), 1 << 16, 1000, 7] {
            let mut search = Search::new();
            jar.chunks(piece).for_each(|piece| search.pass(piece));
            let found: Vec<(String, u16)> = search
                .end()
                .into_iter()
                .map(|member| (String::from_utf8(member.name.into_vec()).expect("text"), member.elf.machine.0))
                .collect();
            let wanted = [("native/liba.so", 62), ("lib/linux-arm64/libb.so", 183), ("c.node", 40)];
            assert_eq!(found, wanted.map(|(name, machine)| (name.to_owned(), machine)), "pieces of {piece}");
        }
    }

    proptest::proptest! {
        #[test]
        fn takes_any_bytes(parts in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..64), 0..8)) {
            let mut search = Search::new();
            for part in parts {
                search.pass(SIGNATURE);
                search.pass(&part);
                search.pass(b"a.so");
            }
            search.end();
        }
    }
}
