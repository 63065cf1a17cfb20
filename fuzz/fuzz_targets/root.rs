//! Paths and links of a stranger's layers: a resolution ends, and stays within the root.

#![no_main]

use std::sync::Arc;

use dockless::image::root::Root;
use dockless::layer::contents::{Contents, Head, Kind, Node};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<(Vec<u8>, u8, Vec<u8>)>, Vec<u8>)| {
    let (nodes, asked) = input;
    let node = |(path, kind, target): (Vec<u8>, u8, Vec<u8>)| {
        let kind = match kind % 7 {
            0 => Kind::Directory,
            1 => Kind::File { size: 0, head: Head::Other },
            2 | 3 => Kind::Symlink(target.into()),
            4 => Kind::Hardlink(target.into()),
            5 => Kind::Whiteout,
            _ => Kind::Opaque,
        };
        Node { path: path.into(), kind, mode: 0o755, uid: 0, gid: 0, xattrs: None }
    };
    let nodes: Vec<Node> = nodes.into_iter().map(node).collect();
    let (lower, upper) = nodes.split_at(nodes.len() / 2);
    let layers = [lower, upper].map(|nodes| Arc::new(Contents { nodes: nodes.to_vec() }));
    let root = Root::of(layers.into());
    if let Ok(found) = root.resolve(&asked) {
        assert!(!found.path.split(|byte| *byte == b'/').any(|part| part == b".."));
    }
});
