//! An image to a registry: what is missing there, blobs side by side, manifests after what they name, tags last.
//!
//! The order is chosen for early and clear failures: the tag is looked at first (the same digest: done, one request);
//! the first missing blob's POST shows whether the repository exists and may be written to before a byte is sent; and a
//! tag never points at something that is not whole. With several repositories no tag is moved before each of them has
//! all but the tag: what fails there then has moved none.

pub mod ahead;
pub mod mount;
mod outcome;
mod room;
mod tree;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use self::mount::MountSource;
pub use self::outcome::{Failed, Pushed, Upload};
use self::room::Room;
use self::tree::Tree;
use super::client::{Access, Client, Repository};
use super::error::{Error, ecr};
use super::upload::dialect::{ChunkSize, Dialect};
use super::upload::{Session, Started, start, upload};
use crate::aws::mutability::TagRule;
use crate::blob::BlobSource;
use crate::event::{BlobStatus, Event, Observer};
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::media_type::{Kind, kind};
use crate::oci::reference::Reference;

/// How many blobs are asked about at a time: requests without bodies.
const QUESTIONS: usize = 8;

/// How a push is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many blobs are sent at a time, at most.
    pub jobs: usize,
    /// The size of parts, where the user asked for one.
    pub chunk_size: Option<ChunkSize>,
    /// Repositories that blobs may be mounted from; one after the other is asked for each blob.
    pub mount_from: Vec<MountSource>,
    /// Repositories where single blobs are known to be: a base image's layers. They go before `mount_from`.
    pub mounts: BTreeMap<Digest, MountSource>,
    /// What is known of the tags of repositories, by `registry/repository`: a tag that cannot be moved is an error
    /// before anything is sent.
    pub tag_rules: BTreeMap<String, TagRule>,
    /// What is known to be in the first reference's repository, since it was sent ahead.
    pub sent: ahead::Sent,
    /// What tags were seen to name before the push.
    pub seen: Seen,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jobs: 4,
            chunk_size: None,
            mount_from: Vec::new(),
            mounts: BTreeMap::new(),
            tag_rules: BTreeMap::new(),
            sent: BTreeMap::new(),
            seen: Seen::new(),
        }
    }
}

/// What tags were seen to name and when, by `registry/repository:tag`; `None` where there was no such tag.
pub type Seen = BTreeMap<String, (Instant, Option<Digest>)>;

/// How long it counts that a tag was seen to name the very image: a build may take long, and what was there may be
/// gone, or the tag be another's. That it was not there counts longer, since then all is sent.
const FRESH: Duration = Duration::from_secs(5);

