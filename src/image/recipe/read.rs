//! From the text of a recipe to its values: the tables `[image]` and `[[layer]]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::place::{Place, RecipeError, Source, Spanned};
use super::read_config;
use super::read_run;
use super::table::{IMAGE, ITEM, Key, LAYER, Reader, TOP, Value, unknown};
use super::template::Template;
use super::{Base, CopyItem, LayerKind, LayerRecipe, Mtime, Recipe};
use crate::layer::pattern::Patterns;
use crate::oci::platform::{ParsePlatformError, Platform};
use crate::oci::reference::valid_tag;

/// Reads a recipe.
pub(super) fn recipe(file: &str, text: &str, folder: &Path) -> Result<Recipe, RecipeError> {
    let source = Arc::new(Source { file: file.into(), text: text.into() });
    let document = DeTable::parse(&source.text).map_err(|error| {
        let wrong = RecipeError::new(error.message().trim_end());
        match error.span() {
            Some(span) => wrong.or_at(Some(Place::new(&source, span))),
            None => wrong,
        }
    })?;
    let reader = Reader { source: Arc::clone(&source) };
    let mut recipe = Recipe::empty(folder);
    for (key, value) in reader.entries(document.get_ref()) {
        match key.name {
            "image" => image(&reader, value, &mut recipe)?,
            "config" => recipe.config = read_config::config(&reader, value)?,
            "layer" => recipe.layers = layers(&reader, value)?,
            "verify" => recipe.verify = read_config::verify(&reader, value)?,
            _ => return Err(unknown(&key, "the recipe", &TOP)),
        }
    }
    Ok(recipe)
}

fn image(reader: &Reader, value: &Value<'_>, recipe: &mut Recipe) -> Result<(), RecipeError> {
    for (key, value) in reader.table("image", value, "[image] and its keys below it")? {
        match key.name {
            "base" => recipe.base = base(reader, value)?,
            "platforms" => recipe.platforms = platforms(reader, value, "build")?,
            "annotations" => {
                recipe.annotations = read_config::named_strings(reader, "annotations", value)?.into_iter().collect();
            }
            _ => return Err(unknown(&key, "[image]", &IMAGE)),
        }
    }
    Ok(())
}

fn base(reader: &Reader, value: &Value<'_>) -> Result<Spanned<Base>, RecipeError> {
    let text = reader.spanned_string("base", value)?;
    let base = parse_base(&text.value).map_err(|error| error.or_at(Some(reader.value_place(value))))?;
    Ok(text.with(base))
}

/// Reads what `base` says, in a recipe or by its flag.
pub(super) fn parse_base(text: &str) -> Result<Base, RecipeError> {
    if text == "scratch" {
        return Ok(Base::Scratch);
    }
    if let Some(rest) = text.strip_prefix("oci:") {
        let (path, name) = match rest.rsplit_once(':') {
            Some((path, name)) if valid_tag(name) => (path, Some(name.to_owned())),
            _ => (rest, None),
        };
        if path.is_empty() {
            return Err(RecipeError::new("`base` names no folder after `oci:`"));
        }
        let path = Template::parse(path).map_err(|error| RecipeError::new(error.message).help(error.help))?;
        return Ok(Base::Layout { path, name });
    }
    for other in ["oci-archive:", "docker-archive:"] {
        if text.starts_with(other) {
            return Err(RecipeError::new(format!("`base` cannot be an archive ({other})"))
                .help("unpack it into an OCI layout folder and write oci:FOLDER"));
        }
    }
    let reference = text.strip_prefix("docker://").unwrap_or(text);
    let reference = reference.parse().map_err(|error| {
        let wrong = RecipeError::new(format!("`base`: {error}"));
        if text.starts_with(['.', '/', '~']) {
            wrong.help(format!("a layout folder is written oci:{text}"))
        } else {
            wrong
        }
    })?;
    Ok(Base::Registry(reference))
}

/// At least one platform, each once.
fn platforms(reader: &Reader, value: &Value<'_>, verb: &str) -> Result<Vec<Spanned<Platform>>, RecipeError> {
    let mut platforms: Vec<Spanned<Platform>> = Vec::new();
    for text in reader.strings("platforms", value)? {
        let place = text.place.clone();
        let platform: Platform = text.value.parse().map_err(|error: ParsePlatformError| {
            let wrong = RecipeError::new(error.to_string()).or_at(place);
            match error {
                ParsePlatformError::Spelling { repair, .. } => wrong.help(format!("write \"{repair}\"")),
                _ => wrong,
            }
        })?;
        if platforms.iter().any(|earlier| earlier.value == platform) {
            return Err(RecipeError::new(format!("the platform {platform} is there twice")).or_at(text.place));
        }
        platforms.push(text.with(platform));
    }
    if platforms.is_empty() {
        return Err(RecipeError::at(reader.value_place(value), format!("`platforms` names none to {verb}"))
            .help("name a platform such as \"linux/arm64\", or leave the key out"));
    }
    Ok(platforms)
}

