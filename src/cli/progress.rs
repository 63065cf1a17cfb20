//! Progress on stderr: bars on a terminal, lines elsewhere.
//!
//! Many threads report here, some of them for every 256 KiB: an advance looks up its job and stores a number; drawing
//! is left to a target that draws ten times a second at most.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write};
use std::sync::Mutex;
use std::time::Instant;

use dockless::event::{Event, Observer};
use dockless::mutex::lock;

use super::args::{Output, ProgressChoice};
use super::settings::Settings;
use super::text::{duration, one_line, printable, to_stderr};

mod bars;
mod plain;

use bars::Bars;
use plain::Plain;

/// Progress for whoever started the command.
pub struct Progress {
    face: Face,
    quiet: bool,
    verbose: bool,
    warnings: Mutex<Vec<String>>,
    started: Instant,
}

enum Face {
    None,
    Plain(Mutex<Plain<anstream::Stderr>>),
    Bars(Bars),
}

/// What is on its way. The word is the one that lines begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Layer,
    Run,
    Blob,
}

/// A job and what became of it.
#[derive(Debug, Clone, Copy)]
struct Job<'a> {
    kind: Kind,
    id: &'a str,
}

impl Job<'_> {
    /// `layer app`, `blob 44136fa355b3`
    fn name(self) -> String {
        let word = match self.kind {
            Kind::Layer => "layer",
            Kind::Run => "run",
            Kind::Blob => "blob",
        };
        // Of a digest, as much as people compare.
        let id = match self.id.strip_prefix("sha256:") {
            Some(hex) if hex.len() == 64 && hex.is_ascii() => &hex[..12],
            _ => self.id,
        };
        format!("{word} {}", one_line(id))
    }
}

impl Progress {
    /// The progress that the flags and the environment ask for.
    pub fn new(output: Output, settings: &Settings) -> Self {
        let bars = std::io::stderr().is_terminal() && !settings.dumb_terminal && !settings.ci;
        let face = match output.progress {
            _ if output.quiet => Face::None,
            ProgressChoice::None => Face::None,
            ProgressChoice::Auto if bars => Face::Bars(Bars::new()),
            ProgressChoice::Auto | ProgressChoice::Plain => Face::Plain(Mutex::new(Plain::new(anstream::stderr()))),
        };
        Self { face, quiet: output.quiet, verbose: output.verbose, warnings: Mutex::default(), started: Instant::now() }
    }

    /// The warnings so far, in order, for the report.
    pub fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }

    /// Writes to stderr, above the bars, also when quiet.
    pub fn above(&self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) {
        self.between(|| to_stderr(write));
    }

    /// Writes a command for GitHub's runner to stderr.
    pub fn command(&self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) {
        self.between(|| {
            let mut stderr = std::io::stderr().lock();
            write(&mut stderr)?;
            stderr.flush()
        });
    }

    fn between(&self, write: impl FnOnce() -> std::io::Result<()>) {
        let writing = || {
            // Nobody is left to be told when stderr is gone.
            let _ = write();
        };
        match &self.face {
            Face::Bars(bars) => bars.suspend(writing),
            // The lock keeps a line of progress from being written between these.
            Face::Plain(plain) => {
                let _plain = lock(plain);
                writing();
            }
            Face::None => writing(),
        }
    }

    /// Takes the bars off the screen; what comes now is the result or the failure.
    pub fn close(&self) {
        if let Face::Bars(bars) = &self.face {
            bars.close();
        }
    }

    fn warn(&self, text: &str) {
        if !self.quiet {
            let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
            self.above(|stderr| writeln!(stderr, "{yellow}warning{yellow:#}: {}", printable(text)));
        }
    }
}

