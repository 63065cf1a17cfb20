//! What an ELF file runs on: class, byte order, machine, the interpreter and the libraries it asks for
//! (System V gABI, "ELF Header", "Program Header", "Dynamic Section").
//!
//! The bytes come from strangers. Every offset and size in them is checked against the bytes at hand before it is
//! used, nothing is allocated by a number that the file states, loops are bounded by the number of bytes, and a field
//! that cannot be read makes the fact `None`, not an error: a truncated ELF file is a fact about an image.

use std::cell::Cell;

use serde::{Deserialize, Serialize};

pub mod cache;

/// The machine that a file is made for, `e_machine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Machine(pub u16);

impl Machine {
    /// 32-bit x86.
    pub const I386: Self = Self(3);
    /// 32-bit ARM.
    pub const ARM: Self = Self(40);
    /// 64-bit x86.
    pub const X86_64: Self = Self(62);
    /// 64-bit ARM.
    pub const AARCH64: Self = Self(183);
    /// The kernel's own virtual machine: data for the kernel, no program.
    pub const BPF: Self = Self(247);
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.0 {
            2 => "EM_SPARC",
            3 => "EM_386",
            8 => "EM_MIPS",
            20 => "EM_PPC",
            21 => "EM_PPC64",
            22 => "EM_S390",
            40 => "EM_ARM",
            43 => "EM_SPARCV9",
            62 => "EM_X86_64",
            183 => "EM_AARCH64",
            190 => "EM_CUDA",
            224 => "EM_AMDGPU",
            243 => "EM_RISCV",
            247 => "EM_BPF",
            258 => "EM_LOONGARCH",
            other => return write!(f, "machine {other}"),
        };
        f.write_str(name)
    }
}

/// `e_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A relocatable file: an object file or a kernel module.
    Relocatable,
    /// An executable.
    Executable,
    /// A shared object, or a position-independent executable.
    Shared,
    /// A core dump, or something else.
    Other,
}

/// The facts of an ELF file.
#[expect(clippy::struct_excessive_bools, reason = "five facts that have nothing to do with each other")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elf {
    /// Whether it is of class `ELFCLASS64`; else 32 bits.
    pub is_64: bool,
    /// Whether its numbers are little-endian.
    pub little_endian: bool,
    /// The machine.
    pub machine: Machine,
    /// The operating system whose calls it makes (`EI_OSABI`): 0 (System V) and 3 (GNU) are Linux.
    pub os_abi: u8,
    /// What kind of file it is.
    pub kind: Kind,
    /// The interpreter (`PT_INTERP`): the dynamic loader's path. `None` for a static program or a library.
    pub interpreter: Option<Box<[u8]>>,
    /// The libraries it asks for (`DT_NEEDED`) in order. `None` where the file was not read far enough to know.
    pub needed: Option<Vec<Box<[u8]>>>,
    /// Where it says its libraries are (`DT_RUNPATH`, else `DT_RPATH`), as it stands.
    pub search_path: Option<Box<[u8]>>,
    /// Whether that is `DT_RPATH`, which holds for the libraries of its libraries as well.
    pub inherited: bool,
    /// The name by which it is known once it is loaded (`DT_SONAME`).
    pub soname: Option<Box<[u8]>>,
    /// Whether the file has a loadable segment with content: a file of debug symbols has none.
    pub has_code: bool,
    /// Whether the program headers, or the content of the loadable segments, lie beyond the file's end.
    pub truncated: bool,
}

impl Elf {
    /// About how many bytes its facts take in memory.
    pub fn extent(&self) -> usize {
        let needed: usize = self.needed.iter().flatten().map(|name| name.len() + NAME_COST).sum();
        let others = [&self.interpreter, &self.search_path, &self.soname];
        needed + others.iter().map(|text| text.as_ref().map_or(0, |text| text.len())).sum::<usize>()
    }
}

/// The size of the part of a file that tells whether it is ELF, and of which machine.
pub const HEADER: usize = 64;

/// Whether these first bytes are those of an ELF file.
pub fn is_elf(head: &[u8]) -> bool {
    head.starts_with(b"\x7fELF")
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// The most bytes that the names of the libraries of one file may have. A few kilobytes of hostile file may state any
/// number of them, all at one long string.
const NEEDED_LIMIT: usize = 64 << 10;
/// What a name costs beside its bytes, so that short ones are few as well: each is looked for in every part at hand.
const NAME_COST: usize = 16;

/// The most entries of a dynamic section that are read: a large program has some hundreds, nearly all of them
/// libraries.
const DYNAMIC_LIMIT: u64 = 8192;

/// A part of a file: where it begins, and its bytes.
pub type Window<'a> = (u64, &'a [u8]);

