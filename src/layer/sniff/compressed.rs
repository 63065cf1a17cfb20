//! How a stream is compressed, and its bytes without that.

use std::io::{self, Read};

use crate::oci::media_type::Compression;

/// The first four bytes of a stream tell its compression.
pub fn compression(magic: &[u8]) -> Compression {
    match magic {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// The program that undoes the compression that these first bytes tell, whether or not it is one of ours.
pub fn program(magic: &[u8]) -> Option<&'static str> {
    match magic {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', ..] => Some("bzip2"),
        _ => match compression(magic) {
            Compression::None => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
        },
    }
}

/// The uncompressed bytes of a stream.
///
/// # Errors
/// Where the decoder cannot be made; damaged bytes are an error of the reading.
pub fn decompress<'r, R: Read + Send + 'r>(
    inner: R,
    compression: Compression,
) -> io::Result<Box<dyn Read + Send + 'r>> {
    Ok(match compression {
        Compression::None => Box::new(inner),
        // Layers of other builders may have many members.
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(inner)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(inner)?),
    })
}
