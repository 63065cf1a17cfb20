//! From a tree to a task definition. A wrong type is an error that says what was expected, as ECS would refuse it.

use super::details::{details, sizes};
use super::error::ParseError;
use super::spelling::{Spelling, nearest, plain};
use super::task_definition::{
    ContainerDefinition, Gap, LaunchType, Location, Notation, Port, SearchPath, Stated, TaskDefinition,
};
use super::value::{Data, Member, Value};

type Read<T> = Result<T, ParseError>;

/// The keys that are read here; another key that differs from one of them in case or underscores only is misspelt.
const DEFINITION_KEYS: &[&str] = &[
    "family",
    "containerDefinitions",
    "runtimePlatform",
    "requiresCompatibilities",
    "networkMode",
    "volumes",
    "cpu",
    "memory",
    "taskRoleArn",
    "executionRoleArn",
];
const PLATFORM_KEYS: &[&str] = &["cpuArchitecture", "operatingSystemFamily"];
const CONTAINER_KEYS: &[&str] = &[
    "name",
    "image",
    "entryPoint",
    "command",
    "workingDirectory",
    "environment",
    "secrets",
    "user",
    "portMappings",
    "essential",
    "mountPoints",
    "volumesFrom",
];

/// The task definition that a tree is. Without a family `fallback` is its ID.
pub(super) fn definition(root: &Value, spelling: Spelling, fallback: &str) -> Read<TaskDefinition> {
    let read = Reader { spelling };
    read.keys(root, "a task definition", DEFINITION_KEYS, Spelling::outer)?;
    let Some(containers) = read.outer(root, "containerDefinitions") else {
        let key = spelling.outer("containerDefinitions");
        return Err(error(
            &start(&root.at),
            &format!("this is not a task definition: it has no {key}"),
            "expected the input of register-task-definition, or what describe-task-definition prints",
        ));
    };
    let (containers, other_containers) = read.containers(&containers.value)?;
    let platform = read.outer(root, "runtimePlatform").map(|member| &member.value).and_then(only);
    if let Some(platform) = platform
        && !matches!(platform.data, Data::Unknown { .. })
    {
        let [architecture, os] = [spelling.outer(PLATFORM_KEYS[0]), spelling.outer(PLATFORM_KEYS[1])];
        read.keys(platform, &format!("an object with {architecture} and {os}"), PLATFORM_KEYS, Spelling::outer)?;
        // There are two, so that a part of one's name is enough to tell.
        for Member { key, key_at, .. } in platform.members() {
            let meant = match plain(key) {
                own if PLATFORM_KEYS.iter().any(|known| plain(known) == own) => continue,
                own if own.contains("arch") || own.contains("cpu") => &architecture,
                own if own.starts_with("os") || own.contains("system") => &os,
                _ => continue,
            };
            let message = format!("{key:?} is not a key that ECS knows");
            return Err(error(key_at, &message, &format!("did you mean {meant}?")));
        }
    }
    let family = read.string(read.outer(root, "family"), "the name of the family")?;
    let id = family.value().cloned().unwrap_or_else(|| fallback.into());
    let launch_types = Reader::launch_types(read.outer(root, "requiresCompatibilities"))?;
    Ok(TaskDefinition {
        notation: match spelling {
            Spelling::Camel => Notation::Ecs,
            Spelling::Pascal => Notation::CloudFormation,
            Spelling::Terraform => Notation::Terraform,
        },
        id,
        family,
        architecture: read.platform_word(platform, "cpuArchitecture", "X86_64 or ARM64")?,
        operating_system: read.platform_word(platform, "operatingSystemFamily", "LINUX")?,
        compatibilities: launch_types.value().cloned().unwrap_or_default(),
        launch_types,
        network_mode: read.string(read.outer(root, "networkMode"), "a network mode")?,
        sizes: sizes(root),
        containers,
        other_containers,
        location: root.at.clone(),
    })
}

/// A block of Terraform is a list of one in its plans.
fn only(value: &Value) -> Option<&Value> {
    match &value.data {
        Data::Array(items) if items.len() < 2 => items.first().filter(|item| !matches!(item.data, Data::Null)),
        _ => Some(value),
    }
}

fn start(at: &Location) -> Location {
    Location { span: at.span.start..at.span.start, ..at.clone() }
}

