//! A recipe becomes a plan: for each layer what it will hold, found by looking at folders and at what lies below,
//! before anything is written. Whatever is wrong with the recipe's words is said here.

mod checks;
mod config_files;
pub mod content;
mod existing;
mod ground;
mod known;
mod roots;
pub mod run;
mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use self::checks::{check_layers, check_options, check_platforms};
use self::config_files::config_files;
use self::content::{Archive, Content};
use self::existing::existing;
use self::known::Found;
use self::roots::Waiting;
use self::run::{At, Produced, Runs};
use self::times::{Commits, time_of};
use super::base::{self, Bases, PlatformBase};
use super::build::Caching;
use super::config::{ConfigRecipe, PartialFile};
use super::recipe::load::load_dockerignore;
use super::recipe::place::{Place, RecipeError, Spanned};
use super::recipe::template::Template;
use super::recipe::{CopyItem, LayerKind, LayerRecipe, Mtime, Recipe};
use super::root::Root;
use crate::event::{Event, Observer};
use crate::layer::cache::key::{self, Key};
use crate::layer::compress::Codec;
use crate::layer::contents::Contents;
use crate::layer::copy::{self, Pick, Rules, Source};
use crate::layer::entry::{Entry, clean};
use crate::layer::own::Own;
use crate::layer::pattern::{Patterns, glob};
use crate::layer::scan::ScanError;
use crate::layout::session::Session;
use crate::mutex::lock;
use crate::oci::digest::Digest;
use crate::oci::platform::Platform;

/// A layer that is to be made, once.
pub struct Task {
    /// The layer's name.
    pub name: String,
    /// Where the recipe says it.
    pub place: Option<Place>,
    /// The platforms that will have it, by their place among the plan's.
    pub platforms: Vec<usize>,
    /// What it will hold.
    pub content: Content,
    /// By what the cache will know it.
    pub key: Option<Key>,
    /// The blob that the cache has for it, where that one is only to be compared.
    pub expected: Option<Digest>,
    /// What becomes of the times of its files.
    pub times: Times,
}

/// What becomes of the times of a layer's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// They stay.
    Kept,
    /// Copied files have another time than their sources.
    Copied,
    /// They are normalised otherwise, or none is later than `SOURCE_DATE_EPOCH`.
    Changed,
}

impl Times {
    fn of(layer: &LayerRecipe, epoch: Option<i64>) -> Self {
        match layer.kind {
            LayerKind::Copy { .. } => Self::Copied,
            LayerKind::Rootfs { .. } | LayerKind::Tar { .. } if epoch.is_none() => Self::Kept,
            LayerKind::Rootfs { .. } | LayerKind::Tar { .. } | LayerKind::Run(_) => Self::Changed,
        }
    }
}

/// One platform's image as it will be.
pub struct PlatformPlan {
    /// What its configuration file says.
    pub config_file: Option<PartialFile>,
    /// The platform.
    pub platform: Platform,
    /// What its layers lie on.
    pub base: Option<PlatformBase>,
    /// The merged root of the base and of the lowest layers: as far up as a later layer asks what lies below it.
    pub root: Root,
    /// Its own layers, lowest first, by their place among the tasks.
    pub tasks: Vec<usize>,
}

/// What is to be done.
pub struct Plan {
    /// The images.
    pub platforms: Vec<PlatformPlan>,
    /// The layers, each made once.
    pub tasks: Vec<Task>,
    /// What commands have left: as long as this is there, no other build touches the files.
    pub produced: BTreeMap<At, Produced>,
}

/// What a plan is made with, beside the recipe.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// What flags say of the configuration.
    pub flags: &'a ConfigRecipe,
    /// `SOURCE_DATE_EPOCH`: the latest time of a file that keeps its own.
    pub source_date_epoch: Option<i64>,
    /// What the build itself writes.
    pub own: &'a Own,
    /// What bases are opened with.
    pub bases: Bases<'a>,
    /// The layout that a registry's layers are written into.
    pub session: Option<&'a Session>,
    /// How commands are run.
    pub runs: Runs<'a>,
    /// Layers that were made before.
    pub cache: Caching<'a>,
    /// The compression of the layers.
    pub codec: Codec,
    /// How many folders are listed at a time.
    pub width: usize,
    /// Who wants to know.
    pub observer: &'a dyn Observer,
}

