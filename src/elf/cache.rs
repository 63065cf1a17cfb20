//! What `/etc/ld.so.cache` says: the libraries that glibc's loader finds without looking for them (glibc
//! `sysdeps/generic/dl-cache.h`).
//!
//! The bytes come from strangers, as those of an ELF file do: what is not as it should be is no cache.

/// How a cache begins that has the old form before the new one, and how the new form begins.
const OLD: &[u8] = b"ld.so-1.7.0";
const NEW: &[u8] = b"glibc-ld.so.cache1.1";
const NEW_HEADER: usize = 48;
const NEW_ENTRY: usize = 24;

/// Whether these first bytes are those of a cache.
pub fn is_cache(first: &[u8]) -> bool {
    first.starts_with(NEW) || first.starts_with(OLD)
}

/// The name of a library and the path at which the loader finds it, with a leading slash.
pub type Cached = (Box<[u8]>, Box<[u8]>);

/// The libraries of a cache; `None` where it is none, or cut off.
pub fn parse(bytes: &[u8]) -> Option<Vec<Cached>> {
    let bytes = match bytes.strip_prefix(OLD) {
        Some(_) => {
            let end = number(bytes, 12)?.checked_mul(12)?.checked_add(16)?;
            bytes.get(end.checked_next_multiple_of(8)?..)?
        }
        None => bytes,
    };
    if !bytes.starts_with(NEW) {
        return None;
    }
    let entries = bytes.get(NEW_HEADER..)?;
    let entries = entries.get(..number(bytes, 20)?.checked_mul(NEW_ENTRY)?)?;
    let string = |at: usize| {
        let rest = bytes.get(at..)?;
        Some(Box::from(&rest[..rest.iter().take(4096).position(|byte| *byte == 0)?]))
    };
    // Two strings an entry, and entries may share theirs: what they come to is limited by what an honest cache has.
    let mut room = bytes.len().checked_mul(2)?;
    let mut libraries = Vec::new();
    for entry in entries.chunks_exact(NEW_ENTRY) {
        let (name, path): Cached = (string(number(entry, 4)?)?, string(number(entry, 8)?)?);
        room = room.checked_sub(name.len() + path.len())?;
        libraries.push((name, path));
    }
    Some(libraries)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache as `ldconfig` writes it.
    fn cache(libraries: &[(&str, &str)]) -> Vec<u8> {
        let mut out = NEW.to_vec();
        let count = u32::try_from(libraries.len()).expect("few");
        out.extend(count.to_le_bytes());
        out.resize(NEW_HEADER, 0);
        let mut strings: Vec<u8> = Vec::new();
        let start = NEW_HEADER + NEW_ENTRY * libraries.len();
        for (name, path) in libraries {
            let mut put = |text: &str| {
                let at = u32::try_from(start + strings.len()).expect("small");
                strings.extend(text.bytes().chain([0]));
                at.to_le_bytes()
            };
            let (name, path) = (put(name), put(path));
            out.extend([0x03, 0x03, 0, 0].iter().chain(&name).chain(&path));
            out.extend([0; 12]);
        }
        out.extend(strings);
        out
    }

    const TWO: &[(&str, &str)] = &[("libz.so.1", "/opt/z/libz.so.1"), ("libc.so.6", "/lib/libc.so.6")];

    #[test]
    fn both_forms_are_read() {
        let new = cache(TWO);
        let wanted: Vec<Cached> =
            TWO.iter().map(|(name, path)| (name.as_bytes().into(), path.as_bytes().into())).collect();
        assert_eq!(parse(&new), Some(wanted.clone()));
        let mut old = OLD.to_vec();
        old.push(0);
        old.extend(1_u32.to_le_bytes());
        old.resize(32, 0);
        old.extend(&new);
        assert_eq!(parse(&old), Some(wanted));
        assert_eq!(parse(&new[..new.len() - 1]), None);
        assert_eq!(parse(b"ld.so-1.7.0"), None);
    }

    /// What this machine's own `ldconfig` wrote.
    #[cfg(target_os = "linux")]
    #[test]
    fn reads_the_cache_of_this_machine() {
        let Ok(bytes) = std::fs::read("/etc/ld.so.cache") else { return };
        let libraries = parse(&bytes).expect("a cache");
        assert!(libraries.iter().any(|(name, path)| name.as_ref() == b"libc.so.6" && path.ends_with(b"/libc.so.6")));
    }

    proptest::proptest! {
        #[test]
        fn takes_any_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..512), old: bool) {
            let start = if old { OLD } else { NEW };
            let _ = parse(&[start, &bytes].concat());
        }
    }
}
