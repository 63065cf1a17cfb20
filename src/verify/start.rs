//! From the process of a container to the program that does the work: what inits, wrappers, shells and scripts start,
//! as far as their words say it.

use std::mem;

use crate::layer::contents::{Head, Kind};
use crate::layer::entry::split;

use super::executable::{Judge, Role};
use super::finding::{Finding, Rule, Severity};
use super::lookup::{May, Seeker, Sought, shown};
use super::process::{Opened, opened_file};
use super::script::{argument, execvp, first_line, shell_text};
use super::shell::{Failure, Script, is_shell, script, told};
use super::wrapper::{Changes, applet, calls_execvp, is_wrapper, wrapped};

/// How many programs may start one another on a command line.
const MAX_WRAPPERS: usize = 8;

/// How many programs are followed in all: scripts start scripts.
const MAX_STARTS: usize = 512;

/// How long a file's name may be (`NAME_MAX`).
const LONGEST_NAME: usize = 255;

/// What is to be started.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that is known of it")]
struct Start<'w> {
    /// Program and arguments, as far as they are known.
    words: &'w [String],
    /// Whether others may follow.
    is_open: bool,
    role: Role,
    by: By,
    /// Whether `exec` stands before it, so that it is no builtin.
    executes: bool,
    changes: Changes,
    /// Whether no program has run before that may have changed the root file system.
    fresh: bool,
    /// Whether what starts it goes on where it cannot be started.
    passes: bool,
    /// How many stand before it.
    depth: usize,
}

/// Who asks the kernel for a program, and what becomes of a file whose format that refuses (`ENOEXEC`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// A runtime, or a program that does no more.
    Kernel,
    /// A shell, which has builtins, and reads the file itself.
    Shell,
    /// `execvp`, which may have a shell read it.
    Execvp(May),
}

/// What was found of a start.
struct Started<'w> {
    /// The path at which it was found.
    path: String,
    /// Its text, where it is a script or opens one.
    text: Option<ScriptFile<'w>>,
    /// Whether its `execvp` has a shell read what the kernel refuses.
    execvp: May,
}

impl Start<'_> {
    fn is_sure(&self) -> bool {
        !matches!(self.role, Role::Maybe(_))
    }
}

impl<'a> Judge<'a> {
    pub(super) fn run(&mut self) {
        let process = self.process;
        if let Some(reason) = &process.unknown {
            let message = format!("what starts is not known: {} ({reason})", process.origin);
            self.push(Finding::new(Rule::EntrypointNotFound, Severity::Note, message).undecided().help(
                "give the value that is missing (--var, --parameter), name a plan (terraform show -json) or a rendered \
                 definition instead, or, if you know that it starts, say so: --allow entrypoint-not-found",
            ));
            return;
        }
        if process.words.is_empty() {
            let message = "nothing starts: neither the image nor the container definition names a command";
            self.push(
                Finding::new(Rule::EntrypointNotFound, Severity::Error, message)
                    .help("set entrypoint or cmd in the image, or command in the container definition"),
            );
            return;
        }
        let (role, changes) = (Role::Program, Changes::default());
        let (words, is_open) = (&process.words[..], process.is_open);
        self.start(&Start {
            words,
            is_open,
            role,
            by: By::Kernel,
            executes: false,
            changes,
            fresh: true,
            passes: false,
            depth: 0,
        });
    }

    fn start(&mut self, start: &Start<'_>) {
        let known = self.findings.len();
        let own = start.changes.user.map(|user| mem::replace(&mut self.surroundings.user, user));
        let started = self.judged(start);
        self.surroundings.user = own.unwrap_or(self.surroundings.user);
        self.soften(known, start);
        if let Some(started) = started {
            self.follow(start, &started);
        }
    }

