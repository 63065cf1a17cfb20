//! Packages and builds of Node.js.

use std::fmt::Write as _;

use super::super::dockerfile::Instruction;
use super::super::draft::{Kind, Layer, Piece, Run};
use super::super::shell::{Command, from_template, word};
use super::Translator;
use super::command::Running;
use super::stage::{Origin, Stage, What, joined};
use super::traced::Found;
use crate::image::recipe::place::RecipeError;

/// Above each build.
pub(super) const BUILT: &str = "Built in a copy of the folder, since the platforms are built side by side (what cannot be read is left \
                                out by one more --exclude=./NAME); add inputs, and it is built only where they have changed.";

/// Above each layer that npm fills.
pub(crate) const NEWER_NPM: &str = "npm must be 10.4 or newer: an older one does not know --os, --cpu and --libc, takes binaries \
                                              for this machine, and says nothing.";

/// Above each layer that pnpm fills.
pub(crate) const NEWER_PNPM: &str = "pnpm must be 10.14 or newer: an older one does not know --os, --cpu and --libc.";

/// What pnpm writes down for itself, with the time and with folders of this machine.
pub(crate) const OF_PNPM: &str =
    "rm -f {out}/node_modules/.modules.yaml {out}/node_modules/.pnpm-workspace-state*.json";

/// Variables that bundlers put into what they make.
const PUBLIC: [&str; 6] = ["VITE_", "REACT_APP_", "NEXT_PUBLIC_", "NUXT_PUBLIC_", "PUBLIC_", "GATSBY_"];

