//! Progress as lines: when a job starts, when it ends, and now and then while it takes long. For logs, which nobody
//! watches but somebody reads.

use std::io::Write;
use std::time::Duration;

use dockless::event::Event;

use super::{Job, Running, Step, finished};
use crate::cli::text::{duration, one_line, size, without_commands};

/// How long a job is silent.
const EVERY: Duration = Duration::from_secs(10);

/// What is smaller is done before its start has been read: its end is enough.
const LARGE: u64 = 8_000_000;

/// Writes lines. The time is handed in, as the time since the command started.
pub(super) struct Plain<W> {
    writer: W,
    running: Running<Line>,
}

/// What was said of a job.
struct Line {
    total: Option<u64>,
    started: Duration,
    /// When, and how many bytes, it was last.
    said: (Duration, u64),
}

impl<W: Write> Plain<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer, running: Running::new() }
    }

    pub(super) fn note(&mut self, event: Event<'_>, now: Duration) {
        let line = match Step::of(event) {
            None => None,
            Some(Step::Started { job, total }) => self.started(job, total, now),
            Some(Step::Advanced { job, bytes }) => self.advanced(job, bytes, now),
            Some(Step::Said { job, line }) => self.said(job, line, now),
            Some(Step::Finished { job, size, word }) => {
                let line = self.running.remove(job);
                let took = line.as_ref().map_or(Duration::ZERO, |line| now.saturating_sub(line.started));
                Some(finished(job, size.or(line.and_then(|line| line.total)), word, took))
            }
        };
        if let Some(line) = line {
            // Nobody is left to be told when stderr is gone.
            let _ = writeln!(self.writer, "{}", without_commands(&line));
        }
    }

    fn started(&mut self, job: Job<'_>, total: Option<u64>, now: Duration) -> Option<String> {
        self.running.insert(job, Line { total, started: now, said: (now, 0) });
        match total {
            Some(total) if total < LARGE => None,
            Some(total) => Some(format!("{}  started, {}", job.name(), size(total))),
            None => Some(format!("{}  started", job.name())),
        }
    }

    fn advanced(&mut self, job: Job<'_>, bytes: u64, now: Duration) -> Option<String> {
        let line = self.running.get(job)?;
        let (then, before) = line.said;
        let passed = now.saturating_sub(then);
        if passed < EVERY {
            return None;
        }
        line.said = (now, bytes);
        // An upload that began anew is behind what was said last: its rate is of no use.
        let rate = u128::from(bytes.saturating_sub(before)) * 1000 / passed.as_millis().max(1);
        let rate = size(u64::try_from(rate).unwrap_or(u64::MAX));
        Some(match line.total {
            Some(total) => {
                let percent = u128::from(bytes) * 100 / u128::from(total.max(1));
                format!("{}  {percent}%  {} of {}  {rate}/s", job.name(), size(bytes), size(total))
            }
            None => format!("{}  {}  {rate}/s", job.name(), size(bytes)),
        })
    }

    /// How long a command has been running, and the last that it said.
    fn said(&mut self, job: Job<'_>, said: &str, now: Duration) -> Option<String> {
        let line = self.running.get(job)?;
        if now.saturating_sub(line.said.0) < EVERY {
            return None;
        }
        line.said.0 = now;
        let running = now.saturating_sub(line.started);
        Some(format!("{}  {}  {}", job.name(), duration(running), one_line(said)).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use dockless::event::BlobStatus;

    use super::*;

    #[test]
    fn says_what_starts_ends_and_takes_long() {
        let mut plain = Plain::new(Vec::new());
        let id = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let mut at = |ms: u64, event: Event<'_>| plain.note(event, Duration::from_millis(ms));
        at(0, Event::LayerStarted { id: "app", bytes: 120_000_000 });
        at(1, Event::LayerStarted { id: "deps linux/arm64", bytes: 0 });
        at(2, Event::LayerFinished { id: "deps linux/arm64", size: 1_200_000, cached: true });
        at(9_999, Event::LayerAdvanced { id: "app", bytes: 30_000_000 });
        at(10_000, Event::LayerAdvanced { id: "app", bytes: 54_000_000 });
        at(10_001, Event::LayerAdvanced { id: "app", bytes: 55_000_000 });
        at(12_000, Event::LayerFinished { id: "app", size: 40_000_000, cached: false });
        at(12_000, Event::BlobStarted { id, size: 40_000_000 });
        at(22_500, Event::BlobAdvanced { id, bytes: 20_000_000 });
        at(33_000, Event::BlobAdvanced { id, bytes: 10_000_000 });
        at(80_000, Event::BlobFinished { id, status: BlobStatus::Uploaded });
        at(80_000, Event::BlobFinished { id: "other", status: BlobStatus::Present });
        at(0, Event::RunStarted { id: "deps (linux/amd64)" });
        at(9_900, Event::RunSaid { id: "deps (linux/amd64)", line: "" });
        at(10_100, Event::RunSaid { id: "deps (linux/amd64)", line: "" });
        at(20_000, Event::RunSaid { id: "deps (linux/amd64)", line: "Collecting django" });
        at(20_100, Event::RunSaid { id: "deps (linux/amd64)", line: "Collecting \u{1b}[31mdjango" });
        at(21_000, Event::RunFinished { id: "deps (linux/amd64)", cached: false });
        at(21_000, Event::RunFinished { id: "deps (linux/arm64)", cached: true });
        at(80_000, Event::LayerAdvanced { id: "never started", bytes: 1 });
        at(80_000, Event::LayerStarted { id: "evil\u{1b}[2J\n::stop-commands::x", bytes: 9_000_000 });
        at(80_000, Event::LayerStarted { id: "app ##[add-mask]e", bytes: 9_000_000 });
        at(80_000, Event::RunStarted { id: "deps (linux/amd64)" });
        at(90_000, Event::RunSaid { id: "deps (linux/amd64)", line: "##[add-mask]e" });
        let said = String::from_utf8(plain.writer).expect("text");
        let expected = "\
layer app  started, 120.0 MB
layer deps linux/arm64  started
layer deps linux/arm64  1.2 MB  (cached)
layer app  45%  54.0 MB of 120.0 MB  5.4 MB/s
layer app  40.0 MB  in 12 s
blob 44136fa355b3  started, 40.0 MB
blob 44136fa355b3  50%  20.0 MB of 40.0 MB  1.9 MB/s
blob 44136fa355b3  25%  10.0 MB of 40.0 MB  0 B/s
blob 44136fa355b3  40.0 MB  (uploaded)  in 1 min 8 s
blob other  (present)
run deps (linux/amd64)  started
run deps (linux/amd64)  10 s
run deps (linux/amd64)  20 s  Collecting \u{fffd}[31mdjango
run deps (linux/amd64)  in 21 s
run deps (linux/arm64)  (cached)
layer evil\u{fffd}[2J\\n::stop-commands::x  started, 9.0 MB
layer app ## [add-mask]e  started, 9.0 MB
run deps (linux/amd64)  started
run deps (linux/amd64)  10 s  ## [add-mask]e
";
        assert_eq!(said, expected);
    }
}
