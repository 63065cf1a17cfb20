//! One image with everything in it, byte for byte: its digest is the same for everyone, on every machine, for as long
//! as [`LAYER_FORMAT`] is the same.

use dockless::layer::compress::LAYER_FORMAT;

use super::elf::{AARCH64, X86_64, program};
use super::files::{noise, prose, set_time};
use super::project::Project;

/// Whoever changes these changes the digest of every image that anyone builds anew: raise `LAYER_FORMAT` with them,
/// once it has been released.
const DIGESTS: &str = "\
format 3
gzip sha256:751f7d22aa4497bfaefaa7cd5c414a7005ef65d5f2fa8db2260d73627dca7326
zstd sha256:837ee09363a924f60b2cb075e01a23fc403c7c179f14b53085b756d556844849
none sha256:b2ec1ab52704f519c2af8982579c26227675cfea7f0eadba5ef41b0908e9c702
";

const RECIPE: &str = r#"
[image]
platforms = ["linux/amd64", "linux/arm64"]
annotations = { "org.opencontainers.image.source" = "https://example.com/app" }

[config]
entrypoint = ["/usr/bin/app", "--listen"]
cmd = ["0.0.0.0:8000"]
env = { PATH = "/usr/bin:/bin", GREETING = "grüß dich" }
working-dir = "/srv/app"
user = "10001:10001"
exposed-ports = ["8000/tcp", "53/udp"]
volumes = ["/data"]
labels = { team = "web" }
stop-signal = "SIGTERM"

[[layer]]
name = "root"
rootfs = "rootfs-{arch}"
owner = "0:0"

[[layer]]
name = "app"
copy = [
  { src = "app", dest = "/srv/app", exclude = ["*.tmp"], owner = "10001:10001" },
  { src = "tool", dest = "/bin/", mode = "0755" },
]

[[layer]]
name = "vendor"
tar = "vendor.tar"
"#;

/// The files that the recipe names.
pub(crate) fn fixture() -> Project {
    let project = Project::with(RECIPE);
    for (arch, machine) in [("amd64", X86_64), ("arm64", AARCH64)] {
        let root = project.tree(&format!("rootfs-{arch}"));
        let long = "a-name-that-no-old-header-can-hold-".repeat(4);
        root.dir("usr/bin", 0o755)
            .link("bin", "usr/bin")
            .file("usr/bin/app", 0o755, program(machine))
            .hard("usr/bin/app-again", "usr/bin/app")
            .file("usr/bin/su", 0o4755, program(machine))
            .link("usr/bin/sh", "/usr/bin/app")
            .dir("tmp", 0o1777)
            .dir("root", 0o700)
            .dir("var/empty", 0o555)
            .dir("etc", 0o755)
            .file("etc/.wh.machine-id", 0o644, "")
            .file("etc/grüße-世界.conf", 0o640, "hello\n")
            .file(&format!("usr/share/{long}/{long}"), 0o644, "long\n")
            .link("usr/share/link-to-long", &format!("{long}/{long}"))
            .file("usr/share/prose", 0o644, prose(7, 3 << 20))
            .file("usr/share/noise", 0o600, noise(11, 2 << 20))
            .file("usr/share/nothing", 0o644, "")
            .file("usr/share/block", 0o644, [7; 512])
            .fifo("var/pipe", 0o620);
        root.settle(1_700_000_000);
    }
    let app = project.tree("app");
    app.file("main.py", 0o664, "print('hello')\n")
        .file("run", 0o775, "#!/usr/bin/sh\nexec app\n")
        .file("left-out.tmp", 0o600, "no\n")
        .dir("static/empty", 0o700)
        .file("static/日本.txt", 0o600, "nihon\n")
        .link("current", "static");
    project.write("tool", "#!/bin/sh\n").write("vendor.tar", vendor());
    project
}

