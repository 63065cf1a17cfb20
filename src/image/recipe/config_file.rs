//! Configuration files: a whole OCI image configuration or its inner `config` object, either partial, as written by
//! hand or by another tool (image-spec config.md).

use crate::image::config::{self, ConfigRecipe, PartialFile};
use crate::oci::sorted;

use super::json::{self, Kind, Node};
use super::nearest::nearest;
use super::place::{Place, RecipeError, Spanned};

/// The fields of a `config` object that a recipe has words for.
const INNER: [&str; 9] =
    ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"];

/// The other fields that are known there (image-spec config.md, moby's `HealthConfig`).
const INNER_EXTRA: [&str; 4] = ["Healthcheck", "Shell", "OnBuild", "ArgsEscaped"];

/// The fields beside `config`.
const OUTER: [&str; 11] = [
    "architecture",
    "author",
    "config",
    "created",
    "history",
    "os",
    "os.features",
    "os.version",
    "rootfs",
    "variant",
    "docker_version",
];

/// Reads a configuration file.
///
/// Architecture, os, variant, rootfs, created and history are the build's own and are ignored here. Null, and an empty
/// text or map, say nothing; an empty array of `Entrypoint` or `Cmd` says that there is none.
///
/// # Errors
/// Where the text is no JSON, or a value is not of the type that the specification gives it, with the place.
pub fn parse_config_file(file: &str, text: &str) -> Result<PartialFile, RecipeError> {
    let node = json::parse(file, text)?;
    let Kind::Object(fields) = &node.kind else {
        let error = mismatch(&node, "the configuration", "an object");
        return Err(match node.kind {
            Kind::Array(_) => {
                error.help("`docker inspect` prints an array: take what it prints with --format '{{json .Config}}'")
            }
            _ => error,
        });
    };
    let mut partial = PartialFile::default();
    if let Some((_, place, _)) = fields.iter().find(|(key, ..)| key == "Config") {
        return Err(RecipeError::at(place.clone(), "`Config` is Docker's own form, not an image configuration")
            .help("take what `docker inspect` prints with --format '{{json .Config}}'"));
    }
    // Only a whole document has names in lower case; one that has neither is an inner object with fields of its own.
    if !fields.iter().any(|(key, ..)| OUTER.contains(&key.as_str())) {
        inner(&node, &mut partial)?;
        return Ok(partial);
    }
    for (key, place, value) in fields {
        match key.as_str() {
            "config" => match &value.kind {
                Kind::Null => {}
                _ => inner(value, &mut partial)?,
            },
            "architecture" => {
                let text = string(value, key)?;
                partial.architecture = text.map(|text| Spanned::at(value.place.clone(), text));
            }
            "author" => partial.author = string(value, key)?,
            "created" | "history" | "os" | "os.features" | "os.version" | "rootfs" | "variant" => {}
            _ => {
                if let Some(meant) = respelled(key, &INNER) {
                    return Err(RecipeError::at(place.clone(), format!("`{key}` stands beside `config`")).help(
                        format!("in a whole image configuration it belongs inside the `config` object, as `{meant}`"),
                    ));
                }
                if let Some(meant) = respelled(key, &OUTER) {
                    return Err(misspelled(key, place, meant));
                }
                partial.extra.insert(key.clone(), sorted(value.value()));
            }
        }
    }
    Ok(partial)
}

fn inner(node: &Node, partial: &mut PartialFile) -> Result<(), RecipeError> {
    let Kind::Object(fields) = &node.kind else { return Err(mismatch(node, "`config`", "an object")) };
    for (key, place, value) in fields {
        if field(key, value, &mut partial.config)? {
            continue;
        }
        if INNER_EXTRA.contains(&key.as_str()) {
            if !matches!(value.kind, Kind::Null) {
                partial.config_extra.insert(key.clone(), sorted(value.value()));
            }
            continue;
        }
        let known: Vec<&str> = INNER.iter().chain(&INNER_EXTRA).copied().collect();
        if let Some(meant) = respelled(key, &known) {
            return Err(misspelled(key, place, meant));
        }
        // A key in lower case is no field of anyone's: it is a slip that would be ignored when the container starts.
        if let (true, Some(meant)) = (key.starts_with(|one: char| one.is_ascii_lowercase()), nearest(key, &known)) {
            return Err(misspelled(key, place, meant));
        }
        partial.config_extra.insert(key.clone(), sorted(value.value()));
    }
    Ok(())
}

