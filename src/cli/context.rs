//! What every command has at hand: the environment, the progress, and a way to say its result.

use std::fmt::Display;
use std::io::{self, Read as _, Write};
use std::sync::{Arc, OnceLock};

use anstream::ColorChoice as Colors;
use dockless::event::Observer;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use super::args::{ColorChoice, Output};
use super::failure::Failure;
use super::progress::Progress;
use super::settings::Settings;
use super::text::{json_without_commands, printable, without_commands};

/// The threads for a command that speaks to a registry.
pub fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(error).during("cannot start the threads for the network"))
}

/// Writes a result to stdout. That nobody reads it any more is no failure: the exit code has an answer of its own to
/// give.
pub fn to_stdout(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(error).during("cannot write the result to stdout"))
        }
        _ => Ok(()),
    }
}

/// What every command has at hand.
pub struct Context {
    /// What the environment says.
    pub settings: Settings,
    /// How to say things.
    pub output: Output,
    /// Progress, and the observer that the library reports to.
    pub progress: Arc<Progress>,
    /// What came by standard input, once it was read.
    input: OnceLock<String>,
}

impl Context {
    /// Reads the environment, and settles on colours and progress.
    pub fn new(output: Output) -> Result<Self, Failure> {
        // Before anything can fail: a failure is coloured as well.
        match output.color {
            ColorChoice::Auto => Colors::Auto.write_global(),
            ColorChoice::Always => Colors::Always.write_global(),
            ColorChoice::Never => Colors::Never.write_global(),
        }
        let settings = Settings::from_environment().map_err(Failure::new)?;
        if output.color == ColorChoice::Auto && (settings.no_color || settings.dumb_terminal) {
            Colors::Never.write_global();
        }
        let progress = Arc::new(Progress::new(output, &settings));
        Ok(Self { settings, output, progress, input: OnceLock::new() })
    }

    /// Whom the library tells of what it does.
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.progress) as _
    }

    /// The task definition that comes by standard input, which can be read but once.
    pub fn standard_input(&self) -> Result<&str, Failure> {
        /// No task definition or plan is larger.
        const LIMIT: u64 = (dockless::ecs::plan::MAX_BYTES + 1) as u64;
        if let Some(text) = self.input.get() {
            return Ok(text);
        }
        let mut text = String::new();
        io::stdin()
            .lock()
            .take(LIMIT)
            .read_to_string(&mut text)
            .map_err(|error| Failure::new(error).during("cannot read the task definition from standard input"))?;
        Ok(self.input.get_or_init(|| text))
    }

    /// Writes a line of the result to stdout.
    pub fn result(&self, line: impl Display) -> Result<(), Failure> {
        self.write(without_commands(&format!("{line}\n")).as_bytes())
    }

    /// Writes a document that goes into a file as it is.
    pub fn document(&self, text: &str) -> Result<(), Failure> {
        self.write(format!("{text}\n").as_bytes())
    }

    /// Writes the result to stdout as JSON, indented, since people read it as well.
    pub fn json<T: Serialize>(&self, document: &T) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(document).map_err(Failure::new)?;
        text.push('\n');
        self.write(json_without_commands(&text).as_bytes())
    }

    /// Writes a line for people to stderr, unless quiet.
    pub fn say(&self, line: impl Display) {
        if !self.output.quiet {
            self.find(line);
        }
    }

    /// Writes a line of a finding for people to stderr, also when quiet.
    pub fn find(&self, line: impl Display) {
        self.progress.above(|stderr| writeln!(stderr, "{}", printable(&line.to_string())));
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.progress.close();
        to_stdout(bytes)
    }
}
