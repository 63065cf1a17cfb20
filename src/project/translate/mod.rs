//! From a Dockerfile's instructions to a draft of a recipe.
//!
//! Only the stage that is asked for becomes layers; a stage that others copy from is read for where its files come
//! from: out of the project, or out of a command whose output a `run` layer can make on this machine. What cannot be
//! made without running the target is said, with its line, and stands in the recipe as a comment.

mod accounts;
pub(super) mod built;
mod command;
mod copied;
mod files;
mod finish;
pub(super) mod node;
mod packages;
pub(super) mod python;
mod settings;
mod stage;
mod taken;
mod traced;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::budget::Budget;
use super::dockerfile::expand::{ExpandError, Text, Variables, expand};
use super::dockerfile::{Dockerfile, Instruction};
use super::draft::{Draft, Layer, Piece};
use super::folder::Folder;
use super::remark::{Remark, Weight, shortened};
use crate::image::recipe::nearest::closest;
use crate::image::recipe::place::RecipeError;
use crate::oci::reference::Reference;
use stage::{Ground, Stage};

/// The most stages of a Dockerfile.
const MOST_STAGES: usize = 100;

/// What reading a file of the project costs of the budget, so that it is not read for each of many lines.
const A_FILE: usize = 20_000;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The stage, by name or number; the last where none is named.
    pub target: Option<String>,
    /// Values of `ARG`.
    pub arguments: BTreeMap<String, String>,
}

/// A Dockerfile as a recipe.
#[derive(Debug, Clone)]
pub struct Translated {
    /// The recipe.
    pub draft: Draft,
    /// What must be known of it, in the order of the lines.
    pub remarks: Vec<Remark>,
}

/// Whether Docker takes an argument that no `ARG` names.
fn is_predefined(name: &str) -> bool {
    let proxy = |name: &str| matches!(name, "HTTP_PROXY" | "HTTPS_PROXY" | "FTP_PROXY" | "NO_PROXY" | "ALL_PROXY");
    proxy(&name.to_ascii_uppercase()) || name.starts_with("BUILDKIT_") || name == "SOURCE_DATE_EPOCH"
}

/// Translates a Dockerfile; its folder says which files there are.
///
/// # Errors
/// Where the file is not whole (`FROM` without an image, an unknown stage), or asks for too much.
///
/// # Panics
/// Never: the stage that is asked for is among those that were translated.
pub fn translate(file: &Dockerfile, folder: &Folder, wanted: &Wanted) -> Result<Translated, RecipeError> {
    let mut translator = Translator {
        file,
        folder,
        wanted,
        budget: Budget::new(),
        globals: Variables::default(),
        stages: Vec::new(),
        done: BTreeMap::new(),
        remarks: Vec::new(),
        globs: 0,
        output: OnceCell::new(),
    };
    translator.find_stages()?;
    let target = translator.target()?;
    translator.stages_up_to(target)?;
    let stage = translator.done.remove(&target).expect("the stage that is asked for was translated");
    translator.unused_arguments();
    let draft = translator.finish(stage);
    let mut remarks = translator.remarks;
    remarks.sort_by_key(|remark| remark.line);
    Ok(Translated { draft, remarks })
}

/// A stage's instructions.
#[derive(Debug, Clone)]
struct Source {
    name: Option<String>,
    /// The index of its `FROM`.
    from: usize,
    /// The index behind its last instruction.
    end: usize,
    /// What `FROM` names, expanded.
    image: String,
    /// `--platform`, expanded.
    platform: Option<String>,
    /// The stage that it goes on from.
    parent: Option<usize>,
}

struct Translator<'a> {
    file: &'a Dockerfile,
    folder: &'a Folder,
    wanted: &'a Wanted,
    budget: Budget,
    /// `ARG` before the first `FROM`.
    globals: Variables,
    stages: Vec<Source>,
    done: BTreeMap<usize, Stage>,
    remarks: Vec<Remark>,
    /// How many globs were looked up in the folder.
    globs: usize,
    /// Where the build of the project puts its result.
    output: OnceCell<&'static str>,
}