fn error(at: &Location, message: &str, help: &str) -> ParseError {
    ParseError { message: message.into(), help: (!help.is_empty()).then(|| help.into()), location: at.clone() }
}

fn expected(value: &Value, expected: &str) -> ParseError {
    error(&value.at, &format!("expected {expected}, found {}", value.kind()), "")
}

/// Whether a value holds something that a template engine or shell is still to fill in.
fn placeholder(text: &str) -> Option<String> {
    let found = if text.contains("{{") && text.contains("}}") {
        "a template that is not rendered"
    } else if text.contains("${") || text.starts_with('$') {
        "a variable that is not filled in"
    } else if text.starts_with('<') && text.ends_with('>') {
        "a placeholder"
    } else {
        return None;
    };
    Some(format!("{text:?} is {found}"))
}

/// Why a value is not known, if it is not.
fn unknown<T>(value: &Value) -> Option<Stated<T>> {
    match &value.data {
        Data::Unknown { reason, .. } => Some(Stated::Unresolved { reason: reason.clone(), at: value.at.clone() }),
        _ => None,
    }
}

fn known<T>(what: T, value: &Value) -> Stated<T> {
    Stated::Known { value: what, at: value.at.clone(), how: value.how.clone() }
}

fn array<'v>(value: &'v Value, what: &str) -> Read<&'v [Value]> {
    match &value.data {
        Data::Array(items) => Ok(items),
        _ => Err(expected(value, what)),
    }
}

fn text<'v>(value: &'v Value, what: &str) -> Read<&'v str> {
    match &value.data {
        Data::String(text) => Ok(text),
        _ => Err(expected(value, what)),
    }
}

struct Reader {
    spelling: Spelling,
}

