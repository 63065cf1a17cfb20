//! Recipes from files and from flags: what the reading of a text cannot know.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::place::{Place, RecipeError, Source, Spanned};
use super::template::Template;
use super::{Base, CopyItem, LayerKind, LayerRecipe, Mtime, Recipe, VerifyRecipe, read};
use crate::image::config::ConfigRecipe;
use crate::layer::pattern::Patterns;
use crate::layer::run::quoted;
use crate::oci::platform::{ParsePlatformError, Platform};

/// The name of a recipe's file.
pub const FILE_NAME: &str = "dockless.toml";

/// The names of a Dockerfile, of which `init` makes a recipe; the first that is there counts.
pub const DOCKERFILES: [&str; 2] = ["Dockerfile", "Containerfile"];

/// The files of a project without a Dockerfile, of which `init` makes a recipe; the first that is there counts.
pub const PROJECT_FILES: [&str; 6] =
    ["go.mod", "Cargo.toml", "uv.lock", "pyproject.toml", "requirements.txt", "package.json"];

impl Recipe {
    /// A recipe that says nothing, for an image that is made of flags alone.
    pub fn empty(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
            base: Spanned::bare(Base::Scratch),
            platforms: Vec::new(),
            annotations: BTreeMap::new(),
            config: ConfigRecipe::default(),
            layers: Vec::new(),
            verify: VerifyRecipe::default(),
        }
    }

    /// Whether commands make layers.
    pub fn runs_commands(&self) -> bool {
        self.layers.iter().any(|layer| matches!(layer.kind, LayerKind::Run(_)))
    }

    /// Whether something is fetched or run before the layers are packed: what can fail is then looked at before it.
    pub fn fetches_or_runs(&self) -> bool {
        matches!(self.base.value, Base::Registry(_)) || self.runs_commands()
    }

    /// Reads the text of a recipe. `file` is what errors call it, `folder` what its paths are relative to.
    ///
    /// # Errors
    /// The first slip, with its place and what was most likely meant.
    pub fn parse(file: &str, text: &str, folder: &Path) -> Result<Self, RecipeError> {
        read::recipe(file, text, folder)
    }

    /// Reads a recipe's file, or the `dockless.toml` of a folder.
    ///
    /// # Errors
    /// Where there is none or it cannot be read, and as [`Self::parse`].
    pub fn load(path: &Path) -> Result<Self, RecipeError> {
        let file = if path.is_dir() { path.join(FILE_NAME) } else { path.to_path_buf() };
        // The current folder needs no name in front of every message.
        let file = file.strip_prefix(".").unwrap_or(&file).to_path_buf();
        let text = fs::read(&file).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                RecipeError::new(format!("there is no recipe {}", file.display())).help(instead(path, &file))
            } else {
                RecipeError::new(format!("cannot read the recipe {}", file.display())).caused_by(error)
            }
        })?;
        let text = utf8(text, &format!("the recipe {}", file.display()))?;
        if let Some(from) = made_of(&file, &text) {
            return Err(RecipeError::new(format!("{} is {from}, not a recipe", file.display()))
                .help(format!("`{}` makes a recipe of it, once; the recipe is what is built", init(&file))));
        }
        Self::parse(&file.display().to_string(), &text, &read::folder_of(&file))
    }
}

/// What to do where there is no recipe: `path` as it was named, `file` as it was looked for.
fn instead(path: &Path, file: &Path) -> String {
    if path.to_str().is_some_and(|text| text.parse::<Platform>().is_ok()) {
        return "several platforms are joined by commas: -p linux/amd64,linux/arm64".into();
    }
    let folder = read::folder_of(file);
    match found_by_init(&folder) {
        Some(from) if !folder.join(FILE_NAME).exists() => {
            format!("`{}` makes a recipe of {from}", init(&folder.join(from)))
        }
        _ => "name a recipe or its folder; `dockless build --layer SRC[:DEST]` needs none".into(),
    }
}

/// The first file of a folder that `init` makes a recipe of.
fn found_by_init(folder: &Path) -> Option<&'static str> {
    DOCKERFILES.into_iter().chain(PROJECT_FILES).find(|name| folder.join(name).is_file())
}

