//! How much is kept of one layer beside paths and numbers: its attributes, and what its programs name.

use crate::layer::contents::Node;
use crate::layer::untar::UntarError;

/// How many bytes, at most: a large image has some megabytes, a few kilobytes that a stranger compressed may state
/// gigabytes.
const MOST: usize = 128 << 20;

/// What may still be kept of a layer.
pub struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Room {
    /// Takes what is kept of an entry out of the room; `offset` is where the archive has been read to.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub fn keep(&mut self, node: &Node, offset: u64) -> Result<(), UntarError> {
        self.0 = self.0.checked_sub(node.extent()).ok_or_else(|| UntarError::Damaged {
            offset,
            reason: format!("attributes, programs and libraries of whose names {} MiB would be kept", MOST >> 20),
        })?;
        Ok(())
    }
}
