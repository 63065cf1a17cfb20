//! What the repositories hold: the layout's `index.json` read as repositories, tags and manifests.
//!
//! The layout is shared: a build may write into it while it is served. So `index.json` is looked at for every request
//! and read again when it is another file; changes go through [`Layout::update`], which loses nobody's entry. What
//! manifests say is remembered by digest, because it cannot change.
//!
//! A repository has a blob if it was uploaded or mounted there, or if one of its manifests refers to it. The former is
//! known only as long as the server runs: a blob that no manifest claims does not outlive it.
//!
//! Everything here blocks on the disk; it is called from blocking threads.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use crate::blob::BlobSource;
use crate::layout::{Layout, LayoutError};
use crate::mutex::lock;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Index, Manifest};
use crate::oci::media_type::{Kind, kind};

use super::place::{Names, is_untagged, plain};

/// What a manifest or an index says, as far as a registry cares.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Manifests that it refers to.
    pub(super) children: Vec<Descriptor>,
    /// Blobs that it refers to and that must be here.
    pub(super) blobs: Vec<Descriptor>,
    pub(super) subject: Option<Digest>,
    pub(super) artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
}

impl Facts {
    /// What a document of this kind says.
    pub(super) fn parse(kind: Kind, bytes: &[u8]) -> Result<Self, serde_json::Error> {
        if kind == Kind::Index {
            let index: Index = serde_json::from_slice(bytes)?;
            let (children, blobs) = index.manifests.into_iter().partition(is_manifest);
            return Ok(Self {
                children,
                blobs,
                subject: index.subject.map(|subject| subject.digest),
                artifact_type: index.artifact_type,
                annotations: index.annotations,
            });
        }
        let manifest: Manifest = serde_json::from_slice(bytes)?;
        let artifact_type = manifest.artifact_type.or_else(|| Some(manifest.config.media_type.to_string()));
        let mut blobs = vec![manifest.config];
        blobs.extend(manifest.layers.into_iter().filter(|layer| !layer.is_foreign()));
        Ok(Self {
            children: Vec::new(),
            blobs,
            subject: manifest.subject.map(|subject| subject.digest),
            artifact_type,
            annotations: manifest.annotations,
        })
    }
}

/// Whether a descriptor points at a manifest or an index.
pub(super) fn is_manifest(descriptor: &Descriptor) -> bool {
    matches!(kind(&descriptor.media_type), Kind::Manifest | Kind::Index)
}

/// What one repository holds.
#[derive(Debug, Default)]
pub(super) struct Repository {
    /// By tag.
    pub(super) tags: BTreeMap<String, Descriptor>,
    /// All manifests, those that an index of the repository refers to included.
    pub(super) manifests: BTreeMap<Digest, Descriptor>,
    /// Who refers to a manifest as its subject.
    pub(super) referrers: BTreeMap<Digest, Vec<Descriptor>>,
    /// What the manifests refer to.
    blobs: BTreeSet<Digest>,
}

/// All repositories at one moment.
pub(super) type Snapshot = BTreeMap<String, Repository>;

/// Why a manifest stays.
pub(super) enum Kept {
    /// It is not there.
    Unknown,
    /// An index refers to it.
    Referenced,
}

/// The repositories of a layout.
pub(super) struct Repositories {
    layout: Layout,
    names: Names,
    /// Blobs that were uploaded or mounted since the server runs.
    uploaded: Mutex<HashMap<String, HashSet<Digest>>>,
    snapshot: Mutex<Option<(Stamp, Arc<Snapshot>)>>,
    facts: Mutex<HashMap<(Digest, bool), Arc<Facts>>>,
    /// One change at a time: what is checked before it still holds when it is written.
    changing: Mutex<()>,
}

/// By what `index.json` is known to be the same file: it is replaced, never written into.
type Stamp = (u64, Option<SystemTime>, u64);

