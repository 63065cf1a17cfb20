//! Python's packages: pip, uv, poetry and pipenv fill a folder on this machine with wheels for the target.
//!
//! However many commands of a stage install packages, they make one layer: pip resolves what belongs together at once.

use std::fmt::Write as _;

use super::super::dockerfile::Instruction;
use super::super::dockerfile::expand::doubled;
use super::super::draft::{Kind, Layer, Piece, Run};
use super::super::requirements;
use super::super::shell::{self, Command, Word, from_template};
use super::Translator;
use super::command::Running;
use super::stage::{Origin, Pip, Stage, What, absolute, below, joined, split};
use crate::image::recipe::place::RecipeError;

/// Tools that work on this machine and need not be in the image.
const TOOLS: [&str; 9] = ["pip", "setuptools", "wheel", "uv", "poetry", "pipenv", "virtualenv", "build", "pip-tools"];

/// Flags of pip that take a value.
const TAKING: [&str; 30] = [
    "-r",
    "--requirement",
    "-c",
    "--constraint",
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "--trusted-host",
    "-t",
    "--target",
    "--prefix",
    "--root",
    "--cache-dir",
    "--timeout",
    "--retries",
    "--platform",
    "--python-version",
    "--implementation",
    "--abi",
    "--only-binary",
    "--no-binary",
    "-e",
    "--editable",
    "--progress-bar",
    "--root-user-action",
    "-w",
    "--wheel-dir",
    "--extra",
];

/// What a command asks for.
struct Asked {
    /// The folder that it names.
    dest: Option<String>,
    arguments: Vec<String>,
    inputs: Vec<String>,
    /// Whether uv is asked.
    uv: bool,
    /// A command that prints requirements.
    source: Option<String>,
}

