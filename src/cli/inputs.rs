//! What a command reads: no record and no output may take its place.

use std::path::{Path, PathBuf};

use dockless::ecs::live::LiveSource;
use dockless::image::open::Location;
use dockless::image::recipe::load::FILE_NAME;
use dockless::image::recipe::template::Template;
use dockless::image::recipe::{Base, CopyItem, LayerKind, LayerRecipe, Recipe};
use dockless::layer::pattern::glob::is_glob;
use dockless::oci::platform::Platform;

use super::args::push::Registry;
use super::args::verify::{Gate, Selection};
use super::failure::Failure;
use super::gate::{self, Wanted};
use super::report::place::{Input, Written, apart, clear};

/// Loads what an image is verified against, where no file that is written is in the way of one that is read; then what
/// an earlier run wrote into them is removed. That is not done before: among it may be what a source reads.
pub fn keep_apart(
    written: &[Written<'_>],
    read: &[Input],
    wanted: impl FnOnce() -> Result<Wanted, Failure>,
) -> Result<Wanted, Failure> {
    apart(written, read)?;
    let wanted = wanted()?;
    let sources = of_sources(&wanted);
    apart(written, &sources)?;
    clear(written, &[read, &sources].concat())?;
    Ok(wanted)
}

/// The files of the flags that say what an image is verified against.
pub fn of_gate(gate: &Gate) -> Vec<Input> {
    let mut inputs: Vec<Input> = gate.task_definitions.iter().filter_map(|source| task_definition(source)).collect();
    inputs.extend(of_selection(&gate.selection));
    inputs
}

/// The files with the values of variables.
pub fn of_selection(selection: &Selection) -> Vec<Input> {
    selection.variables.0.files().map(|file| Input::new(format!("--var-file {file}"), file)).collect()
}

/// The files of the flags for a registry.
pub fn of_registry(flags: &Registry) -> Vec<Input> {
    flags.ca_file.iter().map(|file| Input::new("the file of --ca-file", file)).collect()
}

/// A source of task definitions, where it is on the disk.
pub fn task_definition(source: &str) -> Option<Input> {
    let elsewhere = source == "-" || LiveSource::parse(source).is_some() && !Path::new(source).exists();
    let is_terraform = Path::new(source).is_dir() || Path::new(source).extension().is_some_and(|ending| ending == "tf");
    let input = if is_terraform { Input::configuration } else { Input::new };
    (!elsewhere).then(|| input("the task definition", source))
}

/// The files that sources have turned out to be made of: modules, nested templates, values of variables. What an
/// earlier run wrote among them may be written anew: `image.auto.tfvars.json`.
fn of_sources(wanted: &Wanted) -> Vec<Input> {
    let named = |source: &str| Input::part(format!("{source}, of the task definition"), source);
    wanted.sources().filter(|source| *source != "-").map(named).collect()
}

/// An image that is named on the command line, where it is on the disk.
pub fn of_image(given: &str) -> Option<Input> {
    match Location::parse(given) {
        Ok(Location::Layout { path, .. } | Location::Archive { path, .. }) => Some(Input::new("the image", path)),
        _ => None,
    }
}

/// The recipe's file.
pub fn recipe_file(given: &Path) -> PathBuf {
    if given.is_dir() { given.join(FILE_NAME) } else { given.to_path_buf() }
}

/// What a recipe names, for any of these platforms.
pub fn of_recipe(recipe: &Recipe, platforms: &[Platform]) -> Vec<Input> {
    let mut found = Found { folder: &recipe.folder, platforms, inputs: Vec::new() };
    let verify = &recipe.verify;
    for source in &verify.task_definitions {
        found.inputs.extend(task_definition(&gate::source(&source.value, &recipe.folder)));
    }
    for file in &verify.var_files {
        found.inputs.push(Input::new(format!("{}, a var-file", file.value), recipe.folder.join(&file.value)));
    }
    if let Some(file) = &recipe.config.from {
        found.add("config.from", &file.value);
    }
    if let Base::Layout { path, .. } = &recipe.base.value {
        found.add("the base", path);
    }
    for layer in &recipe.layers {
        found.layer(layer);
    }
    found.inputs
}

/// The file of `--config`, for any of these platforms.
pub fn of_config(file: &Template, platforms: &[Platform]) -> Vec<Input> {
    let mut found = Found { folder: Path::new(""), platforms, inputs: Vec::new() };
    found.add("the file of --config", file);
    found.inputs
}

/// What is being found.
struct Found<'a> {
    /// What paths are relative to.
    folder: &'a Path,
    platforms: &'a [Platform],
    inputs: Vec<Input>,
}

impl Found<'_> {
    fn layer(&mut self, layer: &LayerRecipe) {
        let what = format!("a source of layer {:?}", layer.name);
        match &layer.kind {
            LayerKind::Rootfs { source, .. } | LayerKind::Tar { source } => self.add(&what, &source.value),
            LayerKind::Copy { items, .. } => {
                for CopyItem { source, .. } in items {
                    self.add(&what, &source.value);
                }
            }
            LayerKind::Run(run) => {
                for input in run.inputs.iter().flatten() {
                    self.add(&what, &input.value);
                }
            }
        }
    }

    fn add(&mut self, what: &str, path: &Template) {
        let platforms = if path.is_shared() { &self.platforms[..self.platforms.len().min(1)] } else { self.platforms };
        for platform in platforms {
            let path = path.expand(platform);
            let input = match before_glob(&path) {
                // Any of the files there may be meant.
                Some(folder) => Input::part(what, self.folder.join(folder)),
                None => Input::new(what, self.folder.join(path)),
            };
            self.inputs.push(input);
        }
    }
}

/// The folder in which a glob looks.
fn before_glob(path: &str) -> Option<PathBuf> {
    let plain = |part: &Path| !is_glob(&part.to_string_lossy());
    is_glob(path).then(|| Path::new(path).ancestors().find(|part| plain(part)).unwrap_or(Path::new("")).to_path_buf())
}
