//! What a file is to the kernel that should execute it, from its first bytes and as few others as will do.

use std::io::{self, BufReader, Read};

use self::zip::Search;
use super::contents::{Contents, Head, Texts};
use super::entry::Kind;
use super::untar::{Reader, UntarError};
use crate::elf;

mod compressed;
mod room;
mod zip;

pub use self::compressed::{compression, decompress, program};
pub use self::room::Room;

/// How many of a file's first bytes are looked at; ELF files and loader caches are looked at as far as [`MOST_FIRST`].
const FIRST: usize = 4096;
/// How many of an ELF file's or a loader cache's first bytes are kept while it passes.
pub const MOST_FIRST: usize = 1 << 20;
/// How many bytes are fetched where an ELF file's facts need another part.
pub const PART: usize = 64 << 10;
/// How many such parts: the names of libraries lie apart where a file has many other names.
const PARTS: usize = 32;

/// How many of the first bytes of a file that begins like this are worth keeping.
fn reach(first: &[u8]) -> usize {
    if elf::is_elf(first) || elf::cache::is_cache(first) { MOST_FIRST } else { FIRST }
}

/// What a file of `size` bytes is, by its first bytes; `part` gives up to [`PART`] bytes from another place in it.
pub fn head(first: &[u8], size: u64, mut part: impl FnMut(u64) -> Option<Vec<u8>>) -> Head {
    if zip::is_zip(first) {
        let mut search = Search::new();
        search.pass(first);
        let mut at = first.len() as u64;
        while at < size {
            let Some(bytes) = part(at).filter(|bytes| !bytes.is_empty()) else { break };
            search.pass(&bytes);
            at += bytes.len() as u64;
        }
        return archive(&mut search);
    }
    if elf::is_elf(first) { elf_head(first, size, &[], part) } else { plain(first, size) }
}

/// The same of an ELF file, some of whose names are known beside.
fn elf_head(first: &[u8], size: u64, names: &[Part], mut part: impl FnMut(u64) -> Option<Vec<u8>>) -> Head {
    let mut parts: Vec<Part> = Vec::new();
    loop {
        let windows = parts.iter().chain(names).map(|(at, bytes)| (*at, bytes.as_slice()));
        let windows: Vec<elf::Window<'_>> = std::iter::once((0, first)).chain(windows).collect();
        let Some((elf, wanted)) = elf::parse_windows(&windows, size) else { return Head::Other };
        match wanted.filter(|_| parts.len() < PARTS).and_then(|at| Some((at, part(at)?))) {
            Some((at, bytes)) if !bytes.is_empty() => parts.push((at, bytes)),
            _ => return Head::Elf(Box::new(elf)),
        }
    }
}

fn archive(search: &mut Search) -> Head {
    let members = search.end();
    if members.is_empty() { Head::Other } else { Head::Archive(members.into()) }
}

/// A part of a file: where it begins, and its bytes.
type Part = (u64, Vec<u8>);

/// What needs no other part of the file.
fn plain(first: &[u8], size: u64) -> Head {
    if let Some(line) = first.strip_prefix(b"#!") {
        let text = &line[..line.len().min(FIRST)];
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let is_whole = size <= FIRST as u64 && first.len() as u64 == size;
        return Head::Script(if is_whole && names_shell(line) { text } else { line }.into());
    }
    if elf::cache::is_cache(first) && first.len() as u64 == size {
        return elf::cache::parse(first).map_or(Head::Other, |libraries| Head::LoaderCache(libraries.into()));
    }
    if is_private_key(first) {
        return Head::PrivateKey;
    }
    match first {
        // A universal binary has a handful of machines; of a Java class, these bytes are a version from 45 on.
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 1..=20, ..] => {
            Head::Elsewhere("macOS (Mach-O)".into())
        }
        [b'M', b'Z', ..] if size > 64 && is_portable_executable(first) => Head::Elsewhere("Windows (PE)".into()),
        _ => Head::Other,
    }
}

