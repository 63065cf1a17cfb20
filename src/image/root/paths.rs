//! Values by path, sorted by the paths' bytes.

use std::sync::Arc;

/// How many paths stand in one list at most. What is put in between moves so many at most.
const CHUNK: usize = 256;
/// How many stay on each side where a list is cut, at least.
const LEAST: usize = CHUNK / 8;

/// Values by path: lists that are nearly full where paths come nearly sorted, as those of a layer do. A `BTreeMap` is half
/// empty then, which is most of what a large root takes.
#[derive(Debug, Clone)]
pub(super) struct Paths<V> {
    /// None of them is empty.
    chunks: Vec<Vec<(Arc<[u8]>, V)>>,
}

impl<V> Default for Paths<V> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<V> Paths<V> {
    /// The list that has a path or would have it, and where in it the path is or would be.
    fn find(&self, path: &[u8]) -> (usize, Result<usize, usize>) {
        let chunk = self.chunks.partition_point(|chunk| *chunk[0].0 <= *path).saturating_sub(1);
        let at = self.chunks.get(chunk).map_or(Err(0), |chunk| chunk.binary_search_by(|(key, _)| (**key).cmp(path)));
        (chunk, at)
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&V> {
        let (chunk, at) = self.find(path);
        let at = at.ok()?;
        Some(&self.chunks[chunk][at].1)
    }

    pub(super) fn insert(&mut self, path: Arc<[u8]>, value: V) {
        // The paths of a layer come nearly sorted: most need no search.
        if let Some(last) = self.chunks.last_mut()
            && last.last().is_some_and(|(key, _)| **key < *path)
        {
            if last.len() < CHUNK {
                last.push((path, value));
            } else {
                self.chunks.push(vec![(path, value)]);
            }
            return;
        }
        let (mut chunk, mut at) = match self.find(&path) {
            (chunk, Ok(at)) => {
                self.chunks[chunk][at].1 = value;
                return;
            }
            (chunk, Err(at)) => (chunk, at),
        };
        if self.chunks.get(chunk).is_some_and(|full| full.len() == CHUNK) {
            if at < CHUNK {
                // Where the path goes: more are likely to follow it.
                let cut = at.clamp(LEAST, CHUNK - LEAST);
                let mut upper = Vec::with_capacity(CHUNK);
                upper.extend(self.chunks[chunk].drain(cut..));
                self.chunks.insert(chunk + 1, upper);
                if at > cut {
                    (chunk, at) = (chunk + 1, at - cut);
                }
            } else {
                (chunk, at) = (chunk + 1, 0);
                if self.chunks.get(chunk).is_some_and(|next| next.len() == CHUNK) {
                    self.chunks.insert(chunk, Vec::new());
                }
            }
        }
        if chunk == self.chunks.len() {
            self.chunks.push(Vec::new());
        }
        self.chunks[chunk].insert(at, (path, value));
    }

    pub(super) fn remove(&mut self, path: &[u8]) {
        if let (chunk, Ok(at)) = self.find(path) {
            self.chunks[chunk].remove(at);
            if self.chunks[chunk].is_empty() {
                self.chunks.remove(chunk);
            }
        }
    }

    /// All from this path on, sorted.
    pub(super) fn from(&self, path: &[u8]) -> impl Iterator<Item = &(Arc<[u8]>, V)> {
        let (chunk, Ok(at) | Err(at)) = self.find(path);
        self.chunks.iter().skip(chunk).flatten().skip(at)
    }

    /// All, sorted.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Arc<[u8]>, V)> {
        self.chunks.iter().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Runs up and down, so that lists are filled at either end and in between.
    fn steps() -> impl Strategy<Value = Vec<(u16, u16, bool, bool)>> {
        prop::collection::vec((0..4000_u16, 0..600_u16, any::<bool>(), any::<bool>()), 0..12)
    }

    proptest! {
        #[test]
        fn as_a_tree_does(steps in steps()) {
            let (mut paths, mut tree) = (Paths::default(), BTreeMap::new());
            for (start, count, down, put) in steps {
                for step in 0..count {
                    let number = if down { start + count - step } else { start + step };
                    let path: Arc<[u8]> = format!("{number:04}").as_bytes().into();
                    if put {
                        paths.insert(Arc::clone(&path), step);
                        tree.insert(path, step);
                    } else {
                        paths.remove(&path);
                        tree.remove(&path);
                    }
                }
                prop_assert!(paths.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
            }
            prop_assert_eq!((paths.len(), paths.is_empty()), (tree.len(), tree.is_empty()));
            prop_assert!(paths.iter().map(|(path, value)| (path, value)).eq(&tree));
            for number in (0..4700).step_by(7) {
                let path: Arc<[u8]> = format!("{number:04}").as_bytes().into();
                prop_assert_eq!(paths.get(&path), tree.get(&path));
                let first = paths.from(&path).next().map(|(path, _)| path);
                prop_assert_eq!(first, tree.range(path..).next().map(|(path, _)| path));
            }
        }
    }

    #[test]
    fn lists_of_sorted_paths_are_full() {
        let mut paths = Paths::default();
        for number in 0..10 * CHUNK {
            paths.insert(format!("{number:05}").as_bytes().into(), ());
        }
        assert!(paths.chunks.iter().all(|chunk| chunk.len() == CHUNK && chunk.capacity() == CHUNK));
    }
}
