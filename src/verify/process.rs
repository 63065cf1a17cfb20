//! The process that ECS starts: entry point and command of the container definition over those of the image.

use crate::ecs::task_definition::{ContainerDefinition, Location, Stated};
use crate::image::inspect::ImageFacts;

use super::lookup::{DEFAULT_PATH, Looks, Surroundings, User, covered};

/// The command line, as far as it is known.
pub(super) struct Process {
    /// Program and arguments. Where what follows is not known, only what comes before.
    pub(super) words: Vec<String>,
    /// Whether others may follow.
    pub(super) is_open: bool,
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
                is_open: false,
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
                    is_open: true,
                    unknown: Some(reason.clone()),
                    origin: said("entryPoint", at),
                    location: Some(at.clone()),
                };
            }
        };
        let mut unknown = None;
        let is_open = matches!(container.command, Stated::Unresolved { .. });
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
        Self { words, is_open, unknown, origin, location }
    }
}

/// What surrounds the process.
pub(super) fn surroundings<'a>(image: &'a ImageFacts, container: Option<&'a ContainerDefinition>) -> Surroundings<'a> {
    let config = &image.config.config;
    let own_folder = Some(config.working_dir.clone()).filter(|folder| !folder.is_empty()).unwrap_or("/".into());
    let own_path = config.variable("PATH").unwrap_or(DEFAULT_PATH).to_owned();
    let own_library_path = config.variable("LD_LIBRARY_PATH").unwrap_or_default().to_owned();
    let own_preload = config.variable("LD_PRELOAD").is_some_and(|value| !value.is_empty());
    let Some(container) = container else {
        return Surroundings {
            image,
            folder: Some(own_folder),
            path: Some(own_path),
            library_path: Some(own_library_path),
            preloads: own_preload,
            user: User::of(&config.user),
            mounts: Vec::new(),
            unknown_mounts: false,
            looks: Looks::default(),
        };
    };
    // Files of variables are not read, and what is not resolved may set any.
    let others = container.details.environment_files || matches!(container.path, Stated::Unresolved { .. });
    let sets = |name: &str| others || container.environment.iter().any(|own| own == name);
    Surroundings {
        image,
        folder: match &container.working_directory {
            Stated::Known { value, .. } if !value.is_empty() => Some(value.clone()),
            Stated::Unresolved { .. } => None,
            Stated::Known { .. } | Stated::Unset => Some(own_folder),
        },
        path: match &container.path {
            // What `environment` sets wins over the files.
            Stated::Known { value, .. } => Some(value.0.clone()),
            Stated::Unset => Some(own_path).filter(|_| !container.details.environment_files),
            Stated::Unresolved { .. } => None,
        },
        // Of these variables only the names are kept.
        library_path: Some(own_library_path).filter(|_| !sets("LD_LIBRARY_PATH")),
        preloads: own_preload || sets("LD_PRELOAD"),
        user: match &container.user {
            Stated::Known { value, .. } if !value.is_empty() => User::of(value),
            Stated::Unresolved { .. } => User::Named,
            Stated::Known { .. } | Stated::Unset => User::of(&config.user),
        },
        mounts: covered(image, &container.mounts),
        unknown_mounts: container.volumes_from,
        looks: Looks::default(),
    }
}

/// A file that an interpreter opens.
pub(super) struct Opened<'w> {
    pub(super) name: &'w str,
    /// What may stand after the name.
    pub(super) endings: &'static [&'static str],
    /// Whether it is looked up in `PATH` as well.
    pub(super) in_path: bool,
}