impl Translator<'_> {
    pub(super) fn python(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        command: &Command,
        running: &mut Running,
    ) -> Result<(), RecipeError> {
        // `/opt/venv/bin/pip` is the pip of that environment.
        let program = command.words[0].text.clone();
        if let (folder, true) = (split(split(&program).0).0, split(split(&program).0).1 == "bin")
            && program.starts_with('/')
            && !matches!(folder, "/usr" | "/usr/local" | "/")
        {
            stage.venv = Some(doubled(folder));
        }
        let words = &command.words[1..];
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        match (command.name(), &texts[..]) {
            ("python" | "python3", ["-m", "pip", ..]) => self.pip(stage, instruction, &words[2..], running, false)?,
            ("python" | "python3", ["-mpip", ..]) => self.pip(stage, instruction, &words[1..], running, false)?,
            ("pip" | "pip3", _) => self.pip(stage, instruction, words, running, false)?,
            ("uv", ["pip", ..]) => self.pip(stage, instruction, &words[1..], running, true)?,
            ("python" | "python3", ["-m", "venv", .., path]) | ("virtualenv" | "uv", [.., path])
                if command.name() != "uv" || texts[0] == "venv" =>
            {
                let path = if texts.len() == 1 && command.name() == "uv" { ".venv" } else { path };
                stage.venv = Some(absolute(&running.folder, &doubled(path)));
            }
            ("uv", ["sync", ..]) => self.uv_sync(stage, instruction, &words[1..], running)?,
            ("poetry", ["install", ..]) => {
                let source = "poetry export --without-hashes";
                self.exported(stage, instruction, running, source, &["poetry.lock", "pyproject.toml"], false)?;
            }
            ("pipenv", ["install" | "sync", ..]) => {
                self.exported(stage, instruction, running, "pipenv requirements", &["Pipfile.lock"], false)?;
            }
            ("uv", ["python" | "cache" | "lock" | "export" | "--version" | "tool", ..])
            | ("poetry", ["config" | "export" | "--version" | "self" | "check" | "cache" | "env", ..])
            | ("python" | "python3", ["-m", "compileall", ..] | ["--version" | "-V", ..]) => {}
            ("python" | "python3", [script, "collectstatic", ..]) => {
                let message = format!("this cannot be done without running the target's code: {script} collectstatic");
                let help =
                    "run it before the build, with the same settings: STATIC_ROOT is then copied with the project";
                self.cannot(stage, instruction, message, Some(help));
            }
            _ => running
                .unknown
                .push(super::super::remark::shortened(&format!("{} {}", command.name(), texts.join(" ")), 60)),
        }
        Ok(())
    }

    fn pip(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        words: &[Word],
        running: &mut Running,
        uv: bool,
    ) -> Result<(), RecipeError> {
        let Some(verb) = words.iter().find(|word| !word.text.starts_with('-')) else { return Ok(()) };
        let wheels = verb.text == "wheel";
        if verb.text != "install" && !wheels {
            if !matches!(
                verb.text.as_str(),
                "cache" | "config" | "check" | "list" | "freeze" | "show" | "debug" | "download" | "sync"
            ) {
                running.unknown.push(format!("pip {}", super::super::remark::shortened(&verb.text, 40)));
            }
            return Ok(());
        }
        let (mut arguments, mut inputs, mut dest, mut packages, mut wheel_folder) =
            (Vec::new(), Vec::new(), None, 0, None);
        let mut at = words.iter().position(|word| std::ptr::eq(word, verb)).unwrap_or_default() + 1;
        while let Some(word) = words.get(at) {
            at += 1;
            let (flag, mut value) = match word.text.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some((value.to_owned(), shell::word(value)))),
                _ if word.text.starts_with("-r") && word.text.len() > 2 => {
                    ("-r", Some((word.text[2..].to_owned(), shell::word(&word.text[2..]))))
                }
                _ => (word.text.as_str(), None),
            };
            if value.is_none() && TAKING.contains(&flag) {
                value = words.get(at).map(|word| (word.text.clone(), word.shell.clone()));
                at += 1;
            }
            match (flag, value) {
                ("-r" | "--requirement" | "-c" | "--constraint", Some((file, _))) => {
                    let host = self.host_file(stage, instruction, &file, running)?;
                    let short = if flag.contains('c') && !flag.contains("req") { "-c" } else { "-r" };
                    arguments.push(format!("{short} {}", from_template(&host)));
                    inputs.extend(requirements::files(self.folder, &host));
                    packages += usize::from(short == "-r");
                }
                ("-t" | "--target", Some((path, _))) => dest = Some(absolute(&running.folder, &doubled(&path))),
                ("--prefix" | "--root", Some((path, _))) => {
                    let prefix = absolute(&running.folder, &doubled(&path));
                    dest = Some(stage.ground.python().map_or(prefix.clone(), |version| library(&prefix, &version)));
                }
                ("--user", _) => {
                    let home = match stage.user.as_deref() {
                        None | Some("root" | "0") => "/root".to_owned(),
                        Some(user) => format!("/home/{}", doubled(user.split(':').next().unwrap_or_default())),
                    };
                    let folder = format!("{home}/.local");
                    dest = Some(stage.ground.python().map_or(folder.clone(), |version| library(&folder, &version)));
                }
                ("-w" | "--wheel-dir", Some((path, _))) => {
                    wheel_folder = Some(absolute(&running.folder, &doubled(&path)));
                }
                ("-i" | "--index-url" | "--extra-index-url" | "--trusted-host", Some((_, shell))) => {
                    arguments.push(format!("{flag} {shell}"));
                }
                ("-f" | "--find-links", Some((path, shell))) => {
                    if self.wheels(stage, instruction, &absolute(&running.folder, &path))?.is_none() {
                        arguments.push(format!("{flag} {shell}"));
                    }
                }
                ("-e" | "--editable", Some((path, _))) => {
                    let host = self.host_file(stage, instruction, &path, running)?;
                    arguments.push(local(&host));
                    packages += 1;
                }
                ("--require-hashes" | "--no-deps" | "--pre", _) => arguments.push(flag.to_owned()),
                (flag, _) if flag.starts_with('-') => {}
                (spec, _) => {
                    let name: String =
                        spec.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
                    if TOOLS.contains(&name.to_ascii_lowercase().as_str()) {
                        continue;
                    }
                    packages += 1;
                    if spec.starts_with(['.', '/']) {
                        let path = absolute(&running.folder, spec.split(['[', '*']).next().unwrap_or_default());
                        if let Some(wanted) = self.wheels(stage, instruction, &path)? {
                            inputs.extend(wanted.iter().filter_map(|word| word.strip_prefix("-r ")).map(str::to_owned));
                            arguments.extend(wanted);
                        } else {
                            let host = self.host_file(
                                stage,
                                instruction,
                                spec.split('[').next().unwrap_or_default(),
                                running,
                            )?;
                            let extra = spec.find('[').map_or("", |at| &spec[at..]);
                            arguments.push(local(&format!("{host}{}", doubled(extra))));
                        }
                    } else {
                        arguments.push(word.shell.clone());
                    }
                }
            }
        }
        if packages == 0 {
            return Ok(());
        }
        if wheels {
            let folder = wheel_folder.unwrap_or_else(|| running.folder.clone());
            stage.origins.push(Origin { dest: folder, what: What::Wheels(arguments) });
            return Ok(());
        }
        self.packages_into(stage, instruction, Asked { dest, arguments, inputs, uv, source: None });
        Ok(())
    }

    /// What was asked of pip for the wheels of a folder.
    fn wheels(
        &mut self,
        stage: &Stage,
        instruction: &Instruction,
        path: &str,
    ) -> Result<Option<Vec<String>>, RecipeError> {
        self.spend(instruction, stage.origins.len())?;
        Ok(stage.origins.iter().rev().find_map(|origin| match &origin.what {
            What::Wheels(arguments) if below(path, &origin.dest).is_some() => Some(arguments.clone()),
            _ => None,
        }))
    }

    /// The file of the project that a command of the Dockerfile means.
    fn host_file(
        &mut self,
        stage: &Stage,
        instruction: &Instruction,
        path: &str,
        running: &Running,
    ) -> Result<String, RecipeError> {
        let whole = absolute(&running.folder, &doubled(path));
        let found = stage.host(&whole, &mut self.budget).map_err(|spent| self.wrong(instruction, spent.to_string()))?;
        if let Some(host) = found {
            return Ok(host);
        }
        let plain = absolute("/", &doubled(path))[1..].to_owned();
        let plain = if plain.is_empty() { ".".to_owned() } else { plain };
        if !self.folder.has(&plain) && self.folder.path().is_some() {
            let shown = super::super::remark::shortened(path, 60);
            let message =
                format!("nothing that is understood puts {shown} there: the recipe takes it from the project's folder");
            self.note(instruction, message, None);
        }
        Ok(plain)
    }

    fn uv_sync(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        words: &[Word],
        running: &mut Running,
    ) -> Result<(), RecipeError> {
        let mut source = "uv export --quiet --frozen --no-hashes --no-emit-project".to_owned();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "--no-dev" | "--all-extras" => {
                    let _ = write!(source, " {}", word.text);
                }
                "--extra" | "--group" | "--no-group" => {
                    let value = words.next().map(|word| word.shell.as_str()).unwrap_or_default();
                    let _ = write!(source, " {} {value}", word.text);
                }
                _ => {}
            }
        }
        self.exported(stage, instruction, running, &source, &["uv.lock", "pyproject.toml"], true)
    }

    /// Packages that a lock file names, by way of the tool that reads it.
    fn exported(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        running: &Running,
        source: &str,
        files: &[&str],
        uv: bool,
    ) -> Result<(), RecipeError> {
        let host = stage
            .here(&running.folder, &mut self.budget)
            .map_err(|spent| self.wrong(instruction, spent.to_string()))?;
        let inputs: Vec<String> = files.iter().map(|file| joined(&host, file)).collect();
        let source = if host == "." { source.to_owned() } else { format!("cd {} && {source}", from_template(&host)) };
        let folder = stage.venv.clone().or_else(|| {
            let named = stage.config.env.get("UV_PROJECT_ENVIRONMENT").filter(|_| uv)?;
            Some(absolute(&running.folder, &doubled(named)))
        });
        // uv makes an environment beside the project; the others install where Python looks, as Dockerfiles have them
        // do.
        let folder = folder.or_else(|| uv.then(|| absolute(&running.folder, ".venv")));
        let dest = folder.and_then(|folder| Some(library(&folder, &stage.ground.python()?)));
        let from = if uv { "-r -" } else { "-r /dev/stdin" };
        let asked = Asked { dest, arguments: vec![from.into()], inputs, uv, source: Some(source) };
        self.packages_into(stage, instruction, asked);
        Ok(())
    }

    fn packages_into(&mut self, stage: &mut Stage, instruction: &Instruction, asked: Asked) {
        let Asked { dest, arguments, inputs, uv, source } = asked;
        let version = stage.ground.python();
        let dest = dest.unwrap_or_else(|| match (&stage.venv, &version) {
            (Some(venv), Some(version)) => library(venv, version),
            (None, Some(version)) => library("/usr/local", version),
            (_, None) => "/opt/python".into(),
        });
        let origin = self.origin(instruction);
        if version.is_none() && stage.pips.is_empty() {
            let message =
                "the version of Python is not known from the base: wheels are chosen for the one of this machine";
            self.note(instruction, message, Some("add --python-version 3.13, or what the base has, to the command"));
        }
        if let Some(pip) = stage.pips.iter_mut().find(|pip| pip.dest == dest) {
            // A second `uv sync` brings the project itself, whose files are copied.
            if source.is_none() || pip.source.is_none() {
                pip.arguments.extend(arguments);
                pip.source = pip.source.take().or(source);
            }
            for input in inputs {
                pip.inputs.insert(input);
            }
            if let Some(Piece::Layer(layer)) = stage.pieces.get_mut(pip.piece) {
                // Several commands of one RUN are one line.
                if !layer.notes.contains(&origin) || layer.notes.len() > 20 {
                    layer.notes.push(origin);
                }
            }
            return;
        }
        let piece = stage.pieces.len();
        stage.python = Some((dest.clone(), piece));
        stage.pips.push(Pip { dest, piece, arguments, inputs: inputs.into_iter().collect(), uv, source });
        let layer = Layer { notes: Vec::new(), name: "dependencies".into(), kind: Kind::Run(Run::default()) };
        self.layer(stage, instruction, layer);
    }
}

