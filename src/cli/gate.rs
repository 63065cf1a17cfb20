//! Task definitions as flags and recipe name them, and the verdict on an image as it is shown.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use dockless::ecs::cloudformation::{self, Declarations, Note, Parameters};
use dockless::ecs::json::ParseError;
use dockless::ecs::live::{self, LiveError, LiveSource};
use dockless::ecs::load::{LoadError, read};
use dockless::ecs::pattern::Pattern;
use dockless::ecs::sources::Sources;
use dockless::ecs::target::{Asked, Given, Target, TargetOptions, Variables};
use dockless::ecs::task_definition::{self, CpuArchitecture, LaunchType, Location, OperatingSystem};
use dockless::image::inspect::Facts;
use dockless::image::recipe::VerifyRecipe;
use dockless::image::recipe::place::Spanned;
use dockless::oci::platform::Platform;
use dockless::release::{flow, ship};
use dockless::verify::allow::Allow;
use dockless::verify::finding::{Finding, Rule, Verification};
use dockless::verify::rules;

use super::args::push::Registry;
use super::args::values;
use super::args::verify::{Architecture, Gate, LaunchType as LaunchTypeFlag, Selection};
use super::context::{Context, runtime};
use super::failure::Failure;
use super::report::finding::{Shown, summary};
use super::snippet::Snippet;
use super::{image, report};

/// Everything that is to be verified against.
#[derive(Default)]
pub struct Wanted {
    /// The targets of all sources.
    pub targets: Vec<Target>,
    notes: Vec<Note>,
    sources: BTreeMap<Arc<str>, Arc<str>>,
    /// The variables of the Terraform configurations among the sources: what `--var` may give.
    pub variables: BTreeSet<String>,
    /// The parameters of the templates among the sources: what `--parameter` may give.
    pub parameters: Declarations,
    options: rules::Options,
    strict: bool,
}

/// What the selection flags say, over what the recipe says.
fn options(
    selection: &Selection,
    said: Option<(&VerifyRecipe, &Path)>,
    context: &Context,
) -> Result<TargetOptions, Failure> {
    let recipe = said.map(|(recipe, _)| recipe);
    let globs: Vec<&str> = if selection.targets.is_empty() {
        recipe.iter().flat_map(|recipe| &recipe.targets).map(|target| target.value.as_str()).collect()
    } else {
        selection.targets.iter().map(String::as_str).collect()
    };
    let written = |value: &Option<Spanned<String>>| value.as_ref().map(|value| value.value.clone());
    let launch_type = match selection.launch_type {
        Some(LaunchTypeFlag::Fargate) => Some(LaunchType::Fargate),
        Some(LaunchTypeFlag::Ec2) => Some(LaunchType::Ec2),
        Some(LaunchTypeFlag::External) => Some(LaunchType::External),
        Some(LaunchTypeFlag::ManagedInstances) => Some(LaunchType::ManagedInstances),
        None => match recipe.and_then(|recipe| written(&recipe.launch_type)).as_deref() {
            Some("fargate") => Some(LaunchType::Fargate),
            Some("ec2") => Some(LaunchType::Ec2),
            Some("external") => Some(LaunchType::External),
            Some("managed-instances") => Some(LaunchType::ManagedInstances),
            _ => None,
        },
    };
    let architecture = match selection.architecture {
        Some(Architecture::X86_64) => Some(CpuArchitecture::X86_64),
        Some(Architecture::Arm64) => Some(CpuArchitecture::Arm64),
        None => recipe
            .and_then(|recipe| written(&recipe.architecture))
            .map(|word| word.parse())
            .transpose()
            .map_err(Failure::new)?,
    };
    let container = selection.container.clone().or_else(|| recipe.and_then(|recipe| written(&recipe.container)));
    // A recipe's paths are relative to its folder, and a flag of the same name comes after, where the last one counts.
    let written =
        || said.iter().flat_map(|(recipe, folder)| recipe.var_files.iter().map(move |file| folder.join(&file.value)));
    let files = written().map(|file| Given::File(file.display().to_string()));
    let values = recipe.iter().flat_map(|recipe| &recipe.vars).filter_map(|one| one.value.split_once('='));
    let values = values.map(|(name, value)| Given::Value(name.to_owned(), value.to_owned()));
    let variables = Variables {
        environment: context.settings.terraform_variables.clone(),
        given: files.chain(values).chain(selection.variables.0.given.iter().cloned()).collect(),
    };
    let targets = globs.into_iter().map(Pattern::name).collect();
    let parameters = parameters(selection, recipe);
    Ok(TargetOptions { targets, container, launch_type, architecture, parameters, variables })
}

