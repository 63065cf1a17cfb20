//! What holds for any tree of files: a layer of it reads back as the same entries, by our own reader and by others, and
//! each way of compressing it gives one stream whose content is the tar that the diff ID names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use dockless::event::Silent;
use dockless::layer::compress::{Codec, Pool, stream};
use dockless::layer::entry::{Entry, Kind};
use dockless::layer::pack::{self, Packed, Packing};
use dockless::layer::scan::{Owners, rootfs};
use dockless::layer::untar::Reader;
use dockless::oci::digest::Digest;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Something in a folder.
#[derive(Debug, Clone)]
enum Thing {
    Folder(u32, BTreeMap<String, Thing>),
    File(u32, Vec<u8>),
    Symlink(String),
    /// Another name of one of the files.
    Hardlink(Index),
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-c][a-c.-]{0,2}",
        2 => "[a-z]{90,130}",
        2 => "[éß世 %=\\\\\n]{1,40}",
        1 => "\\.wh\\.[a-c]{1,2}",
        1 => Just(".wh..wh..opq".to_owned()),
    ]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    // Around the size of a tar's block, and beyond it.
    prop_oneof![
        vec(any::<u8>(), 0..40),
        (select(vec![511_usize, 512, 513, 2000]), any::<u8>()).prop_map(|(size, byte)| vec![byte; size])
    ]
}

fn things() -> impl Strategy<Value = BTreeMap<String, Thing>> {
    let mode = select(vec![0o644_u32, 0o755, 0o600, 0o4755, 0o2711, 0o7777]);
    let thing = prop_oneof![
        4 => (mode, content()).prop_map(|(mode, content)| Thing::File(mode, content)),
        1 => "[a-c/.é]{1,120}".prop_map(Thing::Symlink),
        2 => any::<Index>().prop_map(Thing::Hardlink),
    ];
    let folder_mode = || select(vec![0o755_u32, 0o700, 0o1777, 0o2775]);
    let thing = thing.prop_recursive(3, 24, 5, move |inner| {
        (folder_mode(), proptest::collection::btree_map(name(), inner, 0..5))
            .prop_map(|(mode, all)| Thing::Folder(mode, all))
    });
    proptest::collection::btree_map(name(), thing, 0..7)
}

/// Makes the things, and remembers the files, which may get other names.
fn make(folder: &Path, things: &BTreeMap<String, Thing>, files: &mut Vec<std::path::PathBuf>) {
    for (name, thing) in things {
        let path = folder.join(name);
        let whiteout = name.starts_with(".wh.");
        match thing {
            Thing::File(mode, content) => {
                fs::write(&path, content).expect("a file");
                fs::set_permissions(&path, Permissions::from_mode(*mode)).expect("a mode");
                if !whiteout {
                    files.push(path);
                }
            }
            // A whiteout is a file: anything else of such a name is refused.
            Thing::Folder(..) | Thing::Symlink(_) if whiteout => {}
            Thing::Symlink(target) => symlink(target, path).expect("a link"),
            Thing::Hardlink(which) if !files.is_empty() => {
                fs::hard_link(which.get(files), path).expect("a hard link");
            }
            Thing::Hardlink(_) => {}
            Thing::Folder(mode, things) => {
                fs::create_dir(&path).expect("a folder");
                make(&path, things, files);
                fs::set_permissions(&path, Permissions::from_mode(*mode)).expect("a mode");
            }
        }
    }
}

fn packed(entries: Vec<Entry>, codec: Codec, pool: &Pool) -> (Vec<u8>, Packed) {
    let packing = Packing { pool, codec, reuse: None, observer: &Silent, id: "any" };
    pack::entries(entries, packing, Vec::new()).expect("a layer")
}

