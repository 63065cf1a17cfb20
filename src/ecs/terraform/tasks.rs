//! The task definitions of a configuration: its resources, those of its modules, and what services say of them.

use std::collections::BTreeMap;
use std::rc::Rc;

use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, BlockLabel, Structure};

use super::super::error::ParseError;
use super::super::reader;
use super::super::service::within;
use super::super::spelling::{KEYS, Spelling, nearest};
use super::super::task_definition::{Gap as OpenGap, Location, TaskDefinition};
use super::super::value::{Data as Tree, Member, Value};
use super::clusters::{ASSOCIATION, CLUSTER, Declared, PROVIDER};
use super::evaluate::{Evaluator, Fail};
use super::instances::Key;
use super::json::{hidden, many_digits, whole};
use super::module::{Called, Module, Name, Scope};
use super::number::digits;
use super::services::Services;
use super::source::Stands;
use super::value::{Data, Gap, Place, Val};
use crate::ecs::cloudformation::Note;

/// How many task definitions one configuration may have.
const MAX_TASKS: usize = 1000;

/// What runs task definitions.
const SERVICES: &[&str] = &["aws_ecs_service", "aws_ecs_task_set"];

/// The arguments by which a module that is not on disk shows that it makes a task definition.
const TELLING: &[&str] = &["runtime_platform", "container_definitions", "requires_compatibilities", "cpu_architecture"];