/// The script or jar on the command line of the interpreter at this path, where no option before it can mean another.
pub(super) fn opened_file<'w>(program: &str, words: &'w [String]) -> Option<Opened<'w>> {
    let called = words.first()?.rsplit('/').next()?;
    let program = program.rsplit('/').next()?;
    let is = |name: &str| {
        let version = |file: &str| {
            let rest = file.strip_prefix(name)?;
            rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then_some(())
        };
        version(called).is_some() && (version(program).is_some() || matches!(program, "busybox" | "dash" | "bash"))
    };
    let plain = |name: &'w String| Some(name.as_str()).filter(|name| !name.is_empty() && !name.starts_with('-'));
    // The first word that is no option, where none before it takes another word or means another program.
    let behind = |is_flag: &dyn Fn(&str) -> bool| {
        let rest = words.get(1..)?;
        plain(rest.iter().find(|word| !is_flag(word))?)
    };
    let letters = |known: &'static str| {
        move |word: &str| {
            word == "--"
                || word
                    .strip_prefix('-')
                    .is_some_and(|flags| !flags.is_empty() && flags.chars().all(|flag| known.contains(flag)))
        }
    };
    let opened = |name| Opened { name, endings: &[], in_path: false };
    if is("java") {
        let at = words.iter().position(|word| word == "-jar")?;
        // A class before it would be the program, and the rest its arguments.
        let options = words[1..at].iter().all(|word| word.starts_with("-X") || word.starts_with("-D"));
        let name = plain(words.get(at + 1)?)?;
        return options.then(|| opened(name));
    }
    if is("node") {
        const FLAGS: [&str; 4] = ["--enable-source-maps", "--expose-gc", "--inspect", "--preserve-symlinks"];
        // Those of `--trace-` and `--experimental-` that take the next word.
        const VALUED: [&str; 10] = [
            "config-file",
            "default-type",
            "event-categories",
            "event-file-pattern",
            "loader",
            "policy",
            "require-module",
            "sea-config",
            "specifier-resolution",
            "test-isolation",
        ];
        let flag = |word: &str| {
            let prefixed = ["--trace-", "--experimental-"].iter().find_map(|start| word.strip_prefix(start));
            word.starts_with("--") && word.contains('=')
                || word.starts_with("--no-")
                || prefixed.is_some_and(|option| !VALUED.contains(&option))
                || FLAGS.contains(&word)
        };
        let name = behind(&flag)?;
        let endings: &[&str] = &[".js", ".json", ".node"];
        return (name != "inspect" && name != "debug").then_some(Opened { endings, ..opened(name) });
    }
    if is("deno") || is("bun") {
        // A word without an ending may be a task, a package or a command of its own.
        let flag = |word: &str| {
            word == "run"
                || word == "-A"
                || word.starts_with("--allow-")
                || word.starts_with("--") && word.contains('=')
        };
        let is_file = |name: &&str| {
            let endings = [".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts"];
            !name.contains(':') && endings.iter().any(|ending| name.ends_with(ending))
        };
        return behind(&flag).filter(is_file).map(opened);
    }
    if ["sh", "bash", "dash", "ash"].into_iter().any(is) {
        let name = behind(&letters("aefhlmuvx"))?;
        // dash looks in the working folder alone.
        return Some(Opened { in_path: !name.contains('/') && program != "dash", ..opened(name) });
    }
    let name = if is("python") {
        behind(&letters("BEIOPRSbdqsuv"))
    } else if is("perl") {
        behind(&letters("wWTtU"))
    } else if is("ruby") {
        behind(&letters("wW"))
    } else if is("php") {
        behind(&|_| false)
    } else {
        None
    }?;
    Some(opened(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn interpreters_open_the_first_word_that_is_no_option() {
        for (program, line, wanted) in [
            ("/usr/bin/dash", "sh /run.sh x", Some("/run.sh")),
            ("/bin/busybox", "/bin/sh run", Some("run")),
            ("/usr/bin/python3.11", "python3 app.py", Some("app.py")),
            ("/usr/bin/python3.11", "python3 -m app", None),
            ("/usr/bin/python3.11", "python3-config app", None),
            ("/opt/java/bin/java", "java -Xmx1g -jar a.jar", Some("a.jar")),
            ("/opt/java/bin/java", "java -cp x Main -jar a.jar", None),
            ("/usr/bin/node", "node server", Some("server")),
            ("/usr/bin/node", "node --require x server", None),
            ("/usr/bin/node", "node --enable-source-maps --max-old-space-size=4096 server", Some("server")),
            ("/usr/bin/node", "node --trace-warnings --experimental-strip-types a.ts", Some("a.ts")),
            ("/usr/bin/node", "node --experimental-loader ts-node/esm app.js", None),
            ("/usr/bin/node", "node --experimental-loader=ts-node/esm app.js", Some("app.js")),
            ("/usr/bin/node", "node --trace-event-categories v8 app.js", None),
            ("/usr/bin/other", "node server", None),
            ("/usr/bin/python3.11", "python3 -Bu app.py -m x", Some("app.py")),
            ("/usr/bin/python3.11", "python3 -W ignore app.py", None),
            ("/usr/bin/python3.11", "python3 -c app.py", None),
            ("/usr/bin/dash", "sh -ex /run.sh", Some("/run.sh")),
            ("/usr/bin/bash", "bash -l /run.sh", Some("/run.sh")),
            ("/usr/bin/dash", "sh -- /run.sh", Some("/run.sh")),
            ("/usr/bin/dash", "sh -ec /run.sh", None),
            ("/usr/bin/ruby3.1", "ruby3.1 app.rb", Some("app.rb")),
            ("/usr/bin/php8.2", "php index.php", Some("index.php")),
            ("/usr/bin/deno", "deno run --allow-net main.ts", Some("main.ts")),
            ("/usr/bin/deno", "deno run npm:x/main.ts", None),
            ("/usr/bin/deno", "deno run --config x main.ts", None),
            ("/usr/bin/bun", "bun run start", None),
            ("/usr/bin/bun", "bun index.ts", Some("index.ts")),
        ] {
            let words = words(line);
            assert_eq!(opened_file(program, &words).map(|opened| opened.name), wanted, "{program}: {line}");
        }
    }
}
