//! Reading a tar: layers of other people's images, and archives that a recipe names.
//!
//! The bytes come from strangers, and readers of tar have been fooled in every way that there is: a size that two
//! headers state differently, so that data is taken for a header; a record whose length lies; a name with `..`; a
//! header that asks for gigabytes of memory; numbers below zero. Our defence: every header's checksum is checked;
//! extended records are taken by their stated length, must end in a line feed, and are limited to [`RECORDS_LIMIT`]
//! bytes together; a size is stated once, by the records if they state it, and counts for nothing where the type has no
//! data; paths are cleaned, have at most [`PATH_LIMIT`] bytes, and one that leaves the root is an error; sparse files,
//! multi-volume archives and unknown types are refused by name. The `tar` crate is not used for it: it splits records
//! at line feeds, which values such as file capabilities may hold, and then takes the file for another one.

mod acl;
mod header;
mod records;

use std::io::{self, Read, Seek};

use thiserror::Error;

use self::header::{Header, trim};
use self::records::{Records, extent, together};
use super::entry::Entry;
use super::tar::{BLOCK, padding};

/// The most bytes that the extended records of one entry may have.
pub const RECORDS_LIMIT: u64 = 1 << 20;

/// The most bytes that a path or a link's target may have: Linux takes no longer one (`PATH_MAX`), so nobody could
/// unpack it, and following a path of a megabyte part by part takes for ever.
pub const PATH_LIMIT: usize = 4095;

/// Why an archive could not be read.
#[derive(Debug, Error)]
pub enum UntarError {
    /// The bytes could not be read, or decompressed.
    #[error("cannot read the archive at byte {offset}")]
    Io {
        /// Where, in the uncompressed archive.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The archive is not well-formed.
    #[error("the archive is damaged at byte {offset}: {reason}")]
    Damaged {
        /// Where, in the uncompressed archive.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// An entry that no layer can have.
    #[error("entry {path:?} of the archive (at byte {offset}) {reason}")]
    Entry {
        /// Its path as it stands.
        path: String,
        /// Where its header is, in the uncompressed archive.
        offset: u64,
        /// What is wrong, and the way round.
        reason: String,
    },
}

/// Nothing but zeros follows the last member of gzip data, as where its blocks are those of a tape.
#[derive(Debug, Error)]
#[error("there are zero bytes after its gzip data")]
pub struct Padded;

/// Reads an archive entry by entry.
pub struct Reader<R> {
    inner: R,
    offset: u64,
    /// The data of the current entry that has not been read.
    left: u64,
    padding: u64,
    global: Records,
    /// Whether the bytes are held to their digest: a layer as it is, which runtimes read.
    whole: bool,
    done: bool,
}

/// The data of the current entry of an archive.
pub struct EntryData<'r, R>(&'r mut Reader<R>);

impl<R: Read> Read for EntryData<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_data(buffer)
    }
}

impl<R: Read> Reader<R> {
    /// A reader of an uncompressed archive.
    pub fn new(inner: R) -> Self {
        Self { inner, offset: 0, left: 0, padding: 0, global: Records::new(), whole: false, done: false }
    }

    /// A reader of an archive that cannot have been cut off, since its bytes are held to their digest: two empty
    /// records at its end may be missing, which Linux' tar programs and runtimes do not miss either.
    pub fn of_whole(inner: R) -> Self {
        Self { whole: true, ..Self::new(inner) }
    }

    fn damaged(&self, reason: impl Into<String>) -> UntarError {
        UntarError::Damaged { offset: self.offset, reason: reason.into() }
    }