/// Reads numbers of the file's class and byte order out of the parts at hand.
struct View<'a> {
    windows: &'a [Window<'a>],
    is_64: bool,
    little_endian: bool,
    /// The first offset that was asked for and is not at hand.
    wanted: Cell<Option<u64>>,
}

impl<'a> View<'a> {
    fn from(&self, offset: u64) -> &'a [u8] {
        let inside = |(start, bytes): &Window<'a>| {
            bytes.get(usize::try_from(offset.checked_sub(*start)?).ok()?..).filter(|rest| !rest.is_empty())
        };
        // Where one ends within what is looked for, another that goes on from there was fetched for it.
        self.windows.iter().filter_map(inside).max_by_key(|rest| rest.len()).unwrap_or_default()
    }

    fn slice(&self, offset: u64, size: u64) -> Option<&'a [u8]> {
        let slice = self.from(offset).get(..usize::try_from(size).ok()?);
        if slice.is_none() && self.wanted.get().is_none() {
            self.wanted.set(Some(offset));
        }
        slice
    }

    fn number(&self, offset: u64, size: u64) -> Option<u64> {
        self.slice(offset, size).map(|bytes| self.number_of(bytes))
    }

    fn number_of(&self, bytes: &[u8]) -> u64 {
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.little_endian { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) }
    }

    /// Pairs of numbers of the class's width in a range of the file; `None` is where they are not at hand. The parts
    /// are looked through once for each of them that has some, and not for each pair: a file is parsed again with each
    /// part.
    fn pairs(&self, start: u64, end: u64) -> impl Iterator<Item = Option<(u64, u64)>> + '_ {
        let width = if self.is_64 { 8 } else { 4 };
        let (mut at, mut rest): (u64, &[u8]) = (start, &[]);
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            if rest.len() < 2 * width {
                rest = self.from(at);
            }
            let Some((pair, more)) = rest.split_at_checked(2 * width) else {
                let missing = self.slice(at, 2 * width as u64).and(None);
                at = end;
                return Some(missing);
            };
            let (first, second) = pair.split_at(width);
            rest = more;
            at = at.saturating_add(2 * width as u64);
            Some(Some((self.number_of(first), self.number_of(second))))
        })
    }

    fn half(&self, offset: u64) -> Option<u16> {
        self.number(offset, 2).and_then(|n| u16::try_from(n).ok())
    }

    fn word(&self, offset: u64) -> Option<u32> {
        self.number(offset, 4).and_then(|n| u32::try_from(n).ok())
    }

    /// A number of the class's width.
    fn wide(&self, offset: u64) -> Option<u64> {
        self.number(offset, if self.is_64 { 8 } else { 4 })
    }

    fn string(&self, offset: u64) -> Option<Box<[u8]>> {
        let rest = self.from(offset);
        match rest.iter().take(4096).position(|byte| *byte == 0) {
            Some(end) => Some(rest[..end].into()),
            None => self.slice(offset, 4096).and(None),
        }
    }
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

/// The facts of an ELF file of `size` bytes whose first bytes are at hand; `None` where it is none.
///
/// With [`HEADER`] bytes class, machine and kind are known; the rest as far as the bytes reach.
pub fn parse(bytes: &[u8], size: u64) -> Option<Elf> {
    parse_windows(&[(0, bytes)], size).map(|(elf, _)| elf)
}