/// Removes the file by which uv locks the folder that it fills.
pub(crate) const OF_UV: &str = " && rm -f {out}/.lock";

/// A command that reads the packages from its input, and the one that lists them. In a pipe nobody would see that the
/// lock file could not be read, and the layer would be empty.
pub(crate) fn fed(list: &str, install: &str) -> String {
    format!("requirements=$({list}) && printf '%s\\n' \"$requirements\" | {install}")
}

/// Writes the commands of a stage that was read to its end.
pub(super) fn settle(stage: &mut Stage) {
    for pip in &stage.pips {
        let version = stage.ground.python();
        let python = version.map_or(String::new(), |version| format!(" --python-version {version}"));
        let how = match (pip.uv, stage.ground.is_musl()) {
            (true, musl) => {
                let platform = if musl { "{machine}-unknown-linux-musl" } else { "{machine}-manylinux_2_28" };
                format!("uv pip install --target {{out}} --python-platform {platform}{python} --only-binary :all:")
            }
            (false, musl) => {
                let platforms = if musl {
                    "--platform musllinux_1_2_{machine} --platform musllinux_1_1_{machine}"
                } else {
                    "--platform manylinux_2_28_{machine} --platform manylinux2014_{machine}"
                };
                // In one word: after `-m pip` in two, pyenv writes its shims anew, and where that happens twice at
                // once, as it does for two platforms, one of the two fails now and then.
                format!(
                    "python3 -mpip install --no-compile --only-binary=:all: {platforms}{python} --implementation cp --target {{out}}"
                )
            }
        };
        let how = format!("{how} {}", pip.arguments.join(" "));
        let mut command = pip.source.as_ref().map_or_else(|| how.clone(), |source| fed(source, &how));
        if pip.uv {
            command.push_str(OF_UV);
        }
        // The project itself is more than the files that name what it needs.
        let whole = pip.arguments.iter().any(|argument| argument.starts_with('.'));
        let inputs = if whole { Vec::new() } else { pip.inputs.iter().cloned().collect() };
        let run = Run { command, inputs, dest: pip.dest.clone(), owner: None };
        let advice = "Wheels for the target, chosen on this machine. A package without a wheel for it stops the build: build \
                      one on such a machine, or take another version.";
        if let Some(Piece::Layer(layer)) = stage.pieces.get_mut(pip.piece) {
            if !layer.notes.iter().any(|note| note == advice) {
                layer.notes.push(advice.into());
            }
            let owner = match &layer.kind {
                Kind::Run(run) => run.owner.clone(),
                _ => None,
            };
            layer.kind = Kind::Run(Run { owner, ..run.clone() });
        }
        let what = What::Layer { name: "dependencies".into(), run, below: "", notes: vec![advice.into()] };
        stage.origins.push(Origin { dest: pip.dest.clone(), what });
    }
}
/// Where Python looks for packages below a prefix.
fn library(prefix: &str, version: &str) -> String {
    format!("{}/lib/python{version}/site-packages", prefix.trim_end_matches('/'))
}

/// A path that pip does not take for a package's name.
fn local(host: &str) -> String {
    let path = from_template(host);
    if host.starts_with('.') { path } else { format!("./{path}") }
}
