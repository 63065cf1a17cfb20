//! `COPY` and `ADD`.

use std::fmt::Write as _;

use super::super::dockerfile::expand::{doubled, words};
use super::super::dockerfile::{Form, Heredoc, Instruction};
use super::super::draft::{Item, Kind, Layer, Piece, Run};
use super::super::shell::{from_template, word};
use super::Translator;
use super::stage::{Origin, Stage, What, absolute, below, joined, split};
use crate::image::recipe::place::RecipeError;
use crate::layer::pattern::glob;

/// What of the project's folder no image needs.
const NEVER: [&str; 6] = ["/.git", "/Dockerfile", "/.dockerignore", "/dockless.toml", "/dockless.lock", "/oci"];

/// Each glob may walk through the whole folder, so no more of them are looked up.
const MOST_GLOBS: usize = 40;

/// How the files of an instruction are to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Manner {
    pub(super) owner: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) exclude: Vec<String>,
}

impl Translator<'_> {
    pub(super) fn copy(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        index: usize,
    ) -> Result<(), RecipeError> {
        if instruction.keyword == "ADD" && instruction.flag("from").is_some() {
            return Err(self.wrong(instruction, "ADD has no --from").help("COPY --from=STAGE copies from a stage"));
        }
        let mut written: Vec<String> = match instruction.form() {
            Form::Exec(words) => words,
            Form::Shell(line) => words(&line, self.file.escape).into_iter().map(str::to_owned).collect(),
        };
        let Some(last) = written.pop().filter(|_| !written.is_empty()) else {
            return Err(self.wrong(instruction, format!("{} needs a source and a destination", instruction.keyword)));
        };
        // Each source is held to the others, so that no layer has two for one destination.
        self.spend(instruction, written.len() * 40)?;
        let Some(to) = self.value(stage, instruction, &last)? else { return Ok(()) };
        let to = to.as_template();
        let dest = absolute(&stage.workdir, to);
        let into = written.len() > 1
            || to.ends_with('/')
            || matches!(split(to).1, "." | "..")
            || to == "."
            || stage.is_folder(&dest);
        let manner = self.manner(stage, instruction)?;
        if let Some(from) = instruction.flag("from") {
            let from = from.to_owned();
            if let Some(other) = self.stage_named(&from, index) {
                return self.copy_from(stage, instruction, other, &written, (&dest, into), &manner);
            }
            self.copy_from_image(stage, instruction, &from);
            return Ok(());
        }
        let mut heredocs = instruction.heredocs.iter();
        let mut items = Vec::new();
        for source in &written {
            if source.contains("<<")
                && let Some(heredoc) = heredocs.next()
            {
                self.document(stage, instruction, heredoc, (&dest, into), &manner)?;
                continue;
            }
            let Some(source) = self.value(stage, instruction, source)? else { continue };
            let source = source.as_template().to_owned();
            let remote = ["https://", "http://", "git@", "git://", "ssh://"].iter().any(|one| source.starts_with(one));
            if remote {
                self.fetched(stage, instruction, &source, (&dest, into), &manner);
            } else if instruction.keyword == "ADD" && is_archive(&source) {
                let clean = absolute("/", &source)[1..].to_owned();
                unpacked(self, stage, instruction, &clean, &dest, &manner);
            } else {
                self.source(stage, instruction, &source, (&dest, into), &manner, &mut items)?;
            }
        }
        stage.folders.insert(if into { dest } else { split(&dest).0.to_owned() });
        if !items.is_empty() {
            self.add_items(stage, instruction, items);
        }
        Ok(())
    }

    fn manner(&mut self, stage: &mut Stage, instruction: &Instruction) -> Result<Manner, RecipeError> {
        let mut manner = Manner::default();
        if let Some(chown) = instruction.flag("chown")
            && let Some(owner) = self.plain(stage, instruction, chown)?
        {
            manner.owner = stage.owner(&owner);
            if manner.owner.is_none() {
                let message = format!("the number of {owner} is not known, so the files belong to 0:0");
                self.note(instruction, message, Some("write owner = \"UID:GID\" into the items"));
            }
        }
        if let Some(chmod) = instruction.flag("chmod")
            && let Some(mode) = self.plain(stage, instruction, chmod)?
        {
            manner.mode = octal(&mode);
            if manner.mode.is_none() {
                let message =
                    format!("the mode {mode} is none in octal digits, so files are 0755 or 0644 by their own");
                self.note(instruction, message, Some("write mode = \"0755\" into the items"));
            }
        }
        for (name, value) in &instruction.flags {
            if name == "exclude" {
                manner.exclude.push(value.clone().unwrap_or_default());
            }
        }
        Ok(manner)
    }

    /// A source in the project's folder.
    fn source(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        source: &str,
        (dest, into): (&str, bool),
        manner: &Manner,
        items: &mut Vec<Item>,
    ) -> Result<(), RecipeError> {
        let absolute_source = absolute("/", source);
        let clean = match &absolute_source[1..] {
            "" => ".",
            clean => clean,
        };
        let parents = instruction.flag("parents").is_some();
        let dest = if parents { joined(dest, split(clean).0.trim_start_matches('/')) } else { dest.to_owned() };
        let is_glob = glob::is_glob(clean) && !self.folder.has(clean);
        if let Some(folder) = self.folder.path()
            && !clean.contains('{')
        {
            self.spend(instruction, 10)?;
            self.globs += usize::from(is_glob);
            let there = if self.globs > MOST_GLOBS {
                true
            } else if is_glob {
                glob::expand(folder, clean).is_ok_and(|found| !found.is_empty())
            } else {
                clean == "." || self.folder.has(clean)
            };
            if !there && is_glob {
                let message = format!("nothing in the folder matches {source}, which is left out");
                self.note(instruction, message, None);
                return Ok(());
            }
            if !there {
                let message = format!("there is no {source} in the folder: the recipe needs it when it is built");
                self.note(instruction, message, None);
            }
        }
        let is_folder = clean == "." || source.ends_with('/') || self.folder.has_folder(clean);
        let mut exclude = manner.exclude.clone();
        if clean == "." {
            exclude.extend(NEVER.map(str::to_owned));
        }
        // Docker follows a link that is the source itself.
        let slash = if self.folder.has_link_to_folder(clean) { "/" } else { "" };
        let item = Item {
            src: format!("{clean}{slash}"),
            dest: if is_folder || !(into || parents || is_glob) {
                dest.clone()
            } else {
                format!("{}/", dest.trim_end_matches('/'))
            },
            exclude: exclude.clone(),
            owner: manner.owner.clone(),
            mode: manner.mode.clone(),
        };
        let (src, at) = if is_glob {
            (
                match split(clean).0 {
                    "" => ".",
                    folder => folder,
                }
                .to_owned(),
                dest,
            )
        } else if item.dest.ends_with('/') && !is_folder {
            (clean.to_owned(), joined(&dest, split(clean).1))
        } else {
            (clean.to_owned(), dest)
        };
        let what = What::Host { src, owner: item.owner.clone(), mode: item.mode.clone(), exclude };
        stage.origins.push(Origin { dest: at, what });
        items.push(item);
        Ok(())
    }

    /// Adds items to the layer before where none of them meets another there, else to one of their own.
    pub(super) fn add_items(&mut self, stage: &mut Stage, instruction: &Instruction, items: Vec<Item>) {
        let origin = self.origin(instruction);
        if let Some(Piece::Layer(Layer { notes, kind: Kind::Copy(there), .. })) = stage.pieces.last_mut()
            && there.len() + items.len() <= 8
            && items.iter().all(|item| there.iter().all(|other| !meets(item, other)))
        {
            notes.push(origin);
            there.extend(items);
            return;
        }
        // A layer refuses two sources of one destination; an instruction of Docker's takes the last.
        let mut groups: Vec<Vec<Item>> = Vec::new();
        for item in items {
            match groups.last_mut() {
                Some(group) if group.len() < 32 && group.iter().all(|other| !meets(&item, other)) => group.push(item),
                _ => groups.push(vec![item]),
            }
        }
        for group in groups {
            let name = match split(&group[0].dest).1.trim_matches('/') {
                "" => "files",
                name => name,
            };
            let name: String =
                name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(40).collect();
            let name = if name.is_empty() { "files".to_owned() } else { name };
            self.layer(stage, instruction, Layer { notes: Vec::new(), name, kind: Kind::Copy(group) });
        }
    }

    /// A file that stands in the Dockerfile itself.
    pub(super) fn document(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        heredoc: &Heredoc,
        (dest, into): (&str, bool),
        manner: &Manner,
    ) -> Result<(), RecipeError> {
        let content = if heredoc.expands {
            let escape = self.file.escape;
            let expanded = super::expand(&heredoc.content, escape, &stage.variables, true, &mut self.budget);
            expanded.map_err(|error| self.wrong(instruction, error.to_string()))?.text.as_template().to_owned()
        } else {
            doubled(&heredoc.content)
        };
        // Nothing parts a brace from its name in a here-document.
        let plain = content.replace("{{", "{").replace("}}", "}");
        let (folder, name) = if into { (dest, heredoc.name.as_str()) } else { split(dest) };
        let mut end = "END".to_owned();
        let content = plain;
        if super::super::shell::names_placeholder(&content) {
            let message = "the here-document has words in braces, which a recipe takes for placeholders";
            self.cannot(stage, instruction, message, Some("make it a file of the project, and copy that"));
            return Ok(());
        }
        while content.lines().any(|line| line == end) {
            end.push('_');
        }
        let mut command = format!("cat > {{out}}/{} <<'{end}'\n{content}{end}\n", word(name));
        if let Some(mode) =
            manner.mode.as_deref().filter(|mode| u32::from_str_radix(mode, 8).is_ok_and(|m| m & 0o100 != 0))
        {
            let _ = writeln!(command, "chmod {mode} {{out}}/{}", word(name));
        }
        let run = Run { command, inputs: Vec::new(), dest: folder.into(), owner: manner.owner.clone() };
        let notes = vec!["A file of the project instead of a here-document would need no command.".into()];
        self.layer(stage, instruction, Layer { notes, name: "document".into(), kind: Kind::Run(run) });
        Ok(())
    }

    /// A source that is fetched.
    fn fetched(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        url: &str,
        (dest, into): (&str, bool),
        manner: &Manner,
    ) {
        let plain = url.split(['#', '?']).next().unwrap_or_default();
        let shell = from_template;
        let (command, folder) =
            if url.starts_with("git") || plain.strip_suffix(".git").is_some() || url.starts_with("ssh") {
                let (repository, branch) = url.split_once('#').unwrap_or((url, ""));
                let branch = if branch.is_empty() { String::new() } else { format!(" --branch {}", shell(branch)) };
                (format!("git clone --depth 1{branch} {} {{out}} && rm -rf {{out}}/.git", shell(repository)), dest)
            } else {
                let (folder, name) = if into { (dest, split(plain).1) } else { split(dest) };
                (format!("curl -fsSL -o {{out}}/{} {}", shell(name), shell(url)), folder)
            };
        let mut notes = vec!["Fetched on this machine: compare it with a digest that you know.".to_owned()];
        if let Some(sum) = instruction.flag("checksum") {
            notes.push(format!("The Dockerfile says that it is {sum}."));
        }
        let run = Run { command, inputs: Vec::new(), dest: folder.into(), owner: manner.owner.clone() };
        self.note(instruction, "what is fetched is not checked against a digest", None);
        self.layer(stage, instruction, Layer { notes, name: "fetched".into(), kind: Kind::Run(run) });
    }

    /// `COPY --from=` an image that is no stage.
    fn copy_from_image(&mut self, stage: &mut Stage, instruction: &Instruction, image: &str) {
        if split(image.split(['@', ':']).next().unwrap_or_default()).1 == "uv" {
            self.note(instruction, "uv runs on this machine and need not be in the image", None);
            return;
        }
        let message = format!("files of the image {image} are copied, and a recipe takes files from one base alone");
        let help = "take them out of that image into a folder of the project (`crane export`, `umoci unpack`), one for each \
                    platform, and copy them from there: { src = \"files/{arch}\", dest = \"…\" }";
        self.cannot(stage, instruction, message, Some(help));
    }
}