/// Pushes what `top` names, an index or a manifest, to each repository of the references, under their tags.
///
/// A reference with neither tag nor digest is `latest`; a digest must be `top`'s.
///
/// # Errors
/// The first that went wrong, and what was done before it.
pub async fn push(
    client: &Client,
    source: Arc<dyn BlobSource>,
    top: &Descriptor,
    references: &[Reference],
    options: &Options,
    observer: Arc<dyn Observer>,
) -> Result<Pushed, Box<Failed>> {
    for reference in references {
        if reference.digest().is_some_and(|digest| digest != top.digest) {
            return Err(Error::OtherDigest { reference: reference.to_string(), digest: top.digest }.into());
        }
    }
    check_chunks(references, options.chunk_size, &*observer)?;
    let tree = {
        let (source, top) = (Arc::clone(&source), top.clone());
        tokio::task::spawn_blocking(move || Tree::read(&*source, &top)).await.map_err(|_| Error::Worker)??
    };
    let targets = by_repository(references);
    // Where the same blobs are by now, for mounting: by registry.
    let mut done: HashMap<&str, &str> = HashMap::new();
    let (mut ready, mut failure) = (Vec::new(), None);
    for (number, (reference, tags)) in targets.iter().enumerate() {
        let registry = reference.registry();
        let repository = client.repository(reference, Access::Push)?;
        let job = Job {
            source: &source,
            tree: &tree,
            dialect: Dialect::of(registry).with(options.chunk_size),
            room: Room::new(&repository, options.jobs),
            repository,
            options,
            registry,
            earlier: done.get(registry).copied(),
            lends: targets.iter().skip(number + 1).any(|(later, _)| later.registry() == registry),
            observer: &observer,
        };
        match job.prepare(top, tags).await {
            Ok(content) => ready.push((*reference, job, content)),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
        done.entry(registry).or_insert(reference.repository());
    }
    let mut pushed = Pushed::default();
    for (reference, job, mut content) in ready {
        if failure.is_none() {
            failure = job.name(top, &mut content).await.err();
        }
        if !content.named.is_empty() {
            pushed.references.push(reference.at(top.digest).to_string());
        }
        pushed.tags.extend(content.named.iter().map(|name| full_name(reference, name)));
        pushed.uploads.append(&mut content.uploads);
    }
    match failure {
        None => Ok(pushed),
        Some(error) => Err(Box::new(Failed { error, pushed })),
    }
}

/// One reference of each repository, with all tags that it is to have there.
fn by_repository(references: &[Reference]) -> Vec<(&Reference, Vec<&str>)> {
    let mut targets: Vec<(&Reference, Vec<&str>)> = Vec::new();
    for reference in references {
        let known = targets.iter_mut().find(|(first, _)| first.name() == reference.name());
        let tag = reference.tag_or_latest();
        match known {
            Some((_, tags)) => tags.extend(tag.filter(|tag| !tags.contains(tag))),
            None => targets.push((reference, tag.into_iter().collect())),
        }
    }
    targets
}

/// What a name of a repository, a tag or a digest, is called as a whole.
fn full_name(reference: &Reference, name: &str) -> String {
    let mark = if name.contains(':') { '@' } else { ':' };
    format!("{}{mark}{name}", reference.name())
}

/// Refuses a size of parts that a registry does not take; what is larger than it promises to take is a warning. A push
/// does this itself: this is for whoever has long work to do before it.
///
/// # Errors
/// The registry, the size, and the least or most that it takes.
pub fn check_chunks(
    references: &[Reference],
    chunk_size: Option<ChunkSize>,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let Some(ChunkSize::Bytes(asked)) = chunk_size else { return Ok(()) };
    let mut told = HashSet::new();
    for registry in references.iter().map(Reference::registry).filter(|registry| told.insert(*registry)) {
        let limits = Dialect::of(registry).limits;
        if asked < limits.least_part {
            return Err(Error::ChunkSize { registry: registry.into(), asked, least: limits.least_part });
        }
        if let Some(most) = limits.most_part.filter(|most| asked > *most) {
            let text =
                format!("chunks of {asked} bytes: {registry} promises to take {most}, and has taken more so far");
            observer.note(Event::Warning(&text));
        }
    }
    Ok(())
}

/// Whether a manifest is refused for what it names: a registry may let that be deleted under a tag.
fn is_broken(error: &Error) -> bool {
    let codes = ["MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"];
    error
        .reply()
        .is_some_and(|reply| matches!(reply.status, 400 | 404) && codes.iter().any(|code| reply.has_code(code)))
}

/// A push to one repository.
struct Job<'a> {
    repository: Repository,
    source: &'a Arc<dyn BlobSource>,
    tree: &'a Tree,
    dialect: Dialect,
    room: Room,
    options: &'a Options,
    /// The registry, as in the reference.
    registry: &'a str,
    /// A repository of the same registry that this push has already served.
    earlier: Option<&'a str>,
    /// Whether a later one of the same registry is to take blobs over from here.
    lends: bool,
    observer: &'a Arc<dyn Observer>,
}

/// A repository that has the image, but for its names.
struct Content {
    uploads: Vec<Upload>,
    /// The names, tags or the digest, that are still to be given.
    wanted: Vec<String>,
    /// The names that name the image.
    named: Vec<String>,
}

