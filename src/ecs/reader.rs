//! From a tree to a task definition. A wrong type is an error that says what was expected, as ECS would refuse it.

use super::json::ParseError;
use super::node::{Member, Node, Source, Value};
use super::task_definition::{ContainerDefinition, LaunchType, Location, Port, SearchPath, Stated, TaskDefinition};

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

pub(super) fn definition(source: &Source<'_>, root: &Node) -> Read<TaskDefinition> {
    let read = Reader { source };
    read.keys(root, "a task definition", DEFINITION_KEYS)?;
    let Some(containers) = root.get("containerDefinitions") else {
        return Err(read.error(
            root.span.start..root.span.start,
            "this is not a task definition: it has no containerDefinitions",
            "expected the input of register-task-definition, or what describe-task-definition prints",
        ));
    };
    let containers = read
        .array(&containers.value, "an array of container definitions")?
        .iter()
        .map(|node| read.container(node))
        .collect::<Read<Vec<_>>>()?;
    let platform = root.get("runtimePlatform").map(|member| &member.value);
    if let Some(platform) = platform {
        read.keys(platform, "an object with cpuArchitecture and operatingSystemFamily", PLATFORM_KEYS)?;
    }
    let family = read.string(root.get("family"), "the name of the family")?;
    let id = family.value().cloned().unwrap_or_else(|| stem(source));
    Ok(TaskDefinition {
        id,
        family,
        architecture: read.word(platform.and_then(|node| node.get("cpuArchitecture")), "X86_64 or ARM64")?,
        operating_system: read.word(platform.and_then(|node| node.get("operatingSystemFamily")), "LINUX")?,
        launch_types: read.launch_types(root.get("requiresCompatibilities"))?,
        network_mode: read.string(root.get("networkMode"), "a network mode")?,
        containers,
        location: read.heading(root),
    })
}

/// Without a family the file's name stands for it, as in a fragment that a pipeline completes.
fn stem(source: &Source<'_>) -> String {
    let file = source.location(0..0).file;
    let name = file.rsplit(['/', '\\']).next().unwrap_or(&file);
    name.split('.').next().filter(|stem| !stem.is_empty() && *stem != "-").unwrap_or("task-definition").into()
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

struct Reader<'a> {
    source: &'a Source<'a>,
}

