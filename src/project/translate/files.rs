//! Commands of a `RUN` that make, move and own files.

use super::super::dockerfile::Instruction;
use super::super::dockerfile::expand::doubled;
use super::super::draft::{Item, Kind, Layer, Piece, Run};
use super::super::remark::shortened;
use super::super::shell::{Command, from_template, word};
use super::Translator;
use super::command::Running;
use super::copied::{Manner, octal};
use super::stage::{Origin, Stage, What, absolute, below, joined, split};
use crate::image::recipe::place::RecipeError;
use crate::layer::pattern::glob;

impl Translator<'_> {
    /// Translates a command that is about files; false where it is none, or cannot be.
    pub(super) fn file_command(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        command: &Command,
        running: &Running,
    ) -> Result<bool, RecipeError> {
        let words = command.arguments();
        let plain: Vec<&str> = words.iter().filter(|word| !word.starts_with('-')).copied().collect();
        let at = |path: &str| absolute(&running.folder, &doubled(path));
        match (command.name(), &command.output) {
            ("echo" | "printf", Some((false, file))) if !command.is_dynamic() && !file.dynamic => {
                if stage.kept {
                    let dest = at(&file.text);
                    let line: Vec<&str> = command.words.iter().map(|word| word.shell.as_str()).collect();
                    self.small(
                        stage,
                        instruction,
                        &dest,
                        "file",
                        &format!("{} > {{out}}/{}", line.join(" "), name(&dest)),
                    );
                }
                Ok(true)
            }
            ("echo" | "printf" | "cat", None) => Ok(true),
            ("rm", _) => Ok(!stage.kept || self.removed(stage, instruction, &plain, running)),
            _ if !stage.kept
                && matches!(
                    command.name(),
                    "mkdir" | "touch" | "chmod" | "chown" | "ln" | "sed" | "echo" | "printf" | "git"
                ) =>
            {
                Ok(true)
            }
            ("mkdir" | "touch", None) if !command.is_dynamic() => {
                for path in &plain {
                    // `-m 755`
                    if words.windows(2).any(|pair| matches!(pair[0], "-m" | "--mode") && pair[1] == *path) {
                        continue;
                    }
                    let path = at(path);
                    let how = if command.name() == "mkdir" { "mkdir -p" } else { "touch" };
                    if how == "touch" || !stage.is_folder(&path) {
                        self.small(stage, instruction, &path, "folders", &format!("{how} {{out}}/{}", name(&path)));
                    }
                    if how != "touch" {
                        stage.folders.insert(path);
                    }
                }
                Ok(true)
            }
            ("ln", None)
                if !command.is_dynamic()
                    && plain.len() == 2
                    && words.iter().any(|word| word.starts_with("-s") || word.contains("sf")) =>
            {
                let dest = at(plain[1]);
                let dest = if plain[1].ends_with('/') || stage.is_folder(&dest) {
                    joined(&dest, split(&doubled(plain[0])).1)
                } else {
                    dest
                };
                let line = format!("ln -s {} {{out}}/{}", word(plain[0]), name(&dest));
                self.small(stage, instruction, &dest, "links", &line);
                Ok(true)
            }
            ("chown", None) if plain.len() > 1 => self.owned(stage, instruction, plain[0], &plain[1..], running),
            ("chmod", None) => {
                // A mode may begin with a hyphen, and then nothing of it can be said in a recipe.
                if plain.len() < 2 { Ok(false) } else { self.moded(stage, instruction, plain[0], &plain[1..], running) }
            }
            ("cp" | "mv", None) if plain.len() == 2 && !command.is_dynamic() => {
                let from = at(plain[0]);
                self.spend(instruction, stage.origins.len())?;
                let Some(src) =
                    stage.host(&from, &mut self.budget).map_err(|spent| self.wrong(instruction, spent.to_string()))?
                else {
                    return Ok(!stage.kept);
                };
                let mut dest = at(plain[1]);
                if plain[1].ends_with('/') || stage.is_folder(&dest) {
                    dest = joined(&dest, split(&from).1);
                }
                if stage.kept {
                    self.add_items(
                        stage,
                        instruction,
                        vec![Item { src: src.clone(), dest: dest.clone(), ..Item::default() }],
                    );
                }
                let what = What::Host { src, owner: None, mode: None, exclude: Vec::new() };
                stage.origins.push(Origin { dest, what });
                Ok(true)
            }
            ("curl" | "wget", _) if !command.is_dynamic() => Ok(self.downloaded(stage, instruction, command, running)),
            _ => Ok(false),
        }
    }

    /// A layer of one command that makes something at a path.
    fn small(&mut self, stage: &mut Stage, instruction: &Instruction, path: &str, layer: &str, command: &str) {
        let (folder, name) = split(path);
        if name.is_empty() {
            return;
        }
        let run = Run { command: command.into(), inputs: Vec::new(), dest: folder.into(), owner: None };
        if let Some(Piece::Layer(Layer { kind: Kind::Run(before), name, notes })) = stage.pieces.last_mut()
            && *name == layer
            && before.dest == run.dest
            && before.owner.is_none()
            && before.command.len() < 2000
        {
            before.command.push_str(" && ");
            before.command.push_str(command);
            let origin = format!("{}:{}: {}", self.file.source.file, instruction.line, instruction.shown());
            if notes.last() != Some(&origin) {
                notes.push(origin);
            }
            return;
        }
        self.layer(stage, instruction, Layer { notes: Vec::new(), name: layer.into(), kind: Kind::Run(run) });
    }

    /// A file whose content stands in the Dockerfile.
    pub(super) fn written_out(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        dest: &str,
        manner: &Manner,
    ) -> Result<(), RecipeError> {
        let Some(heredoc) = instruction.heredocs.first() else { return Ok(()) };
        self.document(stage, instruction, heredoc, (dest, false), manner)
    }

    /// Whether what is removed was never in the image, or is told.
    fn removed(&mut self, stage: &mut Stage, instruction: &Instruction, paths: &[&str], running: &Running) -> bool {
        let never = [
            "/var/lib/apt",
            "/var/cache",
            "/tmp",
            "/var/tmp",
            "/root/.cache",
            "/root/.npm",
            "/usr/share/doc",
            "/usr/share/man",
            "/var/log",
            "/usr/src",
        ];
        for path in paths {
            let whole = absolute(&running.folder, &doubled(path));
            let cache = never.iter().any(|folder| below(&whole, folder).is_some())
                || whole.contains("/.cache")
                || whole.contains("/.npm");
            let wheels =
                stage.origins.iter().any(|origin| origin.dest == whole && matches!(origin.what, What::Wheels(_)));
            if cache || wheels || path.contains(['*', '$']) && !path.starts_with('/') {
                continue;
            }
            let message = format!("{} is removed, which no layer of a recipe does by itself", shortened(&whole, 60));
            let (folder, name) = split(&whole);
            let help = format!(
                "if it is the base's: an empty file whiteouts{}/.wh.{name}, and a layer rootfs = \"whiteouts\", owner = \"0:0\"; if it \
                 is copied: exclude it there",
                folder.trim_end_matches('/')
            );
            self.cannot(stage, instruction, message, Some(&help));
        }
        true
    }

    fn owned(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        owner: &str,
        paths: &[&str],
        running: &Running,
    ) -> Result<bool, RecipeError> {
        let Some(owner) = stage.owner(owner) else {
            let message = format!("the number of {} is not known", shortened(owner, 40));
            self.cannot(
                stage,
                instruction,
                message,
                Some("write owner = \"UID:GID\" into the items and layers that are meant"),
            );
            return Ok(true);
        };
        self.spend(instruction, stage.pieces.len() * paths.len())?;
        for path in paths {
            let path = absolute(&running.folder, &doubled(path));
            let mut any = path == stage.workdir;
            for piece in &mut stage.pieces {
                let Piece::Layer(layer) = piece else { continue };
                match &mut layer.kind {
                    Kind::Copy(items) => {
                        for item in
                            items.iter_mut().filter(|item| below(item.dest.trim_end_matches('/'), &path).is_some())
                        {
                            item.owner = Some(owner.clone());
                            any = true;
                        }
                    }
                    Kind::Run(run) => {
                        let made = run.command.split(" && ").all(|one| {
                            let folder =
                                one.strip_prefix("mkdir -p {out}/").or_else(|| one.strip_prefix("touch {out}/"));
                            folder.is_some_and(|name| below(&joined(&run.dest, name), &path).is_some())
                        });
                        if made || below(&run.dest, &path).is_some() {
                            run.owner = Some(owner.clone());
                            any = true;
                        }
                    }
                    Kind::Tar(_) => {}
                }
            }
            let host =
                stage.host(&path, &mut self.budget).map_err(|spent| self.wrong(instruction, spent.to_string()))?;
            if let Some(src) = host.filter(|_| !any) {
                any = true;
                // A folder that is there keeps its owner: an earlier copy must not bring it.
                let copies = stage.pieces.iter_mut().filter_map(|piece| match piece {
                    Piece::Layer(Layer { kind: Kind::Copy(items), .. }) => Some(items),
                    _ => None,
                });
                for item in copies.flatten() {
                    if let Some(rest) = below(&path, &item.dest)
                        .filter(|rest| !rest.is_empty() && !glob::is_glob(rest) && !rest.contains(['\\', '{', '}']))
                        && joined(&item.src, rest) == src
                    {
                        item.exclude.push(format!("/{rest}"));
                    }
                }
                let item = Item { src, dest: path.clone(), owner: Some(owner.clone()), ..Item::default() };
                let layer = Layer { notes: Vec::new(), name: "owners".into(), kind: Kind::Copy(vec![item]) };
                self.layer(stage, instruction, layer);
            }
            if !any {
                let message =
                    format!("{} is given to {owner}, and no layer before holds it alone", shortened(&path, 60));
                let help = "what the base has keeps its owner; copied files get one by an item of their own with owner";
                self.cannot(stage, instruction, message, Some(help));
            }
        }
        Ok(true)
    }

    fn moded(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        mode: &str,
        paths: &[&str],
        running: &Running,
    ) -> Result<bool, RecipeError> {
        let Some(mode) = octal(mode).or_else(|| matches!(mode, "u+x" | "+rx" | "a+rx").then(|| "0755".into())) else {
            return Ok(false);
        };
        for path in paths {
            let whole = absolute(&running.folder, &doubled(path));
            self.spend(instruction, stage.origins.len() + stage.pieces.len())?;
            let exact = stage.pieces.iter_mut().rev().find_map(|piece| match piece {
                Piece::Layer(Layer { kind: Kind::Copy(items), .. }) => items.iter_mut().find(|item| {
                    let file = match item.dest.strip_suffix('/') {
                        Some(folder) => joined(folder, split(&item.src).1),
                        None => item.dest.clone(),
                    };
                    file == whole && item.src != "."
                }),
                _ => None,
            });
            if let Some(item) = exact.filter(|item| !self.folder.has_folder(&item.src)) {
                item.mode = Some(mode.clone());
                continue;
            }
            let (folder, name) = split(&whole);
            let file = format!("{{out}}/{}", from_template(name));
            let made = stage.pieces.iter_mut().rev().find_map(|piece| match piece {
                Piece::Layer(Layer { kind: Kind::Run(run), .. })
                    if run.dest == folder && run.command.contains(&file) =>
                {
                    Some(run)
                }
                _ => None,
            });
            if let Some(run) = made {
                run.command = match run.command.strip_suffix('\n') {
                    Some(lines) => format!("{lines}\nchmod {mode} {file}\n"),
                    None => format!("{} && chmod {mode} {file}", run.command),
                };
                continue;
            }
            let host =
                stage.host(&whole, &mut self.budget).map_err(|spent| self.wrong(instruction, spent.to_string()))?;
            let file = host.filter(|host| !self.folder.has_folder(host) && host != "." && !path.contains('*'));
            if let Some(src) = file {
                let item = Item { src, dest: whole, mode: Some(mode.clone()), ..Item::default() };
                let layer = Layer { notes: Vec::new(), name: "modes".into(), kind: Kind::Copy(vec![item]) };
                self.layer(stage, instruction, layer);
                continue;
            }
            let message = format!("the mode of {} is changed to {mode}", shortened(&whole, 60));
            let help = "copied and made files are 0755 where their owner may execute them on this machine, else 0644, and \
                        folders 0755; a rootfs layer keeps every mode";
            self.cannot(stage, instruction, message, Some(help));
        }
        Ok(true)
    }

    fn downloaded(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        command: &Command,
        running: &Running,
    ) -> bool {
        let words = command.arguments();
        let is_url = |word: &&&str| word.starts_with("http://") || word.starts_with("https://");
        let Some(url) = words.iter().find(is_url) else { return false };
        let flag = |names: &[&str]| words.windows(2).find(|pair| names.contains(&pair[0])).map(|pair| pair[1]);
        let short = |ending: char| {
            words
                .windows(2)
                .find(|pair| pair[0].starts_with('-') && !pair[0].starts_with("--") && pair[0].ends_with(ending))
                .map(|pair| pair[1])
        };
        let curl = command.name() == "curl";
        let named = if curl {
            flag(&["--output"]).or_else(|| short('o'))
        } else {
            flag(&["--output-document"]).or_else(|| short('O'))
        };
        let remote = || split(url.split(['?', '#']).next().unwrap_or_default()).1;
        let path = match (&command.output, named) {
            (Some((false, file)), _) => file.text.clone(),
            (_, Some("-")) => return false,
            (_, Some(path)) if !path.starts_with("http") => path.to_owned(),
            _ if !curl || words.iter().any(|word| word.starts_with('-') && word.contains('O')) => remote().to_owned(),
            _ => return false,
        };
        let dest = absolute(&running.folder, &doubled(&path));
        let notes = vec!["Fetched on this machine: compare it with a digest that you know.".to_owned()];
        let behind = format!(" {}", from_template(&doubled(url)));
        self.note(instruction, "what is fetched is not checked against a digest", None);
        self.program(stage, instruction, &dest, What::Program { before: "curl -fsSL -o ".into(), behind, notes });
        true
    }
}

fn name(path: &str) -> String {
    from_template(split(path).1)
}