/// An archive as other programs write them, its entries in no order.
fn vendor() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, data: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(1000);
        header.set_gid(100);
        header.set_mtime(1_600_000_000);
        header.set_size(data.len() as u64);
        header.set_username("someone").expect("a name");
        tar.append_data(&mut header, path, data).expect("an entry");
    };
    let long = format!("opt/{}", "deep/".repeat(40));
    add("opt/z", tar::EntryType::Regular, 0o644, b"last comes first\n");
    add("./opt/a", tar::EntryType::Regular, 0o444, b"first comes last\n");
    add(&long, tar::EntryType::Directory, 0o755, b"");
    add("opt/prose", tar::EntryType::Regular, 0o644, &prose(13, 700_000));
    tar.into_inner().expect("an archive")
}

#[test]
fn the_golden_image() {
    let project = fixture();
    let mut found = format!("format {LAYER_FORMAT}\n");
    for method in ["gzip", "zstd", "none"] {
        let said = project.run(&["build", "--compression", method, "-o", method]).done();
        found = found + method + " " + said.line() + "\n";
        project.run(&["check", method]).done();
    }
    assert_eq!(found, DIGESTS, "the digests of the golden image are now:\n{found}");
}

#[test]
fn the_tars_are_the_same_whatever_compresses_them() {
    let project = fixture();
    let diff_ids = |method: &str| {
        project.run(&["build", "--compression", method, "-o", method]).done();
        let image = project.image(method, None);
        [image.config(0).rootfs.diff_ids, image.config(1).rootfs.diff_ids]
    };
    let none = diff_ids("none");
    assert_eq!(none, diff_ids("gzip:1"));
    assert_eq!(none, diff_ids("gzip:9"));
    assert_eq!(none, diff_ids("zstd:1"));
    assert_ne!(none[0][0], none[1][0], "one program is for another machine");
    assert_eq!(none[0][2], none[1][2], "the archive is the same for both");
    // Neither the fraction of a second nor the order of a folder is part of a layer, but the second is.
    set_time(&project.at("rootfs-amd64/usr/bin/app"), std::time::Duration::from_secs(1));
    let touched = diff_ids("none");
    assert_ne!(none[0][0], touched[0][0]);
    assert_eq!(none[1], touched[1]);
}

/// Docker and containerd give each entry its owner, which takes the capabilities of the file away, and then the
/// attributes of that entry's header alone: a hard link without any left the file without its capabilities.
#[test]
fn hard_links_have_the_attributes_of_their_file() {
    let project = Project::with(
        "[image]\nplatforms = [\"linux/amd64\"]\n[[layer]]\nrootfs = \"root\"\nowner = \"0:0\"\n[[layer]]\ntar = \"v.tar\"\n",
    );
    project.tree("root").dir("bin", 0o755).file("bin/a", 0o755, "a").hard("bin/b", "bin/a");
    let set = |path| rustix::fs::setxattr(project.at(path), "user.note", b"kept", rustix::fs::XattrFlags::empty());
    if set("root/bin/a").is_err() {
        // Not every file system has attributes.
        return;
    }
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    tar.append_pax_extensions([("SCHILY.xattr.user.note", b"kept".as_slice())]).expect("records");
    tar.append_data(&mut header, "opt/a", [].as_slice()).expect("an entry");
    header.set_entry_type(tar::EntryType::Link);
    tar.append_link(&mut header, "opt/b", "opt/a").expect("an entry");
    project.write("v.tar", tar.into_inner().expect("an archive"));
    project.run(&["build", "-q"]).done();
    let layers = project.image("oci", None).layers(0);
    for (contents, paths) in layers.iter().zip([["bin/a", "bin/b"], ["opt/a", "opt/b"]]) {
        for path in paths {
            let node = contents.nodes.iter().find(|node| *node.path == *path.as_bytes()).expect("an entry");
            let xattrs = node.xattrs.as_deref().expect("attributes");
            assert_eq!((&*xattrs[0].0, &*xattrs[0].1), (b"user.note".as_slice(), b"kept".as_slice()), "{path}");
        }
    }
}
