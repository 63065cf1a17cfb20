//! `#!` lines as the kernel reads them, and what `env` makes of the rest.

use crate::image::root::Found;
use crate::layer::contents::{Head, Kind, Node};

use super::executable::{Judge, Role};
use super::finding::{Finding, Rule, Severity};
use super::lookup::{May, Seeker, Sought, shown};
use super::shell::{Script, is_shell};

/// How many scripts may interpret one another: Linux looks at six files, the last of them a program (`exec_binprm`).
pub(super) const MAX_SCRIPTS: usize = 5;
/// How many bytes of a file the kernel looks at (`BINPRM_BUF_SIZE`), `#!` included.
const KERNEL_BUFFER: usize = 256;
/// How many scripts may be started by the `env` of one before: the kernel counts anew for each, and a stranger may
/// write any number of them.
const MAX_BY_ENV: usize = 8;

/// What to do with a script that has lines with CR LF.
const CARRIAGE_RETURN: &str = "save it with LF line ends (git: `*.sh text eol=lf` in .gitattributes)";

impl Judge<'_> {
    pub(super) fn script(&mut self, found: &Found<'_>, kept: &[u8], role: &Role, scripts: usize) {
        let script = shown(&found.path);
        if scripts >= MAX_SCRIPTS {
            let what = "is the sixth script that another one asks for as its interpreter: Linux follows no more";
            let finding = self.about(Rule::EntrypointNotExecutable, &script, found, role, what);
            self.push(finding.help("name a program after `#!`"));
            return;
        }
        self.readable(found, role);
        self.scripts.push(found.path.clone());
        let text = String::from_utf8_lossy(first_line(kept));
        // Behind an argument the CR belongs to that, and perl minds it not.
        let is_perl = text.trim_start().split_once([' ', '\t']).is_some_and(|(name, _)| name.ends_with("/perl"));
        if text.ends_with('\r') && !is_perl {
            let what =
                format!("asks for {:?}: its lines end with CR LF, and the CR belongs to the name", text.trim_start());
            let mut finding = self.about(Rule::InterpreterMissing, &script, found, role, &what);
            finding.found = Some(text.trim_start().to_owned());
            finding.wanted = Some(text.trim().to_owned());
            self.push(finding.help(CARRIAGE_RETURN));
            return;
        }
        let text = text.trim_matches([' ', '\t']);
        let (interpreter, argument) = match text.split_once([' ', '\t']) {
            Some((interpreter, argument)) => (interpreter, argument.trim_matches([' ', '\t'])),
            None => (text, ""),
        };
        if interpreter.is_empty() {
            let what = "names no interpreter after `#!` (exec format error)";
            let finding = self.about(Rule::EntrypointNotExecutable, &script, found, role, what);
            self.push(finding.help("write `#!/bin/sh` into its first line"));
            return;
        }
        if interpreter.len() >= KERNEL_BUFFER - 2 {
            let what = "names an interpreter so long that the kernel does not read it to its end (exec format error)";
            let finding = self.about(Rule::EntrypointNotExecutable, &script, found, role, what);
            self.push(finding.help("give the interpreter a shorter path, by a link"));
            return;
        }
        // The kernel looks up no PATH.
        let next = match self.surroundings.at(interpreter) {
            Sought::Found(next) => next,
            Sought::Unknown(why) => return self.unknown(Rule::InterpreterMissing, interpreter, &why),
            Sought::Missing(end) => return self.missing_interpreter((found, role), interpreter, end, ""),
        };
        // Of the script that is started, its text may be known.
        self.by_script |= is_shell(interpreter) && scripts > 0;
        self.file(interpreter, &next, &Role::Interpreter(script), scripts + 1);
        if interpreter.rsplit('/').next() == Some("env") {
            self.env((found, role), argument, &next);
            self.by_script |= scripts > 0;
        }
    }

    /// `#!/usr/bin/env NAME`: the kernel hands over everything after it as one argument; `-S` splits it.
    fn env(&mut self, (found, role): (&Found<'_>, &Role), argument: &str, env: &Found<'_>) {
        let busybox = env.path.ends_with(b"busybox");
        let script = shown(&found.path);
        let name = match env_program(argument) {
            Env::Split(_) if busybox => {
                let why = "not every busybox knows `env -S`";
                return self.unknown(Rule::InterpreterMissing, &script, why);
            }
            Env::Name(name) | Env::Split(name) => name,
            Env::Nothing => return,
            Env::Open => {
                let why = format!("what env makes of {argument:?} is not known here");
                return self.unknown(Rule::InterpreterMissing, &script, &why);
            }
        };
        let (typed, sought) = self.surroundings.find(name, Seeker::Program);
        match sought {
            // env starts it by itself, so a script may follow: the kernel counts anew.
            Sought::Found(next) => {
                if self.visited.contains(&next.path) {
                    return;
                }
                if self.by_env >= MAX_BY_ENV {
                    let why = "too many scripts before it name one another by env";
                    return self.unknown(Rule::InterpreterMissing, &shown(&next.path), why);
                }
                if matches!(&next.node.kind, Kind::File { head: Head::Other, .. }) {
                    let role = Role::Interpreter(script);
                    match execvp(env.node) {
                        May::Yes if self.has_shell() => {
                            self.by_script |= self.executable(&typed, &next, &role);
                            return;
                        }
                        May::Unknown => return self.by_unknown_execvp(&typed, &next, &role),
                        May::Yes | May::No => return self.file(&typed, &next, &role, 0),
                    }
                }
                self.by_env += 1;
                self.file(&typed, &next, &Role::Interpreter(script), 0);
                self.by_env -= 1;
            }
            Sought::Unknown(why) => self.unknown(Rule::InterpreterMissing, &typed, &why),
            Sought::Missing(end) => {
                let aside = if name.contains(' ') { "; Linux hands it over as one word: write `env -S`" } else { "" };
                self.missing_interpreter((found, role), name, end, aside);
            }
        }
    }

    /// A shell takes the CR of CR LF for a part of the line's last word. What that comes to hangs on the word.
    pub(super) fn carriage_returns(&mut self, is_sure: bool, script: &Script, file: Option<&String>) {
        // Where the first line has one, that was said.
        let known = |finding: &Finding| finding.rule == Rule::InterpreterMissing && finding.severity == Severity::Error;
        if !is_sure || !script.has_carriage_return || self.findings.iter().any(known) {
            return;
        }
        let text = file.map_or("the text that a shell is told to run", String::as_str);
        let message = format!(
            "{text} has lines that end with CR LF: the CR belongs to the last word of each, which is another then"
        );
        let mut note =
            Finding::new(Rule::InterpreterMissing, Severity::Note, message).undecided().help(CARRIAGE_RETURN);
        note.path = file.filter(|file| file.starts_with('/')).cloned();
        self.push(note);
    }

    /// Whether `execvp` finds a shell for what the kernel refuses.
    pub(super) fn has_shell(&self) -> bool {
        matches!(self.surroundings.at("/bin/sh"), Sought::Found(_))
    }

    /// A file without `#!` that a program starts whose `execvp` is not known.
    pub(super) fn by_unknown_execvp(&mut self, typed: &str, found: &Found<'_>, role: &Role) {
        if self.executable(typed, found, role) {
            self.by_script = true;
            let why = "it has no `#!` in its first line, and whether a shell reads it then hangs on the C library of what \
                       starts it, which is not known";
            self.unknown(Rule::EntrypointNotExecutable, &shown(&found.path), why);
        }
    }

    fn missing_interpreter(
        &mut self,
        (script, role): (&Found<'_>, &Role),
        interpreter: &str,
        end: Option<String>,
        aside: &str,
    ) {
        let end = end.map_or_else(String::new, |end| format!(": {end}"));
        let place = if interpreter.contains('/') { "in the image" } else { "in PATH" };
        let what = format!("asks for the interpreter {interpreter}, which is not {place}{end}{aside}");
        let mut finding = self.about(Rule::InterpreterMissing, &shown(&script.path), script, role, &what);
        finding.found = Some("nothing".into());
        finding.wanted = Some(interpreter.into());
        self.push(finding.help(format!("install {interpreter} in the image, or name another after `#!`")));
    }
}

/// Whether this program's `execvp` has /bin/sh read what the kernel refuses (`ENOEXEC`): glibc's does, musl's does not.
/// One that is static has its own within itself.
pub(super) fn execvp(node: &Node) -> May {
    let Kind::File { head: Head::Elf(elf), .. } = &node.kind else { return May::Unknown };
    let mut needed = elf.needed.iter().flatten();
    match needed.find(|name| name.starts_with(b"libc.")) {
        Some(name) if **name == *b"libc.so.6" => May::Yes,
        Some(name) if name.starts_with(b"libc.musl-") => May::No,
        _ => May::Unknown,
    }
}

/// Whether a shell reads the script of which this is kept ([`Head::Script`]), and its text where all of it is.
pub(super) fn shell_text(kept: &[u8]) -> (bool, Option<&str>) {
    let first = first_line(kept);
    let line = String::from_utf8_lossy(first);
    let (interpreter, argument) = line.trim().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
    let by_shell = is_shell(interpreter)
        || interpreter.ends_with("/env")
            && matches!(env_program(argument.trim()), Env::Name(name) | Env::Split(name) if is_shell(name));
    let text = kept.get(first.len() + 1..).filter(|_| by_shell).and_then(|text| std::str::from_utf8(text).ok());
    (by_shell, text)
}

/// What stands behind the interpreter in the first line.
pub(super) fn argument(kept: &[u8]) -> &str {
    let line = std::str::from_utf8(first_line(kept)).unwrap_or_default().trim();
    line.split_once([' ', '\t']).map_or("", |(_, argument)| argument.trim())
}

pub(super) fn first_line(kept: &[u8]) -> &[u8] {
    kept.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

/// What `env` starts.
#[derive(Debug, PartialEq, Eq)]
enum Env<'a> {
    /// The whole argument.
    Name(&'a str),
    /// The first word that is none of its own, since `-S` splits.
    Split(&'a str),
    /// Nothing is named: it shows its environment and ends well.
    Nothing,
    /// It cannot be told without being `env`.
    Open,
}

fn env_program(argument: &str) -> Env<'_> {
    if argument.is_empty() {
        return Env::Nothing;
    }
    let split = ["-S", "-vS", "--split-string="].iter().find_map(|option| argument.strip_prefix(option));
    let Some(rest) = split else {
        // An option or an assignment takes the whole line, and then the script itself is what env starts, again and
        // again; some refuse it.
        return if argument.starts_with('-') || argument.contains('=') { Env::Open } else { Env::Name(argument) };
    };
    if rest.contains(['"', '\'', '\\', '$', '#']) {
        return Env::Open;
    }
    let mut words = rest.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-v" | "-0" | "--" => {}
            "-u" | "-C" => _ = words.next(),
            _ if word.starts_with('-') => return Env::Open,
            // Where PATH is set or cleared (`-i`, `-`), another one is searched.
            _ if word.starts_with("PATH=") => return Env::Open,
            _ if word.contains('=') => {}
            _ => return Env::Split(word),
        }
    }
    Env::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_takes_one_argument_unless_it_splits() {
        for (argument, wanted) in [
            ("", Env::Nothing),
            ("python3", Env::Name("python3")),
            ("python3 -u", Env::Name("python3 -u")),
            ("-S python3 -u", Env::Split("python3")),
            ("-SA=1 -u B node --x", Env::Split("node")),
            ("-vS -i sh", Env::Open),
            ("-iS sh", Env::Open),
            ("-vS -- sh", Env::Split("sh")),
            ("--split-string=sh -e", Env::Split("sh")),
            ("-S A=1", Env::Nothing),
            ("-S PATH=/x sh", Env::Open),
            ("-S \"my program\"", Env::Open),
            ("-S ${X}", Env::Open),
            ("-i python3", Env::Open),
            ("A=1 sh", Env::Open),
        ] {
            assert_eq!(env_program(argument), wanted, "{argument:?}");
        }
    }
}
