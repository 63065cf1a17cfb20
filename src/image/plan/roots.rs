//! The merged roots of all platforms, made as far as somebody asks what lies below, each by a thread of its own.

use std::sync::Arc;

use super::PlatformPlan;
use crate::layer::contents::Contents;

/// Layers that are known but not yet in the roots, by platform.
pub(super) struct Waiting(Vec<Vec<Arc<Contents>>>);

impl Waiting {
    pub(super) fn new(platforms: usize) -> Self {
        Self(vec![Vec::new(); platforms])
    }

    /// Takes note of a platform's next layer.
    pub(super) fn add(&mut self, platform: usize, layer: Arc<Contents>) {
        self.0[platform].push(layer);
    }

    /// Puts all into the roots.
    pub(super) fn apply(&mut self, plans: &mut [PlatformPlan]) {
        let mut work = plans.iter_mut().zip(&mut self.0).filter(|(_, layers)| !layers.is_empty());
        let one = |(plan, layers): (&mut PlatformPlan, &mut Vec<Arc<Contents>>)| {
            for layer in layers.drain(..) {
                plan.root.apply(&layer);
            }
        };
        std::thread::scope(|scope| {
            let first = work.next();
            for other in work {
                scope.spawn(move || one(other));
            }
            first.map(one);
        });
    }
}
