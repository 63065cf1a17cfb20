//! The lock beside a recipe from a pull request.

#![no_main]

use dockless::image::lock::Lock;
use dockless::oci::platform::Platform;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let recipe = std::env::temp_dir().join(format!("dockless-fuzz-{}.toml", std::process::id()));
    std::fs::write(recipe.with_extension("lock"), bytes).expect("a file");
    if let Ok(lock) = Lock::load(&recipe) {
        let base = "example.com/base:v1".parse().expect("a reference");
        let _ = lock.pinned(&base, &[Platform::linux_amd64(), Platform::linux_arm64()]);
    }
});
