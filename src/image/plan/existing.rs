//! Whether what a recipe names is there; where it is not, what was meant.

use std::fs;
use std::path::Path;

use super::folder_name;
use crate::image::recipe::nearest::closest;
use crate::image::recipe::place::{RecipeError, Spanned};
use crate::image::recipe::template::Template;
use crate::oci::platform::Platform;

/// Among so many files of a folder the one that was meant is looked for.
const MOST_NAMES: usize = 10_000;

pub(super) fn existing(
    path: &Path,
    source: &Spanned<Template>,
    platform: &Platform,
) -> Result<fs::Metadata, RecipeError> {
    fs::metadata(path).or_else(|_| fs::symlink_metadata(path)).map_err(|error| {
        let error_at = |message: String| RecipeError::new(message).or_at(source.place.clone());
        if error.kind() != std::io::ErrorKind::NotFound {
            return error_at(format!("cannot read {}", path.display())).caused_by(error);
        }
        let made_of = source.value.as_written();
        if source.value.is_shared() {
            error_at(format!("{} does not exist", path.display())).help(looked_for(path))
        } else {
            error_at(format!("{} does not exist: {platform} has no files", path.display())).help(format!(
                "{made_of} must exist for each platform; say platforms = [\"…\"] in the layer where only some have it"
            ))
        }
    })
}

/// Where a path that does not exist was looked for, and what it was meant to be.
fn looked_for(path: &Path) -> String {
    let mut missing = path;
    while let Some(above) = missing.parent().filter(|above| !folder_name(above).exists()) {
        missing = above;
    }
    let above = missing.parent().unwrap_or(missing);
    let names = fs::read_dir(folder_name(above)).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        names.take(MOST_NAMES).filter_map(|name| name.file_name().into_string().ok()).collect();
    names.sort_unstable();
    let given = missing.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = if above.as_os_str().is_empty() { "the working folder".into() } else { above.display().to_string() };
    match closest(given, names.iter().map(String::as_str)) {
        Some(meant) => format!("{folder} has {meant}: did you mean that?"),
        None => format!("it was looked for in {folder}"),
    }
}