impl Observer for Progress {
    fn note(&self, event: Event<'_>) {
        match event {
            Event::Warning(text) => {
                lock(&self.warnings).push(text.to_owned());
                self.warn(text);
            }
            Event::Retry { what, reason, after } => {
                self.warn(&format!("{what}: {reason}, again in {}", duration(after)));
            }
            Event::Told(text) => {
                if !self.quiet {
                    self.above(|stderr| writeln!(stderr, "{}", printable(text)));
                }
            }
            Event::Detail(text) => {
                if self.verbose && !self.quiet {
                    self.above(|stderr| writeln!(stderr, "{}", printable(text)));
                }
            }
            event => match &self.face {
                Face::None => {}
                Face::Plain(plain) => lock(plain).note(event, self.started.elapsed()),
                Face::Bars(bars) => bars.note(event),
            },
        }
    }
}

/// Jobs that are on their way, by kind and ID.
#[derive(Debug)]
struct Running<T> {
    layers: HashMap<String, T>,
    runs: HashMap<String, T>,
    blobs: HashMap<String, T>,
}

impl<T> Running<T> {
    fn new() -> Self {
        Self { layers: HashMap::new(), runs: HashMap::new(), blobs: HashMap::new() }
    }

    fn of(&mut self, kind: Kind) -> &mut HashMap<String, T> {
        match kind {
            Kind::Layer => &mut self.layers,
            Kind::Run => &mut self.runs,
            Kind::Blob => &mut self.blobs,
        }
    }

    fn insert(&mut self, job: Job<'_>, value: T) -> Option<T> {
        self.of(job.kind).insert(job.id.to_owned(), value)
    }

    fn get(&mut self, job: Job<'_>) -> Option<&mut T> {
        self.of(job.kind).get_mut(job.id)
    }

    fn remove(&mut self, job: Job<'_>) -> Option<T> {
        self.of(job.kind).remove(job.id)
    }
}

/// What an event means to whoever shows it.
enum Step<'a> {
    Started { job: Job<'a>, total: Option<u64> },
    Advanced { job: Job<'a>, bytes: u64 },
    Said { job: Job<'a>, line: &'a str },
    Finished { job: Job<'a>, size: Option<u64>, word: Option<&'static str> },
}

impl<'a> Step<'a> {
    /// The step that an event is; `None` for those that are lines.
    fn of(event: Event<'a>) -> Option<Self> {
        let layer = |id| Job { kind: Kind::Layer, id };
        let run = |id| Job { kind: Kind::Run, id };
        let blob = |id| Job { kind: Kind::Blob, id };
        Some(match event {
            Event::LayerStarted { id, bytes } => {
                Self::Started { job: layer(id), total: Some(bytes).filter(|bytes| *bytes > 0) }
            }
            Event::LayerAdvanced { id, bytes } => Self::Advanced { job: layer(id), bytes },
            Event::LayerFinished { id, size, cached } => {
                Self::Finished { job: layer(id), size: Some(size), word: cached.then_some("cached") }
            }
            Event::RunStarted { id } => Self::Started { job: run(id), total: None },
            Event::RunSaid { id, line } => Self::Said { job: run(id), line },
            Event::RunFinished { id, cached } => {
                Self::Finished { job: run(id), size: None, word: cached.then_some("cached") }
            }
            Event::BlobStarted { id, size } => Self::Started { job: blob(id), total: Some(size) },
            Event::BlobAdvanced { id, bytes } => Self::Advanced { job: blob(id), bytes },
            Event::BlobFinished { id, status } => {
                Self::Finished { job: blob(id), size: None, word: Some(status.word()) }
            }
            Event::Retry { .. } | Event::Warning(_) | Event::Told(_) | Event::Detail(_) => return None,
        })
    }
}

/// The line that a finished job leaves: `layer app  1.2 MB  (cached)`
fn finished(job: Job<'_>, size: Option<u64>, word: Option<&str>, took: std::time::Duration) -> String {
    let mut parts = vec![job.name()];
    parts.extend(size.map(super::text::size));
    parts.extend(word.map(|word| format!("({word})")));
    // Of what was done at once, nobody wants to know how long it took.
    if took.as_secs() > 0 {
        parts.push(format!("in {}", duration(took)));
    }
    parts.join("  ")
}
