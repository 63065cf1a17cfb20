//! Progress as bars: one per job on its way, below the lines of those that are finished.

use std::fmt;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use dockless::event::Event;
use dockless::mutex::lock;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{Job, Kind, Running, Step, finished};
use crate::cli::text::{one_line, size, without_commands};

/// What is known to have an end.
const SIZED: &str = "{prefix:28!} [{bar:30}] {sizes}  {rate}";
/// What is not.
const UNSIZED: &str = "{prefix:28!} {sizes}  {rate}";
/// A command: how long it has been running, and what it said last.
const COMMAND: &str = "{prefix:28!} {elapsed}  {wide_msg}";

/// Draws bars on stderr.
pub(super) struct Bars {
    screen: MultiProgress,
    running: Mutex<Running<ProgressBar>>,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self::on(ProgressDrawTarget::stderr_with_hz(10))
    }

    fn on(target: ProgressDrawTarget) -> Self {
        Self { screen: MultiProgress::with_draw_target(target), running: Mutex::new(Running::new()) }
    }

    pub(super) fn note(&self, event: Event<'_>) {
        match Step::of(event) {
            None => {}
            Some(Step::Started { job, total }) => self.started(job, total),
            Some(Step::Advanced { job, bytes }) => {
                // The map is free again before anything is drawn.
                let bar = lock(&self.running).get(job).map(|bar| bar.clone());
                if let Some(bar) = bar {
                    bar.set_position(bytes);
                }
            }
            Some(Step::Said { job, line }) => {
                let bar = lock(&self.running).get(job).map(|bar| bar.clone());
                if let Some(bar) = bar {
                    bar.set_message(one_line(line).into_owned());
                }
            }
            Some(Step::Finished { job, size, word }) => {
                let bar = lock(&self.running).remove(job);
                let total = bar.as_ref().and_then(ProgressBar::length);
                let took = bar.as_ref().map_or(Duration::ZERO, ProgressBar::elapsed);
                if let Some(bar) = bar {
                    self.take_off(&bar);
                }
                let line = finished(job, size.or(total), word, took);
                self.suspend(|| {
                    // Nobody is left to be told when stderr is gone.
                    let _ = writeln!(anstream::stderr(), "{}", without_commands(&line));
                });
            }
        }
    }

    /// Runs what writes to the terminal while no bar is on it.
    pub(super) fn suspend(&self, write: impl FnOnce()) {
        self.screen.suspend(write);
    }

    /// Takes every bar off the screen.
    pub(super) fn close(&self) {
        let mut running = lock(&self.running);
        let Running { layers, runs, blobs } = &mut *running;
        for (_, bar) in layers.drain().chain(runs.drain()).chain(blobs.drain()) {
            self.take_off(&bar);
        }
    }

    fn started(&self, job: Job<'_>, total: Option<u64>) {
        let bar = match total {
            _ if job.kind == Kind::Run => ProgressBar::no_length().with_style(style(COMMAND)),
            Some(total) => ProgressBar::new(total).with_style(style(SIZED)),
            None => ProgressBar::no_length().with_style(style(UNSIZED)),
        };
        let bar = self.screen.add(bar.with_prefix(job.name()));
        let replaced = lock(&self.running).insert(job, bar.clone());
        if let Some(replaced) = replaced {
            self.take_off(&replaced);
        }
        bar.tick();
    }

    fn take_off(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.screen.remove(bar);
    }
}

/// A look with sizes as they are written everywhere else.
fn style(template: &str) -> ProgressStyle {
    let sizes = |state: &ProgressState, to: &mut dyn fmt::Write| {
        // A formatter of a string cannot fail.
        let _ = match state.len() {
            Some(total) => write!(to, "{} of {}", size(state.pos()), size(total)),
            None => write!(to, "{}", size(state.pos())),
        };
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive, and only shown")]
    let rate = |state: &ProgressState, to: &mut dyn fmt::Write| {
        let _ = write!(to, "{}/s", size(state.per_sec() as u64));
    };
    // The templates are those above: a wrong one would be seen by the test, and costs a look here.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .with_key("sizes", sizes)
        .with_key("rate", rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_come_and_go() {
        let bars = Bars::on(ProgressDrawTarget::hidden());
        bars.note(Event::LayerStarted { id: "app", bytes: 100 });
        bars.note(Event::LayerStarted { id: "app", bytes: 200 });
        bars.note(Event::LayerStarted { id: "deps", bytes: 0 });
        bars.note(Event::BlobStarted { id: "app", size: 10 });
        bars.note(Event::LayerAdvanced { id: "app", bytes: 50 });
        let layer = lock(&bars.running).layers["app"].clone();
        assert_eq!((layer.position(), layer.length()), (50, Some(200)));
        bars.close();
        assert!(layer.is_finished());
        assert!(lock(&bars.running).layers.is_empty() && lock(&bars.running).blobs.is_empty());
    }

    #[test]
    fn the_templates_are_sound() {
        for template in [SIZED, UNSIZED, COMMAND] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
