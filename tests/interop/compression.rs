//! A layer's blob is one member of gzip, or one frame of zstd, to every program that reads such things.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::images::{Layer, Layout, digest, sources, words};
use super::support::{Place, find, run, say, tool};

/// Fails unless the first member is the last one: whole, with nothing behind it.
const PYTHON: &str = "
import hashlib, sys, zlib
stream, hash = zlib.decompressobj(wbits=31), hashlib.sha256()
with open(sys.argv[1], 'rb') as file:
    while chunk := file.read(1 << 20):
        assert not stream.eof, 'bytes behind the first member'
        hash.update(stream.decompress(chunk))
assert stream.eof, 'the member does not end'
assert stream.unused_data == b'', 'bytes behind the first member'
print('sha256:' + hash.hexdigest())
";

const GO: &str = r#"package main

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	file, err := os.Open(os.Args[1])
	check(err)
	reader := bufio.NewReader(file)
	member, err := gzip.NewReader(reader)
	check(err)
	member.Multistream(false)
	hash := sha256.New()
	_, err = io.Copy(hash, member)
	check(err)
	if _, err = reader.ReadByte(); err != io.EOF {
		panic("bytes behind the first member")
	}
	fmt.Printf("sha256:%x\n", hash.Sum(nil))
}
"#;

fn build(place: &Place, compression: &str) -> Vec<Layer> {
    sources(place);
    place.dockless(words(super::images::BOTH, &["--compression", compression, "-o", "image"])).ok();
    let layers = Layout(place.path("image")).layers();
    assert_eq!(layers.len(), 4);
    layers
}

fn stdin(mut command: Command, path: &Path) -> (Option<i32>, Vec<u8>) {
    let file = fs::File::open(path).expect("a blob");
    let output = command.stdin(Stdio::from(file)).output().expect("a program that starts");
    (output.status.code(), output.stdout)
}

fn filter(name: &str, words: &[&str], path: &Path) -> Vec<u8> {
    let mut command = tool(name);
    command.args(words);
    let (code, stdout) = stdin(command, path);
    assert_eq!(code, Some(0), "{name} {words:?} < {}", path.display());
    stdout
}

#[test]
fn gzip_has_one_member() {
    let Some(place) = Place::new("gzip_has_one_member", &["gzip", "pigz", "python3"]) else { return };
    for compression in ["gzip", "gzip:1", "gzip:12"] {
        for layer in build(&place, compression) {
            assert_eq!(layer.media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
            let unpacked = filter("gzip", &["-d", "-c"], &layer.path);
            assert_eq!(digest(&unpacked), layer.diff_id);
            filter("pigz", &["-t"], &layer.path);
            assert_eq!(run(tool("python3").args(["-c", PYTHON]).arg(&layer.path)).ok().line(), layer.diff_id);

            // gzip -l believes the last eight bytes only: with a second member they would not be the whole.
            let named = place.path("layer.gz");
            fs::copy(&layer.path, &named).expect("a copy");
            let listed = run(tool("gzip").arg("-lv").arg(&named)).ok();
            assert_eq!(listed.stderr, "");
            let columns: Vec<String> =
                listed.text().lines().last().expect("a line").split_whitespace().map(str::to_owned).collect();
            assert!(columns.contains(&unpacked.len().to_string()), "{} bytes are not in {columns:?}", unpacked.len());
        }
    }
}

#[test]
fn go_reads_one_member() {
    let Some(place) = Place::new("go_reads_one_member", &[]) else { return };
    if find("go").is_none() {
        say("SKIPPED: go_reads_one_member: Go is not installed");
        return;
    }
    fs::write(place.path("member.go"), GO).expect("a file");
    let mut go = tool("go");
    go.args(["build", "-o"]).arg(place.path("member")).arg(place.path("member.go"));
    run(go.env("GOTOOLCHAIN", "local").env("GOCACHE", place.path("go")).current_dir(place.path("."))).ok();
    for layer in build(&place, "gzip") {
        assert_eq!(run(Command::new(place.path("member")).arg(&layer.path)).ok().line(), layer.diff_id);
    }
}

#[test]
fn zstd_is_whole() {
    let Some(place) = Place::new("zstd_is_whole", &["zstd"]) else { return };
    for compression in ["zstd", "zstd:19"] {
        for layer in build(&place, compression) {
            assert_eq!(layer.media_type, "application/vnd.oci.image.layer.v1.tar+zstd");
            filter("zstd", &["-t"], &layer.path);
            assert_eq!(digest(&filter("zstd", &["-d", "-c"], &layer.path)), layer.diff_id);
        }
    }
}

#[test]
fn none_is_a_tar() {
    let Some(place) = Place::new("none_is_a_tar", &["tar", "bsdtar"]) else { return };
    for layer in build(&place, "none") {
        assert_eq!(layer.media_type, "application/vnd.oci.image.layer.v1.tar");
        assert_eq!(digest(&fs::read(&layer.path).expect("a blob")), layer.diff_id);
        for name in ["tar", "bsdtar"] {
            assert_eq!(run(tool(name).arg("-tvf").arg(&layer.path)).ok().stderr, "");
        }
    }
}
