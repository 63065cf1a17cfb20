//! The stages that a layer goes through, each alone: `cargo bench`. Whole builds beside other tools:
//! `benches/peers.sh`.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use divan::Bencher;
use divan::counter::BytesCount;
use dockless::blob::Tally;
use dockless::event::Silent;
use dockless::layer::cache::key::Ground;
use dockless::layer::compress::{Codec, Pool, stream};
use dockless::layer::pack::{self, Packing};
use dockless::layer::scan::{self, Owners};

fn main() {
    divan::main();
}

/// Bytes that compress about as programs and their sources do, the same at each call.
fn prose(size: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits")
    };
    let words: Vec<Vec<u8>> = (0..4000)
        .map(|_| (0..2 + random() % 9).map(|_| u8::try_from(97 + random() % 26).expect("a letter")).collect())
        .collect();
    let mut out = Vec::with_capacity(size + 16);
    while out.len() < size {
        // Few words are frequent.
        let word = &words[random() % words.len().min(1 + random() % words.len())];
        out.extend_from_slice(word);
        out.push(b' ');
    }
    out.truncate(size);
    out
}

const SIZE: usize = 32 << 20;

/// One stream, from bytes to a compressed blob and both digests.
#[divan::bench(args = ["none", "gzip:1", "gzip:4", "gzip:6", "zstd:3"], sample_count = 5)]
fn compress(bencher: Bencher<'_, '_>, codec: &str) {
    let codec: Codec = codec.parse().expect("a codec");
    let data = prose(SIZE);
    let pool = Pool::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    bencher.counter(BytesCount::new(SIZE)).bench(|| {
        stream(&pool, codec, None, Tally::new(io::sink()), |stream| {
            for (number, file) in data.chunks(300_000).enumerate() {
                stream.entry(number.to_string().as_bytes(), &[0; 512])?;
                stream.append(file);
            }
            Ok::<_, io::Error>(())
        })
        .expect("a sink takes all")
        .1
    });
}

/// The hash that both streams of a layer go through.
#[divan::bench(sample_count = 5)]
fn sha256(bencher: Bencher<'_, '_>) {
    let data = prose(SIZE);
    bencher.counter(BytesCount::new(SIZE)).bench(|| {
        let mut tally = Tally::new(io::sink());
        tally.write_all(&data).expect("a sink takes all");
        tally.digest()
    });
}

fn tree(files: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for number in 0..files {
        let path = folder.path().join(format!("usr/lib/{}/{number}", number % 97));
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
        fs::write(path, prose(500 + number % 4000)).expect("a file");
    }
    folder
}

const FILES: usize = 5000;

/// A folder to entries, as a build without a cache needs them.
#[divan::bench(sample_count = 10)]
fn scan_folder(bencher: Bencher<'_, '_>) {
    let folder = tree(FILES);
    bencher
        .counter(divan::counter::ItemsCount::new(FILES))
        .bench(|| scan::rootfs(folder.path(), &Owners::default(), None).expect("entries").0.len());
}

/// A folder to the key that it has in the cache.
#[divan::bench(sample_count = 10)]
fn key_of_folder(bencher: Bencher<'_, '_>) {
    let folder = tree(FILES);
    bencher.counter(divan::counter::ItemsCount::new(FILES)).bench(|| {
        let (entries, _) = scan::rootfs(folder.path(), &Owners::default(), None).expect("entries");
        Ground::now(Codec::GZIP).entries(&entries)
    });
}

/// Many small files to a layer.
#[divan::bench(sample_count = 5)]
fn pack_folder(bencher: Bencher<'_, '_>) {
    let folder = tree(FILES);
    let pool = Pool::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let (entries, _) = scan::rootfs(folder.path(), &Owners::default(), None).expect("entries");
    let packing = Packing { pool: &pool, codec: Codec::GZIP, reuse: None, observer: &Silent, id: "layer" };
    bencher
        .counter(divan::counter::ItemsCount::new(FILES))
        .bench(|| pack::entries(entries.clone(), packing, Tally::new(io::sink())).expect("a layer").1.size);
}
