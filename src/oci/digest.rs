//! Digests of content (image-spec descriptor.md "Digests").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// A SHA-256 digest over the raw bytes as they are stored, written `sha256:` and 64 lower-case hexadecimal digits.
///
/// The specification registers `sha512` and `blake3` as well; no registry that ECS pulls from serves them, so they
/// are refused by name instead of being half supported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseDigestError {
    /// No `algorithm:encoded`.
    #[error("{0:?} is not a digest: expected sha256: and 64 hexadecimal digits")]
    Form(String),
    /// An algorithm other than SHA-256.
    #[error("digest algorithm {0:?} is not supported: only sha256 is")]
    Algorithm(String),
    /// Not 64 digits of `0-9a-f`.
    #[error("{0:?} is not a sha256 digest: expected 64 lower-case hexadecimal digits after the colon")]
    Encoded(String),
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The encoded part: 64 hexadecimal digits, the blob's file name in an image layout.
    pub fn encoded(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.encoded())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, encoded) = text.split_once(':').ok_or_else(|| ParseDigestError::Form(text.into()))?;
        if algorithm != "sha256" {
            return Err(ParseDigestError::Algorithm(algorithm.into()));
        }
        let mut bytes = [0; 32];
        // `hex` takes capitals; the specification's sha256 does not.
        if encoded.bytes().any(|b| b.is_ascii_uppercase()) || hex::decode_to_slice(encoded, &mut bytes).is_err() {
            return Err(ParseDigestError::Encoded(text.into()));
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_parses() {
        let text = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let digest: Digest = text.parse().expect("a digest");
        assert_eq!(digest, Digest::of(b"{}"));
        assert_eq!(digest.to_string(), text);
    }

    #[test]
    fn refuses_other_forms() {
        assert!(matches!("abc".parse::<Digest>(), Err(ParseDigestError::Form(_))));
        assert!(matches!("sha512:00".parse::<Digest>(), Err(ParseDigestError::Algorithm(_))));
        let upper = format!("sha256:{}", "A".repeat(64));
        assert!(matches!(upper.parse::<Digest>(), Err(ParseDigestError::Encoded(_))));
        let path = format!("sha256:{}", "../".repeat(21));
        assert!(path.parse::<Digest>().is_err());
    }
}
