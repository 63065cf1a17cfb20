//! The one tar form of a layer (image-spec layer.md "Creating"; POSIX.1-2017 pax "ustar Interchange Format").
//!
//! ustar where it can say it; else one set of extended records with sorted keys in front of the entry. No GNU records,
//! no global header, no user names, no fractions of seconds: readers differ in all of these, and the bytes must not.

use tar::{EntryType, Header};

use super::entry::{Entry, Kind};

/// The size of a record.
pub const BLOCK: usize = 512;

/// What ustar's twelve-byte octal fields can hold.
const LARGEST_SIZE: u64 = (1 << 33) - 1;
/// What ustar's eight-byte octal fields can hold.
const LARGEST_ID: u32 = (1 << 21) - 1;

/// The bytes after data of this size up to the next record.
pub fn padding(size: u64) -> usize {
    (BLOCK - usize::try_from(size % BLOCK as u64).unwrap_or(0)) % BLOCK
}

/// Writes the header of an entry, extended records first, to the end of `out`.
pub fn header(entry: &Entry, out: &mut Vec<u8>) {
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut header = Header::new_ustar();

    let path = name(entry);
    if !set_path(&mut header, &path) {
        records.push((b"path".into(), path.clone()));
        shorten(&mut header, &path);
    }
    let (kind, size, target) = match &entry.kind {
        Kind::Directory => (EntryType::Directory, 0, None),
        Kind::File(size) => (EntryType::Regular, *size, None),
        Kind::Symlink(target) => (EntryType::Symlink, 0, Some(target)),
        Kind::Hardlink(target) => (EntryType::Link, 0, Some(target)),
        Kind::Character(..) => (EntryType::Char, 0, None),
        Kind::Block(..) => (EntryType::Block, 0, None),
        Kind::Fifo => (EntryType::Fifo, 0, None),
    };
    header.set_entry_type(kind);
    if let Some(target) = target {
        let field = &mut header.as_old_mut().linkname;
        if target.len() <= field.len() && fits(target) {
            field[..target.len()].copy_from_slice(target);
        } else {
            records.push((b"linkpath".into(), target.to_vec()));
        }
    }
    if size > LARGEST_SIZE {
        records.push((b"size".into(), size.to_string().into()));
        header.set_size(0);
    } else {
        header.set_size(size);
    }
    header.set_mode(u32::from(entry.mode));
    for (key, id) in [("uid", entry.uid), ("gid", entry.gid)] {
        let stated = if id > LARGEST_ID {
            records.push((key.into(), id.to_string().into()));
            0
        } else {
            u64::from(id)
        };
        if key == "uid" { header.set_uid(stated) } else { header.set_gid(stated) }
    }
    match u64::try_from(entry.mtime) {
        Ok(mtime) if mtime <= LARGEST_SIZE => header.set_mtime(mtime),
        _ => {
            records.push((b"mtime".into(), entry.mtime.to_string().into()));
            header.set_mtime(0);
        }
    }
    if let (Kind::Character(major, minor) | Kind::Block(major, minor), Some(ustar)) =
        (&entry.kind, header.as_ustar_mut())
    {
        // Linux' device numbers (12 and 20 bits) fit into the fields.
        ustar.set_device_major(*major);
        ustar.set_device_minor(*minor);
    }
    for (key, value) in entry.xattrs.iter().flat_map(|xattrs| xattrs.iter()) {
        records.push(([b"SCHILY.xattr.".as_slice(), key].concat(), value.to_vec()));
    }
    if !records.is_empty() {
        records.sort();
        extended(&path, &records, out);
    }
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
}

/// The name in the archive: a folder's ends in a slash, the root's is `./`.
fn name(entry: &Entry) -> Vec<u8> {
    let mut path = if entry.path.is_empty() { b".".to_vec() } else { entry.path.to_vec() };
    if entry.kind == Kind::Directory {
        path.push(b'/');
    }
    path
}

/// Whether a name may stand in ustar's fields: ASCII. One that is not UTF-8 may as well: extended records are UTF-8,
/// and bsdtar fails on one that is not, while every reader takes the bytes as they are from a field.
fn fits(name: &[u8]) -> bool {
    name.is_ascii() || std::str::from_utf8(name).is_err()
}

/// Sets the path if ustar's fields can say it: 100 bytes of name, and 155 of prefix before a slash.
fn set_path(header: &mut Header, path: &[u8]) -> bool {
    if !fits(path) {
        return false;
    }
    let Some(ustar) = header.as_ustar_mut() else { return false };
    if path.len() <= ustar.name.len() {
        ustar.name[..path.len()].copy_from_slice(path);
        return true;
    }
    // The last slash that leaves a prefix short enough; a trailing slash belongs to the name.
    let end = (path.len() - 1).min(ustar.prefix.len() + 1);
    let Some(slash) = path[..end].iter().rposition(|byte| *byte == b'/') else { return false };
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    if prefix.is_empty() || name.len() > ustar.name.len() {
        return false;
    }
    ustar.prefix[..prefix.len()].copy_from_slice(prefix);
    ustar.name[..name.len()].copy_from_slice(name);
    true
}

