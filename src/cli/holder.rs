//! Which variable or parameter holds the image of a container, through whatever modules, stacks and functions it goes:
//! the one that brings another image there, whole and with nothing beside it. It is tried, not read off: each name is
//! given an image, and what the containers have then is compared with what they have without it.

use std::collections::BTreeMap;

use dockless::ecs::cloudformation::{Declaration, Refusal};
use dockless::ecs::target::Given;
use dockless::ecs::task_definition::{ContainerDefinition, Stated};
use dockless::oci::digest::Digest;
use dockless::oci::reference::Reference;

use super::args::render::{Format, Render};
use super::args::values::Pair;
use super::args::verify::Selection;
use super::context::Context;
use super::failure::Failure;
use super::gate::{self, Wanted};

/// How many variables are tried.
const VARIABLES: usize = 500;

/// The name of a target, and that of a container of it.
pub type Place = (String, String);

/// A variable or parameter that holds an image.
pub struct Holder {
    /// Its name.
    pub name: String,
    /// All containers whose images change with it.
    pub changes: Vec<Place>,
}

/// What may hold an image.
pub struct Holders<'a> {
    args: &'a Render,
    format: Format,
    context: &'a Context,
    /// The selection, but of all targets: those that are not asked for change as well.
    selection: Selection,
    before: Wanted,
}

impl<'a> Holders<'a> {
    pub fn new(args: &'a Render, format: Format, context: &'a Context) -> Result<Self, Failure> {
        let selection = Selection { targets: Vec::new(), container: None, ..args.selection.clone() };
        let before = gate::targets(std::slice::from_ref(&args.source), &selection, context)?;
        Ok(Self { args, format, context, selection, before })
    }