    /// The next entry. What was not read of the data before it is skipped.
    ///
    /// # Errors
    /// Where the archive is damaged, cut off, or has an entry that a layer cannot have.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, UntarError> {
        self.skip()?;
        if self.done {
            return Ok(None);
        }
        let mut own = Records::new();
        let (mut long_name, mut long_link) = (None, None);
        let mut begin = self.offset;
        loop {
            let start = self.offset;
            let Some(block) = self.block()? else {
                // After records that are of an entry, there must be one.
                if self.whole && start == begin {
                    self.done = true;
                    return Ok(None);
                }
                return Err(self.damaged("it ends without its two empty records: it is cut off"));
            };
            if block.iter().all(|byte| *byte == 0) {
                self.done = true;
                return Ok(None);
            }
            let header = Header { block: &block, offset: start };
            header.check()?;
            let kind = block[156];
            match kind {
                b'x' | b'g' => {
                    let body = self.body(header.size()?)?;
                    let parsed = records::parse(&body).map_err(|reason| self.damaged(reason))?;
                    if kind == b'g' {
                        self.global = records::for_all(&self.global, parsed).map_err(|reason| self.damaged(reason))?;
                    } else {
                        own.extend(parsed);
                    }
                    // Header after header may add other keys: what is kept of them all is limited as well.
                    let kept = extent(&self.global) + extent(&own);
                    if kept as u64 > RECORDS_LIMIT {
                        let reason = format!("extended records of {kept} bytes: at most {RECORDS_LIMIT} are read");
                        return Err(self.damaged(reason));
                    }
                }
                b'L' => long_name = Some(trim(self.body(header.size()?)?)),
                b'K' => long_link = Some(trim(self.body(header.size()?)?)),
                // GNU tar's label of a volume, which is no entry; runtimes do not know it.
                b'V' if !self.whole => {
                    self.body(header.size()?)?;
                    own.clear();
                    (long_name, long_link, begin) = (None, None, self.offset);
                }
                _ => {
                    let mut records = together(&self.global, own);
                    let path = records.remove(b"path".as_slice()).or(long_name).unwrap_or_else(|| header.path());
                    let link = records.remove(b"linkpath".as_slice()).or(long_link);
                    let (entry, data) = header.entry(&path, link.as_deref(), &records)?;
                    self.left = data;
                    self.padding = padding(data) as u64;
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// Where the next byte is in the archive: right after [`Reader::next_entry`], where the entry's data begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads what is left of the entry's data; its end is that of the data.
    ///
    /// # Errors
    /// Where the archive cannot be read or ends within the data.
    pub fn read_data(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut off within a file's data"));
        }
        self.left -= count as u64;
        self.offset += count as u64;
        Ok(count)
    }

    /// What is left of the entry's data, as a reader that ends with it.
    pub fn data(&mut self) -> EntryData<'_, R> {
        EntryData(self)
    }

    /// Reads to the end of the stream, beyond the end of the archive: what verifies the bytes then has seen them all.
    /// An archive of the disk may be [`Padded`] there, as gzip programs let it be.
    ///
    /// # Errors
    /// Where the stream cannot be read.
    pub fn drain(&mut self) -> Result<(), UntarError> {
        let offset = self.offset;
        let is_padding = |error: &io::Error| error.get_ref().and_then(|error| error.downcast_ref::<Padded>()).is_some();
        match io::copy(&mut self.inner, &mut io::sink()) {
            Err(error) if !self.whole && is_padding(&error) => Ok(()),
            result => result.map(|_| ()).map_err(|source| UntarError::Io { offset, source }),
        }
    }

    fn skip(&mut self) -> Result<(), UntarError> {
        let mut buffer = [0; 16 << 10];
        let mut left = self.left + self.padding;
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = self.read(&mut buffer[..most])?;
            if count == 0 {
                return Err(self.damaged("it is cut off within a file's data"));
            }
            left -= count as u64;
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, UntarError> {
        loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(UntarError::Io { offset: self.offset, source }),
                Ok(count) => {
                    self.offset += count as u64;
                    return Ok(count);
                }
            }
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, UntarError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, UntarError> {
        let mut block = [0; BLOCK];
        match self.fill(&mut block)? {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(self.damaged("it is cut off within a header")),
        }
    }

    fn body(&mut self, size: u64) -> Result<Vec<u8>, UntarError> {
        if size > RECORDS_LIMIT {
            return Err(self.damaged(format!("extended records of {size} bytes: at most {RECORDS_LIMIT} are read")));
        }
        let whole = usize::try_from(size).unwrap_or(0);
        let mut body = vec![0; whole + padding(size)];
        if self.fill(&mut body)? < body.len() {
            return Err(self.damaged("it is cut off within extended records"));
        }
        body.truncate(whole);
        Ok(body)
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Passes over what is left of the entry's data without reading it. A seek does not know where the archive ends:
    /// whoever cares for data that is cut off compares [`Reader::offset`] and the entry's size with the archive's.
    ///
    /// # Errors
    /// Where the archive cannot be sought.
    pub fn seek_over(&mut self) -> Result<(), UntarError> {
        let over = self.left + self.padding;
        let step = i64::try_from(over).map_err(|_| self.damaged("a size that no archive has"))?;
        self.inner.seek_relative(step).map_err(|source| UntarError::Io { offset: self.offset, source })?;
        self.offset += over;
        (self.left, self.padding) = (0, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use ::tar as tar_crate;

    use super::super::entry::Kind;
    use super::super::tar;
    use super::header::whole_seconds;
    use super::*;

    fn entry(path: &[u8], kind: Kind) -> Entry {
        Entry { path: path.into(), kind, mode: 0o4755, uid: 1, gid: 2, mtime: 3, xattrs: None, source: None }
    }

    fn archive(entries: &[(Entry, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (entry, data) in entries {
            tar::header(entry, &mut out);
            out.extend_from_slice(data);
            out.resize(out.len() + padding(data.len() as u64), 0);
        }
        out.resize(out.len() + 2 * BLOCK, 0);
        out
    }

    fn entries(bytes: &[u8]) -> Result<Vec<Entry>, UntarError> {
        let mut reader = Reader::new(bytes);
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }

    #[test]
    fn reads_what_we_write() {
        let mut capable = entry(b"usr/bin/ping", Kind::File(5));
        // A value with a line feed, as a capability may have.
        capable.xattrs =
            Some(Box::new(vec![(b"security.capability".as_slice().into(), b"\x01\n9 path=x\n".as_slice().into())]));
        let long = [b"l".repeat(300), b"/".to_vec(), b"n".repeat(200)].concat();
        let wanted = vec![
            entry(b"", Kind::Directory),
            capable,
            entry(&long, Kind::Symlink(long.clone().into())),
            entry(b"hard", Kind::Hardlink(b"usr/bin/ping".as_slice().into())),
            entry(b"dev/null", Kind::Character(1, 3)),
            entry(b"dev/sda", Kind::Block(8, 0)),
            entry(b"pipe", Kind::Fifo),
        ];
        let data: Vec<&[u8]> =
            wanted.iter().map(|e| if e.path.ends_with(b"ping") { b"hello".as_slice() } else { b"" }).collect();
        let bytes = archive(&wanted.iter().cloned().zip(data).collect::<Vec<_>>());
        assert_eq!(entries(&bytes).expect("entries"), wanted);
    }

    #[test]
    fn says_what_is_wrong() {
        let bytes = archive(&[(entry(b"a", Kind::File(600)), &[7; 600])]);
        let text = |bytes: &[u8]| entries(bytes).expect_err("an error").to_string();
        assert!(text(b"hello").contains("cut off within a header"));
        assert!(text(&[7; 512]).contains("is it a tar"));
        assert!(text(&bytes[..700]).contains("cut off within a file's data"));
        assert!(text(&bytes[..1536]).contains("cut off"));
        let mut flipped = bytes.clone();
        flipped[3] ^= 1;
        assert!(text(&flipped).contains("wrong checksum"));
        for (path, word) in [(b"a/../../b".as_slice(), "leaves the root"), (b"..", "leaves the root")] {
            assert!(text(&archive(&[(entry(path, Kind::File(0)), b"")])).contains(word));
        }
    }

    #[test]
    fn paths_are_no_longer_than_linux_takes() {
        let text = |bytes: &[u8]| entries(bytes).expect_err("an error").to_string();
        let long = b"a".repeat(4096);
        assert!(text(&archive(&[(entry(&long, Kind::Directory), b"")])).contains("a path of 4096 bytes"));
        let link = Kind::Symlink(long.clone().into());
        assert!(text(&archive(&[(entry(b"a", link), b"")])).contains("a target of 4096 bytes"));
        assert!(entries(&archive(&[(entry(&long[..4095], Kind::Directory), b"")])).is_ok());
        assert!(text(&archive(&[(entry(b"", Kind::File(0)), b"")])).contains("is the root itself, but no folder"));
    }

    /// It was told to have a part `..`.
    #[test]
    fn a_zero_byte_is_told() {
        use tar_crate::EntryType;
        for (record, kind, word) in [
            ("12 path=a\0b\n", EntryType::Regular, "a zero byte in its path"),
            ("16 linkpath=a\0b\n", EntryType::Link, "a zero byte in its target"),
            ("16 linkpath=a\0b\n", EntryType::Symlink, "a zero byte in its target"),
        ] {
            let bytes = [raw(EntryType::XHeader, record.as_bytes()), raw(kind, b"")].concat();
            let error = entries(&bytes).expect_err("an error").to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    /// A ustar header of this type, and its data.
    fn raw(kind: tar_crate::EntryType, data: &[u8]) -> Vec<u8> {
        let mut header = tar_crate::Header::new_ustar();
        header.set_entry_type(kind);
        header.as_old_mut().name[0] = b'a';
        header.set_size(data.len() as u64);
        header.set_cksum();
        let mut out = header.as_bytes().to_vec();
        out.extend_from_slice(data);
        out.resize(out.len() + padding(data.len() as u64), 0);
        out
    }

    #[test]
    fn a_size_and_records_have_limits() {
        use tar_crate::EntryType;
        let size = format!("29 size={}\n", u64::MAX);
        let bytes = [raw(EntryType::XHeader, size.as_bytes()), raw(EntryType::Regular, b"")].concat();
        assert!(entries(&bytes).expect_err("an error").to_string().contains("size that no file has"));

        let record = |key: char| format!("600009 {key}={}\n", "v".repeat(600_009 - 10));
        let own = |key| raw(EntryType::XHeader, record(key).as_bytes());
        assert!(entries(&[own('k'), own('k'), vec![0; 1024]].concat()).is_ok());
        let error = entries(&[own('k'), own('l'), vec![0; 1024]].concat()).expect_err("an error");
        assert!(error.to_string().contains("at most"), "{error}");
    }

    #[test]
    fn seeks_over_data() {
        let bytes = archive(&[
            (entry(b"a", Kind::File(700)), &[7; 700]),
            (entry(b"b", Kind::File(3)), b"abc"),
            (entry(b"c", Kind::Directory), b""),
        ]);
        let mut reader = Reader::new(io::Cursor::new(&bytes));
        let mut found = Vec::new();
        while let Some(entry) = reader.next_entry().expect("an entry") {
            found.push((entry.path, reader.offset()));
            reader.seek_over().expect("sought");
        }
        let wanted: [(crate::layer::pathname::Pathname, u64); 3] =
            [(b"a".into(), 512), (b"b".into(), 512 + 1024 + 512), (b"c".into(), 512 + 1024 + 1024 + 512)];
        assert_eq!(found, wanted);
    }

    #[test]
    fn bytes_that_are_held_to_a_digest_may_just_end() {
        let bytes = archive(&[(entry(&[b'x'; 300], Kind::File(3)), b"abc")]);
        let end = bytes.len() - 2 * BLOCK;
        let count = |bytes: &[u8]| {
            let mut reader = Reader::of_whole(bytes);
            let mut count = 0;
            while reader.next_entry()?.is_some() {
                count += 1;
            }
            Ok::<_, UntarError>(count)
        };
        for length in [bytes.len(), end + BLOCK, end] {
            assert_eq!(count(&bytes[..length]).expect("whole"), 1);
        }
        assert_eq!(count(&[]).expect("whole"), 0);
        // Within data, within a header, and after the records of an entry that does not come.
        for length in [end - BLOCK, end + 100, end - 2 * BLOCK] {
            count(&bytes[..length]).expect_err("cut off");
        }
        entries(&bytes[..end]).expect_err("cut off");
    }

    #[test]
    fn seconds_are_whole() {
        assert_eq!(whole_seconds("1350244992.023960108"), Some(1_350_244_992));
        assert_eq!(whole_seconds("-1.5"), Some(-2));
        assert_eq!(whole_seconds("-0.5"), Some(-1));
        assert_eq!(whole_seconds("1e9"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_end(mut bytes in prop::collection::vec(any::<u8>(), 0..3000), at in 0..3000_usize) {
            let good = archive(&[(entry(b"a/b", Kind::File(3)), b"abc"), (entry(&[b'x'; 300], Kind::Directory), b"")]);
            let _ = entries(&bytes);
            // A good archive with bytes changed gets further than noise.
            let at = at % good.len();
            bytes.truncate(8);
            let mut spoilt = good;
            let end = (at + bytes.len()).min(spoilt.len());
            spoilt[at..end].copy_from_slice(&bytes[..end - at]);
            let _ = entries(&spoilt);
        }
    }
}
