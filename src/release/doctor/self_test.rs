//! A tiny image goes to the registry in all the ways that a push has, and away again: what only the real thing can
//! prove.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::Arc;
use std::time::Instant;

use super::{Check, Doctor, Outcome, unique};
use crate::aws::registry::Registry;
use crate::blob::{BlobError, BlobSource};
use crate::event::{BlobStatus, Observer};
use crate::oci::config::{Config, ImageConfiguration, RootFs};
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Index, Manifest};
use crate::oci::media_type::MediaType;
use crate::oci::platform::Platform;
use crate::oci::reference::Reference;
use crate::registry::client::{Access, Repository};
use crate::registry::error::Error;
use crate::registry::push::{Options, push};
use crate::registry::upload::dialect::ChunkSize;

/// Parts of the least size that ECR takes, and a layer of two and a bit: a part in the middle, and a short last one.
const PART: u64 = 5 << 20;
const NOISE: usize = (11 << 20) + 7;

/// An image in memory.
struct Tiny {
    blobs: BTreeMap<Digest, Vec<u8>>,
    top: Descriptor,
    manifest: Descriptor,
}

impl BlobSource for Tiny {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BlobError> {
        let missing = || BlobError::Missing { digest: descriptor.digest, place: self.place() };
        Ok(Box::new(Cursor::new(self.blobs.get(&descriptor.digest).ok_or_else(missing)?.clone())))
    }

    fn place(&self) -> String {
        "the self-test's image".into()
    }
}

impl Tiny {
    /// An image whose layer is one file of noise, unlike that of any other run: nothing of it is at the registry.
    fn new(name: &str) -> Result<Self, serde_json::Error> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(NOISE as u64);
        header.set_mode(0o644);
        let noise = noise(name, NOISE);
        // A vector takes everything, and the name is short.
        let written = tar.append_data(&mut header, "dockless-self-test", noise.as_slice());
        let layer = written.and_then(|()| tar.into_inner()).map_err(serde::ser::Error::custom)?;
        let platform = Platform::linux_amd64();
        let mut tiny = BTreeMap::new();
        let mut add = |media_type: MediaType, bytes: Vec<u8>| {
            let descriptor = Descriptor::of(media_type, &bytes);
            tiny.insert(descriptor.digest, bytes);
            descriptor
        };
        let layer = add(MediaType::ImageLayer, layer);
        let config = ImageConfiguration {
            created: Some("1970-01-01T00:00:00Z".into()),
            author: None,
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            os_version: None,
            os_features: Vec::new(),
            variant: None,
            config: Config::default(),
            rootfs: RootFs::layers(vec![layer.digest]),
            history: Vec::new(),
            extra: BTreeMap::default(),
        };
        let config = add(MediaType::ImageConfig, serde_json::to_vec(&config)?);
        let manifest = Manifest::new(config, vec![layer], BTreeMap::new());
        let mut manifest = add(MediaType::ImageManifest, serde_json::to_vec(&manifest)?);
        manifest.platform = Some(platform);
        let index = Index::new(vec![manifest.clone()], BTreeMap::new());
        let top = add(MediaType::ImageIndex, serde_json::to_vec(&index)?);
        Ok(Self { blobs: tiny, top, manifest })
    }
}

