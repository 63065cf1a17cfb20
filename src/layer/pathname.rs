//! Pathnames of entries, and the targets of links: bytes that are made once and do not change.
//!
//! A large tree has hundreds of thousands of them, each held by its entry, by what is remembered of it and by the
//! merged root, so every word counts: one pointer in each holder, a count and a length beside the bytes.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use triomphe::ThinArc;

/// Bytes that their clones share.
#[derive(Clone)]
pub struct Pathname(ThinArc<(), u8>);

impl Deref for Pathname {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.slice
    }
}

impl Borrow<[u8]> for Pathname {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl AsRef<[u8]> for Pathname {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for Pathname {
    fn from(bytes: &[u8]) -> Self {
        Self(ThinArc::from_header_and_slice((), bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for Pathname {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl From<Box<[u8]>> for Pathname {
    fn from(bytes: Box<[u8]>) -> Self {
        (*bytes).into()
    }
}

impl From<Vec<u8>> for Pathname {
    fn from(bytes: Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

// All as the bytes have them: a map is asked with bytes.

impl PartialEq for Pathname {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Pathname {}

impl PartialOrd for Pathname {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pathname {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Pathname {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Pathname {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.escape_ascii())
    }
}

impl Serialize for Pathname {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Pathname {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Pathname;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Pathname, E> {
        Ok(bytes.into())
    }

    // What a format without bytes of its own makes of them.
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Pathname, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = elements.next_element::<u8>()? {
            bytes.push(byte);
        }
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_its_bytes() {
        let name = Pathname::from(b"usr/bin");
        let map = std::collections::BTreeMap::from([(name.clone(), 1)]);
        let hashed = std::collections::HashMap::from([(name.clone(), 1)]);
        assert_eq!((map.get(&b"usr/bin"[..]), hashed.get(&b"usr/bin"[..])), (Some(&1), Some(&1)));
        assert!(Pathname::from(b"usr-bin") < name && Pathname::from(Vec::new()).is_empty());
        assert_eq!(size_of::<Option<Pathname>>(), size_of::<usize>());
    }

    #[test]
    fn it_comes_back_from_what_is_kept() {
        let name = Pathname::from(b"th\xe9/\"\0");
        let kept = postcard::to_allocvec(&name).expect("bytes");
        // As a list of bytes is kept: what earlier versions wrote can be read.
        assert_eq!(kept, postcard::to_allocvec(&name.to_vec()).expect("bytes"));
        assert_eq!(postcard::from_bytes::<Pathname>(&kept).expect("a name"), name);
        assert_eq!(serde_json::from_str::<Pathname>("[1,2]").expect("a name"), Pathname::from(b"\x01\x02"));
    }
}
