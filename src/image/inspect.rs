//! Facts: what an image says of itself, and what its executables run on. The only place where an ELF machine and an
//! OCI architecture meet.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use thiserror::Error;

use super::base::read_layer;
use super::root::Root;
use crate::blob::reach::{DEPTH, ReachError};
use crate::blob::{BlobError, BlobSource};
use crate::elf::{Elf, Machine};
use crate::event::{Event, Observer};
use crate::mutex;
use crate::oci::config::ImageConfiguration;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Index, Manifest};
use crate::oci::media_type::{Compression, Kind, kind};
use crate::oci::platform::{Arch, Platform};

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
    /// The platform by which a runtime chooses it, as it reads it: the index's word, else the configuration's.
    pub fn platform(&self) -> Platform {
        self.stated.as_ref().map_or_else(|| self.config.platform().normalized(), Platform::normalized)
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
    /// It is of another machine, or makes the calls of another operating system.
    Foreign,
    /// 32-bit x86 on amd64, 32-bit ARM on arm64: it runs where kernel and CPU still have the 32-bit mode. Fargate does
    /// not promise it; of the ARM CPUs of EC2, Graviton2 has it and Graviton4 has not.
    Compatible,
    /// Not a program for this kernel's CPU at all: BPF, GPU code, object files, debug symbols.
    Irrelevant,
}

/// `EI_OSABI` of NetBSD, Solaris, FreeBSD and OpenBSD: Linux would execute the file, and the first call would go
/// astray.
const OTHER_SYSTEMS: [u8; 4] = [2, 6, 9, 12];

/// Whether an ELF file runs on an architecture. Of architectures without a known [`machine`] nothing is said: all is
/// native there.
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
    let Some(wanted) = machine(architecture) else { return Fit::Native };
    if !elf.little_endian || OTHER_SYSTEMS.contains(&elf.os_abi) {
        return Fit::Foreign;
    }
    // x32, 32-bit pointers on x86_64, is another set of system calls, which kernels leave out or switch off.
    let is_64 = matches!(wanted, Machine::X86_64 | Machine::AARCH64);
    match (architecture, elf.machine) {
        (_, found) if found == wanted && elf.is_64 == is_64 => Fit::Native,
        (Arch::Amd64, Machine::I386) | (Arch::ARM64, Machine::ARM) if !elf.is_64 => Fit::Compatible,
        _ => Fit::Foreign,
    }
}