/// The command that makes a recipe of a file.
fn init(file: &Path) -> String {
    let folder = read::folder_of(file);
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_own = found_by_init(&folder) == Some(name) || PROJECT_FILES.contains(&name);
    let (flag, path) = if is_own { ("", folder) } else { ("--dockerfile ", file.to_path_buf()) };
    if path.as_os_str().is_empty() {
        return "dockless init".into();
    }
    format!("dockless init {flag}{}", quoted(&path.display().to_string()))
}

/// What a file is that `init` makes a recipe of.
fn made_of(file: &Path, text: &str) -> Option<&'static str> {
    let name = file.file_name()?.to_str()?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut words = lines.next().unwrap_or_default().split_whitespace();
    let first = words.next().unwrap_or_default();
    // `from = …` would be a key of a recipe that is mistaken for `base`.
    let begins = ["FROM", "ARG"].iter().any(|word| word.eq_ignore_ascii_case(first))
        && words.next().is_some_and(|word| !word.starts_with('='));
    if begins || DOCKERFILES.contains(&name) {
        Some("a Dockerfile")
    } else {
        PROJECT_FILES.contains(&name).then_some("a file of the project")
    }
}

fn utf8(bytes: Vec<u8>, what: &str) -> Result<String, RecipeError> {
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        RecipeError::new(format!("{what} is not UTF-8 in line {line}"))
    })
}

/// Reads the `.dockerignore` of a folder; nothing is excluded where there is none. Its patterns are relative to the
/// folder.
///
/// # Errors
/// Where it cannot be read, or a pattern is none.
pub fn load_dockerignore(folder: &Path) -> Result<Patterns, RecipeError> {
    let file = folder.join(".dockerignore");
    let file = file.strip_prefix(".").unwrap_or(&file);
    let text = match fs::read(file) {
        Ok(text) => utf8(text, &file.display().to_string())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Patterns::default()),
        Err(error) => return Err(RecipeError::new(format!("cannot read {}", file.display())).caused_by(error)),
    };
    Patterns::parse(&text).map_err(|error| {
        let start: usize = text.split_inclusive('\n').take(error.line - 1).map(str::len).sum();
        let line = text[start..].lines().next().unwrap_or_default();
        let source = Arc::new(Source { file: file.display().to_string(), text: text.clone() });
        let place = Place::new(&source, start..start + line.len());
        RecipeError::at(place, format!("the pattern {:?} {}", error.pattern, error.reason))
    })
}

/// Reads the value of `--base`: as `base` in a recipe, but a layout's path is relative to `folder`.
///
/// # Errors
/// Where it is neither the path of a layout nor a reference.
pub fn parse_base(text: &str, folder: &Path) -> Result<Base, RecipeError> {
    let base = read::parse_base(text)?;
    let Base::Layout { path, name } = base else { return Ok(base) };
    let path = folder.join(path.as_written()).display().to_string();
    let path = Template::parse(&path).map_err(|error| RecipeError::new(error.message).help(error.help))?;
    Ok(Base::Layout { path, name })
}

