//! `build`: a recipe, or flags, to an image in a layout or archive, and to a registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dockless::event::{Event, Observer as _};
use dockless::image::base::Bases;
use dockless::image::build::{Caching, Options};
use dockless::image::config::{self, ConfigRecipe};
use dockless::image::lock::Lock;
use dockless::image::plan::run::Runs;
use dockless::image::recipe::load::parse_base;
use dockless::image::recipe::place::{RecipeError, Spanned};
use dockless::image::recipe::template::Template;
use dockless::image::recipe::{Base, LayerRecipe, Recipe};
use dockless::layer::cache::{LIMIT, LayerCache};
use dockless::layer::compress::{Codec, Pool};
use dockless::oci::platform::{Os, ParsePlatformError, Platform};
use dockless::release::deliver::{Network, Sending};
use dockless::release::flow::{Destination, Outcome, Release, ReleaseError, release};
use dockless::release::ship::{Output, Request, ShipError};
use dockless::verify::finding::Verification;

use super::args::build::{Build, Config};
use super::args::push::Sending as Flags;
use super::args::values::{Compression, Format};
use super::context::Context;
use super::failure::Failure;
use super::render::Planned;
use super::report::document::{LayerReport, PlatformReport, Report, VERSION};
use super::report::place::{self, Input, Kind, Written};
use super::verify::threads;
use super::{gate, image, inputs, push, render, report};

/// Runs `dockless build`.
pub fn run(args: &Build, context: &Context) -> Result<ExitCode, Failure> {
    let Asked { output, flags, recipe, wanted } = asked(args, context).inspect_err(|_| forget(args))?;
    let platforms = platforms(args, &recipe, &wanted, context)?;
    let pool = Pool::new(args.image.jobs.map_or_else(threads, std::num::NonZero::get));
    let pairs = args.image.annotations.iter();
    let annotations: BTreeMap<String, String> = pairs.map(|pair| (pair.key.clone(), pair.value.clone())).collect();
    let layers = layer_cache(args, context);
    let options = Options {
        flags: &flags,
        annotations: &annotations,
        codec: codec(args.image.compression),
        source_date_epoch: context.settings.source_date_epoch,
        pool: &pool,
        cache: Caching { layers: layers.as_ref(), check: args.image.kept.cache_check },
        begun: None,
        made: None,
        observer: context.progress.as_ref(),
    };
    let files = args.records.report.iter().chain(&args.records.image_refs).chain(&args.result.render);
    let records: Vec<PathBuf> = files.chain(args.result.rehearse.iter().flatten()).cloned().collect();
    let needs_network = args.result.push || matches!(recipe.base.value, Base::Registry(_));
    let network = needs_network.then(|| image::network(context, &args.registry)).transpose()?;
    let registries = network.as_ref().map(Network::registries);
    let lock = args.image.layers.is_empty().then(|| Lock::load(recipe_path(args.recipe.as_deref())));
    let lock = lock.transpose().map_err(wrong)?;
    let memory = context.settings.cache_folder.as_ref().map(|folder| folder.join("bases"));
    let bases = Bases {
        registries: registries.as_ref(),
        lock: lock.as_ref(),
        locked: args.image.locked,
        memory: memory.as_deref(),
        cache: layers.as_ref(),
    };
    let runs = Runs {
        folder: &context.settings.run_folder(),
        otherwise: &context.settings.temporary_run_folder(),
        environment: &context.settings.environment,
        jobs: pool.width(),
        anew: args.image.kept.no_cache,
        never: args.image.kept.no_run,
    };
    let planned = match (&args.result.render, args.result.tags.first()) {
        (Some(path), Some(tag)) => Some((render::planned(&wanted, tag)?, path)),
        _ => None,
    };
    let tags = args.result.tags.as_slice();
    let sending = if args.sends() { push::sending(&args.sending, tags, &args.registry)? } else { Sending::default() };
    let destination = match (&network, &args.result.rehearse) {
        (_, Some(folder)) => Destination::Rehearsal(folder.as_deref()),
        (Some(network), None) if args.result.push => Destination::Registries(network),
        _ => Destination::Stays,
    };
    let told = |verification: &Verification| wanted.show(verification, context);
    let outcome = release(&Release {
        image: Request {
            recipe: &recipe,
            platforms: &platforms,
            options,
            output: &output,
            records: &records,
            tags,
            bases,
            runs,
            ready: None,
        },
        gate: wanted.gate(&told),
        destination,
        sending: &sending,
        observer: &context.observer(),
    })
    .map_err(failed)?;
    end(args, outcome, &output, planned, context)
}

impl Build {
    /// Whether the image goes anywhere from its output.
    fn sends(&self) -> bool {
        self.result.push || self.result.rehearse.is_some()
    }
}

