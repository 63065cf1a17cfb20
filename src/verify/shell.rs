//! What a shell is told to start by `-c`, as far as that can be said without being one: the words of its commands
//! where they stand there literally. What is expanded ends the words that are known.

use super::wrapper::Changes;

/// A command of a shell's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// Its words up to the first that is not literal.
    pub(super) words: Vec<String>,
    /// What is set before it.
    pub(super) changes: Changes,
}

/// What a shell runs by `-c`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script {
    /// The commands that start a program, in order.
    pub(super) commands: Vec<Command>,
    /// Whether it is one simple command and nothing else, so that it surely starts.
    pub(super) is_simple: bool,
    /// Whether nothing comes before the first command, so that it surely starts as far as it can.
    pub(super) leads: bool,
}

/// Builtins and reserved words. Behind `exec` they are names of programs.
const BUILTINS: &[&str] = &[
    ".", ":", "[", "[[", "]]", "alias", "bg", "break", "case", "cd", "command", "continue", "declare", "do", "done",
    "echo", "esac", "eval", "exit", "export", "false", "fg", "fi", "for", "function", "getopts", "hash", "if", "in",
    "jobs", "kill", "let", "local", "printf", "pwd", "read", "readonly", "return", "select", "set", "shift", "shopt",
    "source", "test", "time", "times", "trap", "true", "type", "typeset", "ulimit", "umask", "unalias", "unset",
    "until", "wait", "while",
];

/// Reserved words that a command follows.
const OPENERS: &[&str] = &["!", "{", "}", "do", "elif", "else", "if", "then", "until", "while"];

/// The shells whose text is read.
pub(super) fn is_shell(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(name, "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh")
}

/// What the shell on this command line runs by `-c`; `None` where it is no shell, or runs a file.
pub(super) fn told(words: &[String]) -> Option<Script> {
    let words = match words.split_first()? {
        (first, rest) if first.rsplit('/').next() == Some("busybox") => rest,
        _ => words,
    };
    if !is_shell(words.first()?) {
        return None;
    }
    let (mut told, mut login) = (false, false);
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
                if letters.contains('n') {
                    return None;
                }
                if letters.ends_with(['o', 'O']) {
                    rest = rest.get(1..)?;
                }
            }
        }
    }
    let (text, arguments) = rest.split_first().filter(|_| told)?;
    let mut script = script(text, arguments);
    if login {
        // It reads files that may change PATH and all else.
        for command in &mut script.commands {
            command.changes = Changes { place: true, libraries: true };
        }
    }
    Some(script)
}

/// One word or sign of the text.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Literal(String),
    /// `"$@"`, `"$*"`
    Arguments,
    /// `"$0"`
    Zeroth,
    /// Something is expanded in it.
    Expanded(String),
    /// `;`, `&&`, a line feed and the like.
    End,
    /// `>FILE`, `2>&1`: the word is gone already.
    Redirection,
}