/// Looks at everything that a recipe names, and runs the commands of its `run` layers.
///
/// # Errors
/// Where something does not exist, cannot be read, or cannot be in a layer, with the recipe's place.
pub fn plan(recipe: &Recipe, platforms: &[Platform], given: Given<'_>) -> Result<Plan, RecipeError> {
    check_options(given.codec, given.source_date_epoch)?;
    check_platforms(recipe, platforms)?;
    let config_files = config_files(recipe, given.flags, platforms, given.observer)?;
    let ignore = load_dockerignore(&recipe.folder)?;
    let reader = Reader { recipe, ignore: &ignore, given, said: Mutex::default() };
    if recipe.fetches_or_runs() {
        // A slip is told before anything is fetched or run, not after it.
        for layer in &recipe.layers {
            for platform in platforms.iter().filter(|platform| layer.is_for(platform)) {
                reader.look(layer, platform)?;
            }
        }
    }
    let bases = base::open(recipe, platforms, given.bases, given.session, given.observer)?;
    let mut plans = Vec::new();
    for ((platform, config_file), base) in platforms.iter().zip(config_files).zip(bases) {
        let layers = base.iter().flat_map(|base| &base.layers).map(|layer| Arc::clone(&layer.contents)).collect();
        let root = Root::of(layers);
        plans.push(PlatformPlan { config_file, platform: platform.clone(), base, root, tasks: Vec::new() });
    }
    check_layers(recipe, &plans)?;
    let produced = if recipe.runs_commands() { run::produce(recipe, platforms, given)? } else { BTreeMap::new() };
    let mut listed = reader.list_all(platforms);
    let mut tasks: Vec<Task> = Vec::new();
    let mut waiting = Waiting::new(platforms.len());
    for (number, layer) in recipe.layers.iter().enumerate() {
        if asks(layer) {
            waiting.apply(&mut plans);
        }
        let asked = reader.is_asked_about(number);
        let first = tasks.len();
        let mut skeletons: Vec<Option<Arc<Contents>>> = Vec::new();
        for (index, platform) in platforms.iter().enumerate().filter(|(_, platform)| layer.is_for(platform)) {
            let shared = layer.is_shared() && !matches!(layer.kind, LayerKind::Copy { .. });
            let task = if shared && tasks.len() > first {
                first
            } else {
                let begun = key::Ground::now(given.codec);
                let found = match listed.remove(&(number, index)) {
                    Some(listed) => reader.tell(layer, listed?),
                    None => Found::from(reader.content(
                        layer,
                        platform,
                        &plans[index].root,
                        produced.get(&(number, index)),
                    )?),
                };
                // A copy layer is shared where what lies below agrees, and so do the entries.
                let same = tasks[first..].iter().position(|made| layer.is_shared() && made.content == found.content);
                same.map_or_else(
                    || {
                        let (name, place) = (layer.name.clone(), layer.place.clone());
                        let Found { content, key, expected, skeleton } = reader.known(begun, found);
                        skeletons.push(skeleton);
                        let times = Times::of(layer, given.source_date_epoch);
                        tasks.push(Task { name, place, platforms: Vec::new(), content, key, expected, times });
                        tasks.len() - 1
                    },
                    |same| first + same,
                )
            };
            tasks[task].platforms.push(index);
            plans[index].tasks.push(task);
            if asked {
                // A layer that platforms share is read once.
                let made = match &skeletons[task - first] {
                    Some(made) => Arc::clone(made),
                    None => tasks[task].content.skeleton().map_err(|error| in_layer(layer, error))?,
                };
                skeletons[task - first] = Some(Arc::clone(&made));
                waiting.add(index, made);
            }
        }
    }
    waiting.apply(&mut plans);
    Ok(Plan { platforms: plans, tasks, produced })
}

/// Whether a layer asks what lies below it: only those of copied files do.
fn asks(layer: &LayerRecipe) -> bool {
    matches!(layer.kind, LayerKind::Copy { .. } | LayerKind::Run(_))
}

fn in_layer(layer: &LayerRecipe, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RecipeError {
    RecipeError::new(format!("cannot make layer {}", layer.name)).or_at(layer.place.clone()).caused_by(error)
}

struct Reader<'a> {
    recipe: &'a Recipe,
    ignore: &'a Patterns,
    given: Given<'a>,
    /// The warnings so far: a layer that is looked at for each platform has most of them again.
    said: Mutex<BTreeSet<String>>,
}

