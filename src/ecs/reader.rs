//! From a tree to a task definition. A wrong type is an error that says what was expected, as ECS would refuse it.

mod container;

use super::details::sizes;
use super::error::ParseError;
use super::spelling::{Spelling, nearest, plain};
use super::task_definition::{LaunchType, Location, Notation, Stated, TaskDefinition};
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
                // The provider makes an empty string of it.
                (Data::Null, Spelling::Terraform) => String::new(),
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
}
