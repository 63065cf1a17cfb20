//! `build`: a recipe, or flags, to an image in a layout or archive, and to a registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dockless::aws::ecr::EcrHost;
use dockless::blob::growing::Growing;
use dockless::event::{Event, Observer as _};
use dockless::image::base::Bases;
use dockless::image::build::{Begun, Caching, Made, Options};
use dockless::image::config::{self, ConfigRecipe};
use dockless::image::lock::Lock;
use dockless::image::plan::run::Runs;
use dockless::image::recipe::load::parse_base;
use dockless::image::recipe::place::{RecipeError, Spanned};
use dockless::image::recipe::template::Template;
use dockless::image::recipe::{Base, LayerRecipe, Recipe};
use dockless::layer::cache::{LIMIT, LayerCache};
use dockless::layer::compress::{Codec, Pool};
use dockless::layout::Layout;
use dockless::oci::descriptor::Descriptor;
use dockless::oci::digest::Digest;
use dockless::oci::platform::{Os, ParsePlatformError, Platform};
use dockless::oci::reference::Reference;
use dockless::registry::push::Pushed;
use dockless::release::preflight::Ground;
use dockless::release::ship::{Output, Request, ShipError, Shipped, make, mounts};
use dockless::serve::ecr::{EcrSettings, Switch};
use dockless::serve::{Server, Settings};

use super::ahead::{Asked, Coming};
use super::args::build::{Build, Config};
use super::args::values::{Compression, Format};
use super::context::{Context, runtime};
use super::failure::Failure;
use super::image::Network;
use super::push::Undone;
use super::report::document::{LayerReport, PlatformReport, Report, VERSION};
use super::report::files::{self, Input, Written};
use super::verify::threads;
use super::{gate, image, inputs, push, render, report};

