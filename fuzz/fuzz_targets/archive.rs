//! An OCI archive or a docker-archive from anywhere: opened, and each of its blobs looked at.

#![no_main]

use dockless::image::archive::ImageArchive;
use dockless::image::check::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("dockless-fuzz-{}.tar", std::process::id()));
    std::fs::write(&path, bytes).expect("a file");
    if let Ok(archive) = ImageArchive::open(&path) {
        let _ = check(&archive, archive.index());
    }
});
