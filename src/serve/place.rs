//! Where an entry of `index.json` is served: its repository and tag.
//!
//! - `io.containerd.image.name` = `[HOST/]REPOSITORY:TAG`, as `build -t` and our own pushes write it, is served as
//!   REPOSITORY, TAG, whatever HOST it names: an image built for ECR is pulled from here by the same path, and a server
//!   that starts on another port finds what it was given. Without a tag it is `latest`.
//! - `[HOST/]REPOSITORY@sha256:…` is a manifest without a tag. We write it for what is pushed by digest, and for what
//!   lost its tag.
//! - Only `org.opencontainers.image.ref.name`: where that is a whole `REPOSITORY:TAG` (as some tools write it) it is
//!   taken like one; a plain tag is served in a repository named after the layout folder.
//! - Neither: served in the repository named after the folder, as `latest` where nothing else claims that tag.
//!
//! Of two entries with the same repository and tag the later one counts. What is pushed here is named
//! `REGISTRY/REPOSITORY:TAG`, where REGISTRY is [`Settings::registry`](super::Settings::registry), `localhost` unless
//! it is said otherwise, and has the tag as its `ref.name` too.

use std::path::Path;

use crate::layout::{IMAGE_NAME, REF_NAME};
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::reference::{Reference, valid_repository, valid_tag};

/// What an entry is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) repository: String,
    pub(super) tag: Option<String>,
    /// Nobody said so: the entry has no name, and another one that has this name goes first.
    pub(super) implied: bool,
}

/// The names of one served folder.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// The registry that entries are written with.
    registry: String,
    /// The repository of entries that name none.
    folder: String,
}

impl Names {
    pub(super) fn new(registry: &str, folder: &Path) -> Self {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self { registry: registry.to_owned(), folder: repository_of(&name) }
    }

    /// Whether a repository can have this name: its full reference must be one, too.
    pub(super) fn valid(&self, name: &str) -> bool {
        valid_repository(name) && format!("{}/{name}", self.registry).parse::<Reference>().is_ok()
    }

    /// Where an entry is served.
    pub(super) fn place(&self, entry: &Descriptor) -> Place {
        let annotation = |key: &str| entry.annotations.get(key).map(String::as_str);
        if let Some((repository, tag)) = annotation(IMAGE_NAME).and_then(split) {
            return Place { repository, tag, implied: false };
        }
        let folder = self.folder.clone();
        match annotation(REF_NAME) {
            Some(tag) if valid_tag(tag) => Place { repository: folder, tag: Some(tag.into()), implied: false },
            Some(name) => match split(name) {
                Some((repository, tag)) => Place { repository, tag, implied: false },
                None => Place { repository: folder, tag: None, implied: false },
            },
            None => Place { repository: folder, tag: Some("latest".into()), implied: true },
        }
    }

    /// The entry of a manifest under a tag.
    pub(super) fn tagged(&self, manifest: &Descriptor, repository: &str, tag: &str) -> Descriptor {
        let mut entry = plain(manifest);
        entry.annotations.insert(IMAGE_NAME.into(), format!("{}/{repository}:{tag}", self.registry));
        entry.annotations.insert(REF_NAME.into(), tag.into());
        entry
    }

    /// The entry of a manifest without a tag.
    pub(super) fn untagged(&self, manifest: &Descriptor, repository: &str) -> Descriptor {
        let mut entry = plain(manifest);
        entry.annotations.insert(IMAGE_NAME.into(), format!("{}/{repository}@{}", self.registry, manifest.digest));
        entry
    }
}

/// Whether an entry only keeps a manifest that has no tag.
pub(super) fn is_untagged(entry: &Descriptor) -> bool {
    entry.annotations.get(IMAGE_NAME).is_some_and(|name| name.contains('@'))
}

/// What a manifest is, without what an entry or an index says about it.
pub(super) fn plain(manifest: &Descriptor) -> Descriptor {
    Descriptor::new(manifest.media_type.clone(), manifest.digest, manifest.size)
}

/// Repository and tag of a full name; the host goes.
fn split(name: &str) -> Option<(String, Option<String>)> {
    let (name, digest) = match name.split_once('@') {
        Some((name, digest)) => (name, Some(digest.parse::<Digest>().ok()?)),
        None => (name, None),
    };
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match name[last..].split_once(':') {
        Some((_, tag)) => (&name[..name.len() - tag.len() - 1], Some(tag)),
        None => (name, None),
    };
    let repository = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => rest,
        _ => name,
    };
    let tag = match (tag, digest) {
        (Some(tag), _) if valid_tag(tag) => Some(tag.to_owned()),
        (Some(_), _) => return None,
        (None, Some(_)) => None,
        (None, None) => Some("latest".into()),
    };
    valid_repository(repository).then(|| (repository.to_owned(), tag))
}

/// A repository's name made of a folder's.
fn repository_of(folder: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = folder.chars().map(fit).collect();
    let name = name.trim_matches('-').to_owned();
    if valid_repository(&name) { name } else { "image".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type::MediaType;

    fn place(annotations: &[(&str, &str)]) -> (String, Option<String>) {
        let names = Names { registry: "localhost".into(), folder: "oci".into() };
        let mut entry = Descriptor::of(MediaType::ImageManifest, b"{}");
        entry.annotations = annotations.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let place = names.place(&entry);
        (place.repository, place.tag)
    }

    #[test]
    fn the_host_does_not_count() {
        let at = |repository: &str, tag: &str| (repository.to_owned(), Some(tag.to_owned()));
        for host in ["123456789012.dkr.ecr.eu-west-1.amazonaws.com", "127.0.0.1:5000", "localhost"] {
            assert_eq!(place(&[(IMAGE_NAME, &format!("{host}/team/app:v1"))]), at("team/app", "v1"));
        }
        assert_eq!(place(&[(IMAGE_NAME, "docker.io/library/nginx:1"), (REF_NAME, "2")]), at("library/nginx", "1"));
        assert_eq!(place(&[(IMAGE_NAME, "example.com/app")]), at("app", "latest"));
        assert_eq!(place(&[(REF_NAME, "a/b:v1")]), at("a/b", "v1"));
        assert_eq!(place(&[(REF_NAME, "v1")]), at("oci", "v1"));
        assert_eq!(place(&[]), at("oci", "latest"));
        assert_eq!(place(&[(REF_NAME, "no tag at all")]), ("oci".into(), None));
        let digest = Digest::of(b"{}");
        assert_eq!(place(&[(IMAGE_NAME, &format!("localhost/app@{digest}"))]), ("app".into(), None));
    }

    #[test]
    fn a_folder_gives_a_name() {
        for (folder, name) in [("oci", "oci"), ("My Images", "my-images"), (".tmpAb12", "tmpab12"), ("..", "image")] {
            assert_eq!(repository_of(folder), name);
        }
    }
}
