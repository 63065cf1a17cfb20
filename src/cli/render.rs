//! `render`: a task definition with the image put in by digest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use dockless::ecs::cloudformation;
use dockless::ecs::edit::{EditError, Edited, NewImage, with_images};
use dockless::ecs::live::LiveSource;
use dockless::ecs::load;
use dockless::ecs::task_definition::ContainerDefinition;
use dockless::oci::reference::Reference;
use dockless::registry::pull::resolve;
use serde_json::{Value, json};

use super::args::render::{Format, Render};
use super::args::values::Pair;
use super::context::Context;
use super::failure::Failure;
use super::gate::{self, Wanted, not_loaded, underlined};
use super::holder::Holders;
use super::report::files;
use super::report::place::{self, Input, Kind, Written};
use super::{image, inputs, report};

/// Runs `dockless render`.
pub fn run(args: &Render, context: &Context) -> Result<ExitCode, Failure> {
    let wanted = wanted(args, context).inspect_err(|_| forget(args))?;
    let rendered = match args.format {
        None => {
            if let Some(flag) = gate::first_of(&args.selection) {
                return Err(Failure::new(format!("{flag} is for --for: a document is rendered as it stands"))
                    .hint("the container is named by --image CONTAINER=REFERENCE"));
            }
            let text = document(&args.source, context)?;
            // Whatever is wrong with the document is told before a registry is asked.
            edited(&args.source, &text, &as_written(args)?)?;
            task_definition(&args.source, &text, &by_digest(args, context)?, context)?
        }
        Some(format) => {
            let named = values(args, format, &wanted, context)?;
            named.document(format, &by_digest(args, context)?)?
        }
    };
    files::write(&args.output, rendered.as_bytes())?;
    if !report::is_stdout(&args.output) {
        report::task_definition(context, &args.output)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The targets whose variables or parameters are given images, once the file is in nobody's way. A document is read by
/// itself.
fn wanted(args: &Render, context: &Context) -> Result<Wanted, Failure> {
    files::check("--output", Some(&args.output))?;
    inputs::keep_apart(&written(args), &read(args), || match args.format {
        None => Ok(Wanted::default()),
        Some(_) => gate::targets(std::slice::from_ref(&args.source), &args.selection, context),
    })
}

/// What is written: a document, which may be rendered where it stands, or values.
fn written(args: &Render) -> [Written<'_>; 1] {
    let kind = if args.format.is_none() { Kind::TaskDefinition } else { Kind::Values };
    let over = args.format.is_none().then(|| args.source.clone().into());
    [Written::new(kind, "--output", Some(&args.output)).over(over)]
}

fn read(args: &Render) -> Vec<Input> {
    let read = [inputs::of_selection(&args.selection), inputs::of_registry(&args.registry)].concat();
    // A document is read by itself.
    let whole = |given| if args.format.is_none() { Input::new("the task definition", &args.source) } else { given };
    let source = inputs::task_definition(&args.source).map(whole);
    source.into_iter().chain(read).collect()
}

/// Removes what an earlier run wrote, as far as it is known what is read.
pub fn forget(args: &Render) {
    place::forget(&written(args), &read(args));
}

/// The references as they were given.
fn references(args: &Render) -> Result<Vec<(&str, Reference)>, Failure> {
    let parse = |Pair { key, value }: &'_ Pair| -> Result<Reference, Failure> {
        value.parse().map_err(|error| Failure::new(error).during(format!("--image {key}={value} names no image")))
    };
    args.images.iter().map(|pair| Ok((pair.key.as_str(), parse(pair)?))).collect()
}

/// The images as they were given.
fn as_written(args: &Render) -> Result<Vec<NewImage>, Failure> {
    let new = |(container, reference): (&str, Reference)| NewImage {
        container: container.into(),
        reference: reference.to_string(),
    };
    Ok(references(args)?.into_iter().map(new).collect())
}

/// The images with their digests: those that have none are asked for at their registries.
fn by_digest(args: &Render, context: &Context) -> Result<Vec<NewImage>, Failure> {
    let mut network = None;
    let mut images = Vec::new();
    for (container, reference) in references(args)? {
        let reference = if reference.digest().is_some() {
            reference
        } else {
            if network.is_none() {
                network = Some(image::network(context, &args.registry)?);
            }
            let Some(network) = &network else { continue };
            let (top, _) = network.runtime.block_on(resolve(&network.client, &reference)).map_err(image::refused)?;
            reference.at(top.digest)
        };
        images.push(NewImage { container: container.into(), reference: reference.to_string() });
    }
    Ok(images)
}

/// The text of a source. What ECS has is not written: its values of `environment` are not kept.
fn document(source: &str, context: &Context) -> Result<String, Failure> {
    if LiveSource::parse(source).is_some() && !Path::new(source).exists() {
        let name = source.split_once(':').map_or(source, |(_, name)| name);
        return Err(Failure::new(format!("{source} is at ECS, and only the AWS CLI prints it whole"))
            .hint(format!("aws ecs describe-task-definition --task-definition {name} | dockless render - …")));
    }
    if Path::new(source).is_dir()
        && let Some(failure) = generated(source, "")
    {
        return Err(failure);
    }
    let input = (source == "-").then(|| context.standard_input()).transpose()?;
    load::text(source, input).map_err(not_loaded)
}

/// The task definition that a build is for, and its containers that take the image. To be asked before the build: what
/// cannot be rendered shall not be pushed.
pub fn planned<'a>(wanted: &'a Wanted, reference: &Reference) -> Result<Planned<'a>, Failure> {
    let (source, text) = wanted.only_document().ok_or_else(|| {
        Failure::new("--render needs one task definition in JSON or YAML")
            .hint("name it with --task-definition; for Terraform and CloudFormation there is `dockless render --for`")
    })?;
    let targets = || wanted.targets.iter();
    let all: Vec<&ContainerDefinition> = targets().flat_map(|target| &target.definition.containers).collect();
    let chosen = targets().find_map(|target| target.container.as_deref());
    let is_ours = |container: &&&ContainerDefinition| {
        let stated = container.image.value().and_then(|image| image.parse::<Reference>().ok());
        stated.is_some_and(|stated| stated.name() == reference.name())
    };
    let names: Vec<String> = match (chosen, all.as_slice()) {
        (Some(name), _) => vec![name.to_owned()],
        (None, [only]) => vec![only.name.clone()],
        (None, several) => several.iter().filter(is_ours).map(|container| container.name.clone()).collect(),
    };
    if names.is_empty() {
        let present: Vec<&str> = all.iter().map(|container| container.name.as_str()).collect();
        return Err(Failure::new(format!("no container of {source} has an image of {}", reference.name()))
            .hint(format!("say which it is with --container: {}", present.join(", "))));
    }
    let planned = Planned { source, text, names };
    // As it will be, but for the digest.
    edited(planned.source, planned.text, &planned.images(reference))?;
    Ok(planned)
}