/// Reads a field that a recipe has a word for; false for another one.
fn field(key: &str, value: &Node, config: &mut ConfigRecipe) -> Result<bool, RecipeError> {
    match key {
        "User" => config.user = checked(value, key, config::parse_user)?,
        "WorkingDir" => config.working_dir = checked(value, key, config::parse_absolute)?,
        "StopSignal" => config.stop_signal = checked(value, key, config::parse_signal)?,
        "Entrypoint" => config.entrypoint = words(value, key)?,
        "Cmd" => config.cmd = words(value, key)?,
        "Env" => {
            for item in items(value, key)?.unwrap_or_default() {
                let text = string_of(item, key)?;
                config.env.push(config::parse_pair(&text).map_err(|error| error.or_at(Some(item.place.clone())))?);
            }
        }
        "ExposedPorts" | "Volumes" => {
            let (parse, names): (fn(&str) -> _, _) = match key {
                "Volumes" => (config::parse_absolute, &mut config.volumes),
                _ => (config::parse_port, &mut config.exposed_ports),
            };
            let example = if key == "Volumes" { "{\"/data\": {}}" } else { "{\"8000/tcp\": {}}" };
            match &value.kind {
                Kind::Null => {}
                Kind::Object(fields) => {
                    for (name, place, _) in fields {
                        names.insert(parse(name).map_err(|error| error.or_at(Some(place.clone())))?);
                    }
                }
                _ => {
                    let name = format!("`{key}`");
                    return Err(mismatch(value, &name, "an object").help(format!("write \"{key}\": {example}")));
                }
            }
        }
        "Labels" => match &value.kind {
            Kind::Null => {}
            Kind::Object(fields) => {
                for (name, _, value) in fields {
                    config.labels.insert(name.clone(), string_of(value, name)?);
                }
            }
            _ => return Err(mismatch(value, "`Labels`", "an object of strings")),
        },
        _ => return Ok(false),
    }
    Ok(true)
}

fn checked(
    value: &Node,
    key: &str,
    parse: impl Fn(&str) -> Result<String, RecipeError>,
) -> Result<Option<String>, RecipeError> {
    let Some(text) = string(value, key)? else { return Ok(None) };
    parse(&text).map(Some).map_err(|error| error.or_at(Some(value.place.clone())))
}

/// A string that is not empty, or nothing.
fn string(value: &Node, key: &str) -> Result<Option<String>, RecipeError> {
    match &value.kind {
        Kind::Null => Ok(None),
        _ => string_of(value, key).map(|text| Some(text).filter(|text| !text.is_empty())),
    }
}

fn string_of(value: &Node, key: &str) -> Result<String, RecipeError> {
    match &value.kind {
        Kind::String(text) => Ok(text.clone()),
        Kind::Other => {
            Err(mismatch(value, &format!("`{key}`"), "a string")
                .help(format!("quote it: \"{}\"", value.place.excerpt())))
        }
        _ => Err(mismatch(value, &format!("`{key}`"), "a string")),
    }
}

fn items<'n>(value: &'n Node, key: &str) -> Result<Option<&'n [Node]>, RecipeError> {
    match &value.kind {
        Kind::Null => Ok(None),
        Kind::Array(items) => Ok(Some(items)),
        Kind::String(text) => {
            let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
            Err(mismatch(value, &format!("`{key}`"), "an array of strings")
                .help(format!("write \"{key}\": [{}]", words.join(", "))))
        }
        _ => Err(mismatch(value, &format!("`{key}`"), "an array of strings")),
    }
}

fn words(value: &Node, key: &str) -> Result<Option<Vec<String>>, RecipeError> {
    items(value, key)?.map(|items| items.iter().map(|item| string_of(item, key)).collect()).transpose()
}

fn mismatch(node: &Node, what: &str, expected: &str) -> RecipeError {
    let found = node.kind_name();
    RecipeError::at(node.place.clone(), format!("{what} must be {expected}, not {found}")).label(found)
}

