//! `run` layers: before anything is run, all that may be wrong with any of them is told; then what has to be run is
//! run, side by side, and what each command has left becomes entries like any other files.
//!
//! A command is run for each platform, since its environment says which, whatever its words say. Layers that come out
//! the same have the same bytes, and so one blob.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::times::time_of;
use super::{Given, Reader};
use crate::event::Event;
use crate::image::recipe::load::FILE_NAME;
use crate::image::recipe::place::RecipeError;
use crate::image::recipe::template::OUT;
use crate::image::recipe::{Command, LayerKind, LayerRecipe, Recipe, RunRecipe};
use crate::image::root::Root;
use crate::layer::copy::{Pick, Rules, Source};
use crate::layer::entry::{Entry, clean};
use crate::layer::own::Own;
use crate::layer::run::environment::{Environment, told};
use crate::layer::run::inputs::{InputError, Inputs};
use crate::layer::run::place::{Place, name};
use crate::layer::run::{Groups, RunError, Task, quoted, run};
use crate::mutex::{lock, unpoisoned};
use crate::oci::digest::Digest;
use crate::oci::platform::Platform;

/// The version of what a result hangs on. Another one, and nothing that is kept is taken.
const KEY: &str = "dockless run 1";

/// A layer for a platform, by their places among the recipe's layers and the plan's platforms.
pub type At = (usize, usize);

/// How commands are run.
#[derive(Clone, Copy)]
pub struct Runs<'a> {
    /// The folder in which results are made and kept.
    pub folder: &'a Path,
    /// The one that is taken where that cannot be made or written.
    pub otherwise: &'a Path,
    /// The environment of the process: what of it a command sees is said by the layer.
    pub environment: &'a Environment,
    /// How many run at the same time, at least one.
    pub jobs: usize,
    /// Whether each is run, also where a result is kept.
    pub anew: bool,
    /// Whether none is run: an error where no result is kept.
    pub never: bool,
}

/// What a command has left. The folder is nobody else's as long as this is there.
pub struct Produced {
    place: Place,
    /// The files in it that name it, relative to it.
    mentions: Vec<String>,
}

/// A layer for a platform.
struct Job<'r> {
    layer: &'r LayerRecipe,
    run: &'r RunRecipe,
    platform: &'r Platform,
    at: At,
    /// What the result hangs on; `None` where nobody says what that is.
    key: Option<Digest>,
}

/// Runs what has to be run.
///
/// # Errors
/// Where a command cannot be run, fails, or leaves nothing.
pub(super) fn produce(
    recipe: &Recipe,
    platforms: &[Platform],
    given: Given<'_>,
) -> Result<BTreeMap<At, Produced>, RecipeError> {
    let all = Commands::of(recipe, platforms, given)?;
    let mut jobs = Vec::new();
    for job in all.jobs()? {
        let place = name(&all.file(&job), &job.layer.name, &job.platform.to_string());
        jobs.push((place, job));
    }
    // In the order of their names, or two builds may each have what the other waits for.
    jobs.sort_by(|a, b| a.0.cmp(&b.0));
    let mut taken: Vec<(Job<'_>, Place)> = Vec::new();
    let mut folder = given.runs.folder;
    for (name, job) in jobs {
        let waiting = || given.observer.note(Event::Warning(&format!("layer {}: waiting for another build", job.id())));
        let place = match Place::take(folder, &name, waiting) {
            // All of them or none: what is kept is found in one folder.
            Err(error) if taken.is_empty() && folder != given.runs.otherwise => {
                let (from, to) = (folder.display(), given.runs.otherwise.display());
                let text = format!("results of commands are kept in {to}, since {from} cannot be had: {error}");
                given.observer.note(Event::Warning(&text));
                folder = given.runs.otherwise;
                Place::take(folder, &name, waiting)
            }
            place => place,
        };
        let place = place.map_err(|error| {
            let message = format!("layer {}: cannot make a folder for its result", job.layer.name);
            job.wrong(message).help("DOCKLESS_CACHE_DIR says where results are kept").caused_by(error)
        })?;
        taken.push((job, place));
    }
    taken.sort_by_key(|(job, _)| job.at);
    let mut produced = BTreeMap::new();
    let mut rest = Vec::new();
    for (job, place) in taken {
        let kept = job.key.filter(|_| !given.runs.anew).and_then(|key| match place.kept(key) {
            Some(mentions) => Some((None, mentions)),
            None => Place::with(folder, key).map(|(other, mentions)| (Some(other), mentions)),
        });
        if let Some((other, mentions)) = kept {
            let place = other.unwrap_or(place);
            given.observer.note(Event::RunFinished { id: &job.id(), cached: true });
            produced.insert(job.at, Produced { place, mentions });
            continue;
        }
        if given.runs.never {
            return Err(job.forbidden());
        }
        let task = all.task(&job, &place)?;
        rest.push((job, place, task));
    }
    for (at, made) in all.side_by_side(rest)? {
        produced.insert(at, made);
    }
    Ok(produced)
}

/// The commands of a recipe, and what they are run with.
struct Commands<'a> {
    recipe: &'a Recipe,
    platforms: &'a [Platform],
    given: Given<'a>,
    /// The recipe's folder, absolute: what commands run in.
    folder: PathBuf,
}

