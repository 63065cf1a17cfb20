//! `init`: a folder, or a Dockerfile, becomes the text of a recipe.

use std::fs;
use std::io::Read;
use std::path::Path;

use super::detect;
use super::dockerfile::{Dockerfile, MOST_BYTES};
use super::folder::Folder;
use super::remark::{Remark, Weight};
use super::translate::{Wanted, translate};
use crate::image::recipe::load::{DOCKERFILES, PROJECT_FILES};
use crate::image::recipe::place::RecipeError;
use crate::layer::run::quoted;

/// A recipe that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its text.
    pub text: String,
    /// What it was made from, in words.
    pub from: String,
    /// What must be known of it.
    pub remarks: Vec<Remark>,
}

impl Made {
    /// How many things could not be translated.
    pub fn untranslated(&self) -> usize {
        self.remarks.iter().filter(|remark| remark.weight == Weight::Untranslated).count()
    }
}

/// Makes a recipe from the text of a Dockerfile. `name` is what messages call it.
///
/// # Errors
/// Where the Dockerfile is not one, with the place.
pub fn from_dockerfile(name: &str, text: &str, folder: &Folder, wanted: &Wanted) -> Result<Made, RecipeError> {
    let file = Dockerfile::parse(name, text)?;
    let translated = translate(&file, folder, wanted)?;
    Ok(Made { text: translated.draft.text(), from: name.into(), remarks: translated.remarks })
}

/// Makes a recipe for a folder: from its Dockerfile, or the one that is named, else by the files that are there.
///
/// # Errors
/// Where the Dockerfile cannot be read or is none, and where nothing says what kind of project it is.
pub fn from_folder(folder: &Path, dockerfile: Option<&Path>, wanted: &Wanted) -> Result<Made, RecipeError> {
    let known = Folder::at(folder);
    let own = DOCKERFILES.map(|name| folder.join(name)).into_iter().find(|path| path.is_file());
    let Some(path) = dockerfile.map(Path::to_path_buf).or(own) else {
        let unused = wanted.arguments.keys().map(|name| format!("--build-arg {name}"));
        let unused: Vec<String> =
            unused.chain(wanted.target.iter().map(|target| format!("--target {target}"))).collect();
        let told = |mut made: Made| {
            made.remarks.extend(unused.iter().map(|flag| Remark {
                file: made.from.clone(),
                line: 0,
                weight: Weight::Note,
                instruction: String::new(),
                message: format!("{flag} is not used: there is no Dockerfile"),
                help: None,
            }));
            made
        };
        return detect::recipe(&known).map(told).ok_or_else(|| {
            let names = DOCKERFILES.iter().chain(&PROJECT_FILES).copied().collect::<Vec<_>>().join(", ");
            RecipeError::new(format!("nothing in {} says what kind of project it is", folder.display()))
                .help(format!("looked for were {names}; name a Dockerfile with --dockerfile"))
        });
    };
    let shown = path.strip_prefix(".").unwrap_or(&path).display().to_string();
    let name = if dockerfile.is_none() {
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    } else {
        shown.clone()
    };
    let failed = |error: std::io::Error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let failed = RecipeError::new(format!("cannot read {shown}")).caused_by(error);
        let inside = folder.join(&path);
        if !missing {
            failed
        } else if inside != path && inside.is_file() {
            let inside = inside.display().to_string();
            failed.help(format!(
                "--dockerfile is relative to the working folder, as Docker's: --dockerfile {}",
                quoted(inside.strip_prefix("./").unwrap_or(&inside))
            ))
        } else {
            failed.help("--dockerfile is relative to the working folder, as Docker's")
        }
    };
    let mut bytes = Vec::new();
    fs::File::open(&path).map_err(failed)?.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        RecipeError::new(format!("{shown} is not UTF-8 in line {line}"))
    });
    // A character that is cut in two at the limit is no reason to speak of UTF-8.
    let text = match text {
        Err(_) if fs::metadata(&path).is_ok_and(|data| data.len() > MOST_BYTES as u64) => "x".repeat(MOST_BYTES + 1),
        text => text?,
    };
    from_dockerfile(&name, &text, &known, wanted)
}
