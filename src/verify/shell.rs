//! What a shell is told to start, by `-c` or in a script, as far as that can be said without being one: the words of
//! its commands where they stand there literally. What is expanded ends the words that are known.

mod lexer;
mod names;
mod reading;
mod structure;

use super::wrapper::Changes;

pub(super) use reading::script;

/// A command of a shell's text.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that is known of it")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// Its words up to the first that is not literal.
    pub(super) words: Vec<String>,
    /// Whether others may follow.
    pub(super) is_open: bool,
    /// What is set before it.
    pub(super) changes: Changes,
    /// Whether whoever comes to the end of the text has started it.
    pub(super) is_sure: bool,
    /// Whether nothing has run and nothing was written before: what is missing is missing then.
    pub(super) fresh: bool,
    /// Whether `exec` stands before it: it is no builtin then.
    pub(super) executes: bool,
    pub(super) failure: Failure,
    /// A folder to which the text has changed before: where it is none, the text has gone another way.
    pub(super) needs: Option<String>,
}

/// What becomes of a text where a command of it cannot be started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Failure {
    /// It ends there, and not well.
    #[default]
    Ends,
    /// It goes on, or ends with the answer of another command.
    Passes,
    /// So it does, and whoever wrote it expects that: `|| true`.
    Foreseen,
}

/// What a shell's text starts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// The commands that start a program, or may, in order.
    pub(super) commands: Vec<Command>,
    /// Whether every program that it may start is among them.
    pub(super) is_whole: bool,
    /// Whether lines of it end with CR LF.
    pub(super) has_carriage_return: bool,
}

/// The shells whose text is read.
pub(super) fn is_shell(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(name, "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh")
}

/// What the shell on this command line runs by `-c`; `None` where it is no shell, or runs a file. Where `is_open`,
/// other words may follow.
pub(super) fn told(words: &[String], is_open: bool) -> Option<Script> {
    let words = match words.split_first()? {
        (first, rest) if first.rsplit('/').next() == Some("busybox") => rest,
        _ => words,
    };
    if !is_shell(words.first()?) {
        return None;
    }
    let (mut told, mut login, mut exits) = (false, false, false);
    let mut rest = &words[1..];
    while let [word, after @ ..] = rest {
        let Some(letters) = word.strip_prefix(['-', '+']) else { break };
        rest = after;
        match letters {
            "" | "-" => break,
            "-login" => login = true,
            _ if letters.starts_with('-') => {}
            _ => {
                told |= letters.contains('c');
                login |= letters.contains('l');
                exits |= letters.contains('e') && word.starts_with('-');
                if letters.contains('n') {
                    return None;
                }
                if letters.ends_with(['o', 'O']) {
                    rest = rest.get(1..)?;
                }
            }
        }
    }
    let (text, arguments) = match rest.split_first() {
        // A text, or a file.
        None if is_open => return Some(Script::default()),
        known => known.filter(|_| told)?,
    };
    let mut script = script(text, arguments, (is_open, exits));
    if login {
        // It reads files that may change PATH and all else.
        for command in &mut script.commands {
            command.changes = Changes { place: true, libraries: true, ..Changes::default() };
        }
    }
    Some(script)
}