/// Why the facts of an image could not be had.
#[derive(Debug, Error)]
pub enum InspectError {
    /// A blob of it.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A document that is nested too deeply.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// A document that is not what its media type says.
    #[error("{digest} of {place} is not {what}")]
    Document {
        /// Its digest.
        digest: Digest,
        /// Where it is.
        place: String,
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        source: serde_json::Error,
    },
    /// A layer that cannot be read.
    #[error("cannot read layer {digest} of {place}")]
    Layer {
        /// Its digest.
        digest: Digest,
        /// Where it is.
        place: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The image cannot be judged.
    #[error("{place}: {reason}")]
    Shape {
        /// Where it is.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The documents of one platform's image.
#[derive(Debug, Clone)]
pub struct Documents {
    /// The platform that the index states.
    pub stated: Option<Platform>,
    /// The manifest's descriptor.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The configuration.
    pub config: ImageConfiguration,
}

/// The most images that an index may name: each is read, and a stranger's index may name any number.
const MOST_IMAGES: usize = 256;

/// The most bytes that their documents may have together: what is not known of them is kept as well.
const MOST_BYTES: u64 = 64 << 20;

/// Reads an image's documents: no layer is opened. The answer says whether the top is an index.
///
/// # Errors
/// Where one is missing, damaged or not what it should be.
pub fn documents(source: &dyn BlobSource, top: &Descriptor) -> Result<(bool, Vec<Documents>), InspectError> {
    let parsed = |digest: Digest, what: &'static str| {
        let place = source.place();
        move |error: serde_json::Error| InspectError::Document { digest, place, what, source: error }
    };
    let mut manifests = Vec::new();
    let mut read = HashSet::new();
    let mut todo = vec![(None, top.clone(), 0)];
    while let Some((stated, descriptor, depth)) = todo.pop() {
        match kind(&descriptor.media_type) {
            Kind::Index | Kind::Manifest if depth == DEPTH => {
                return Err(ReachError::Nested { digest: descriptor.digest, place: source.place() }.into());
            }
            // The same index again brings nothing new, but a few of them that name each other often enough do not end.
            Kind::Index if !read.insert(descriptor.digest) => {}
            Kind::Index => {
                let index: Index = serde_json::from_slice(&source.document(&descriptor)?)
                    .map_err(parsed(descriptor.digest, "an image index"))?;
                let entries = index.manifests.into_iter().rev().filter(|entry| !is_attestation(entry));
                todo.extend(entries.map(|entry| (entry.platform.clone(), entry, depth + 1)));
            }
            Kind::Manifest if manifests.len() < MOST_IMAGES => manifests.push((stated, descriptor)),
            Kind::Manifest => {
                let reason = format!("{} names more than {MOST_IMAGES} images", top.digest);
                return Err(InspectError::Shape { place: source.place(), reason });
            }
            _ if depth == 0 => {
                return Err(InspectError::Shape {
                    place: source.place(),
                    reason: format!("{} is no image, its media type is {}", descriptor.digest, descriptor.media_type),
                });
            }
            // Signatures and other artifacts beside the images.
            _ => {}
        }
    }
    let (mut images, mut room) = (Vec::new(), MOST_BYTES);
    for (stated, descriptor) in manifests {
        let mut document = |descriptor: &Descriptor| {
            room = room.checked_sub(descriptor.size).ok_or_else(|| InspectError::Shape {
                place: source.place(),
                reason: format!("the manifests and configurations have more than {} MiB together", MOST_BYTES >> 20),
            })?;
            Ok::<_, InspectError>(source.document(descriptor)?)
        };
        let manifest: Manifest =
            serde_json::from_slice(&document(&descriptor)?).map_err(parsed(descriptor.digest, "an image manifest"))?;
        if kind(&manifest.config.media_type) != Kind::Config {
            continue;
        }
        let config: ImageConfiguration = serde_json::from_slice(&document(&manifest.config)?)
            .map_err(parsed(manifest.config.digest, "an image configuration"))?;
        images.push(Documents { stated, descriptor, manifest, config });
    }
    if images.is_empty() {
        return Err(InspectError::Shape { place: source.place(), reason: "it holds no image of any platform".into() });
    }
    Ok((kind(&top.media_type) == Kind::Index, images))
}

/// An attestation that `BuildKit` puts into an index: it stands for no platform.
fn is_attestation(entry: &Descriptor) -> bool {
    entry.annotations.contains_key("vnd.docker.reference.type")
        || entry.platform.as_ref().is_some_and(|platform| {
            platform.os.to_string() == "unknown" && platform.architecture.to_string() == "unknown"
        })
}

/// Reads all that is known of an image: its documents, and every layer once, so many at a time.
///
/// # Errors
/// Where anything of it is missing or damaged.
pub fn facts(
    name: &str,
    source: &dyn BlobSource,
    top: &Descriptor,
    threads: usize,
    observer: &dyn Observer,
) -> Result<Facts, InspectError> {
    let (is_index, documents) = documents(source, top)?;
    let mut layers: Vec<Unread<'_, ()>> = Vec::new();
    for layer in documents.iter().flat_map(|image| &image.manifest.layers) {
        if !layers.iter().any(|(_, known, ())| known.digest == layer.digest) {
            layers.push((source, layer, ()));
        }
    }
    let contents = read_layers(&layers, threads, observer, |(source, layer, ()), compression| {
        read_layer(*source, layer, compression)
    })?;
    let images = documents.into_iter().map(|image| {
        let root = image.manifest.layers.iter().filter_map(|layer| contents.get(&layer.digest)).cloned().collect();
        ImageFacts {
            stated: image.stated,
            manifest: image.descriptor,
            config: image.config,
            layers: image.manifest.layers,
            root: Arc::new(Root::of(root)),
        }
    });
    Ok(Facts { name: name.into(), top: top.clone(), is_index, images: images.collect() })
}

/// A layer to be read, where it is, and what else is known of it.
pub(super) type Unread<'l, K> = (&'l dyn BlobSource, &'l Descriptor, K);

/// Reads layers with so many threads, each in its compression; the first that cannot be read ends it.
pub(super) fn read_layers<'l, K, T, R>(
    layers: &[Unread<'l, K>],
    threads: usize,
    observer: &dyn Observer,
    read: R,
) -> Result<HashMap<Digest, Arc<T>>, InspectError>
where
    K: Sync,
    T: Send,
    R: Fn(&Unread<'l, K>, Compression) -> Result<T, Box<dyn std::error::Error + Send + Sync>> + Sync,
{
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let work = || {
        while let Some(unread) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (source, layer, _) = unread;
            observer.note(Event::Detail(&format!("reading layer {}, {} bytes", layer.digest, layer.size)));
            let result = match kind(&layer.media_type) {
                Kind::Layer(compression) => read(unread, compression),
                _ => Err(format!("its media type {} is unknown", layer.media_type).into()),
            };
            if result.is_err() {
                next.store(layers.len(), Ordering::Relaxed);
            }
            let failed = |error| InspectError::Layer { digest: layer.digest, place: source.place(), source: error };
            mutex::lock(&results).push((layer.digest, result.map_err(failed)));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1).min(layers.len()) {
            scope.spawn(work);
        }
        work();
    });
    mutex::unpoisoned(results.into_inner())
        .into_iter()
        .map(|(digest, result)| Ok((digest, Arc::new(result?))))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::layout::Layout;
    use crate::oci::media_type::MediaType;

    #[test]
    fn an_index_that_names_itself_to_death_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = Layout::session(folder.path()).expect("a session");
        let index = |entries: Vec<Descriptor>| {
            let bytes = crate::oci::canonical(&Index::new(entries, BTreeMap::new()));
            session.put(&bytes).expect("a blob");
            Descriptor::of(MediaType::ImageIndex, &bytes)
        };
        let image = Descriptor::of(MediaType::ImageManifest, b"{}");
        let error = |top: &Descriptor| documents(session.layout(), top).expect_err("refused").to_string();
        assert!(error(&index(vec![image.clone(); 257])).ends_with("names more than 256 images"));
        // A thousand times a thousand images: the same index again brings nothing new, so it comes to one.
        let mut top = index(vec![image]);
        for _ in 0..2 {
            top = index(vec![top; 1000]);
        }
        assert!(error(&top).contains("is missing"));
    }

