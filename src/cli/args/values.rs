//! Values that a flag takes, parsed from their text.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use dockless::layer::run::quoted;
use thiserror::Error;

/// Why a flag's value is refused; the flag and the value are named by the parser.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseValueError {
    /// Not a number and a unit.
    #[error("expected a number of bytes, such as 5MiB, 10MB or 5242880")]
    Size,
    /// `M` alone is 2^20 to some and 10^6 to others.
    #[error("unit {unit:?} is ambiguous: write {unit}iB for powers of 1024 or {unit}B for powers of 1000")]
    Unit {
        /// The unit as it was given.
        unit: String,
    },
    /// More than 2^64 bytes.
    #[error("the number of bytes is too large")]
    Large,
    /// Nothing.
    #[error("a size of zero is not possible")]
    Zero,
    /// An unknown method.
    #[error("expected gzip, zstd or none, with an optional level such as zstd:9")]
    Compression,
    /// A level that the method does not have.
    #[error("expected a level from 1 to {highest}")]
    Level {
        /// The highest level.
        highest: u8,
    },
    /// A level where nothing is compressed.
    #[error("none has no level")]
    NoLevel,
    /// A name alone, where a value belongs behind it.
    #[error("it has no = with a value behind it")]
    NoValue,
    /// A value alone.
    #[error("nothing stands before the =")]
    NoKey,
    /// What `docker buildx build --output` takes.
    #[error("an output is a path here: {0}")]
    Output(String),
    /// An array that is none.
    #[error("a value that starts with [ is a JSON array of strings: {0}")]
    Words(String),
    /// Not a port.
    #[error("expected a port and an optional protocol, such as 8080 or 8080/udp")]
    Port,
    /// Not a number of threads.
    #[error("expected a number of threads, 1 or more")]
    Jobs,
    /// Not an absolute path.
    #[error("expected an absolute path in the image, such as /data")]
    Absolute,
    /// A rule that is no word.
    #[error("expected RULE[=PATHGLOB], such as foreign-executable=/opt/qemu/**")]
    Allow,
    /// Not an address and a port.
    #[error("expected an address and a port, such as 127.0.0.1:5000")]
    Address,
    /// An address that others can reach.
    #[error("{0} is not a loopback address: the registry asks nobody for a password, so it listens on loopback only")]
    NotLoopback(SocketAddr),
}

/// A number of bytes: `5MiB`, `10MB`, `5242880`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(ParseValueError::Size);
        }
        let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "k" | "m" | "g" => return Err(ParseValueError::Unit { unit: unit.trim().to_ascii_uppercase() }),
            _ => return Err(ParseValueError::Size),
        };
        let number: u64 = number.parse().map_err(|_| ParseValueError::Large)?;
        match number.checked_mul(factor) {
            None => Err(ParseValueError::Large),
            Some(0) => Err(ParseValueError::Zero),
            Some(bytes) => Ok(Self(bytes)),
        }
    }
}

/// Whether a blob is sent in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkSize {
    /// Always in one piece.
    None,
    /// In chunks of so many bytes.
    Bytes(u64),
}

impl FromStr for ChunkSize {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(|Size(bytes)| Self::Bytes(bytes)) }
    }
}

/// How layers are compressed, with the level where one was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip, level 1 to 12.
    Gzip(Option<u8>),
    /// Zstandard, level 1 to 22.
    Zstd(Option<u8>),
    /// Not at all.
    None,
}

impl FromStr for Compression {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (method, level) = match text.split_once(':') {
            Some((method, level)) => (method, Some(level)),
            None => (text, None),
        };
        let level = |highest: u8| match level.map(str::parse::<u8>) {
            None => Ok(None),
            Some(Ok(level)) if (1..=highest).contains(&level) => Ok(Some(level)),
            Some(_) => Err(ParseValueError::Level { highest }),
        };
        match method {
            "gzip" => Ok(Self::Gzip(level(12)?)),
            "zstd" => Ok(Self::Zstd(level(19)?)),
            "none" if text != "none" => Err(ParseValueError::NoLevel),
            "none" => Ok(Self::None),
            _ => Err(ParseValueError::Compression),
        }
    }
}