fn layers(reader: &Reader, value: &Value<'_>) -> Result<Vec<LayerRecipe>, RecipeError> {
    let items = match value.get_ref() {
        DeValue::Array(items) => items,
        DeValue::Table(_) => {
            return Err(RecipeError::at(reader.value_place(value), "`layer` must be a list of layers, not one table")
                .help("write [[layer]] with two brackets"));
        }
        _ => {
            return Err(reader
                .mismatch("layer", value, "a list of layers")
                .help("write [[layer]] and its keys below it"));
        }
    };
    let mut layers: Vec<LayerRecipe> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let layer = layer(reader, item, index + 1)?;
        if let Some(earlier) = layers.iter().find(|earlier| earlier.name == layer.name) {
            let error = RecipeError::new(format!("two layers are named `{}`", layer.name)).or_at(layer.place);
            return Err(match &earlier.place {
                Some(place) => error.help(format!("the other is at {place}; give each its own name")),
                None => error,
            });
        }
        layers.push(layer);
    }
    Ok(layers)
}

/// The keys that are there, by name.
pub(super) struct Fields<'d>(Vec<(Key<'d>, &'d Value<'d>)>);

impl<'d> Fields<'d> {
    pub(super) fn get(&self, name: &str) -> Option<(&Key<'d>, &'d Value<'d>)> {
        self.0.iter().find(|(key, _)| key.name == name).map(|(key, value)| (key, *value))
    }
}

fn layer(reader: &Reader, item: &Value<'_>, number: usize) -> Result<LayerRecipe, RecipeError> {
    let fields = Fields(reader.table("layer", item, "[[layer]] and its keys below it")?);
    let mut kinds = Vec::new();
    for (key, value) in &fields.0 {
        match key.name {
            "rootfs" | "copy" | "tar" | "run" => kinds.push((key, value)),
            name if LAYER.contains(&name) => {}
            "src" | "mode" => {
                return Err(unknown(key, "a layer", &[]).help(format!(
                    "`{0}` belongs to an item of `copy`: copy = [{{ src = \"app\", dest = \"/app\" }}]",
                    key.name
                )));
            }
            _ => return Err(unknown(key, "a layer", &LAYER)),
        }
    }
    let one_of = "a layer has exactly one of `rootfs`, `copy`, `tar` and `run`";
    let (kind, value) = match kinds[..] {
        [kind] => kind,
        [] => {
            return Err(RecipeError::at(reader.value_place(item), "the layer does not say what it holds").help(one_of));
        }
        [(first, _), (second, _), ..] => {
            return Err(RecipeError::at(
                second.place.clone(),
                format!("the layer has both `{}` and `{}`", first.name, second.name),
            )
            .help(format!("{one_of}: write two layers")));
        }
    };
    let belongs = |name: &str| match kind.name {
        "rootfs" => matches!(name, "owner" | "owners"),
        "copy" => name == "mtime",
        "run" => matches!(name, "inputs" | "dest" | "env" | "pass-env" | "exclude" | "mtime" | "owner"),
        _ => false,
    };
    for (key, _) in &fields.0 {
        if !matches!(key.name, "name" | "platforms") && key.name != kind.name && !belongs(key.name) {
            return Err(misplaced(key, kind.name));
        }
    }

    let name = match fields.get("name") {
        Some((_, value)) => name(reader, value)?,
        None => Spanned { value: format!("layer-{number}"), place: Some(kind.place.clone()) },
    };
    let only = fields.get("platforms").map(|(_, value)| platforms(reader, value, "have the layer")).transpose()?;
    let kind = match kind.name {
        "rootfs" => rootfs(reader, value, &fields)?,
        "tar" => LayerKind::Tar { source: reader.template("tar", value)? },
        "copy" => LayerKind::Copy {
            items: items(reader, value)?,
            mtime: fields.get("mtime").map(|(_, value)| mtime(reader, value)).transpose()?.unwrap_or_default(),
        },
        _ => LayerKind::Run(Box::new(read_run::run(reader, value, &fields)?)),
    };
    Ok(LayerRecipe { name: name.value, place: name.place, platforms: only, kind })
}

