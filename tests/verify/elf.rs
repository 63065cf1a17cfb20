//! ELF files made by hand, as small as a kernel and a loader would take them.

use dockless::elf::Machine;

/// What an ELF file says.
#[derive(Clone)]
pub(crate) struct Program {
    pub machine: u16,
    pub is_64: bool,
    pub little_endian: bool,
    /// `e_type`: 1 relocatable, 2 executable, 3 shared.
    pub kind: u16,
    pub os_abi: u8,
    pub interpreter: &'static str,
    pub needed: Vec<&'static str>,
    /// The tag and the text: 15 `DT_RPATH`, 29 `DT_RUNPATH`.
    pub search_path: Option<(u64, &'static str)>,
    pub soname: &'static str,
    /// Whether its loadable segment has content.
    pub has_code: bool,
}

/// A static program.
pub(crate) fn made_for(machine: Machine) -> Program {
    Program {
        machine: machine.0,
        is_64: !matches!(machine, Machine::I386 | Machine::ARM),
        little_endian: true,
        kind: 2,
        os_abi: 0,
        interpreter: "",
        needed: Vec::new(),
        search_path: None,
        soname: "",
        has_code: true,
    }
}

impl Program {
    /// A program that this loader starts, with these libraries.
    pub(crate) fn with(self, interpreter: &'static str, needed: &[&'static str]) -> Self {
        Self { kind: 3, interpreter, needed: needed.to_vec(), ..self }
    }

    /// A library that needs these.
    pub(crate) fn library(self, needed: &[&'static str]) -> Self {
        Self { kind: 3, needed: needed.to_vec(), ..self }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let dynamic = !self.needed.is_empty() || self.search_path.is_some() || !self.soname.is_empty();
        let (header, entry, wide) = if self.is_64 { (64, 56, 8) } else { (52, 32, 4) };
        let segments = 1 + usize::from(!self.interpreter.is_empty()) + usize::from(dynamic);
        let interp_at = header + entry * segments;
        let dynamic_at = (interp_at + self.interpreter.len() + 1).next_multiple_of(wide);
        let mut strings = vec![0];
        let mut put = |text: &str| {
            let at = strings.len();
            strings.extend(text.bytes().chain([0]));
            at as u64
        };
        let mut tags: Vec<(u64, u64)> = self.needed.iter().map(|name| (1, put(name))).collect();
        tags.extend(self.search_path.map(|(tag, text)| (tag, put(text))));
        if !self.soname.is_empty() {
            tags.push((14, put(self.soname)));
        }
        let strings_at = dynamic_at + 2 * wide * (tags.len() + 2);
        tags.extend([(5, strings_at as u64), (0, 0)]);
        let size = strings_at + strings.len() + 16;

        let mut out = vec![0; size];
        let number = |out: &mut Vec<u8>, at: usize, number: u64, width: usize| {
            let bytes = if self.little_endian { number.to_le_bytes() } else { number.to_be_bytes() };
            let part = if self.little_endian { &bytes[..width] } else { &bytes[8 - width..] };
            out[at..at + width].copy_from_slice(part);
        };
        out[..4].copy_from_slice(b"\x7fELF");
        (out[4], out[5], out[6], out[7]) =
            (if self.is_64 { 2 } else { 1 }, if self.little_endian { 1 } else { 2 }, 1, self.os_abi);
        number(&mut out, 16, self.kind.into(), 2);
        number(&mut out, 18, self.machine.into(), 2);
        let (table, sizes) = if self.is_64 { (32, 52) } else { (28, 40) };
        number(&mut out, table, header as u64, wide);
        number(&mut out, sizes, header as u64, 2);
        number(&mut out, sizes + 2, entry as u64, 2);
        number(&mut out, sizes + 4, segments as u64, 2);
        let mut at = header;
        let mut segment = |out: &mut Vec<u8>, kind: u64, offset: usize, size: usize| {
            number(out, at, kind, 4);
            let (start, address, length) = if self.is_64 { (8, 16, 32) } else { (4, 8, 16) };
            number(out, at + start, offset as u64, wide);
            number(out, at + address, offset as u64, wide);
            number(out, at + length, size as u64, wide);
            at += entry;
        };
        segment(&mut out, 1, 0, if self.has_code { size } else { 0 });
        if !self.interpreter.is_empty() {
            segment(&mut out, 3, interp_at, self.interpreter.len() + 1);
            out[interp_at..interp_at + self.interpreter.len()].copy_from_slice(self.interpreter.as_bytes());
        }
        if dynamic {
            segment(&mut out, 2, dynamic_at, 2 * wide * tags.len());
            for (index, (tag, value)) in tags.iter().enumerate() {
                number(&mut out, dynamic_at + 2 * wide * index, *tag, wide);
                number(&mut out, dynamic_at + 2 * wide * index + wide, *value, wide);
            }
            out[strings_at..strings_at + strings.len()].copy_from_slice(&strings);
        }
        out
    }
}

#[test]
fn the_library_reads_what_was_made() {
    for (machine, little_endian) in [(Machine::X86_64, true), (Machine::AARCH64, false), (Machine::I386, true)] {
        let made = Program { little_endian, search_path: Some((15, "/opt")), soname: "x.so", ..made_for(machine) };
        let bytes = made.with("/lib/ld.so", &["liba.so", "libb.so"]).bytes();
        let elf = dockless::elf::parse(&bytes, bytes.len() as u64).expect("an ELF file");
        assert_eq!((elf.machine, elf.little_endian, elf.truncated), (machine, little_endian, false));
        assert_eq!(elf.interpreter.as_deref(), Some(b"/lib/ld.so".as_slice()));
        assert_eq!(elf.needed.expect("libraries"), [Box::from(*b"liba.so"), Box::from(*b"libb.so")]);
        assert_eq!((elf.search_path.as_deref(), elf.inherited), (Some(b"/opt".as_slice()), true));
        assert_eq!(elf.soname.as_deref(), Some(b"x.so".as_slice()));
    }
}
