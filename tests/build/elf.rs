//! Programs for any machine, as small as a kernel would load them. What cannot be executed here can still be judged.

/// `EM_X86_64`
pub(crate) const X86_64: u16 = 62;
/// `EM_AARCH64`
pub(crate) const AARCH64: u16 = 183;

/// A static program: a header, one loadable segment, and code that is none.
pub(crate) fn program(machine: u16) -> Vec<u8> {
    const HEADERS: u64 = 64 + 56;
    let code = [0xcc_u8; 8];
    let size = HEADERS + code.len() as u64;
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut numbers = |numbers: &[(u64, usize)]| {
        for (number, width) in numbers {
            out.extend_from_slice(&number.to_le_bytes()[..*width]);
        }
    };
    // e_type ET_EXEC, e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags
    numbers(&[(2, 2), (machine.into(), 2), (1, 4), (0x40_0000 + HEADERS, 8), (64, 8), (0, 8), (0, 4)]);
    // e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
    numbers(&[(64, 2), (56, 2), (1, 2), (64, 2), (0, 2), (0, 2)]);
    // p_type PT_LOAD, p_flags R+X, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align
    numbers(&[(1, 4), (5, 4), (0, 8), (0x40_0000, 8), (0x40_0000, 8), (size, 8), (size, 8), (0x1000, 8)]);
    out.extend_from_slice(&code);
    out
}

#[test]
fn the_library_takes_it_for_a_program() {
    let bytes = program(AARCH64);
    let elf = dockless::elf::parse(&bytes, bytes.len() as u64).expect("an ELF file");
    assert_eq!((elf.machine.0, elf.kind, elf.truncated), (AARCH64, dockless::elf::Kind::Executable, false));
    assert!(elf.has_code && elf.interpreter.is_none());
}