/// Runs `dockless build`.
pub fn run(args: &Build, context: &Context) -> Result<ExitCode, Failure> {
    let [report, image_refs] = args.records.files();
    report::check(context, &[report, image_refs, ("--render", args.result.render.as_deref())])?;
    let output = output(args)?;
    let flags = flags(&args.config)?;
    let recipe = recipe(args).inspect_err(|_| forget(args))?;
    let written = keep_apart(args, &recipe, &flags, &output)?;
    if let Some(tag) = args.result.tags.iter().find(|tag| tag.digest().is_some()) {
        return Err(Failure::new(format!(
            "--tag {tag}: an image that is yet to be built has no digest; leave out @sha256:…"
        )));
    }
    if args.result.render.is_some() && !args.result.push && args.result.rehearse.is_none() {
        return Err(Failure::new("--render writes what was pushed: add --push, or --rehearse to try it"));
    }
    let wanted = gate::wanted(&args.gate, Some((&recipe.verify, &recipe.folder)), context, &args.registry)?;
    files::apart(&written, &inputs::of_sources(&wanted))?;
    let platforms = platforms(args, &recipe, &wanted, context)?;
    let pool = Pool::new(args.image.jobs.map_or_else(threads, std::num::NonZero::get));
    let pairs = args.image.annotations.iter();
    let annotations: BTreeMap<String, String> = pairs.map(|pair| (pair.key.clone(), pair.value.clone())).collect();
    let source_date_epoch =
        context.settings.source_date_epoch.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
    let layers = layer_cache(args, context);
    let options = Options {
        flags: &flags,
        annotations: &annotations,
        codec: codec(args.image.compression),
        source_date_epoch,
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
        environment: &context.settings.environment,
        jobs: pool.width(),
        anew: args.image.kept.no_cache,
        never: args.image.kept.no_run,
    };
    let planned = match (&args.result.render, args.result.tags.first()) {
        (Some(path), Some(tag)) => Some((render::planned(&wanted, tag)?, path)),
        _ => None,
    };
    // Where a task definition has the last word nothing is sent before it has spoken.
    let early = args.result.push && wanted.targets.is_empty() && !args.result.tags.is_empty();
    let what = (args.result.tags.as_slice(), &args.sending);
    let (shipped, asked) = std::thread::scope(|scope| {
        let pushing = network.as_ref().filter(|_| args.result.push);
        let push = pushing.map(|network| Coming::begin(scope, network, what, early, context));
        let coming = push.as_ref();
        let ahead = || coming.and_then(Coming::ahead);
        let take = |layout: &Layout, layer: &Descriptor, new| {
            if let Some(ahead) = ahead() {
                ahead.take(layout, layer, new);
            }
        };
        let begun = |layer: Growing, size| {
            if let Some(ahead) = ahead() {
                ahead.begun(layer, size);
            }
        };
        // A registry that cannot be reached and a mistyped repository are told before anything is made.
        let ready = || coming.is_none_or(Coming::is_ready);
        let request = Request {
            recipe: &recipe,
            platforms: &platforms,
            options: Options {
                made: early.then_some(&take as &Made<'_>),
                begun: early.then_some(&begun as &Begun<'_>),
                ..options
            },
            output: &output,
            records: &records,
            tags: &args.result.tags,
            bases,
            runs,
            ready: Some(&ready),
        };
        // Nor is anything fetched or run in vain.
        match if recipe.fetches_or_runs() && !ready() { Err(ShipError::CalledOff) } else { make(&request) } {
            Ok(shipped) => Ok((shipped, push.and_then(Coming::into_asked))),
            Err(error) => Err(push.and_then(Coming::give_up).unwrap_or_else(|| failed(error))),
        }
    })?;
    let (verification, passes) = wanted.judge(&shipped.facts, context);
    let (ground, ahead) = asked.map(|Asked { ground, ahead }| (ground, ahead)).unzip();
    let ahead = ahead.flatten();
    let early = ahead.is_some();
    let pushed = if passes && let (Some(network), Some(mut ground)) = (&network, ground) {
        if let Some(ahead) = &ahead {
            for image in &shipped.built.images {
                ahead.follow(&shipped.source, &image.config);
            }
        }
        ground.mounts = mounts(&recipe, &shipped.built);
        let what = (shipped.source.clone(), &shipped.built.index);
        match ahead.map(|ahead| ahead.finish(network)).transpose() {
            Ok(sent) => {
                ground.sent = sent.unwrap_or_default();
                push::deliver(network, what, &args.result.tags, &args.sending, ground, context)
            }
            Err(failure) => Err(failure.into()),
        }
    } else if passes && let Some(folder) = &args.result.rehearse {
        rehearse(folder.as_deref(), &shipped, args, context)
    } else {
        if let (Some(ahead), Some(network)) = (ahead, &network) {
            ahead.abandon(network);
        }
        Ok(Pushed::default())
    };
    let document = |pushed: &Pushed, references| Report {
        version: VERSION,
        digest: digest(&output, &shipped, pushed),
        references,
        platforms: shipped.built.images.iter().map(platform_report).collect(),
        uploads: push::uploads(pushed),
        findings: verification.all().cloned().collect(),
        warnings: context.progress.warnings(),
    };
    let pushed = match pushed {
        Ok(pushed) => pushed,
        Err(Undone { failure, pushed }) => {
            let document = document(&pushed, pushed.references.clone());
            report::reached(context, &args.records, &document, &pushed.tags)?;
            return Err(failure);
        }
    };
    let references = match pushed.references.as_slice() {
        // A name by which nothing can be pulled must not be deployed.
        [] if !passes => Vec::new(),
        [] => {
            let digest = digest(&output, &shipped, &pushed);
            repositories(&args.result.tags).iter().map(|tag| tag.at(digest).to_string()).collect()
        }
        references => references.to_vec(),
    };
    let document = document(&pushed, references);
    if passes {
        let mut rendered = Ok(None);
        if let (Some((planned, path)), Some(tag)) = (&planned, args.result.tags.first()) {
            let written = planned.write(path, &tag.at(shipped.built.index.digest), context);
            rendered = written.map(|()| Some(path.as_path()));
        }
        report::finish(context, &args.records, &document, rendered)?;
        return Ok(ExitCode::SUCCESS);
    }
    report::refuse(context, &args.records, &document)?;
    if args.result.push || args.result.rehearse.is_some() {
        // Layers may be at the registry by now; nothing names them, and nobody can pull them.
        context.say(if early {
            "no manifest and no tag was pushed: see the findings above"
        } else {
            "nothing was pushed: see the findings above"
        });
    } else {
        context.say(format!("the image is in {}, but see the findings above", output.path().display()));
    }
    Ok(ExitCode::from(1))
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

/// The digest by which the image is known where it went: a docker-archive has no index.
fn digest(output: &Output, shipped: &Shipped, pushed: &Pushed) -> Digest {
    match (output, shipped.built.images.as_slice()) {
        (Output::DockerArchive(_), [image]) if pushed.references.is_empty() => image.manifest.digest,
        _ => shipped.built.index.digest,
    }
}

/// Refuses files that would take the place of what is read, or of each other, and removes what an earlier build wrote there.
fn keep_apart<'a>(
    args: &'a Build,
    recipe: &'a Recipe,
    flags: &ConfigRecipe,
    output: &'a Output,
) -> Result<[Written<'a>; 4], Failure> {
    let mut platforms: Vec<Platform> = args.image.platforms.clone();
    platforms.extend(recipe.platforms.iter().map(|platform| platform.value.clone()));
    platforms.extend([Platform::linux_amd64(), Platform::linux_arm64()]);
    let mut read = [inputs::of_gate(&args.gate), inputs::of_registry(&args.registry)].concat();
    if args.image.layers.is_empty() {
        let given = inputs::recipe_file(recipe_path(args.recipe.as_deref()));
        read.push(Input::new("the lock", given.with_extension("lock")));
        read.push(Input::new("the recipe", given));
    }
    read.extend(inputs::of_recipe(recipe, &platforms));
    read.extend(flags.from.iter().flat_map(|file| inputs::of_config(&file.value, &platforms)));
    let [report, image_refs] = args.records.files().map(|(flag, path)| Written::new(flag, path));
    let mut render = Written::new("--render", args.result.render.as_deref());
    render.over = only_document(args, Some(recipe));
    let written = [Written::new("--output", Some(output.path())), report, image_refs, render];
    files::apart(&written, &read)?;
    written[1..].iter().try_for_each(files::clear)?;
    Ok(written)
}

/// The task definition, where there is one and it is a file: that may be rendered where it stands.
fn only_document(args: &Build, recipe: Option<&Recipe>) -> Option<PathBuf> {
    match (args.gate.task_definitions.as_slice(), recipe) {
        ([], Some(recipe)) => match recipe.verify.task_definitions.as_slice() {
            [only] => Some(recipe.folder.join(&only.value)),
            _ => None,
        },
        ([only], _) => Some(only.into()),
        _ => None,
    }
}

/// Removes what an earlier build wrote, as far as it can be known where the recipe cannot be read: what is rendered may be
/// the task definition that it names.
fn forget(args: &Build) {
    let is_known = !args.gate.task_definitions.is_empty() || !args.image.layers.is_empty();
    let [report, image_refs] = args.records.files().map(|(flag, path)| Written::new(flag, path));
    let mut render = Written::new("--render", args.result.render.as_deref().filter(|_| is_known));
    render.over = only_document(args, None);
    // The failure that is under way says more than another one.
    let _ = [report, image_refs].iter().try_for_each(files::clear_told).and_then(|()| files::clear(&render));
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
    path == Path::new("-")
        || matches!(ending.as_deref(), Some("gz" | "tgz" | "zst" | "tzst" | "xz" | "bz2" | "zip")) && !path.is_dir()
}

fn flags(config: &Config) -> Result<ConfigRecipe, Failure> {
    let pairs = |pairs: &[super::args::values::Pair]| -> Vec<(String, String)> {
        pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect()
    };
    let from = config.file.as_ref().map(|path| Template::parse(&path.display().to_string())).transpose();
    let from = from.map_err(|error| Failure::new(format!("--config: {}", error.message)).hint(error.help))?;
    Ok(ConfigRecipe {
        // Relative to the working folder, whatever the recipe's folder is.
        from: from.map(Spanned::bare),
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

fn failed(error: ShipError) -> Failure {
    match error {
        ShipError::Recipe(error) => wrong(error),
        error => Failure::new(error),
    }
}

/// One reference of each repository.
fn repositories(tags: &[Reference]) -> Vec<&Reference> {
    let mut distinct: Vec<&Reference> = Vec::new();
    for tag in tags {
        if !distinct.iter().any(|known| known.name() == tag.name()) {
            distinct.push(tag);
        }
    }
    distinct
}

/// Pushes to an embedded registry that stands for all the registries that the tags name.
fn rehearse(folder: Option<&Path>, shipped: &Shipped, args: &Build, context: &Context) -> Result<Pushed, Undone> {
    let scratch;
    let folder = if let Some(folder) = folder {
        folder
    } else {
        scratch = tempfile::tempdir()
            .map_err(|error| Failure::new(error).during("cannot create a folder for the rehearsal"))?;
        scratch.path()
    };
    let runtime = runtime()?;
    runtime.block_on(async {
        let tags = &args.result.tags;
        let mut hosts: Vec<&str> = Vec::new();
        for host in tags.iter().map(Reference::registry) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        let ground = Ground { mount_from: push::mount_from(tags, &args.sending)?, ..Ground::default() };
        let server = Server::start(stand_in(folder, &hosts)).await.map_err(Failure::new)?;
        let client = image::rehearsal(context, &hosts, &server.url())?;
        context.say(format!("rehearsing the push at {}, not at {}", server.url(), hosts.join(", ")));
        let (source, top) = (shipped.source.clone(), &shipped.built.index);
        let pushed = push::send(&client, source, top, tags, &args.sending, ground, context).await?;
        server.stop().await.map_err(Failure::new)?;
        Ok(pushed)
    })
}

/// The settings of the registry that stands in: where a tag is of Amazon ECR it answers as ECR does.
fn stand_in(folder: &Path, hosts: &[&str]) -> Settings {
    let ecr = hosts.iter().find_map(|host| {
        let host = EcrHost::parse(host)?;
        Some(EcrSettings::new(host.account.as_deref()?, &host.region))
    });
    match ecr {
        // The repositories of a rehearsal are nobody's, and so are the credentials.
        Some(ecr) => Settings::like_ecr(
            folder,
            EcrSettings { switches: [Switch::CreateOnPush, Switch::Anonymous].into(), ..ecr },
        ),
        None => Settings::new(folder),
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
