//! How a stream is compressed, and its bytes without that.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use crate::layer::untar::Padded;
use crate::oci::media_type::Compression;

/// The first four bytes of a stream tell its compression.
pub fn compression(magic: &[u8]) -> Compression {
    match magic {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        // A frame, or one to skip (RFC 8878, 3.1.2), with which those of pzstd begin.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
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
        Compression::Gzip => Box::new(Members::new(BufReader::with_capacity(32 << 10, inner))),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(inner)?),
    })
}

/// The members of a gzip stream, of which layers of other builders may have many. Zeros after the last are [`Padded`].
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Members<R> {
    fn new(inner: R) -> Self {
        Self(Some(GzDecoder::new(inner)))
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some(mut rest) = self.0.take().map(GzDecoder::into_inner) else { break };
            match rest.fill_buf()? {
                [] => {}
                [0, ..] => {
                    zeros(&mut rest)?;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, Padded));
                }
                _ => self.0 = Some(GzDecoder::new(rest)),
            }
        }
        Ok(0)
    }
}

/// Reads to the end, up to which there are zeros.
fn zeros(rest: &mut impl BufRead) -> io::Result<()> {
    loop {
        let part = rest.fill_buf()?;
        let count = part.len();
        if part.iter().any(|byte| *byte != 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "what follows its gzip data is no gzip data"));
        }
        if count == 0 {
            return Ok(());
        }
        rest.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::layer::sniff;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("written");
        encoder.finish().expect("a member")
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompress(bytes, compression(bytes))?.read_to_end(&mut out).map(|_| out)
    }

    /// They were no tar.
    #[test]
    fn a_frame_to_skip_may_come_first() {
        let frame = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).expect("a frame");
        let skip = |kind: u8| [&[0x50 + kind, 0x2a, 0x4d, 0x18, 4, 0, 0, 0], &[9; 4][..]].concat();
        let bytes = [skip(0), frame(b"one "), skip(15), frame(b"two"), skip(7)].concat();
        assert_eq!(read(&bytes).expect("read"), b"one two");
        assert_eq!(program(&bytes), Some("zstd"));
    }

    /// Tapes have blocks of one size; the archive was damaged at its end.
    #[test]
    fn zeros_after_gzip_data_are_padding_for_archives_of_the_disk() {
        let tar = [0; 1024];
        let members = [gzip(&tar[..700]), gzip(&[]), gzip(&tar[700..])].concat();
        assert_eq!(read(&members).expect("read"), tar);
        for zeros in [1, 512, 100_000] {
            let padded = [members.clone(), vec![0; zeros]].concat();
            let decompressed = || decompress(&*padded, Compression::Gzip).expect("a decoder");
            assert!(sniff::contents(decompressed()).expect("an archive").nodes.is_empty());
            // Go's gzip, by which Docker and containerd unpack layers, takes it for a member without a header.
            let error = sniff::blob_contents(decompressed()).expect_err("an error");
            let cause = std::error::Error::source(&error).expect("a cause").to_string();
            assert!(cause.contains("zero bytes after its gzip data"), "{cause}");
            let garbage = [padded.clone(), b"x".to_vec()].concat();
            sniff::contents(decompress(&*garbage, Compression::Gzip).expect("a decoder")).expect_err("an error");
        }
        // A member that is damaged is told all the same.
        let mut damaged = members.clone();
        let end = damaged.len() - 8;
        damaged[end] ^= 1;
        for damaged in [&damaged[..], &members[..end], &[members.as_slice(), b"x"].concat(), &[], &[0; 100]] {
            assert!(sniff::contents(decompress(damaged, Compression::Gzip).expect("a decoder")).is_err());
        }
    }
}