impl LayerRecipe {
    /// Reads the value of `--layer`: `[PLATFORM=]SRC[:DEST]`, split at the last `:/`. A source with a destination is
    /// copied; without one a folder is a root file system and a file is an archive. `folder` is what the source is
    /// relative to, `number` the place of the layer from 1, which names it.
    ///
    /// # Errors
    /// Where the platform, the source or the destination is none.
    pub fn from_flag(text: &str, folder: &Path, number: usize) -> Result<Self, RecipeError> {
        let wrong = |message: String| RecipeError::new(format!("--layer {text:?}: {message}"));
        let (platform, rest) = match text.split_once('=') {
            None => (None, text),
            Some((before, after)) => match before.parse::<Platform>() {
                Ok(platform) => (Some(platform), after),
                Err(error @ ParsePlatformError::Spelling { .. }) => return Err(wrong(error.to_string())),
                Err(error) if ["linux/", "windows/", "darwin/"].iter().any(|os| before.starts_with(os)) => {
                    return Err(wrong(error.to_string()));
                }
                // A path may have an equals sign.
                Err(_) => (None, text),
            },
        };
        let (source, dest) = match rest.rfind(":/") {
            Some(colon) => (&rest[..colon], Some(&rest[colon + 1..])),
            None => (rest, None),
        };
        if source.is_empty() {
            return Err(wrong("names no source".into()).help("write --layer [PLATFORM=]SRC[:DEST]"));
        }
        let template = |part: &str| {
            Template::parse(part).map(Spanned::bare).map_err(|error| wrong(error.message).help(error.help))
        };
        let source = template(source)?;
        let kind = if let Some(dest) = dest {
            read::check_destination(dest)
                .map_err(|error| RecipeError { message: wrong(error.message).message, ..error })?;
            let (dest, exclude) = (template(dest)?, Patterns::default());
            let item = CopyItem { source, dest, exclude, owner: (0, 0), mode: None };
            LayerKind::Copy { items: vec![item], mtime: Mtime::Zero }
        } else {
            let platforms = match &platform {
                Some(platform) => vec![platform.clone()],
                None => vec![Platform::linux_amd64(), Platform::linux_arm64()],
            };
            let paths: Vec<_> = platforms.iter().map(|one| folder.join(source.value.expand(one))).collect();
            if paths.iter().any(|path| path.is_dir()) {
                LayerKind::Rootfs { source, owner: None, owners: BTreeMap::new() }
            } else if paths.iter().any(|path| path.exists()) || is_archive(source.value.as_written()) {
                LayerKind::Tar { source }
            } else {
                return Err(wrong(format!("there is no {}", source.value))
                    .help("the path is relative to the working folder; a destination is absolute: SRC:/DEST"));
            }
        };
        let platforms = platform.map(|platform| vec![Spanned::bare(platform)]);
        Ok(Self { name: format!("layer-{number}"), place: None, platforms, kind })
    }
}