/// The parameters of a template: those of the recipe, each replaced by a flag of the same name.
fn parameters(selection: &Selection, recipe: Option<&VerifyRecipe>) -> Parameters {
    // The recipe's reader takes no other form.
    let written = recipe.iter().flat_map(|recipe| &recipe.parameters).filter_map(|one| one.value.split_once('='));
    let mut parameters: Parameters = written.map(|(name, value)| (name.into(), value.into())).collect();
    let flags = selection.parameters.iter().map(|pair| (pair.key.clone(), pair.value.clone()));
    parameters.extend(flags);
    parameters
}

/// Loads the task definitions that the flags name, else those of the recipe, whose paths are relative to its folder.
pub fn wanted(
    gate: &Gate,
    recipe: Option<(&VerifyRecipe, &Path)>,
    context: &Context,
    registry: &Registry,
) -> Result<Wanted, Failure> {
    let said = recipe.map(|(verify, _)| verify);
    if gate.task_definitions.is_empty() && said.is_none_or(|said| said.task_definitions.is_empty()) {
        // A build is judged without one as well, by fewer rules.
        let flag = first_of(&gate.selection).or(gate.judging().filter(|_| recipe.is_none()));
        if let Some(flag) = flag {
            return Err(Failure::new(format!("{flag} is about a task definition, and none is named"))
                .hint(format!("name it with --task-definition, or leave out {flag}")));
        }
    }
    let mut options = options(&gate.selection, recipe, context)?;
    let from = From { options: &options, recipe, context, registry };
    let sources = match recipe {
        Some((verify, folder)) if gate.task_definitions.is_empty() => {
            let mut sources = Sources::default();
            for named in &verify.task_definitions {
                let found = load(&source(&named.value, folder), &from).map_err(|failure| match &named.place {
                    // What is wrong within the file is shown there; that it is missing, here.
                    Some(place) if !failure.has_place() => failure.at(snippet(place, "")),
                    _ => failure,
                })?;
                sources.add(found);
            }
            sources
        }
        _ => {
            let sources = load_all(&gate.task_definitions, &from)?;
            // What the recipe gives is for the sources that it names: others need not have it.
            let Selection { variables, parameters, .. } = &gate.selection;
            options.variables.given.retain(|given| match given {
                Given::Value(name, _) => sources.variables.contains(name) || variables.0.names().any(|one| one == name),
                Given::File(_) => true,
            });
            options.parameters.retain(|name, _| {
                sources.parameters.contains_key(name) || parameters.iter().any(|given| given.key == *name)
            });
            sources
        }
    };
    check_read(&sources, &gate.selection)?;
    let mut wanted = Wanted::of(sources, &options)?;
    let mut allow = Vec::new();
    for values::Allow { rule, path } in &gate.allow {
        allow.push(allowed(rule, path.as_deref())?);
    }
    for one in said.iter().flat_map(|said| &said.allow) {
        let place = one.place.as_ref();
        allow.push(allowed(&one.value.rule, one.value.path.as_deref()).map_err(|failure| match place {
            Some(place) => failure.at(snippet(place, "")),
            None => failure,
        })?);
    }
    wanted.options = rules::Options { allow, ..rules::Options::default() };
    wanted.strict = gate.strict || said.is_some_and(|said| said.strict);
    Ok(wanted)
}

/// A source that a recipe names: what ECS has by its name, a file or folder from the recipe's folder.
pub fn source(named: &str, folder: &Path) -> String {
    if LiveSource::parse(named).is_some() { named.to_owned() } else { folder.join(named).display().to_string() }
}

/// The sources that the flags name, else those of the recipe.
pub fn sources(gate: &Gate, recipe: Option<(&VerifyRecipe, &Path)>) -> Vec<String> {
    match recipe {
        Some((verify, folder)) if gate.task_definitions.is_empty() => {
            verify.task_definitions.iter().map(|named| source(&named.value, folder)).collect()
        }
        _ => gate.task_definitions.clone(),
    }
}

/// The targets that sources hold.
pub fn targets(sources: &[String], selection: &Selection, context: &Context) -> Result<Wanted, Failure> {
    let (options, registry) = (options(selection, None, context)?, Registry::default());
    let found = load_all(sources, &From { options: &options, recipe: None, context, registry: &registry })?;
    check_read(&found, selection)?;
    Wanted::of(found, &options)
}

/// The first flag that says which task definitions are meant, or what their source leaves open.
pub fn first_of(selection: &Selection) -> Option<&'static str> {
    let Selection { targets, container, parameters, variables, launch_type, architecture } = selection;
    let flags = [
        ("--target", !targets.is_empty()),
        ("--container", container.is_some()),
        ("--parameter", !parameters.is_empty()),
        ("--var", variables.0.names().next().is_some()),
        ("--var-file", variables.0.files().next().is_some()),
        ("--launch-type", launch_type.is_some()),
        ("--architecture", architecture.is_some()),
    ];
    flags.into_iter().find_map(|(flag, is_given)| is_given.then_some(flag))
}

