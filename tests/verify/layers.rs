//! Layers as archives and images as blobs, so that what is judged has come the way of a real image.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read, Write as _};

use dockless::blob::{BlobError, BlobSource};
use dockless::event::Silent;
use dockless::image::inspect::{Facts, facts};
use dockless::oci::config::{Config, ImageConfiguration, RootFs};
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::manifest::{Index, Manifest};
use dockless::oci::media_type::{Compression, MediaType, layer};
use dockless::oci::platform::Platform;
use dockless::oci::{Extra, canonical};

/// One entry of a layer.
#[derive(Clone)]
pub(crate) struct Item {
    path: String,
    mode: u32,
    owner: u64,
    what: What,
}

#[derive(Clone)]
enum What {
    File(Vec<u8>),
    Folder,
    Link(String),
    Hard(String),
}

fn item(path: &str, mode: u32, what: What) -> Item {
    Item { path: path.into(), mode, owner: 0, what }
}

impl Item {
    pub(crate) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    pub(crate) fn is_at(&self, path: &str) -> bool {
        self.path == path
    }

    pub(crate) fn owner(self, owner: u64) -> Self {
        Self { owner, ..self }
    }
}

/// A file that may be executed.
pub(crate) fn bin(path: &str, bytes: impl AsRef<[u8]>) -> Item {
    item(path, 0o755, What::File(bytes.as_ref().to_vec()))
}

pub(crate) fn dir(path: &str) -> Item {
    item(path, 0o755, What::Folder)
}

pub(crate) fn sym(path: &str, target: &str) -> Item {
    item(path, 0o777, What::Link(target.into()))
}

pub(crate) fn hard(path: &str, target: &str) -> Item {
    item(path, 0o755, What::Hard(target.into()))
}

/// The path is gone.
pub(crate) fn gone(path: &str) -> Item {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    bin(&format!("{folder}/.wh.{name}"), b"")
}

/// The folder shows nothing of the layers below.
pub(crate) fn opaque(folder: &str) -> Item {
    bin(&format!("{folder}/.wh..wh..opq"), b"")
}

fn tar(items: &[Item]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        header.set_mode(item.mode);
        header.set_uid(item.owner);
        header.set_gid(item.owner);
        let path = item.path.trim_start_matches('/');
        let done = match &item.what {
            What::File(bytes) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, path, bytes.as_slice())
            }
            What::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                builder.append_data(&mut header, format!("{path}/"), &[][..])
            }
            What::Link(target) | What::Hard(target) => {
                let hard = matches!(item.what, What::Hard(_));
                header.set_entry_type(if hard { tar::EntryType::Link } else { tar::EntryType::Symlink });
                header.set_size(0);
                builder.append_link(&mut header, path, target)
            }
        };
        done.expect("a vector takes everything");
    }
    builder.into_inner().expect("a vector takes everything")
}

fn compressed(tar: Vec<u8>, compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => tar,
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&tar).expect("a vector takes everything");
            encoder.finish().expect("a vector takes everything")
        }
        Compression::Zstd => zstd::encode_all(tar.as_slice(), 1).expect("a vector takes everything"),
    }
}

/// Blobs by digest, in memory.
#[derive(Default)]
struct Blobs(HashMap<Digest, Vec<u8>>);

impl Blobs {
    fn put(&mut self, media_type: MediaType, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::of(media_type, &bytes);
        self.0.insert(descriptor.digest, bytes);
        descriptor
    }
}

impl BlobSource for Blobs {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BlobError> {
        let bytes = self.0.get(&descriptor.digest).expect("a blob");
        Ok(Box::new(Cursor::new(bytes.clone())))
    }

    fn place(&self) -> String {
        "memory".into()
    }
}

/// The facts of an index with this one image, read from its blobs.
pub(crate) fn read(platform: &Platform, layers: &[Vec<Item>], config: &Config, compression: Compression) -> Facts {
    let mut blobs = Blobs::default();
    let tars: Vec<Vec<u8>> = layers.iter().map(|items| tar(items)).collect();
    let diff_ids = tars.iter().map(|tar| Digest::of(tar)).collect();
    let layers: Vec<Descriptor> =
        tars.into_iter().map(|tar| blobs.put(layer(compression), compressed(tar, compression))).collect();
    let config = ImageConfiguration {
        created: None,
        author: None,
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        os_version: None,
        os_features: Vec::new(),
        variant: None,
        config: config.clone(),
        rootfs: RootFs::layers(diff_ids),
        history: Vec::new(),
        extra: Extra::new(),
    };
    let config = blobs.put(MediaType::ImageConfig, canonical(&config));
    let mut manifest = blobs.put(MediaType::ImageManifest, canonical(&Manifest::new(config, layers, BTreeMap::new())));
    manifest.platform = Some(platform.clone());
    let top = blobs.put(MediaType::ImageIndex, canonical(&Index::new(vec![manifest], BTreeMap::new())));
    facts("example.com/team/app:v1", &blobs, &top, 1, &Silent).expect("the facts of an image")
}