/// The form of an image on a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    #[value(help = None)]
    /// An OCI image layout, as a folder or a tar.
    Oci,
    #[value(help = None)]
    /// What `docker save` writes: one platform, no index.
    DockerArchive,
}

/// `KEY=VALUE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What stands before the first `=`; not empty.
    pub key: String,
    /// What stands after it.
    pub value: String,
}

impl FromStr for Pair {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self { key: key.into(), value: value.into() }),
            Some(_) => Err(ParseValueError::NoKey),
            None => Err(ParseValueError::NoValue),
        }
    }
}

/// One word of a command, or all of them as a JSON array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl FromStr for Words {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with('[') {
            serde_json::from_str(text).map(Self).map_err(|error| ParseValueError::Words(error.to_string()))
        } else {
            Ok(Self(vec![text.into()]))
        }
    }
}

/// A port in the specification's form: `8080` becomes `8080/tcp`.
pub fn port(text: &str) -> Result<String, ParseValueError> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match number.parse::<u16>() {
        Ok(number) if number > 0 && matches!(protocol, "tcp" | "udp") => Ok(format!("{number}/{protocol}")),
        _ => Err(ParseValueError::Port),
    }
}

/// A number of threads.
pub fn jobs(text: &str) -> Result<NonZeroUsize, ParseValueError> {
    text.parse().map_err(|_| ParseValueError::Jobs)
}

/// An absolute path in the image.
pub fn absolute(text: &str) -> Result<String, ParseValueError> {
    if text.starts_with('/') { Ok(text.into()) } else { Err(ParseValueError::Absolute) }
}

/// An address that only this machine can reach.
pub fn loopback(text: &str) -> Result<SocketAddr, ParseValueError> {
    // The name that a resolver may send elsewhere means the address here.
    let numbers = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = numbers.as_deref().unwrap_or(text).parse().map_err(|_| ParseValueError::Address)?;
    if address.ip().is_loopback() { Ok(address) } else { Err(ParseValueError::NotLoopback(address)) }
}

/// Where to write an image: a path, which what Docker's flag of this name takes is not.
pub fn output(path: PathBuf) -> Result<PathBuf, ParseValueError> {
    let pairs: Option<Vec<(&str, &str)>> =
        path.to_str().and_then(|text| text.split(',').map(|pair| pair.split_once('=')).collect());
    let pairs = pairs.unwrap_or_default();
    let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let Some(kind) = value("type") else { return Ok(path) };
    let dest = value("dest").map_or("PATH".into(), quoted);
    Err(ParseValueError::Output(match kind {
        "registry" | "image" => "a registry is named by -t, and --push sends it there".into(),
        "docker" => format!("write --format docker-archive -o {dest}"),
        _ => format!("write -o {dest}"),
    }))
}

/// The value of a flag by which `docker build` takes a Dockerfile: refused with what makes a recipe of it.
pub fn dockerfile(text: &str) -> Result<String, String> {
    Err(format!(
        "a Dockerfile is translated once, and the recipe is what is built: `dockless init --dockerfile {}`",
        quoted(text)
    ))
}

/// The value of an `ARG`, which counts when a Dockerfile is translated.
pub fn build_argument(text: &str) -> Result<String, String> {
    Err(format!(
        "an ARG counts when the Dockerfile is translated, which is done once: `dockless init --build-arg {}`",
        quoted(text)
    ))
}

/// A finding that is accepted: `RULE[=PATHGLOB]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// The rule's name.
    pub rule: String,
    /// The paths for which it is accepted; `None` for all.
    pub path: Option<String>,
}