/// Whether a word of a script's first line is a shell's name, as in `/bin/sh -e` and `/usr/bin/env bash`.
fn names_shell(line: &[u8]) -> bool {
    let mut words = line.split(u8::is_ascii_whitespace).filter_map(|word| word.rsplit(|byte| *byte == b'/').next());
    words.any(|name| matches!(name, b"sh" | b"bash" | b"dash" | b"ash" | b"ksh" | b"zsh"))
}

/// Whether the word at 0x3c leads to a PE header, where that is at hand.
fn is_portable_executable(first: &[u8]) -> bool {
    let Some(at) = first.get(0x3c..0x40).and_then(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?))) else {
        return false;
    };
    usize::try_from(at).ok().and_then(|at| first.get(at..)).is_some_and(|rest| rest.starts_with(b"PE\0\0"))
}

/// A file of PEM (RFC 7468; OpenSSH's own form) with a private key that no password is known to protect.
fn is_private_key(first: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const KINDS: [&[u8]; 5] = [
        b"PRIVATE KEY-----",
        b"RSA PRIVATE KEY-----",
        b"EC PRIVATE KEY-----",
        b"DSA PRIVATE KEY-----",
        b"OPENSSH PRIVATE KEY-----",
    ];
    let first = &first[..first.len().min(FIRST)];
    let lines = || first.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let is_key =
        |line: &[u8]| line.strip_prefix(BEGIN).is_some_and(|rest| KINDS.iter().any(|kind| rest.trim_ascii() == *kind));
    // A program or a page that talks of keys has other words first; OpenSSL has those of a PKCS #12 file.
    let begin = first.trim_ascii_start();
    let is_pem =
        begin.starts_with(b"-") || begin.starts_with(b"Bag Attributes") || begin.starts_with(b"Key Attributes");
    is_pem && lines().any(is_key) && !lines().any(|line| line.starts_with(b"Proc-Type: 4,ENCRYPTED"))
}

/// A large file whose bytes pass once, piece by piece: what [`head`] asks for is kept when it comes by.
pub struct Passing {
    first: Vec<u8>,
    size: u64,
    parts: Vec<Part>,
    /// Where the next part begins, and what of it has come.
    wanted: Option<Part>,
    /// Of an ELF file of which something is wanted: the names that have passed.
    names: Names,
    /// Of a zip: what is in it.
    search: Option<Box<Search>>,
}

impl Passing {
    /// A file of `size` bytes that begins with these.
    pub fn new(first: &[u8], size: u64) -> Self {
        let search = zip::is_zip(first).then(|| Box::new(Search::new()));
        let first = first[..first.len().min(reach(first))].into();
        let mut passing = Self { first, size, parts: Vec::new(), wanted: None, names: Names::default(), search };
        if passing.search.is_none() {
            passing.head();
        }
        passing
    }

    /// The first bytes.
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// Whether anything that is still to come would tell more.
    fn wants(&self) -> bool {
        self.wanted.is_some() || self.search.is_some()
    }

    /// What the file is, as far as it has passed.
    pub fn head(&mut self) -> Head {
        if let Some(search) = &mut self.search {
            return archive(search);
        }
        if !elf::is_elf(&self.first) {
            return plain(&self.first, self.size);
        }
        let (parts, wanted) = (&self.parts, &mut self.wanted);
        *wanted = None;
        elf_head(&self.first, self.size, &self.names.kept, |at| {
            let part = parts.iter().find(|(start, _)| *start == at).map(|(_, bytes)| bytes.clone());
            if part.is_none() {
                *wanted = Some((at, Vec::new()));
            }
            part
        })
    }

    /// Takes the bytes from `at` on, in order. What is wanted from before them is gone, and then the fact stays
    /// unknown.
    pub fn pass(&mut self, at: u64, piece: &[u8]) {
        if let Some(search) = &mut self.search {
            return search.pass(piece);
        }
        if self.wanted.is_some() {
            self.names.pass(at, piece);
        }
        while let Some((start, mut part)) = self.wanted.take() {
            let next = start + part.len() as u64;
            let Some(skip) = next.checked_sub(at).and_then(|skip| usize::try_from(skip).ok()) else { return };
            let here = piece.get(skip..).unwrap_or_default();
            part.extend_from_slice(&here[..here.len().min(PART - part.len())]);
            if part.len() < PART && start + (part.len() as u64) < self.size {
                self.wanted = Some((start, part));
                return;
            }
            self.parts.push((start, part));
            self.head();
        }
    }
}