/// Whether two items of a layer may have one destination.
fn meets(a: &Item, b: &Item) -> bool {
    let whole = |item: &Item| match item.dest.strip_suffix('/') {
        Some(folder) if !glob::is_glob(&item.src) => joined(folder, split(&item.src).1),
        Some(folder) => folder.to_owned(),
        None => item.dest.clone(),
    };
    let (a, b) = (whole(a), whole(b));
    below(&a, &b).is_some() || below(&b, &a).is_some()
}

/// An archive that `ADD` unpacks.
fn unpacked(
    translator: &mut Translator<'_>,
    stage: &mut Stage,
    instruction: &Instruction,
    source: &str,
    dest: &str,
    manner: &Manner,
) {
    let native = [".tar", ".tar.gz", ".tgz", ".tar.zst"].iter().any(|ending| source.ends_with(ending));
    let kind = if dest == "/" && native {
        Kind::Tar(source.into())
    } else {
        let command = format!("tar -xf {} -C {{out}}", from_template(source));
        Kind::Run(Run { command, inputs: vec![source.into()], dest: dest.into(), owner: manner.owner.clone() })
    };
    translator.layer(stage, instruction, Layer { notes: Vec::new(), name: "archive".into(), kind });
}

fn is_archive(source: &str) -> bool {
    let endings = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"];
    endings.iter().any(|ending| source.ends_with(ending))
}

/// A mode of four octal digits.
pub(super) fn octal(mode: &str) -> Option<String> {
    match mode {
        "+x" | "a+x" | "ugo+x" | "755" | "0755" => return Some("0755".into()),
        _ => {}
    }
    let number = u16::from_str_radix(mode, 8).ok().filter(|number| *number <= 0o7777 && !mode.starts_with('+'))?;
    Some(format!("{number:04o}"))
}