impl Reader<'_> {
    fn error(&self, span: std::ops::Range<usize>, message: &str, help: &str) -> ParseError {
        ParseError {
            message: message.into(),
            help: (!help.is_empty()).then(|| help.into()),
            location: self.source.location(span),
        }
    }

    fn expected(&self, node: &Node, expected: &str) -> ParseError {
        match &node.value {
            Value::Tagged(tag) => self.error(
                node.span.clone(),
                &format!("expected {expected}, found the tag {tag}"),
                "tags such as !Ref and !Sub belong to CloudFormation templates, whose reading is not supported yet",
            ),
            _ => self.error(node.span.clone(), &format!("expected {expected}, found {}", node.kind()), ""),
        }
    }

    fn keys(&self, node: &Node, what: &str, known: &[&str]) -> Read<()> {
        let Value::Object(members) = &node.value else { return Err(self.expected(node, what)) };
        let plain = |key: &str| key.replace(['_', '-'], "").to_ascii_lowercase();
        for Member { key, key_span, .. } in members {
            if let Some(meant) = known.iter().find(|meant| *meant != key && plain(meant) == plain(key)) {
                let message = format!("{key:?} is not a key that ECS knows: write {meant}");
                return Err(self.error(key_span.clone(), &message, ""));
            }
        }
        Ok(())
    }

    /// The place of a whole definition: what is underlined is its first line.
    fn heading(&self, node: &Node) -> Location {
        let text = self.source.text.get(node.span.clone()).unwrap_or_default();
        let width = text.lines().next().map_or(0, |line| line.trim_end().len());
        self.source.location(node.span.start..node.span.start + width)
    }

    fn array<'n>(&self, node: &'n Node, what: &str) -> Read<&'n [Node]> {
        match &node.value {
            Value::Array(items) => Ok(items),
            _ => Err(self.expected(node, what)),
        }
    }

    fn text<'n>(&self, node: &'n Node, what: &str) -> Read<&'n str> {
        match &node.value {
            Value::String(text) => Ok(text),
            _ => Err(self.expected(node, what)),
        }
    }

    fn string(&self, member: Option<&Member>, what: &str) -> Read<Stated<String>> {
        let Some(Member { value: node, .. }) = member else { return Ok(Stated::Unset) };
        let text = self.text(node, &format!("a string, {what}"))?;
        Ok(Stated::known(text.into(), self.source.location(node.span.clone())))
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

    fn word<T>(&self, member: Option<&Member>, what: &str) -> Read<Stated<T>>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let Some(Member { key, value: node, .. }) = member else { return Ok(Stated::Unset) };
        let text = self.text(node, &format!("a string, {what}"))?;
        let at = self.source.location(node.span.clone());
        match text.parse() {
            Ok(value) => Ok(Stated::known(value, at)),
            Err(error) => match placeholder(text) {
                Some(reason) => Ok(Stated::Unresolved { reason, at }),
                None => Err(self.error(node.span.clone(), &format!("{key}: {error}"), "")),
            },
        }
    }

    fn launch_types(&self, member: Option<&Member>) -> Read<Stated<Vec<LaunchType>>> {
        let Some(Member { key, value: node, .. }) = member else { return Ok(Stated::Unset) };
        let at = self.source.location(node.span.clone());
        let mut types = Vec::new();
        for item in self.array(node, "an array of launch types, such as [\"FARGATE\"]")? {
            let text = self.text(item, "a string, a launch type")?;
            match (text.parse(), placeholder(text)) {
                (Ok(launch_type), _) => types.push(launch_type),
                (Err(_), Some(reason)) => return Ok(Stated::Unresolved { reason, at }),
                (Err(error), None) => {
                    return Err(self.error(item.span.clone(), &format!("{key}: {error}"), ""));
                }
            }
        }
        Ok(if types.is_empty() { Stated::Unset } else { Stated::known(types, at) })
    }

    /// A command line. An empty one is as good as none: the runtime takes the image's.
    fn words(&self, member: Option<&Member>) -> Read<Stated<Vec<String>>> {
        let Some(Member { key, value: node, .. }) = member else { return Ok(Stated::Unset) };
        let at = self.source.location(node.span.clone());
        if let Value::String(text) = &node.value {
            let message = format!("{key}: expected an array of strings, found a string");
            let help = match text.split_whitespace().collect::<Vec<_>>() {
                words if words.is_empty() || text.contains(['"', '\'', '\\', '$', '|', '&', ';']) => String::new(),
                words => format!("write {words:?}"),
            };
            return Err(self.error(node.span.clone(), &message, &help));
        }
        let words = self
            .array(node, "an array of strings")?
            .iter()
            .map(|item| self.text(item, "a string").map(ToOwned::to_owned))
            .collect::<Read<Vec<_>>>()?;
        let template = words.iter().find(|word| word.contains("{{") && word.contains("}}"));
        Ok(match template.and_then(|word| placeholder(word)) {
            Some(reason) => Stated::Unresolved { reason, at },
            None if words.is_empty() => Stated::Unset,
            None => Stated::known(words, at),
        })
    }

    fn container(&self, node: &Node) -> Read<ContainerDefinition> {
        self.keys(node, "an object, a container definition", CONTAINER_KEYS)?;
        let Some(name) = node.get("name") else {
            return Err(self.error(node.span.start..node.span.start, "this container definition has no name", ""));
        };
        let essential = match node.get("essential").map(|member| &member.value) {
            None => Stated::Unset,
            Some(node) => match node.value {
                Value::Bool(truth) => Stated::known(truth, self.source.location(node.span.clone())),
                _ => return Err(self.expected(node, "true or false")),
            },
        };
        let (environment, path) = self.environment(node)?;
        Ok(ContainerDefinition {
            name: self.text(&name.value, "a string, the container's name")?.into(),
            image: self.string(node.get("image"), "the image's reference")?,
            entry_point: self.words(node.get("entryPoint"))?,
            command: self.words(node.get("command"))?,
            working_directory: self.rendered(node.get("workingDirectory"), "a path")?,
            user: self.rendered(node.get("user"), "a user")?,
            path,
            environment,
            ports: self.ports(node)?,
            essential,
            mounts: self.mounts(node)?,
            volumes_from: match node.get("volumesFrom") {
                Some(member) => !self.array(&member.value, "an array of volumes")?.is_empty(),
                None => false,
            },
            location: self.heading(node),
        })
    }

    /// The names, and the value of `PATH`. No other value is looked at: it may be a secret.
    fn environment(&self, node: &Node) -> Read<(Vec<String>, Stated<SearchPath>)> {
        let mut names = Vec::new();
        let mut path = Stated::Unset;
        for (key, what) in [("environment", "value"), ("secrets", "valueFrom")] {
            let Some(member) = node.get(key) else { continue };
            for pair in self.array(&member.value, "an array of objects with name and value")? {
                if !matches!(pair.value, Value::Object(_)) {
                    return Err(self.expected(pair, &format!("an object with name and {what}")));
                }
                let Some(name) = pair.get("name") else { continue };
                let name = self.text(&name.value, "a string, the variable's name")?;
                if name == "PATH" {
                    path = if key == "secrets" {
                        let at = self.source.location(pair.span.clone());
                        Stated::Unresolved { reason: "PATH comes from a secret".into(), at }
                    } else {
                        self.search_path(pair.get("value"))?
                    };
                }
                names.push(name.to_owned());
            }
        }
        Ok((names, path))
    }

    fn search_path(&self, member: Option<&Member>) -> Read<Stated<SearchPath>> {
        let Some(Member { value: node, .. }) = member else { return Ok(Stated::Unset) };
        let text = self.text(node, "a string, folders joined by colons")?;
        let at = self.source.location(node.span.clone());
        if text.contains("{{") {
            return Ok(Stated::Unresolved { reason: "PATH is a template that is not rendered".into(), at });
        }
        Ok(Stated::known(SearchPath(text.into()), at))
    }

    fn ports(&self, node: &Node) -> Read<Vec<Port>> {
        let Some(member) = node.get("portMappings") else { return Ok(Vec::new()) };
        let mut ports = Vec::new();
        for mapping in self.array(&member.value, "an array of port mappings")? {
            if !matches!(mapping.value, Value::Object(_)) {
                return Err(self.expected(mapping, "an object with containerPort"));
            }
            if let Some(range) = mapping.get("containerPortRange") {
                ports.push(Port::Words(self.text(&range.value, "a string such as 8000-8010")?.into()));
                continue;
            }
            let Some(Member { value: port, .. }) = mapping.get("containerPort") else { continue };
            ports.push(match &port.value {
                Value::Number(text) => match text.parse() {
                    Ok(number) => Port::Number(number),
                    Err(_) => return Err(self.expected(port, "a port from 0 to 65535")),
                },
                Value::String(text) if placeholder(text).is_some() => Port::Words(text.clone()),
                _ => return Err(self.expected(port, "a number, a port")),
            });
        }
        Ok(ports)
    }

    fn mounts(&self, node: &Node) -> Read<Vec<String>> {
        let Some(member) = node.get("mountPoints") else { return Ok(Vec::new()) };
        let mut paths = Vec::new();
        for mount in self.array(&member.value, "an array of mount points")? {
            if let Some(path) = mount.get("containerPath") {
                paths.push(self.text(&path.value, "a string, a path")?.to_owned());
            }
        }
        Ok(paths)
    }
}
