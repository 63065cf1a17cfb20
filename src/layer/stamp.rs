//! What tells, without opening a file, that it is what it was.
//!
//! Whatever writes to a file or changes its attributes moves its change time, which no program can set. That holds where a
//! live clock gives that time: the files of a file system that was made in one piece, a squashfs, may have whatever its
//! maker wrote, and another one may lie in its place with the same inodes and the same times.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

/// How a file stands on the disk. Two numbers: there are as many of them as entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Which file it is and when its content was last written: device, inode and modification time, mixed into one
    /// number, so that another file has the same once in 2^64.
    pub identity: u64,
    /// The time of the last change of its content or attributes, in nanoseconds since 1970; [`UNKNOWN`] where nothing can
    /// be told by it.
    pub changed: i64,
}

/// A change time that tells nothing: later than any time, so that nothing is believed of the file.
pub const UNKNOWN: i64 = i64::MAX;

impl Stamp {
    fn of(data: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        let modified = nanoseconds(data.mtime(), data.mtime_nsec());
        Self {
            identity: mix(mix(mix(data.dev()) ^ data.ino()) ^ modified.cast_unsigned()),
            changed: nanoseconds(data.ctime(), data.ctime_nsec()),
        }
    }

    /// Whether the file that this is of stands as it stood then.
    pub fn is_of(&self, data: &Metadata) -> bool {
        let now = Self::of(data);
        now.identity == self.identity && (self.changed == UNKNOWN || now.changed == self.changed)
    }
}

/// Spreads a number over all its bits, each number to another one (the finalizer of `SplitMix64`).
fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// Makes stamps, and knows whose clocks are live.
#[derive(Debug, Default)]
pub struct Clocks {
    /// By device. There are few: one, most often.
    live: Vec<(u64, bool)>,
}

impl Clocks {
    /// The stamp of the file at a path.
    pub fn stamp(&mut self, path: &Path, data: &Metadata) -> Stamp {
        let mut stamp = Stamp::of(data);
        if !self.is_live(path, data) {
            stamp.changed = UNKNOWN;
        }
        stamp
    }

    fn is_live(&mut self, path: &Path, data: &Metadata) -> bool {
        if let Some((_, live)) = self.live.iter().find(|(device, _)| *device == data.dev()) {
            return *live;
        }
        // A link would be followed, to nowhere or to another disk.
        let on_it = if data.is_symlink() { path.parent().unwrap_or(path) } else { path };
        let live = statvfs(if on_it.as_os_str().is_empty() { Path::new(".") } else { on_it })
            .is_ok_and(|disk| !disk.f_flag.contains(StatVfsMountFlags::RDONLY));
        self.live.push((data.dev(), live));
        live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_of_one_file_and_of_one_writing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut clocks = Clocks::default();
        let mut stamp = |name: &str, time: u64| {
            let path = folder.path().join(name);
            let file = std::fs::File::options().create(true).append(true).open(&path).expect("a file");
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(time)).expect("a time");
            let data = file.metadata().expect("what it is");
            let stamp = clocks.stamp(&path, &data);
            assert!(stamp.is_of(&data) && stamp.changed != UNKNOWN);
            stamp
        };
        let first = stamp("a", 5);
        assert_ne!(first.identity, stamp("b", 5).identity);
        assert_ne!(first.identity, stamp("a", 6).identity);
        assert_eq!(first.identity, stamp("a", 5).identity);
    }

    /// Two squashfs images made with one time, mounted one after the other, have the same inodes and times.
    #[test]
    fn where_no_clock_runs_nothing_is_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().metadata().expect("what it is");
        let mut clocks = Clocks { live: vec![(data.dev(), false)] };
        let stamp = clocks.stamp(folder.path(), &data);
        assert_eq!(stamp.changed, UNKNOWN);
        assert!(stamp.is_of(&data));
    }
}
