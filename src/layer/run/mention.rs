//! Where a folder that is gone in the image is still spoken of: a script's first line, a debug section, a
//! configuration. What was built in a folder often keeps its name, and then works on this machine alone.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many files are named at most: more say no more.
const MOST: usize = 1000;

/// What is in a folder, all things together, and which of them name the folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Files, folders and links.
    pub entries: u64,
    /// The bytes of files.
    pub bytes: u64,
    /// Files in whose bytes, and links in whose target, the folder's path occurs; relative to it.
    pub mentions: Vec<PathBuf>,
}

/// Looks at everything in a folder; where `read` is not set, at names and sizes alone.
///
/// # Errors
/// Where something cannot be read.
pub fn look(folder: &Path, read: bool) -> io::Result<Look> {
    let mut look = Look::default();
    let mut finder = Finder::new(folder.as_os_str().as_bytes());
    below(folder, folder, read.then_some(&mut finder), &mut look)?;
    look.mentions.sort();
    Ok(look)
}

fn below(top: &Path, folder: &Path, mut finder: Option<&mut Finder<'_>>, look: &mut Look) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let data = path.symlink_metadata()?;
        look.entries += 1;
        if data.is_dir() {
            below(top, &path, finder.as_deref_mut(), look)?;
            continue;
        }
        if data.is_file() {
            look.bytes += data.len();
        }
        if let Some(finder) = finder.as_deref_mut()
            && look.mentions.len() < MOST
            && finder.is_in(&path, &data)?
        {
            look.mentions.push(path.strip_prefix(top).unwrap_or(&path).into());
        }
    }
    Ok(())
}

/// Looks for one text, skipping what it cannot be in (R. N. Horspool, "Practical Fast Searching in Strings").
struct Finder<'t> {
    text: &'t [u8],
    /// How far the text may be moved on where this byte is under its end.
    skip: [usize; 256],
    buffer: Vec<u8>,
}

impl<'t> Finder<'t> {
    fn new(text: &'t [u8]) -> Self {
        let mut skip = [text.len().max(1); 256];
        for (index, byte) in text.iter().enumerate().take(text.len().saturating_sub(1)) {
            skip[usize::from(*byte)] = text.len() - 1 - index;
        }
        Self { text, skip, buffer: vec![0; (256 << 10) + text.len()] }
    }

    fn is_in(&mut self, path: &Path, data: &Metadata) -> io::Result<bool> {
        if data.is_symlink() {
            return Ok(self.find(fs::read_link(path)?.as_os_str().as_bytes()));
        }
        if !data.is_file() || data.len() < self.text.len() as u64 {
            return Ok(false);
        }
        self.is_read(File::open(path)?)
    }

    fn is_read(&mut self, mut file: impl Read) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut kept = 0;
        let found = loop {
            match file.read(&mut buffer[kept..]) {
                Ok(0) => break Ok(false),
                Ok(count) => {
                    let end = kept + count;
                    if self.find(&buffer[..end]) {
                        break Ok(true);
                    }
                    // The text may begin here and end in what is read next.
                    kept = end.min(self.text.len().saturating_sub(1));
                    buffer.copy_within(end - kept..end, 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.buffer = buffer;
        found
    }

    fn find(&self, bytes: &[u8]) -> bool {
        let Some(last) = self.text.len().checked_sub(1) else { return true };
        let mut at = last;
        while let Some(byte) = bytes.get(at) {
            if &bytes[at - last..=at] == self.text {
                return true;
            }
            at += self.skip[usize::from(*byte)];
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives so many bytes at a time.
    struct Slowly<'b>(&'b [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    proptest! {
        #[test]
        fn finds_what_a_simple_search_finds(text in "[ab]{1,6}", bytes in "[abc]{0,60}", step in 1..9_usize) {
            let wanted = bytes.contains(&text);
            let mut finder = Finder::new(text.as_bytes());
            prop_assert_eq!(finder.find(bytes.as_bytes()), wanted);
            prop_assert_eq!(finder.is_read(Slowly(bytes.as_bytes(), step)).expect("bytes"), wanted);
        }
    }

    #[test]
    fn names_the_files_that_hold_the_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let name = root.display().to_string();
        fs::create_dir(root.join("bin")).expect("a folder");
        fs::write(root.join("bin/tool"), format!("#!{name}/bin/python\n")).expect("a file");
        fs::write(root.join("clean"), "/other/path").expect("a file");
        // Across the edge of what is read at once.
        let mut long = vec![b'x'; (256 << 10) - 3];
        long.extend_from_slice(name.as_bytes());
        fs::write(root.join("long"), &long).expect("a file");
        std::os::unix::fs::symlink(root.join("bin"), root.join("link")).expect("a link");
        std::os::unix::fs::symlink("bin", root.join("near")).expect("a link");
        let all = look(root, true).expect("a look");
        assert_eq!(all.mentions, ["bin/tool", "link", "long"].map(PathBuf::from));
        assert_eq!(all.entries, 6);
        let names = look(root, false).expect("a look");
        assert_eq!((names.entries, names.bytes, names.mentions.len()), (all.entries, all.bytes, 0));
    }
}
