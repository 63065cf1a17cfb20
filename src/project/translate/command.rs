//! `RUN`: each of its commands becomes a layer, or nothing where the image has no need of it, or is told.

use super::super::dockerfile::expand::Text;
use super::super::dockerfile::{Form, Instruction};
use super::super::remark::shortened;
use super::super::shell::{self, Command, Join, Script};
use super::Translator;
use super::copied::Manner;
use super::stage::{Stage, absolute};
use crate::image::recipe::place::RecipeError;
use crate::layer::run::quoted;

/// More commands of one `RUN` than anyone writes.
const MOST_COMMANDS: usize = 1000;

/// One `RUN` while it is read.
pub(super) struct Running {
    /// The folder that its commands are in.
    pub(super) folder: String,
    /// What is not understood.
    pub(super) unknown: Vec<String>,
    /// The script.
    pub(super) script: String,
}

/// The lines of a command for a recipe: one if they are short.
pub(super) fn script(lines: &[String]) -> String {
    let line = lines.join(" && ");
    if line.len() <= 160 && !lines.iter().any(|line| line.starts_with("if ")) {
        return line;
    }
    format!("{}\n", lines.join("\n"))
}

impl Translator<'_> {
    pub(super) fn run(&mut self, stage: &mut Stage, instruction: &Instruction) -> Result<(), RecipeError> {
        let mut text = match instruction.form() {
            Form::Exec(words) => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
            Form::Shell(line) => line,
        };
        if let Some(heredoc) = instruction.heredocs.first() {
            let mut rest = text.clone();
            for heredoc in instruction.heredocs.iter().rev() {
                if rest.is_char_boundary(heredoc.at.start) && rest.get(heredoc.at.clone()).is_some() {
                    rest.replace_range(heredoc.at.clone(), "");
                }
            }
            match rest.trim() {
                "" | "sh" | "bash" | "/bin/sh" | "/bin/bash" | "sh -e" | "bash -e" => text.clone_from(&heredoc.content),
                cat if cat.starts_with("cat") => {
                    let read = shell::read(cat, &stage.variables, &mut self.budget);
                    if let Ok(Script::Commands(commands)) = read
                        && let [Command { output: Some((false, file)), .. }] = &commands[..]
                    {
                        let dest = absolute(&stage.workdir, &file.text);
                        return self.written_out(stage, instruction, &dest, &Manner::default());
                    }
                }
                _ => {}
            }
            if text != heredoc.content && heredoc.at.start < text.len() {
                let message = "this cannot be done without running the target: a here-document is given to a program";
                self.cannot(
                    stage,
                    instruction,
                    message,
                    Some("run the program before the build and copy what it made"),
                );
                return Ok(());
            }
        }
        let read = shell::read(&text, &stage.variables, &mut self.budget);
        let commands = match read.map_err(|spent| self.wrong(instruction, spent.to_string()))? {
            Script::Commands(commands) => commands,
            Script::Opaque(word) => {
                let message = format!(
                    "this cannot be done without running the target: `{}` is left to a shell, which init does not follow",
                    shortened(&word, 20)
                );
                self.cannot(
                    stage,
                    instruction,
                    message,
                    Some("do it on this machine and `copy` the result, or choose a base that has it"),
                );
                return Ok(());
            }
        };
        let mut running = Running { folder: stage.workdir.clone(), unknown: Vec::new(), script: text };
        if commands.len() > MOST_COMMANDS {
            return Err(self.wrong(instruction, format!("there are more than {MOST_COMMANDS} commands in one RUN")));
        }
        for command in commands {
            self.spend(instruction, command.words.len() + 1)?;
            match command.join {
                // What runs where a command fails has nothing to do where it does not.
                Join::Or => continue,
                _ if command.piped || command.join == Join::Pipe => {
                    if !matches!(command.name(), "echo" | "cat" | "tee" | "grep" | "true" | "head" | "yes" | "xargs")
                        || command.output.is_some()
                    {
                        running
                            .unknown
                            .push(shortened(running.script.get(command.span.clone()).unwrap_or_default(), 60));
                    }
                    continue;
                }
                Join::Then | Join::Pipe => {}
            }
            self.command(stage, instruction, command, &mut running)?;
        }
        if !running.unknown.is_empty() {
            let count = running.unknown.len();
            let shown: Vec<String> = running.unknown.into_iter().take(5).collect();
            let more = if count > 5 { format!("; and {} more", count - 5) } else { String::new() };
            let message = format!("this cannot be done without running the target: {}{more}", shown.join("; "));
            let help = "do it on this machine (before the build, or by a `run` layer that fills {out}) and `copy` the result, or \
                        choose a base that has it";
            self.cannot(stage, instruction, message, Some(help));
        }
        Ok(())
    }

    fn command(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        mut command: Command,
        running: &mut Running,
    ) -> Result<(), RecipeError> {
        while matches!(command.name(), "sudo" | "exec" | "time" | "command" | "nice" | "env") && command.words.len() > 1
        {
            command.words.remove(0);
            while command.name().contains('=') && command.words.len() > 1 {
                let assignment = command.words.remove(0);
                command.assignments.push(assignment);
            }
        }
        let name = command.name().to_owned();
        match name.as_str() {
            "" | "export" => {
                let words = if name.is_empty() { &command.assignments } else { &command.words };
                for (name, value) in
                    words.iter().filter(|word| !word.dynamic).filter_map(|word| word.text.split_once('='))
                {
                    stage.variables.args.insert(name.into(), Text::literal(value));
                }
            }
            "cd" => {
                if let [folder] = command.arguments()[..] {
                    running.folder = absolute(&running.folder, &super::super::dockerfile::expand::doubled(folder));
                }
            }
            "set" | "true" | ":" | "test" | "[" | "ls" | "pwd" | "which" | "uname" | "id" | "sync" | "sleep"
            | "umask" | "ldconfig" | "corepack" | "rustup" | "type" | "hash" | "nproc" | "locale-gen" | "file"
            | "du" | "find"
                if command.output.is_none() && !command.arguments().contains(&"-delete") => {}
            "pip" | "pip3" | "python" | "python3" | "uv" | "poetry" | "pipenv" | "pdm" | "virtualenv" | "pipx" => {
                self.python(stage, instruction, &command, running)?;
            }
            "npm" | "yarn" | "pnpm" | "npx" | "bun" | "node" => self.node(stage, instruction, &command, running)?,
            "go" | "cargo" | "mvn" | "mvnw" | "gradle" | "gradlew" | "make" | "cmake" | "dotnet" | "hugo" | "tsc"
            | "xx-go" | "xx-cargo" | "bundle" | "composer" | "zola" | "mkdocs" => {
                self.built(stage, instruction, &command, running)?;
            }
            "apt-get" | "apt" | "apk" | "yum" | "dnf" | "microdnf" | "zypper" | "dpkg" | "rpm" => {
                self.packages(stage, instruction, &command);
            }
            "useradd" | "adduser" | "groupadd" | "addgroup" | "usermod" => {
                self.spend(instruction, stage.accounts.len() + stage.groups.len())?;
                self.account(stage, instruction, &command);
            }
            _ => {
                if !self.file_command(stage, instruction, &command, running)? {
                    let shown = running.script.get(command.span.clone()).unwrap_or_default();
                    let words: Vec<&str> = shown.split_whitespace().collect();
                    running.unknown.push(shortened(&words.join(" "), 60));
                }
            }
        }
        Ok(())
    }
}