/// The key that is written with other capitals, hyphens or underscores.
fn respelled<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    known.iter().find(|known| plain(known) == plain(key)).copied()
}

fn misspelled(key: &str, place: &Place, meant: &str) -> RecipeError {
    RecipeError::at(place.clone(), format!("`{key}` is not a field of an image configuration"))
        .help(format!("did you mean `{meant}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> PartialFile {
        parse_config_file("config.json", text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn error(text: &str) -> String {
        let error = parse_config_file("config.json", text).expect_err(text);
        match &error.help {
            Some(help) => format!("{error}; {help}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn a_whole_configuration_and_its_inner_object_say_the_same() {
        let inner = r#"{"User": "1000", "Env": ["A=1=2", "B="], "Entrypoint": ["/app"], "Cmd": [], "ExposedPorts": {"80": {}},
            "Volumes": {"/data": {}}, "WorkingDir": "", "Labels": {"a": "b"}, "StopSignal": "SIGINT", "Shell": ["sh"]}"#;
        let whole = format!(
            r#"{{"architecture": "amd64", "os": "linux", "author": "me", "rootfs": {{}}, "history": null, "config": {inner}, "x": {{"b": 1, "a": 2}}}}"#
        );
        let (inner, whole) = (read(inner), read(&whole));
        assert_eq!(inner.config, whole.config);
        assert_eq!(inner.config.env, [("A".into(), "1=2".into()), ("B".into(), String::new())]);
        assert_eq!(inner.config.cmd, Some(Vec::new()));
        assert_eq!(inner.config.working_dir, None);
        assert!(inner.config.exposed_ports.contains("80/tcp"));
        assert_eq!(whole.config_extra.keys().collect::<Vec<_>>(), ["Shell"]);
        assert_eq!(whole.architecture.map(|text| text.value).as_deref(), Some("amd64"));
        assert_eq!((inner.author, whole.author.as_deref()), (None, Some("me")));
        assert_eq!(whole.extra["x"].to_string(), r#"{"a":2,"b":1}"#);
        assert_eq!(read("{}"), PartialFile::default());
        assert_eq!(read(r#"{"config": null, "Hostname": ""}"#).extra.len(), 1);
    }

    #[test]
    fn repairs_what_is_nearly_right() {
        for (text, wanted) in [
            (
                "{\n  \"entrypoint\": [\"/app\"]\n}",
                "config.json:2:3: `entrypoint` is not a field of an image configuration; did you mean `Entrypoint`?",
            ),
            (
                r#"{"config": {"Working_Dir": "/"}}"#,
                "config.json:1:13: `Working_Dir` is not a field of an image configuration; did you mean `WorkingDir`?",
            ),
            (
                r#"{"Entrypoint": "/app --x"}"#,
                "config.json:1:16: `Entrypoint` must be an array of strings, not a string; write \"Entrypoint\": [\"/app\", \"--x\"]",
            ),
            (
                r#"{"config": {}, "entrypoint": []}"#,
                "config.json:1:16: `entrypoint` stands beside `config`; in a whole image configuration it belongs inside the `config` object, as `Entrypoint`",
            ),
            (
                r#"{"ExposedPorts": ["80"]}"#,
                "config.json:1:18: `ExposedPorts` must be an object, not an array; write \"ExposedPorts\": {\"8000/tcp\": {}}",
            ),
            (r#"{"Env": ["A"]}"#, "config.json:1:10: \"A\" has no value; write A=VALUE"),
            (r#"{"Labels": {"a": 1}}"#, "config.json:1:18: `a` must be a string, not a number; quote it: \"1\""),
            (r#"{"WorkingDir": "app"}"#, "config.json:1:16: \"app\" is not an absolute path; write /app"),
            ("{\"User\": \"a\"", "config.json:1:12: not JSON: EOF while parsing an object"),
        ] {
            assert_eq!(error(text), wanted);
        }
        assert!(error("[{}]").contains("--format '{{json .Config}}'"));
        assert!(error(r#"{"Id": "x", "Config": {}}"#).contains("--format '{{json .Config}}'"));
    }
}
