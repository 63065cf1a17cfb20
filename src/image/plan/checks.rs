//! What is a slip of the recipe whatever the files hold.

use super::PlatformPlan;
use crate::image::build::LAST_SECOND;
use crate::image::recipe::Recipe;
use crate::image::recipe::place::RecipeError;
use crate::layer::compress::Codec;
use crate::oci::platform::Platform;

/// What no build can be asked for.
pub(super) fn check_options(codec: Codec, source_date_epoch: Option<i64>) -> Result<(), RecipeError> {
    codec.check().map_err(|error| RecipeError::new("cannot compress the layers").caused_by(error))?;
    match source_date_epoch {
        Some(seconds) if !(0..=LAST_SECOND).contains(&seconds) => Err(RecipeError::new(format!(
            "the time of the image is {seconds}: expected whole seconds from 1970 to the year 9999"
        ))),
        _ => Ok(()),
    }
}

/// An index has an image for each platform. A layer for one that is not built is most likely a slip.
pub(super) fn check_platforms(recipe: &Recipe, platforms: &[Platform]) -> Result<(), RecipeError> {
    if platforms.is_empty() {
        return Err(RecipeError::new("there is no platform to build for"));
    }
    if let Some((_, twice)) = (1..).zip(platforms).find(|(rest, platform)| platforms[*rest..].contains(platform)) {
        return Err(RecipeError::new(format!("{twice} is to be built twice")).help("name each platform once"));
    }
    for layer in &recipe.layers {
        if platforms.iter().any(|platform| layer.is_for(platform)) {
            continue;
        }
        let Some(only) = layer.platforms.iter().flatten().next() else { continue };
        let built: Vec<String> = platforms.iter().map(Platform::to_string).collect();
        // A recipe for two platforms may well be built for one of them.
        let named = recipe.platforms.iter().any(|platform| platform.value.satisfies(&only.value));
        if !named {
            return Err(RecipeError::new(format!(
                "layer {} is only for {}, which is not built",
                layer.name, only.value
            ))
            .or_at(only.place.clone())
            .help(format!("the platforms are {}: add it to platforms or to --platform", built.join(", "))));
        }
    }
    Ok(())
}

/// An image without a file is a platform that was forgotten.
pub(super) fn check_layers(recipe: &Recipe, plans: &[PlatformPlan]) -> Result<(), RecipeError> {
    let layers = |plan: &PlatformPlan| recipe.layers.iter().any(|layer| layer.is_for(&plan.platform));
    let Some(empty) = plans.iter().find(|plan| plan.base.is_none() && !layers(plan)) else { return Ok(()) };
    let platform = &empty.platform;
    Err(if recipe.layers.is_empty() {
        RecipeError::new("the image has no layer and no base").help("add a [[layer]], --layer, or a base")
    } else {
        let others: Vec<&str> = recipe.layers.iter().map(|layer| layer.name.as_str()).collect();
        RecipeError::new(format!("{platform} has no layer: its image would be empty")).help(format!(
            "{} is for other platforms alone; add one for {platform}, or build without it",
            others.join(", ")
        ))
    })
}
