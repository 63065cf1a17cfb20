//! The values of the OCI image specification: digests, descriptors, platforms, configurations, manifests, indexes
//! and references. No input, no output. A document that we make has one canonical form: fixed key order, sorted maps,
//! no white space (image-spec considerations.md "Canonicalization"); a document that was pulled is kept as its bytes,
//! and these types only read it.

pub mod config;
pub mod descriptor;
pub mod digest;
pub mod manifest;
pub mod media_type;
pub mod platform;
pub mod reference;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Fields that the specification does not name, by key. Kept, so that what a base image says is not lost.
pub type Extra = BTreeMap<String, Value>;

/// The canonical bytes of a document.
///
/// # Panics
/// Never for the types of this module: they have string keys only and no failing `Serialize`.
pub fn canonical<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).expect("a document of string keys serialises")
}

/// The same value with the keys of every nested object in order, whichever map `serde_json` was built with.
pub fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<String, Value> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(ordered.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        scalar => scalar,
    }
}

/// Go's encoders write `null` for an empty map or slice: read it as the empty value.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