impl Repositories {
    pub(super) fn new(layout: Layout, names: Names) -> Self {
        Self {
            layout,
            names,
            uploaded: Mutex::default(),
            snapshot: Mutex::default(),
            facts: Mutex::default(),
            changing: Mutex::default(),
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// What the repositories hold now.
    pub(super) fn snapshot(&self) -> Result<Arc<Snapshot>, LayoutError> {
        let path = self.layout.root().join("index.json");
        // Before it is read: should it be replaced between the two, the next request reads it again.
        let stamp = std::fs::metadata(&path).map(|data| stamp(&data)).unwrap_or_default();
        if let Some((known, snapshot)) = &*lock(&self.snapshot)
            && *known == stamp
        {
            return Ok(snapshot.clone());
        }
        let snapshot = Arc::new(self.read(&self.layout.index()?));
        *lock(&self.snapshot) = Some((stamp, snapshot.clone()));
        Ok(snapshot)
    }

    fn read(&self, index: &Index) -> Snapshot {
        let mut snapshot = Snapshot::new();
        let (implied, named): (Vec<_>, Vec<_>) =
            index.manifests.iter().map(|entry| (self.names.place(entry), entry)).partition(|(place, _)| place.implied);
        for (place, entry) in implied.into_iter().chain(named) {
            let repository = snapshot.entry(place.repository).or_default();
            if let Some(tag) = place.tag {
                repository.tags.insert(tag, plain(entry));
            }
            for manifest in self.below(entry) {
                if repository.manifests.insert(manifest.digest, plain(&manifest)).is_some() {
                    continue;
                }
                let Some(facts) = self.facts(&manifest) else { continue };
                repository.blobs.extend(facts.blobs.iter().map(|blob| blob.digest));
                if let Some(subject) = facts.subject {
                    let mut referrer = plain(&manifest);
                    referrer.artifact_type.clone_from(&facts.artifact_type);
                    referrer.annotations.clone_from(&facts.annotations);
                    repository.referrers.entry(subject).or_default().push(referrer);
                }
            }
        }
        snapshot
    }

    /// A manifest and all manifests that it reaches.
    fn below(&self, entry: &Descriptor) -> Vec<Descriptor> {
        let (mut found, mut seen, mut todo) = (Vec::new(), BTreeSet::new(), vec![entry.clone()]);
        while let Some(manifest) = todo.pop() {
            // An index may name what is not in the layout: one platform of many was copied.
            if !seen.insert(manifest.digest) || !self.layout.contains(&manifest) {
                continue;
            }
            if let Some(facts) = self.facts(&manifest) {
                todo.extend(facts.children.iter().cloned());
            }
            found.push(manifest);
        }
        found
    }

    /// What a manifest says; nothing where it is missing, damaged or of another kind.
    pub(super) fn facts(&self, manifest: &Descriptor) -> Option<Arc<Facts>> {
        let kind = kind(&manifest.media_type);
        if !is_manifest(manifest) {
            return None;
        }
        let key = (manifest.digest, kind == Kind::Index);
        if let Some(facts) = lock(&self.facts).get(&key) {
            return Some(facts.clone());
        }
        let facts = Arc::new(Facts::parse(kind, &self.layout.document(manifest).ok()?).ok()?);
        lock(&self.facts).insert(key, facts.clone());
        Some(facts)
    }

    /// Whether there is such a repository.
    pub(super) fn exists(&self, name: &str) -> Result<bool, LayoutError> {
        Ok(lock(&self.uploaded).contains_key(name) || self.snapshot()?.contains_key(name))
    }

    /// From now on there is such a repository, also when it holds nothing (any more).
    pub(super) fn create(&self, name: &str) {
        let mut uploaded = lock(&self.uploaded);
        if !uploaded.contains_key(name) {
            uploaded.insert(name.to_owned(), HashSet::new());
        }
    }

    /// Whether a manifest of a repository refers to a blob: one that was only uploaded is not committed.
    pub(super) fn is_committed(&self, name: &str, digest: Digest) -> Result<bool, LayoutError> {
        Ok(self.snapshot()?.get(name).is_some_and(|repository| repository.blobs.contains(&digest)))
    }

    /// The names of all repositories.
    pub(super) fn all(&self) -> Result<BTreeSet<String>, LayoutError> {
        let mut names: BTreeSet<String> = self.snapshot()?.keys().cloned().collect();
        names.extend(lock(&self.uploaded).keys().cloned());
        Ok(names)
    }

    /// The size of a blob of a repository.
    pub(super) fn blob(&self, name: &str, digest: Digest) -> Result<Option<u64>, LayoutError> {
        let uploaded = lock(&self.uploaded).get(name).is_some_and(|blobs| blobs.contains(&digest));
        let here = uploaded || self.snapshot()?.get(name).is_some_and(|repository| repository.blobs.contains(&digest));
        if !here {
            return Ok(None);
        }
        Ok(std::fs::metadata(self.layout.blob_path(digest)).ok().map(|data| data.len()))
    }

    /// A blob was uploaded or mounted.
    pub(super) fn add_blob(&self, name: &str, digest: Digest) {
        lock(&self.uploaded).entry(name.to_owned()).or_default().insert(digest);
    }

    /// A blob leaves a repository, unless a manifest refers to it. Its file stays until the layout is swept.
    pub(super) fn remove_blob(&self, name: &str, digest: Digest) -> Result<Result<(), Kept>, LayoutError> {
        let _changing = lock(&self.changing);
        if self.snapshot()?.get(name).is_some_and(|repository| repository.blobs.contains(&digest)) {
            return Ok(Err(Kept::Referenced));
        }
        let removed = lock(&self.uploaded).get_mut(name).is_some_and(|blobs| blobs.remove(&digest));
        Ok(if removed { Ok(()) } else { Err(Kept::Unknown) })
    }

    /// Nobody else changes anything until the guard is dropped.
    pub(super) fn change(&self) -> Change<'_> {
        Change { of: self, _alone: lock(&self.changing) }
    }
}

/// The right to change manifests and tags.
pub(super) struct Change<'a> {
    of: &'a Repositories,
    _alone: MutexGuard<'a, ()>,
}