impl Reader<'_> {
    /// Whether a later layer asks what lies below it.
    fn is_asked_about(&self, number: usize) -> bool {
        self.recipe.layers[number + 1..].iter().any(asks)
    }

    /// Whether what a layer names is there.
    fn look(&self, layer: &LayerRecipe, platform: &Platform) -> Result<(), RecipeError> {
        match &layer.kind {
            LayerKind::Rootfs { source, .. } => self.rootfs(source, platform).map(drop),
            LayerKind::Tar { source } => self.archive(source, platform).map(drop),
            LayerKind::Run(run) => run::destination(run, platform).map(drop),
            LayerKind::Copy { items, .. } => items.iter().try_for_each(|item| self.source(item, platform).map(drop)),
        }
    }

    /// The folder of a root file system.
    fn rootfs(&self, source: &Spanned<Template>, platform: &Platform) -> Result<PathBuf, RecipeError> {
        let folder = self.path(source, platform);
        if !existing(&folder, source, platform)?.is_dir() {
            return Err(RecipeError::new(format!("{} is not a folder", folder.display()))
                .or_at(source.place.clone())
                .help("a rootfs layer is a folder; use tar for an archive, copy for a file"));
        }
        Ok(folder)
    }

    /// The file of a `tar` layer.
    fn archive(&self, source: &Spanned<Template>, platform: &Platform) -> Result<PathBuf, RecipeError> {
        let path = self.path(source, platform);
        if existing(&path, source, platform)?.is_dir() {
            return Err(RecipeError::new(format!("{} is a folder", path.display()))
                .or_at(source.place.clone())
                .help("a tar layer is an archive; use rootfs or copy for a folder"));
        }
        Ok(path)
    }

    /// What a layer will hold; a `run` layer what its command has left.
    fn content(
        &self,
        layer: &LayerRecipe,
        platform: &Platform,
        root: &Root,
        produced: Option<&Produced>,
    ) -> Result<Content, RecipeError> {
        match &layer.kind {
            LayerKind::Rootfs { .. } => Err(RecipeError::new(format!("layer {} was not listed", layer.name))),
            LayerKind::Tar { source } => {
                let path = self.archive(source, platform)?;
                Archive::at(&path).map(Content::Archive).map_err(|error| {
                    let message = format!("cannot read {}", path.display());
                    RecipeError::new(message).or_at(source.place.clone()).caused_by(error)
                })
            }
            LayerKind::Run(run) => {
                let produced = produced.ok_or_else(|| RecipeError::new(format!("layer {} was not run", layer.name)))?;
                produced.entries(self, (layer, run), platform, root).map(Content::Entries)
            }
            LayerKind::Copy { items, mtime } => self.copied(layer, items, *mtime, platform, root).map(Content::Entries),
        }
    }

    fn path(&self, template: &Spanned<Template>, platform: &Platform) -> PathBuf {
        self.recipe.folder.join(template.value.expand(platform))
    }

    /// The recipe's folder by a name that can be opened.
    fn folder(&self) -> &Path {
        folder_name(&self.recipe.folder)
    }

    fn warn(&self, text: &str) {
        if lock(&self.said).insert(text.to_owned()) {
            self.given.observer.note(Event::Warning(text));
        }
    }

    fn copied(
        &self,
        layer: &LayerRecipe,
        items: &[CopyItem],
        mtime: Mtime,
        platform: &Platform,
        root: &Root,
    ) -> Result<Vec<Entry>, RecipeError> {
        let mut sources = Vec::new();
        for item in items {
            sources.push(self.source(item, platform)?);
        }
        let commits = match mtime {
            Mtime::Git => Some(Commits::of(&self.recipe.folder, &sources).map_err(|error| in_layer(layer, error))?),
            Mtime::Zero | Mtime::At(_) => None,
        };
        let time = |path: &Path| time_of(path, mtime, commits.as_ref());
        let ground = ground::Underground { root };
        let ignore = (!self.ignore.is_empty()).then_some((self.recipe.folder.as_path(), self.ignore));
        let rules = Rules { ignore, mtime: &time, below: &ground, own: self.given.own };
        let place = items.iter().find_map(|item| item.source.place.clone()).filter(|_| items.len() == 1);
        self.laid_out(layer, platform, (&sources, place), &rules)
    }

    /// The entries of copied files, with a word about what is not as someone may think. `place` is where the recipe
    /// says the sources, if that is one place.
    fn laid_out(
        &self,
        layer: &LayerRecipe,
        platform: &Platform,
        (sources, place): (&[Source<'_>], Option<Place>),
        rules: &Rules<'_>,
    ) -> Result<Vec<Entry>, RecipeError> {
        let copied = copy::copy(sources, rules).map_err(|error| {
            match error {
                // The sentence says it all: which files, which destination.
                error @ ScanError::Twice { .. } => RecipeError::new(format!("layer {}: {error}", layer.name))
                    .or_at(place.or(layer.place.clone()))
                    .help("leave one of them out with exclude, or put them into different layers"),
                error => in_layer(layer, error),
            }
        })?;
        for socket in copied.sockets {
            self.warn(&format!("layer {}: the socket {} is left out", layer.name, socket.display()));
        }
        for (folder, by) in copied.emptied {
            let (by, repair) = by.words();
            let folder = folder.display();
            self.warn(&format!("layer {}: all that is in {folder} is left out by {by}; {repair}", layer.name));
        }
        for image in copied.images {
            self.warn(&format!(
                "layer {}: {} is an image, as an earlier build may have left it, and goes into this one; exclude it, or \
                 remove it, if that is not meant",
                layer.name,
                image.display()
            ));
        }
        for (wanted, found) in copied.rewritten {
            let (wanted, found) = (String::from_utf8_lossy(&wanted), String::from_utf8_lossy(&found));
            let text = format!("layer {}, {platform}: /{wanted} is /{found} in the layers below", layer.name);
            self.given.observer.note(Event::Detail(&text));
        }
        Ok(copied.entries)
    }

    fn source<'i>(&self, item: &'i CopyItem, platform: &Platform) -> Result<Source<'i>, RecipeError> {
        let written = item.source.value.expand(platform);
        let path = self.recipe.folder.join(&written);
        let dest = item.dest.value.expand(platform);
        let cleaned = clean(dest.as_bytes()).ok_or_else(|| {
            RecipeError::new(format!("the destination {dest} leaves the root"))
                .or_at(item.dest.place.clone())
                .help("a destination is an absolute path in the image without ..")
        })?;
        let (folder, real) = (self.recipe.folder.as_path(), self.folder().canonicalize().ok());
        let real = real.as_deref();
        // A file may be named like a glob: what exists is meant as it stands.
        let is_glob = path.symlink_metadata().is_err() && glob::is_glob(&written);
        let (picks, many) = if is_glob {
            let found = glob::expand(self.folder(), &written).map_err(|error| {
                RecipeError::new(format!("cannot find what {written} matches"))
                    .or_at(item.source.place.clone())
                    .caused_by(error)
            })?;
            if found.is_empty() {
                return Err(RecipeError::new(format!("nothing matches {written}"))
                    .or_at(item.source.place.clone())
                    .help(format!("looked in {}", self.folder().display())));
            }
            let fixed = glob::fixed(self.folder(), &written);
            let pick = |path: PathBuf| {
                let name = path.strip_prefix(&fixed).unwrap_or(&path).as_os_str().as_bytes().into();
                let here = path.strip_prefix(".").map(Path::to_path_buf).unwrap_or(path);
                Pick { path: by_folder(folder, real, here), name }
            };
            let many = found.len() > 1;
            (found.into_iter().map(pick).collect(), many)
        } else {
            existing(&path, &item.source, platform)?;
            let is_folder = path.symlink_metadata().is_ok_and(|data| data.is_dir());
            let name = path.file_name().filter(|_| !is_folder).unwrap_or_default().as_bytes().into();
            (vec![Pick { path: by_folder(folder, real, path), name }], false)
        };
        Ok(Source {
            picks,
            dest: cleaned,
            into: dest.ends_with('/') || many,
            pattern: is_glob.then_some(written),
            exclude: &item.exclude,
            owner: item.owner,
            mode: item.mode,
        })
    }
}

/// A source by its real way from the recipe's folder, if it lies in there: over `..`, over links and absolutely it has
/// other names as well, by which neither `.dockerignore` nor git knows it. A link that is the source is meant itself,
/// unless a slash is behind it.
fn by_folder(folder: &Path, real_folder: Option<&Path>, path: PathBuf) -> PathBuf {
    let has_slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let found = || {
        let real = match (path.parent(), path.file_name()) {
            (Some(above), Some(name)) if path.is_symlink() => folder_name(above).canonicalize().ok()?.join(name),
            _ => path.canonicalize().ok()?,
        };
        let below = real.strip_prefix(real_folder?).ok()?;
        if copy::within(&path, folder) == Some(below) {
            return None;
        }
        let mut found = folder.join(below);
        if found.as_os_str().is_empty() {
            found.push(".");
        }
        if has_slash {
            found.push("");
        }
        Some(found)
    };
    found().unwrap_or(path)
}

/// A folder by a name that can be opened.
fn folder_name(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}
