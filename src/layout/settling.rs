//! A long file goes to the disk while it is written: little is left to wait for at its end.

use std::fs::File;
use std::io;
use std::thread::{Builder, JoinHandle};

/// After how many bytes the disk is asked to keep up.
const STRIDE: u64 = 32 << 20;

/// What is on its way to the disk.
#[derive(Default)]
pub(super) struct Settling {
    /// How many bytes there were when the disk was last asked.
    asked_at: u64,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl Settling {
    /// The file has so many bytes now.
    ///
    /// # Errors
    /// Where earlier ones did not reach the disk: the kernel says so once, to whoever asks first.
    pub(super) fn reach(&mut self, file: &File, size: u64) -> io::Result<()> {
        if size < self.asked_at + STRIDE || self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return Ok(());
        }
        self.end()?;
        self.asked_at = size;
        // Without a handle or a thread all is done at the end.
        if let Ok(file) = file.try_clone() {
            self.running = Builder::new().spawn(move || file.sync_data()).ok();
        }
        Ok(())
    }

    /// Waits for what is under way.
    ///
    /// # Errors
    /// Where it did not reach the disk.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self.running.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the thread that writes to the disk has stopped")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_asked_after_each_stride() {
        let file = tempfile::tempfile().expect("a file");
        let mut settling = Settling::default();
        settling.reach(&file, STRIDE - 1).expect("taken");
        assert!(settling.running.is_none());
        for strides in [1, 3] {
            settling.reach(&file, strides * STRIDE).expect("taken");
            assert_eq!(settling.asked_at, strides * STRIDE);
            settling.end().expect("on the disk");
        }
        settling.reach(&file, 4 * STRIDE - 1).expect("taken");
        assert!(settling.running.is_none());
    }
}
