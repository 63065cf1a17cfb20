//! Facts: what an image says of itself, and what its executables run on. The only place where an ELF machine and an
//! OCI architecture meet.

use std::sync::Arc;

use crate::elf::{Elf, Machine};
use crate::oci::config::ImageConfiguration;
use crate::oci::descriptor::Descriptor;
use crate::oci::platform::{Arch, Platform};

use super::root::Root;

/// What is known of an image.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The image as it was named: a path or a reference.
    pub name: String,
    /// The top: an image index, or a single manifest.
    pub top: Descriptor,
    /// Whether the top is an image index. A runtime takes a single manifest without looking at its platform.
    pub is_index: bool,
    /// The images, in the order of the index; one where the top is a manifest.
    pub images: Vec<ImageFacts>,
}

/// What is known of the image of one platform.
#[derive(Debug, Clone)]
pub struct ImageFacts {
    /// The platform that the index states for it; `None` without an index, or where the index states none.
    pub stated: Option<Platform>,
    /// The manifest.
    pub manifest: Descriptor,
    /// The configuration.
    pub config: ImageConfiguration,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// The merged root file system.
    pub root: Arc<Root>,
}

impl ImageFacts {
    /// The platform by which a runtime chooses it: the index's word, else the configuration's.
    pub fn platform(&self) -> Platform {
        self.stated.clone().unwrap_or_else(|| self.config.platform())
    }
}

/// The machine that programs of an architecture are made for, for the two that ECS runs and their older kin.
pub fn machine(architecture: &Arch) -> Option<Machine> {
    match architecture {
        Arch::Amd64 => Some(Machine::X86_64),
        Arch::ARM64 => Some(Machine::AARCH64),
        Arch::i386 => Some(Machine::I386),
        Arch::ARM => Some(Machine::ARM),
        _ => None,
    }
}

/// What an ELF file means for an image of some architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It runs there.
    Native,
    /// It is of another machine.
    Foreign,
    /// 32-bit x86 on amd64: it runs where the kernel has the 32-bit system calls, which Fargate does not promise.
    Compatible,
    /// Not a program for this kernel's CPU at all: BPF, GPU code, object files, debug symbols.
    Irrelevant,
}

/// Whether an ELF file runs on an architecture.
pub fn fit(elf: &Elf, architecture: &Arch) -> Fit {
    use crate::elf::Kind;
    const CUDA: Machine = Machine(190);
    const AMDGPU: Machine = Machine(224);
    if matches!(elf.machine, Machine::BPF | CUDA | AMDGPU)
        || matches!(elf.kind, Kind::Relocatable | Kind::Other)
        || !elf.has_code
    {
        return Fit::Irrelevant;
    }
    match (architecture, elf.machine) {
        (Arch::Amd64, Machine::X86_64) | (Arch::ARM64, Machine::AARCH64) if elf.is_64 && elf.little_endian => {
            Fit::Native
        }
        (Arch::Amd64, Machine::I386) => Fit::Compatible,
        _ => Fit::Foreign,
    }
}