impl FromStr for Allow {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rule, path) = match text.split_once('=') {
            Some((rule, path)) => (rule, Some(path)),
            None => (text, None),
        };
        let word = !rule.is_empty() && rule.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !word || path.is_some_and(str::is_empty) {
            return Err(ParseValueError::Allow);
        }
        Ok(Self { rule: rule.into(), path: path.map(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_that_mean_one_thing() {
        let bytes = |text: &str| text.parse().map(|Size(bytes)| bytes);
        assert_eq!(bytes("5MiB"), Ok(5 << 20));
        assert_eq!(bytes("10MB"), Ok(10_000_000));
        assert_eq!(bytes("10 mb"), Ok(10_000_000));
        assert_eq!(bytes("5242880"), Ok(5 << 20));
        assert_eq!(bytes("64k"), Err(ParseValueError::Unit { unit: "K".into() }));
        assert_eq!(bytes("0"), Err(ParseValueError::Zero));
        assert_eq!(bytes("18446744073709551616"), Err(ParseValueError::Large));
        assert_eq!(bytes("20000000000GiB"), Err(ParseValueError::Large));
        for wrong in ["", "MiB", "-1", "1.5MiB", "5 parsecs"] {
            assert_eq!(bytes(wrong), Err(ParseValueError::Size), "{wrong}");
        }
        assert_eq!("none".parse(), Ok(ChunkSize::None));
        assert_eq!("5MiB".parse(), Ok(ChunkSize::Bytes(5 << 20)));
    }

    #[test]
    fn compressions_have_levels() {
        assert_eq!("gzip".parse(), Ok(Compression::Gzip(None)));
        assert_eq!("zstd:19".parse(), Ok(Compression::Zstd(Some(19))));
        assert_eq!("none".parse(), Ok(Compression::None));
        assert_eq!("none:1".parse::<Compression>(), Err(ParseValueError::NoLevel));
        assert_eq!("gzip:13".parse::<Compression>(), Err(ParseValueError::Level { highest: 12 }));
        assert_eq!("gzip:".parse::<Compression>(), Err(ParseValueError::Level { highest: 12 }));
        assert_eq!("xz".parse::<Compression>(), Err(ParseValueError::Compression));
    }

    #[test]
    fn words_are_one_or_an_array() {
        assert_eq!("/usr/bin/app".parse(), Ok(Words(vec!["/usr/bin/app".into()])));
        assert_eq!(r#"["sh","-c","a b"]"#.parse(), Ok(Words(vec!["sh".into(), "-c".into(), "a b".into()])));
        assert!(matches!("[1]".parse::<Words>(), Err(ParseValueError::Words(_))));
    }

    #[test]
    fn the_other_values() {
        assert_eq!(port("8080"), Ok("8080/tcp".into()));
        assert_eq!(port("53/udp"), Ok("53/udp".into()));
        assert_eq!(port("0"), Err(ParseValueError::Port));
        assert_eq!(port("80:80"), Err(ParseValueError::Port));
        assert!(loopback("[::1]:0").is_ok());
        assert_eq!(loopback("localhost:0"), Ok("127.0.0.1:0".parse().expect("an address")));
        assert!(matches!(loopback("0.0.0.0:5000"), Err(ParseValueError::NotLoopback(_))));
        assert_eq!(
            "foreign-executable=/opt/**".parse(),
            Ok(Allow { rule: "foreign-executable".into(), path: Some("/opt/**".into()) })
        );
        assert_eq!("/opt/**".parse::<Allow>(), Err(ParseValueError::Allow));
        assert_eq!("A=".parse::<Pair>().map(|pair| pair.value), Ok(String::new()));
        assert_eq!("=b".parse::<Pair>(), Err(ParseValueError::NoKey));
        assert_eq!("b".parse::<Pair>(), Err(ParseValueError::NoValue));
    }

    #[test]
    fn an_output_of_docker_is_no_path() {
        let error = |text: &str| output(text.into()).expect_err(text).to_string();
        assert_eq!(error("type=oci,dest=x.tar"), "an output is a path here: write -o x.tar");
        assert_eq!(
            error("dest=my x.tar,type=docker"),
            "an output is a path here: write --format docker-archive -o 'my x.tar'"
        );
        assert_eq!(
            error("type=registry"),
            "an output is a path here: a registry is named by -t, and --push sends it there"
        );
        assert_eq!(error("type=local"), "an output is a path here: write -o PATH");
        for path in ["oci", "x.tar", "type", "a=b", "a,type=oci", "./type=oci"] {
            assert_eq!(output(path.into()), Ok(path.into()));
        }
    }
}
