//! The process that ECS starts: entry point and command of the container definition over those of the image.

use crate::ecs::task_definition::{ContainerDefinition, Location, Stated};
use crate::image::inspect::ImageFacts;

use super::lookup::{DEFAULT_PATH, Surroundings, User};

/// The command line, as far as it is known.
pub(super) struct Process {
    /// Program and arguments. Where what follows is not known, only what comes before.
    pub(super) words: Vec<String>,
    /// Why the program is not known.
    pub(super) unknown: Option<String>,
    /// Whose word the program is: `entryPoint of container "app" (task-definition.json:5:7)`.
    pub(super) origin: String,
    /// Where that stands in the task definition.
    pub(super) location: Option<Location>,
}

impl Process {
    pub(super) fn of(image: &ImageFacts, container: Option<&ContainerDefinition>) -> Self {
        let config = &image.config.config;
        let Some(container) = container else {
            let origin = if config.entrypoint.is_empty() { "cmd" } else { "entrypoint" };
            return Self {
                words: config.entrypoint.iter().chain(&config.cmd).cloned().collect(),
                unknown: None,
                origin: format!("{origin} of the image"),
                location: None,
            };
        };
        let said = |key: &str, at: &Location| format!("{key} of container {:?} ({at})", container.name);
        let (mut words, mut origin, mut location) = match &container.entry_point {
            Stated::Known { value, at, .. } => (value.clone(), said("entryPoint", at), Some(at.clone())),
            Stated::Unset => (config.entrypoint.clone(), "entrypoint of the image".to_owned(), None),
            Stated::Unresolved { reason, at } => {
                return Self {
                    words: Vec::new(),
                    unknown: Some(reason.clone()),
                    origin: said("entryPoint", at),
                    location: Some(at.clone()),
                };
            }
        };
        let mut unknown = None;
        match &container.command {
            Stated::Known { value, at, .. } => {
                if words.is_empty() {
                    (origin, location) = (said("command", at), Some(at.clone()));
                }
                words.extend(value.iter().cloned());
            }
            Stated::Unresolved { reason, at } if words.is_empty() => {
                (origin, location) = (said("command", at), Some(at.clone()));
                unknown = Some(reason.clone());
            }
            Stated::Unset if container.entry_point == Stated::Unset => {
                if words.is_empty() {
                    origin = "cmd of the image".into();
                }
                words.extend(config.cmd.iter().cloned());
            }
            Stated::Unresolved { .. } | Stated::Unset => {}
        }
        Self { words, unknown, origin, location }
    }
}

/// What surrounds the process.
pub(super) fn surroundings<'a>(image: &'a ImageFacts, container: Option<&'a ContainerDefinition>) -> Surroundings<'a> {
    let config = &image.config.config;
    let own_folder = Some(config.working_dir.clone()).filter(|folder| !folder.is_empty()).unwrap_or("/".into());
    let own_path = config.variable("PATH").unwrap_or(DEFAULT_PATH).to_owned();
    let Some(container) = container else {
        return Surroundings {
            image,
            folder: Some(own_folder),
            path: Some(own_path),
            user: User::of(&config.user),
            mounts: &[],
            unknown_mounts: false,
        };
    };
    Surroundings {
        image,
        folder: match &container.working_directory {
            Stated::Known { value, .. } if !value.is_empty() => Some(value.clone()),
            Stated::Unresolved { .. } => None,
            Stated::Known { .. } | Stated::Unset => Some(own_folder),
        },
        path: match &container.path {
            Stated::Known { value, .. } => Some(value.0.clone()),
            Stated::Unset => Some(own_path),
            Stated::Unresolved { .. } => None,
        },
        user: match &container.user {
            Stated::Known { value, .. } if !value.is_empty() => User::of(value),
            Stated::Unresolved { .. } => User::Named,
            Stated::Known { .. } | Stated::Unset => User::of(&config.user),
        },
        mounts: &container.mounts,
        unknown_mounts: container.volumes_from,
    }
}

/// The program that a shell starts first, where `words` is `sh -c` with a simple command; `None` where nothing can be
/// said without being a shell.
pub(super) fn shell_command(words: &[String]) -> Option<&str> {
    let shell = words.first()?.rsplit('/').next()?;
    let flags = words.get(1)?.strip_prefix('-')?;
    // A login shell reads files that may change PATH.
    if !matches!(shell, "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh") || !flags.contains('c') || flags.contains('l') {
        return None;
    }
    let assignment = |word: &str| word.split_once('=').is_some_and(|(name, _)| !name.contains('/'));
    let word = words.get(2)?.split_whitespace().find(|word| *word != "exec" && !assignment(word))?;
    let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'+' | b'-'));
    (plain && !BUILTINS.contains(&word)).then_some(word)
}

const BUILTINS: &[&str] = &[
    ".", "alias", "bg", "break", "case", "cd", "command", "continue", "declare", "do", "echo", "eval", "exit",
    "export", "false", "fg", "for", "function", "getopts", "hash", "if", "jobs", "kill", "let", "local", "printf",
    "pwd", "read", "readonly", "return", "select", "set", "shift", "shopt", "source", "test", "time", "times", "trap",
    "true", "type", "typeset", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_word_of_a_simple_command() {
        let words = |script: &str| vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
        for (script, wanted) in [
            ("exec gunicorn app:app", Some("gunicorn")),
            ("A=1 /app/server --x", Some("/app/server")),
            ("cd /app && ./server", None),
            ("\"$APP\" x", None),
            ("echo hi", None),
            ("", None),
        ] {
            assert_eq!(shell_command(&words(script)), wanted, "{script}");
        }
        assert_eq!(shell_command(&["bash".into(), "-lc".into(), "x".into()]), None);
    }
}
