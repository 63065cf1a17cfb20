//! Programs that do nothing but start another: an init, `env`, a change of user, a limit of time.

use super::lookup::User;

/// How the options of such a program are to be read.
struct Wrapper {
    names: &'static [&'static str],
    /// The short options that a value follows.
    short: &'static str,
    /// The long options that a value follows, where it does not stand behind a `=`.
    long: &'static [&'static str],
    /// The options with which it does something else.
    other: &'static [&'static str],
    /// How many words of its own stand before the program.
    words: usize,
}

const fn wrapper(names: &'static [&'static str], short: &'static str, words: usize) -> Wrapper {
    Wrapper { names, short, long: &[], other: &[], words }
}

const WRAPPERS: &[Wrapper] = &[
    wrapper(&["tini", "tini-static", "docker-init"], "pe", 0),
    Wrapper { long: &["--rewrite"], ..wrapper(&["dumb-init"], "r", 0) },
    wrapper(&["catatonit"], "", 0),
    wrapper(&["gosu", "su-exec", "setuidgid", "s6-setuidgid"], "", 1),
    wrapper(&["chpst"], "uUbenlLmdopfcrt/", 0),
    Wrapper {
        long: &[
            "--reuid",
            "--regid",
            "--groups",
            "--inh-caps",
            "--ambient-caps",
            "--bounding-set",
            "--securebits",
            "--pdeathsig",
            "--ptracer",
            "--ruid",
            "--euid",
            "--rgid",
            "--egid",
            "--landlock-access",
            "--landlock-rule",
            "--seccomp-filter",
            "--selinux-label",
            "--apparmor-profile",
        ],
        other: &["-d", "--dump"],
        ..wrapper(&["setpriv"], "", 0)
    },
    Wrapper {
        long: &["--unset", "--chdir", "--argv0"],
        other: &["-S", "--split-string"],
        ..wrapper(&["env"], "uCa", 0)
    },
    Wrapper { long: &["--kill-after", "--signal"], other: &["-t"], ..wrapper(&["timeout"], "ks", 1) },
    wrapper(&["nohup", "catchsegv"], "", 0),
    Wrapper { long: &["--input", "--output", "--error"], ..wrapper(&["stdbuf"], "ioe", 0) },
    Wrapper { long: &["--adjustment"], ..wrapper(&["nice"], "n", 0) },
    wrapper(&["setsid"], "", 0),
    Wrapper { long: &["--class", "--classdata"], other: &["-p", "-P", "-u"], ..wrapper(&["ionice"], "cn", 0) },
    Wrapper { other: &["-p", "--pid"], ..wrapper(&["taskset"], "", 1) },
    Wrapper {
        long: &[
            "--interleave",
            "--weighted-interleave",
            "--preferred",
            "--preferred-many",
            "--cpubind",
            "--cpunodebind",
            "--physcpubind",
            "--membind",
        ],
        other: &["-H", "-s", "--show", "--hardware", "--shm", "--file", "--length", "--offset", "--shmmode", "--shmid"],
        ..wrapper(&["numactl"], "iNCmcpPw", 0)
    },
    Wrapper { long: &["--output", "--format"], ..wrapper(&["time"], "of", 0) },
    Wrapper {
        long: &["--server-args", "--server-num", "--auth-file", "--error-file", "--xauth-protocol", "--wait"],
        ..wrapper(&["xvfb-run"], "efnpsw", 0)
    },
];

/// The loaders of glibc and musl, called by their names. Each knows some of these.
const LOADER: Wrapper = Wrapper {
    long: &[
        "--library-path",
        "--preload",
        "--argv0",
        "--inhibit-rpath",
        "--audit",
        "--glibc-hwcaps-prepend",
        "--glibc-hwcaps-mask",
    ],
    other: &["--list", "--verify", "--help", "--version", "--list-tunables", "--list-diagnostics"],
    ..wrapper(&[], "", 0)
};

fn is_loader(name: &str) -> bool {
    name == "ld.so" || (name.starts_with("ld-linux") || name.starts_with("ld-musl-")) && name.contains(".so.")
}

/// What is changed for the program that is started.
#[expect(clippy::struct_excessive_bools, reason = "things that are changed or not, each by itself")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Changes {
    /// Another `PATH` may be searched, or from another folder.
    pub(super) place: bool,
    /// The loader may find other libraries.
    pub(super) libraries: bool,
    /// The working folder is another.
    pub(super) folder: bool,
    /// No kernel executes it: a loader that was named maps it, which needs no x bit and no other loader.
    pub(super) by_loader: bool,
    /// Who runs it, where that is another one.
    pub(super) user: Option<User>,
}

