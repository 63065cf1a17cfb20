//! The layers below a copy layer, as copying asks about them.

use crate::image::root::{Root, Unresolved};
use crate::layer::contents::Kind as NodeKind;
use crate::layer::copy::{Below, Ground};

/// The layers below, as copying asks about them.
pub(super) struct Underground<'a> {
    pub(super) root: &'a Root,
}

impl Below for Underground<'_> {
    fn at(&self, path: &[u8]) -> Ground {
        match self.root.resolve(path) {
            Ok(found) if found.node.kind == NodeKind::Directory => Ground::Folder {
                path: found.path,
                mode: found.node.mode,
                uid: found.node.uid,
                gid: found.node.gid,
                xattrs: found.node.xattrs.clone(),
            },
            Ok(_) => Ground::Other("a file".into()),
            // It, or a folder above it, is not there: no link was followed to find out.
            Err(Unresolved::Missing(at)) if *at == *path || path.starts_with(&[&at, b"/".as_slice()].concat()) => {
                Ground::Nothing
            }
            // No layer names the folder that the link leads to, but it is there.
            Err(Unresolved::Missing(at)) if self.root.holds_entries(&at) => {
                Ground::Folder { path: at, mode: 0o755, uid: 0, gid: 0, xattrs: None }
            }
            Err(Unresolved::Missing(at)) => {
                Ground::Other(format!("a link to /{}, which does not exist", String::from_utf8_lossy(&at)))
            }
            Err(Unresolved::NotADirectory(at)) => {
                Ground::Other(format!("a link through the file /{}", String::from_utf8_lossy(&at)))
            }
            Err(Unresolved::Loop(_)) => Ground::Other("a link to itself".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::layer::contents::{Contents, Node};

    #[test]
    fn a_destination_whose_folders_are_not_there_is_on_no_ground() {
        let node =
            |path: &str, kind| Node { path: path.as_bytes().into(), kind, mode: 0o755, uid: 0, gid: 0, xattrs: None };
        let link = |target: &str| NodeKind::Symlink(target.as_bytes().into());
        let nodes = vec![
            node("usr", NodeKind::Directory),
            node("lost", link("nowhere")),
            node("file", NodeKind::Special),
            node("usr/self", link("/usr")),
            node("bin", link("usr/bin")),
            node("usr/bin/sh", NodeKind::Special),
        ];
        let root = Root::of(vec![Arc::new(Contents { nodes })]);
        let ground = Underground { root: &root };
        assert_eq!(ground.at(b"srv"), Ground::Nothing);
        assert_eq!(ground.at(b"srv/site"), Ground::Nothing);
        assert_eq!(ground.at(b"usr/local/bin"), Ground::Nothing);
        assert!(matches!(ground.at(b"lost"), Ground::Other(what) if what.contains("/nowhere")));
        assert!(matches!(ground.at(b"file"), Ground::Other(what) if what == "a file"));
        assert!(matches!(ground.at(b"usr/self"), Ground::Folder { path, .. } if *path == *b"usr"));
        assert!(matches!(ground.at(b"bin"), Ground::Folder { path, mode: 0o755, .. } if *path == *b"usr/bin"));
    }
}
