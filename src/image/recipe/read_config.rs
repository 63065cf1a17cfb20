//! From the text of a recipe to its values: the tables `[config]` and `[verify]`.

use toml::de::DeValue;

use super::nearest::nearest;
use super::place::{RecipeError, Spanned};
use super::table::{CONFIG, Reader, VERIFY, Value, unknown};
use super::{Allow, VerifyRecipe};
use crate::image::config::{self, ConfigRecipe};

/// Reads `[config]`.
pub(super) fn config(reader: &Reader, value: &Value<'_>) -> Result<ConfigRecipe, RecipeError> {
    let mut config = ConfigRecipe::default();
    for (key, value) in reader.table("config", value, "[config] and its keys below it")? {
        match key.name {
            "from" => config.from = Some(reader.template("from", value)?),
            "entrypoint" => config.entrypoint = Some(command(reader, "entrypoint", value)?),
            "cmd" => config.cmd = Some(command(reader, "cmd", value)?),
            "env" => config.env = named_strings(reader, "env", value)?,
            "labels" => config.labels = named_strings(reader, "labels", value)?.into_iter().collect(),
            "working-dir" => config.working_dir = Some(checked(reader, key.name, value, config::parse_absolute)?),
            "user" => config.user = Some(checked(reader, key.name, value, config::parse_user)?),
            "stop-signal" => config.stop_signal = Some(checked(reader, key.name, value, config::parse_signal)?),
            "exposed-ports" => {
                for item in reader.array("exposed-ports", value)? {
                    config.exposed_ports.insert(port(reader, item)?);
                }
            }
            "volumes" => {
                for item in reader.strings("volumes", value)? {
                    let volume = config::parse_absolute(&item.value).map_err(|error| error.or_at(item.place))?;
                    config.volumes.insert(volume);
                }
            }
            _ => return Err(unknown(&key, "[config]", &CONFIG)),
        }
    }
    Ok(config)
}

fn checked(
    reader: &Reader,
    name: &str,
    value: &Value<'_>,
    parse: impl Fn(&str) -> Result<String, RecipeError>,
) -> Result<String, RecipeError> {
    let text = reader.spanned_string(name, value)?;
    parse(&text.value).map_err(|error| error.or_at(text.place))
}

fn command(reader: &Reader, name: &str, value: &Value<'_>) -> Result<Vec<String>, RecipeError> {
    if let DeValue::String(text) = value.get_ref() {
        let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
        return Err(reader
            .mismatch(name, value, "an array of strings")
            .help(format!("no shell splits it: write {name} = [{}]", words.join(", "))));
    }
    Ok(reader.strings(name, value)?.into_iter().map(|word| word.value).collect())
}

