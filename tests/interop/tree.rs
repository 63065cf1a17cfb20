//! What a folder holds, as text that two folders can be compared by.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Everything below a folder, the folder itself included: for each path type, mode, owner, time, size and content,
/// link target, hardlink group, extended attributes and device number.
pub(crate) fn describe(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut first_names = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let data = fs::symlink_metadata(&path).expect("an entry");
        let name = path.strip_prefix(root).expect("below the root").to_owned();
        let kind = data.file_type();
        let mut text = format!("mode {:o}, owner {}:{}, time {}", data.mode(), data.uid(), data.gid(), data.mtime());
        if kind.is_file() {
            let _ = write!(text, ", {} bytes of {}", data.len(), content(&path));
        } else if kind.is_symlink() {
            let _ =
                write!(text, ", to {}", fs::read_link(&path).expect("a link").as_os_str().as_bytes().escape_ascii());
        } else if kind.is_char_device() || kind.is_block_device() {
            let (major, minor) = (rustix::fs::major(data.rdev()), rustix::fs::minor(data.rdev()));
            let _ = write!(text, ", device {major}:{minor}");
        }
        for (key, value) in xattrs(&path) {
            let _ = write!(text, ", {key}={}", hex::encode(value));
        }
        if kind.is_dir() {
            todo.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("a name").path()));
        } else if data.nlink() > 1 {
            first_names.entry((data.dev(), data.ino())).or_insert_with(Vec::new).push(name.clone());
        }
        found.insert(name, text);
    }
    for names in first_names.values_mut() {
        names.sort();
        for name in names.iter() {
            if let Entry::Occupied(mut entry) = found.entry(name.clone()) {
                let _ = write!(entry.get_mut(), ", the same as {names:?}");
            }
        }
    }
    found
}

fn content(path: &Path) -> String {
    let mut file = File::open(path).expect("a file");
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).expect("a file that can be read") {
            0 => return hex::encode(hash.finalize()),
            length => hash.update(&buffer[..length]),
        }
    }
}

/// The attributes that an image keeps; the others belong to the machine.
fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap_or(0);
    names[..length]
        .split(|byte| *byte == 0)
        .filter_map(|name| std::str::from_utf8(name).ok())
        .filter(|name| {
            *name == "security.capability" || name.starts_with("user.") || name.starts_with("system.posix_acl_")
        })
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            let length = rustix::fs::lgetxattr(path, name, &mut value).expect("an attribute");
            value.truncate(length);
            (name.to_owned(), value)
        })
        .collect()
}

/// What differs between two folders, at most a screen of it.
pub(crate) fn differences(wanted: &Path, found: &Path) -> Vec<String> {
    let (wanted, found) = (describe(wanted), describe(found));
    let shown =
        |path: &Path| String::from_utf8_lossy(path.as_os_str().as_bytes()).chars().take(120).collect::<String>();
    let lost = wanted.iter().filter_map(|(path, text)| match found.get(path) {
        None => Some(format!("{}: lost; it was {text}", shown(path))),
        Some(other) if other != text => Some(format!("{}:\n  was    {text}\n  became {other}", shown(path))),
        Some(_) => None,
    });
    let gained = found.iter().filter(|(path, _)| !wanted.contains_key(*path));
    lost.chain(gained.map(|(path, text)| format!("{}: gained: {text}", shown(path)))).take(30).collect()
}
