//! A walk over a TOML document that knows the bytes of every key and value. serde would lose them inside a layer,
//! whose kind depends on its keys, so the document is taken apart by hand, in the order of the text: the first error
//! that is reported is the first one a reader meets.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned as Located;
use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::place::{Place, RecipeError, Source, Spanned};
use super::template::{Template, TemplateError};

/// A value with its bytes.
pub(super) type Value<'d> = Located<DeValue<'d>>;

/// A key of a table.
pub(super) struct Key<'d> {
    pub(super) name: &'d str,
    pub(super) place: Place,
}

/// Reads values of one document.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) source: Arc<Source>,
}

impl Reader {
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        Place::new(&self.source, span)
    }

    pub(super) fn value_place(&self, value: &Value<'_>) -> Place {
        self.place(value.span())
    }

    /// The keys and values of a table in the order of the text.
    pub(super) fn entries<'d>(&self, table: &'d DeTable<'_>) -> Vec<(Key<'d>, &'d Value<'d>)> {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| (Key { name: key.get_ref(), place: self.place(key.span()) }, value))
            .collect();
        entries.sort_by_key(|(key, _)| key.place.span().start);
        entries
    }

    pub(super) fn table<'d>(
        &self,
        name: &str,
        value: &'d Value<'d>,
        example: &str,
    ) -> Result<Vec<(Key<'d>, &'d Value<'d>)>, RecipeError> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(self.entries(table)),
            _ => Err(self.mismatch(name, value, "a table").help(format!("write {example}"))),
        }
    }

    pub(super) fn array<'d>(&self, name: &str, value: &'d Value<'d>) -> Result<&'d [Value<'d>], RecipeError> {
        match value.get_ref() {
            DeValue::Array(items) => Ok(items),
            _ => Err(self.mismatch(name, value, "an array")),
        }
    }

    pub(super) fn string<'d>(&self, name: &str, value: &'d Value<'d>) -> Result<&'d str, RecipeError> {
        self.string_of(&format!("`{name}`"), value)
    }

    /// A string that is called `what` in an error.
    pub(super) fn string_of<'d>(&self, what: &str, value: &'d Value<'d>) -> Result<&'d str, RecipeError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text),
            other => {
                let error = self.mismatch_of(what, value, "a string");
                Err(match other {
                    DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
                        error.help(format!("quote it: \"{}\"", self.value_place(value).excerpt()))
                    }
                    _ => error,
                })
            }
        }
    }

    pub(super) fn spanned_string(&self, name: &str, value: &Value<'_>) -> Result<Spanned<String>, RecipeError> {
        let text = self.string(name, value)?;
        if text.is_empty() {
            return Err(RecipeError::at(self.value_place(value), format!("`{name}` is empty")));
        }
        Ok(Spanned::at(self.value_place(value), text.to_owned()))
    }

    /// An array of strings.
    pub(super) fn strings(&self, name: &str, value: &Value<'_>) -> Result<Vec<Spanned<String>>, RecipeError> {
        let DeValue::Array(items) = value.get_ref() else {
            let error = self.mismatch(name, value, "an array of strings");
            return Err(match value.get_ref() {
                DeValue::String(_) => error.help(format!("write {name} = [{}]", self.value_place(value).excerpt())),
                _ => error,
            });
        };
        items
            .iter()
            .map(|item| {
                Ok(Spanned::at(
                    self.value_place(item),
                    self.string_of(&format!("each item of `{name}`"), item)?.to_owned(),
                ))
            })
            .collect()
    }

    /// A string, or an array of strings, none of them empty.
    pub(super) fn one_or_more(&self, name: &str, value: &Value<'_>) -> Result<Vec<Spanned<String>>, RecipeError> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| self.spanned_string(name, item)).collect(),
            DeValue::String(_) => Ok(vec![self.spanned_string(name, value)?]),
            _ => Err(self.mismatch(name, value, "a string or an array of strings")),
        }
    }

    pub(super) fn boolean(&self, name: &str, value: &Value<'_>) -> Result<bool, RecipeError> {
        match value.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.mismatch(name, value, "true or false")),
        }
    }

    /// A path with placeholders.
    pub(super) fn template(&self, name: &str, value: &Value<'_>) -> Result<Spanned<Template>, RecipeError> {
        let text = self.spanned_string(name, value)?;
        let place = self.value_place(value);
        if text.value.contains('\0') {
            return Err(RecipeError::at(place, format!("`{name}` holds a NUL, which no path may")));
        }
        placeholders(&text, place, Template::parse(&text.value))
    }

    /// A command, or a variable of its environment: `what` in an error.
    pub(super) fn command(&self, what: &str, value: &Value<'_>) -> Result<Spanned<Template>, RecipeError> {
        let text = Spanned::at(self.value_place(value), self.string_of(what, value)?.to_owned());
        let place = self.value_place(value);
        if text.value.contains('\0') {
            return Err(RecipeError::at(place, format!("{what} holds a NUL, which no command may")));
        }
        placeholders(&text, place, Template::parse_command(&text.value))
    }

    /// A value of another type than expected.
    pub(super) fn mismatch(&self, name: &str, value: &Value<'_>, expected: &str) -> RecipeError {
        self.mismatch_of(&format!("`{name}`"), value, expected)
    }

    fn mismatch_of(&self, what: &str, value: &Value<'_>, expected: &str) -> RecipeError {
        let found = kind(value.get_ref());
        RecipeError::at(self.value_place(value), format!("{what} must be {expected}, not {found}")).label(found)
    }
}