impl Reader {
    /// The value of a key, `null` being as good as absent.
    fn outer<'v>(&self, value: &'v Value, key: &str) -> Option<&'v Member> {
        let key = self.spelling.outer(key);
        value.members().iter().find(|member| member.key == key && !matches!(member.value.data, Data::Null))
    }

    /// The same within a container definition.
    fn inner<'v>(&self, value: &'v Value, key: &str) -> Option<&'v Member> {
        let key = self.spelling.inner(key);
        let same = |other: &str| match self.spelling {
            Spelling::Terraform => other.eq_ignore_ascii_case(&key),
            Spelling::Camel | Spelling::Pascal => other == key,
        };
        value.members().iter().find(|member| same(&member.key) && !matches!(member.value.data, Data::Null))
    }

    fn keys(&self, value: &Value, what: &str, known: &[&str], spell: fn(Spelling, &str) -> String) -> Read<()> {
        let Data::Object(members) = &value.data else { return Err(expected(value, what)) };
        for Member { key, key_at, .. } in members {
            let meant = known.iter().find(|meant| plain(meant) == plain(key));
            if let Some(meant) = meant.map(|meant| spell(self.spelling, meant)).filter(|meant| meant != key) {
                let message = format!("{key:?} is not a key that ECS knows: write {meant}");
                return Err(error(key_at, &message, ""));
            }
            if let Some(meant) = nearest(key, known) {
                let message = format!("{key:?} is not a key that ECS knows");
                let help = format!("did you mean {}?", spell(self.spelling, meant));
                return Err(error(key_at, &message, &help));
            }
        }
        Ok(())
    }

    fn string(&self, member: Option<&Member>, what: &str) -> Read<Stated<String>> {
        let Some(Member { value, .. }) = member else { return Ok(Stated::Unset) };
        if let Some(unknown) = unknown(value) {
            return Ok(unknown);
        }
        let found = match (&value.data, self.spelling) {
            // A user is often written as a number.
            (Data::Number(number), Spelling::Pascal | Spelling::Terraform) => number,
            _ => text(value, &format!("a string, {what}"))?,
        };
        if value.sensitive {
            return Ok(Stated::Unresolved { reason: "its value is sensitive".into(), at: value.at.clone() });
        }
        Ok(known(found.to_owned(), value))
    }

    /// A string that decides what runs: one that is still to be rendered is not known.
    fn rendered(&self, member: Option<&Member>, what: &str) -> Read<Stated<String>> {
        Ok(match self.string(member, what)? {
            Stated::Known { value, at, .. } if value.contains("{{") => {
                Stated::Unresolved { reason: placeholder(&value).unwrap_or_default(), at }
            }
            other => other,
        })
    }

    /// A word of the runtime platform. A sensitive one is used, since what it says is seen in what runs, but a wrong
    /// one is not repeated.
    fn platform_word<T>(&self, platform: Option<&Value>, key: &str, what: &str) -> Read<Stated<T>>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let Some(platform) = platform else { return Ok(Stated::Unset) };
        if let Some(unknown) = unknown(platform) {
            return Ok(unknown);
        }
        let Some(Member { key, value, .. }) = self.outer(platform, key) else { return Ok(Stated::Unset) };
        if let Some(unknown) = unknown(value) {
            return Ok(unknown);
        }
        let word = text(value, &format!("a string, {what}"))?;
        // Terraform passes an empty string on as if nothing were said.
        if word.is_empty() && self.spelling == Spelling::Terraform {
            return Ok(Stated::Unset);
        }
        match word.parse() {
            Ok(word) => Ok(known(word, value)),
            // The line on which it stands would show it.
            Err(_) if value.sensitive => Err(error(
                &platform.at,
                &format!("{key}: a sensitive value that ECS does not know: expected {what}"),
                "",
            )),
            Err(wrong) => match placeholder(word) {
                Some(reason) => Ok(Stated::Unresolved { reason, at: value.at.clone() }),
                None if value.how.is_empty() => Err(error(&value.at, &format!("{key}: {wrong}"), "")),
                None => Err(error(&value.at, &format!("{key}: {wrong}"), &format!("it is {}", value.how.join(", ")))),
            },
        }
    }

    fn launch_types(member: Option<&Member>) -> Read<Stated<Vec<LaunchType>>> {
        let Some(Member { key, value, .. }) = member else { return Ok(Stated::Unset) };
        if let Some(unknown) = unknown(value) {
            return Ok(unknown);
        }
        let mut types = Vec::new();
        for item in array(value, "an array of launch types, such as [\"FARGATE\"]")? {
            if let Some(unknown) = unknown(item) {
                return Ok(unknown);
            }
            let word = text(item, "a string, a launch type")?;
            match (word.parse(), placeholder(word)) {
                (Ok(launch_type), _) => types.push(launch_type),
                (Err(_), Some(reason)) => return Ok(Stated::Unresolved { reason, at: value.at.clone() }),
                (Err(wrong), None) => return Err(error(&item.at, &format!("{key}: {wrong}"), "")),
            }
        }
        Ok(if types.is_empty() { Stated::Unset } else { known(types, value) })
    }

    /// A command line. An empty one is as good as none: the runtime takes the image's.
    fn words(&self, member: Option<&Member>) -> Read<Stated<Vec<String>>> {
        let Some(Member { key, value, .. }) = member else { return Ok(Stated::Unset) };
        if let Some(unknown) = unknown(value) {
            return Ok(unknown);
        }
        if let Data::String(line) = &value.data {
            let message = format!("{key}: expected an array of strings, found a string");
            let help = match line.split_whitespace().collect::<Vec<_>>() {
                words if words.is_empty() || line.contains(['"', '\'', '\\', '$', '|', '&', ';']) => String::new(),
                _ if value.sensitive => String::new(),
                words => format!("write {words:?}"),
            };
            return Err(error(&value.at, &message, &help));
        }
        let mut words = Vec::new();
        for item in array(value, "an array of strings")? {
            if let Some(unknown) = unknown(item) {
                return Ok(unknown);
            }
            if item.sensitive || value.sensitive {
                return Ok(Stated::Unresolved { reason: "a word is sensitive".into(), at: value.at.clone() });
            }
            words.push(match (&item.data, self.spelling) {
                (Data::Number(word), Spelling::Pascal) => word.clone(),
                (Data::Bool(truth), Spelling::Pascal) => truth.to_string(),
                _ => text(item, "a string")?.to_owned(),
            });
        }
        let template = words.iter().find(|word| word.contains("{{") && word.contains("}}"));
        Ok(match template.and_then(|word| placeholder(word)) {
            Some(reason) => Stated::Unresolved { reason, at: value.at.clone() },
            None if words.is_empty() => Stated::Unset,
            None => known(words, value),
        })
    }

    /// The containers that are known, and why there may be others.
    fn containers(&self, value: &Value) -> Read<(Vec<ContainerDefinition>, Option<Gap>)> {
        let gap = |value: &Value| match &value.data {
            Data::Unknown { reason, .. } => Some(Gap { reason: reason.clone(), at: value.at.clone() }),
            _ => None,
        };
        if let Some(gap) = gap(value) {
            return Ok((Vec::new(), Some(gap)));
        }
        let (mut containers, mut others) = (Vec::new(), None);
        for item in array(value, "an array of container definitions")? {
            match gap(item) {
                Some(gap) => others = others.or(Some(gap)),
                None => containers.push(self.container(item)?),
            }
        }
        Ok((containers, others))
    }

    fn container(&self, value: &Value) -> Read<ContainerDefinition> {
        match self.spelling {
            Spelling::Terraform if matches!(value.data, Data::Object(_)) => {}
            _ => self.keys(value, "an object, a container definition", CONTAINER_KEYS, Spelling::inner)?,
        }
        let Some(name) = self.inner(value, "name") else {
            return Err(error(&start(&value.at), "this container definition has no name", ""));
        };
        let (environment, path) = self.environment(value)?;
        let image = self.inner(value, "image");
        let (mounts, unknown_mounts) = self.mounts(value)?;
        Ok(ContainerDefinition {
            name: match (&name.value.data, &name.value.written) {
                (Data::Unknown { expression, .. }, _) => expression.clone(),
                (_, written) if name.value.sensitive => written.clone().unwrap_or_else(|| SENSITIVE.into()),
                _ => text(&name.value, "a string, the container's name")?.into(),
            },
            image: self.string(image, "the image's reference")?,
            image_expression: image.and_then(|image| match (&image.value.data, &image.value.written) {
                (Data::Unknown { expression, .. }, _) => Some(expression.clone()),
                (_, written) if image.value.sensitive => Some(written.clone().unwrap_or_else(|| SENSITIVE.into())),
                (_, written) => written.clone(),
            }),
            entry_point: self.words(self.inner(value, "entryPoint"))?,
            command: self.words(self.inner(value, "command"))?,
            working_directory: self.rendered(self.inner(value, "workingDirectory"), "a path")?,
            user: self.rendered(self.inner(value, "user"), "a user")?,
            path,
            environment,
            ports: self.ports(value)?,
            essential: self.truth(self.inner(value, "essential"))?,
            mounts,
            volumes_from: unknown_mounts
                || match self.inner(value, "volumesFrom") {
                    Some(Member { value, .. }) if matches!(value.data, Data::Unknown { .. }) => true,
                    Some(member) => !array(&member.value, "an array of volumes")?.is_empty(),
                    None => false,
                },
            details: details(value),
            location: value.at.clone(),
        })
    }

    fn truth(&self, member: Option<&Member>) -> Read<Stated<bool>> {
        let Some(Member { value, .. }) = member else { return Ok(Stated::Unset) };
        match (&value.data, self.spelling) {
            (Data::Unknown { .. }, _) => Ok(unknown(value).unwrap_or(Stated::Unset)),
            (Data::Bool(truth), _) => Ok(known(*truth, value)),
            (Data::String(word), Spelling::Pascal | Spelling::Terraform)
                if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") =>
            {
                Ok(known(word.eq_ignore_ascii_case("true"), value))
            }
            _ => Err(expected(value, "true or false")),
        }
    }

    /// The names, and the value of `PATH`. No other value is looked at: it may be a secret.
    fn environment(&self, container: &Value) -> Read<(Vec<String>, Stated<SearchPath>)> {
        let mut names = Vec::new();
        let mut path = Stated::Unset;
        // A name that is not known may be PATH; one that is known decides all the same.
        let mut open = None;
        for (key, what) in [("environment", "value"), ("secrets", "valueFrom")] {
            let Some(member) = self.inner(container, key) else { continue };
            if let Some(unknown) = unknown(&member.value) {
                open = Some(unknown);
                continue;
            }
            for pair in array(&member.value, "an array of objects with name and value")? {
                if let Some(unknown) = unknown(pair) {
                    open = Some(unknown);
                    continue;
                }
                if !matches!(pair.data, Data::Object(_)) {
                    let [name, what] = [self.spelling.inner("name"), self.spelling.inner(what)];
                    return Err(expected(pair, &format!("an object with {name} and {what}")));
                }
                let Some(name) = self.inner(pair, "name") else { continue };
                if let Some(unknown) = unknown(&name.value) {
                    open = Some(unknown);
                    continue;
                }
                let name = text(&name.value, "a string, the variable's name")?;
                if name == "PATH" {
                    path = if key == "secrets" {
                        Stated::Unresolved { reason: "PATH comes from a secret".into(), at: pair.at.clone() }
                    } else {
                        search_path(self.inner(pair, "value"))?
                    };
                }
                names.push(name.to_owned());
            }
        }
        Ok((names, if path == Stated::Unset { open.unwrap_or(path) } else { path }))
    }

    fn ports(&self, container: &Value) -> Read<Vec<Port>> {
        let Some(member) = self.inner(container, "portMappings") else { return Ok(Vec::new()) };
        if let Data::Unknown { expression, .. } = &member.value.data {
            return Ok(vec![Port::Words(expression.clone())]);
        }
        let mut ports = Vec::new();
        for mapping in array(&member.value, "an array of port mappings")? {
            if let Data::Unknown { expression, .. } = &mapping.data {
                ports.push(Port::Words(expression.clone()));
                continue;
            }
            if !matches!(mapping.data, Data::Object(_)) {
                let key = self.spelling.inner("containerPort");
                return Err(expected(mapping, &format!("an object with {key}")));
            }
            let range = self.inner(mapping, "containerPortRange");
            let Some(Member { value: port, .. }) = range.or_else(|| self.inner(mapping, "containerPort")) else {
                continue;
            };
            ports.push(match (&port.data, &port.written) {
                (Data::Unknown { expression, .. }, _) => Port::Words(expression.clone()),
                (_, written) if port.sensitive => Port::Words(written.clone().unwrap_or_else(|| SENSITIVE.into())),
                _ if range.is_some() => Port::Words(text(port, "a string such as 8000-8010")?.into()),
                (Data::Number(number), _) => Port::Number(number.parse().map_err(|_| expected(port, PORT))?),
                (Data::String(text), _) if placeholder(text).is_some() => Port::Words(text.clone()),
                (Data::String(number), _) if self.spelling != Spelling::Camel => {
                    Port::Number(number.parse().map_err(|_| expected(port, PORT))?)
                }
                _ => return Err(expected(port, "a number, a port")),
            });
        }
        Ok(ports)
    }

    /// The paths of mount points and of `tmpfs` that are known, and whether there are others.
    fn mounts(&self, container: &Value) -> Read<(Vec<String>, bool)> {
        let is_unknown = |value: &Value| matches!(value.data, Data::Unknown { .. });
        let linux = self.inner(container, "linuxParameters").map(|member| &member.value);
        let tmpfs = linux.and_then(|linux| self.inner(linux, "tmpfs"));
        let (mut paths, mut others) = (Vec::new(), linux.is_some_and(is_unknown));
        for (member, what) in
            [(self.inner(container, "mountPoints"), "an array of mount points"), (tmpfs, "an array of tmpfs mounts")]
        {
            let Some(Member { value, .. }) = member else { continue };
            if is_unknown(value) {
                others = true;
                continue;
            }
            for mount in array(value, what)? {
                match self.inner(mount, "containerPath").map(|path| &path.value) {
                    Some(path) if is_unknown(path) || path.sensitive => others = true,
                    Some(path) => paths.push(text(path, "a string, a path")?.to_owned()),
                    None => others |= is_unknown(mount),
                }
            }
        }
        Ok((paths, others))
    }
}

const PORT: &str = "a port from 0 to 65535";
/// Stands for a value that is not shown, as in what Terraform prints.
const SENSITIVE: &str = "(sensitive value)";

fn search_path(member: Option<&Member>) -> Read<Stated<SearchPath>> {
    let Some(Member { value, .. }) = member else { return Ok(Stated::Unset) };
    if let Some(unknown) = unknown(value) {
        return Ok(unknown);
    }
    let text = text(value, "a string, folders joined by colons")?;
    if text.contains("{{") {
        let reason = "PATH is a template that is not rendered".into();
        return Ok(Stated::Unresolved { reason, at: value.at.clone() });
    }
    Ok(known(SearchPath(text.into()), value))
}