/// What is asked for, by flags and recipe.
struct Asked {
    output: Output,
    flags: ConfigRecipe,
    recipe: Recipe,
    wanted: gate::Wanted,
}

/// Reads what is asked for, and removes what an earlier build wrote.
fn asked(args: &Build, context: &Context) -> Result<Asked, Failure> {
    let [report, image_refs] = args.records.files();
    report::check(context, &[report, image_refs, ("--render", args.result.render.as_deref())])?;
    let output = output(args)?;
    let flags = flags(&args.config)?;
    let recipe = recipe(args)?;
    let [report, image_refs, render] = written(args, Some(&recipe));
    let written = [Written::new(Kind::Image, "--output", Some(output.path())), report, image_refs, render];
    let wanted = inputs::keep_apart(&written, &read(args, Some(&recipe)), || {
        check_asked(args)?;
        gate::wanted(&args.gate, Some((&recipe.verify, &recipe.folder)), context, &args.registry)
    })?;
    Ok(Asked { output, flags, recipe, wanted })
}

/// Refuses what cannot be, whatever is built.
fn check_asked(args: &Build) -> Result<(), Failure> {
    if let Some(tag) = args.result.tags.iter().find(|tag| tag.digest().is_some()) {
        return Err(Failure::new(format!(
            "--tag {tag}: an image that is yet to be built has no digest; leave out @sha256:…"
        )));
    }
    if args.result.render.is_some() && !args.sends() {
        return Err(Failure::new("--render writes what was pushed: add --push, or --rehearse to try it"));
    }
    let Flags { mount_from, chunk_size, create_repository, .. } = &args.sending;
    let flags = [
        ("--create-repository", *create_repository),
        ("--mount-from", !mount_from.is_empty()),
        ("--chunk-size", chunk_size.is_some()),
    ];
    if let Some((flag, _)) = flags.iter().find(|(_, is_given)| *is_given && !args.sends()) {
        return Err(Failure::new(format!("{flag} is for a push: add --push, or --rehearse to try it")));
    }
    Ok(())
}

/// Tells what came of it: files, outputs, the result, the exit code.
fn end(
    args: &Build,
    outcome: Outcome,
    output: &Output,
    planned: Option<(Planned<'_>, &PathBuf)>,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let document = document(&outcome, context);
    if let Some(error) = outcome.failure {
        report::reached(context, &args.records, &document, &outcome.pushed.tags);
        return Err(image::undelivered(error));
    }
    if outcome.passes {
        let mut rendered = Ok(None);
        if let (Some((planned, path)), Some(tag)) = (planned, args.result.tags.first()) {
            let written = planned.write(path, &tag.at(outcome.shipped.built.index.digest), context);
            rendered = written.map(|()| Some(path.as_path()));
        }
        report::finish(context, &args.records, &document, rendered)?;
        return Ok(ExitCode::SUCCESS);
    }
    report::refuse(context, &args.records, &document)?;
    context.say(match (args.sends(), outcome.early) {
        // Layers may be at the registry by now; nothing names them, and nobody can pull them.
        (true, true) => "no manifest and no tag was pushed: see the findings above".into(),
        (true, false) => "nothing was pushed: see the findings above".into(),
        (false, _) => format!("the image is in {}, but see the findings above", output.path().display()),
    });
    Ok(ExitCode::from(1))
}

/// The report of a build.
fn document(outcome: &Outcome, context: &Context) -> Report {
    Report {
        version: VERSION,
        digest: outcome.digest,
        references: outcome.references.clone(),
        platforms: outcome.shipped.built.images.iter().map(platform_report).collect(),
        uploads: push::uploads(&outcome.pushed),
        findings: outcome.verification.all().cloned().collect(),
        warnings: context.progress.warnings(),
    }
}

/// The cache of layers, unless it is not wanted. One that cannot be had costs time, no more.
fn layer_cache(args: &Build, context: &Context) -> Option<LayerCache> {
    let folder = context.settings.cache_folder.as_ref().filter(|_| !args.image.kept.no_cache)?;
    match LayerCache::open(folder, context.settings.cache_size.unwrap_or(LIMIT)) {
        Ok(cache) => Some(cache),
        Err(error) => {
            let text = format!("nothing is kept for the next build: the cache folder {}: {error}", folder.display());
            context.progress.note(Event::Detail(&text));
            None
        }
    }
}

/// The recipe's file or folder.
pub fn recipe_path(given: Option<&Path>) -> &Path {
    given.unwrap_or(Path::new("."))
}

/// The files beside the image. A task definition may be rendered where it stands, if it is the only one.
fn written<'a>(args: &'a Build, recipe: Option<&Recipe>) -> [Written<'a>; 3] {
    let [report, image_refs] = args.records.written();
    let sources = gate::sources(&args.gate, recipe.map(|recipe| (&recipe.verify, recipe.folder.as_path())));
    let over = if let [only] = sources.as_slice() { Some(only.into()) } else { None };
    let render = Written::new(Kind::TaskDefinition, "--render", args.result.render.as_deref()).over(over);
    [report, image_refs, render]
}

