//! Root file systems of Debian, downloaded once and kept.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, mknodat, utimensat};

use super::support::{cache, run, tool};

/// Another content needs another name, or a second run would find the old one.
const VERSION: u32 = 1;

static DOWNLOADING: Mutex<()> = Mutex::new(());

/// Debian's smallest root file system for amd64, with everything in it that is hard to keep.
pub(crate) fn amd64() -> PathBuf {
    kept("debian-amd64", |root| {
        let mut command = tool("debootstrap");
        command.args(["--variant=minbase", "bookworm"]).arg(root);
        run(&mut command).ok();
        let archives = root.join("var/cache/apt/archives");
        for entry in fs::read_dir(&archives).expect("a folder").map(|entry| entry.expect("a name").path()) {
            if entry.extension().is_some_and(|extension| extension == "deb") {
                fs::remove_file(entry).expect("a package that can be removed");
            }
        }
        enrich(root);
    })
}

/// The same packages for arm64, unpacked and not configured: nothing of it runs on the way.
pub(crate) fn arm64() -> PathBuf {
    kept("debian-arm64", |root| {
        let packages = root.with_extension("packages");
        let mut command = tool("debootstrap");
        command.args(["--arch=arm64", "--variant=minbase", "--download-only", "bookworm"]);
        run(command.arg(&packages)).ok();
        let archives = packages.join("var/cache/apt/archives");
        let mut files: Vec<_> =
            fs::read_dir(archives).expect("a folder").map(|entry| entry.expect("a name").path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
        files.sort();
        assert!(files.len() > 50, "only {} packages", files.len());
        fs::create_dir(root).expect("a folder");
        for file in files {
            run(tool("dpkg-deb").arg("-x").arg(file).arg(root)).ok();
        }
        fs::remove_dir_all(packages).expect("packages that can be removed");
    })
}

/// A folder that is whole, or not there.
pub(crate) fn kept(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let _one_at_a_time = DOWNLOADING.lock().unwrap_or_else(PoisonError::into_inner);
    let finished = cache().join(format!("{name}-{VERSION}"));
    if !finished.exists() {
        let unfinished = finished.with_extension("new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).expect("the rest of an interrupted run can be removed");
        }
        make(&unfinished);
        fs::rename(&unfinished, &finished).expect("a new name");
    }
    finished
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

fn special(path: &Path, kind: FileType, major: u32, minor: u32) {
    let device = rustix::fs::makedev(major, minor);
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), device).expect("a device node");
}

