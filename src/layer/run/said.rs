//! What a command says on its standard output and error, in its order: its end for people, and a file for the rest.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::mutex::lock;

/// How many lines are kept for people.
const LINES: usize = 200;
/// A longer line is cut into several.
const LINE: usize = 4 << 10;
/// How much goes to the file. A command that fails in a loop shall not fill the disk.
const LOG: usize = 64 << 20;
/// How long it is waited for the end of the pipe, once the command has ended.
const GRACE: Duration = Duration::from_millis(300);
/// A shorter text is no secret, and part of too many words.
const SHORTEST: usize = 6;

/// Texts that are replaced wherever they would be shown.
#[derive(Clone, Default)]
pub(super) struct Masks(Vec<Vec<u8>>);

impl Masks {
    /// The values, each line of them, and the passwords of URLs in them.
    pub(super) fn new(secrets: &[OsString]) -> Self {
        let mut masks: Vec<Vec<u8>> = Vec::new();
        for secret in secrets {
            for line in secret.as_bytes().split(|byte| matches!(byte, b'\n' | b'\r')) {
                masks.push(line.into());
                masks.extend(password(line).map(<[u8]>::to_vec));
            }
        }
        masks.retain(|mask| mask.len() >= SHORTEST);
        // The longest first, or a part of it would hide the whole.
        masks.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        masks.dedup();
        Self(masks)
    }

    fn mask(&self, line: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(line.len());
        let mut at = 0;
        while at < line.len() {
            if let Some(mask) = self.0.iter().find(|mask| line[at..].starts_with(mask)) {
                out.extend_from_slice(b"***");
                at += mask.len();
            } else {
                out.push(line[at]);
                at += 1;
            }
        }
        out
    }
}

/// The password of `scheme://user:password@host`.
fn password(text: &[u8]) -> Option<&[u8]> {
    let start = text.windows(3).position(|window| window == b"://")? + 3;
    let end = start + text[start..].iter().position(|byte| *byte == b'@')?;
    let colon = start + text[start..end].iter().position(|byte| *byte == b':')?;
    Some(&text[colon + 1..end])
}

/// A command's output on its way.
pub(super) struct Said {
    tail: Arc<Mutex<Tail>>,
    done: mpsc::Receiver<()>,
}

struct Tail {
    lines: VecDeque<String>,
    /// The line that has not ended yet.
    open: Vec<u8>,
    log: File,
    logged: usize,
    masks: Masks,
    /// Whether nobody wants to know any more.
    over: bool,
}

impl Said {
    /// Reads until the pipe ends.
    pub(super) fn listen(mut pipe: PipeReader, log: File, masks: Masks) -> Self {
        let tail = Tail { lines: VecDeque::new(), open: Vec::new(), log, logged: 0, masks, over: false };
        let tail = Arc::new(Mutex::new(tail));
        let (sender, done) = mpsc::channel();
        let shared = Arc::clone(&tail);
        // Not a thread of a scope: it is left alone where a process that outlives the command holds the pipe.
        std::thread::spawn(move || {
            let mut buffer = vec![0; 16 << 10];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) if !lock(&shared).take(&buffer[..count]) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            // Nobody listens where the wait was over before.
            let _ = sender.send(());
        });
        Self { tail, done }
    }

    /// Tells the last whole line so far that is not blank.
    pub(super) fn last(&self) -> impl Fn() -> String + Send + use<> {
        let tail = Arc::clone(&self.tail);
        move || lock(&tail).lines.iter().rev().find(|line| !line.trim().is_empty()).cloned().unwrap_or_default()
    }

    /// The last lines, once the command has ended.
    pub(super) fn end(self) -> Vec<String> {
        let _ = self.done.recv_timeout(GRACE);
        let mut tail = lock(&self.tail);
        if !tail.open.is_empty() {
            tail.end_line();
        }
        tail.over = true;
        std::mem::take(&mut tail.lines).into()
    }
}

impl Tail {
    /// Takes some bytes; the answer is whether more are wanted.
    fn take(&mut self, bytes: &[u8]) -> bool {
        if self.over {
            return false;
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            for piece in text.chunks(LINE) {
                if self.open.len() + piece.len() > LINE {
                    self.end_line();
                }
                self.open.extend_from_slice(piece);
            }
            if text.len() < part.len() {
                self.end_line();
            }
        }
        true
    }

    fn end_line(&mut self) {
        let open = std::mem::take(&mut self.open);
        let open = open.strip_suffix(b"\r").unwrap_or(&open);
        // What a progress bar has drawn over, nobody would have seen.
        let seen = open.rsplit(|byte| *byte == b'\r').next().unwrap_or_default();
        let masked = self.masks.mask(seen);
        if self.logged < LOG {
            self.logged += masked.len() + 1;
            // What does not get there is in the way of nothing.
            let _ = self.log.write_all(&masked).and_then(|()| self.log.write_all(b"\n"));
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(String::from_utf8_lossy(&masked).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_whole() {
        let masks = Masks::new(&["abcdef".into(), "abcdefgh".into(), "1".into(), "line one\nline two".into()]);
        let masked = |text: &str| String::from_utf8(masks.mask(text.as_bytes())).expect("text");
        assert_eq!(masked("x abcdefgh abcdef 1 line two"), "x *** *** 1 ***");
        let masks = Masks::new(&["https://user:secret-word@example.com/simple".into()]);
        assert_eq!(masks.mask(b"at secret-word, https://user:secret-word@example.com/simple"), b"at ***, ***");
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let log = tempfile::tempfile().expect("a file");
        let masks = Masks::default();
        let mut tail = Tail { lines: VecDeque::new(), open: Vec::new(), log, logged: 0, masks, over: false };
        for _ in 0..10 {
            assert!(tail.take(&[b'x'; 3000]));
        }
        assert!(tail.take(b"\n\nend"));
        let lengths: Vec<usize> = tail.lines.iter().map(String::len).collect();
        assert!(lengths.iter().all(|length| *length <= LINE) && lengths.iter().sum::<usize>() == 30_000, "{lengths:?}");
        assert_eq!((lengths.last(), tail.open.as_slice()), (Some(&0), b"end".as_slice()));
    }
}