/// What is read, as flags and recipe name it.
fn read(args: &Build, recipe: Option<&Recipe>) -> Vec<Input> {
    let mut read = [inputs::of_gate(&args.gate), inputs::of_registry(&args.registry)].concat();
    let mut folder = PathBuf::new();
    if args.image.layers.is_empty() {
        let given = inputs::recipe_file(recipe_path(args.recipe.as_deref()));
        folder.extend(given.parent());
        read.push(Input::new("the lock", given.with_extension("lock")));
        read.push(Input::new("the recipe", given));
    }
    read.push(Input::new("the .dockerignore", folder.join(".dockerignore")));
    // What is in them is used again.
    let layout = output(args).ok().map(|output| output.path().to_path_buf()).filter(|path| path.is_dir());
    read.extend(layout.map(|folder| Input::new("the layout", folder)));
    let rehearsed = args.result.rehearse.iter().flatten().filter(|path| path.is_dir());
    read.extend(rehearsed.map(|folder| Input::new("the registry of --rehearse", folder)));
    let mut platforms: Vec<Platform> = args.image.platforms.clone();
    platforms.extend(recipe.iter().flat_map(|recipe| &recipe.platforms).map(|platform| platform.value.clone()));
    platforms.extend([Platform::linux_amd64(), Platform::linux_arm64()]);
    read.extend(recipe.iter().flat_map(|recipe| inputs::of_recipe(recipe, &platforms)));
    let config = config_file(&args.config).ok().flatten();
    read.extend(config.iter().flat_map(|file| inputs::of_config(file, &platforms)));
    read
}

/// Removes what an earlier build wrote, as far as it is known what is read: where the recipe cannot be, what is
/// rendered may be the task definition that it names.
pub fn forget(args: &Build) {
    let recipe = recipe(args).ok();
    let recipe = recipe.as_ref();
    let written = written(args, recipe);
    let is_known = recipe.is_some() || !args.gate.task_definitions.is_empty();
    let written = if is_known { &written[..] } else { &written[..2] };
    place::forget(written, &read(args, recipe));
}

/// The recipe that is named, or one made of flags.
fn recipe(args: &Build) -> Result<Recipe, Failure> {
    let mut recipe = if args.image.layers.is_empty() {
        Recipe::load(recipe_path(args.recipe.as_deref())).map_err(wrong)?
    } else {
        let here = Path::new("");
        let mut recipe = Recipe::empty(here);
        for (index, layer) in args.image.layers.iter().enumerate() {
            recipe.layers.push(LayerRecipe::from_flag(layer, here, index + 1).map_err(wrong)?);
        }
        recipe
    };
    if let Some(base) = &args.image.base {
        // Relative to the working folder, whatever the recipe's folder is.
        let here =
            std::env::current_dir().map_err(|error| Failure::new(error).during("cannot tell the working folder"))?;
        recipe.base = Spanned::bare(parse_base(base, &here).map_err(wrong)?);
    }
    Ok(recipe)
}

/// The flags', else the recipe's, else what the task definitions ask for, else the one that most tasks run on.
fn platforms(
    args: &Build,
    recipe: &Recipe,
    wanted: &gate::Wanted,
    context: &Context,
) -> Result<Vec<Platform>, Failure> {
    let mut said: Vec<Platform> = Vec::new();
    let flags = args.image.platforms.iter();
    let written = recipe.platforms.iter().map(|platform| &platform.value);
    let all: Vec<&Platform> = if args.image.platforms.is_empty() { written.collect() } else { flags.collect() };
    for platform in all {
        if !said.contains(platform) {
            said.push(platform.clone());
        }
    }
    if said.is_empty() {
        said = wanted.platforms();
        if let Some(other) = said.iter().find(|platform| platform.os != Os::Linux) {
            let error = ParsePlatformError::Unsupported(other.to_string());
            return Err(Failure::new(error)
                .during("cannot build what the task definitions ask for")
                .hint("choose the targets that run on Linux (--target), or say what to build: -p linux/amd64"));
        }
        if !said.is_empty() {
            let list: Vec<String> = said.iter().map(Platform::to_string).collect();
            context.say(format!("building {}, as the task definitions ask for", list.join(", ")));
        }
    }
    if said.is_empty() {
        context.say("building linux/amd64, since neither --platform nor the recipe says a platform");
        said.push(Platform::linux_amd64());
    }
    Ok(said)
}

