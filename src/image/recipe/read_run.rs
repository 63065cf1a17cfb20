//! From the text of a recipe to its values: the keys of a `run` layer.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::place::{RecipeError, Spanned};
use super::read::{Fields, destination, excluded, mtime, owner_of};
use super::table::{Reader, Value};
use super::template::Template;
use super::{Command, Mtime, RunRecipe};

/// How variables begin that the build sets.
const OURS: &str = "DOCKLESS_";

/// Reads the keys of a layer that has `run`.
pub(super) fn run(reader: &Reader, value: &Value<'_>, fields: &Fields<'_>) -> Result<RunRecipe, RecipeError> {
    let place = Some(reader.value_place(value));
    let command = command(reader, value)?;
    let inputs = fields.get("inputs").map(|(_, value)| inputs(reader, value)).transpose()?;
    let dest = match fields.get("dest") {
        Some((_, value)) => destination(reader, value)?,
        None => Spanned::bare(Template::parse("/").map_err(|error| RecipeError::new(error.message))?),
    };
    let env = fields.get("env").map(|(_, value)| env(reader, value)).transpose()?.unwrap_or_default();
    let pass_env = fields.get("pass-env").map(|(_, value)| pass_env(reader, value)).transpose()?.unwrap_or_default();
    let exclude = fields.get("exclude").map(|(_, value)| excluded(reader, value)).transpose()?.unwrap_or_default();
    let owner = fields.get("owner").map(|(_, value)| owner_of(reader, "owner", value)).transpose()?.unwrap_or_default();
    let time = match fields.get("mtime") {
        Some((_, value)) => mtime(reader, value)?,
        None => Mtime::default(),
    };
    if let (Mtime::Git, Some((_, value))) = (time, fields.get("mtime")) {
        return Err(RecipeError::at(reader.value_place(value), "what a command makes has no commits")
            .help("write a time such as \"2026-01-01T00:00:00Z\", or leave mtime out"));
    }
    Ok(RunRecipe { command, place, inputs, dest, env, pass_env, exclude, owner, mtime: time })
}

/// A text for a shell, or the words of a program; one of them names `{out}`, or the command reads `DOCKLESS_OUT`.
fn command(reader: &Reader, value: &Value<'_>) -> Result<Command, RecipeError> {
    match value.get_ref() {
        DeValue::String(text) if text.trim().is_empty() => {
            Err(RecipeError::at(reader.value_place(value), "`run` runs nothing"))
        }
        DeValue::String(_) => Ok(Command::Shell(reader.command("`run`", value)?.value)),
        DeValue::Array(items) => {
            let words = items.iter().map(|item| Ok(reader.command("each item of `run`", item)?.value));
            let words = words.collect::<Result<Vec<_>, RecipeError>>()?;
            if words.first().is_none_or(|program| program.as_written().is_empty()) {
                return Err(RecipeError::at(reader.value_place(value), "`run` names no program")
                    .help("write run = [\"make\", \"install\", \"DESTDIR={out}\"]"));
            }
            Ok(Command::Words(words))
        }
        _ => Err(reader
            .mismatch("run", value, "a string or an array of strings")
            .help("write run = \"make install DESTDIR={out}\"")),
    }
}

/// At least one path. An empty list would mean a result that never changes, which is more likely a slip.
fn inputs(reader: &Reader, value: &Value<'_>) -> Result<Vec<Spanned<Template>>, RecipeError> {
    let DeValue::Array(items) = value.get_ref() else {
        // Says what is wrong with it.
        return reader.strings("inputs", value).map(|_| Vec::new());
    };
    if items.is_empty() {
        return Err(RecipeError::at(reader.value_place(value), "`inputs` names nothing")
            .help("name what the result depends on, or leave the key out to run the command each time"));
    }
    items.iter().map(|item| reader.template("inputs", item)).collect()
}

fn env(reader: &Reader, value: &Value<'_>) -> Result<BTreeMap<String, Spanned<Template>>, RecipeError> {
    let mut env = BTreeMap::new();
    for (key, value) in reader.table("env", value, "env = { NAME = \"VALUE\" }")? {
        check_name(key.name).map_err(|error| error.or_at(Some(key.place.clone())))?;
        env.insert(key.name.to_owned(), reader.command(&format!("`{}` in `env`", key.name), value)?);
    }
    Ok(env)
}

fn pass_env(reader: &Reader, value: &Value<'_>) -> Result<Vec<Spanned<String>>, RecipeError> {
    let names = reader.strings("pass-env", value)?;
    for name in &names {
        check_name(&name.value).map_err(|error| {
            let help = "name variables; their values come from the environment of the build";
            RecipeError { help: error.help.or(Some(help.into())), ..error }.or_at(name.place.clone())
        })?;
    }
    Ok(names)
}

fn check_name(name: &str) -> Result<(), RecipeError> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(RecipeError::new(format!("{name:?} is not the name of a variable")));
    }
    if name.starts_with(OURS) {
        return Err(RecipeError::new(format!("{name} is not the recipe's to set"))
            .help(format!("variables that begin with {OURS} are what the build says")));
    }
    Ok(())
}