/// The commands of a text; `arguments` are what follows it, `$0` first.
fn script(text: &str, arguments: &[String]) -> Script {
    let mut script = Script { commands: Vec::new(), is_simple: true, leads: true };
    let mut folder: Option<String> = None;
    let mut changes = Changes::default();
    let tokens = tokens(text);
    let parts: Vec<&[Token]> = tokens.split(|token| *token == Token::End).filter(|part| !part.is_empty()).collect();
    script.is_simple = parts.len() == 1;
    for part in parts {
        let mut command = Command { words: Vec::new(), changes };
        let mut executes = false;
        let mut is_known = true;
        for token in part {
            let first = command.words.is_empty();
            match token {
                Token::Redirection => {}
                Token::Literal(word) if first && !executes && OPENERS.contains(&word.as_str()) => {
                    script.is_simple = false;
                    script.leads &= !script.commands.is_empty();
                }
                Token::Literal(word) if first && word == "exec" => executes = true,
                Token::Literal(word) if first && executes && word.starts_with('-') => is_known = false,
                Token::Literal(word) | Token::Expanded(word) if first && !executes && is_assignment(word) => {
                    let variable = word.split('=').next().unwrap_or_default();
                    command.changes = command.changes.and(Changes::of(variable));
                }
                Token::Literal(word) => command.words.push(word.clone()),
                Token::Arguments => command.words.extend(arguments.iter().skip(1).cloned()),
                Token::Zeroth => command.words.extend(arguments.first().cloned()),
                Token::Expanded(_) | Token::End => break,
            }
        }
        let words = &command.words;
        let sets = part.iter().filter_map(|token| match token {
            Token::Literal(word) | Token::Expanded(word) if is_assignment(word) => word.split('=').next(),
            _ => None,
        });
        match words.first().map(String::as_str) {
            // What is set stays so.
            None => changes = sets.fold(changes, |changes, name| changes.and(Changes::of(name))),
            Some("export") => changes = sets.fold(changes, |changes, name| changes.and(Changes::of(name))),
            Some("." | "source" | "eval") => changes = Changes { place: true, libraries: true },
            Some("cd") => {
                folder = words.get(1).filter(|to| to.starts_with('/')).cloned();
                changes.place |= folder.is_none();
            }
            Some(word) if !executes && BUILTINS.contains(&word) => {}
            Some(word) if is_known && !word.is_empty() => {
                if let Some(folder) = &folder {
                    if word.contains('/') && !word.starts_with('/') {
                        command.words[0] = format!("{folder}/{word}");
                    }
                    // Names among its arguments are relative to that folder too.
                    command.words.truncate(1);
                }
                script.commands.push(command);
                continue;
            }
            Some(_) => {}
        }
        script.is_simple = false;
        script.leads &= !script.commands.is_empty();
    }
    script.is_simple &= script.commands.len() == 1;
    script
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    // The word so far, whether something is expanded in it, and whether it was quoted.
    let (mut word, mut expanded, mut begun) = (String::new(), false, false);
    let mut redirects = false;
    loop {
        let next = chars.next();
        let ends = next.is_none_or(|c| matches!(c, ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>'));
        if ends && (begun || !word.is_empty()) {
            let descriptor = matches!(next, Some('<' | '>')) && word.bytes().all(|byte| byte.is_ascii_digit());
            let token = match word.as_str() {
                _ if std::mem::take(&mut redirects) || descriptor => Token::Redirection,
                "$@" | "$*" if expanded => Token::Arguments,
                "$0" if expanded => Token::Zeroth,
                _ if expanded => Token::Expanded(word.clone()),
                _ => Token::Literal(word.clone()),
            };
            tokens.push(token);
            word.clear();
            (expanded, begun) = (false, false);
        }
        let Some(c) = next else { break };
        match c {
            '&' if redirects || chars.peek() == Some(&'>') => {}
            '\n' | ';' | '|' | '&' | '(' | ')' => tokens.push(Token::End),
            '<' | '>' => redirects = true,
            ' ' | '\t' => {}
            '#' if !begun && word.is_empty() => while chars.next_if(|c| *c != '\n').is_some() {},
            '\'' => {
                begun = true;
                word.extend(std::iter::from_fn(|| chars.next_if(|c| *c != '\'')));
                chars.next();
            }
            '"' => {
                begun = true;
                while let Some(c) = chars.next_if(|c| *c != '"') {
                    expanded |= matches!(c, '$' | '`');
                    word.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
                }
                chars.next();
            }
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(c) => word.push(c),
            },
            _ => {
                // Alone, a bracket or a brace is a word.
                let alone = word.is_empty() && chars.peek().is_none_or(|next| next.is_whitespace());
                expanded |= matches!(c, '$' | '`' | '*' | '?' | '[' | '{' | '~') && !alone;
                word.push(c);
            }
        }
    }
    tokens
}

/// The program that a shell starts first, where `words` is `sh -c` and what it starts is said literally.
pub(super) fn shell_command(words: &[String]) -> Option<String> {
    let script = told(words)?;
    let command = script.commands.into_iter().next().filter(|command| script.leads && !command.changes.place)?;
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
            ("cd /app && ./server", None),
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

    #[test]
    fn one_simple_command_is_told_from_several() {
        for (script, is_simple, commands) in [
            ("exec /srv/app -x", true, &["/srv/app -x"][..]),
            ("\n  exec app --port=$PORT y\n", true, &["app"]),
            ("app 'a b' \"c\" >/dev/null 2>&1", true, &["app a b c"]),
            ("exec \"$0\" \"$@\"", false, &[]),
            ("migrate && exec app", false, &["migrate", "app"]),
            ("cd /srv && bin/app x; app y", false, &["/srv/bin/app", "app"]),
            ("if [ -f x ]; then a; else { b x; }; fi", false, &["a", "b x"]),
            ("a | b & c", false, &["a", "b", "c"]),
            ("exec -a name app", false, &[]),
            ("# app\ntrue", false, &[]),
            ("X=$(app) exec app", false, &["app", "app"]),
            ("'", false, &[]),
        ] {
            let script = told(&sh(script)).unwrap_or_else(|| panic!("{script}"));
            let words: Vec<String> = script.commands.iter().map(|command| command.words.join(" ")).collect();
            assert_eq!(
                (script.is_simple, words.as_slice()),
                (is_simple, &commands.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()[..]),
                "{script:?}"
            );
        }
        let words: Vec<String> =
            ["bash", "-euo", "pipefail", "-c", "exec \"$@\"", "--", "app", "x"].map(str::to_owned).into();
        let script = told(&words).expect("a script");
        assert_eq!((script.is_simple, script.commands[0].words.join(" ").as_str()), (true, "app x"));
        assert_eq!(told(&["sh".into(), "run.sh".into(), "-c".into()]), None);
        assert_eq!(told(&["app".into(), "-c".into(), "x".into()]), None);
    }
}
