//! Layers that were made before: root file systems are listed side by side, and what the cache knows is not read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::content::Content;
use super::{Reader, in_layer};
use crate::image::recipe::place::RecipeError;
use crate::image::recipe::{LayerKind, LayerRecipe};
use crate::layer::cache::key::{Ground, Key};
use crate::layer::contents::Contents;
use crate::layer::entry::Entry;
use crate::layer::scan::{self, Owners, Remarks};
use crate::mutex::{lock, unpoisoned};
use crate::oci::digest::Digest;
use crate::oci::platform::Platform;

/// What a layer will hold, and what the cache has to do with it.
pub(super) struct Found {
    pub(super) content: Content,
    pub(super) key: Option<Key>,
    pub(super) expected: Option<Digest>,
    /// What a later layer may ask about, where it was made already.
    pub(super) skeleton: Option<Arc<Contents>>,
}

impl From<Content> for Found {
    fn from(content: Content) -> Self {
        Self { content, key: None, expected: None, skeleton: None }
    }
}

/// A root file system that was listed.
pub(super) struct Listed {
    folder: PathBuf,
    found: Found,
    remarks: Remarks,
}

/// A layer's place in the recipe, and a platform's among those that are built.
type At = (usize, usize);

impl Reader<'_> {
    /// Lists the root file systems of all platforms, as many at a time as there are threads.
    pub(super) fn list_all(&self, platforms: &[Platform]) -> BTreeMap<At, Result<Listed, RecipeError>> {
        let mut wanted: Vec<At> = Vec::new();
        for (number, layer) in self.recipe.layers.iter().enumerate() {
            if matches!(layer.kind, LayerKind::Rootfs { .. }) {
                let for_it = platforms.iter().enumerate().filter(|(_, platform)| layer.is_for(platform));
                // What is shared is listed once.
                let count = if layer.is_shared() { 1 } else { platforms.len() };
                wanted.extend(for_it.take(count).map(|(index, _)| (number, index)));
            }
        }
        let next = AtomicUsize::new(0);
        let listed = Mutex::new(BTreeMap::new());
        let work = || {
            while let Some(at) = wanted.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                let result = self.list(&self.recipe.layers[at.0], &platforms[at.1], self.is_asked_about(at.0));
                lock(&listed).insert(at, result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.given.width.min(wanted.len()) {
                scope.spawn(work);
            }
            work();
        });
        unpoisoned(listed.into_inner())
    }

    fn list(&self, layer: &LayerRecipe, platform: &Platform, asked: bool) -> Result<Listed, RecipeError> {
        let LayerKind::Rootfs { source, owner, owners } = &layer.kind else {
            return Err(RecipeError::new(format!("layer {} is no root file system", layer.name)));
        };
        let folder = self.rootfs(source, platform)?;
        let owners = Owners { all: *owner, map: owners.clone() };
        let ground = Ground::now(self.given.codec);
        let (entries, remarks) = scan::list(&folder, &owners, self.given.source_date_epoch, self.given.own)
            .map_err(|error| in_layer(layer, error))?;
        let mut found = self.looked_up(ground, Content::Entries(entries));
        if let Content::Entries(entries) = &mut found.content {
            let all: Vec<Entry> = std::mem::take(entries);
            *entries = scan::with_attributes(all).map_err(|error| in_layer(layer, error))?;
        }
        if asked {
            found.skeleton = Some(found.content.skeleton().map_err(|error| in_layer(layer, error))?);
        }
        Ok(Listed { folder, found, remarks })
    }

    /// Says what was strange in a root file system.
    pub(super) fn tell(&self, layer: &LayerRecipe, listed: Listed) -> Found {
        let Listed { folder, found, remarks } = listed;
        for socket in remarks.sockets {
            self.warn(&format!("layer {}: the socket {} is left out", layer.name, socket.display()));
        }
        for own in remarks.own {
            self.warn(&format!(
                "layer {}: {} is left out, since the build itself writes it",
                layer.name,
                own.display()
            ));
        }
        let unsaid = matches!(&layer.kind, LayerKind::Rootfs { owner: None, owners, .. } if owners.is_empty());
        if !remarks.owned_by_root && unsaid {
            self.warn(&format!(
                "layer {}: no file in {} is owned by user 0, so it was unpacked without root; \
                 if its files belong to root write owner = \"0:0\"",
                layer.name,
                folder.display()
            ));
        }
        found
    }

    /// What the cache knows of a layer, unless it was asked before.
    pub(super) fn known(&self, begun: Ground, found: Found) -> Found {
        if found.key.is_some() {
            return found;
        }
        Found { skeleton: found.skeleton, ..self.looked_up(begun, found.content) }
    }

    fn looked_up(&self, ground: Ground, content: Content) -> Found {
        let Some(cache) = self.given.cache.layers else { return content.into() };
        let key = match &content {
            Content::Entries(entries) => Some(ground.entries(entries)),
            Content::Archive(archive) => {
                Some(ground.archive(archive.size, &archive.stamp, self.given.source_date_epoch))
            }
            Content::Known(_) => None,
        };
        let known = key.as_ref().and_then(|key| cache.find(key));
        let (content, expected) = match known {
            Some(known) if self.given.cache.check => (content, Some(known.digest)),
            Some(known) => (Content::Known(known), None),
            None => (content, None),
        };
        Found { content, key, expected, skeleton: None }
    }
}