impl Content {
    /// Counts what was sent once more.
    fn sent_again(&mut self, uploads: Vec<Upload>) {
        for upload in uploads {
            match self.uploads.iter_mut().find(|before| before.digest == upload.digest) {
                Some(before) if upload.status != BlobStatus::Present => {
                    *before = Upload { bytes_sent: before.bytes_sent + upload.bytes_sent, ..upload };
                }
                Some(_) => {}
                None => self.uploads.push(upload),
            }
        }
    }
}

impl Job<'_> {
    /// Brings all there but the names.
    async fn prepare(&self, top: &Descriptor, tags: &[&str]) -> Result<Content, Error> {
        let mut wanted: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        if wanted.is_empty() {
            wanted.push(top.digest.to_string());
        }
        let mut named = Vec::new();
        for name in wanted.clone() {
            let seen = self.options.seen.get(&format!("{}:{name}", self.repository.full_name()));
            let current = match seen {
                Some((at, seen)) if *seen != Some(top.digest) || at.elapsed() < FRESH => *seen,
                _ => self.named(&name).await?,
            };
            match current {
                Some(current) if current == top.digest => {
                    wanted.retain(|one| *one != name);
                    named.push(name);
                }
                Some(current) => self.check_movable(&name, current)?,
                None => {}
            }
        }
        // What a tag points at is whole: the registry saw to it. Other tags need nothing but the top.
        let uploads = if named.is_empty() {
            self.fill(top).await?
        } else {
            self.tree.blobs.iter().map(|blob| self.sent(blob).unwrap_or_else(|| self.present(blob))).collect()
        };
        Ok(Content { uploads, wanted, named })
    }

    /// Sends what is missing, manifests below the top included.
    async fn fill(&self, top: &Descriptor) -> Result<Vec<Upload>, Error> {
        let mut uploads = Vec::new();
        let mut missing = Vec::new();
        uploads.extend(self.tree.blobs.iter().filter_map(|blob| self.sent(blob)));
        for (blob, is_there) in self.ask_for_blobs().await? {
            if is_there {
                uploads.push(self.present(blob));
            } else {
                missing.push(blob);
            }
        }
        if let Some(empty) = missing.iter().find(|blob| blob.size == 0 && !self.dialect.limits.empty_blob) {
            // Before anything is sent: ECR says so in the middle of the push, and names only a session.
            return Err(Error::EmptyBlob { digest: empty.digest, repository: self.repository.full_name() });
        }
        uploads.extend(self.send(missing).await?);
        // Those that name blobs alone, side by side; then indexes, each after what it names.
        let below =
            || self.tree.manifests.iter().map(|below| &below.descriptor).filter(|below| below.digest != top.digest);
        let is_index = |manifest: &&Descriptor| kind(&manifest.media_type) == Kind::Index;
        let puts: Vec<BoxFuture<'_, _>> = below()
            .filter(|manifest| !is_index(manifest))
            .map(|manifest| async { self.put(&manifest.digest.to_string(), manifest).await }.boxed())
            .collect();
        stream::iter(puts).buffered(QUESTIONS).try_collect::<()>().await?;
        for index in below().filter(is_index) {
            self.put(&index.digest.to_string(), index).await?;
        }
        if self.lends && below().next().is_none() {
            // ECR lets nothing be taken over that no manifest names.
            self.put(&top.digest.to_string(), top).await?;
        }
        // In the order of the image, whoever was quicker.
        let place: HashMap<Digest, usize> = self.tree.blobs.iter().map(|blob| blob.digest).zip(0..).collect();
        uploads.sort_by_key(|upload| place.get(&upload.digest).copied());
        Ok(uploads)
    }

    /// Gives the image its names.
    async fn name(&self, top: &Descriptor, content: &mut Content) -> Result<(), Error> {
        for name in std::mem::take(&mut content.wanted) {
            match self.put(&name, top).await {
                // Of an image that another tag names something was deleted, or a clean-up came while other
                // repositories were filled.
                Err(error) if is_broken(&error) => {
                    self.observer.note(Event::Detail(&format!("what is there is not whole: {error}")));
                    let sent = self.fill(top).await?;
                    content.sent_again(sent);
                    self.put(&name, top).await?;
                }
                put => put?,
            }
            content.named.push(name);
        }
        Ok(())
    }

    /// What the registry has under this name.
    async fn named(&self, name: &str) -> Result<Option<Digest>, Error> {
        match self.repository.head_manifest(name).await {
            Ok(head) => Ok(head.map(|head| head.digest)),
            // Whoever may push need not be allowed to read; and a repository that is made by the first push does not
            // exist yet. The first POST shows whether it is so.
            Err(error @ (Error::Denied(_) | Error::NameUnknown(_))) => {
                self.observer.note(Event::Detail(&format!("what is there cannot be seen: {error}")));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses to move a tag that its repository keeps where it is.
    fn check_movable(&self, tag: &str, current: Digest) -> Result<(), Error> {
        let repository = self.repository.full_name();
        let rule = self.options.tag_rules.get(&repository);
        if rule.is_some_and(|rule| rule.is_immutable(tag)) {
            return Err(Error::TagImmutable { repository, tag: tag.into(), current });
        }
        Ok(())
    }

    async fn ask_for_blobs(&self) -> Result<Vec<(&Descriptor, bool)>, Error> {
        let questions: Vec<BoxFuture<'_, _>> = self
            .tree
            .blobs
            .iter()
            .filter(|blob| self.sent(blob).is_none())
            .map(|blob| self.has(blob).boxed())
            .collect();
        stream::iter(questions).buffered(QUESTIONS).try_collect().await
    }

    /// What became of a blob that was sent ahead to this repository.
    fn sent(&self, blob: &Descriptor) -> Option<Upload> {
        self.options.sent.get(&blob.digest).filter(|sent| sent.repository == self.repository.full_name()).cloned()
    }

    async fn has<'b>(&self, blob: &'b Descriptor) -> Result<(&'b Descriptor, bool), Error> {
        let head = match self.repository.head_blob(blob.digest).await {
            // As in `named`: whoever may push need not be allowed to read.
            Err(error @ Error::Denied(_)) => {
                self.observer.note(Event::Detail(&format!("whether {} is there cannot be seen: {error}", blob.digest)));
                None
            }
            answer => answer?,
        };
        let is_there = head.map_or(Ok(false), |head| head.is(blob.size)).map_err(|found| {
            let (digest, repository) = (blob.digest, self.repository.full_name());
            Error::Size { digest, repository, promised: blob.size, found }
        })?;
        Ok((blob, is_there))
    }

    fn present(&self, blob: &Descriptor) -> Upload {
        let id = blob.digest.to_string();
        self.observer.note(Event::BlobStarted { id: &id, size: blob.size });
        self.observer.note(Event::BlobFinished { id: &id, status: BlobStatus::Present });
        self.uploaded(blob, BlobStatus::Present)
    }

    fn uploaded(&self, blob: &Descriptor, status: BlobStatus) -> Upload {
        let (repository, digest) = (self.repository.full_name(), blob.digest);
        Upload { repository, digest, bytes_sent: 0, status, retries: 0, seconds: 0.0 }
    }

    /// Sends blobs side by side, the biggest first, for it decides how long it takes.
    async fn send(&self, mut missing: Vec<&Descriptor>) -> Result<Vec<Upload>, Error> {
        missing.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        let mut uploads = Vec::new();
        let mut preflight = None;
        let mut rest = missing.into_iter();
        // Nothing else is begun before one POST has succeeded. A mounted blob says nothing about uploads.
        for blob in rest.by_ref() {
            let begun = Instant::now();
            match self.open(blob).await? {
                Started::Mounted => uploads.push(self.mounted(blob, begun)),
                Started::Session(session) => {
                    preflight = Some((blob, session, begun));
                    break;
                }
            }
        }
        let Some((first, session, begun)) = preflight else { return Ok(uploads) };
        let mut sending: Vec<BoxFuture<'_, _>> = vec![self.send_one(first, Some((session, begun))).boxed()];
        sending.extend(rest.map(|blob| self.send_one(blob, None).boxed()));
        let sent: Vec<Upload> = stream::iter(sending).buffer_unordered(self.room.under_way()).try_collect().await?;
        uploads.extend(sent);
        Ok(uploads)
    }

    async fn open(&self, blob: &Descriptor) -> Result<Started, Error> {
        let id = blob.digest.to_string();
        self.observer.note(Event::BlobStarted { id: &id, size: blob.size });
        start(&self.repository, blob.digest, &self.lenders(blob)).await
    }

    /// The repositories of this registry that a blob may be taken over from, the surest first.
    fn lenders(&self, blob: &Descriptor) -> Vec<&str> {
        let here = |source: &&MountSource| source.is_in(self.registry);
        let known = self.options.mounts.get(&blob.digest).filter(here).map(|source| source.repository.as_str());
        let asked = self.options.mount_from.iter().filter(here).map(|source| source.repository.as_str());
        let mut lenders: Vec<&str> = Vec::new();
        for name in known.into_iter().chain(self.earlier).chain(asked) {
            if name != self.repository.name() && !lenders.contains(&name) {
                lenders.push(name);
            }
        }
        lenders
    }

    fn mounted(&self, blob: &Descriptor, begun: Instant) -> Upload {
        let id = blob.digest.to_string();
        self.observer.note(Event::BlobFinished { id: &id, status: BlobStatus::Mounted });
        Upload { seconds: begun.elapsed().as_secs_f64(), ..self.uploaded(blob, BlobStatus::Mounted) }
    }

    async fn send_one(&self, blob: &Descriptor, opened: Option<(Session, Instant)>) -> Result<Upload, Error> {
        let observer = self.room.take(blob.size, self.observer).await;
        let (session, begun) = if let Some(opened) = opened {
            opened
        } else {
            let begun = Instant::now();
            match self.open(blob).await? {
                Started::Mounted => return Ok(self.mounted(blob, begun)),
                Started::Session(session) => (session, begun),
            }
        };
        let sent = upload(&self.repository, self.source, blob, &self.dialect, Some(session), &observer).await?;
        let id = blob.digest.to_string();
        self.observer.note(Event::BlobFinished { id: &id, status: BlobStatus::Uploaded });
        let mut upload = self.uploaded(blob, BlobStatus::Uploaded);
        upload.bytes_sent = sent.bytes;
        upload.retries = sent.retries;
        upload.seconds = begun.elapsed().as_secs_f64();
        Ok(upload)
    }

    async fn put(&self, name: &str, manifest: &Descriptor) -> Result<(), Error> {
        let stored = self.tree.manifests.iter().find(|stored| stored.descriptor.digest == manifest.digest);
        let Some(stored) = stored else { return Err(Error::Worker) };
        let (descriptor, bytes) = (&stored.descriptor, stored.bytes(self.source).await?);
        match self.repository.put_manifest(name, &descriptor.media_type, bytes.clone()).await {
            // An immutable tag: ECR refuses the very manifest that the tag names as well (containers-roadmap#2380), in
            // words that have changed before. Another job may have pushed it since we looked; what is there decides.
            Err(error) if error.reply().is_some_and(|reply| reply.has_code("TAG_INVALID")) => {
                if matches!(self.named(name).await, Ok(Some(digest)) if digest == manifest.digest) {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Err(error) => Err(ecr::schema(error, descriptor.digest, &bytes)),
            Ok(()) => Ok(()),
        }
    }
}