fn misplaced(key: &Key<'_>, kind: &str) -> RecipeError {
    let error = RecipeError::at(key.place.clone(), format!("a `{kind}` layer has no `{}`", key.name));
    match (key.name, kind) {
        ("dest" | "owner" | "exclude", "copy") => error.help(format!("write `{}` into each item of `copy`", key.name)),
        ("owners", "run") => error.help("all of it has one owner: owner = \"10001:10001\""),
        ("env", "rootfs" | "copy" | "tar") => error.help("the environment of containers is `env` in [config]"),
        ("exclude", _) => error.help("it is taken as it is; `copy` leaves files out"),
        ("pass-env", _) => error.help("`pass-env` belongs to `run`"),
        ("mtime", _) => error.help("its entries keep their own times, clamped to SOURCE_DATE_EPOCH"),
        ("owner" | "owners", "tar") => error.help("the entries of an archive keep their owners"),
        ("dest", _) => error.help("it goes to the root; `copy` puts files elsewhere"),
        ("inputs", _) => error.help("`inputs` belongs to `run`"),
        _ => error,
    }
}

fn name(reader: &Reader, value: &Value<'_>) -> Result<Spanned<String>, RecipeError> {
    let name = reader.spanned_string("name", value)?;
    if name.value.chars().any(char::is_control) {
        return Err(RecipeError::new("`name` holds a control character").or_at(name.place));
    }
    Ok(name)
}

fn rootfs(reader: &Reader, value: &Value<'_>, fields: &Fields<'_>) -> Result<LayerKind, RecipeError> {
    let source = reader.template("rootfs", value)?;
    let (owner, owners) = (fields.get("owner"), fields.get("owners"));
    if let (Some(_), Some((key, _))) = (owner, owners) {
        return Err(RecipeError::at(key.place.clone(), "the layer has both `owner` and `owners`")
            .help("`owner` gives everything to one user; `owners` maps some users to others"));
    }
    let owner = owner.map(|(_, value)| owner_of(reader, "owner", value)).transpose()?;
    let mut map = BTreeMap::new();
    if let Some((_, value)) = owners {
        for (key, value) in reader.table("owners", value, "owners = { \"1001:1001\" = \"0:0\" }")? {
            let from = parse_owner(key.name).map_err(|error| error.or_at(Some(key.place.clone())))?;
            if map.insert(from, owner_of(reader, key.name, value)?).is_some() {
                return Err(RecipeError::at(key.place, format!("the owner {}:{} is there twice", from.0, from.1)));
            }
        }
    }
    Ok(LayerKind::Rootfs { source, owner, owners: map })
}

fn items(reader: &Reader, value: &Value<'_>) -> Result<Vec<CopyItem>, RecipeError> {
    const EXAMPLE: &str = "copy = [{ src = \"app\", dest = \"/app\" }]";
    let DeValue::Array(items) = value.get_ref() else {
        return Err(reader.mismatch("copy", value, "an array of tables").help(format!("write {EXAMPLE}")));
    };
    if items.is_empty() {
        return Err(
            RecipeError::at(reader.value_place(value), "`copy` copies nothing").help(format!("write {EXAMPLE}"))
        );
    }
    items.iter().map(|value| item(reader, value, EXAMPLE)).collect()
}

fn item(reader: &Reader, value: &Value<'_>, example: &str) -> Result<CopyItem, RecipeError> {
    let (mut source, mut dest, mut exclude, mut owner, mut mode) = (None, None, Patterns::default(), (0, 0), None);
    for (key, value) in reader.table("copy", value, example)? {
        match key.name {
            "src" => source = Some(reader.template("src", value)?),
            "dest" => dest = Some(destination(reader, value)?),
            "exclude" => exclude = excluded(reader, value)?,
            "owner" => owner = owner_of(reader, "owner", value)?,
            "mode" => mode = Some(self::mode(reader, value)?),
            _ => return Err(unknown(&key, "a `copy` item", &ITEM)),
        }
    }
    let missing = |name: &str| {
        RecipeError::at(reader.value_place(value), format!("the `copy` item has no `{name}`"))
            .help(format!("write {example}"))
    };
    let source = source.ok_or_else(|| missing("src"))?;
    let dest = dest.ok_or_else(|| missing("dest"))?;
    Ok(CopyItem { source, dest, exclude, owner, mode })
}

pub(super) fn destination(reader: &Reader, value: &Value<'_>) -> Result<Spanned<Template>, RecipeError> {
    let dest = reader.template("dest", value)?;
    check_destination(dest.value.as_written()).map_err(|error| error.or_at(dest.place.clone()))?;
    Ok(dest)
}

/// Judges a destination: absolute, and nowhere upwards.
pub(super) fn check_destination(dest: &str) -> Result<(), RecipeError> {
    let wrong = |message| Err(RecipeError::new(format!("the destination {dest:?} {message}")));
    if !dest.starts_with('/') {
        return wrong("is not absolute")
            .map_err(|error| error.help(format!("write /{}", dest.trim_start_matches("./"))));
    }
    if dest.split('/').any(|name| name == "..") {
        return wrong("goes upwards, and may leave the image's root")
            .map_err(|error| error.help("write the path without `..`"));
    }
    if dest.split('/').any(|name| name.starts_with(".wh.")) {
        return wrong("has a name that starts with `.wh.`")
            .map_err(|error| error.help("in a layer such a name takes a file away instead of adding one"));
    }
    Ok(())
}