impl Evaluator<'_> {
    /// The task definitions of a root module, in the order of the files, with what services say of them.
    pub(super) fn tasks(&self, root: &Rc<Module>) -> Result<Vec<TaskDefinition>, ParseError> {
        let mut found = Vec::new();
        let mut declared = Vec::new();
        self.below(root, &mut found, &mut declared)?;
        let clusters = self.clusters(&declared).map_err(|fail| self.error(fail))?;
        let mut services = Services::default();
        for one in declared.iter().filter(|one| SERVICES.contains(&one.kind())) {
            let placed = |fail: Fail| self.error(Fail { at: fail.at.or(one.stands.place()), ..fail });
            self.service(one, &clusters, &mut services).map_err(placed)?;
        }
        for task in &mut found {
            task.launch_types = within(task.launch_types.clone(), services.of(task));
        }
        Ok(found)
    }

    /// The task definitions below a module, and what says where they run.
    fn below(
        &self,
        module: &Rc<Module>,
        found: &mut Vec<TaskDefinition>,
        declared: &mut Vec<Declared>,
    ) -> Result<(), ParseError> {
        let folder = Rc::clone(&module.folder);
        for stands in &folder.order {
            if found.len() > MAX_TASKS {
                return Err(self.error(Fail::fatal(format!("more than {MAX_TASKS} task definitions"))));
            }
            let placed = |fail: Fail| self.error(Fail { at: fail.at.or(stands.place()), ..fail });
            let labels: Vec<&str> = stands.block.labels.iter().map(BlockLabel::as_str).collect();
            match (stands.block.ident.as_str(), labels.as_slice()) {
                ("resource", ["aws_ecs_task_definition", name]) => {
                    found.extend(self.resource_tasks(module, stands, name, placed)?);
                }
                ("resource", [kind, _])
                    if SERVICES.contains(kind) || [CLUSTER, PROVIDER, ASSOCIATION].contains(kind) =>
                {
                    declared.push(Declared { module: Rc::clone(module), stands: stands.clone() });
                }
                ("module", [name]) => match &*self.called(module, name).map_err(placed)? {
                    Called::Instances(instances) => {
                        for child in instances.all() {
                            self.below(child, found, declared)?;
                        }
                    }
                    Called::Absent(gap) => found.extend(self.absent_tasks(module, stands, name, gap, placed)?),
                },
                _ => {}
            }
        }
        Ok(())
    }

    fn resource_tasks(
        &self,
        module: &Rc<Module>,
        stands: &Stands,
        name: &str,
        placed: impl Fn(Fail) -> ParseError,
    ) -> Result<Vec<TaskDefinition>, ParseError> {
        let scope = Scope { module, file: stands.file, names: None, given: None };
        let instances = self.instances(stands, &scope).map_err(&placed)?;
        let mut tasks = Vec::new();
        for key in instances.all() {
            let address = module.within(&format!("aws_ecs_task_definition.{name}{}", key.suffix()));
            let tree = key.bind(|names| {
                let scope = Scope { module, file: stands.file, names, given: None };
                self.tree(stands, &scope)
            });
            let mut task = reader::definition(&tree.map_err(&placed)?, Spelling::Terraform, &address)?;
            task.id = address;
            tasks.push(task);
        }
        Ok(tasks)
    }

    /// A resource as the tree that all readers share.
    fn tree(&self, stands: &Stands, scope: &Scope<'_>) -> Result<Value, Fail> {
        Self::spelt(stands)?;
        let location = self.heading(stands);
        let mut members = Vec::new();
        let mut add = |key: &str, value: Value| {
            members.push(Member { key: key.into(), key_at: value.at.clone(), value });
        };
        for key in ["family", "requires_compatibilities", "network_mode", "cpu", "memory"] {
            if let Some(expression) = stands.attribute(key) {
                let value = self.settled(expression, scope)?;
                add(key, self.shared(&value, &location, 0)?);
            }
        }
        let containers = match stands.attribute("container_definitions") {
            Some(expression) => {
                let value = self.settled(expression, scope)?;
                self.containers(&value, &location)?
            }
            None => Value::new(Tree::Array(Vec::new()), location.clone()),
        };
        add("container_definitions", containers);
        for key in ["runtime_platform", "ephemeral_storage"] {
            if let Some(block) = self.block(&stands.block, key, scope)? {
                add(key, self.shared(&block, &location, 0)?);
            }
        }
        Ok(Value::new(Tree::Object(members), location))
    }

    /// That nothing that decides the platform is written otherwise than the provider reads it.
    fn spelt(stands: &Stands) -> Result<(), Fail> {
        const DECIDING: &[&str] = &["runtime_platform", "requires_compatibilities", "container_definitions"];
        let wrong = |span: Option<std::ops::Range<usize>>, message: String| {
            let at = span.map(|span| Place { file: stands.file, start: span.start, end: span.end });
            Err(Fail { at, ..Fail::new(message) })
        };
        for structure in &stands.block.body {
            let (key, is_block) = match structure {
                Structure::Attribute(attribute) => (&attribute.key, false),
                Structure::Block(block) => (&block.ident, true),
            };
            let span = hcl_edit::Span::span(key);
            match (key.as_str(), is_block) {
                ("runtime_platform", false) => {
                    let message = "runtime_platform is a block: write runtime_platform { … }, without =";
                    return wrong(span, message.into());
                }
                (key, _) => {
                    if let Some(meant) = nearest(key, DECIDING) {
                        return wrong(
                            span,
                            format!("{key:?} is no argument of a task definition: did you mean {meant}?"),
                        );
                    }
                }
            }
        }
        Ok(())
    }

    /// The containers: JSON in a string, as the resource takes them.
    fn containers(&self, value: &Val, location: &Location) -> Result<Value, Fail> {
        let decoded = match &value.data {
            Data::Text(_) | Data::Holes(_) => match self.decode(value) {
                Ok(decoded) => decoded,
                Err(fail) if fail.fatal => return Err(fail),
                Err(fail) => {
                    let gap = Gap {
                        reason: fail.message,
                        expression: whole(value).expression,
                        at: value.at,
                        of: Rc::default(),
                    };
                    Val::unknown(&Rc::new(gap))
                }
            },
            _ => value.clone(),
        };
        let decoded = Val { how: None, ..decoded };
        self.shared(&decoded, location, 0)
    }

    /// A nested block as an object: written out, or made by `dynamic`.
    fn block(&self, block: &Block, name: &str, scope: &Scope<'_>) -> Result<Option<Val>, Fail> {
        Ok(self.blocks(block, name, scope)?.into_iter().next())
    }

    pub(super) fn blocks(&self, block: &Block, name: &str, scope: &Scope<'_>) -> Result<Vec<Val>, Fail> {
        let mut found = Vec::new();
        for inner in block.body.get_blocks(name) {
            found.push(self.attributes(inner, scope)?);
        }
        let dynamic = block.body.get_blocks("dynamic");
        for inner in dynamic.filter(|inner| inner.labels.first().is_some_and(|label| label.as_str() == name)) {
            let (Some(each), Some(content)) =
                (inner.body.get_attribute("for_each"), inner.body.get_blocks("content").next())
            else {
                continue;
            };
            let collection = self.settled(&each.value, scope)?;
            let iterator = match inner.body.get_attribute("iterator").map(|attribute| &attribute.value) {
                Some(Expression::Variable(iterator)) => iterator.as_str().to_owned(),
                _ => name.to_owned(),
            };
            let pairs = match self.pairs(&collection) {
                Ok(pairs) => pairs,
                Err(Some(gap)) => {
                    found.push(Val::unknown(&gap));
                    continue;
                }
                Err(None) => {
                    let reason = format!("dynamic {name}: expected a list or a map, found {}", collection.kind());
                    let at = Self::place(&each.value, scope.file);
                    let gap = Gap { reason, expression: String::new(), at, of: Rc::default() };
                    found.push(Val::unknown(&Rc::new(gap)));
                    continue;
                }
            };
            for (key, value) in pairs {
                self.spend(1)?;
                let pair = BTreeMap::from([(Rc::from("key"), key), (Rc::from("value"), value)]);
                let name = Name { word: &iterator, value: Val::map(pair), outer: scope.names };
                found.push(self.attributes(content, &scope.with(&name))?);
            }
        }
        Ok(found)
    }

    fn attributes(&self, block: &Block, scope: &Scope<'_>) -> Result<Val, Fail> {
        let mut members = BTreeMap::new();
        for attribute in block.body.attributes() {
            members.insert(Rc::from(attribute.key.as_str()), self.settled(&attribute.value, scope)?);
        }
        let at = hcl_edit::Span::span(block).map(|span| Place { file: scope.file, start: span.start, end: span.end });
        Ok(Val { at, ..Val::map(members) })
    }

    /// What a call of a module that is not on disk tells of the task definitions that it will make, if it makes any:
    /// one for each instance.
    fn absent_tasks(
        &self,
        module: &Rc<Module>,
        stands: &Stands,
        name: &str,
        gap: &Rc<Gap>,
        placed: impl Fn(Fail) -> ParseError,
    ) -> Result<Vec<TaskDefinition>, ParseError> {
        let source = stands.attribute("source").map(|source| self.written(source, stands.file)).unwrap_or_default();
        let ecs = source.contains("ecs") || source.contains("fargate");
        let tells = |key: &&str| stands.attribute(key).is_some();
        // Modules of other things have an architecture as well.
        let of_task = TELLING.iter().any(|key| tells(key) && (ecs || *key != "cpu_architecture"));
        if !of_task && !ecs && !TELLING.iter().any(tells) {
            return Ok(Vec::new());
        }
        let scope = Scope { module, file: stands.file, names: None, given: None };
        let instances = self.instances(stands, &scope).map_err(&placed)?;
        if !of_task && !instances.all().is_empty() {
            let message =
                format!("{name} comes from {source}, which is not on disk: task definitions in it are not read");
            self.left_out.borrow_mut().push(Note { message, location: self.heading(stands) });
        }
        if !of_task {
            return Ok(Vec::new());
        }
        let task = |key: &Key| {
            let address = module.within(&format!("module.{name}{}", key.suffix()));
            key.bind(|names| {
                let scope = Scope { module, file: stands.file, names, given: None };
                self.absent_task(stands, &scope, &address, gap, &placed)
            })
        };
        instances.all().into_iter().map(task).collect()
    }

    fn absent_task(
        &self,
        stands: &Stands,
        scope: &Scope<'_>,
        address: &str,
        gap: &Rc<Gap>,
        placed: impl Fn(Fail) -> ParseError,
    ) -> Result<TaskDefinition, ParseError> {
        let location = self.heading(stands);
        let tree = || -> Result<Value, Fail> {
            let absent = self.shared(&Val::unknown(gap), &location, 0)?;
            let mut members = Vec::new();
            let mut add = |key: &str, value: Value| {
                members.push(Member { key: key.into(), key_at: value.at.clone(), value });
            };
            let argument = |key: &str| {
                let value = stands.attribute(key).map(|expression| self.settled(expression, scope)).transpose();
                value.map(|value| value.filter(|value| !value.is_null()))
            };
            for key in ["family", "requires_compatibilities", "cpu", "memory", "ephemeral_storage"] {
                let value = argument(key)?.map(|value| self.shared(&value, &location, 0)).transpose()?;
                add(key, value.unwrap_or_else(|| absent.clone()));
            }
            let platform = match (argument("runtime_platform")?, argument("cpu_architecture")?) {
                (Some(platform), _) => Some(platform),
                (None, Some(word)) => Some(Val::map(BTreeMap::from([(Rc::from("cpu_architecture"), word)]))),
                (None, None) => None,
            };
            let platform = platform.map(|platform| match platform.data {
                // What the argument leaves out is the module's to say.
                Data::Map(map) => {
                    let mut map = (*map).clone();
                    map.members.retain(|_, member| !member.is_null());
                    for key in ["cpu_architecture", "operating_system_family"] {
                        map.members.entry(key.into()).or_insert_with(|| Val::unknown(gap));
                    }
                    Val { data: Data::Map(Rc::new(map)), ..platform }
                }
                _ => platform,
            });
            let platform = platform.map(|platform| self.shared(&platform, &location, 0)).transpose()?;
            add("runtime_platform", platform.unwrap_or_else(|| absent.clone()));
            let containers = match argument("container_definitions")? {
                Some(value) => match &value.data {
                    Data::Map(map) => Some(Val::list(map.members.iter().filter_map(named).collect())),
                    _ => Some(value),
                },
                None => None,
            };
            let containers = containers.map(|value| self.containers(&value, &location)).transpose()?;
            add("container_definitions", containers.unwrap_or_else(|| absent.clone()));
            Ok(Value::new(Tree::Object(members), location.clone()))
        };
        let mut task = reader::definition(&tree().map_err(placed)?, Spelling::Terraform, address)?;
        task.id = address.into();
        let at = self.locate(gap.at, &location, false);
        task.other_containers.get_or_insert_with(|| OpenGap { reason: gap.reason.clone(), at });
        Ok(task)
    }

    /// The first line of a block.
    pub(super) fn heading(&self, stands: &Stands) -> Location {
        let root = super::source::File::new(&self.root, "".into());
        self.locate(stands.place(), &root.location(0..0), true)
    }

    fn locate(&self, place: Option<Place>, fallback: &Location, first_line: bool) -> Location {
        let files = self.files.borrow();
        let found = place.and_then(|at| Some((files.get(at.file)?, at)));
        found.map_or_else(
            || fallback.clone(),
            |(file, at)| {
                if first_line { file.first_line(at.start..at.end) } else { file.location(at.start..at.end) }
            },
        )
    }

    /// A value as the readers share it.
    fn shared(&self, value: &Val, fallback: &Location, depth: usize) -> Result<Value, Fail> {
        self.spend(1)?;
        if depth > 64 {
            return Err(Fail::fatal("values stand more than 64 deep in one another".into()));
        }
        let collection = matches!(value.data, Data::List(_) | Data::Map(_));
        let at = self.locate(value.at, fallback, collection);
        let unknown = |gap: &Gap| Tree::Unknown { reason: gap.reason.clone(), expression: gap.expression.clone() };
        let data = match &value.data {
            Data::Null => Tree::Null,
            Data::Bool(truth) => Tree::Bool(*truth),
            Data::Number(number) => digits(*number).map_or_else(|| unknown(&many_digits(value)), Tree::Number),
            Data::Text(text) => Tree::String(text.to_string()),
            Data::Holes(_) if value.sensitive => unknown(&hidden(value)),
            Data::Holes(_) => unknown(&whole(value)),
            Data::Rest(gap) | Data::Unknown(gap) => {
                let at = self.locate(gap.at, &at, true);
                return Ok(Value { how: told(value), ..Value::new(unknown(gap), at) });
            }
            Data::Module(_) | Data::Resource(_) => {
                Tree::Unknown { reason: "it is a whole module or resource".into(), expression: String::new() }
            }
            Data::List(items) => {
                let items = items.iter().map(|item| self.shared(&value.part(item), &at, depth + 1));
                Tree::Array(items.collect::<Result<_, _>>()?)
            }
            Data::Map(map) => {
                let member = |(key, member): (&Rc<str>, &Val)| {
                    let member = self.shared(&value.part(member), &at, depth + 1)?;
                    Ok(Member { key: key.to_string(), key_at: member.at.clone(), value: member })
                };
                let mut members = map.members.iter().map(member).collect::<Result<Vec<_>, Fail>>()?;
                if let Some(gap) = &map.rest {
                    let absent = KEYS.iter().filter(|key| !map.members.contains_key(**key));
                    for key in absent {
                        let value = self.shared(&Val::unknown(gap), &at, depth + 1)?;
                        members.push(Member { key: (*key).into(), key_at: at.clone(), value });
                    }
                }
                Tree::Object(members)
            }
        };
        Ok(Value {
            data,
            at,
            how: told(value),
            written: value.written.as_deref().map(Into::into),
            sensitive: value.sensitive,
        })
    }
}

fn told(value: &Val) -> Vec<String> {
    value.steps().iter().map(ToString::to_string).collect()
}

/// A container of a map by names, whose keys are in snake or camel case.
fn named((name, container): (&Rc<str>, &Val)) -> Option<Val> {
    let Data::Map(map) = &container.data else { return None };
    let mut members: BTreeMap<Rc<str>, Val> = BTreeMap::from([(Rc::from("name"), Val::text(Rc::clone(name)))]);
    members.extend(map.members.iter().filter(|(_, member)| !member.is_null()).map(|(key, member)| {
        let mut upper = false;
        let letter = |letter: char| match (letter, std::mem::take(&mut upper)) {
            ('_', _) => {
                upper = true;
                None
            }
            (letter, true) => Some(letter.to_ascii_uppercase()),
            (letter, false) => Some(letter),
        };
        (key.chars().filter_map(letter).collect::<String>().into(), member.clone())
    }));
    Some(Val { at: container.at, ..Val::map(members) })
}