impl<'a> Commands<'a> {
    fn of(recipe: &'a Recipe, platforms: &'a [Platform], given: Given<'a>) -> Result<Self, RecipeError> {
        let folder = if recipe.folder.as_os_str().is_empty() { Path::new(".") } else { &recipe.folder };
        let folder = folder.canonicalize().map_err(|error| {
            RecipeError::new(format!("cannot find the folder {}", folder.display())).caused_by(error)
        })?;
        Ok(Self { recipe, platforms, given, folder })
    }

    /// The recipe's file: two of them in one folder may have layers of the same name.
    fn file(&self, job: &Job<'_>) -> PathBuf {
        let shown = job.run.place.as_ref().map_or(FILE_NAME, |place| place.file());
        self.folder.join(Path::new(shown).file_name().unwrap_or(OsStr::new(FILE_NAME)))
    }

    fn jobs(&self) -> Result<Vec<Job<'a>>, RecipeError> {
        let mut jobs = Vec::new();
        for (number, layer) in self.recipe.layers.iter().enumerate() {
            let LayerKind::Run(run) = &layer.kind else { continue };
            for (index, platform) in self.platforms.iter().enumerate().filter(|(_, one)| layer.is_for(one)) {
                let mut job = Job { layer, run, platform, at: (number, index), key: None };
                job.key = self.inputs(&job)?.map(|inputs| self.key(&job, inputs));
                jobs.push(job);
            }
        }
        Ok(jobs)
    }

    /// The fingerprint of the files that a result depends on.
    fn inputs(&self, job: &Job<'_>) -> Result<Option<Digest>, RecipeError> {
        let Some(written) = &job.run.inputs else { return Ok(None) };
        let mut inputs = Inputs::below(&self.folder, self.given.own);
        for input in written {
            inputs.add(&input.value.expand(job.platform)).map_err(|error| match error {
                error @ (InputError::Nothing(_) | InputError::Absent(_)) => RecipeError::new(error.to_string())
                    .or_at(input.place.clone())
                    .help(format!("looked in {}; an input is a file, a folder or a glob", self.folder.display())),
                error => RecipeError::new(format!("layer {}: cannot read its inputs", job.layer.name))
                    .or_at(input.place.clone())
                    .caused_by(error),
            })?;
        }
        Ok(Some(inputs.fingerprint()))
    }

    /// What a result hangs on. Values of the environment are in it as part of a hash alone.
    fn key(&self, job: &Job<'_>, inputs: Digest) -> Digest {
        let mut text = Vec::new();
        let mut field = |field: &[u8]| {
            text.extend_from_slice(&(field.len() as u64).to_le_bytes());
            text.extend_from_slice(field);
        };
        field(KEY.as_bytes());
        field(job.platform.to_string().as_bytes());
        let words = job.words(OUT);
        // How many there are, or the last word might pass for the first variable.
        field(words.len().to_string().as_bytes());
        for word in words {
            field(word.as_bytes());
        }
        for (name, value) in self.variables(job, Path::new(OUT)) {
            field(name.as_bytes());
            field(value.as_bytes());
        }
        field(inputs.to_string().as_bytes());
        Digest::of(&text)
    }

    /// The environment without what comes from the machine and changes no result. The layer has the last word.
    fn variables(&self, job: &Job<'_>, out: &Path) -> BTreeMap<OsString, OsString> {
        let mut all: BTreeMap<OsString, OsString> = told(job.platform, out).into_iter().collect();
        for name in &job.run.pass_env {
            if let Some(value) = self.given.runs.environment.get(&name.value) {
                all.insert((&name.value).into(), value.into());
            }
        }
        let out = out.to_string_lossy();
        for (name, value) in &job.run.env {
            all.insert(name.into(), value.value.expand_with(job.platform, &out).into());
        }
        all
    }

    fn task(&self, job: &Job<'_>, place: &Place) -> Result<Task, RecipeError> {
        let out = place.out();
        let shell = matches!(&job.run.command, Command::Shell(text) if text.names_out());
        let Some(text) = out.to_str().filter(|text| !shell || quoted(text) == **text) else {
            return Err(job
                .wrong(format!("layer {}: a shell would not take {} for one word", job.layer.name, out.display()))
                .help(
                    "set DOCKLESS_CACHE_DIR to a folder without spaces and signs, or write the command as an array",
                ));
        };
        let environment = self.given.runs.environment;
        let mut variables = environment.passed();
        let mut secrets: Vec<OsString> =
            job.run.pass_env.iter().filter_map(|name| Some(environment.get(&name.value)?.to_owned())).collect();
        // A proxy's name is worth reading, its password is not.
        secrets
            .extend(variables.iter().map(|(_, value)| value).filter(|value| value.as_bytes().contains(&b'@')).cloned());
        variables.extend(self.variables(job, &out));
        let words = job.words(text);
        Ok(Task { words, folder: self.folder.clone(), variables, secrets, log: place.log() })
    }

    /// Runs commands, as many at a time as there are threads. The first that fails ends the others.
    fn side_by_side(&self, jobs: Vec<(Job<'_>, Place, Task)>) -> Result<Vec<(At, Produced)>, RecipeError> {
        let count = jobs.len();
        let groups = Groups::default();
        let next = AtomicUsize::new(0);
        let slots: Vec<_> = jobs.into_iter().map(|job| Mutex::new((Some(job), None))).collect();
        let failed = Mutex::new(None);
        let work = || {
            while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some((job, place, task)) = lock(slot).0.take() else { continue };
                match self.one(&job, place, &task, &groups) {
                    Ok(made) => lock(slot).1 = made.map(|made| (job.at, made)),
                    Err(error) => {
                        groups.end();
                        lock(&failed).get_or_insert(error);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.given.runs.jobs.min(count) {
                scope.spawn(work);
            }
            work();
        });
        if let Some(error) = unpoisoned(failed.into_inner()) {
            return Err(error);
        }
        let made: Vec<_> = slots.into_iter().filter_map(|slot| unpoisoned(slot.into_inner()).1).collect();
        if made.len() < count {
            return Err(RecipeError::new("a command was not run: please report this as an error of dockless"));
        }
        Ok(made)
    }

    /// Runs one command; `None` where it was ended because another failed.
    fn one(&self, job: &Job<'_>, place: Place, task: &Task, groups: &Groups) -> Result<Option<Produced>, RecipeError> {
        let name = &job.layer.name;
        let unusable =
            |error| job.wrong(format!("layer {name}: cannot empty the folder of its result")).caused_by(error);
        place.empty().map_err(unusable)?;
        let shown = Shown(&task.words);
        self.given.observer.note(Event::Detail(&format!("layer {}: running {shown}", job.id())));
        let id = job.id();
        self.given.observer.note(Event::RunStarted { id: &id });
        let still = |line: &str| self.given.observer.note(Event::RunSaid { id: &id, line });
        match run(task, groups, still) {
            Ok(()) => self.given.observer.note(Event::RunFinished { id: &id, cached: false }),
            Err(RunError::Ended) => return Ok(None),
            Err(error) => return Err(job.failed(error, task)),
        }
        let look = place.look().map_err(|error| {
            job.wrong(format!("layer {name}: cannot read what its command made for {}", job.platform)).caused_by(error)
        })?;
        let Some(look) = look.filter(|look| look.entries > 0) else {
            return Err(job.wrong(format!("layer {name}: its command made nothing for {}", job.platform)).help(
                "what is to be in the layer must be in {out}, which the command also finds in DOCKLESS_OUT; \
                 what it said is in "
                    .to_owned()
                    + &task.log.display().to_string(),
            ));
        };
        if let Some(key) = job.key {
            if self.inputs(job)?.map(|inputs| self.key(job, inputs)) != Some(key) {
                let text = format!("layer {}: its inputs changed while it ran, so it will be run again", job.id());
                self.given.observer.note(Event::Warning(&text));
            } else if let Err(error) = place.keep(key, &look) {
                let text = format!("layer {}: its result cannot be kept for the next build: {error}", job.id());
                self.given.observer.note(Event::Warning(&text));
            }
        }
        let mentions = look.mentions.iter().map(|path| path.display().to_string()).collect();
        Ok(Some(Produced { place, mentions }))
    }
}

impl Job<'_> {
    /// `app (linux/arm64)`
    fn id(&self) -> String {
        format!("{} ({})", self.layer.name, self.platform)
    }

    fn words(&self, out: &str) -> Vec<OsString> {
        match &self.run.command {
            Command::Shell(text) => Task::shell(&text.expand_with(self.platform, out)),
            Command::Words(words) => words.iter().map(|word| word.expand_with(self.platform, out).into()).collect(),
        }
    }

    fn wrong(&self, message: String) -> RecipeError {
        RecipeError::new(message).or_at(self.run.place.clone())
    }

    fn forbidden(&self) -> RecipeError {
        let message = format!("layer {} must be run for {}, which --no-run forbids", self.layer.name, self.platform);
        self.wrong(message).help(match self.key {
            Some(_) => "no result is kept that fits its inputs: build once without --no-run",
            None => "it has no `inputs`, so it is run each time: say what its result depends on, and build once without --no-run",
        })
    }

    fn failed(&self, error: RunError, task: &Task) -> RecipeError {
        let (name, platform) = (&self.layer.name, self.platform);
        match error {
            RunError::Failed { ending, said } => {
                let mut help = format!("it was run in {}", task.folder.display());
                if !said.is_empty() {
                    help = format!("{help}; all that it said is in {}", task.log.display());
                }
                let source = Failed { command: Shown(&task.words).to_string(), said };
                self.wrong(format!("layer {name}: its command failed for {platform}: {ending}"))
                    .caused_by(source)
                    .help(help)
            }
            error @ RunError::Start { .. } => self
                .wrong(format!("layer {name}: cannot run its command for {platform}"))
                .caused_by(error)
                .help("a program is looked for in the PATH of the build; with a slash it is in the recipe's folder"),
            error => self.wrong(format!("layer {name}: cannot run its command for {platform}")).caused_by(error),
        }
    }
}