fn codec(flag: Option<Compression>) -> Codec {
    match flag {
        None | Some(Compression::Gzip(None)) => Codec::GZIP,
        Some(Compression::Gzip(Some(level))) => Codec::Gzip(level.into()),
        Some(Compression::Zstd(None)) => Codec::ZSTD,
        Some(Compression::Zstd(Some(level))) => Codec::Zstd(level.into()),
        Some(Compression::None) => Codec::None,
    }
}

fn output(args: &Build) -> Result<Output, Failure> {
    let path = args.result.output.clone();
    let archive = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tar");
    if let Some(path) = path.as_deref().filter(|path| is_other_archive(path)) {
        return Err(Failure::new(format!(
            "--output {}: an archive is written to a file that ends in .tar",
            path.display()
        ))
        .hint("its layers are compressed already; a folder of any other name becomes a layout"));
    }
    match (args.result.format, path) {
        (Format::Oci, None) => Ok(Output::Layout("oci".into())),
        (Format::Oci, Some(path)) if archive(&path) && !path.is_dir() => Ok(Output::Archive(path)),
        (Format::Oci, Some(path)) => Ok(Output::Layout(path)),
        (Format::DockerArchive, None) => {
            Err(Failure::new("--format docker-archive needs a file to write").hint("add --output image.tar"))
        }
        (Format::DockerArchive, Some(path)) if archive(&path) => Ok(Output::DockerArchive(path)),
        (Format::DockerArchive, Some(path)) => Err(Failure::new(format!(
            "a docker-archive is a file, but --output names {}, which does not end in .tar",
            path.display()
        ))),
    }
}

/// Names that mean an archive that is not written, or standard output.
fn is_other_archive(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    report::is_stdout(path)
        || matches!(ending.as_deref(), Some("gz" | "tgz" | "zst" | "tzst" | "xz" | "bz2" | "zip")) && !path.is_dir()
}

fn flags(config: &Config) -> Result<ConfigRecipe, Failure> {
    let pairs = |pairs: &[super::args::values::Pair]| -> Vec<(String, String)> {
        pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect()
    };
    Ok(ConfigRecipe {
        from: config_file(config)?.map(Spanned::bare),
        entrypoint: config.entrypoint(),
        cmd: config.cmd(),
        env: pairs(&config.env),
        user: config.user.as_deref().map(config::parse_user).transpose().map_err(wrong)?,
        working_dir: config.working_dir.clone(),
        labels: pairs(&config.labels).into_iter().collect(),
        exposed_ports: config.exposed_ports.iter().cloned().collect(),
        volumes: config.volumes.iter().cloned().collect(),
        stop_signal: config.stop_signal.as_deref().map(config::parse_signal).transpose().map_err(wrong)?,
    })
}

/// The file of `--config`: relative to the working folder, whatever the recipe's folder is.
fn config_file(config: &Config) -> Result<Option<Template>, Failure> {
    let file = config.file.as_ref().map(|path| Template::parse(&path.display().to_string())).transpose();
    file.map_err(|error| Failure::new(format!("--config: {}", error.message)).hint(error.help))
}

/// A recipe's error, with its place underlined.
pub fn wrong(error: RecipeError) -> Failure {
    let RecipeError { message, place, label, help, source } = error;
    let mut failure = match source {
        Some(source) => Failure::new(source).during(message),
        None => Failure::new(message),
    };
    if let Some(help) = help {
        failure = failure.hint(help);
    }
    match place {
        Some(place) => failure.at(gate::snippet(&place, label.as_deref().unwrap_or_default())),
        None => failure,
    }
}

fn failed(error: ReleaseError) -> Failure {
    match error {
        ReleaseError::Ship(ShipError::Recipe(error)) => wrong(error),
        ReleaseError::Ship(error) => Failure::new(error),
        ReleaseError::Deliver(error) => image::undelivered(*error),
        error => Failure::new(error),
    }
}

fn platform_report(image: &dockless::image::build::BuiltImage) -> PlatformReport {
    PlatformReport {
        platform: image.platform.to_string(),
        manifest: image.manifest.digest,
        config: image.config.digest,
        layers: image
            .layers
            .iter()
            .map(|layer| LayerReport {
                name: layer.name.clone(),
                digest: layer.descriptor.digest,
                diff_id: layer.diff_id,
                size: layer.descriptor.size,
                media_type: layer.descriptor.media_type.clone(),
                cached: Some(layer.cached),
            })
            .collect(),
    }
}