impl Translator<'_> {
    pub(super) fn node(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        command: &Command,
        running: &mut Running,
    ) -> Result<(), RecipeError> {
        let tool = command.name().to_owned();
        let words = command.arguments();
        let verb = words.iter().find(|word| !word.starts_with('-')).copied().unwrap_or_default();
        let named: Vec<&str> = words.iter().filter(|word| !word.starts_with('-') && **word != verb).copied().collect();
        let global = words.iter().any(|word| matches!(*word, "-g" | "--global" | "--location=global"));
        match (tool.as_str(), verb) {
            ("npm", "install" | "i" | "ci" | "add") | ("pnpm" | "yarn", "add") if global => {
                let names = named
                    .iter()
                    .filter(|name| !matches!(name.split('@').next(), Some("npm" | "yarn" | "pnpm" | "corepack")));
                let names: Vec<String> = names.map(|name| word(name)).collect();
                if names.is_empty() || !stage.kept {
                    return Ok(());
                }
                // The settings for everyone are looked for below the prefix, unless they are named.
                let command = format!(
                    "npm install --global --prefix {{out}} --globalconfig \"$(npm config get globalconfig)\" --ignore-scripts {} {}",
                    target(stage),
                    names.join(" ")
                );
                let run = Run { command, dest: "/usr/local".into(), ..Run::default() };
                let notes = vec![NEWER_NPM.to_owned()];
                self.layer(stage, instruction, Layer { notes, name: "tools".into(), kind: Kind::Run(run) });
            }
            ("npm" | "pnpm", "install" | "i" | "ci" | "clean-install")
            | ("yarn", "" | "install")
            | ("bun", "install") => {
                if !named.is_empty() && tool == "npm" {
                    let message = "packages are named that package.json may not name";
                    self.note(instruction, message, Some("add them to package.json, from which the layer is made"));
                }
                let production =
                    words.iter().any(|word| {
                        matches!(
                            *word,
                            "--omit=dev" | "--production" | "--prod" | "-P" | "--only=production" | "--production=true"
                        )
                    }) || words.windows(2).any(|pair| pair == ["--only", "production"] || pair == ["--omit", "dev"])
                        || stage.config.env.get("NODE_ENV").is_some_and(|value| value == "production");
                self.modules(stage, instruction, &tool, verb, production, running)?;
                let frozen = words.iter().find(|word| matches!(**word, "--frozen-lockfile" | "--immutable"));
                if let (Some(frozen), Some(last)) = (frozen, stage.prepared.last_mut())
                    && *last == format!("{tool} install")
                {
                    let _ = write!(last, " {frozen}");
                }
            }
            ("npm" | "pnpm" | "yarn", "prune") => {
                let (tool, verb) = stage.node.clone().unwrap_or((tool, "install".into()));
                self.modules(stage, instruction, &tool, &verb, true, running)?;
            }
            (
                _,
                "cache" | "config" | "set" | "audit" | "fund" | "version" | "test" | "lint" | "pkg" | "fetch" | "store"
                | "rebuild" | "ping",
            )
            | ("npm" | "pnpm" | "bun" | "node", "") => {}
            ("npm" | "pnpm" | "bun" | "yarn" | "npx", _)
                if tool != "npm" || matches!(verb, "run" | "run-script" | "exec") =>
            {
                if matches!(named.first(), Some(&("test" | "lint" | "typecheck" | "test:ci"))) {
                    return Ok(());
                }
                let mut line = String::new();
                let values = stage.variables.args.iter().chain(&stage.variables.env);
                for (name, value) in values.filter(|(name, _)| PUBLIC.iter().any(|one| name.starts_with(one))) {
                    let _ = write!(line, "{name}={} ", from_template(value.as_template()));
                }
                self.spend(instruction, line.len() + stage.variables.args.len())?;
                for word in command.assignments.iter().chain(&command.words) {
                    line.push_str(&word.shell);
                    line.push(' ');
                }
                self.build(stage, instruction, line.trim_end().to_owned(), None, false, running)?;
            }
            _ => running.unknown.push(super::super::remark::shortened(&format!("{tool} {}", words.join(" ")), 60)),
        }
        Ok(())
    }

    /// `node_modules`, filled on this machine for the target.
    fn modules(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        tool: &str,
        verb: &str,
        production: bool,
        running: &Running,
    ) -> Result<(), RecipeError> {
        let folder = running.folder.clone();
        let host = stage.here(&folder, &mut self.budget).map_err(|spent| self.wrong(instruction, spent.to_string()))?;
        let lock = match tool {
            "yarn" => "yarn.lock",
            "pnpm" => "pnpm-lock.yaml",
            "bun" => "bun.lock",
            _ => "package-lock.json",
        };
        let mut files = vec!["package.json"];
        files.extend(
            (verb != "install" || self.folder.path().is_none() || self.folder.has(&joined(&host, lock)))
                .then_some(lock),
        );
        let settings: Vec<&str> =
            [".npmrc", ".yarnrc.yml"].into_iter().filter(|file| self.folder.has(&joined(&host, file))).collect();
        files.extend(&settings);
        let inputs: Vec<String> = files.iter().map(|file| joined(&host, file)).collect();
        let locked = files.contains(&lock);
        let target = target(stage);
        let install = match tool {
            "yarn" => format!(
                "yarn install --cwd {{out}} --ignore-scripts{}{}",
                flag(locked, " --frozen-lockfile"),
                flag(production, " --production")
            ),
            "pnpm" => format!(
                "pnpm install --dir {{out}} --ignore-scripts{}{} {target} && {OF_PNPM}",
                flag(locked, " --frozen-lockfile"),
                flag(production, " --prod")
            ),
            "bun" => format!(
                "bun install --cwd {{out}} --ignore-scripts --os={{os}} --cpu=\"$npm_config_cpu\"{}",
                flag(production, " --production")
            ),
            // By --prefix npm would find the folder as well, and no longer the settings that the machine has for
            // everyone.
            _ => format!(
                "cd {{out}} && npm {} --ignore-scripts{} {target}",
                if verb == "ci" { "ci" } else { "install" },
                flag(production, " --omit=dev")
            ),
        };
        let sources: Vec<String> = inputs.iter().map(|input| from_template(input)).collect();
        // They may hold a token, which installing needs and the image must not have.
        let forget = settings.iter().map(|file| format!(" && rm {{out}}/{file}")).collect::<Vec<_>>().concat();
        let command = format!("cp {} {{out}}/ && {install}{forget}", sources.join(" "));
        let mut notes = vec!["The command for the target's platform on this machine; scripts of packages do not run, so one that compiles itself needs a prebuilt binary.".to_owned()];
        let note = match tool {
            "yarn" => Some(
                "yarn 1 takes optional binaries for this machine's platform alone: npm and pnpm can be told another.",
            ),
            "pnpm" => Some(NEWER_PNPM),
            "bun" => None,
            _ => Some(NEWER_NPM),
        };
        notes.extend(note.map(str::to_owned));
        let run = Run { command, inputs, dest: folder.clone(), owner: None };
        let layer = Layer { notes: notes.clone(), name: "dependencies".into(), kind: Kind::Run(run.clone()) };
        // A later command for the same folder replaces what an earlier one would have made.
        let earlier = stage.modules.get(&folder).copied();
        if let Some(Piece::Layer(before)) = earlier.and_then(|piece| stage.pieces.get_mut(piece)) {
            before.notes.push(self.origin(instruction));
            before.kind = layer.kind;
        } else {
            stage.modules.insert(folder.clone(), stage.pieces.len());
            self.layer(stage, instruction, layer);
        }
        let what = What::Layer { name: "dependencies".into(), run, below: "node_modules", notes };
        stage.origins.push(Origin { dest: joined(&folder, "node_modules"), what });
        if verb != "prune" && stage.node.is_none() {
            stage.prepared.push(match tool {
                "npm" if verb == "ci" => "npm ci".into(),
                tool => format!("{tool} install"),
            });
            stage.node = Some((tool.into(), verb.into()));
        }
        Ok(())
    }

    /// A build in the project's folder. In the stage that is kept its result becomes a layer at once.
    pub(super) fn build(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        line: String,
        elsewhere: Option<(&'static str, &'static str)>,
        native: bool,
        running: &Running,
    ) -> Result<(), RecipeError> {
        let folder = running.folder.clone();
        let host = stage.here(&folder, &mut self.budget).map_err(|spent| self.wrong(instruction, spent.to_string()))?;
        if !stage.prepared.contains(&line) {
            if stage.prepared.len() == 20 {
                return Err(self.wrong(instruction, "there are more than 20 builds in one stage"));
            }
            stage.prepared.push(line);
        }
        // cargo keeps what it makes for one platform apart from another's, and waits for itself.
        let mut lines = if elsewhere.is_some() { entered(&host) } else { copied(&host) };
        let tools = ["npm", "npx", "yarn", "pnpm", "bun"];
        if stage.prepared.iter().any(|line| line.split_whitespace().any(|word| tools.contains(&word))) {
            // A bundler runs on this machine: its own binaries are not to be the target's.
            lines.push("unset npm_config_os npm_config_cpu npm_config_libc".to_owned());
        }
        lines.extend(stage.prepared.iter().cloned());
        let mut notes = vec![BUILT.to_owned()];
        if native {
            notes.push("See to it that this builds for {arch}: nothing in the command says so.".into());
        }
        if elsewhere.is_none() {
            stage.built = Some(instruction.line);
        }
        let what = What::Build { lines, elsewhere, native, notes };
        stage.origins.push(Origin { dest: folder, what });
        Ok(())
    }

    /// Where the build of the project puts its result, by what it is made with.
    pub(super) fn output_folder(&self) -> &'static str {
        self.output.get_or_init(|| self.guessed_output())
    }

    fn guessed_output(&self) -> &'static str {
        let Some(package) = self.folder.json("package.json") else { return "dist" };
        let has =
            |name: &str| ["dependencies", "devDependencies"].iter().any(|table| package[*table].get(name).is_some());
        let known = [("next", ".next"), ("nuxt", ".output"), ("react-scripts", "build"), ("gatsby", "public")];
        known.iter().find(|(name, _)| has(name)).map_or("dist", |(_, folder)| folder)
    }

    /// The layer of a stage that is kept, for a build that nobody copies from.
    pub(super) fn settle_builds(&mut self, stage: &mut Stage) {
        let Some(line) = stage.built.take().filter(|_| stage.kept) else { return };
        let file = self.file;
        let Some(instruction) = file.instructions.iter().find(|instruction| instruction.line == line) else { return };
        let mut builds = stage.origins.iter().rev();
        let origin = builds.find(|origin| matches!(origin.what, What::Build { elsewhere: None, .. })).cloned();
        let Some(origin) = origin else { return };
        let What::Build { native, lines, .. } = &origin.what else { return };
        if *native {
            let message = format!(
                "the files that `{}` makes are not known",
                super::super::remark::shortened(&lines.join("; "), 60)
            );
            let help = "write a `run` layer that copies them into {out}, with their folder in the image as dest";
            return self.cannot(stage, instruction, message, Some(help));
        }
        let folder = self.output_folder();
        let message = format!("the result of the build is taken from {folder}, which is a guess");
        self.note(instruction, message, Some("correct the folder in the layer's command and dest"));
        let (dest, manner) = (origin.dest.clone(), super::copied::Manner::default());
        let found = Found { origin: &origin, rest: "", path: &dest, is_folder: true };
        self.place(stage, instruction, &found, (&dest, false), &manner);
    }
}