/// A command as a shell would take it.
struct Shown<'w>(&'w [OsString]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            let word = word.to_string_lossy();
            let space = if index > 0 { " " } else { "" };
            write!(f, "{space}{}", quoted(&word))?;
        }
        Ok(())
    }
}

/// What was run, and what it said.
#[derive(Debug, thiserror::Error)]
#[error("{command}\n{}", if said.is_empty() { "said nothing".to_owned() } else { said.join("\n") })]
struct Failed {
    command: String,
    said: Vec<String>,
}

impl Produced {
    /// What the layer holds.
    pub(super) fn entries(
        &self,
        reader: &Reader<'_>,
        (layer, run): (&LayerRecipe, &RunRecipe),
        platform: &Platform,
        root: &Root,
    ) -> Result<Vec<Entry>, RecipeError> {
        let out = self.place.out();
        let sources = [Source {
            picks: vec![Pick { path: out.clone(), name: Box::default() }],
            dest: destination(run, platform)?,
            into: false,
            pattern: None,
            exclude: &run.exclude,
            owner: run.owner,
            mode: None,
        }];
        let time = |path: &Path| time_of(path, run.mtime, None);
        let ground = super::ground::Underground { root };
        // Neither the project's .dockerignore nor what the build writes has anything to do with it.
        let rules = Rules { ignore: None, mtime: &time, below: &ground, own: &Own::default() };
        let entries = reader.laid_out(layer, platform, (&sources, run.place.clone()), &rules)?;
        let told: Vec<&str> =
            self.mentions.iter().map(String::as_str).filter(|path| !run.exclude.excludes(path)).collect();
        if let [first, rest @ ..] = told.as_slice() {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            reader.warn(&format!(
                "layer {} ({platform}): {first}{more} of {} names that folder, which is not in the image",
                layer.name,
                out.display()
            ));
        }
        Ok(entries)
    }
}

/// Where the content of `{out}` goes.
pub(super) fn destination(run: &RunRecipe, platform: &Platform) -> Result<Box<[u8]>, RecipeError> {
    let dest = run.dest.value.expand(platform);
    clean(dest.as_bytes()).ok_or_else(|| {
        RecipeError::new(format!("the destination {dest} leaves the root"))
            .or_at(run.dest.place.clone())
            .help("a destination is an absolute path in the image without ..")
    })
}