/// Refuses values for what no source has: the verdict would be on others than those that were meant.
fn check_read(found: &Sources, selection: &Selection) -> Result<(), Failure> {
    let is_terraform =
        found.texts.keys().any(|name| Path::new(&**name).extension().is_some_and(|ending| ending == "tf"));
    let takes_parameters = || {
        let mut sources = found.texts.iter();
        sources.any(|(name, text)| cloudformation::is_template(name, text) || cloudformation::is_assembly(text))
    };
    let flag = match selection {
        Selection { parameters, .. } if !parameters.is_empty() && !takes_parameters() => "--parameter",
        Selection { variables, .. } if variables.0.names().next().is_some() && !is_terraform => "--var",
        Selection { variables, .. } if variables.0.files().next().is_some() && !is_terraform => "--var-file",
        _ => return Ok(()),
    };
    let what = if flag == "--parameter" { "a CloudFormation template" } else { "a Terraform configuration" };
    Err(Failure::new(format!("{flag} is for {what}, and no source is one")).hint(format!("leave out {flag}")))
}

impl Gate {
    /// The first flag that says how strictly an image is judged.
    fn judging(&self) -> Option<&'static str> {
        if self.strict { Some("--strict") } else { (!self.allow.is_empty()).then_some("--allow") }
    }
}

/// With what sources are read.
struct From<'a> {
    options: &'a TargetOptions,
    recipe: Option<(&'a VerifyRecipe, &'a Path)>,
    context: &'a Context,
    registry: &'a Registry,
}

fn load_all(sources: &[String], from: &From<'_>) -> Result<Sources, Failure> {
    if sources.iter().filter(|source| *source == "-").count() > 1 {
        return Err(Failure::new("standard input is named twice: it holds one source"));
    }
    let mut all = Sources::default();
    for source in sources {
        all.add(load(source, from)?);
    }
    Ok(all)
}

/// What a source holds.
fn load(source: &str, from: &From<'_>) -> Result<Sources, Failure> {
    let input = (source == "-").then(|| from.context.standard_input()).transpose()?;
    let found = match live(source, from)? {
        Some(found) => found,
        None => read(source, input, from.options).map_err(|error| match error {
            LoadError::Variables { path, why } => no_values(&path, &why, from),
            error => not_loaded(error),
        })?,
    };
    // A verdict on no task would be that everything runs.
    if found.definitions.is_empty() {
        return Err(Failure::new(format!("{source} holds no task definition")).hint(
            "name the folder or file that has it; a module that is not on disk is not read: run `terraform init`, or \
             give a plan (`terraform show -json PLANFILE`)",
        ));
    }
    Ok(found)
}

/// That a file with the values of variables cannot be read, where it is named.
fn no_values(path: &str, why: &str, from: &From<'_>) -> Failure {
    let written = from.recipe.and_then(|(recipe, folder)| {
        recipe.var_files.iter().find(|file| folder.join(&file.value).display().to_string() == path)
    });
    match written.and_then(|file| file.place.as_ref()) {
        Some(place) => Failure::new(format!("the var-file {path} {why}")).at(snippet(place, "")),
        None => Failure::new(format!("--var-file {path} {why}")),
    }
}

/// What ECS has. A path that exists goes before it.
fn live(source: &str, from: &From<'_>) -> Result<Option<Sources>, Failure> {
    let Some(live) = LiveSource::parse(source).filter(|_| !Path::new(source).exists()) else { return Ok(None) };
    let live = live.map_err(not_live)?;
    let session = image::session(from.context, from.registry)?;
    runtime()?.block_on(async {
        let region = match from.context.settings.aws_region.clone() {
            Some(region) => Some(region),
            None => session.profile_region().await,
        };
        let Some(region) = region else {
            return Err(Failure::new(format!("nothing says in which region {live} is"))
                .hint("set AWS_REGION, or a region in the profile"));
        };
        let config = session.config(&region).await.map_err(|error| {
            let help = error.advice().map(|advice| advice.to_string());
            Failure::new(error).hint_if(help)
        })?;
        live::read(&config, &live).await.map(Some).map_err(not_live)
    })
}

fn not_live(error: LiveError) -> Failure {
    let help = error.help().map(str::to_owned);
    Failure::new(error).hint_if(help)
}