fn is_archive(path: &str) -> bool {
    [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"].iter().any(|ending| path.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(text: &str, folder: &Path) -> LayerRecipe {
        LayerRecipe::from_flag(text, folder, 1).unwrap_or_else(|error| panic!("{error}"))
    }

    fn kind(layer: &LayerRecipe) -> String {
        match &layer.kind {
            LayerKind::Rootfs { source, .. } => format!("rootfs {}", source.value),
            LayerKind::Tar { source } => format!("tar {}", source.value),
            LayerKind::Copy { items, .. } => format!("copy {} {}", items[0].source.value, items[0].dest.value),
            LayerKind::Run(_) => panic!("a flag runs nothing"),
        }
    }

    #[test]
    fn a_flag_is_what_the_file_system_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = folder.path();
        for name in ["rootfs-amd64", "a=b", "c:"] {
            fs::create_dir(here.join(name)).expect("a folder");
        }
        fs::write(here.join("blob"), "").expect("a file");
        for (text, wanted) in [
            ("rootfs-amd64", "rootfs rootfs-amd64"),
            ("rootfs-{arch}", "rootfs rootfs-{arch}"),
            ("linux/amd64=rootfs-amd64", "rootfs rootfs-amd64"),
            ("a=b", "rootfs a=b"),
            ("blob", "tar blob"),
            ("absent.tar.zst", "tar absent.tar.zst"),
            ("app:/app", "copy app /app"),
            ("c::/x:/y/", "copy c::/x /y/"),
            ("linux/arm64/v8=bin/x:/usr/bin/x", "copy bin/x /usr/bin/x"),
        ] {
            assert_eq!(kind(&flag(text, here)), wanted, "{text}");
        }
        assert!(flag("linux/arm64=a=b", here).is_for(&Platform::linux_arm64()));
        assert!(!flag("linux/arm64=a=b", here).is_for(&Platform::linux_amd64()));
        assert_eq!(flag("blob", here).name, "layer-1");
    }

    #[test]
    fn a_flag_says_what_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = |text: &str| LayerRecipe::from_flag(text, folder.path(), 1).expect_err(text).to_string();
        assert_eq!(error("absent"), r#"--layer "absent": there is no absent"#);
        assert_eq!(error(":/app"), r#"--layer ":/app": names no source"#);
        assert_eq!(
            error("linux/x86_64=a:/b"),
            r#"--layer "linux/x86_64=a:/b": "linux/x86_64" is not a platform: an OCI platform is written linux/amd64"#
        );
        assert!(error("linux/riscv64=a:/b").contains("is not supported"));
        assert!(error("a:/b/../../c").contains("goes upwards"));
        assert!(error("a-{cpu}:/b").contains("`{cpu}` is not a placeholder"));
    }

    #[test]
    fn a_missing_recipe_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Recipe::load(folder.path()).expect_err("no recipe");
        assert_eq!(error.message, format!("there is no recipe {}/dockless.toml", folder.path().display()));
        assert_eq!(
            error.help.as_deref(),
            Some("name a recipe or its folder; `dockless build --layer SRC[:DEST]` needs none")
        );
        let help = || Recipe::load(folder.path()).expect_err("no recipe").help.expect("a repair");
        let at = folder.path().display();
        fs::write(folder.path().join("package.json"), "{}").expect("a file");
        assert_eq!(help(), format!("`dockless init {at}` makes a recipe of package.json"));
        fs::write(folder.path().join("Containerfile"), "FROM a").expect("a file");
        assert_eq!(help(), format!("`dockless init {at}` makes a recipe of Containerfile"));
        fs::write(folder.path().join("Dockerfile"), "FROM a").expect("a file");
        assert_eq!(help(), format!("`dockless init {at}` makes a recipe of Dockerfile"));
        fs::write(folder.path().join(FILE_NAME), "").expect("a file");
        let error = Recipe::load(&folder.path().join("app.toml")).expect_err("no recipe");
        assert!(error.help.expect("a repair").starts_with("name a recipe or its folder"));
        let error = Recipe::load(Path::new("linux/arm64")).expect_err("no recipe");
        assert!(error.help.expect("a repair").contains("-p linux/amd64,linux/arm64"));
    }

    #[test]
    fn a_dockerfile_is_no_recipe() {
        let folder = tempfile::tempdir().expect("a folder");
        let load = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).expect("a file");
            Recipe::load(&file)
        };
        for (name, text, what) in [
            ("Dockerfile", "", "a Dockerfile"),
            ("web.Dockerfile", "# syntax=docker/dockerfile:1\n\nFROM a\n", "a Dockerfile"),
            ("build", "arg V=1\nfrom a:$V\n", "a Dockerfile"),
            ("package.json", "{}", "a file of the project"),
        ] {
            let error = load(name, text).expect_err(name);
            assert!(error.message.ends_with(&format!("{name} is {what}, not a recipe")), "{}", error.message);
            assert!(error.help.expect("a repair").starts_with("`dockless init "), "{name}");
        }
        let error = load("a.toml", "[image]\nfrom = \"a\"\n").expect_err("an unknown key");
        assert!(error.message.contains("from"), "{}", error.message);
        load("b.toml", "[config]\nuser = \"1\"\n").expect("a recipe");
    }

    #[test]
    fn loads_a_folder_or_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(FILE_NAME);
        fs::write(&file, "[[layer]]\ncopy = [{ src = \"a\", dest = \"/a\" }]\n").expect("a recipe");
        let recipe = Recipe::load(folder.path()).expect("a recipe");
        assert_eq!(recipe.folder, folder.path());
        assert_eq!(recipe, Recipe::load(&file).expect("a recipe"));
        fs::write(&file, b"# ok\n# \xff\n").expect("a file");
        let error = Recipe::load(&file).expect_err("not UTF-8").to_string();
        assert!(error.ends_with("is not UTF-8 in line 2"), "{error}");
    }

    #[test]
    fn a_dockerignore_is_optional_and_its_line_is_underlined() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(load_dockerignore(folder.path()).expect("none").is_empty());
        fs::write(folder.path().join(".dockerignore"), "# no\r\n.git\r\n[a\r\n").expect("a file");
        let error = load_dockerignore(folder.path()).expect_err("a pattern that is not closed");
        assert_eq!(error.message, "the pattern \"[a\" has a [ that is not closed");
        let place = error.place.expect("a place");
        assert_eq!((place.excerpt(), place.line_and_column()), ("[a", (3, 1)));
    }
}