/// Adds what a root file system may hold and a careless packer loses.
pub(crate) fn enrich(root: &Path) {
    let folder = root.join("opt/hard to keep");
    fs::create_dir_all(&folder).expect("a folder");

    write(&folder.join("capable"), b"#!/bin/sh\n");
    mode(&folder.join("capable"), 0o755);
    run(tool("setcap").args(["cap_net_bind_service,cap_net_raw=ep"]).arg(folder.join("capable"))).ok();

    write(&folder.join("noted"), b"noted");
    let flags = XattrFlags::empty();
    lsetxattr(folder.join("noted"), "user.note", b"a=b\nc\0d\xff", flags).expect("an attribute");
    // No attribute without a value: an extended record without one deletes the keyword (POSIX pax, "Extended Header"),
    // and readers made with Go's archive/tar take it at its word.
    lsetxattr(folder.join("noted"), "user.gr\u{f6}\u{df}e", b"name beyond ASCII", flags).expect("an attribute");
    fs::create_dir(folder.join("noted folder")).expect("a folder");
    lsetxattr(folder.join("noted folder"), "user.note", b"of a folder", flags).expect("an attribute");
    write(&folder.join("listed"), b"read by user 1234 as well");
    lsetxattr(folder.join("listed"), "system.posix_acl_access", &acl(), flags).expect("an access control list");

    for name in ["here", "there"] {
        fs::create_dir(folder.join(name)).expect("a folder");
    }
    write(&folder.join("there/original"), b"one file of three names");
    for name in ["here/second", "there/third"] {
        fs::hard_link(folder.join("there/original"), folder.join(name)).expect("a hardlink");
    }
    symlink("/nowhere/at all", folder.join("dangling")).expect("a symlink");
    fs::hard_link(folder.join("dangling"), folder.join("here/dangling")).expect("a hardlink of a symlink");
    lchown(folder.join("dangling"), Some(7), Some(8)).expect("an owner");
    symlink("x".repeat(300), folder.join("far")).expect("a symlink");
    symlink("gr\u{f6}\u{df}e", folder.join("beyond ASCII")).expect("a symlink");

    special(&folder.join("null"), FileType::CharacterDevice, 1, 3);
    special(&folder.join("largest"), FileType::CharacterDevice, 0xfff, 0xf_ffff);
    special(&folder.join("loop"), FileType::BlockDevice, 7, 300);
    special(&folder.join("pipe"), FileType::Fifo, 0, 0);

    for (name, bits) in [("setuid", 0o4755), ("setgid", 0o2711), ("nobody's", 0o000), ("all", 0o7777)] {
        write(&folder.join(name), name.as_bytes());
        chown(folder.join(name), Some(1000), Some(1001)).expect("an owner");
        mode(&folder.join(name), bits);
    }
    for (name, bits) in [("sticky", 0o1777), ("inherited", 0o2775), ("closed", 0o700)] {
        fs::create_dir(folder.join(name)).expect("a folder");
        mode(&folder.join(name), bits);
    }
    fs::create_dir(folder.join("empty")).expect("a folder");

    let mut deep = folder.join("deep");
    for letter in ["a", "b", "c", "d"] {
        deep.push(letter.repeat(90));
    }
    fs::create_dir_all(&deep).expect("a folder");
    write(&deep.join("e".repeat(255)), b"a long way down");
    fs::hard_link(deep.join("e".repeat(255)), deep.join("f".repeat(101))).expect("a hardlink");
    for length in [98, 99, 100, 101, 155, 156, 255] {
        write(&folder.join("n".repeat(length)), b"name");
    }
    let odd: &[&[u8]] = &[
        "gr\u{f6}\u{df}e-\u{65e5}\u{672c}\u{8a9e}-\u{1f40b}".as_bytes(),
        b"latin-\xe9\xff.txt",
        b" leading and trailing ",
        b"-rf",
        b"new\nline",
        b"back\\slash",
        b"quo\"te'",
        b"*?[a]{b,c}",
        b"tab\tand\x01",
    ];
    for name in odd {
        write(&folder.join(std::ffi::OsStr::from_bytes(name)), name);
    }

    let many = folder.join("many");
    fs::create_dir(&many).expect("a folder");
    for number in 0..5000 {
        write(&many.join(format!("{number}")), number.to_string().as_bytes());
    }

    write(&folder.join("of a large user"), b"");
    chown(folder.join("of a large user"), Some(2_097_152), Some(4_000_000_000)).expect("an owner");

    // Sizes around a tar's block, a chunk and a file that does not shrink.
    for size in [0, 1, 511, 512, 513, (1 << 20) - 1, 1 << 20, (1 << 20) + 1] {
        write(&folder.join(format!("{size} bytes")), &vec![b'x'; size]);
    }
    write(&folder.join("noise"), &noise(3 << 20, 1));

    for (name, seconds) in [("epoch", 0), ("1969", -86_400), ("2100", 4_102_444_800), ("2255", 9_000_000_000)] {
        write(&folder.join(name), name.as_bytes());
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, folder.join(name), &times, AtFlags::SYMLINK_NOFOLLOW).expect("a time");
    }
    let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_hours(24));
    File::open(folder.join("empty")).and_then(|file| file.set_times(times)).expect("a time");
}

/// An access control list in the kernel's form: user 1234 may read.
fn acl() -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    let nobody = u32::MAX;
    for (tag, rights, id) in [(1u16, 6u16, nobody), (2, 4, 1234), (4, 4, nobody), (0x10, 4, nobody), (0x20, 4, nobody)]
    {
        value.extend(tag.to_le_bytes());
        value.extend(rights.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

/// Bytes that do not shrink, the same on every run (xorshift).
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
