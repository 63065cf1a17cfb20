//! Registries in this process: the embedded one with a log of its requests, and one that says what a test wants.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use dockless::layout::{IMAGE_NAME, Layout};
use dockless::oci::digest::Digest;
use dockless::serve::fault::Fault;
use dockless::serve::log::Record;
use dockless::serve::{Running, Server, Settings};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The embedded registry over a folder of its own. Dropped, it stops.
pub(crate) struct Registry {
    folder: TempDir,
    records: Arc<Mutex<Vec<Record>>>,
    address: SocketAddr,
    _server: Running,
    _runtime: Runtime,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self::with(Vec::new())
    }

    /// With things that go wrong.
    pub(crate) fn with(faults: Vec<Fault>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let records: Arc<Mutex<Vec<Record>>> = Arc::default();
        let sink = records.clone();
        let settings = Settings {
            log: Some(Arc::new(move |record| sink.lock().expect("no panic").push(record.clone()))),
            faults,
            ..Settings::new(&folder.path().join("oci"))
        };
        let runtime = Runtime::new().expect("threads");
        let server = runtime.block_on(Server::start(settings)).expect("a server");
        Self { folder, records, address: server.local_addr(), _server: server, _runtime: runtime }
    }

    /// `127.0.0.1:PORT/name`
    pub(crate) fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// The requests since the last time: method, path and status.
    pub(crate) fn requests(&self) -> Vec<String> {
        let records = std::mem::take(&mut *self.records.lock().expect("no panic"));
        let words = |record: &Record| {
            let status = record.status.map_or_else(|| "hung up".into(), |status| status.to_string());
            format!("{} {} {status}", record.method, record.path)
        };
        records.iter().map(words).collect()
    }

    /// The full names of what can be pulled by tag.
    pub(crate) fn tags(&self) -> Vec<String> {
        let layout = Layout::open(&self.folder.path().join("oci")).expect("a layout");
        let entries = layout.index().expect("an index").manifests;
        entries.into_iter().filter_map(|mut entry| entry.annotations.remove(IMAGE_NAME)).collect()
    }

    /// The file of a blob.
    pub(crate) fn blob(&self, digest: Digest) -> PathBuf {
        self.folder.path().join("oci/blobs/sha256").join(digest.encoded())
    }

    /// How many blobs it has.
    pub(crate) fn blobs(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("oci/blobs/sha256")).expect("the folder").count()
    }
}

/// A registry that gives the same answer to everything; what it is asked is kept.
pub(crate) struct Parrot {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Parrot {
    /// Answers with these bytes, whatever comes.
    pub(crate) fn new(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::with(move |_| answer.clone())
    }

    /// Answers the request of this number, from 0.
    pub(crate) fn with(mut answer: impl FnMut(usize) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = heads.clone();
        // It ends with the process: a test needs no more of it.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let Some(head) = head(&mut stream) else { continue };
                let number = {
                    let mut seen = seen.lock().expect("no panic");
                    seen.push(head);
                    seen.len() - 1
                };
                // A client that has seen enough may hang up.
                let _ = stream.write_all(&answer(number));
            }
        });
        Self { address, heads }
    }

    /// `127.0.0.1:PORT/name`
    pub(crate) fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// The first line of each request.
    pub(crate) fn requests(&self) -> Vec<String> {
        let first = |head: &String| head.lines().next().unwrap_or_default().to_owned();
        self.heads.lock().expect("no panic").iter().map(first).collect()
    }

    /// A text without the port, which is another each time.
    pub(crate) fn tame(&self, text: &str) -> String {
        text.replace(&self.address.to_string(), "127.0.0.1:[PORT]")
    }
}

fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).ok()
}
