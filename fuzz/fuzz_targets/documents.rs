//! An image index, an image manifest and an image configuration from a stranger's registry: what is read of one is read
//! again from what we write of it.

#![no_main]

use dockless::oci::canonical;
use dockless::oci::config::ImageConfiguration;
use dockless::oci::manifest::{Index, Manifest};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fn read<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(document) = serde_json::from_slice::<T>(bytes) {
        let written = canonical(&document);
        let again: T = serde_json::from_slice(&written).expect("what is written can be read");
        assert_eq!(canonical(&again), written);
    }
}

fuzz_target!(|bytes: &[u8]| {
    read::<Index>(bytes);
    read::<Manifest>(bytes);
    read::<ImageConfiguration>(bytes);
});