/// What a reader that knows no extended records shows: the path's ASCII, as much as fits.
fn shorten(header: &mut Header, path: &[u8]) {
    let field = &mut header.as_old_mut().name;
    for (place, byte) in field.iter_mut().zip(path.iter().filter(|byte| byte.is_ascii())) {
        *place = *byte;
    }
}

fn extended(path: &[u8], records: &[(Vec<u8>, Vec<u8>)], out: &mut Vec<u8>) {
    let mut body = Vec::new();
    for (key, value) in records {
        record(key, value, &mut body);
    }
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let last = trimmed.iter().rposition(|byte| *byte == b'/').map_or(trimmed, |slash| &trimmed[slash + 1..]);
    shorten(&mut header, &[b"PaxHeaders.0/".as_slice(), last].concat());
    header.set_size(body.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    let padding = padding(body.len() as u64);
    out.extend_from_slice(&body);
    out.resize(out.len() + padding, 0);
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    loop {
        let total = rest + length.to_string().len();
        if total == length {
            break;
        }
        length = total;
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn entry(path: &[u8], kind: Kind) -> Entry {
        Entry { path: path.into(), kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: None, source: None }
    }

    fn bytes(entry: &Entry) -> Vec<u8> {
        let mut out = Vec::new();
        header(entry, &mut out);
        out
    }

    /// The entry as another reader sees it.
    fn read(bytes: &[u8]) -> (Vec<u8>, Option<Vec<u8>>, u64, u64, u64) {
        let mut archive = tar::Archive::new(bytes.chain(std::io::repeat(0).take(1024)));
        let entry = archive.entries().expect("entries").next().expect("an entry").expect("an entry");
        let header = entry.header();
        (
            entry.path_bytes().into_owned(),
            entry.link_name_bytes().map(std::borrow::Cow::into_owned),
            header.uid().expect("a number"),
            header.gid().expect("a number"),
            entry.size(),
        )
    }

    #[test]
    fn ustar_says_what_it_can() {
        let at_most = [&[b'p'; 155][..], b"/", &[b'n'; 100]].concat();
        for path in [b"usr/bin/env".as_slice(), &[b'a'; 100], &at_most] {
            let bytes = bytes(&entry(path, Kind::File(0)));
            assert_eq!(bytes.len(), BLOCK, "{}", path.len());
            assert_eq!(read(&bytes).0, path);
        }
        let folder = [&[b'p'; 155][..], b"/", &[b'n'; 99]].concat();
        assert_eq!(bytes(&entry(&folder, Kind::Directory)).len(), BLOCK);
        assert_eq!(read(&bytes(&entry(b"", Kind::Directory))).0, b"./");
    }

    #[test]
    fn the_rest_is_said_in_sorted_records() {
        let mut long = entry("größe".repeat(60).as_bytes(), Kind::File(9 << 30));
        long.uid = 1 << 22;
        long.gid = 1 << 23;
        long.mtime = -5;
        long.xattrs = Some(Box::new(vec![(b"user.a".as_slice().into(), b"12".as_slice().into())]));
        let bytes = bytes(&long);
        let body = String::from_utf8_lossy(&bytes[BLOCK..]).into_owned();
        let order = ["SCHILY.xattr.user.a=", " gid=", " mtime=-5\n", " path=", " size=9663676416\n", " uid=4194304\n"];
        let places: Vec<_> =
            order.iter().map(|key| body.find(key).unwrap_or_else(|| panic!("{key} in {body}"))).collect();
        assert!(places.is_sorted());
        let (path, _, uid, gid, size) = read(&bytes);
        assert_eq!((path.as_slice(), uid, gid, size), (&*long.path, 1 << 22, 1 << 23, 9 << 30));
    }

    #[test]
    fn a_name_that_is_not_utf_8_stays_out_of_records() {
        let path = b"caf\xe9";
        let bytes = bytes(&entry(path, Kind::Symlink(b"th\xe9".as_slice().into())));
        assert_eq!(bytes.len(), BLOCK);
        let (found, target, ..) = read(&bytes);
        assert_eq!((found.as_slice(), target.as_deref()), (path.as_slice(), Some(b"th\xe9".as_slice())));
    }

    #[test]
    fn a_record_counts_its_own_digits() {
        for length in [1, 5, 90, 95, 990, 995, 9990] {
            let mut out = Vec::new();
            record(b"path", &vec![b'x'; length], &mut out);
            let stated: usize =
                String::from_utf8_lossy(&out).split(' ').next().expect("digits").parse().expect("digits");
            assert_eq!(stated, out.len());
        }
    }

    proptest! {
        #[test]
        fn another_reader_reads_the_same(
            path in "[a-zé.]{1,90}(/[a-z -]{1,90}){0,3}",
            target in "[a-zé./]{1,200}",
            uid: u32, gid: u32, link: bool,
        ) {
            let kind = if link { Kind::Symlink(target.as_bytes().into()) } else { Kind::File(0) };
            let mut entry = entry(path.as_bytes(), kind);
            (entry.uid, entry.gid) = (uid, gid);
            let (found, found_target, found_uid, found_gid, _) = read(&bytes(&entry));
            prop_assert_eq!(found, path.as_bytes());
            prop_assert_eq!(found_target, link.then(|| target.into_bytes()));
            prop_assert_eq!((found_uid, found_gid), (u64::from(uid), u64::from(gid)));
        }
    }
}