/// Bytes without a pattern, the same for the same name (xorshift64).
fn noise(name: &str, length: usize) -> Vec<u8> {
    let mut state = name
        .bytes()
        .fold(0x9e37_79b9_7f4a_7c15_u64, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(super) async fn run(doctor: &Doctor<'_>, observer: Arc<dyn Observer>) -> Vec<Check> {
    let tag = format!("dockless-self-test-{}", unique());
    let mut checks = Vec::new();
    let name = format!("{}:{tag}", doctor.reference.name());
    let made = name.parse::<Reference>().map_err(|error| error.to_string());
    let made =
        made.and_then(|reference| Tiny::new(&tag).map(|tiny| (reference, tiny)).map_err(|error| error.to_string()));
    let (reference, tiny) = match made {
        Ok(made) => made,
        Err(error) => return vec![Check::new("self-test", Outcome::Failed, error)],
    };
    let (top, manifest, tiny) = (tiny.top.clone(), tiny.manifest.clone(), Arc::new(tiny));
    for (check, whole) in [("upload", false), ("again", true)] {
        checks.push(send(doctor, &tiny, &reference, (check, whole), &observer).await);
    }
    if checks.iter().all(|check| check.outcome == Outcome::Ok) {
        checks.push(match read_back(doctor, &reference, &tiny, &tag).await {
            Ok(bytes) => {
                Check::new("read", Outcome::Ok, format!("{bytes} bytes came back with the digests they left with"))
            }
            Err(error) => Check::failed("read", &error),
        });
    }
    // Also after a failure: parts of it may be there.
    checks.push(tidy(doctor, &reference, &top, &manifest).await);
    checks
}

async fn send(
    doctor: &Doctor<'_>,
    tiny: &Arc<Tiny>,
    reference: &Reference,
    (check, again): (&'static str, bool),
    observer: &Arc<dyn Observer>,
) -> Check {
    let options = Options { chunk_size: Some(ChunkSize::Bytes(PART)), ..Options::default() };
    let begun = Instant::now();
    let source = Arc::clone(tiny) as Arc<dyn BlobSource>;
    let references = std::slice::from_ref(reference);
    match push(doctor.client, source, &tiny.top, references, &options, Arc::clone(observer)).await {
        Ok(pushed) => {
            let sent: u64 = pushed.uploads.iter().map(|upload| upload.bytes_sent).sum();
            let present = pushed.uploads.iter().filter(|upload| upload.status == BlobStatus::Present).count();
            if again && sent > 0 {
                let message = format!("{sent} bytes were sent a second time: the registry does not show what it has");
                return Check::new(check, Outcome::Failed, message);
            }
            let seconds = begun.elapsed().as_secs_f64();
            let message = if again {
                format!("pushed a second time: {present} blobs were there, nothing was sent")
            } else {
                let retries: u32 = pushed.uploads.iter().map(|upload| upload.retries).sum();
                format!("{sent} bytes in parts of 5 MiB in {seconds:.1} s, {retries} retries")
            };
            Check::new(check, Outcome::Ok, message)
        }
        Err(error) => Check::failed(check, &error.error),
    }
}

/// Pulls the image by its tag, to the last byte.
async fn read_back(doctor: &Doctor<'_>, reference: &Reference, tiny: &Tiny, tag: &str) -> Result<u64, Error> {
    let repository: Repository = doctor.client.repository(reference, Access::Pull)?;
    let (top, _) = repository.get_manifest(tag).await?;
    if top.digest != tiny.top.digest {
        let reference = reference.to_string();
        return Err(Error::OtherDigest { reference, digest: top.digest });
    }
    let mut bytes = 0;
    for (digest, content) in &tiny.blobs {
        if *digest == tiny.top.digest || *digest == tiny.manifest.digest {
            bytes += repository.get_manifest(&digest.to_string()).await?.1.len() as u64;
            continue;
        }
        let mut stream = repository.get_blob(*digest, 0).await?;
        let mut read = Vec::with_capacity(content.len());
        while let Some(chunk) = stream.chunk().await? {
            read.extend_from_slice(&chunk);
            if read.len() > content.len() {
                break;
            }
        }
        if read != *content {
            let repository = repository.full_name();
            return Err(Error::Size {
                digest: *digest,
                repository,
                promised: content.len() as u64,
                found: read.len() as u64,
            });
        }
        bytes += read.len() as u64;
    }
    Ok(bytes)
}

/// Deletes what was pushed. Blobs that no manifest names any more go by ECR's own hand.
async fn tidy(doctor: &Doctor<'_>, reference: &Reference, top: &Descriptor, manifest: &Descriptor) -> Check {
    let check = "delete";
    let by_hand = || Some(format!("delete {reference} by hand"));
    let Some(session) = doctor.session else {
        return Check::new(check, Outcome::Warning, "it takes AWS credentials to delete an image").help(by_hand());
    };
    let registry = Registry::new(session, doctor.host);
    // The index first: a manifest that an index names is not deleted.
    for digest in [top.digest, manifest.digest] {
        match registry.delete(reference.repository(), &[digest.to_string()]).await {
            Ok(()) => {}
            Err(error) if error.is("ImageNotFound") => {}
            Err(error) => {
                let refused = Check::refused(check, Outcome::Warning, &error);
                let help = refused.help.clone().into_iter().chain(by_hand()).collect::<Vec<_>>().join("; ");
                return refused.help(Some(help));
            }
        }
    }
    Check::new(check, Outcome::Ok, "the image is gone again")
}
