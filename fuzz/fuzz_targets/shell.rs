//! The shell commands of a stranger's image, as its command and as the script that it starts.

#![no_main]

use std::sync::Arc;

use dockless::image::inspect::{Facts, ImageFacts};
use dockless::image::root::Root;
use dockless::layer::contents::{Contents, Head, Kind, Node};
use dockless::oci::descriptor::Descriptor;
use dockless::oci::media_type::MediaType;
use dockless::verify::rules::check_image;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fn image(command: &[&str], script: &str) -> Facts {
    let file = |path: &str, head| {
        let kind = Kind::File { size: 1, head };
        Node { path: path.as_bytes().into(), kind, mode: 0o755, uid: 0, gid: 0, xattrs: None }
    };
    let script = Head::Script(format!("/bin/sh\n{script}").as_bytes().into());
    let nodes = vec![file("bin/sh", Head::Other), file("run", script), file("app", Head::Other)];
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Cmd": command },
        "rootfs": { "type": "layers", "diff_ids": [] },
    });
    let top = Descriptor::of(MediaType::ImageManifest, b"{}");
    let image = ImageFacts {
        stated: None,
        manifest: top.clone(),
        config: serde_json::from_value(config).expect("a configuration"),
        layers: vec![Descriptor::of(MediaType::ImageLayer, b"")],
        root: Arc::new(Root::of(vec![Arc::new(Contents { nodes })])),
    };
    Facts { name: "oci".into(), top, is_index: false, images: vec![image] }
}

fuzz_target!(|text: &str| {
    check_image(&image(&["/bin/sh", "-c", text], ""));
    check_image(&image(&["/run"], text));
});