/// Strings that may be the names of libraries, or where they are.
///
/// The dynamic section, which says where in the table of strings the names are, mostly stands behind that table. Where
/// the table is large (every exported symbol is in it) the names have passed by then.
#[derive(Default)]
struct Names {
    kept: Vec<Part>,
    /// The string that has not ended yet.
    open: Vec<u8>,
    bytes: usize,
}

/// How many bytes of names are kept, and what each costs beside: they are few, since each is looked at for each
/// library.
const MOST_NAMES: usize = 256 << 10;
const NAME_COST: usize = 64;
/// The longest name.
const LONGEST_NAME: usize = 1024;

impl Names {
    fn pass(&mut self, at: u64, piece: &[u8]) {
        let mut start = at;
        for part in piece.split_inclusive(|byte| *byte == 0) {
            if self.bytes >= MOST_NAMES {
                return;
            }
            let begins = start - self.open.len() as u64;
            start += part.len() as u64;
            let Some((0, name)) = part.split_last().map(|(last, name)| (*last, name)) else {
                // It goes on in the next piece; what is too long is let go, and its rest is no name either.
                if self.open.len() <= LONGEST_NAME {
                    self.open.extend_from_slice(&part[..part.len().min(LONGEST_NAME + 1)]);
                }
                return;
            };
            if self.open.is_empty() {
                self.keep(begins, name);
            } else {
                let mut whole = std::mem::take(&mut self.open);
                whole.extend_from_slice(name);
                self.keep(begins, &whole);
            }
        }
    }

    fn keep(&mut self, at: u64, name: &[u8]) {
        let library = || name.windows(3).any(|part| part == b".so");
        if name.len() > LONGEST_NAME || !(name.starts_with(b"/") || name.starts_with(b"$") || library()) {
            return;
        }
        self.bytes += name.len() + NAME_COST;
        self.kept.push((at, [name, b"\0"].concat()));
    }
}

/// Reads a whole layer, and keeps what matters of it.
///
/// # Errors
/// Where the bytes cannot be read or are no archive. The reader has then seen its end: what it verifies is verified.
pub fn contents(tar: impl Read) -> Result<Contents, UntarError> {
    contents_of(Reader::new(buffered(tar)))
}

/// As [`contents`], of a blob that is held to its digest.
///
/// # Errors
/// As [`contents`]; but the end of the archive may be missing.
pub fn blob_contents(tar: impl Read) -> Result<Contents, UntarError> {
    contents_of(Reader::of_whole(buffered(tar)))
}

/// Headers are half a kilobyte: not a call of the system each.
fn buffered<R: Read>(tar: R) -> BufReader<R> {
    BufReader::with_capacity(64 << 10, tar)
}

fn contents_of(mut reader: Reader<impl Read>) -> Result<Contents, UntarError> {
    let mut contents = Contents::default();
    let mut first = Vec::new();
    let (mut room, mut texts) = (Room::default(), Texts::default());
    while let Some(entry) = reader.next_entry()? {
        let mut head = match entry.kind {
            Kind::File(size) => stream_head(&mut reader, size, &mut first)?,
            _ => Head::Other,
        };
        texts.keep(&mut head);
        let node = entry.into_node(head);
        room.keep(&node, reader.offset())?;
        contents.nodes.push(node);
    }
    reader.drain()?;
    Ok(contents)
}

/// As [`head`], of a file whose bytes pass only once.
///
/// # Errors
/// Where the archive cannot be read.
pub fn stream_head<R: Read>(reader: &mut Reader<R>, size: u64, first: &mut Vec<u8>) -> Result<Head, UntarError> {
    first.clear();
    read_up_to(reader, first, FIRST.min(usize::try_from(size).unwrap_or(FIRST)))?;
    let reach = reach(first);
    read_up_to(reader, first, reach.min(usize::try_from(size).unwrap_or(reach)))?;
    if first.len() as u64 == size {
        return Ok(head(first, size, |_| None));
    }
    let mut passing = Passing::new(first, size);
    passing.pass(0, first);
    let mut at = first.len() as u64;
    first.clear();
    while passing.wants() {
        read_up_to(reader, first, PART)?;
        if first.is_empty() {
            break;
        }
        passing.pass(at, first);
        at += first.len() as u64;
        first.clear();
    }
    Ok(passing.head())
}

