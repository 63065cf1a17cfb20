//! How much work a Dockerfile may ask for. Expansions and searches that a stranger can make long are paid for here.

use std::fmt;

/// What is left to spend: bytes that variables expand to, and steps of searches.
#[derive(Debug)]
pub struct Budget {
    left: usize,
}

/// The Dockerfile asks for more work than any that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent;

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the Dockerfile is too large to translate: its variables and copies multiply beyond every measure")
    }
}

impl std::error::Error for Spent {}

impl Budget {
    /// Enough for any Dockerfile that people write, and spent within a moment.
    pub fn new() -> Self {
        Self { left: 4 << 20 }
    }

    /// Takes what a piece of work costs.
    ///
    /// # Errors
    /// Where less is left.
    pub fn spend(&mut self, cost: usize) -> Result<(), Spent> {
        let left = self.left.checked_sub(cost);
        self.left = left.unwrap_or_default();
        left.map(|_| ()).ok_or(Spent)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}