pub(super) fn excluded(reader: &Reader, value: &Value<'_>) -> Result<Patterns, RecipeError> {
    let patterns = reader.strings("exclude", value)?;
    let texts: Vec<String> = patterns.iter().map(|pattern| pattern.value.clone()).collect();
    Patterns::from_list(&texts).map_err(|error| {
        let place = patterns.get(error.line.saturating_sub(1)).and_then(|pattern| pattern.place.clone());
        RecipeError::new(format!("the pattern {:?} {}", error.pattern, error.reason)).or_at(place)
    })
}

pub(super) fn owner_of(reader: &Reader, name: &str, value: &Value<'_>) -> Result<(u32, u32), RecipeError> {
    let text = reader.spanned_string(name, value)?;
    parse_owner(&text.value).map_err(|error| error.or_at(text.place))
}

/// Reads `UID:GID`; `UID` alone is the group of the same number, as for `COPY --chown`.
fn parse_owner(text: &str) -> Result<(u32, u32), RecipeError> {
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        // The highest number means "nobody said" to the kernel.
        part.parse().ok().filter(|number| digits && *number != u32::MAX)
    };
    number(user).zip(number(group)).ok_or_else(|| {
        RecipeError::new(format!("{text:?} is not an owner"))
            .help("an owner is two numbers, UID:GID, such as \"10001:10001\"; names are not looked up")
    })
}

/// The permission bits, in octal. `0o755` of TOML is octal too; 755 and 0755 without quotes are not.
fn mode(reader: &Reader, value: &Value<'_>) -> Result<u16, RecipeError> {
    let place = reader.value_place(value);
    let digits = match value.get_ref() {
        DeValue::String(text) => text.strip_prefix("0o").unwrap_or(text),
        DeValue::Integer(number) if number.radix() == 8 => number.as_str(),
        DeValue::Integer(number) => {
            return Err(RecipeError::at(place, "`mode` is a decimal number, but a mode is octal")
                .label("decimal")
                .help(format!("quote it: \"{:0>4}\"", number.as_str())));
        }
        _ => return Err(reader.mismatch("mode", value, "a string of octal digits").help("write mode = \"0755\"")),
    };
    let octal = !digits.is_empty() && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    u16::from_str_radix(digits, 8).ok().filter(|mode| octal && *mode <= 0o7777).ok_or_else(|| {
        RecipeError::at(place, format!("{digits:?} is not a mode"))
            .help("a mode is up to four octal digits, such as \"0755\" or \"0644\"")
    })
}

pub(super) fn mtime(reader: &Reader, value: &Value<'_>) -> Result<Mtime, RecipeError> {
    let place = reader.value_place(value);
    let expected = "write \"2026-01-01T00:00:00Z\", or \"git\" for each file's last commit";
    let moment: toml::value::Datetime = match value.get_ref() {
        DeValue::String(text) if text == "git" => return Ok(Mtime::Git),
        DeValue::String(text) => text.parse().map_err(|_| {
            RecipeError::at(place.clone(), format!("{:?} is neither a time nor \"git\"", text.as_ref())).help(expected)
        })?,
        DeValue::Datetime(moment) => *moment,
        _ => return Err(reader.mismatch("mtime", value, "a time or \"git\"").help(expected)),
    };
    seconds(&moment).map(Mtime::At).map_err(|message| RecipeError::at(place, message).help(expected))
}

/// Seconds since 1970.
fn seconds(moment: &toml::value::Datetime) -> Result<u64, &'static str> {
    let (Some(date), Some(time)) = (moment.date, moment.time) else {
        return Err("`mtime` needs a date and a time of day");
    };
    let minutes_east = match moment.offset {
        Some(toml::value::Offset::Z) => 0,
        Some(toml::value::Offset::Custom { minutes }) => i64::from(minutes),
        None => return Err("`mtime` has no time zone, so it would differ between machines"),
    };
    if time.nanosecond.unwrap_or(0) != 0 {
        return Err("`mtime` is in whole seconds");
    }
    // Years that begin in March have their leap day last (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let (year, month) = (i64::from(date.year), i64::from(date.month));
    let year = year - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(date.day) - 1;
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468;
    let minutes = days * 1440 + i64::from(time.hour) * 60 + i64::from(time.minute) - minutes_east;
    let seconds = minutes * 60 + i64::from(time.second.unwrap_or(0));
    // Eleven octal digits are what the header of a tar entry holds.
    u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds <= 0o777_7777_7777)
        .ok_or("`mtime` is before 1970 or after 2242, which an archive cannot hold")
}

/// The folder of a recipe file; empty for the working folder, so that messages do not begin every path with `./`.
pub(super) fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_path_buf).unwrap_or_default()
}
