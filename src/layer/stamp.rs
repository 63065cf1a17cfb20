//! What tells, without opening a file, that it is what it was.
//!
//! Whatever writes to a file or changes its attributes moves its change time, which no program can set. (But for who
//! writes into a page of a shared memory map that is not on the disk yet: the first such write moves the time, those of
//! the next half minute do not. To ask for each file's pages to be written would cost every build more than the cache
//! saves; the README says so.) That holds where a live clock gives that time. The files of a file system that was made
//! in one piece, a squashfs, may have whatever its maker wrote, and another one may lie in its place with the same
//! inodes and the same times; and one that keeps no change times (sshfs and much else behind FUSE, vfat, 9p) shows the
//! modification time instead, which every program can set. So a change time is believed where the kind of file system
//! is known to have it, and nowhere else.
//!
//! An overlay, on which containers run, shows each file with the times of the layer that has it. The layers of a
//! container are mostly folders of a file system with live clocks, but a lower one may be a squashfs or anything else.
//! The times that no clock has given are of whole seconds (squashfs keeps no others, sshfs is told no others, makers of
//! images set such), while that a live clock hits a whole second happens once in ages: so on an overlay a time with a
//! fraction is believed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{StatFs, StatVfsMountFlags, statfs, statvfs};
use serde::{Deserialize, Serialize};

/// How a file stands on the disk. Two numbers: there are as many of them as entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Which file it is and when its content was last written: device, inode and modification time, mixed into one
    /// number, so that another file has the same once in 2^64.
    pub identity: u64,
    /// The time of the last change of its content or attributes, in nanoseconds since 1970; [`UNKNOWN`] where nothing
    /// can be told by it.
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

/// What is known of the change times of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// A live clock gives them.
    Live,
    /// One does where they have a fraction of a second. There are overlays on Linux alone.
    #[cfg(any(test, not(target_vendor = "apple")))]
    LiveInFractions,
    /// Nobody knows what gives them.
    Unknown,
}

/// Makes stamps, and knows whose clocks are live.
#[derive(Debug, Default)]
pub struct Clocks {
    /// By device. There are few: one, most often.
    known: Vec<(u64, Clock)>,
}

impl Clocks {
    /// The stamp of the file at a path.
    pub fn stamp(&mut self, path: &Path, data: &Metadata) -> Stamp {
        let mut stamp = Stamp::of(data);
        let believed = match self.clock(path, data) {
            Clock::Live => true,
            #[cfg(any(test, not(target_vendor = "apple")))]
            Clock::LiveInFractions => data.ctime_nsec() != 0,
            Clock::Unknown => false,
        };
        if !believed {
            stamp.changed = UNKNOWN;
        }
        stamp
    }

    fn clock(&mut self, path: &Path, data: &Metadata) -> Clock {
        if let Some((_, clock)) = self.known.iter().find(|(device, _)| *device == data.dev()) {
            return *clock;
        }
        // A link would be followed, to nowhere or to another disk.
        let on_it = if data.is_symlink() { path.parent().unwrap_or(path) } else { path };
        let on_it = if on_it.as_os_str().is_empty() { Path::new(".") } else { on_it };
        let is_written = statvfs(on_it).is_ok_and(|disk| !disk.f_flag.contains(StatVfsMountFlags::RDONLY));
        let clock = match statfs(on_it) {
            Ok(disk) if is_written => clock(&disk),
            _ => Clock::Unknown,
        };
        self.known.push((data.dev(), clock));
        clock
    }
}

/// By the number of the file system's kind (statfs(2)).
#[cfg(not(target_vendor = "apple"))]
fn clock(disk: &StatFs) -> Clock {
    /// ext2 to ext4, XFS, Btrfs, ZFS, F2FS, bcachefs, tmpfs, and NFS, whose server has one of these.
    const LIVE: [u32; 8] =
        [0xef53, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1, 0xf2f5_2010, 0xca45_1a4e, 0x0102_1994, 0x6969];
    const OVERLAY: u32 = 0x794c_7630;
    // The type is another one on each architecture; the numbers have 32 bits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers have 32 bits")]
    match disk.f_type as u32 {
        OVERLAY => Clock::LiveInFractions,
        kind if LIVE.contains(&kind) => Clock::Live,
        _ => Clock::Unknown,
    }
}

/// By the name of the file system's kind (statfs(2)).
#[cfg(target_vendor = "apple")]
fn clock(disk: &StatFs) -> Clock {
    #[expect(clippy::cast_sign_loss, reason = "characters are bytes")]
    let name: Vec<u8> = disk.f_fstypename.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
    if matches!(name.as_slice(), b"apfs" | b"hfs" | b"nfs") { Clock::Live } else { Clock::Unknown }
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
        let mut clocks = Clocks { known: vec![(data.dev(), Clock::Unknown)] };
        let stamp = clocks.stamp(folder.path(), &data);
        assert_eq!(stamp.changed, UNKNOWN);
        assert!(stamp.is_of(&data));
        // The files of /proc are made as they are looked at.
        #[cfg(target_os = "linux")]
        assert_eq!(
            Clocks::default().clock(Path::new("/proc"), &Path::new("/proc").metadata().expect("it")),
            Clock::Unknown
        );
    }

    /// The lower layer of an overlay may be a squashfs, the upper one is written to.
    #[test]
    fn on_an_overlay_a_time_with_a_fraction_is_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().metadata().expect("what it is");
        let stamp = |clock| Clocks { known: vec![(data.dev(), clock)] }.stamp(folder.path(), &data);
        assert!(data.ctime_nsec() != 0, "a live clock hits no whole second");
        assert_eq!(stamp(Clock::LiveInFractions), stamp(Clock::Live));
        let whole = Path::new("/proc/self").symlink_metadata();
        // Whatever has a change time of a whole second will do.
        let root =
            Path::new("/sys/kernel").metadata().ok().into_iter().chain(whole).find(|data| data.ctime_nsec() == 0);
        if let Some(data) = root {
            let mut clocks = Clocks { known: vec![(data.dev(), Clock::LiveInFractions)] };
            assert_eq!(clocks.stamp(Path::new("/"), &data).changed, UNKNOWN);
        }
    }
}
