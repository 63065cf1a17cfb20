//! From the process of a container to the program that does the work: what inits, wrappers, shells and scripts start,
//! as far as their words say it.

use crate::layer::contents::{Head, Kind};
use crate::layer::entry::split;

use super::executable::{Judge, Role};
use super::finding::{Finding, Rule, Severity};
use super::lookup::{Sought, shown};
use super::process::{Opened, opened_file};
use super::shell::{is_shell, told};
use super::wrapper::{Changes, wrapped};

/// How many programs may start one another on a command line.
const MAX_WRAPPERS: usize = 8;

/// How many commands of a shell's text are followed.
const MAX_COMMANDS: usize = 32;

/// What is to be started.
struct Start<'w> {
    /// Program and arguments.
    words: &'w [String],
    role: Role,
    /// Whether a shell starts it, which has builtins and reads files that no kernel executes.
    by_shell: bool,
    changes: Changes,
    /// How many stand before it.
    depth: usize,
}

impl Start<'_> {
    fn is_sure(&self) -> bool {
        !matches!(self.role, Role::Maybe(_))
    }
}

impl Judge<'_> {
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
        self.start(&Start { words: &process.words, role, by_shell: false, changes, depth: 0 });
    }

    fn start(&mut self, start: &Start<'_>) {
        let words = start.words;
        let [name, ..] = words else { return };
        // Where PATH or the working folder are others, only whole paths say something.
        if start.depth >= MAX_WRAPPERS || (start.changes.place && !name.starts_with('/')) {
            return;
        }
        let (path, sought) = self.surroundings.find(name);
        let found = match sought {
            Sought::Found(found) => found,
            _ if !start.is_sure() => return,
            // A path is no builtin of any shell.
            Sought::Missing(_) if start.by_shell && !name.contains('/') => return self.missing_in_shell(name),
            Sought::Unknown(_) if start.by_shell => return,
            Sought::Unknown(why) => return self.unknown(Rule::EntrypointNotFound, &path, &why),
            Sought::Missing(end) => return self.missing_program(name, end, &start.role),
        };
        let program = shown(&found.path);
        let head = match &found.node.kind {
            Kind::File { head, .. } => Some(head),
            _ => None,
        };
        let known = self.findings.len();
        // A shell reads what the kernel refuses.
        let read_by_shell = start.by_shell && head == Some(&Head::Other);
        let again = !start.is_sure() && self.visited.contains(&found.path);
        if !read_by_shell && !again {
            self.file(&path, &found, &start.role, 0);
        }
        self.by_script |= read_by_shell;
        if !start.is_sure() {
            self.doubt(known, |_| true);
        } else if start.changes.libraries {
            self.doubt(known, |finding| finding.path.as_deref() != Some(&program));
        }
        // What it does with its words is known of the program that was found, not of the name.
        let opens = start.is_sure() && self.opened(&program, start);
        self.follow(start, &path, opens || read_by_shell || matches!(head, Some(Head::Script(_))));
    }

    /// What a program starts that has been found at this path; `is_script` where it is one, or opens one.
    fn follow(&mut self, start: &Start<'_>, path: &str, is_script: bool) {
        let (words, depth) = (start.words, start.depth + 1);
        let maybe = || Role::Maybe(path.to_owned());
        let sure = || if start.is_sure() { Role::Started(path.to_owned()) } else { maybe() };
        if let Some((words, changes)) = wrapped(&words[0], words) {
            let changes = start.changes.and(changes);
            return self.start(&Start { words, role: sure(), by_shell: false, changes, depth });
        }
        if let Some(script) = told(words) {
            if let Some(first) =
                script.commands.first().filter(|_| script.leads && !script.is_simple && start.is_sure())
                && !first.changes.and(start.changes).place
                && let Some(word) = first.words.first()
                && let (_, Sought::Missing(_)) = self.surroundings.find(word)
            {
                self.missing_in_shell(word);
            }
            for command in script.commands.iter().take(MAX_COMMANDS) {
                let role = if script.is_simple { sure() } else { maybe() };
                let changes = start.changes.and(command.changes);
                self.start(&Start { words: &command.words, role, by_shell: true, changes, depth });
            }
            return;
        }
        // A script ends in `exec "$@"` as a rule, and so does what has `--` before a command.
        let by_shell = is_shell(&words[0]);
        let rest = match words.iter().position(|word| word == "--") {
            Some(end) => &words[end + 1..],
            None if is_script && by_shell => words.get(2..).unwrap_or_default(),
            None if is_script => &words[1..],
            None => &[],
        };
        if rest.first().is_some_and(|word| !word.starts_with('-')) {
            self.start(&Start { words: rest, role: maybe(), by_shell, changes: start.changes, depth });
        }
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
    fn missing_script(&mut self, interpreter: &str, opened: &Opened<'_>, end: Option<String>) {
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
        let help = self.near(&path).map_or_else(
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
        let (folder, name) = path.rsplit_once('/')?;
        let root = &self.image().root;
        let folder = root
            .resolve(folder.as_bytes())
            .map_or_else(|_| folder.trim_start_matches('/').as_bytes().into(), |found| found.path);
        let files = root.iter().filter(|(path, node, _)| split(path).0 == &*folder && node.kind != Kind::Directory);
        let mut names = files.map(|(path, ..)| String::from_utf8_lossy(split(path).1).into_owned());
        names.find(|known| is_near(known, name)).map(|near| format!("{}/{near}", shown(&folder).trim_end_matches('/')))
    }

    /// The script or jar that an interpreter is told to open; whether a shell is told to.
    fn opened(&mut self, program: &str, start: &Start<'_>) -> bool {
        let Some(opened) = opened_file(program, start.words) else { return false };
        let by_shell = is_shell(&start.words[0]);
        self.by_script |= by_shell;
        if start.changes.place && !opened.name.starts_with('/') {
            return by_shell;
        }
        let mut sought = self.surroundings.at(opened.name);
        for ending in opened.endings {
            if matches!(sought, Sought::Missing(_)) {
                sought = self.surroundings.at(&format!("{}{ending}", opened.name));
            }
        }
        if opened.in_path && matches!(sought, Sought::Missing(_)) {
            sought = self.surroundings.in_path(opened.name).1;
        }
        match sought {
            Sought::Missing(end) => self.missing_script(&start.words[0], &opened, end),
            Sought::Unknown(why) => self.unknown(Rule::EntrypointNotFound, opened.name, &why),
            Sought::Found(found) => {
                if matches!(found.node.kind, Kind::File { .. }) {
                    self.scripts.push(found.path.clone());
                    self.readable(&found, &Role::Started(program.into()));
                }
            }
        }
        by_shell
    }
}

/// Whether two names differ in case, in one character, or in two that have changed places.
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