impl Changes {
    /// What setting this variable changes.
    pub(super) fn of(variable: &str) -> Self {
        Self { place: variable == "PATH", libraries: variable.starts_with("LD_"), ..Self::default() }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            place: self.place || other.place,
            libraries: self.libraries || other.libraries,
            folder: self.folder || other.folder,
            by_loader: self.by_loader || other.by_loader,
            user: other.user.or(self.user),
        }
    }

    /// Whether the working folder may be another.
    pub(super) fn moves(self) -> bool {
        self.place || self.folder
    }
}

/// The wrapper of this name, if it is one.
fn of_name(name: &str) -> Option<&'static Wrapper> {
    if is_loader(name) { Some(&LOADER) } else { WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name)) }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The words from the applet on, where they begin with busybox.
pub(super) fn applet(mut words: &[String]) -> &[String] {
    while let [name, rest @ ..] = words
        && base_name(name) == "busybox"
    {
        words = rest;
    }
    words
}

/// Whether a program that does nothing but start another does so by its C library's `execvp`. These look in PATH by
/// themselves, or are no programs of C.
pub(super) fn calls_execvp(words: &[String]) -> bool {
    let name = applet(words).first().map_or("", |name| base_name(name));
    !matches!(name, "gosu" | "chpst" | "setuidgid" | "s6-setuidgid") && !is_loader(name)
}

/// Whether these words begin with a program that does nothing but start another, busybox without an applet among them.
pub(super) fn is_wrapper(words: &[String]) -> bool {
    applet(words).first().is_none_or(|name| of_name(base_name(name)).is_some())
}