/// Why a source gave no targets, with the place.
pub fn not_loaded(error: LoadError) -> Failure {
    let help = error.help().map(Cow::into_owned);
    let failure = match error {
        LoadError::Parse { error, text } => {
            let snippet = underlined(&error, &text);
            Failure::new(error.message).at(snippet)
        }
        error => Failure::new(error),
    };
    failure.hint_if(help)
}

/// The place of an error in the text of a source.
pub fn underlined(error: &ParseError, text: &str) -> Snippet {
    Snippet {
        file: error.location.file.to_string(),
        text: text.to_owned(),
        span: error.location.span.clone(),
        label: String::new(),
    }
}

/// A place of a recipe, to be underlined.
pub fn snippet(place: &dockless::image::recipe::place::Place, label: &str) -> Snippet {
    Snippet { file: place.file().into(), text: place.text().into(), span: place.span(), label: label.into() }
}

fn allowed(rule: &str, path: Option<&str>) -> Result<Allow, Failure> {
    let rule = rule.parse::<Rule>().map_err(|error| Failure::new(error.to_string()))?;
    Ok(Allow { rule, path: path.map(Pattern::path) })
}

impl Wanted {
    /// What is asked for of all sources together.
    fn of(sources: Sources, options: &TargetOptions) -> Result<Self, Failure> {
        if sources.definitions.is_empty() {
            return Ok(Self::default());
        }
        let loaded = sources.select(options).map_err(Failure::new)?;
        let (variables, parameters) = (loaded.variables, loaded.parameters);
        let (targets, notes, sources) = (loaded.targets, loaded.notes, loaded.sources);
        Ok(Self { targets, notes, sources, variables, parameters, ..Self::default() })
    }

    /// The names of all files that were read.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(AsRef::as_ref)
    }

    /// What other images of the tasks have, by their references.
    pub fn know_images(&mut self, images: BTreeMap<String, Vec<Platform>>) {
        self.options.images = images;
    }

    /// The source and its text, where all targets come from one.
    pub fn only_document(&self) -> Option<(&str, &str)> {
        let mut sources = self.sources.iter();
        let (name, text) = sources.next()?;
        sources.next().is_none().then_some((name, text))
    }

    /// Says what of the sources was not read.
    pub fn say_notes(&self, context: &Context) {
        for note in &self.notes {
            context.say(format!("{}: {}", note.location, note.message));
        }
    }

    /// The platforms that the targets ask for, each once.
    pub fn platforms(&self) -> Vec<Platform> {
        let mut platforms: Vec<Platform> = Vec::new();
        for target in &self.targets {
            let platform = match (&target.asked, target.definition.operating_system.value()) {
                (Asked::Platform { platform, .. }, _) => platform.clone(),
                // Which architecture that is makes no difference: nothing is built for it.
                (Asked::Undetermined { .. }, Some(os @ OperatingSystem::Windows(_))) => {
                    task_definition::platform(os, CpuArchitecture::X86_64)
                }
                (Asked::Undetermined { .. }, _) => continue,
            };
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        }
        platforms
    }

    /// Where the definition of each target stands.
    pub fn definitions(&self) -> Vec<Location> {
        self.targets.iter().map(|target| target.definition.location.clone()).collect()
    }

    /// What an image must pass, as a release asks it; the verdict is told as it comes.
    pub fn gate<'a>(&'a self, told: &'a (dyn Fn(&Verification) + Sync)) -> flow::Gate<'a> {
        flow::Gate { targets: &self.targets, options: &self.options, strict: self.strict, told }
    }

    /// Judges an image and shows what was found; the answer is whether it may go on.
    pub fn judge(&self, facts: &Facts, context: &Context) -> (Verification, bool) {
        let verification = ship::judge(facts, &self.targets, &self.options);
        self.show(&verification, context);
        let fails = verification.fails(self.strict);
        (verification, !fails)
    }

    /// Shows what was found.
    pub fn show(&self, verification: &Verification, context: &Context) {
        let text = |finding: &Finding| self.sources.get(&finding.location.as_ref()?.file).map(AsRef::as_ref);
        let asked = !self.targets.is_empty();
        let shown: Vec<Shown<'_>> = verification
            .all()
            .filter(|finding| ship::worth_telling(finding, asked || context.output.verbose))
            .map(|finding| Shown { finding, text: text(finding) })
            .collect();
        self.say_notes(context);
        report::show(context, &shown);
        for target in &verification.targets {
            let platform = target.target.platform.as_deref().unwrap_or("its task");
            let source = target.target.architecture_source.as_deref().unwrap_or("no architecture is stated");
            let name = &target.target.id;
            if !context.output.json {
                context.say(summary(name, target.verdict, platform, source));
            }
        }
    }
}
