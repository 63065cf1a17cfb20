//! The registry client against registries that do what a script says.

#[path = "registry_wire/auth.rs"]
mod auth;
#[path = "registry_wire/ecr.rs"]
mod ecr;
#[path = "registry_wire/elsewhere.rs"]
mod elsewhere;
#[path = "registry_wire/fetch.rs"]
mod fetch;
#[path = "registry_wire/first.rs"]
mod first;
#[path = "registry_wire/peer.rs"]
mod peer;
#[path = "registry_wire/proxy.rs"]
mod proxy;
#[path = "registry_wire/push.rs"]
mod push;
#[path = "registry_wire/script.rs"]
mod script;
#[path = "registry_wire/upload.rs"]
mod upload;

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dockless::blob::{BlobError, BlobSource};
use dockless::event::{Event, Observer};
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::media_type::MediaType;
use dockless::oci::reference::Reference;
use dockless::registry::client::{Client, Settings};
use dockless::registry::http::retry::Retry;
use dockless::registry::http::transport::Patience;

/// Settings whose pauses do not hold up a test.
fn quick() -> Settings {
    let short = Duration::from_millis(2);
    Settings {
        retry: Retry { attempts: 4, first_pause: short, longest_pause: short, longest_asked: Duration::from_secs(1) },
        patience: Patience {
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(5),
            answer: Duration::from_secs(5),
        },
        ..Settings::default()
    }
}

fn client(settings: Settings) -> Client {
    Client::new(settings, Arc::new(dockless::event::Silent))
}

fn reference(host: &str, rest: &str) -> Reference {
    format!("{host}/{rest}").parse().expect("a reference")
}

/// Bytes that are different everywhere.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn layer(bytes: &[u8]) -> Descriptor {
    Descriptor::of(MediaType::ImageLayerGzip, bytes)
}

/// Blobs in memory.
#[derive(Default)]
struct Memory(HashMap<Digest, Vec<u8>>);

impl Memory {
    fn with(mut self, bytes: &[u8]) -> Self {
        self.0.insert(Digest::of(bytes), bytes.to_vec());
        self
    }
}

impl BlobSource for Memory {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BlobError> {
        let missing = || BlobError::Missing { digest: descriptor.digest, place: self.place() };
        Ok(Box::new(Cursor::new(self.0.get(&descriptor.digest).ok_or_else(missing)?.clone())))
    }

    fn place(&self) -> String {
        "memory".into()
    }
}

/// Keeps what was told.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn all(&self) -> Vec<String> {
        self.0.lock().expect("notes").clone()
    }
}

impl Observer for Notes {
    fn note(&self, event: Event<'_>) {
        let text = match event {
            Event::Retry { what, reason, .. } => format!("retry {what}: {reason}"),
            Event::BlobAdvanced { bytes, .. } => format!("advanced {bytes}"),
            Event::BlobFinished { status, .. } => format!("finished {}", status.word()),
            Event::Warning(text) => format!("warning {text}"),
            _ => return,
        };
        self.0.lock().expect("notes").push(text);
    }
}
