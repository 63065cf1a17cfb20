//! Build, put where it is to go, verify: one flow, whose result a push may take.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::blob::BlobSource;
use crate::ecs::target::Target;
use crate::image::archive::{self, ArchiveError};
use crate::image::base::{Bases, choose};
use crate::image::build::{self, BuildError, Built};
use crate::image::inspect::Facts;
use crate::image::plan::run::Runs;
use crate::image::plan::{self, Given};
use crate::image::recipe::place::RecipeError;
use crate::image::recipe::{Base, Recipe};
use crate::layer::cache::LayerCache;
use crate::layer::own::{Own, Scratch};
use crate::layout::hold::Held;
use crate::layout::session::{MadeFolders, Session};
use crate::layout::{self, IMAGE_NAME, Layout, LayoutError, REF_NAME};
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::media_type::Compression;
use crate::oci::platform::Platform;
use crate::oci::reference::Reference;
use crate::registry::push::mount::MountSource;
use crate::verify::finding::{Finding, Rule, Severity, Verdict, Verification};
use crate::verify::rules::{self, verify};

/// What a build writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A layout folder.
    Layout(PathBuf),
    /// An OCI archive.
    Archive(PathBuf),
    /// A docker-archive, of one platform.
    DockerArchive(PathBuf),
}

impl Output {
    /// The folder or file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Layout(path) | Self::Archive(path) | Self::DockerArchive(path) => path,
        }
    }
}

/// Why nothing came of it.
#[derive(Debug, Error)]
pub enum ShipError {
    /// The recipe, or what it names.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The folder in which an archive's blobs are made.
    #[error("cannot create a folder beside {path}")]
    Scratch {
        /// The archive.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A docker-archive cannot have several platforms.
    #[error("a docker-archive has no index, so it holds one platform, not {0}; choose one with --platform")]
    SeveralPlatforms(usize),
    /// A docker-archive with zstd has few readers.
    #[error("a docker-archive holds layers compressed by gzip or not at all: use --compression gzip or none")]
    Zstd,
    /// Whoever was asked whether it is to go on has said no.
    #[error("the build was called off before anything was made")]
    CalledOff,
}

impl From<BuildError> for ShipError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Recipe(error) => Self::Recipe(error),
            BuildError::Layout(error) => Self::Layout(error),
        }
    }
}

/// What is to be made.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The platforms.
    pub platforms: &'a [Platform],
    /// How it is built.
    pub options: build::Options<'a>,
    /// Where it goes.
    pub output: &'a Output,
    /// Other files that will be written about it: they are no sources either.
    pub records: &'a [PathBuf],
    /// Its names.
    pub tags: &'a [Reference],
    /// What bases are opened with.
    pub bases: Bases<'a>,
    /// How commands are run.
    pub runs: Runs<'a>,
    /// Asked once it is known what will be in the image, before anything is made: whether to go on.
    pub ready: Option<&'a Ready<'a>>,
}

/// Whether a build is to go on.
pub type Ready<'a> = dyn Fn() -> bool + Sync + 'a;

/// What was made.
pub struct Shipped {
    /// The image.
    pub built: Built,
    /// Its facts.
    pub facts: Facts,
    /// Where its blobs are. They stay as long as this.
    pub source: Arc<dyn BlobSource>,
    /// The folder of an archive's blobs, gone when dropped.
    _scratch: Option<Scratch>,
}

/// Builds an image and puts it where it is to go.
///
/// # Errors
/// Where anything fails; the output is then as it was before.
pub fn make(request: &Request<'_>) -> Result<Shipped, ShipError> {
    let Request { recipe, platforms, options, output, records, tags, bases, runs, ready } = request;
    if let (Output::DockerArchive(_), [_, _, ..]) = (output, platforms) {
        return Err(ShipError::SeveralPlatforms(platforms.len()));
    }
    if matches!(output, Output::DockerArchive(_)) && options.codec.compression() == Compression::Zstd {
        return Err(ShipError::Zstd);
    }
    keep_base(recipe, platforms, output, tags)?;
    // A base's layers go from their registry into the layout while they are looked at. Else it is not begun before it
    // is known what will be in it.
    let begun = match recipe.base.value {
        Base::Registry(_) => Some(Workplace::begin(output)?),
        Base::Scratch | Base::Layout { .. } => None,
    };
    let cache = options.cache.layers.map(LayerCache::folder);
    let own = Own::of(
        [output.path(), runs.folder, runs.otherwise]
            .into_iter()
            .chain(cache)
            .chain(records.iter().map(PathBuf::as_path)),
    );
    let given = Given {
        flags: options.flags,
        source_date_epoch: options.source_date_epoch,
        own: &own,
        bases: *bases,
        session: begun.as_ref().map(|workplace| &workplace.session),
        runs: *runs,
        cache: options.cache,
        codec: options.codec,
        width: options.pool.width(),
        observer: options.observer,
    };
    let plan = plan::plan(recipe, platforms, given)?;
    if ready.is_some_and(|is_ready| !is_ready()) {
        return Err(ShipError::CalledOff);
    }
    let Workplace { archive, session } = match begun {
        Some(begun) => begun,
        None => Workplace::begin(output)?,
    };
    let built = build::build(recipe, plan, *options, &session)?;
    let layout = session.layout().clone();
    let hold = session.finish(entries(&built.index, tags))?;
    if let Some(cache) = options.cache.layers {
        cache.trim();
    }
    let path = output.path();
    let Some((scratch, mut made)) = archive else {
        return Ok(shipped(built, Held::new(layout, hold), tags, path, None));
    };
    match (output, built.images.as_slice()) {
        (Output::DockerArchive(_), [image, ..]) => {
            let names: Vec<String> = tags.iter().map(full_name).collect();
            archive::write_docker(path, &layout, &image.manifest, &names)?;
        }
        _ => archive::write_oci(path, &layout, &layout.index()?)?,
    }
    made.keep();
    Ok(shipped(built, Held::new(layout, hold), tags, path, Some(scratch)))
}