fn port(reader: &Reader, value: &Value<'_>) -> Result<String, RecipeError> {
    let place = reader.value_place(value);
    let text = match value.get_ref() {
        DeValue::String(text) => text.as_ref(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        _ => return Err(reader.mismatch("exposed-ports", value, "an array of ports").help("write \"8000/tcp\"")),
    };
    config::parse_port(text).map_err(|error| error.or_at(Some(place)))
}

/// A table of strings in the order of the text.
pub(super) fn named_strings(
    reader: &Reader,
    name: &str,
    value: &Value<'_>,
) -> Result<Vec<(String, String)>, RecipeError> {
    if let DeValue::Array(_) = value.get_ref() {
        return Err(reader.mismatch(name, value, "a table").help(format!("write {name} = {{ NAME = \"VALUE\" }}")));
    }
    reader
        .table(name, value, &format!("{name} = {{ NAME = \"VALUE\" }}"))?
        .into_iter()
        .map(|(key, value)| {
            config::check_name(key.name).map_err(|error| error.or_at(Some(key.place.clone())))?;
            let text = match value.get_ref() {
                // A dotted name without quotes is a table to TOML.
                DeValue::Table(_) => {
                    return Err(RecipeError::at(
                        key.place,
                        format!("`{}` in `{name}` must be a string, not a table", key.name),
                    )
                    .help("quote a name that has dots: \"org.opencontainers.image.source\" = \"…\""));
                }
                _ => reader.string_of(&format!("`{}` in `{name}`", key.name), value)?,
            };
            if text.contains('\0') {
                return Err(RecipeError::at(reader.value_place(value), format!("`{}` holds a NUL", key.name)));
            }
            Ok((key.name.to_owned(), text.to_owned()))
        })
        .collect()
}

/// Reads `[verify]`.
pub(super) fn verify(reader: &Reader, value: &Value<'_>) -> Result<VerifyRecipe, RecipeError> {
    let mut verify = VerifyRecipe::default();
    for (key, value) in reader.table("verify", value, "[verify] and its keys below it")? {
        let name = key.name;
        match name {
            "task-definition" => verify.task_definitions = reader.one_or_more(name, value)?,
            "target" => verify.targets = reader.one_or_more(name, value)?,
            "container" => verify.container = Some(reader.spanned_string(name, value)?),
            "var" => verify.vars = assignments(reader, name, value)?,
            "var-file" => verify.var_files = reader.one_or_more(name, value)?,
            "parameter" => verify.parameters = assignments(reader, name, value)?,
            "launch-type" => {
                let known = ["fargate", "ec2", "external", "managed-instances"];
                verify.launch_type = Some(one_of(reader, name, value, &known)?);
            }
            "architecture" => verify.architecture = Some(one_of(reader, name, value, &["X86_64", "ARM64"])?),
            "strict" => verify.strict = reader.boolean(name, value)?,
            "allow" => verify.allow = allow(reader, value)?,
            _ => return Err(unknown(&key, "[verify]", &VERIFY)),
        }
    }
    Ok(verify)
}

/// `NAME=VALUE` strings, or a table of them.
fn assignments(reader: &Reader, name: &str, value: &Value<'_>) -> Result<Vec<Spanned<String>>, RecipeError> {
    if let DeValue::Table(table) = value.get_ref() {
        return reader
            .entries(table)
            .into_iter()
            .map(|(key, value)| {
                config::check_name(key.name).map_err(|error| error.or_at(Some(key.place.clone())))?;
                let text = reader.string_of(&format!("`{}` in `{name}`", key.name), value)?;
                Ok(Spanned::at(reader.value_place(value), format!("{}={text}", key.name)))
            })
            .collect();
    }
    let pairs = reader.one_or_more(name, value)?;
    for pair in &pairs {
        config::parse_pair(&pair.value).map_err(|error| error.or_at(pair.place.clone()))?;
    }
    Ok(pairs)
}

fn one_of(reader: &Reader, name: &str, value: &Value<'_>, known: &[&str]) -> Result<Spanned<String>, RecipeError> {
    let text = reader.spanned_string(name, value)?;
    if known.contains(&text.value.as_str()) {
        return Ok(text);
    }
    let meant = match text.value.as_str() {
        "amd64" | "x86-64" | "linux/amd64" => Some("X86_64"),
        "aarch64" | "linux/arm64" => Some("ARM64"),
        other => nearest(other, known),
    };
    let error = RecipeError::new(format!("`{name}` has no value {:?}", text.value)).or_at(text.place);
    Err(match meant.filter(|meant| known.contains(meant)) {
        Some(meant) => error.help(format!("did you mean \"{meant}\"?")),
        None => error.help(format!("the values are {}", known.join(", "))),
    })
}

fn allow(reader: &Reader, value: &Value<'_>) -> Result<Vec<Spanned<Allow>>, RecipeError> {
    const KEYS: [&str; 2] = ["rule", "path"];
    const EXAMPLE: &str = "allow = [{ rule = \"foreign-executable\", path = \"/opt/**\" }]";
    let items = match value.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        DeValue::String(_) | DeValue::Table(_) => vec![value],
        _ => return Err(reader.mismatch("allow", value, "an array").help(format!("write {EXAMPLE}"))),
    };
    items
        .into_iter()
        .map(|item| {
            let place = reader.value_place(item);
            let (mut rule, mut path) = (None, None);
            if let DeValue::String(text) = item.get_ref() {
                let (name, below) = text.split_once('=').map_or((text.as_ref(), None), |(a, b)| (a, Some(b)));
                (rule, path) = (Some(name.to_owned()), below.map(ToOwned::to_owned));
            } else {
                for (key, value) in reader.table("allow", item, EXAMPLE)? {
                    match key.name {
                        "rule" => rule = Some(reader.spanned_string("rule", value)?.value),
                        "path" => path = Some(reader.spanned_string("path", value)?.value),
                        _ => return Err(unknown(&key, "an item of `allow`", &KEYS)),
                    }
                }
            }
            let rule = rule.unwrap_or_default();
            if rule.is_empty() || path.as_ref().is_some_and(String::is_empty) {
                let missing = if rule.is_empty() { "rule" } else { "path" };
                return Err(RecipeError::at(place, format!("the item of `allow` names no {missing}"))
                    .help(format!("write {EXAMPLE}")));
            }
            Ok(Spanned::at(place, Allow { rule, path }))
        })
        .collect()
}