/// The program that a shell starts first, where `words` is `sh -c` and what it starts is said literally.
pub(super) fn shell_command(words: &[String]) -> Option<String> {
    let script = told(words, false)?;
    let is_first = |command: &Command| command.is_sure && command.fresh && !command.changes.place;
    let command = script.commands.into_iter().next().filter(is_first)?;
    command.words.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()]
    }

    #[test]
    fn finds_the_first_word_of_a_simple_command() {
        for (script, wanted) in [
            ("exec gunicorn app:app", Some("gunicorn")),
            ("A=1 /app/server --x", Some("/app/server")),
            ("cd /app && ./server", Some("/app/server")),
            ("\"$APP\" x", None),
            ("echo hi", None),
            ("if true; then app; fi", None),
            ("curl -f http://localhost || exit 1", Some("curl")),
            ("PATH=/x app", None),
            ("", None),
        ] {
            assert_eq!(shell_command(&sh(script)).as_deref(), wanted, "{script}");
        }
        assert_eq!(shell_command(&["bash".into(), "-lc".into(), "x".into()]), None);
    }

    /// Each command's words; `?` behind what need not start, `~` behind what starts when another has run.
    fn shown(script: &Script) -> Vec<String> {
        let commands = script.commands.iter().map(|command| {
            let sign = if !command.is_sure {
                "?"
            } else if command.fresh {
                ""
            } else {
                "~"
            };
            format!("{}{sign}", command.words.join(" "))
        });
        commands.collect()
    }

    #[test]
    fn the_commands_of_a_text_are_found_and_which_are_sure() {
        for (text, is_whole, commands) in [
            ("exec /srv/app -x", true, &["/srv/app -x"][..]),
            ("\n  exec app --port=$PORT y\n", true, &["app"]),
            ("app 'a b' \"c\" >/dev/null 2>&1", true, &["app a b c"]),
            ("exec \"$0\" \"$@\"", true, &[]),
            ("migrate && exec app", true, &["migrate", "app~"]),
            ("migrate && app; other", true, &["migrate", "app?", "other~"]),
            ("cd /srv && bin/app x; app y", true, &["/srv/bin/app", "app~"]),
            ("cd /srv && exec ./app", true, &["/srv/app"]),
            ("cd \"$X\"; ./app", true, &["./app"]),
            ("[ -n \"$X\" ] && app", true, &["app?"]),
            ("a || b", true, &["a", "b?"]),
            ("a || b && c; d", true, &["a", "b?", "c?", "d~"]),
            ("! a && b", true, &["a", "b?"]),
            ("if [ -f x ]; then a; else { b x; }; fi", true, &["a?", "b x?"]),
            ("if a; then b; elif c; then d; fi; e", true, &["a?", "b?", "c?", "d?", "e~"]),
            ("if [ \"$1\" = x ]; then exec a; fi; exec b", true, &["a?", "b?"]),
            ("if [ -z \"$X\" ]; then echo no; exit 1; fi; exec b", true, &["b"]),
            ("[ -n \"$X\" ] || exit 0; b", true, &["b?"]),
            ("for x in a b; do c $x; done; d", true, &["c?", "d~"]),
            ("until nc -z db 1; do sleep 1; done\nexec app", true, &["nc -z db 1?", "sleep 1?", "app~"]),
            ("case $1 in app|web) a;; (*) exec b;; esac; c", true, &["a?", "b?", "c?"]),
            ("case x in x) a; esac\nb", true, &["a?", "b~"]),
            ("f() { a; exec b; }\nc", true, &["a?", "b?", "c~"]),
            ("function f { a; }\nf\nc", true, &["a?", "c?"]),
            ("(a; exit); b", true, &["a?", "b?"]),
            ("a | exec b & c", true, &["a", "b~", "c~"]),
            ("exec a\nb", true, &["a"]),
            ("exec 3>&1; a", true, &["a"]),
            ("exec >log; a", true, &["a~"]),
            ("cp /x /srv/app; /srv/app", true, &["cp /x /srv/app", "/srv/app?"]),
            ("chmod +x /srv/app; /srv/app", true, &["chmod +x /srv/app", "/srv/app~"]),
            ("exec -a name app", false, &[]),
            (". ./env; exec /srv/app", false, &["/srv/app~"]),
            ("\"$APP\"; a", false, &["a~"]),
            ("exec \"$APP\"; a", false, &[]),
            ("eval \"$(a)\"", false, &["a?"]),
            ("trap 'kill $x' TERM; a", false, &["a"]),
            ("trap - TERM; a", true, &["a"]),
            ("command -v a || b", true, &["b?"]),
            ("command a", false, &[]),
            ("# app\ntrue", true, &[]),
            ("V=$(cp x /made); exec /made", true, &["/made~", "cp x /made?"]),
            ("read V < <(app)\nexec /made", true, &["/made~", "app?"]),
            ("ARGS=()\nif a; then exit 0; fi\nexec b", true, &["a?", "b?"]),
            ("declare -a ARGS=(x y)\nexec b", true, &["b"]),
            ("exec $'\\x62'", false, &[]),
            ("X=$(app) exec app", true, &["app~", "app?"]),
            ("cat <<E\nrm $(x)\nE\na", true, &["cat", "a~"]),
            ("[[ -f x && -f y ]] && a; b", true, &["a?", "b~"]),
            ("fi; a", false, &["a?"]),
            ("if a", false, &["a?"]),
            ("'", false, &[]),
        ] {
            let script = told(&sh(text), false).unwrap_or_else(|| panic!("{text}"));
            let wanted: Vec<String> = commands.iter().map(|command| (*command).to_owned()).collect();
            assert_eq!((script.is_whole, shown(&script)), (is_whole, wanted), "{text}");
        }
        let words: Vec<String> =
            ["bash", "-euo", "pipefail", "-c", "exec \"$@\"", "--", "app", "x"].map(str::to_owned).into();
        let script = told(&words, false).expect("a script");
        assert_eq!((script.is_whole, shown(&script)), (true, vec!["app x".to_owned()]));
        assert_eq!(told(&["sh".into(), "run.sh".into(), "-c".into()], false), None);
        assert_eq!(told(&["app".into(), "-c".into(), "x".into()], false), None);
    }

    /// `exec`, the last list, and what `-e` makes an end are what a text cannot do without.
    #[test]
    fn a_text_may_go_on_where_a_command_cannot_be_started() {
        use Failure::{Ends, Foreseen, Passes};
        for (text, wanted) in [
            ("a", &[Ends][..]),
            ("a; b", &[Passes, Ends]),
            ("a || true; exec b", &[Foreseen, Ends]),
            ("a || echo no\nexec b", &[Foreseen, Ends]),
            ("a || b", &[Passes, Ends]),
            ("a || exit 1; b", &[Ends, Ends]),
            ("a || exit; b", &[Ends, Ends]),
            ("a || exit 0; b", &[Passes, Ends]),
            ("a || { c; exit 1; }; b", &[Passes, Passes, Ends]),
            ("a & exec b", &[Passes, Ends]),
            ("! a; b", &[Passes, Ends]),
            ("a | b", &[Passes, Passes]),
            ("a && b", &[Ends, Ends]),
            ("a && b; c", &[Passes, Passes, Ends]),
            ("a && b || true", &[Foreseen, Foreseen]),
            ("set -e; a; b", &[Ends, Ends]),
            ("set -eu\na && b\nc", &[Passes, Ends, Ends]),
            ("set -o errexit; a; b", &[Ends, Ends]),
            ("set -e; set +e; a; b", &[Passes, Ends]),
            ("if x; then set -e; fi; a; b", &[Passes, Passes, Ends]),
            ("set -e; ! a; b", &[Passes, Ends]),
            ("exec a || true", &[Ends]),
        ] {
            let script = script(text, &[], (false, false));
            let found: Vec<Failure> = script.commands.iter().map(|command| command.failure).collect();
            assert_eq!(found, wanted, "{text}");
        }
        let script = script("a; b", &[], (false, true));
        assert!(script.commands.iter().all(|command| command.failure == Ends));
        for (text, wanted) in [
            ("cd /x; ./a", Some("/x")),
            ("cd /x && exec a; b", Some("/x")),
            ("cd /x && exec ./a", None),
            ("set -e; cd /x; ./a", None),
            ("cd /x; a", None),
        ] {
            let command = told(&sh(text), false).expect("a text").commands.swap_remove(0);
            assert_eq!(command.needs.as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn what_a_script_is_told_is_followed() {
        for (text, is_whole, commands) in [
            ("set -e\nexec \"$@\"", true, &["node app.js"][..]),
            ("set -- gunicorn \"$@\"; exec \"$@\"", true, &["gunicorn node app.js"]),
            ("shift; exec \"$@\"", true, &["app.js"]),
            (
                "if [ \"${1#-}\" != \"$1\" ]; then set -- node \"$@\"; fi\nexec \"$@\"",
                true,
                &["node", "node app.js?", "node node app.js?"],
            ),
            ("[ -n \"$A\" ] || set -- deno \"$@\"\nexec \"$@\"", true, &["node app.js?", "deno node app.js?"]),
            (
                "[ -n \"$A\" ] || set -- deno \"$@\"\nexec tini -- \"$@\"",
                true,
                &["tini --", "tini -- node app.js?", "tini -- deno node app.js?"],
            ),
            ("if [ \"$1\" = x ]; then shift; fi; exec \"$@\"", false, &["node app.js"]),
            ("migrate\nexec tini -- \"$@\"", true, &["migrate", "tini -- node app.js~"]),
            ("set -- a $X b; exec \"$@\"", true, &["a"]),
            ("set -- $X; exec \"$@\"", false, &[]),
            ("set -- a $X; shift; exec \"$@\"", false, &[]),
            ("set -- $X \"$@\"; exec app \"$@\"", true, &["app"]),
        ] {
            let script = script(text, &["/run.sh".into(), "node".into(), "app.js".into()], (false, false));
            let wanted: Vec<String> = commands.iter().map(|command| (*command).to_owned()).collect();
            assert_eq!((script.is_whole, shown(&script)), (is_whole, wanted), "{text}");
        }
    }

    /// A text of a stranger costs no more than its length.
    #[test]
    fn a_long_text_is_read_once() {
        let words = ["x".to_owned(), "y".to_owned()];
        for text in
            ["a && ".repeat(50_000), "{ ".repeat(50_000), "$(".repeat(50_000), "set -- \"$@\" \"$@\"\n".repeat(64)]
        {
            assert!(script(&text, &words, (false, false)).commands.len() <= 64);
        }
        let functions: Vec<String> = (0..50_000).map(|n| format!("f{n}() {{ :;}}\n")).collect();
        for text in [
            functions.concat() + &"f49999\n".repeat(100_000),
            "{ :\n".repeat(200_000),
            "$(:)".repeat(100_000),
            "set -- \"$@\" \"$@\"\n".repeat(13) + &"set -- \"$@\"\n".repeat(20_000),
            "set -- \"$@\" \"$@\"\n".repeat(13) + &"shift\n".repeat(50_000),
            format!("set -- {}\n", "x".repeat(100_000)) + &"set -- \"$@\" \"$@\"\n".repeat(13),
        ] {
            assert_eq!(script(&text, &words, (false, false)).commands, []);
        }
        // Each substitution is told all of them.
        let many: Vec<String> = std::iter::repeat_n("x".to_owned(), 50_000).collect();
        assert_eq!(script(&"$(:)\n".repeat(50_000), &many, (false, false)).commands, []);
        let long = ["x".repeat(1 << 20)];
        assert_eq!(script(&": \"$0\" \"$0\"\n".repeat(20_000), &long, (false, false)).commands, []);
    }
}
