//! Headers of a tar, as strangers write them.

use super::super::contents::Xattrs;
use super::super::entry::{Entry, Kind, clean};
use super::super::tar::BLOCK;
use super::records::{ATTRIBUTE, Records};
use super::{PATH_LIMIT, UntarError, acl};

/// The most bytes of a path that an error shows.
const SHOWN: usize = 300;

/// A GNU long name ends at its first zero byte.
pub(super) fn trim(mut name: Vec<u8>) -> Vec<u8> {
    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    name
}

pub(super) struct Header<'a> {
    pub(super) block: &'a [u8; BLOCK],
    pub(super) offset: u64,
}

impl Header<'_> {
    fn damaged(&self, reason: impl Into<String>) -> UntarError {
        UntarError::Damaged { offset: self.offset, reason: reason.into() }
    }

    pub(super) fn check(&self) -> Result<(), UntarError> {
        let stated = self.number(148, 8, "checksum").ok();
        let sum = |signed: bool| -> i64 {
            let bytes = self.block.iter().enumerate();
            bytes
                .map(|(at, byte)| match at {
                    148..156 => i64::from(b' '),
                    _ if signed => i64::from(byte.cast_signed()),
                    _ => i64::from(*byte),
                })
                .sum()
        };
        if stated == Some(sum(false)) || stated == Some(sum(true)) {
            return Ok(());
        }
        Err(self.damaged(if self.offset == 0 {
            "its first header has a wrong checksum: is it a tar, plain or compressed by gzip or zstd?"
        } else {
            "a header with a wrong checksum"
        }))
    }

    /// Octal digits, or GNU's base 256 where the first bit is set.
    fn number(&self, at: usize, size: usize, what: &str) -> Result<i64, UntarError> {
        let field = &self.block[at..at + size];
        let wrong = || self.damaged(format!("a header whose {what} is no number"));
        if field[0] & 0x80 != 0 {
            let negative = field[0] & 0x40 != 0;
            let mut value: i128 = if negative { -1 } else { 0 };
            for (index, byte) in field.iter().enumerate() {
                let byte = if index == 0 && !negative { byte & 0x7f } else { *byte };
                value = value << 8 | i128::from(byte);
            }
            return i64::try_from(value).map_err(|_| wrong());
        }
        let digits = field.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii();
        if digits.is_empty() {
            return Ok(0);
        }
        let text = std::str::from_utf8(digits).map_err(|_| wrong())?;
        i64::from_str_radix(text, 8).ok().filter(|value| *value >= 0).ok_or_else(wrong)
    }

    pub(super) fn size(&self) -> Result<u64, UntarError> {
        u64::try_from(self.number(124, 12, "size")?).map_err(|_| self.damaged("a header with a size below zero"))
    }

    fn text(&self, at: usize, size: usize) -> Vec<u8> {
        trim(self.block[at..at + size].to_vec())
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let name = self.text(0, 100);
        // GNU's own format has other things where ustar has the prefix.
        let prefix = if &self.block[257..263] == b"ustar\0" { self.text(345, 155) } else { Vec::new() };
        if prefix.is_empty() { name } else { [prefix, b"/".to_vec(), name].concat() }
    }

    /// The entry, and the size of its data.
    pub(super) fn entry(
        &self,
        path: &[u8],
        link: Option<&[u8]>,
        records: &Records,
    ) -> Result<(Entry, u64), UntarError> {
        let refused = |reason: &str| UntarError::Entry {
            path: String::from_utf8_lossy(&path[..path.len().min(SHOWN)]).into_owned(),
            offset: self.offset,
            reason: reason.into(),
        };
        let record = |key: &str| records.get(key.as_bytes()).map(|value| String::from_utf8_lossy(value));
        if records.keys().any(|key| key.starts_with(b"GNU.sparse.")) || self.block[156] == b'S' {
            return Err(refused("is a sparse file, which layers do not have: make the archive without --sparse"));
        }
        let size = match record("size") {
            Some(size) => size.parse().map_err(|_| refused("has a size that is no number"))?,
            None => self.size()?,
        };
        // No file is larger, and sums with offsets and padding stay within the type.
        if i64::try_from(size).is_err() {
            return Err(refused("has a size that no file has"));
        }
        if path.contains(&0) {
            return Err(refused("has a zero byte in its path, which no file system takes"));
        }
        let link = || {
            let link = link.map_or_else(|| self.text(157, 100), <[u8]>::to_vec);
            match link.len() {
                _ if link.contains(&0) => Err(refused("has a zero byte in its target, which no file system takes")),
                0 => Err(refused("is a link without a target")),
                1..=PATH_LIMIT => Ok(link),
                long => Err(refused(&format!("has a target of {long} bytes: Linux takes at most {PATH_LIMIT}"))),
            }
        };
        let device = |at| {
            let number = self.number(at, 8, "device")?;
            u32::try_from(number).map_err(|_| refused("has a device number out of range"))
        };
        let folder = path.ends_with(b"/");
        let kind = match self.block[156] {
            // Before ustar a folder was a file whose name ends in a slash.
            0 | b'0' if folder => Kind::Directory,
            0 | b'0' | b'7' => Kind::File(size),
            b'1' => {
                let target = link()?;
                Kind::Hardlink(clean(&target).ok_or_else(|| refused("is a hard link that leaves the root"))?.into())
            }
            b'2' => Kind::Symlink(link()?.into()),
            b'3' => Kind::Character(device(329)?, device(337)?),
            b'4' => Kind::Block(device(329)?, device(337)?),
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'M' => return Err(refused("continues another volume: join the volumes first")),
            b'D' => return Err(refused("is of an incremental archive: make a full one")),
            other => return Err(refused(&format!("is of the unknown type {:?}", char::from(other)))),
        };
        let id = |key: &str, at: usize| -> Result<u32, UntarError> {
            let number = match record(key) {
                Some(number) => {
                    number.parse::<i64>().map_err(|_| refused(&format!("has a {key} that is no number")))?
                }
                None => self.number(at, 8, key)?,
            };
            u32::try_from(number).map_err(|_| refused(&format!("has a {key} out of range")))
        };
        let mtime = match record("mtime") {
            // Fractions are cut off towards the past, as a file system shows them.
            Some(mtime) => whole_seconds(&mtime).ok_or_else(|| refused("has an mtime that is no number"))?,
            None => self.number(136, 12, "mtime")?,
        };
        let mut xattrs: Xattrs = records
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(ATTRIBUTE)?, value)))
            .map(|(key, value)| (key.into(), value.as_slice().into()))
            .collect();
        for (key, attribute) in acl::KEYS {
            let Some(text) = records.get(key.as_bytes()) else { continue };
            let list = acl::attribute(text).map_err(|reason| refused(&reason))?;
            if !xattrs.iter().any(|(name, _)| **name == *attribute.as_bytes()) {
                xattrs.push((attribute.as_bytes().into(), list.into()));
            }
        }
        xattrs.sort();
        let clean_path = clean(path).ok_or_else(|| refused("leaves the root: its path has a part .."))?;
        if clean_path.len() > PATH_LIMIT {
            return Err(refused(&format!(
                "has a path of {} bytes: Linux takes at most {PATH_LIMIT}",
                clean_path.len()
            )));
        }
        if clean_path.is_empty() && kind != Kind::Directory {
            return Err(refused("is the root itself, but no folder"));
        }
        let entry = Entry {
            path: clean_path.into(),
            mode: u16::try_from(self.number(100, 8, "mode")? & 0o7777).unwrap_or(0),
            uid: id("uid", 108)?,
            gid: id("gid", 116)?,
            mtime,
            xattrs: (!xattrs.is_empty()).then(|| Box::new(xattrs)),
            source: None,
            kind,
        };
        // Only files have data; a hard link's size is that of its target in some archives.
        let data = if matches!(entry.kind, Kind::File(_)) { size } else { 0 };
        Ok((entry, data))
    }
}

pub(super) fn whole_seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let below = whole.starts_with('-') && fraction.bytes().any(|byte| byte != b'0');
    Some(if below { seconds.checked_sub(1)? } else { seconds })
}