/// Into the folder of a project.
fn entered(host: &str) -> Vec<String> {
    if host == "." { Vec::new() } else { vec![format!("cd {}", from_template(host))] }
}

/// Into a copy of the project, and there into one of its folders, which may need others beside it.
pub(super) fn copied(host: &str) -> Vec<String> {
    let mut lines: Vec<String> = [
        "work=$(mktemp -d)",
        "trap 'rm -rf \"$work\"' EXIT",
        // Not through a pipe: nobody would see that a file could not be read. That one changes meanwhile (GNU tar's 1)
        // is as it may be: another layer may be compiled beside this one. The last image is no source.
        "image=$([ ! -e oci/oci-layout ] || echo --exclude=./oci)",
        "tar -cf \"$work/all.tar\" --exclude=./.git --exclude=./node_modules $image . || [ $? -eq 1 ]",
        "mkdir \"$work/copy\"",
        "tar -xf \"$work/all.tar\" -C \"$work/copy\"",
        "rm \"$work/all.tar\"",
        "cd \"$work/copy\"",
    ]
    .map(str::to_owned)
    .into();
    lines.extend(entered(host));
    lines
}

fn flag(wanted: bool, text: &'static str) -> &'static str {
    if wanted { text } else { "" }
}

/// The flags that choose the target's binaries.
fn target(stage: &Stage) -> String {
    let libc = if stage.ground.is_musl() { "musl" } else { "glibc" };
    format!("--os={{os}} --cpu=\"$npm_config_cpu\" --libc={libc}")
}