fn read_up_to<R: Read>(reader: &mut Reader<R>, buffer: &mut Vec<u8>, size: usize) -> Result<(), UntarError> {
    let mut filled = buffer.len();
    buffer.resize(size.max(filled), 0);
    while filled < size {
        match reader.read_data(&mut buffer[filled..size]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(UntarError::Io { offset: reader.offset(), source }),
        }
    }
    buffer.truncate(filled);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_told_from_what_talks_of_them() {
        let key = |before: &str| is_private_key(format!("{before}-----BEGIN PRIVATE KEY-----\nMC4C\n").as_bytes());
        assert!(["", "\r\n", "Bag Attributes\n a: b\n", "-----BEGIN CERTIFICATE-----\n"].into_iter().all(key));
        assert!(!["# Keys\n", "Proc-Type: 4,ENCRYPTED\n", "---\nProc-Type: 4,ENCRYPTED\n"].into_iter().any(key));
    }

    /// A program of 3 MiB whose dynamic section and names lie far behind its start.
    fn program() -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(3 << 20, 0);
        let (dynamic, strings) = ((2_u64 << 20) - 8, (2_u64 << 20) + 100_000);
        let size = bytes.len() as u64;
        let mut put = |at: u64, part: &[u8]| {
            let at = usize::try_from(at).expect("an offset");
            bytes[at..at + part.len()].copy_from_slice(part);
        };
        for (at, half) in [(16, 3_u16), (18, 62), (54, 56), (56, 2)] {
            put(at, &half.to_le_bytes());
        }
        put(32, &64_u64.to_le_bytes());
        for (at, kind, offset, length) in [(64, 1_u32, 0, size), (120, 2, dynamic, 48)] {
            put(at, &kind.to_le_bytes());
            for (field, number) in [(8, offset), (16, offset), (32, length)] {
                put(at + field, &number.to_le_bytes());
            }
        }
        for (index, number) in [1, 1, 5, strings].into_iter().enumerate() {
            put(dynamic + 8 * index as u64, &number.to_le_bytes());
        }
        put(strings + 1, b"libz.so.1");
        bytes
    }

    /// A library of 3 MiB with so many exported names that those of its libraries, at both ends of the table and behind
    /// another's, have passed when the dynamic section comes.
    fn library() -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(4096, 0);
        let (strings, size) = (4096_u64, 3_u64 << 20);
        let mut offsets = Vec::new();
        for symbol in 0.. {
            match symbol {
                0 | 60_000 | 100_000 => {
                    offsets.push(bytes.len() as u64 - strings);
                    bytes.extend(format!("libz{symbol}.so.1\0").bytes());
                }
                _ if bytes.len() > 5 << 19 => break,
                _ => bytes.extend(format!("_ZN6symbol{symbol}Ev\0").bytes()),
            }
        }
        // A name within another one.
        offsets.push(offsets[1] + 3);
        let dynamic = (bytes.len() as u64).next_multiple_of(8);
        bytes.resize(usize::try_from(size).expect("small"), 0);
        let mut put = |at: u64, part: &[u8]| {
            let at = usize::try_from(at).expect("an offset");
            bytes[at..at + part.len()].copy_from_slice(part);
        };
        for (at, half) in [(16, 3_u16), (18, 62), (54, 56), (56, 2)] {
            put(at, &half.to_le_bytes());
        }
        put(32, &64_u64.to_le_bytes());
        let tags: Vec<[u64; 2]> = offsets.iter().rev().map(|at| [1, *at]).chain([[5, strings], [0, 0]]).collect();
        for (at, kind, offset, length) in [(64, 1_u32, 0, size), (120, 2, dynamic, 16 * tags.len() as u64)] {
            put(at, &kind.to_le_bytes());
            for (field, number) in [(8, offset), (16, offset), (32, length)] {
                put(at + field, &number.to_le_bytes());
            }
        }
        for (index, number) in tags.iter().flatten().enumerate() {
            put(dynamic + 8 * index as u64, &number.to_le_bytes());
        }
        bytes
    }

    /// Some kilobytes once they are compressed, and gigabytes in memory.
    #[test]
    fn what_is_kept_of_a_layer_is_bounded() {
        let xattrs = Some(Box::new(vec![(b"user.a".as_slice().into(), vec![b'x'; 1_000_000].into())]));
        let kind = Kind::Directory;
        let (path, source) = (b"a".as_slice().into(), None);
        let entry = crate::layer::entry::Entry { path, kind, mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs, source };
        let mut one = Vec::new();
        crate::layer::tar::header(&entry, &mut one);
        let many = |count: usize| contents(io::Cursor::new(one.repeat(count)).chain([0; 1024].as_slice()));
        assert_eq!(many(2).expect("contents").nodes.len(), 2);
        assert!(many(140).expect_err("too much").to_string().contains("128 MiB would be kept"));
    }

    /// It was byte 0, whatever had been read.
    #[test]
    fn an_error_names_the_byte_of_the_archive() {
        let data = vec![7; 9000];
        let mut header = ::tar::Header::new_gnu();
        header.set_size(9000);
        let mut archive = ::tar::Builder::new(Vec::new());
        archive.append_data(&mut header, "file", data.as_slice()).expect("a vector takes everything");
        let bytes = archive.into_inner().expect("an archive");
        let error = contents(&bytes[..3000]).expect_err("it is cut off");
        assert!(matches!(error, UntarError::Io { offset: 3000, .. }), "{error}");
    }

    #[test]
    fn names_that_have_passed_are_known() {
        let bytes = library();
        let size = bytes.len() as u64;
        let names = ["z60000.so.1", "libz100000.so.1", "libz60000.so.1", "libz0.so.1"];
        let wanted: Vec<Box<[u8]>> = names.iter().map(|name| name.as_bytes().into()).collect();
        let check = |head: Head, how: &str| {
            let Head::Elf(elf) = head else { panic!("{how}: {head:?}") };
            assert_eq!(elf.needed.as_ref(), Some(&wanted), "{how}");
        };
        check(head(&bytes, size, |_| None), "at once");
        let part = |at: u64| Some(bytes[usize::try_from(at).ok()?..].iter().take(PART).copied().collect());
        check(head(&bytes[..FIRST], size, part), "part by part");
        for piece in [1 << 20, 4 << 20, 700_001, 65_536] {
            let mut passing = Passing::new(&bytes[..piece.max(1 << 20).min(bytes.len())], size);
            for (index, part) in bytes.chunks(piece).enumerate() {
                passing.pass((index * piece) as u64, part);
            }
            check(passing.head(), &format!("pieces of {piece}"));
        }
        let mut header = ::tar::Header::new_gnu();
        header.set_size(size);
        let mut archive = ::tar::Builder::new(Vec::new());
        archive.append_data(&mut header, "libown.so", bytes.as_slice()).expect("a vector takes everything");
        let found = contents(archive.into_inner().expect("an archive").as_slice()).expect("contents");
        let crate::layer::contents::Kind::File { head, .. } = &found.nodes[0].kind else { panic!("a file") };
        check(head.clone(), "from an archive");
    }

    #[test]
    fn a_large_program_tells_the_same_as_it_passes() {
        let bytes = program();
        let size = bytes.len() as u64;
        let whole = head(&bytes, size, |_| None);
        let Head::Elf(elf) = &whole else { panic!("{whole:?}") };
        assert_eq!(elf.needed, Some(vec![b"libz.so.1".as_slice().into()]));
        // Pieces as both codecs cut them, and such as cut a part in two.
        for piece in [1 << 20, 4 << 20, 700_001, (2 << 20) + 10] {
            let mut passing: Option<Passing> = None;
            for (index, part) in bytes.chunks(piece).enumerate() {
                let passing = passing.get_or_insert_with(|| Passing::new(part, size));
                passing.pass((index * piece) as u64, part);
            }
            let found = passing.expect("a piece").head();
            assert_eq!(found, whole, "pieces of {piece}");
        }
    }
}
