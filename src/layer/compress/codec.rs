//! The compressions of a layer, and where their streams are cut.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::oci::media_type::Compression;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// gzip at level 1 to 12: see [`dockless_deflate`].
    Gzip(i32),
    /// Zstandard at level 1 to 19.
    Zstd(i32),
}

impl Codec {
    /// The default: the level whose output is still smaller than that of the tools people come from, and the fastest
    /// there.
    pub const GZIP: Self = Self::Gzip(4);
    /// Zstandard's own default level.
    pub const ZSTD: Self = Self::Zstd(3);

    /// The compression that a media type names.
    pub fn compression(self) -> Compression {
        match self {
            Self::None => Compression::None,
            Self::Gzip(_) => Compression::Gzip,
            Self::Zstd(_) => Compression::Zstd,
        }
    }

    /// That the level is one that there is.
    ///
    /// # Errors
    /// Where it is not: no encoder takes it.
    pub fn check(self) -> Result<(), ParseCodecError> {
        self.to_string().parse::<Self>().map(drop)
    }

    pub(super) fn cut(self) -> Cut {
        match self {
            Self::None | Self::Gzip(_) => Cut { least: 384 << 10, piece: 1 << 20 },
            // A frame has no memory of the one before it: larger ones cost less.
            Self::Zstd(_) => Cut { least: 2 << 20, piece: 4 << 20 },
        }
    }
}

/// Why a text is not a codec.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a compression: expected gzip, zstd or none, with a level after a colon (gzip:1 to gzip:12, zstd:1 to zstd:19)"
)]
pub struct ParseCodecError(String);

impl FromStr for Codec {
    type Err = ParseCodecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseCodecError(text.into());
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<i32>().map_err(|_| error())?)),
            None => (text, None),
        };
        match (name, level) {
            ("none", None) => Ok(Self::None),
            ("gzip", None) => Ok(Self::GZIP),
            ("zstd", None) => Ok(Self::ZSTD),
            ("gzip", Some(level @ 1..=12)) => Ok(Self::Gzip(level)),
            ("zstd", Some(level @ 1..=19)) => Ok(Self::Zstd(level)),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Gzip(level) => write!(f, "gzip:{level}"),
            Self::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

/// Where a codec's streams are cut, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// A chunk of so many bytes may end at a path that says so.
    pub(super) least: usize,
    /// A chunk of so many bytes ends at any path; a file of so many is cut at their multiples.
    pub(super) piece: usize,
}