/// Where an image goes when it is pushed.
pub struct Planned<'a> {
    source: &'a str,
    text: &'a str,
    names: Vec<String>,
}

impl Planned<'_> {
    fn images(&self, reference: &Reference) -> Vec<NewImage> {
        let image = |container: &String| NewImage { container: container.clone(), reference: reference.to_string() };
        self.names.iter().map(image).collect()
    }

    /// Writes the task definition with what was pushed.
    pub fn write(&self, path: &Path, reference: &Reference, context: &Context) -> Result<(), Failure> {
        let text = task_definition(self.source, self.text, &self.images(reference), context)?;
        files::write(path, text.as_bytes())
    }
}

/// A task definition with other images.
fn task_definition(source: &str, text: &str, images: &[NewImage], context: &Context) -> Result<String, Failure> {
    let edited = edited(source, text, images)?;
    if !edited.dropped.is_empty() {
        context.say(format!("left out what only a reply has: {}", edited.dropped.join(", ")));
    }
    if edited.tags_beside {
        context.say("the tags beside the task definition are not part of it: give them to register-task-definition");
    }
    Ok(edited.text)
}

/// Why a source has no text of a task definition to change.
fn generated(source: &str, text: &str) -> Option<Failure> {
    let path = Path::new(source);
    let (what, format) = if path.is_dir() || path.extension().is_some_and(|ending| ending == "tf") {
        ("Terraform", "terraform")
    } else if cloudformation::is_template(source, text) {
        ("CloudFormation", "cloudformation")
    } else {
        return None;
    };
    Some(
        Failure::new(format!("{source} is {what}: an image is put in by a value that it is given"))
            .hint(format!("`dockless render {source} --for {format} --image CONTAINER=REFERENCE` prints the value")),
    )
}

