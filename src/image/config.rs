//! The image configuration out of its four sources: base < configuration file < recipe < flags.

use std::collections::{BTreeMap, BTreeSet};

use super::recipe::place::{RecipeError, Spanned};
use super::recipe::template::Template;
use crate::oci::config::{Config, ImageConfiguration};
use crate::oci::{Extra, sorted};

/// What one source says about how a container starts; what it does not say is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigRecipe {
    /// The path of a configuration file that lies below this source.
    pub from: Option<Spanned<Template>>,
    /// The command, exec form; empty: none, whatever lies below.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments, or the command where there is no entrypoint; empty: none.
    pub cmd: Option<Vec<String>>,
    /// The environment in the order of the source.
    pub env: Vec<(String, String)>,
    /// `user`, `uid`, `user:group`, `uid:gid`.
    pub user: Option<String>,
    /// The folder that the command starts in, absolute.
    pub working_dir: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Ports as `8080/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// Absolute paths.
    pub volumes: BTreeSet<String>,
    /// The signal that stops the container.
    pub stop_signal: Option<String>,
}

/// What a configuration file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartialFile {
    /// The words that a recipe has too.
    pub config: ConfigRecipe,
    /// The other fields of its `config` object: `Healthcheck`, `Shell`, `OnBuild`.
    pub config_extra: Extra,
    /// The architecture that it was written for. The build states its own: another one deserves a warning.
    pub architecture: Option<Spanned<String>>,
    /// Who made the image.
    pub author: Option<String>,
    /// Other fields beside `config`.
    pub extra: Extra,
}

/// The merged configuration, and what stands beside it in the image configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Merged {
    /// How a container starts.
    pub config: Config,
    /// Who made the image.
    pub author: Option<String>,
    /// Other fields of the image configuration.
    pub extra: Extra,
}

/// Puts the sources of a configuration on top of each other: base < file < recipe < flags.
///
/// Environment and labels merge by key, exposed ports and volumes are united, and a new entrypoint clears the command
/// of a lower source, which was written for another entrypoint. A variable keeps its place in the environment; new
/// ones follow in the order of their source.
pub fn merge(
    base: Option<&ImageConfiguration>,
    file: Option<&PartialFile>,
    recipe: &ConfigRecipe,
    flags: &ConfigRecipe,
) -> Merged {
    let mut merged = base.map_or_else(Merged::default, |base| Merged {
        config: Config { extra: in_order(&base.config.extra), ..base.config.clone() },
        author: base.author.clone(),
        extra: in_order(&base.extra),
    });
    if let Some(file) = file {
        lay_over(&mut merged.config, &file.config);
        merged.config.extra.extend(in_order(&file.config_extra));
        merged.extra.extend(in_order(&file.extra));
        merged.author = file.author.clone().or(merged.author);
    }
    lay_over(&mut merged.config, recipe);
    lay_over(&mut merged.config, flags);
    merged
}

/// A base's nested objects have the order of their file; ours have one order.
fn in_order(extra: &Extra) -> Extra {
    extra.iter().map(|(key, value)| (key.clone(), sorted(value.clone()))).collect()
}

fn lay_over(config: &mut Config, upper: &ConfigRecipe) {
    if let Some(entrypoint) = &upper.entrypoint {
        config.entrypoint.clone_from(entrypoint);
        config.cmd.clear();
    }
    if let Some(cmd) = &upper.cmd {
        config.cmd.clone_from(cmd);
    }
    for (name, value) in &upper.env {
        let pair = format!("{name}={value}");
        // A base may name a variable twice, of which the last counts: the others would only mislead.
        let mut said = false;
        config.env.retain_mut(|existing| {
            if existing.split('=').next() != Some(name) {
                return true;
            }
            existing.clone_from(&pair);
            !std::mem::replace(&mut said, true)
        });
        if !said {
            config.env.push(pair);
        }
    }
    for (field, value) in [
        (&mut config.user, &upper.user),
        (&mut config.working_dir, &upper.working_dir),
        (&mut config.stop_signal, &upper.stop_signal),
    ] {
        if let Some(value) = value {
            field.clone_from(value);
        }
    }
    config.labels.extend(upper.labels.clone());
    for (field, names) in [(&mut config.exposed_ports, &upper.exposed_ports), (&mut config.volumes, &upper.volumes)] {
        for name in names {
            field.entry(name.clone()).or_default();
        }
    }
}

/// Reads the values of `--entrypoint` or `--cmd`: a JSON array, or one argument each.
///
/// # Errors
/// Where what begins like a JSON array is none of texts, or stands beside others.
pub fn parse_command(values: &[String]) -> Result<Vec<String>, RecipeError> {
    match values {
        [array] if array.starts_with('[') => serde_json::from_str(array).map_err(|error| {
            RecipeError::new(format!("{array:?} is not a JSON array of strings"))
                .help("write it as [\"/usr/bin/app\", \"--verbose\"], in single quotes for the shell")
                .caused_by(error)
        }),
        several if several.len() > 1 && several.iter().any(|value| value.starts_with('[')) => {
            Err(RecipeError::new("a JSON array is the whole command and stands alone")
                .help("give one array, or each argument by itself"))
        }
        words => Ok(words.to_vec()),
    }
}

/// Reads `NAME=VALUE`: a variable of the environment or a label.
///
/// # Errors
/// Where there is no `=`, or the name is none.
pub fn parse_pair(text: &str) -> Result<(String, String), RecipeError> {
    match text.split_once('=') {
        Some((name, value)) => {
            check_name(name)?;
            Ok((name.into(), value.into()))
        }
        None => Err(RecipeError::new(format!("{text:?} has no value")).help(format!("write {text}=VALUE"))),
    }
}

/// Judges the name of a variable or a label.
///
/// # Errors
/// Where it is empty, or has a `=` or a zero byte.
pub fn check_name(name: &str) -> Result<(), RecipeError> {
    match name {
        "" => Err(RecipeError::new("the name is empty").help("write NAME=VALUE")),
        name if name.contains(['=', '\0']) => {
            Err(RecipeError::new(format!("{name:?} is not a name: it may hold neither = nor NUL")))
        }
        _ => Ok(()),
    }
}

/// Reads a port: `8000` is `8000/tcp`.
///
/// # Errors
/// Where it is no number from 1 to 65535 with `/tcp`, `/udp`, `/sctp` or nothing behind it.
pub fn parse_port(text: &str) -> Result<String, RecipeError> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let wrong = || RecipeError::new(format!("{text:?} is not a port"));
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong().help("the protocols are tcp, udp and sctp: write 8000/tcp"));
    }
    match number.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(format!("{port}/{protocol}")),
        _ if number.contains(['-', ':']) => {
            Err(wrong().help("name each port by itself; what it is published as is the task definition's to say"))
        }
        _ => Err(wrong().help("a port is a number from 1 to 65535, such as 8000 or 8000/udp")),
    }
}

/// Reads the path of a volume or of the working folder.
///
/// # Errors
/// Where it does not begin with `/`, or has a zero byte.
pub fn parse_absolute(text: &str) -> Result<String, RecipeError> {
    if text.contains('\0') {
        Err(RecipeError::new(format!("{text:?} is not a path: it holds a NUL")))
    } else if text.starts_with('/') {
        Ok(text.into())
    } else {
        let repair = text.trim_start_matches("./");
        Err(RecipeError::new(format!("{text:?} is not an absolute path")).help(format!("write /{repair}")))
    }
}

/// Reads a user: `user`, `uid`, `user:group` or `uid:gid`.
///
/// # Errors
/// Where the user or the group is empty or has white space, or there is more than one colon.
pub fn parse_user(text: &str) -> Result<String, RecipeError> {
    let parts: Vec<&str> = text.split(':').collect();
    let fits = |part: &&str| !part.is_empty() && !part.contains(|one: char| one.is_whitespace() || one.is_control());
    if parts.len() <= 2 && parts.iter().all(fits) {
        Ok(text.into())
    } else {
        Err(RecipeError::new(format!("{text:?} is not a user"))
            .help("write a user or uid, with :group or :gid after it"))
    }
}

/// The signals of Linux that stop something, without `SIG`.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// Reads a signal: `SIGTERM`, `SIGRTMIN+3` or a number.
///
/// # Errors
/// Where there is no such signal.
pub fn parse_signal(text: &str) -> Result<String, RecipeError> {
    if text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number)) {
        return Ok(text.into());
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = ["RTMIN", "RTMAX"].iter().any(|edge| {
        name.strip_prefix(edge).is_some_and(|offset| {
            offset.is_empty() || offset.strip_prefix(['+', '-']).is_some_and(|number| number.parse::<u8>().is_ok())
        })
    });
    let known = SIGNALS.contains(&name) || real_time;
    if known && upper == text && upper != name {
        return Ok(text.into());
    }
    let error = RecipeError::new(format!("{text:?} is not a signal"));
    Err(if known {
        error.help(format!("did you mean `SIG{name}`?"))
    } else {
        error.help("write a name such as SIGTERM or SIGQUIT, or a number")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oci::canonical;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn base() -> ImageConfiguration {
        serde_json::from_value(json!({
            "architecture": "amd64", "os": "linux", "author": "base", "rootfs": {"type": "layers", "diff_ids": []},
            "config": {
                "Env": ["PATH=/bin", "LANG=C", "X=1", "X=2"], "Entrypoint": ["/base"], "Cmd": ["serve"],
                "Labels": {"a": "1", "b": "1"}, "ExposedPorts": {"80/tcp": {}}, "User": "root",
                "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1}
            },
            "moby.thing": {"b": 1, "a": 2}
        }))
        .expect("a configuration")
    }

    #[test]
    fn each_source_covers_the_one_below() {
        let file = PartialFile {
            config: ConfigRecipe {
                env: env(&[("NEW", "1"), ("LANG", "en")]),
                user: Some("1000".into()),
                labels: [("b".to_owned(), "2".to_owned())].into(),
                exposed_ports: ["8000/tcp".to_owned()].into(),
                ..ConfigRecipe::default()
            },
            author: Some("file".into()),
            ..PartialFile::default()
        };
        let recipe = ConfigRecipe { env: env(&[("X", "3"), ("NEW", "2"), ("A", "")]), ..ConfigRecipe::default() };
        let flags = ConfigRecipe { user: Some("2000".into()), ..ConfigRecipe::default() };
        let merged = merge(Some(&base()), Some(&file), &recipe, &flags);
        assert_eq!(merged.config.env, words(&["PATH=/bin", "LANG=en", "X=3", "NEW=2", "A="]));
        assert_eq!(merged.config.user, "2000");
        assert_eq!(merged.author.as_deref(), Some("file"));
        let document = String::from_utf8(canonical(&merged.config)).expect("JSON");
        assert_eq!(
            document,
            r#"{"User":"2000","ExposedPorts":{"80/tcp":{},"8000/tcp":{}},"Env":["PATH=/bin","LANG=en","X=3","NEW=2","A="],"Entrypoint":["/base"],"Cmd":["serve"],"Labels":{"a":"1","b":"2"},"Healthcheck":{"Interval":1,"Test":["CMD","true"]}}"#
        );
        assert_eq!(merged.extra["moby.thing"].to_string(), r#"{"a":2,"b":1}"#);
    }

    #[test]
    fn a_new_entrypoint_clears_a_lower_command() {
        let none = ConfigRecipe::default();
        let entrypoint = ConfigRecipe { entrypoint: Some(words(&["/app"])), ..none.clone() };
        let cmd = ConfigRecipe { cmd: Some(words(&["-v"])), ..none.clone() };
        let both = ConfigRecipe { cmd: Some(words(&["-v"])), ..entrypoint.clone() };
        let result = |recipe: &ConfigRecipe, flags: &ConfigRecipe| {
            let config = merge(Some(&base()), None, recipe, flags).config;
            (config.entrypoint.join(" "), config.cmd.join(" "))
        };
        let pair = |entrypoint: &str, cmd: &str| (entrypoint.to_owned(), cmd.to_owned());
        assert_eq!(result(&none, &none), pair("/base", "serve"));
        assert_eq!(result(&cmd, &none), pair("/base", "-v"));
        assert_eq!(result(&entrypoint, &none), pair("/app", ""));
        assert_eq!(result(&both, &none), pair("/app", "-v"));
        assert_eq!(result(&cmd, &entrypoint), pair("/app", ""));
        assert_eq!(result(&entrypoint, &cmd), pair("/app", "-v"));
    }

    #[test]
    fn nothing_from_nothing() {
        assert_eq!(merge(None, None, &ConfigRecipe::default(), &ConfigRecipe::default()), Merged::default());
    }

    #[test]
    fn commands_are_words_or_one_array() {
        let parse = |values: &[&str]| parse_command(&words(values)).map_err(|error| error.to_string());
        assert_eq!(parse(&["/usr/bin/app"]), Ok(words(&["/usr/bin/app"])));
        assert_eq!(parse(&["a b", "c"]), Ok(words(&["a b", "c"])));
        assert_eq!(parse(&[r#"["a b", "c"]"#]), Ok(words(&["a b", "c"])));
        assert_eq!(parse(&["[]"]), Ok(Vec::new()));
        assert_eq!(parse(&["[1]"]), Err("\"[1]\" is not a JSON array of strings".into()));
        assert!(parse(&["a", "[]"]).is_err());
    }

    #[test]
    fn values_are_judged() {
        assert_eq!(parse_port("8000").ok().as_deref(), Some("8000/tcp"));
        assert_eq!(parse_port("053/UDP").ok().as_deref(), Some("53/udp"));
        for port in ["0", "65536", "", "/tcp", "80/http", "+80", "8000-8010", "80:80", "80/"] {
            assert!(parse_port(port).is_err(), "{port}");
        }
        for signal in ["SIGTERM", "SIGRTMIN+3", "15"] {
            assert_eq!(parse_signal(signal).ok().as_deref(), Some(signal));
        }
        let help = |text: &str| parse_signal(text).expect_err(text).help;
        assert_eq!(help("term").as_deref(), Some("did you mean `SIGTERM`?"));
        assert_eq!(help("sigint").as_deref(), Some("did you mean `SIGINT`?"));
        assert!(help("SIGFOO").is_some_and(|help| help.starts_with("write a name")));
        for user in ["root", "10001:10001", "app:"] {
            assert_eq!(parse_user(user).is_ok(), user != "app:", "{user}");
        }
        assert!(parse_pair("A").is_err() && parse_pair("=A").is_err());
        assert_eq!(parse_absolute("./app").expect_err("relative").help.as_deref(), Some("write /app"));
    }
}
