//! Instructions that become the image configuration, or change what later ones mean.

use super::super::dockerfile::expand::{Text, Variables, words};
use super::super::dockerfile::{Form, Instruction};
use super::Translator;
use super::stage::{Stage, absolute};
use crate::image::config::{check_name, parse_port, parse_signal, parse_user};
use crate::image::recipe::place::RecipeError;

/// More ports of one range than anyone opens.
const MOST_PORTS: u16 = 64;

impl Translator<'_> {
    pub(super) fn setting(&mut self, stage: &mut Stage, instruction: &Instruction) -> Result<(), RecipeError> {
        match instruction.keyword {
            "ARG" => self.argument(stage, instruction)?,
            "ENV" => self.env(stage, instruction)?,
            "LABEL" => {
                for (name, value) in self.pairs(stage, instruction)? {
                    stage.config.labels.insert(name, value);
                }
            }
            "MAINTAINER" => {
                let name = "org.opencontainers.image.authors".to_owned();
                stage.config.labels.insert(name, instruction.rest.clone());
            }
            "WORKDIR" => {
                if let Some(path) = self.value(stage, instruction, &instruction.rest)? {
                    stage.workdir = absolute(&stage.workdir, path.as_template());
                    stage.folders.insert(stage.workdir.clone());
                    stage.config.working_dir = path.plain().and_then(|_| Text::template(&*stage.workdir).plain());
                }
            }
            "USER" => {
                if let Some(user) = self.plain(stage, instruction, &instruction.rest)? {
                    match parse_user(&user) {
                        Ok(user) => stage.user = Some(user),
                        Err(error) => self.cannot(stage, instruction, error.message, error.help.as_deref()),
                    }
                }
            }
            "EXPOSE" => self.expose(stage, instruction)?,
            "VOLUME" => {
                let paths = match instruction.form() {
                    Form::Exec(paths) => paths,
                    Form::Shell(line) => words(&line, self.file.escape).into_iter().map(str::to_owned).collect(),
                };
                for path in paths {
                    if let Some(path) = self.plain(stage, instruction, &path)? {
                        stage.config.volumes.insert(absolute("/", &path));
                    }
                }
            }
            "STOPSIGNAL" => {
                if let Some(signal) = self.plain(stage, instruction, &instruction.rest)? {
                    let upper = signal.to_ascii_uppercase();
                    let whole = if upper.starts_with("SIG") || upper.starts_with(|c: char| c.is_ascii_digit()) {
                        upper
                    } else {
                        format!("SIG{upper}")
                    };
                    match parse_signal(&whole) {
                        Ok(signal) => stage.config.stop_signal = Some(signal),
                        Err(error) => self.cannot(stage, instruction, error.message, error.help.as_deref()),
                    }
                }
            }
            "SHELL" => match instruction.array() {
                Some(words) if !words.is_empty() => stage.shell = Some(words),
                _ => return Err(self.wrong(instruction, "SHELL takes a JSON array of strings")),
            },
            "CMD" => {
                stage.config.cmd = Some(self.command_words(stage, instruction));
                stage.cmd_here = true;
            }
            "ENTRYPOINT" => {
                stage.config.entrypoint = Some(self.command_words(stage, instruction));
                // Docker forgets a CMD of below, but not one of the same stage.
                if !stage.cmd_here {
                    stage.config.cmd = None;
                }
            }
            "HEALTHCHECK" => self.health(stage, instruction),
            "ONBUILD" => {
                let message = "ONBUILD is for images that are built on this one, and a recipe has no word for it";
                self.cannot(
                    stage,
                    instruction,
                    message,
                    Some("write the instruction into the recipes of those images"),
                );
            }
            _ => {}
        }
        Ok(())
    }

    fn argument(&mut self, stage: &mut Stage, instruction: &Instruction) -> Result<(), RecipeError> {
        for word in words(&instruction.rest, self.file.escape) {
            let (name, default) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let value = if let Some(given) = self.wanted.arguments.get(name) {
                Some(Text::literal(given))
            } else if let Some(default) = default {
                self.value(stage, instruction, default)?
            } else {
                let global = self.globals.args.get(name).cloned();
                global.or_else(|| Variables::automatic(name))
            };
            if let Some(value) = value {
                stage.variables.args.insert(name.into(), value);
            }
        }
        Ok(())
    }

    fn env(&mut self, stage: &mut Stage, instruction: &Instruction) -> Result<(), RecipeError> {
        if instruction.rest.contains("$PATH") || instruction.rest.contains("${PATH}") {
            let message = "PATH of the base is not known here; the usual one was put in";
            self.note(instruction, message, Some("compare it with what `dockless inspect BASE` shows"));
        }
        // Values refer to what was there before the instruction.
        for (name, value) in self.pairs(stage, instruction)? {
            stage.variables.env.insert(name.clone(), Text::literal(&value));
            stage.config.env.insert(name, value);
        }
        Ok(())
    }

    /// `NAME=VALUE NAME=VALUE`, or `NAME VALUE` as in old files.
    fn pairs(&mut self, stage: &mut Stage, instruction: &Instruction) -> Result<Vec<(String, String)>, RecipeError> {
        let found = words(&instruction.rest, self.file.escape);
        let split: Vec<(&str, &str)> = match found.first() {
            Some(first) if !first.contains('=') => {
                let Some((name, value)) = instruction.rest.split_once(char::is_whitespace) else {
                    return Err(self.wrong(instruction, format!("{} needs a name and a value", instruction.keyword)));
                };
                vec![(name, value.trim())]
            }
            _ => found.iter().filter_map(|word| word.split_once('=')).collect(),
        };
        let mut pairs = Vec::new();
        for (name, value) in split {
            let Some(name) = self.plain(stage, instruction, name)? else { continue };
            let Some(value) = self.plain(stage, instruction, value)? else { continue };
            match check_name(&name) {
                Ok(()) => pairs.push((name, value)),
                Err(error) => self.cannot(stage, instruction, error.message, error.help.as_deref()),
            }
        }
        Ok(pairs)
    }

    fn expose(&mut self, stage: &mut Stage, instruction: &Instruction) -> Result<(), RecipeError> {
        for word in words(&instruction.rest, self.file.escape) {
            let Some(port) = self.plain(stage, instruction, word)? else { continue };
            // A variable may hold several.
            for port in port.split_whitespace() {
                let (numbers, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
                let range = numbers.split_once('-').and_then(|(a, b)| Some((a.parse::<u16>().ok()?, b.parse().ok()?)));
                let ports: Vec<String> = match range {
                    Some((first, last)) if first <= last && last - first < MOST_PORTS => {
                        (first..=last).map(|number| format!("{number}/{protocol}")).collect()
                    }
                    _ => vec![port.to_owned()],
                };
                for port in ports {
                    match parse_port(&port) {
                        Ok(port) => {
                            stage.config.ports.insert(port);
                        }
                        Err(error) => self.cannot(stage, instruction, error.message, error.help.as_deref()),
                    }
                }
            }
        }
        Ok(())
    }

    fn command_words(&mut self, stage: &Stage, instruction: &Instruction) -> Vec<String> {
        match instruction.form() {
            Form::Exec(words) => words,
            Form::Shell(line) => {
                if line.trim_start().starts_with('[') {
                    let message = "this is no JSON array of strings, so Docker gives it to a shell as it stands";
                    self.note(instruction, message, Some("strings of JSON stand in double quotes"));
                }
                let usual = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
                let mut words = stage.shell.clone().unwrap_or_else(usual);
                words.push(line);
                words
            }
        }
    }

    fn health(&mut self, stage: &mut Stage, instruction: &Instruction) {
        let form = instruction.rest.trim();
        if form.eq_ignore_ascii_case("none") {
            return;
        }
        let test = form.get(..3).filter(|word| word.eq_ignore_ascii_case("cmd")).map_or(form, |_| form[3..].trim());
        let test: Vec<String> = match serde_json::from_str::<Vec<String>>(test) {
            Ok(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            Err(_) => vec!["CMD-SHELL".into(), test.to_owned()],
        };
        let test = serde_json::to_string(&test).unwrap_or_default();
        let message = "ECS ignores the HEALTHCHECK of an image, and a recipe has no word for it";
        let help = format!(
            "for ECS write \"healthCheck\": {{\"command\": {test}}} into the container definition; for Docker keep \
             {{\"Healthcheck\": {{\"Test\": {test}}}}} in config.json and name that file: from = \"config.json\""
        );
        self.cannot(stage, instruction, message, Some(&help));
    }
}
