//! The configuration files that an image begins with.

use std::fs;
use std::path::Path;

use crate::event::{Event, Observer};
use crate::image::config::{ConfigRecipe, PartialFile};
use crate::image::recipe::Recipe;
use crate::image::recipe::config_file::parse_config_file;
use crate::image::recipe::place::RecipeError;
use crate::oci::platform::Platform;

/// Reads the configuration files that the flags or the recipe name, one for each platform.
pub(super) fn config_files(
    recipe: &Recipe,
    flags: &ConfigRecipe,
    platforms: &[Platform],
    observer: &dyn Observer,
) -> Result<Vec<Option<PartialFile>>, RecipeError> {
    // A flag's path is relative to the working folder, a recipe's to the recipe.
    let (from, folder) = match (&flags.from, &recipe.config.from) {
        (Some(from), _) => (from, Path::new("")),
        (None, Some(from)) => (from, recipe.folder.as_path()),
        (None, None) => return Ok(platforms.iter().map(|_| None).collect()),
    };
    let mut files = Vec::new();
    for platform in platforms {
        let path = folder.join(from.value.expand(platform));
        let shown = path.display().to_string();
        let text = fs::read_to_string(&path).map_err(|error| {
            RecipeError::new(format!("cannot read the configuration {shown}"))
                .or_at(from.place.clone())
                .caused_by(error)
        })?;
        let file = parse_config_file(&shown, &text)?;
        if let Some(architecture) = &file.architecture
            && !platforms.iter().any(|built| built.architecture.to_string() == architecture.value)
        {
            let text = format!(
                "{shown} is for {}, which is not built: the build's own architecture is written",
                architecture.value
            );
            observer.note(Event::Warning(&text));
        }
        files.push(Some(file));
    }
    Ok(files)
}