    #[test]
    fn an_image_below_many_indexes_is_found_or_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = Layout::session(folder.path()).expect("a session");
        let put = |media_type: MediaType, bytes: &[u8]| {
            session.put(bytes).expect("a blob");
            Descriptor::of(media_type, bytes)
        };
        let image = |platform: &Platform| {
            let config = serde_json::json!({
                "architecture": platform.architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}
            });
            let config = put(MediaType::ImageConfig, config.to_string().as_bytes());
            let manifest = Manifest::new(config, Vec::new(), BTreeMap::new());
            let entry = put(MediaType::ImageManifest, &crate::oci::canonical(&manifest));
            Descriptor { platform: Some(platform.clone()), ..entry }
        };
        let index = |entries: &[Descriptor]| {
            put(MediaType::ImageIndex, &crate::oci::canonical(&Index::new(entries.to_vec(), BTreeMap::new())))
        };
        let (amd64, arm64) = (image(&Platform::linux_amd64()), image(&Platform::linux_arm64()));
        let below = |indexes: usize| {
            let mut top = arm64.clone();
            for _ in 0..indexes {
                top = index(&[top]);
            }
            index(&[amd64.clone(), top])
        };
        let (_, images) = documents(session.layout(), &below(4)).expect("two images");
        let platforms: Vec<String> = images.iter().map(|image| image.config.platform().to_string()).collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
        let error = documents(session.layout(), &below(DEPTH)).expect_err("too deep").to_string();
        assert!(error.contains("is nested too deeply"), "{error}");
    }
}