impl Translator<'_> {
    fn wrong(&self, instruction: &Instruction, message: impl Into<String>) -> RecipeError {
        RecipeError::at(self.file.place(instruction), message)
    }

    fn expanded(
        &mut self,
        text: &str,
        variables: &Variables,
    ) -> Result<super::dockerfile::expand::Expanded, ExpandError> {
        expand(text, self.file.escape, variables, false, &mut self.budget)
    }

    /// The value of a text; where it cannot be had, that is told and `None`.
    fn value(&mut self, stage: &mut Stage, instruction: &Instruction, text: &str) -> Result<Option<Text>, RecipeError> {
        match self.expanded(text, &stage.variables) {
            Ok(expanded) => {
                if !expanded.unset.is_empty() && instruction.keyword != "ENV" {
                    let names = expanded.unset.join(", ");
                    let message = format!("no value is known of {names}, which counts as empty");
                    self.note(instruction, message, Some("give one with --build-arg NAME=VALUE"));
                }
                Ok(Some(expanded.text))
            }
            Err(ExpandError::Spent) => Err(self.wrong(instruction, super::budget::Spent.to_string())),
            Err(ExpandError::Form(message)) => {
                self.cannot(stage, instruction, message, Some("write the value itself into the recipe"));
                Ok(None)
            }
        }
    }

    /// As [`Self::value`], without placeholders, which only paths have.
    fn plain(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        text: &str,
    ) -> Result<Option<String>, RecipeError> {
        let Some(value) = self.value(stage, instruction, text)? else { return Ok(None) };
        let plain = value.plain();
        if plain.is_none() {
            let message = "the value is another one for each platform, and a recipe has one configuration for all";
            self.cannot(
                stage,
                instruction,
                message,
                Some("let the program find out, or keep a recipe for each platform"),
            );
        }
        Ok(plain)
    }

    fn remark(&mut self, instruction: &Instruction, weight: Weight, message: String, help: Option<&str>) {
        self.remarks.push(Remark {
            file: self.file.source.file.clone(),
            line: instruction.line,
            weight,
            instruction: instruction.shown(),
            message,
            help: help.map(Into::into),
        });
    }

    /// Tells a difference.
    fn note(&mut self, instruction: &Instruction, message: impl Into<String>, help: Option<&str>) {
        self.remark(instruction, Weight::Note, message.into(), help);
    }

    /// Tells what is not in the recipe, and says so there as well. In a stage that only others copy from it matters by
    /// what is missing in the end, which is told there.
    fn cannot(&mut self, stage: &mut Stage, instruction: &Instruction, message: impl Into<String>, help: Option<&str>) {
        let message = message.into();
        if !stage.kept {
            return self.remark(instruction, Weight::Note, message, help);
        }
        let mut notes = vec![self.origin(instruction), message.clone()];
        notes.extend(help.map(Into::into));
        stage.pieces.push(Piece::Note(notes));
        self.remark(instruction, Weight::Untranslated, message, help);
    }

    /// `Dockerfile:7: RUN …`
    fn origin(&self, instruction: &Instruction) -> String {
        format!("{}:{}: {}", self.file.source.file, instruction.line, instruction.shown())
    }

    fn spend(&mut self, instruction: &Instruction, cost: usize) -> Result<(), RecipeError> {
        self.budget.spend(cost).map_err(|spent| self.wrong(instruction, spent.to_string()))
    }

    fn layer(&self, stage: &mut Stage, instruction: &Instruction, mut layer: Layer) {
        layer.notes.insert(0, self.origin(instruction));
        stage.pieces.push(Piece::Layer(layer));
    }

    fn find_stages(&mut self) -> Result<(), RecipeError> {
        let file = self.file;
        for (index, instruction) in file.instructions.iter().enumerate() {
            match instruction.keyword {
                "ARG" if self.stages.is_empty() => self.global(instruction)?,
                "FROM" => {
                    if self.stages.len() == MOST_STAGES {
                        return Err(self.wrong(instruction, format!("there are more than {MOST_STAGES} stages")));
                    }
                    let source = self.from(index, instruction)?;
                    self.stages.push(source);
                }
                _ => {}
            }
            if let Some(stage) = self.stages.last_mut() {
                stage.end = index + 1;
            }
        }
        Ok(())
    }

    fn global(&mut self, instruction: &Instruction) -> Result<(), RecipeError> {
        for word in super::dockerfile::expand::words(&instruction.rest, self.file.escape) {
            let (name, default) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let given = self.wanted.arguments.get(name).map(|value| Text::literal(value));
            let value = match (given, default) {
                (Some(given), _) => Some(given),
                (None, Some(default)) => {
                    let expanded = expand(default, self.file.escape, &self.globals, false, &mut self.budget);
                    Some(expanded.map_err(|error| self.wrong(instruction, error.to_string()))?.text)
                }
                (None, None) => None,
            };
            if let Some(value) = value {
                self.globals.args.insert(name.into(), value);
            }
        }
        Ok(())
    }

    /// Whether an `ARG` before the first `FROM`, so before an instruction as well, declares a name.
    fn declares(&self, name: &str, before: usize) -> bool {
        let globals = self.file.instructions[..before].iter().take_while(|instruction| instruction.keyword == "ARG");
        globals.flat_map(|instruction| self.names_of(instruction)).any(|declared| declared == name)
    }

    /// The names that an `ARG` declares.
    fn names_of<'i>(&self, argument: &'i Instruction) -> impl Iterator<Item = &'i str> {
        let words = super::dockerfile::expand::words(&argument.rest, self.file.escape);
        words.into_iter().map(|word| word.split_once('=').map_or(word, |(name, _)| name))
    }

    /// Tells arguments that no `ARG` takes.
    fn unused_arguments(&mut self) {
        let arguments = self.file.instructions.iter().filter(|instruction| instruction.keyword == "ARG");
        let known: BTreeSet<&str> = arguments.flat_map(|argument| self.names_of(argument)).collect();
        for name in self.wanted.arguments.keys().map(String::as_str) {
            if known.contains(name) || is_predefined(name) {
                continue;
            }
            let help = match closest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None if known.is_empty() => "there is no ARG in the Dockerfile".into(),
                None => {
                    let all: Vec<&str> = known.iter().copied().collect();
                    format!("there are {}", shortened(&all.join(", "), 200))
                }
            };
            self.remarks.push(Remark {
                file: self.file.source.file.clone(),
                line: 0,
                weight: Weight::Note,
                instruction: String::new(),
                message: format!("--build-arg {name} is not used: no ARG has this name"),
                help: Some(help),
            });
        }
    }

    fn from(&mut self, index: usize, instruction: &Instruction) -> Result<Source, RecipeError> {
        let words: Vec<&str> = instruction.rest.split_whitespace().collect();
        let (image, name) = match words[..] {
            [image] => (image, None),
            [image, word, name] if word.eq_ignore_ascii_case("as") => (image, Some(name.to_ascii_lowercase())),
            _ => return Err(self.wrong(instruction, "FROM is written FROM IMAGE [AS NAME]")),
        };
        let expanded = expand(image, self.file.escape, &self.globals, false, &mut self.budget)
            .map_err(|error| self.wrong(instruction, error.to_string()))?;
        if let Some(unset) = expanded.unset.first() {
            let error = self.wrong(instruction, format!("FROM needs {unset}, which has no value"));
            return Err(error.help(if self.declares(unset, index) {
                format!("give one: --build-arg {unset}=VALUE")
            } else if self.wanted.arguments.contains_key(unset) {
                format!("write a line `ARG {unset}` before the first FROM: no other ARG counts in a FROM")
            } else {
                format!("write a line `ARG {unset}=VALUE` before the first FROM: no other ARG counts in a FROM")
            }));
        }
        let Some(image) = expanded.text.plain().filter(|image| !image.is_empty()) else {
            return Err(self
                .wrong(instruction, "FROM names another image for each platform")
                .help("a base is one reference, whose index has an image for each platform"));
        };
        let lower = image.to_ascii_lowercase();
        let parent = self.stages.iter().rposition(|stage| stage.name.as_deref() == Some(&lower));
        if parent.is_none()
            && image != "scratch"
            && let Err(error) = image.parse::<Reference>()
        {
            return Err(self.wrong(instruction, error.to_string()));
        }
        let platform = match instruction.flag("platform") {
            Some(platform) => {
                let expanded = expand(platform, self.file.escape, &self.globals, false, &mut self.budget);
                expanded.ok().and_then(|expanded| expanded.text.plain())
            }
            None => None,
        };
        Ok(Source { name, from: index, end: index, image, platform, parent })
    }

    fn stage_named(&self, name: &str, before: usize) -> Option<usize> {
        let lower = name.to_ascii_lowercase();
        let named = self.stages[..before].iter().rposition(|stage| stage.name.as_deref() == Some(&lower));
        named.or_else(|| name.parse().ok().filter(|number| *number < before))
    }

    fn target(&self) -> Result<usize, RecipeError> {
        let Some(name) = &self.wanted.target else { return Ok(self.stages.len() - 1) };
        self.stage_named(name, self.stages.len()).ok_or_else(|| {
            let names: Vec<&str> = self.stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
            let error = RecipeError::new(format!("{} has no stage {name}", self.file.source.file));
            if names.is_empty() {
                error.help("its stages have numbers, from 0")
            } else {
                error.help(format!("it has {}", names.join(", ")))
            }
        })
    }

    /// Translates the stages that the target goes on from or copies from; all of them stand before it.
    fn stages_up_to(&mut self, target: usize) -> Result<(), RecipeError> {
        let mut needed = vec![false; target + 1];
        let mut kept = vec![false; target + 1];
        (needed[target], kept[target]) = (true, true);
        for index in (0..=target).rev() {
            if !needed[index] {
                continue;
            }
            let source = &self.stages[index];
            if let Some(parent) = source.parent {
                needed[parent] = true;
                kept[parent] |= kept[index];
            }
            for instruction in &self.file.instructions[source.from..source.end] {
                if let Some(from) = instruction.flag("from").filter(|_| instruction.keyword == "COPY")
                    && let Some(other) = self.stage_named(from, index)
                {
                    needed[other] = true;
                }
            }
        }
        for index in 0..=target {
            if needed[index] {
                let stage = self.stage(index, kept[index])?;
                self.done.insert(index, stage);
            }
        }
        Ok(())
    }

    fn stage(&mut self, index: usize, kept: bool) -> Result<Stage, RecipeError> {
        let file = self.file;
        let Source { from, end, image, parent, .. } = self.stages[index].clone();
        let mut stage = if let Some(parent) = parent {
            // Its ARGs hold here as well.
            Stage { cmd_here: false, kept, ..self.done[&parent].clone() }
        } else {
            let ground = Ground::new(&image);
            let mut stage = Stage { workdir: ground.workdir().into(), ground, kept, ..Stage::default() };
            // What every official image says, so that `$PATH` has a value.
            stage.variables.env.insert("PATH".into(), Text::literal(stage.ground.path()));
            stage
        };
        for instruction in &file.instructions[from + 1..end] {
            let rest = instruction.shown();
            self.spend(instruction, rest.len())?;
            match instruction.keyword {
                "COPY" | "ADD" => self.copy(&mut stage, instruction, index)?,
                "RUN" => self.run(&mut stage, instruction)?,
                _ => self.setting(&mut stage, instruction)?,
            }
        }
        python::settle(&mut stage);
        self.settle_builds(&mut stage);
        Ok(stage)
    }
}