/// The entries of a tar and their data.
fn read(tar: &[u8]) -> Vec<(Entry, Vec<u8>)> {
    let mut reader = Reader::new(tar);
    let mut out = Vec::new();
    while let Some(entry) = reader.next_entry().expect("an entry") {
        let mut data = Vec::new();
        let mut buffer = [0; 300];
        loop {
            match reader.read_data(&mut buffer).expect("data") {
                0 => break,
                count => data.extend_from_slice(&buffer[..count]),
            }
        }
        out.push((entry, data));
    }
    reader.drain().expect("the end");
    assert_eq!(reader.offset(), tar.len() as u64 - 512, "the first of two empty blocks was read, and one is left");
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn a_tree_reads_back_as_it_was(things in things()) {
        let folder = tempfile::tempdir().expect("a folder");
        make(folder.path(), &things, &mut Vec::new());
        let owners = Owners { all: Some((3_000_000, 100)), ..Owners::default() };
        let (entries, _) = rootfs(folder.path(), &owners, Some(1_000_000_000)).expect("entries");
        let pool = Pool::new(2);
        let (tar, about) = packed(entries.clone(), Codec::None, &pool);
        prop_assert_eq!(Digest::of(&tar), about.diff_id);
        prop_assert_eq!(tar.len() as u64, about.size);
        let back = read(&tar);
        prop_assert_eq!(back.len(), entries.len());
        let mut seen = BTreeSet::new();
        for ((found, data), entry) in back.iter().zip(&entries) {
            prop_assert_eq!(found, &Entry { source: None, ..entry.clone() });
            match (&entry.kind, &entry.source) {
                (Kind::File(size), _) => {
                    let wanted = entry.source_path().map(|path| fs::read(path).expect("the file")).unwrap_or_default();
                    prop_assert_eq!(*size, wanted.len() as u64);
                    prop_assert_eq!(data, &wanted);
                }
                (Kind::Hardlink(target), _) => prop_assert!(seen.contains(&**target), "its target comes before it"),
                _ => prop_assert!(data.is_empty()),
            }
            prop_assert!(seen.insert(entry.path.clone()), "twice: {:?}", entry);
        }

        // Somebody else's reader sees the same; it takes a line feed in an extended record for the record's end.
        let feeds = back.iter().any(|(entry, _)| has_line_feed(entry));
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut others = archive.entries().expect("entries");
        for (entry, data) in back.iter().filter(|_| !feeds) {
            let mut other = others.next().expect("as many").expect("an entry");
            let path = other.path_bytes().into_owned();
            prop_assert_eq!(path.strip_suffix(b"/").unwrap_or(&path), if entry.path.is_empty() { b"." } else { &*entry.path });
            prop_assert_eq!(other.header().mode().expect("a mode"), u32::from(entry.mode));
            prop_assert_eq!(other.header().mtime().expect("a time"), u64::try_from(entry.mtime).expect("a time"));
            match &entry.kind {
                Kind::Symlink(target) | Kind::Hardlink(target) => {
                    let link = other.link_name_bytes().expect("a target");
                    prop_assert_eq!(&*link, &**target);
                }
                _ => {}
            }
            let mut bytes = Vec::new();
            other.read_to_end(&mut bytes).expect("data");
            prop_assert_eq!(&bytes, data);
        }
        prop_assert!(feeds || others.next().is_none());

        for codec in [Codec::GZIP, Codec::ZSTD] {
            let (blob, compressed) = packed(entries.clone(), codec, &pool);
            prop_assert_eq!(compressed.diff_id, about.diff_id);
            prop_assert_eq!(inflate(codec, &blob), tar.as_slice());
            prop_assert_eq!(packed(entries.clone(), codec, &Pool::new(1)).0, blob);
        }
    }

    #[test]
    fn any_cut_gives_one_stream(parts in vec((0_usize..150_000, any::<u8>(), any::<bool>()), 1..10)) {
        for codec in [Codec::Gzip(1), Codec::GZIP, Codec::Gzip(9), Codec::Zstd(1), Codec::ZSTD, Codec::None] {
            let mut whole = Vec::new();
            let pool = Pool::new(3);
            let (blob, finished, ()) = stream(&pool, codec, None, Vec::new(), |stream| {
                for (number, (size, byte, alike)) in parts.iter().enumerate() {
                    let data: Vec<u8> = (0..*size).map(|at| if *alike { *byte } else { mixed(at, *byte) }).collect();
                    let header = [*byte; 512];
                    stream.entry(number.to_string().as_bytes(), &header)?;
                    stream.append(&data);
                    whole.extend_from_slice(&header);
                    whole.extend_from_slice(&data);
                }
                Ok::<_, std::io::Error>(())
            }).expect("a stream");
            prop_assert!(inflate(codec, &blob) == whole, "{:?}", codec);
            prop_assert_eq!((finished.diff_id, finished.size), (Digest::of(&whole), whole.len() as u64));
        }
    }
}

fn has_line_feed(entry: &Entry) -> bool {
    let target = match &entry.kind {
        Kind::Symlink(target) | Kind::Hardlink(target) => &**target,
        _ => &*entry.path,
    };
    entry.path.contains(&b'\n') || target.contains(&b'\n')
}

/// A byte that is hard to guess from the one before.
fn mixed(at: usize, seed: u8) -> u8 {
    (at as u64 + u64::from(seed)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[1]
}

/// What a stream holds, by decoders that are not ours. It must be one gzip member, or zstd, to its last byte.
fn inflate(codec: Codec, blob: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match codec {
        Codec::None => out.extend_from_slice(blob),
        Codec::Gzip(_) => {
            let mut decoder = flate2::bufread::GzDecoder::new(blob);
            decoder.read_to_end(&mut out).expect("gzip");
            assert!(decoder.into_inner().is_empty(), "nothing after the only member");
        }
        Codec::Zstd(_) => {
            zstd::stream::copy_decode(blob, &mut out).expect("zstd");
        }
    }
    out
}
