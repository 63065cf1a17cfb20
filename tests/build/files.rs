//! Files on a disk, made so that nothing of them comes from the machine or the user that runs the tests.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

/// A folder that is being filled.
pub(crate) struct Tree(PathBuf);

impl Tree {
    /// Makes the folder.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        fs::create_dir_all(&root).expect("a folder");
        let tree = Self(root);
        tree.mode("", 0o755);
        tree
    }

    /// Where something in it is.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// A folder, and those above it.
    pub(crate) fn dir(&self, path: &str, mode: u32) -> &Self {
        let mut made = PathBuf::new();
        for part in Path::new(path) {
            made.push(part);
            let whole = self.0.join(&made);
            if !whole.exists() {
                fs::create_dir(&whole).expect("a folder");
                fs::set_permissions(whole, Permissions::from_mode(0o755)).expect("a mode");
            }
        }
        self.mode(path, mode)
    }

    /// A file; the folders above it are made as well.
    pub(crate) fn file(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> &Self {
        if let Some((folder, _)) = path.rsplit_once('/')
            && !self.at(folder).exists()
        {
            self.dir(folder, 0o755);
        }
        fs::write(self.at(path), content).expect("a file");
        self.mode(path, mode)
    }

    /// A symbolic link.
    pub(crate) fn link(&self, path: &str, target: &str) -> &Self {
        symlink(target, self.at(path)).expect("a link");
        self
    }

    /// Another name of a file.
    pub(crate) fn hard(&self, path: &str, file: &str) -> &Self {
        fs::hard_link(self.at(file), self.at(path)).expect("a hard link");
        self
    }

    /// A named pipe.
    pub(crate) fn fifo(&self, path: &str, mode: u32) -> &Self {
        assert!(Command::new("mkfifo").arg(self.at(path)).status().expect("mkfifo").success());
        self.mode(path, mode)
    }

    fn mode(&self, path: &str, mode: u32) -> &Self {
        fs::set_permissions(self.at(path), Permissions::from_mode(mode)).expect("a mode");
        self
    }

    /// Gives everything a time that follows from its path and `start`, with a fraction of a second that no layer keeps.
    pub(crate) fn settle(&self, start: u64) {
        let mut paths = walk(&self.0);
        paths.push(PathBuf::new());
        for path in paths {
            let seconds = start + path.as_os_str().len() as u64;
            set_time(&self.0.join(&path), Duration::new(seconds, 500_000_000));
        }
    }
}

/// Sets a time, of a link and not of what it points to.
pub(crate) fn set_time(path: &Path, time: Duration) {
    let data = path.symlink_metadata().expect("it exists");
    if data.is_file() && data.permissions().mode() & 0o400 != 0 {
        let time = SystemTime::UNIX_EPOCH + time;
        let file = File::open(path).expect("the file");
        return file.set_times(FileTimes::new().set_modified(time)).expect("a time");
    }
    let seconds = i64::try_from(time.as_secs()).expect("a time of this age");
    let time = Timespec { tv_sec: seconds, tv_nsec: time.subsec_nanos().into() };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("a time");
}

/// The path of everything in a folder, sorted.
pub(crate) fn walk(root: &Path) -> Vec<PathBuf> {
    fn enter(root: &Path, at: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(root.join(at)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = at.join(entry.file_name());
            out.push(path.clone());
            if entry.file_type().expect("a type").is_dir() {
                enter(root, &path, out);
            }
        }
    }
    let mut out = Vec::new();
    enter(root, Path::new(""), &mut out);
    out.sort();
    out
}

/// Numbers that look like chance and are the same everywhere (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Bytes that no method makes smaller.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let mut out: Vec<u8> =
        std::iter::repeat_with(|| numbers.next().to_le_bytes()).take(size / 8 + 1).flatten().collect();
    out.truncate(size);
    out
}

/// Bytes as a log has them: words that come again, numbers that do not.
pub(crate) fn prose(seed: u64, size: usize) -> Vec<u8> {
    const WORDS: [&str; 8] = ["GET", "/health", "200", "in", "took", "container", "started", "ms\n"];
    let mut numbers = Numbers(seed);
    let mut out = Vec::with_capacity(size + 16);
    while out.len() < size {
        let number = numbers.next();
        match WORDS.get(usize::from(number.to_be_bytes()[0]) % (WORDS.len() + 1)) {
            Some(word) => out.extend_from_slice(word.as_bytes()),
            None => out.extend_from_slice((number % 100_000).to_string().as_bytes()),
        }
        out.push(b' ');
    }
    out.truncate(size);
    out
}