/// A template, or what is wrong with it underlined.
fn placeholders(
    text: &Spanned<String>,
    place: Place,
    parsed: Result<Template, TemplateError>,
) -> Result<Spanned<Template>, RecipeError> {
    match parsed {
        Ok(template) => Ok(text.with(template)),
        Err(error) => {
            // An escape or a line feed before it would move the bytes: then the whole value is underlined.
            let part = place.within(error.span.start + 1..error.span.end + 1);
            let exact = text.value.get(error.span.clone()) == Some(part.excerpt());
            Err(RecipeError::at(if exact { part } else { place }, error.message).help(error.help))
        }
    }
}

/// A key that the table does not have.
pub(super) fn unknown(key: &Key<'_>, table: &str, known: &[&str]) -> RecipeError {
    let error = RecipeError::at(key.place.clone(), format!("`{}` is not a key of {table}", key.name));
    let elsewhere = || TABLES.iter().find(|(_, keys)| keys.contains(&key.name));
    if let Some(meant) = nearest(key.name, known) {
        error.help(format!("did you mean `{meant}`?"))
    } else if let Some((owner, _)) = elsewhere() {
        error.help(format!("`{}` belongs to {owner}", key.name))
    } else {
        let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
        error.help(format!("the keys are {}", known.join(", ")))
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The keys of the recipe.
pub(super) const TOP: [&str; 4] = ["image", "config", "layer", "verify"];
pub(super) const IMAGE: [&str; 3] = ["base", "platforms", "annotations"];
pub(super) const CONFIG: [&str; 10] =
    ["from", "entrypoint", "cmd", "env", "working-dir", "user", "exposed-ports", "volumes", "labels", "stop-signal"];
pub(super) const LAYER: [&str; 14] = [
    "name",
    "platforms",
    "rootfs",
    "owner",
    "owners",
    "copy",
    "mtime",
    "tar",
    "run",
    "inputs",
    "dest",
    "env",
    "pass-env",
    "exclude",
];
pub(super) const ITEM: [&str; 5] = ["src", "dest", "exclude", "owner", "mode"];
pub(super) const VERIFY: [&str; 10] = [
    "task-definition",
    "target",
    "container",
    "var",
    "var-file",
    "parameter",
    "launch-type",
    "architecture",
    "strict",
    "allow",
];

/// Which table a key belongs to, for a key that was written into another one.
const TABLES: [(&str, &[&str]); 5] = [
    ("[image]", &IMAGE),
    ("[config]", &CONFIG),
    ("[verify]", &VERIFY),
    ("[[layer]]", &LAYER),
    ("a `copy` item", &ITEM),
];