    /// What a name is of.
    pub fn what(&self) -> &'static str {
        match self.format {
            Format::Terraform => "variable",
            Format::Cloudformation => "parameter",
        }
    }

    /// The variables or parameters that may be given.
    pub fn declared(&self) -> Vec<&str> {
        match self.format {
            Format::Terraform => self.before.variables.iter().map(String::as_str).collect(),
            Format::Cloudformation => self.before.parameters.keys().map(String::as_str).collect(),
        }
    }

    /// Why one of that name does not take an image.
    pub fn refusal(&self, name: &str, image: &Reference) -> Option<Refusal> {
        let stand_in = self.stand_in(image).to_string();
        self.declarations(name).find_map(|declaration| declaration.refuses(&stand_in))
    }

    /// What a value of that name must match, which is not tried.
    pub fn pattern(&self, name: &str) -> Option<&str> {
        self.declarations(name).find_map(|declaration| declaration.pattern.as_deref())
    }

    fn declarations(&self, name: &str) -> impl Iterator<Item = &Declaration> {
        let parameters = (self.format == Format::Cloudformation).then_some(&self.before.parameters);
        parameters.and_then(|parameters| parameters.get(name)).into_iter().flatten()
    }

    /// The reference by digest, as it will be given. Where it is there already it takes another digest, lest each
    /// variable seem to bring it.
    fn stand_in(&self, image: &Reference) -> Reference {
        let there: Vec<&str> = images(&self.before).into_values().flatten().collect();
        let others = ["one", "another"].map(|seed| image.at(Digest::of(seed.as_bytes())));
        let given = image.digest().map(|_| image.clone());
        let fits = |one: &Reference| !there.contains(&one.to_string().as_str());
        given.into_iter().chain(others).find(fits).unwrap_or_else(|| image.clone())
    }

    fn with(&self, name: &str, value: &str) -> Result<Wanted, Failure> {
        let mut selection = self.selection.clone();
        match self.format {
            Format::Terraform => selection.variables.0.given.push(Given::Value(name.into(), value.into())),
            Format::Cloudformation => selection.parameters.push(Pair { key: name.into(), value: value.into() }),
        }
        gate::targets(std::slice::from_ref(&self.args.source), &selection, self.context)
    }

    /// The variable of the root module, or the parameter, whose value is the container's image.
    pub fn of(&self, target: &str, container: &ContainerDefinition, image: &Reference) -> Result<Holder, Failure> {
        let stand_in = self.stand_in(image).to_string();
        let place = (target.to_owned(), container.name.clone());
        let mut names = self.declared();
        // The likeliest first.
        names.sort_by_key(|name| (!name.to_ascii_lowercase().contains("image"), *name));
        let mut more = None;
        for name in names.into_iter().take(VARIABLES) {
            if self.refusal(name, image).is_some() {
                continue;
            }
            // A variable of another type refuses it, and is not the one.
            let Ok(tried) = self.with(name, &stand_in) else { continue };
            let after = images(&tried);
            if after.get(&place).copied().flatten() == Some(stand_in.as_str()) {
                match self.alone(name, &place, &after) {
                    Ok(holder) => return Ok(holder),
                    Err(failure) => more = more.or(Some(failure)),
                }
            }
        }
        Err(more.unwrap_or_else(|| self.refused(&place, container, image)))
    }

    /// What else changes with it; refused is what would leave another container without its image.
    fn alone(&self, name: &str, place: &Place, after: &Images<'_>) -> Result<Holder, Failure> {
        let before = images(&self.before);
        let is_image = |image: &str| image.parse::<Reference>().is_ok();
        let lost = before.iter().find(|(other, image)| {
            image.is_some_and(is_image) && !after.get(*other).copied().flatten().is_some_and(is_image)
        });
        if let Some(((target, other), _)) = lost {
            let (what, container) = (self.what(), &place.1);
            return Err(Failure::new(format!(
                "the image of container {container:?} is not all that {what} {name} holds: container {other:?} of \
                 {target} would be left without its image"
            ))
            .hint(format!("let each container have a {what} of its own")));
        }
        let changes = after.iter().filter(|(other, image)| before.get(*other) != Some(*image));
        Ok(Holder { name: name.to_owned(), changes: changes.map(|(place, _)| place.clone()).collect() })
    }

    /// Why nothing holds the image of a container.
    fn refused(&self, place: &Place, container: &ContainerDefinition, image: &Reference) -> Failure {
        let what = self.what();
        let written = container.image_expression.as_deref();
        if let Some(name) = written.and_then(|written| self.bare(written)) {
            let failure = |why: String| {
                Failure::new(format!(
                    "the image of container {:?} is the value of {what} {name}, which cannot be given it: {why}",
                    container.name
                ))
            };
            if let Some(refusal) = self.refusal(name, image) {
                return failure(refusal.to_string()).hint_if(refusal.help());
            }
            match self.with(name, &self.stand_in(image).to_string()) {
                Err(error) => return failure(error.message()),
                Ok(tried) => {
                    let same = tried.targets.iter().filter(|target| target.definition.id == place.0);
                    let mut containers = same.flat_map(|target| &target.definition.containers);
                    if let Some(Stated::Unresolved { reason, .. }) =
                        containers.find(|other| other.name == container.name).map(|other| &other.image)
                    {
                        return failure(reason.clone())
                            .hint(format!("give it by the name of the {what}: --image {name}=…"));
                    }
                }
            }
        }
        let written = written.or(container.image.value().map(String::as_str)).unwrap_or("not there");
        Failure::new(format!("the image of container {:?} is {written}, not the value of one {what}", container.name))
            .hint(format!(
                "let one {what} hold the whole reference, or name what there is: --image {}=…",
                what.to_uppercase()
            ))
    }

    /// The name, where an expression is nothing but that of one that may be given.
    fn bare(&self, written: &str) -> Option<&str> {
        let name = match self.format {
            Format::Terraform => written.strip_prefix("${var.")?.strip_suffix('}')?,
            Format::Cloudformation => written
                .strip_prefix("!Ref ")
                .or_else(|| written.strip_prefix("{\"Ref\": \"").and_then(|rest| rest.strip_suffix("\"}")))?,
        };
        self.declared().into_iter().find(|declared| *declared == name)
    }
}

/// The images of containers, as far as they are known.
type Images<'w> = BTreeMap<Place, Option<&'w str>>;

fn images(wanted: &Wanted) -> Images<'_> {
    let containers =
        wanted.targets.iter().flat_map(|target| {
            let id = &target.definition.id;
            target.definition.containers.iter().map(move |container| {
                ((id.clone(), container.name.clone()), container.image.value().map(String::as_str))
            })
        });
    containers.collect()
}