/// Refuses an image that would come in the place of its own base: the next build would lie on it, and the base be gone.
fn keep_base(recipe: &Recipe, platforms: &[Platform], output: &Output, tags: &[Reference]) -> Result<(), RecipeError> {
    let (Base::Layout { path, name }, Output::Layout(output)) = (&recipe.base.value, output) else { return Ok(()) };
    let id = |folder: &Path| fs::metadata(folder).map(|data| (data.dev(), data.ino())).ok();
    let Some(output) = id(output) else { return Ok(()) };
    for folder in platforms.iter().map(|platform| recipe.folder.join(path.expand(platform))) {
        if id(&folder) != Some(output) {
            continue;
        }
        // What else is wrong with it, whoever opens the base will say.
        let Ok(layout) = Layout::open(&folder) else { continue };
        let Ok(mut index) = layout.index() else { continue };
        let Ok(before) = choose(&index, name.as_deref()) else { continue };
        let bare = Descriptor { annotations: BTreeMap::new(), ..before.clone() };
        for entry in entries(&bare, tags) {
            layout.make_way(&mut index, &entry);
        }
        if choose(&index, name.as_deref()).is_ok_and(|after| after.digest == before.digest) {
            continue;
        }
        let place = folder.display();
        let (what, help) = match layout::name(&before) {
            Some(name) => {
                (format!("{name} in {place}"), "build into another folder (-o), or give it another name (-t)")
            }
            None => (place.to_string(), "build into another folder (-o)"),
        };
        let text = format!("the image would take the place of its own base, {what}, which would be lost");
        return Err(RecipeError::new(text).or_at(recipe.base.place.clone()).help(help));
    }
    Ok(())
}

/// Where blobs are made. Dropped, it takes back what was not finished.
struct Workplace {
    session: Session,
    /// For an archive: the folder of its blobs, and the folders above it that are new.
    archive: Option<(Scratch, MadeFolders)>,
}

impl Workplace {
    fn begin(output: &Output) -> Result<Self, ShipError> {
        let path = match output {
            Output::Layout(path) => return Ok(Self { session: Layout::session(path)?, archive: None }),
            Output::Archive(path) | Output::DockerArchive(path) => path,
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |source| ShipError::Scratch { path: path.display().to_string(), source };
        let made = MadeFolders::all(folder).map_err(failed)?;
        let scratch = Scratch::beside(folder).map_err(failed)?;
        let session = Layout::session(&scratch.folder().join("oci"))?;
        Ok(Self { session, archive: Some((scratch, made)) })
    }
}

fn shipped(built: Built, layout: Held<Layout>, tags: &[Reference], path: &Path, scratch: Option<Scratch>) -> Shipped {
    let name = tags.first().map_or_else(|| path.display().to_string(), ToString::to_string);
    let facts = built.facts(&name);
    Shipped { built, facts, source: Arc::new(layout), _scratch: scratch }
}

/// The repository that a push may take each layer of the base over from: for the tags that are in the base's registry,
/// its bytes need not be sent.
pub fn mounts(recipe: &Recipe, built: &Built) -> BTreeMap<Digest, MountSource> {
    let Base::Registry(base) = &recipe.base.value else { return BTreeMap::new() };
    let layers = built.images.iter().flat_map(|image| &image.layers).filter(|layer| layer.name.is_none());
    layers.map(|layer| (layer.descriptor.digest, MountSource::of(base))).collect()
}

/// The entries of `index.json`: one for each name, or one without.
fn entries(index: &Descriptor, tags: &[Reference]) -> Vec<Descriptor> {
    if tags.is_empty() {
        return vec![index.clone()];
    }
    let named = tags.iter().map(|tag| {
        let mut entry = index.clone();
        if let Some(short) = tag.tag_or_latest() {
            entry.annotations.insert(REF_NAME.into(), short.into());
        }
        entry.annotations.insert(IMAGE_NAME.into(), full_name(tag));
        entry
    });
    named.collect()
}

/// A reference with the tag that it means.
fn full_name(reference: &Reference) -> String {
    match (reference.tag(), reference.tag_or_latest()) {
        (None, Some(tag)) => format!("{reference}:{tag}"),
        _ => reference.to_string(),
    }
}

/// Judges an image before it goes anywhere.
///
/// Without a target nobody says how the image is started, so only what is wrong wherever it runs is an error: an
/// executable of another machine, or an index that disagrees with its configurations. The rest is a warning.
pub fn judge(facts: &Facts, targets: &[Target], options: &rules::Options) -> Verification {
    let mut verification = verify(facts, targets, options);
    if targets.is_empty() {
        for finding in &mut verification.findings {
            let everywhere = matches!(finding.rule, Rule::ForeignExecutable | Rule::ConfigDisagrees);
            if finding.severity == Severity::Error && !everywhere {
                finding.severity = Severity::Warning;
            }
        }
        verification.verdict = Verdict::of(&verification.findings);
    }
    verification
}

/// Whether the findings are worth a word to someone who did not ask: an image without a command may be meant as a base.
pub fn worth_telling(finding: &Finding, asked: bool) -> bool {
    asked || finding.severity > Severity::Note
}