fn edited(source: &str, text: &str, images: &[NewImage]) -> Result<Edited, Failure> {
    if let Some(failure) = generated(source, text) {
        return Err(failure);
    }
    with_images(source, text, images).map_err(|error| match error {
        EditError::Parse(error) => {
            let snippet = underlined(&error, text);
            let help = error.help.clone();
            Failure::new(error.message).at(snippet).hint_if(help)
        }
        error => Failure::new(error),
    })
}

/// The values of the variables or parameters that hold the images.
fn values(args: &Render, format: Format, wanted: &Wanted, context: &Context) -> Result<Named, Failure> {
    let holders = Holders::new(args, format, context)?;
    let what = holders.what();
    let mut named = Named { what, values: Vec::new() };
    let (mut asked, mut changes) = (BTreeSet::new(), BTreeMap::new());
    for (number, (key, reference)) in references(args)?.into_iter().enumerate() {
        let places = wanted.targets.iter().flat_map(|target| {
            let containers = target.definition.containers.iter().filter(|one| one.name == key);
            containers.map(|container| (target.definition.id.as_str(), container))
        });
        let places: Vec<_> = places.collect();
        if places.is_empty() {
            // Not a container's name: that of a variable or parameter itself.
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if !key.chars().all(fits) || key.is_empty() {
                return Err(Failure::new(format!("there is no container {key:?}")));
            }
            let known = holders.declared();
            if !known.is_empty() && !known.contains(&key) {
                return Err(Failure::new(format!("there is neither a container nor a {what} {key:?}"))
                    .hint(format!("declared are {}", known.join(", "))));
            }
            if let Some(refusal) = holders.refusal(key, &reference) {
                let help = refusal.help();
                return Err(Failure::new(format!("{what} {key} cannot be given an image: {refusal}")).hint_if(help));
            }
            named.put(key.to_owned(), number, &reference.to_string())?;
            continue;
        }
        for (target, container) in places {
            let holder = holders.of(target, container, &reference)?;
            named.put(holder.name.clone(), number, &reference.to_string())?;
            asked.insert((target.to_owned(), container.name.clone()));
            changes.insert(holder.name, holder.changes);
        }
    }
    for (name, places) in changes {
        let others = places.iter().filter(|place| !asked.contains(*place));
        let others: Vec<String> = others.map(|(target, container)| format!("{container:?} of {target}")).collect();
        if !others.is_empty() {
            context.say(format!("{what} {name} also changes the image of container {}", others.join(", ")));
        }
    }
    for (name, ..) in &named.values {
        if let Some(pattern) = holders.pattern(name) {
            context.say(format!(
                "what {what} {name} takes also hangs on its AllowedPattern, which is not tried: {pattern}"
            ));
        }
    }
    Ok(named)
}

/// The variables or parameters that are given images.
struct Named {
    what: &'static str,
    /// The name, which of the images it is given, and that as it was written.
    values: Vec<(String, usize, String)>,
}

impl Named {
    fn put(&mut self, name: String, image: usize, reference: &str) -> Result<(), Failure> {
        match self.values.iter().find(|(known, ..)| *known == name) {
            Some((.., known)) if *known != reference => {
                let what = self.what;
                Err(Failure::new(format!("{what} {name} is given two images: {known} and {reference}"))
                    .hint(format!("let each container have a {what} of its own, or give both the same image")))
            }
            Some(_) => Ok(()),
            None => {
                self.values.push((name, image, reference.to_owned()));
                Ok(())
            }
        }
    }

    /// The values as a tool takes them; the images are those that were written, by digest.
    fn document(self, format: Format, images: &[NewImage]) -> Result<String, Failure> {
        let pairs = self.values.into_iter();
        let pairs = pairs.filter_map(|(name, image, _)| Some((name, images.get(image)?.reference.as_str())));
        let document = match format {
            Format::Terraform => Value::Object(pairs.map(|(name, reference)| (name, Value::from(reference))).collect()),
            Format::Cloudformation => {
                pairs.map(|(name, reference)| json!({ "ParameterKey": name, "ParameterValue": reference })).collect()
            }
        };
        files::json(&document)
    }
}