    /// Judges what is to be started.
    fn judged<'w>(&mut self, start: &Start<'w>) -> Option<Started<'w>>
    where
        'a: 'w,
    {
        let words = start.words;
        let [name, ..] = words else { return None };
        // Where PATH or the working folder are others, only whole paths say something.
        if start.changes.place && !name.starts_with('/') {
            return None;
        }
        // A loader looks a name up among libraries.
        if start.changes.by_loader && !name.contains('/') {
            return None;
        }
        self.starts += 1;
        if start.depth >= MAX_WRAPPERS || self.starts > MAX_STARTS {
            self.by_script = true;
            return None;
        }
        let seeker = if start.depth == 0 { Seeker::Runtime } else { Seeker::Program };
        let may_be_builtin = start.by == By::Shell && !start.executes && !name.contains('/');
        let (path, sought) = self.surroundings.find(name, seeker);
        let found = match sought {
            Sought::Found(found) => found,
            _ if !start.is_sure() => return None,
            // A path is no builtin of any shell, nor is what stands behind `exec`.
            Sought::Missing(_) if may_be_builtin => {
                self.missing_in_shell(name);
                return None;
            }
            Sought::Unknown(_) if start.by == By::Shell => return None,
            Sought::Unknown(why) => {
                self.unknown(Rule::EntrypointNotFound, &path, &why);
                return None;
            }
            Sought::Missing(end) => {
                self.missing_program(name, end, &start.role);
                return None;
            }
        };
        let program = shown(&found.path);
        let head = match &found.node.kind {
            Kind::File { head, .. } => Some(head),
            _ => None,
        };
        let known = self.findings.len();
        self.has_moved = start.changes.moves();
        // A shell reads what the kernel refuses, and whoever calls glibc's `execvp` has one read it.
        let is_refused = head == Some(&Head::Other);
        let read_by_shell = is_refused
            && match start.by {
                By::Shell => true,
                By::Execvp(reads) => reads == May::Yes && self.has_shell(),
                By::Kernel => false,
            };
        let is_open = is_refused && start.by == By::Execvp(May::Unknown);
        // What was judged in the same way is not judged again: scripts start one program any number of times.
        let again = !start.is_sure() && self.visited.contains(&found.path)
            || !self.judged.insert((found.path.clone(), [start.is_sure(), start.fresh, start.passes], start.changes));
        match (is_open, read_by_shell) {
            _ if again => {}
            (true, _) => self.by_unknown_execvp(&path, &found, &start.role),
            (_, true) => _ = self.executable(&path, &found, &start.role),
            _ => self.file(&path, &found, &start.role, 0),
        }
        if !start.is_sure() {
            self.doubt(known, |_| true);
        } else if start.changes.libraries {
            self.doubt(known, |finding| finding.path.as_deref() != Some(&program));
        }
        if start.changes.by_loader {
            self.keep(known, |finding| {
                finding.rule == Rule::ForeignExecutable && finding.path.as_deref() == Some(&program)
            });
        }
        // What it does with its words is known of the program that was found, not of the name.
        let opens = if start.is_sure() { self.opened(&program, start) } else { None };
        let text = match (opens, head) {
            (Some(file), _) => start.words.iter().position(|word| *word == file.name).map(|at| ScriptFile {
                shell: true,
                text: file.text,
                words: &start.words[at..],
                exits: start.words[1..at].iter().any(|word| is_exit_option(word)),
            }),
            (None, Some(Head::Script(kept))) => {
                let (shell, text) = shell_text(kept);
                // No kernel finds an interpreter whose name ends with CR: nobody reads it.
                let text = text.filter(|_| !first_line(kept).ends_with(b"\r"));
                Some(ScriptFile { shell, text, words: start.words, exits: is_exit_option(argument(kept)) })
            }
            (None, _) => {
                read_by_shell.then_some(ScriptFile { shell: true, text: None, words: start.words, exits: false })
            }
        };
        Some(Started { path, text, execvp: execvp(found.node) })
    }

    /// What a program starts that has been found.
    fn follow(&mut self, start: &Start<'_>, Started { path, text, execvp }: &Started<'_>) {
        let Start { words, is_open, fresh, passes, .. } = *start;
        let depth = start.depth + 1;
        let maybe = || Role::Maybe(path.clone());
        let sure = || if start.is_sure() { Role::Started(path.clone()) } else { maybe() };
        if let Some((rest, changes)) = wrapped(words) {
            let changes = start.changes.and(changes);
            let by = By::Execvp(if calls_execvp(words) { *execvp } else { May::No });
            let words = rest;
            return self.start(&Start {
                words,
                is_open,
                role: sure(),
                by,
                executes: false,
                changes,
                fresh,
                passes,
                depth,
            });
        }
        // What it starts is not among the words that are known.
        self.by_script |= is_open && is_wrapper(words);
        if let Some(told) = told(words, is_open) {
            self.by_script |= !told.is_whole;
            self.carriage_returns(start.is_sure(), &told, None);
            return self.commands(start, path, &told);
        }
        let mut rest: &[String] = &[];
        if let Some(ScriptFile { shell, text, words, exits }) = text {
            rest = words.get(1..).unwrap_or_default();
            if let Some(text) = text {
                // A script that starts itself again, as another user or with a word before its own, starts nothing new.
                if !self.read.insert(path.clone()) && !start.is_sure() {
                    return;
                }
                let read = script(text, words, (is_open, *exits));
                self.carriage_returns(start.is_sure(), &read, words.first());
                self.commands(start, path, &read);
                if read.is_whole {
                    return;
                }
            }
            self.by_script |= shell;
        }
        // A script ends in `exec "$@"` as a rule, and so does what has `--` before a command.
        if let Some(end) = words.iter().position(|word| word == "--") {
            rest = &words[end + 1..];
        }
        if rest.first().is_some_and(|word| !word.starts_with('-')) {
            let by = if is_shell(&words[0]) { By::Shell } else { By::Kernel };
            self.start(&Start {
                words: rest,
                is_open,
                role: maybe(),
                by,
                executes: false,
                changes: start.changes,
                fresh,
                passes,
                depth,
            });
        }
    }

    /// What the text of a shell starts.
    fn commands(&mut self, start: &Start<'_>, path: &str, script: &Script) {
        for command in &script.commands {
            let goes_on = command.failure == Failure::Foreseen;
            let is_there = command.needs.as_ref().is_none_or(|folder| self.may_be_folder(folder));
            let is_sure = command.is_sure && start.is_sure() && is_there && !goes_on;
            let role = if is_sure { Role::Started(path.to_owned()) } else { Role::Maybe(path.to_owned()) };
            let changes = start.changes.and(command.changes);
            let (words, is_open) = (&command.words[..], command.is_open);
            let (fresh, depth) = (command.fresh && start.fresh, start.depth + 1);
            let passes = start.passes || command.failure != Failure::Ends;
            let executes = command.executes;
            self.start(&Start { words, is_open, role, by: By::Shell, executes, changes, fresh, passes, depth });
        }
    }

    fn may_be_folder(&self, path: &str) -> bool {
        match self.surroundings.at(path) {
            Sought::Found(found) => found.node.kind == Kind::Directory,
            Sought::Missing(_) => false,
            Sought::Unknown(_) => true,
        }
    }

    /// Of a start that is sure, the findings since the first `known` are no errors where a program that ran before may
    /// have put things right, or where what starts it goes on without it: the verdict is open then, and each thing is
    /// said once. No program that runs before compiles another for its machine.
    fn soften(&mut self, known: usize, start: &Start<'_>) {
        let why = match start {
            start if !start.is_sure() || start.fresh && !start.passes => return,
            Start { passes: true, .. } => "; what starts it goes on without it",
            _ => "; a program that runs before may put it right",
        };
        let (told, mut at) = (&mut self.told, 0);
        self.findings.retain_mut(|finding| {
            at += 1;
            if at <= known {
                return true;
            }
            let is_foreign = finding.rule == Rule::ForeignExecutable;
            if finding.severity == Severity::Error && (start.passes || !is_foreign) {
                finding.severity = if is_foreign { Severity::Warning } else { Severity::Note };
                finding.undecided = true;
                finding.message.push_str(why);
            }
            told.insert((finding.severity, finding.rule, finding.path.clone(), finding.wanted.clone()))
        });
    }

    /// Of the findings since the first `known`, only those of which this is true stay.
    fn keep(&mut self, known: usize, stays: impl Fn(&Finding) -> bool) {
        let mut at = 0;
        self.findings.retain(|finding| {
            at += 1;
            at <= known || stays(finding)
        });
    }

    /// The findings since the first `known` of which this is true hang on what nobody knows: whether the program is
    /// started, or with which libraries. Only another machine is worth a word then.
    fn doubt(&mut self, known: usize, is_open: impl Fn(&Finding) -> bool) {
        let mut at = 0;
        self.findings.retain_mut(|finding| {
            at += 1;
            if at <= known || !is_open(finding) {
                return true;
            }
            let tells = finding.rule == Rule::ForeignExecutable && finding.severity == Severity::Error;
            finding.severity = Severity::Warning;
            finding.undecided = true;
            let path = finding.path.as_deref().unwrap_or("PATH");
            finding.help = Some(format!(
                "build it for that machine, or, if it is not started there, allow it: --allow foreign-executable={path}"
            ));
            tells
        });
    }

    fn missing_in_shell(&mut self, word: &str) {
        let message = format!("the shell that starts will not find {word} ({})", self.process.origin);
        let mut note = Finding::new(Rule::EntrypointNotFound, Severity::Note, message)
            .help(format!("put {word} into the image, unless the shell itself brings it"));
        note.found = Some("nothing".into());
        note.wanted = Some(word.into());
        self.push(note);
    }

    /// An interpreter looks in the working folder, and a shell in `PATH` after that.
    fn missing_script(&mut self, (interpreter, opened): (&str, &Opened<'_>), end: Option<String>, is_sure: bool) {
        let folder = self.surroundings.folder.as_deref().unwrap_or("/");
        let name = opened.name.strip_prefix("./").unwrap_or(opened.name);
        let path = match folder.trim_end_matches('/') {
            _ if name.starts_with('/') => name.to_owned(),
            folder => format!("{folder}/{name}"),
        };
        let end = end.map_or_else(String::new, |end| format!(" ({end})"));
        let nor = if opened.in_path { ", and no folder of PATH has it either" } else { "" };
        let origin = &self.process.origin;
        let message = format!("{interpreter} opens {}, but {path} does not exist{end}{nor} ({origin})", opened.name);
        let near = Some(&path).filter(|_| is_sure).and_then(|path| self.near(path));
        let help = near.map_or_else(
            || "name a file that the image has, relative to the working folder or by its whole path".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        let mut finding = Finding::new(Rule::EntrypointNotFound, Severity::Error, message).help(help);
        finding.found = Some("nothing".into());
        finding.wanted = Some(path.clone());
        finding.path = Some(path);
        self.push(finding);
    }

    /// A file in the same folder whose name is nearly that of this path.
    fn near(&self, path: &str) -> Option<String> {
        let (folder, name) = path.rsplit_once('/').filter(|(_, name)| name.len() <= LONGEST_NAME)?;
        let root = &self.image().root;
        let folder = root
            .resolve(folder.as_bytes())
            .map_or_else(|_| folder.trim_start_matches('/').as_bytes().into(), |found| found.path);
        let files = root.iter().filter(|(path, node, _)| split(path).0 == &*folder && node.kind != Kind::Directory);
        let mut names = files.map(|(path, ..)| String::from_utf8_lossy(split(path).1).into_owned());
        names.find(|known| is_near(known, name)).map(|near| format!("{}/{near}", shown(&folder).trim_end_matches('/')))
    }

    /// The script or jar that an interpreter is told to open; what is known of it where a shell is told to.
    fn opened<'w>(&mut self, program: &str, start: &Start<'w>) -> Option<ShellFile<'w, 'a>> {
        let words = applet(start.words);
        let opened = opened_file(program, words)?;
        let mut file = is_shell(&words[0]).then_some(ShellFile { name: opened.name, text: None });
        if start.changes.place && !opened.name.starts_with('/') {
            return file;
        }
        let mut sought = self.surroundings.at(opened.name);
        for ending in opened.endings {
            if matches!(sought, Sought::Missing(_)) {
                sought = self.surroundings.at(&format!("{}{ending}", opened.name));
            }
        }
        if opened.in_path && matches!(sought, Sought::Missing(_)) {
            sought = self.surroundings.in_path(opened.name, Seeker::Program).1;
        }
        match sought {
            Sought::Missing(end) => {
                // Names are compared where it is missing for sure.
                self.missing_script((&words[0], &opened), end, start.is_sure() && start.fresh);
            }
            Sought::Unknown(why) => self.unknown(Rule::EntrypointNotFound, opened.name, &why),
            Sought::Found(found) => {
                if let Kind::File { head, .. } = &found.node.kind {
                    self.scripts.push(found.path.clone());
                    self.readable(&found, &Role::Started(program.into()));
                    if let (Some(file), Head::Script(kept)) = (&mut file, head) {
                        file.text = shell_text(kept).1;
                    }
                }
            }
        }
        file
    }
}

/// The file that a shell is told to read.
struct ShellFile<'w, 'i> {
    /// As it is named on the command line.
    name: &'w str,
    /// Its text, where it is known.
    text: Option<&'i str>,
}

/// A script.
struct ScriptFile<'a> {
    /// Whether a shell reads it.
    shell: bool,
    /// Its text, where it is known.
    text: Option<&'a str>,
    /// What it is told, itself first.
    words: &'a [String],
    /// Whether a failure ends it (`-e`).
    exits: bool,
}

/// Whether a shell that is told this word ends at a failure.
fn is_exit_option(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|letters| !letters.starts_with('-') && letters.contains('e'))
}

/// Whether two names differ in case, in one character, or in two that have changed places. A distance, as it is told
/// between the words of a recipe, takes the product of their lengths, and folders of strangers have any number of long
/// names.
fn is_near(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    let (one, other) = (&one[same..], &other[same..]);
    let same = one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count();
    match (&one[..one.len() - same], &other[..other.len() - same]) {
        ([a, b], [c, d]) => a == d && b == c,
        (one, other) => one.len() <= 1 && other.len() <= 1,
    }
}