/// What follows a program that does nothing but start another, where that is sure, and what it changes for it.
pub(super) fn wrapped(words: &[String]) -> Option<(&[String], Changes)> {
    let (name, mut rest) = applet(words).split_first().filter(|(_, rest)| !rest.is_empty())?;
    let name = base_name(name);
    let wrapper = of_name(name)?;
    let (by_loader, is_env) = (is_loader(name), name == "env");
    // Its options say which libraries it takes.
    let mut changes = Changes { by_loader, libraries: by_loader && rest[0].starts_with("--"), ..Changes::default() };
    // Root's groups stay with the user unless they are taken away.
    let (mut user, mut group, mut has_groups) = (None, None, true);
    while let [word, after @ ..] = rest {
        if word == "--" {
            rest = after;
            break;
        }
        if !word.starts_with('-') {
            break;
        }
        let (option, value) =
            word.split_once('=').map_or((word.as_str(), None), |(option, value)| (option, Some(value)));
        let short = (!word.starts_with("--")).then(|| &word[1..]);
        let is_other = |other: &&str| {
            **other == *option || short.is_some_and(|letters| other.len() == 2 && letters.contains(&other[1..]))
        };
        if wrapper.other.iter().any(is_other) {
            return None;
        }
        rest = after;
        let takes_next = match short {
            // A value stands in the same word, or is the next one.
            Some(letters) => {
                letters.find(|letter| wrapper.short.contains(letter)).is_some_and(|at| at + 1 == letters.len())
            }
            None => value.is_none() && wrapper.long.contains(&option),
        };
        let value = value.or_else(|| after.first().map(String::as_str).filter(|_| takes_next));
        match (name, option) {
            ("setpriv", "--reuid" | "--euid") => user = value,
            ("setpriv", "--regid" | "--egid") => group = value,
            ("setpriv", "--clear-groups") => has_groups = false,
            // `-u USER`, `-uUSER`; numbers stand behind a colon.
            ("chpst", _) if option.starts_with("-u") => {
                let user = value.unwrap_or(&word[2..]);
                changes.user = Some(User::of(user.strip_prefix(':').unwrap_or(user)));
            }
            _ => {}
        }
        if is_env {
            let clears = matches!(option, "-" | "-i" | "--ignore-environment");
            let moves = option.starts_with("-C") || option == "--chdir";
            let unsets = option.starts_with("-u") || option == "--unset";
            let path = unsets && [word, after.first().unwrap_or(word)].iter().any(|word| word.ends_with("PATH"));
            changes.place |= clears || moves || path;
            changes.folder |= moves;
        }
        if takes_next {
            rest = rest.get(1..)?;
        }
    }
    if let Some(user) = user {
        let group = group.filter(|_| !has_groups).map_or(String::new(), |group| format!(":{group}"));
        changes.user = Some(User::of(&format!("{user}{group}")));
    }
    if matches!(name, "gosu" | "su-exec" | "setuidgid" | "s6-setuidgid") {
        changes.user = rest.first().map(|user| User::of(user));
    }
    rest = rest.get(wrapper.words..)?;
    while is_env && let Some((variable, _)) = rest.first().and_then(|word| word.split_once('=')) {
        changes = changes.and(Changes::of(variable));
        rest = &rest[1..];
    }
    (!rest.is_empty()).then_some((rest, changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_start_what_follows() {
        for (line, wanted) in [
            ("/sbin/tini -- /app -x", Some("/app -x")),
            ("tini -g -- app", Some("app")),
            ("tini app", Some("app")),
            ("tini -e 143 app", Some("app")),
            ("tini -e143 -s app", Some("app")),
            ("dumb-init --rewrite 15:2 app", Some("app")),
            ("gosu nobody app x", Some("app x")),
            ("env python app.py", Some("python app.py")),
            ("env A=1 B= python", Some("python")),
            ("env -i python", Some("python")),
            ("env -u HOME -C /app python", Some("python")),
            ("env -S python", None),
            ("env -iS python", None),
            ("timeout 5 app x", Some("app x")),
            ("timeout -k 5 --signal=TERM -s KILL 5 app", Some("app")),
            ("timeout --preserve-status 5 app", Some("app")),
            ("timeout -t 5 app", None),
            ("nohup app", Some("app")),
            ("stdbuf -oL -e 0 app", Some("app")),
            ("stdbuf --output=L app", Some("app")),
            ("nice -n 10 app", Some("app")),
            ("nice -10 app", Some("app")),
            ("setsid -w app", Some("app")),
            ("taskset -c 0,1 app", Some("app")),
            ("setpriv --reuid 1000 --regid=1000 --clear-groups app", Some("app")),
            ("busybox timeout 5 app", Some("app")),
            ("numactl --interleave all app", Some("app")),
            ("numactl --cpunodebind 0 --membind=0 -l app x", Some("app x")),
            ("numactl --show", None),
            ("setpriv --ptracer 1 --landlock-access fs --no-new-privs app", Some("app")),
            ("/lib64/ld-linux-x86-64.so.2 /app x", Some("/app x")),
            ("/lib/ld-linux-aarch64.so.1 --library-path /opt --argv0 x --inhibit-cache /app", Some("/app")),
            ("/lib/ld-musl-x86_64.so.1 --preload=/x.so -- /app", Some("/app")),
            ("/lib64/ld-linux-x86-64.so.2 --list /app", None),
            ("/lib64/ld-linux-x86-64.so.2", None),
            ("ld-linux /app", None),
            ("app -- x", None),
            ("tini --", None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let found = wrapped(&words).map(|(rest, _)| rest.join(" "));
            assert_eq!(found.as_deref(), wanted, "{line}");
        }
    }

    #[test]
    fn a_change_of_user_says_who_that_is() {
        for (line, wanted) in [
            ("setpriv --reuid=1000 --regid=1000 --clear-groups app", Some(User::Id(1000, Some(1000)))),
            ("setpriv --reuid 1000 --regid 1000 --init-groups app", Some(User::Id(1000, None))),
            ("setpriv --reuid www-data app", Some(User::Named)),
            ("setpriv --no-new-privs app", None),
            ("gosu nobody app", Some(User::Named)),
            ("su-exec 1000:1000 app", Some(User::Id(1000, Some(1000)))),
            ("gosu root app", Some(User::Root)),
            ("chpst -u :5:6 app", Some(User::Id(5, Some(6)))),
            ("chpst -uapp app", Some(User::Named)),
            ("tini -- app", None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(wrapped(&words).and_then(|(_, changes)| changes.user), wanted, "{line}");
        }
    }

    /// Each word of a stranger's took its part of the stack, unless the compiler spared it.
    #[test]
    fn busybox_before_busybox_is_passed_over() {
        let mut words = vec!["/bin/busybox".to_owned(); 500_000];
        assert_eq!((wrapped(&words), is_wrapper(&words)), (None, true));
        words.extend(["env", "app"].map(str::to_owned));
        assert_eq!(wrapped(&words).map(|(rest, _)| rest), Some(&["app".to_owned()][..]));
    }

    #[test]
    fn env_may_change_where_names_are_looked_up() {
        for (line, place, libraries) in [
            ("env A=1 app", false, false),
            ("env PATH=/x app", true, false),
            ("env -i app", true, false),
            ("env -u PATH app", true, false),
            ("env LD_LIBRARY_PATH=/x app", false, true),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let changes = wrapped(&words).map(|(_, changes)| changes);
            assert_eq!(changes, Some(Changes { place, libraries, ..Changes::default() }), "{line}");
        }
    }
}