impl Change<'_> {
    /// Keeps a manifest whose blob is written, under a tag or without one. What had the tag stays, without it.
    pub(super) fn put(&self, name: &str, tag: Option<&str>, manifest: &Descriptor) -> Result<(), LayoutError> {
        let names = &self.of.names;
        self.update(|index| {
            self.untag(&mut index.manifests, name, tag);
            index.manifests.push(match tag {
                Some(tag) => names.tagged(manifest, name, tag),
                None => names.untagged(manifest, name),
            });
            self.tidy(&mut index.manifests, name);
        })
    }

    /// Removes a tag; the manifest stays. Whether there was one.
    pub(super) fn remove_tag(&self, name: &str, tag: &str) -> Result<bool, LayoutError> {
        self.update(|index| {
            let found = self.untag(&mut index.manifests, name, Some(tag));
            self.tidy(&mut index.manifests, name);
            found
        })
    }

    /// Removes a repository and all of its entries. The files stay until the layout is swept.
    pub(super) fn remove_repository(&self, name: &str) -> Result<(), LayoutError> {
        lock(&self.of.uploaded).remove(name);
        self.update(|index| index.manifests.retain(|entry| self.of.names.place(entry).repository != name))
    }

    /// Removes a manifest and its tags. Manifests that it referred to stay.
    pub(super) fn remove(&self, name: &str, digest: Digest) -> Result<Result<(), Kept>, LayoutError> {
        let of = self.of;
        self.update(|index| {
            let here = |entry: &Descriptor| of.names.place(entry).repository == name;
            let (gone, stay): (Vec<_>, Vec<_>) =
                index.manifests.iter().cloned().partition(|entry| here(entry) && entry.digest == digest);
            let reached: BTreeSet<Digest> =
                stay.iter().filter(|entry| here(entry)).flat_map(|entry| of.below(entry)).map(|m| m.digest).collect();
            if reached.contains(&digest) {
                return Err(Kept::Referenced);
            }
            let Some(first) = gone.first() else { return Err(Kept::Unknown) };
            let children = of.facts(first).map(|facts| facts.children.clone()).unwrap_or_default();
            index.manifests = stay;
            for child in children {
                if of.layout.contains(&child) && !reached.contains(&child.digest) {
                    index.manifests.push(of.names.untagged(&child, name));
                }
            }
            self.tidy(&mut index.manifests, name);
            Ok(())
        })
    }

    fn update<T>(&self, change: impl FnOnce(&mut Index) -> T) -> Result<T, LayoutError> {
        let answer = self.of.layout.update(change);
        // The stamp would tell, unless the file system gave a third file the number of the first.
        *lock(&self.of.snapshot) = None;
        answer
    }

    /// Takes a tag from the entries that have it; they are kept by their digests.
    fn untag(&self, entries: &mut [Descriptor], name: &str, tag: Option<&str>) -> bool {
        let mut found = false;
        for entry in entries {
            let place = self.of.names.place(entry);
            if tag.is_some() && place.repository == name && place.tag.as_deref() == tag {
                *entry = self.of.names.untagged(entry, name);
                found = true;
            }
        }
        found
    }

    /// Removes entries without a tag whose manifests the repository reaches in another way.
    fn tidy(&self, entries: &mut Vec<Descriptor>, name: &str) {
        let reach = |entry: &Descriptor| -> Option<Vec<Digest>> {
            let here = self.of.names.place(entry).repository == name;
            here.then(|| self.of.below(entry).into_iter().map(|manifest| manifest.digest).collect())
        };
        let mut ways: HashMap<Digest, usize> = HashMap::new();
        let reached: Vec<Option<Vec<Digest>>> = entries.iter().map(reach).collect();
        for digest in reached.iter().flatten().flatten() {
            *ways.entry(*digest).or_default() += 1;
        }
        let mut reached = reached.into_iter();
        entries.retain(|entry| {
            let Some(Some(below)) = reached.next() else { return true };
            if !is_untagged(entry) || ways.get(&entry.digest).is_none_or(|count| *count < 2) {
                return true;
            }
            for digest in below {
                ways.entry(digest).and_modify(|count| *count -= 1);
            }
            false
        });
    }
}

fn stamp(data: &Metadata) -> Stamp {
    (data.len(), data.modified().ok(), data.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type::MediaType;

    /// What a push leaves out, and nothing else.
    #[test]
    fn only_foreign_layers_need_not_be_there() {
        let layer = |media_type: MediaType, bytes: &[u8]| Descriptor {
            urls: vec!["https://example.com/layer".into()],
            ..Descriptor::of(media_type, bytes)
        };
        let (own, foreign) =
            (layer(MediaType::ImageLayerGzip, b"1"), layer(MediaType::ImageLayerNonDistributableGzip, b"2"));
        let config = Descriptor::of(MediaType::ImageConfig, b"{}");
        let manifest = Manifest::new(config.clone(), vec![own.clone(), foreign], BTreeMap::new());
        let facts = Facts::parse(Kind::Manifest, &crate::oci::canonical(&manifest)).expect("a manifest");
        assert_eq!(facts.blobs, [config, own]);
    }
}