/// As [`parse`], with any parts of the file at hand, the first from its start. Beside the facts: where more bytes
/// would tell more, if that is within the file.
pub fn parse_windows(windows: &[Window<'_>], size: u64) -> Option<(Elf, Option<u64>)> {
    let bytes = windows.iter().find(|(start, _)| *start == 0).map(|(_, bytes)| *bytes)?;
    if !is_elf(bytes) || bytes.len() < 20 {
        return None;
    }
    let view = View { windows, is_64: bytes[4] == 2, little_endian: bytes[5] != 2, wanted: Cell::new(None) };
    let elf = facts(&view, size)?;
    Some((elf, view.wanted.get().filter(|offset| *offset < size)))
}

fn facts(view: &View<'_>, size: u64) -> Option<Elf> {
    let kind = match view.half(16)? {
        1 => Kind::Relocatable,
        2 => Kind::Executable,
        3 => Kind::Shared,
        _ => Kind::Other,
    };
    let mut elf = Elf {
        is_64: view.is_64,
        little_endian: view.little_endian,
        machine: Machine(view.half(18)?),
        os_abi: view.slice(7, 1)?[0],
        kind,
        interpreter: None,
        needed: None,
        search_path: None,
        inherited: false,
        soname: None,
        has_code: true,
        truncated: false,
    };
    let Some((table_end, segments)) = segments(view) else {
        elf.truncated = size < HEADER as u64 - if view.is_64 { 0 } else { 12 };
        return Some(elf);
    };
    elf.truncated = table_end > size;
    let Some(segments) = segments else { return Some(elf) };
    elf.has_code = segments.iter().any(|s| s.kind == PT_LOAD && s.size > 0);
    let loads_end = segments.iter().filter(|s| s.kind == PT_LOAD).filter_map(|s| s.offset.checked_add(s.size)).max();
    elf.truncated |= loads_end.is_some_and(|end| end > size);
    if let Some(interp) = segments.iter().find(|s| s.kind == PT_INTERP) {
        // Without its interpreter's name a file must not pass for a static one: its libraries stay unknown.
        let Some(path) = view.slice(interp.offset, interp.size.min(4096)) else { return Some(elf) };
        elf.interpreter = Some(path.split(|byte| *byte == 0).next().unwrap_or_default().into());
    }
    match segments.iter().find(|s| s.kind == PT_DYNAMIC) {
        None => elf.needed = Some(Vec::new()),
        Some(dynamic) => {
            if let Some(found) = dynamic_section(view, &segments, dynamic) {
                elf.needed = Some(found.needed);
                elf.search_path = found.search_path;
                elf.inherited = found.inherited;
                elf.soname = found.soname;
            }
        }
    }
    Some(elf)
}

/// The end of the program header table, and its segments where the table is at hand.
fn segments(view: &View<'_>) -> Option<(u64, Option<Vec<Segment>>)> {
    let (table, entry_size, count) = if view.is_64 {
        (view.wide(32)?, view.half(54)?, view.half(56)?)
    } else {
        (view.wide(28)?, view.half(42)?, view.half(44)?)
    };
    let table_end = table.checked_add(u64::from(entry_size) * u64::from(count))?;
    let segment = |index: u16| {
        let at = table.checked_add(u64::from(index) * u64::from(entry_size))?;
        let kind = view.word(at)?;
        let (offset, address, size) = if view.is_64 { (8, 16, 32) } else { (4, 8, 16) };
        Some(Segment {
            kind,
            offset: view.wide(at.checked_add(offset)?)?,
            address: view.wide(at.checked_add(address)?)?,
            size: view.wide(at.checked_add(size)?)?,
        })
    };
    Some((table_end, (0..count).map(segment).collect()))
}

#[derive(Default)]
struct Dynamic {
    needed: Vec<Box<[u8]>>,
    search_path: Option<Box<[u8]>>,
    inherited: bool,
    soname: Option<Box<[u8]>>,
}

fn dynamic_section(view: &View<'_>, segments: &[Segment], dynamic: &Segment) -> Option<Dynamic> {
    let mut names = Vec::new();
    let (mut strings, mut run_path, mut r_path, mut soname) = (None, None, None, None);
    let end = dynamic.offset.checked_add(dynamic.size)?;
    for (pair, read) in view.pairs(dynamic.offset, end).zip(0..) {
        let (tag, value) = pair.filter(|_| read < DYNAMIC_LIMIT)?;
        match tag {
            0 => break,
            DT_NEEDED => names.push(value),
            DT_STRTAB => strings = Some(value),
            DT_SONAME => soname = Some(value),
            DT_RPATH => r_path = Some(value),
            DT_RUNPATH => run_path = Some(value),
            _ => {}
        }
    }
    let Some(address) = strings else { return names.is_empty().then(Dynamic::default) };
    let holder = segments.iter().find(|s| {
        s.kind == PT_LOAD && address >= s.address && s.address.checked_add(s.size).is_some_and(|end| address < end)
    })?;
    let table = holder.offset.checked_add(address - holder.address)?;
    let string = |offset: u64| view.string(table.checked_add(offset)?);
    let mut room = NEEDED_LIMIT;
    let mut needed = Vec::new();
    for name in names {
        let name = string(name)?;
        room = room.checked_sub(name.len() + NAME_COST)?;
        needed.push(name);
    }
    let search_path = match run_path.or(r_path) {
        Some(offset) => Some(string(offset)?),
        None => None,
    };
    let soname = match soname {
        Some(offset) => Some(string(offset)?),
        None => None,
    };
    Some(Dynamic { needed, search_path, inherited: run_path.is_none(), soname })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our own test binary is a dynamically linked program of this machine.
    #[cfg(target_os = "linux")]
    #[test]
    fn reads_the_running_program() {
        let bytes = std::fs::read("/proc/self/exe").expect("the test binary");
        let elf = parse(&bytes, bytes.len() as u64).expect("an ELF file");
        assert!(elf.is_64 && elf.little_endian && elf.has_code && !elf.truncated);
        let interpreter = elf.interpreter.expect("an interpreter");
        assert!(interpreter.starts_with(b"/lib"), "{}", String::from_utf8_lossy(&interpreter));
        assert!(elf.needed.expect("libraries").iter().any(|name| name.starts_with(b"libc.so")));
        let head = parse(&bytes[..HEADER], bytes.len() as u64).expect("an ELF file");
        assert_eq!((head.machine, head.needed, head.truncated), (elf.machine, None, false));
        assert!(parse(&bytes, 4096).expect("an ELF file").truncated);
        // Asked for part by part, a file tells the same as at once.
        let mut parts = vec![(0, 4096.min(bytes.len()))];
        loop {
            let windows: Vec<Window<'_>> =
                parts.iter().map(|(start, end)| (*start as u64, &bytes[*start..*end])).collect();
            let (found, wanted) = parse_windows(&windows, bytes.len() as u64).expect("an ELF file");
            let Some(wanted) = wanted else {
                assert_eq!(found.needed, parse(&bytes, bytes.len() as u64).expect("an ELF file").needed);
                break;
            };
            let start = usize::try_from(wanted).expect("an offset");
            parts.push((start, (start + 65536).min(bytes.len())));
            assert!(parts.len() < 5, "{parts:?}");
        }
    }

    /// A 64-bit library with one loadable segment, so many `DT_NEEDED` of one name, and the name's table.
    fn library(needed: usize, name: &[u8]) -> Vec<u8> {
        let mut out = b"\x7fELF\x02\x01\x01".to_vec();
        out.resize(64 + 2 * 56, 0);
        let dynamic = out.len() as u64;
        let strings = dynamic + 16 * (needed as u64 + 2);
        let end = strings + name.len() as u64 + 1;
        for pair in std::iter::repeat_n([DT_NEEDED, 0], needed).chain([[DT_STRTAB, strings], [0, 0]]) {
            out.extend(pair.iter().flat_map(|number| number.to_le_bytes()));
        }
        out.extend_from_slice(name);
        out.push(0);
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        for (at, half) in [(16, 3_u16), (18, 62), (54, 56), (56, 2)] {
            put(at, &half.to_le_bytes());
        }
        put(32, &64_u64.to_le_bytes());
        for (at, kind, offset, size) in [(64, PT_LOAD, 0, end), (120, PT_DYNAMIC, dynamic, strings - dynamic)] {
            put(at, &kind.to_le_bytes());
            put(at + 8, &offset.to_le_bytes());
            put(at + 16, &offset.to_le_bytes());
            put(at + 32, &size.to_le_bytes());
        }
        out
    }

    #[test]
    fn what_a_window_cuts_is_found_in_the_next() {
        let bytes = library(1, b"libc.so.6");
        let size = bytes.len() as u64;
        for cut in 176..bytes.len() {
            let mut windows: Vec<Window<'_>> = vec![(0, &bytes[..cut])];
            let found = loop {
                let (elf, wanted) = parse_windows(&windows, size).expect("an ELF file");
                let Some(wanted) = wanted.filter(|_| windows.len() < 4) else { break elf.needed };
                windows.push((wanted, &bytes[usize::try_from(wanted).expect("an offset")..]));
            };
            assert_eq!(found, Some(vec![b"libc.so.6".as_slice().into()]), "cut at {cut}");
        }
    }

    #[test]
    fn a_small_file_does_not_take_much_memory() {
        let name = vec![b'x'; 4000];
        let needed = |count| {
            let bytes = library(count, &name);
            parse(&bytes, bytes.len() as u64).expect("an ELF file").needed
        };
        assert_eq!(needed(16).map(|names| names.len()), Some(16));
        assert_eq!(needed(17), None);
    }

    /// Each entry was looked for in every part, and all of them again with each part that was asked for: minutes.
    #[test]
    fn a_small_file_does_not_take_much_time() {
        let bytes = library(65_000, b"a");
        let windows: Vec<Window<'_>> = (0..32_u64)
            .map(|at| (at * 1024, bytes.get(usize::try_from(at * 1024).expect("small")..).unwrap_or_default()))
            .collect();
        let (elf, wanted) = parse_windows(&windows, bytes.len() as u64).expect("an ELF file");
        assert_eq!((elf.needed, wanted), (None, None), "it stops where no honest file goes");
    }

    #[test]
    fn says_nothing_of_other_files() {
        assert_eq!(parse(b"#!/bin/sh\n", 10), None);
        assert_eq!(parse(b"\x7fELF", 4), None);
    }

    proptest::proptest! {
        #[test]
        fn takes_any_bytes(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..512), size: u64) {
            for (at, byte) in b"\x7fELF\x02\x01".iter().enumerate().take(bytes.len()) {
                bytes[at] = *byte;
            }
            let _ = parse(&bytes, size);
        }
    }
}
