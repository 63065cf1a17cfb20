//! Programs that are compiled: Go and Rust for each platform on this machine, and what other tools build.

use std::fmt::Write as _;

use super::super::dockerfile::Instruction;
use super::super::dockerfile::expand::doubled;
use super::super::draft::{Kind, Layer, Run};
use super::super::remark::shortened;
use super::super::shell::{Command, from_template};
use super::Translator;
use super::command::Running;
use super::copied::Manner;
use super::stage::{Origin, Stage, What, absolute, joined, split};
use super::traced::Found;
use crate::image::recipe::place::RecipeError;

/// Why flags are given to Go that no Dockerfile asks for.
pub(in super::super) const SAME_BYTES: &str = "-trimpath and -buildvcs=false keep the folder's path and git's state out \
                                               of the program: the same source makes the same bytes everywhere.";

impl Translator<'_> {
    pub(super) fn built(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        command: &Command,
        running: &mut Running,
    ) -> Result<(), RecipeError> {
        let words = command.arguments();
        let verb = words.iter().find(|word| !word.starts_with(['-', '+'])).copied().unwrap_or_default();
        let line = || command.words.iter().map(|word| word.shell.as_str()).collect::<Vec<_>>().join(" ");
        match (command.name(), verb) {
            ("go" | "xx-go", "build" | "install") => self.go(stage, instruction, command, verb, running)?,
            ("cargo" | "xx-cargo", "build" | "b" | "install" | "zigbuild") => {
                self.cargo(stage, instruction, command, verb, running)?;
            }
            ("mvn" | "mvnw" | "gradle" | "gradlew", _) => {
                let builds =
                    ["package", "install", "verify", "build", "assemble", "bootJar", "shadowJar", "installDist", "jar"];
                if words.iter().any(|word| builds.contains(&word.rsplit(':').next().unwrap_or_default())) {
                    self.build(stage, instruction, line(), None, false, running)?;
                }
            }
            ("dotnet", "publish") => self.dotnet(stage, instruction, command, running)?,
            ("composer", "install" | "i") => {
                let host = stage
                    .here(&running.folder, &mut self.budget)
                    .map_err(|spent| self.wrong(instruction, spent.to_string()))?;
                let inputs: Vec<String> =
                    ["composer.json", "composer.lock"].iter().map(|file| joined(&host, file)).collect();
                let sources: Vec<String> = inputs.iter().map(|input| from_template(input)).collect();
                let command = format!(
                    "cp {} {{out}}/ && composer install --working-dir={{out}} --no-dev --no-scripts --no-interaction",
                    sources.join(" ")
                );
                let run = Run { command, inputs, dest: running.folder.clone(), owner: None };
                self.made(stage, instruction, "dependencies", run, "vendor", Vec::new());
            }
            ("go" | "xx-go" | "cargo" | "xx-cargo" | "dotnet" | "composer", _) => {}
            ("make" | "cmake" | "hugo" | "tsc" | "zola" | "mkdocs", _) => {
                let native = matches!(command.name(), "make" | "cmake");
                self.build(stage, instruction, line(), None, native, running)?;
            }
            _ => running.unknown.push(shortened(&line(), 60)),
        }
        Ok(())
    }

    /// A folder that a command makes; a layer at once in the stage that is kept.
    fn made(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        name: &str,
        run: Run,
        below: &'static str,
        notes: Vec<String>,
    ) {
        let dest = joined(&run.dest, below);
        if stage.kept {
            let layer = Layer { notes: notes.clone(), name: name.into(), kind: Kind::Run(run.clone()) };
            self.layer(stage, instruction, layer);
        }
        stage.origins.push(Origin { dest, what: What::Layer { name: name.into(), run, below, notes } });
    }

    fn go(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        command: &Command,
        verb: &str,
        running: &Running,
    ) -> Result<(), RecipeError> {
        let host = stage
            .here(&running.folder, &mut self.budget)
            .map_err(|spent| self.wrong(instruction, spent.to_string()))?;
        let mut before = String::new();
        if host != "." {
            let _ = write!(before, "cd {} && ", from_template(&host));
        }
        before.push_str("CGO_ENABLED=0 GOOS={os} GOARCH={arch} ");
        let mut chosen = String::new();
        let mut cgo = stage.config.env.get("CGO_ENABLED").is_some_and(|value| value == "1");
        for assignment in &command.assignments {
            match assignment.text.split_once('=') {
                Some(("CGO_ENABLED", value)) => cgo = value == "1",
                Some(("GOOS" | "GOARCH" | "GOARM" | "CC" | "GOBIN", _)) => {}
                pair => {
                    if let Some(("GOFLAGS", value)) = pair {
                        value.clone_into(&mut chosen);
                    }
                    before.push_str(&assignment.shell);
                    before.push(' ');
                }
            }
        }
        if cgo {
            let message = "cgo is turned off: with it a C compiler for each target would be needed";
            self.note(
                instruction,
                message,
                Some("set CGO_ENABLED=1 and CC in the layer's command where such a compiler is there"),
            );
        }
        let (mut output, mut packages, mut behind) = (None, Vec::new(), String::new());
        let mut words = command.words.iter().skip(1).skip_while(|word| word.text != verb).skip(1);
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "-o" => output = words.next().map(|word| word.text.clone()),
                text if text.starts_with("-o=") => output = Some(text[3..].to_owned()),
                text => {
                    let takes = matches!(
                        text,
                        "-ldflags"
                            | "-tags"
                            | "-mod"
                            | "-gcflags"
                            | "-asmflags"
                            | "-buildmode"
                            | "-p"
                            | "-C"
                            | "-overlay"
                            | "-modfile"
                    );
                    if !text.starts_with('-') {
                        packages.push(text.to_owned());
                    }
                    let _ = write!(behind, " {}", word.shell);
                    if takes && let Some(value) = words.next() {
                        let _ = write!(behind, " {}", value.shell);
                    }
                }
            }
        }
        if verb == "install" && packages.iter().any(|package| package.contains('@')) {
            if stage.kept {
                let message = format!("a program is installed from elsewhere: {}", shortened(&packages.join(" "), 80));
                self.cannot(
                    stage,
                    instruction,
                    message,
                    Some("make it a tool of the project's go.mod, and build it with `go build -o {out}/NAME PACKAGE`"),
                );
            }
            return Ok(());
        }
        before.push_str("go build");
        let mut added = String::new();
        for (flag, value) in [("-trimpath", ""), ("-buildvcs", "=false")] {
            let said = |word: &str| word.trim_start_matches('-').split('=').next() == Some(&flag[1..]);
            if !command.arguments().into_iter().chain(chosen.split_whitespace()).any(said) {
                let _ = write!(added, " {flag}{value}");
            }
        }
        before.push_str(&added);
        before.push_str(" -o ");
        let mut notes = vec![
            "Cross-compiled on this machine at each build; what has not changed comes from Go's own cache.".to_owned(),
        ];
        if !added.is_empty() {
            notes.push(SAME_BYTES.into());
        }
        self.spend(instruction, super::A_FILE)?;
        let default = self.go_name(packages.first().map_or(".", String::as_str), &host, running);
        let into = output
            .as_ref()
            .is_some_and(|path| path.ends_with('/') || stage.is_folder(&absolute(&running.folder, path)));
        let several = packages.len() > 1 || packages.iter().any(|package| package.contains("..."));
        let folder = if verb == "install" { "/go/bin".to_owned() } else { running.folder.clone() };
        let path = match output {
            Some(path) if into => joined(&absolute(&running.folder, &doubled(&path)), &default),
            Some(path) => absolute(&running.folder, &doubled(&path)),
            None => joined(&folder, &default),
        };
        if several {
            let dest = if into { split(&path).0.to_owned() } else { folder };
            let run = Run { command: format!("{before}{{out}}/{behind}"), inputs: Vec::new(), dest, owner: None };
            self.made(stage, instruction, "programs", run, "", notes);
            return Ok(());
        }
        self.program(stage, instruction, &path, What::Program { before, behind, notes });
        Ok(())
    }

    /// A program; a layer at once in the stage that is kept.
    pub(super) fn program(&mut self, stage: &mut Stage, instruction: &Instruction, path: &str, what: What) {
        let origin = Origin { dest: path.into(), what };
        if stage.kept {
            let found = Found { origin: &origin, rest: "", path, is_folder: false };
            self.place(stage, instruction, &found, (path, false), &Manner::default());
        } else {
            stage.origins.push(origin);
        }
    }

    /// The name that Go gives a program: the last one of its package's path, or of its module's.
    fn go_name(&self, package: &str, host: &str, running: &Running) -> String {
        let last = package.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if !matches!(last, "" | "." | "..") {
            return doubled(last);
        }
        let module = self.folder.text(&joined(host, "go.mod")).and_then(|text| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix("module "))?.trim().to_owned();
            line.rsplit('/').find(|name| !is_major(name)).map(str::to_owned)
        });
        module.unwrap_or_else(|| match split(&running.folder).1 {
            "" => "app".into(),
            name => name.into(),
        })
    }

    fn cargo(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        command: &Command,
        verb: &str,
        running: &Running,
    ) -> Result<(), RecipeError> {
        let (mut line, mut release, mut root, mut local) =
            ("cargo build".to_owned(), verb == "install", None, verb != "install");
        let mut words = command.words.iter().skip(1).skip_while(|word| word.text != verb).skip(1);
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "--target" | "--target-dir" => drop(words.next()),
                "--root" => root = words.next().map(|word| word.text.clone()),
                "--path" => {
                    local = true;
                    if let Some(path) = words.next().filter(|path| path.text != ".") {
                        let _ = write!(line, " --manifest-path {}/Cargo.toml", path.shell);
                    }
                }
                text if text.starts_with("--target=") || text.starts_with("--target-dir=") || text == "--force" => {}
                text => {
                    release |= matches!(text, "--release" | "-r");
                    let _ = write!(line, " {}", word.shell);
                }
            }
        }
        if !local {
            return Ok(());
        }
        if verb == "install" {
            line.push_str(" --release");
        }
        line.push_str(" --target {machine}-unknown-linux-musl");
        let (there, here) = match (verb, release) {
            ("install", _) => ("bin", "target/{machine}-unknown-linux-musl/release"),
            (_, true) => ("target/release", "target/{machine}-unknown-linux-musl/release"),
            (_, false) => ("target/debug", "target/{machine}-unknown-linux-musl/debug"),
        };
        self.build(stage, instruction, line, Some((there, here)), false, running)?;
        let Some(origin) = stage.origins.last_mut() else { return Ok(()) };
        if verb == "install" {
            origin.dest = root.map_or("/usr/local/cargo".into(), |root| absolute(&running.folder, &doubled(&root)));
        }
        if let What::Build { notes, .. } = &mut origin.what {
            "Cross-compiled on this machine, linked statically against musl, so that it runs on any base: `rustup target add` the two \
             targets; a crate that compiles C needs a C compiler for them as well (cargo-zigbuild has one)."
                .clone_into(&mut notes[0]);
        }
        if stage.kept {
            let origin = origin.clone();
            self.spend(instruction, super::A_FILE)?;
            let package = self
                .folder
                .toml("Cargo.toml")
                .and_then(|table| Some(table.get("package")?.get("name")?.as_str()?.to_owned()));
            let rest = format!("{there}/{}", doubled(&package.unwrap_or_else(|| "app".into())));
            let path = joined(&origin.dest, &rest);
            let found = Found { origin: &origin, rest: &rest, path: &path, is_folder: false };
            self.place(stage, instruction, &found, (&path, false), &Manner::default());
        }
        Ok(())
    }

    fn dotnet(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        command: &Command,
        running: &Running,
    ) -> Result<(), RecipeError> {
        let host = stage
            .here(&running.folder, &mut self.budget)
            .map_err(|spent| self.wrong(instruction, spent.to_string()))?;
        let (mut line, mut output) = ("dotnet".to_owned(), None);
        let mut words = command.words.iter().skip(1);
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "-o" | "--output" => output = words.next().map(|word| word.text.clone()),
                "--no-restore" | "--no-build" => {}
                "-a" | "--arch" | "-r" | "--runtime" | "--os" => drop(words.next()),
                _ => {
                    let _ = write!(line, " {}", word.shell);
                }
            }
        }
        let dest = absolute(&running.folder, &doubled(&output.unwrap_or_else(|| "publish".into())));
        let mut lines = super::node::copied(&host);
        lines.push(format!("{line} --output {{out}}"));
        let run = Run { command: super::command::script(&lines), inputs: Vec::new(), dest, owner: None };
        let notes = vec![
            "Assemblies run on every platform; native libraries of packages come for all that they support.".to_owned(),
        ];
        self.made(stage, instruction, "app", run, "", notes);
        Ok(())
    }
}

/// `v2`, the end of a module's path that is no name.
fn is_major(name: &str) -> bool {
    name.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
