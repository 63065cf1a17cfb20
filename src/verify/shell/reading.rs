//! A shell's text as the commands that it starts: which of them whoever comes to the end has surely started.
//!
//! Nothing is expanded and no condition judged. A command is sure where it stands on the first level, nothing before it
//! may have ended the text, and it is not the other way (`||`) or hangs on a test. So "sure" is what a container that
//! does its work has started: one that stopped with an error before it does not run either.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::lexer::{Lexed, Token, tokens};
use super::names::{BUILTINS, is_assignment};
use super::structure::{Join, Part, Structure};
use super::{Command, Failure, Script};
use crate::verify::wrapper::Changes;

/// How many commands are kept.
const MAX_COMMANDS: usize = 64;
/// How many bytes of words a text has copied for `"$@"` and `"$0"`, and what each word costs beside: of a short text
/// they may be any number, since `set -- "$@" "$@"` doubles them.
const MOST_COPIED: usize = 256 << 10;
const WORD_COST: usize = 32;
/// How many ways what `"$@"` is are followed.
const MAX_FORKS: usize = 4;
/// How deep command substitutions are read.
const MAX_DEPTH: usize = 4;

/// The commands of a text; `arguments` are what follows it, `$0` first. Where `is_open`, others may follow; where it
/// `exits`, the shell was told `-e`.
pub(in crate::verify) fn script(text: &str, arguments: &[String], (is_open, exits): (bool, bool)) -> Script {
    let mut script = Script { is_whole: true, ..Script::default() };
    let (zeroth, rest) = arguments.split_at(arguments.len().min(1));
    let told = Told { zeroth, arguments: Arguments { words: rest.into(), shifted: 0, is_open }, exits };
    read(text, &told, 0, &mut script, &mut { MOST_COPIED });
    if script.commands.len() > MAX_COMMANDS {
        script.commands.truncate(MAX_COMMANDS);
        script.is_whole = false;
    }
    script
}

fn read(text: &str, told: &Told<'_>, depth: usize, script: &mut Script, room: &mut usize) {
    if depth >= MAX_DEPTH {
        script.is_whole = false;
        return;
    }
    let Lexed { tokens, substitutions, has_carriage_return } = tokens(text);
    script.has_carriage_return |= has_carriage_return;
    let mut structure = Structure::default();
    structure.read(&tokens);
    let is_nested = structure.is_broken || depth > 0;
    script.is_whole &= !structure.is_broken;
    let mut reading = Reading {
        all: &structure.parts,
        at: 0,
        is_last: false,
        exits: told.exits,
        behind: None,
        is_doubtful: false,
        zeroth: told.zeroth,
        arguments: vec![told.arguments.clone()],
        may_have_ended: is_nested,
        fresh: depth == 0,
        folder: None,
        changes: Changes::default(),
        named: BTreeSet::new(),
        functions: &structure.functions,
        script,
        room,
    };
    reading.parts();
    for inner in substitutions {
        read(&inner, told, depth + 1, script, room);
    }
}

/// What a text is told.
struct Told<'t> {
    /// `"$0"`, or nothing.
    zeroth: &'t [String],
    arguments: Arguments,
    /// Whether a failure ends it (`-e`).
    exits: bool,
}

/// What `"$@"` is.
#[derive(Clone)]
struct Arguments {
    words: Rc<[String]>,
    /// How many of them are gone.
    shifted: usize,
    /// Whether others may follow that are not known.
    is_open: bool,
}

/// How far the text has been followed.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that the text has done or not")]
struct Reading<'r> {
    all: &'r [Part],
    /// Which of them is looked at, and whether it is in the last list.
    at: usize,
    is_last: bool,
    /// Whether a failure ends the text (`set -e`).
    exits: bool,
    /// The folder to which a `cd` before in the same list has changed.
    behind: Option<String>,
    /// Whether the text goes on where `folder` is none.
    is_doubtful: bool,
    /// `"$0"`, or nothing.
    zeroth: &'r [String],
    /// What `"$@"` may be; more than one where that hangs on a condition.
    arguments: Vec<Arguments>,
    /// Whether the text may have ended well before.
    may_have_ended: bool,
    /// Whether no program has run and nothing has been written.
    fresh: bool,
    folder: Option<String>,
    changes: Changes,
    /// Words that were handed to programs: files that these may have made.
    named: BTreeSet<String>,
    functions: &'r BTreeSet<String>,
    script: &'r mut Script,
    /// What is left of [`MOST_COPIED`].
    room: &'r mut usize,
}

/// A command's words as far as they are known.
struct Words {
    command: Command,
    /// Whether `exec` stands before them, and with nothing that changes its sense.
    executes: bool,
    is_known: bool,
}

/// What becomes of the text after a command.
#[derive(PartialEq, Eq)]
enum Then {
    GoesOn,
    /// Nothing after it is ever read.
    Ends,
}

impl Reading<'_> {
    fn parts(&mut self) {
        let parts = self.all;
        let is_start = |part: &Part| part.before == Join::Next && !part.in_function;
        let last_list = parts.iter().rposition(is_start).unwrap_or(0);
        let mut is_reached = true;
        for (at, part) in parts.iter().enumerate() {
            self.at = at;
            self.is_last |= at >= last_list;
            if part.before == Join::Next {
                self.behind = None;
            }
            is_reached = match (part.before, at.checked_sub(1).map(|before| &parts[before])) {
                (Join::Next, _) | (_, None) => true,
                (Join::Pipe, _) => is_reached,
                (Join::And, Some(left)) => is_reached && left.depth == part.depth && left.leads_on(self.is_last),
                (Join::Or, _) => false,
            };
            let is_sure = is_reached && part.depth == 0 && !self.may_have_ended;
            if self.part(part, is_sure) == Then::Ends || self.script.commands.len() > MAX_COMMANDS {
                return;
            }
        }
    }

    fn part(&mut self, part: &Part, is_sure: bool) -> Then {
        // What is substituted has run before.
        self.fresh &= !part.tokens.iter().any(|token| matches!(token, Token::Expanded { runs: true, .. }));
        let uses = part.tokens.contains(&Token::Arguments);
        let count = if uses { self.arguments.len() } else { 1 };
        let ways: Vec<Words> = (0..count).map(|way| self.words(part, way, is_sure)).collect();
        // As far as all ways agree they are one.
        let same =
            |way: &Words| ways[0].command.words.iter().zip(&way.command.words).take_while(|(a, b)| a == b).count();
        let agreed = ways.iter().map(same).min().unwrap_or_default();
        let is_forked = ways.len() > 1;
        let mut then = Then::GoesOn;
        if is_forked && is_sure && agreed > 0 {
            let mut words = self.words(part, 0, true);
            words.command.words.truncate(agreed);
            then = self.command(part, words);
        }
        for mut words in ways {
            words.command.is_sure &= !is_forked;
            let way = self.command(part, words);
            then = if is_forked { then } else { way };
        }
        self.fresh &= !part.tokens.contains(&Token::Redirection { writes: true });
        then
    }

    /// What becomes of the text where the command that is looked at cannot be started, or fails.
    fn failure(&self, executes: bool) -> Failure {
        let part = &self.all[self.at];
        if part.aside {
            return Failure::Passes;
        }
        if executes {
            return Failure::Ends;
        }
        let behind = &self.all[self.at + 1..];
        let is_end = behind.first().is_none_or(|next| next.before == Join::Next);
        let list = behind.iter().take_while(|next| next.before != Join::Next || next.depth > part.depth);
        let other = list.filter(|next| next.depth == part.depth).find(|next| next.before == Join::Or);
        match other.map(|other| (other.name(), other.tokens.get(1))) {
            Some(("true" | ":" | "echo" | "printf", _)) => Failure::Foreseen,
            Some(("exit", None)) => Failure::Ends,
            Some(("exit", Some(Token::Literal { word, .. }))) if word != "0" => Failure::Ends,
            None if !part.negated && (self.is_last || self.exits && is_end) => Failure::Ends,
            _ => Failure::Passes,
        }
    }

    /// The words of a command where `"$@"` is what it is on this way.
    fn words(&mut self, part: &Part, way: usize, is_sure: bool) -> Words {
        let (changes, fresh) = (self.changes, self.fresh);
        let mut command = Command { changes, is_sure, fresh, ..Command::default() };
        let (mut executes, mut is_known) = (false, true);
        for token in &part.tokens {
            let first = command.words.is_empty();
            match token {
                Token::Literal { word, .. } if first && word == "exec" && !executes => executes = true,
                Token::Literal { word, .. } if first && executes && word.starts_with('-') => is_known = false,
                Token::Literal { word, .. } | Token::Expanded { word, .. }
                    if first && !executes && is_assignment(word) =>
                {
                    let variable = word.split(['=', '+']).next().unwrap_or_default();
                    command.changes = command.changes.and(Changes::of(variable));
                }
                Token::Literal { word, .. } => command.words.push(word.clone()),
                Token::Arguments => {
                    let Arguments { words, shifted, is_open: more } = self.arguments[way].clone();
                    command.is_open = !self.copy(&words[shifted..], &mut command.words) || more;
                }
                Token::Zeroth => command.is_open = !self.copy(self.zeroth, &mut command.words),
                Token::Expanded { .. } => command.is_open = true,
                _ => {}
            }
            if command.is_open {
                break;
            }
        }
        Words { command, executes, is_known }
    }

    /// Puts words behind others; whether there was room for all of them.
    fn copy(&mut self, words: &[String], to: &mut Vec<String>) -> bool {
        words.iter().all(|word| {
            let left = self.room.checked_sub(word.len() + WORD_COST);
            if let Some(left) = left {
                *self.room = left;
                to.push(word.clone());
            }
            left.is_some()
        })
    }

    /// Takes a command whose words are known as far as they are.
    fn command(&mut self, part: &Part, words: Words) -> Then {
        let Words { command, executes, is_known } = words;
        let (is_sure, is_open) = (command.is_sure, command.is_open);
        match command.words.first().map(String::as_str) {
            None if !is_open => {
                // Alone, `exec` opens files; what is set stays so.
                self.set(part);
                return Then::GoesOn;
            }
            None | Some("") => {
                self.script.is_whole = false;
                self.fresh = false;
                return self.ended(executes, is_sure, part);
            }
            Some(_) if executes => {}
            Some(name) if self.functions.contains(name) => {
                // What is in it was read where it stands, as what may be started.
                self.may_have_ended = true;
                self.fresh = false;
                return Then::GoesOn;
            }
            Some(name) if BUILTINS.contains(&name) || name == "[[" => return self.builtin(part, &command),
            Some(_) => {}
        }
        self.script.is_whole &= is_known;
        if is_known {
            self.program(Command { executes, ..command });
        }
        self.fresh = false;
        self.ended(executes, is_sure, part)
    }

    fn builtin(&mut self, part: &Part, command: &Command) -> Then {
        let Command { words, is_open, is_sure, .. } = command;
        let (is_open, is_sure) = (*is_open, *is_sure);
        match words[0].as_str() {
            "export" | "declare" | "typeset" | "readonly" | "local" => self.set(part),
            "." | "source" | "eval" => {
                self.changes = Changes { place: true, libraries: true, ..Changes::default() };
                self.script.is_whole = false;
                self.fresh = false;
            }
            "cd" | "pushd" | "popd" if !part.aside => {
                self.folder = words.get(1).filter(|to| to.starts_with('/') && is_sure).cloned();
                self.is_doubtful = self.failure(false) != Failure::Ends;
                self.behind = self.folder.clone().filter(|_| !self.is_last);
                self.changes.place |= self.folder.is_none();
                self.changes.folder = true;
            }
            "exit" | "return" => {
                // Where it stops with an error, nothing runs that could run. A function is left, not the text.
                let fails = words.get(1).is_some_and(|code| code.parse::<u32>().is_ok_and(|code| code != 0));
                let leaves = !(part.in_function && words[0] == "return");
                return self.ended(leaves && (is_sure || !fails), is_sure, part);
            }
            "shift" if is_sure && words.len() < 2 && !is_open => {
                self.arguments.iter_mut().for_each(|all| all.shifted = (all.shifted + 1).min(all.words.len()));
            }
            "set" => {
                if !part.aside {
                    self.set_exits(words, is_sure);
                }
                if let Some(at) = words.iter().position(|word| word == "--") {
                    let new = Arguments { words: words[at + 1..].into(), shifted: 0, is_open };
                    if is_sure {
                        self.arguments = vec![new];
                    } else if self.arguments.len() < MAX_FORKS {
                        self.arguments.push(new);
                    } else {
                        self.script.is_whole = false;
                    }
                }
            }
            // `command -v` asks; else it starts a program.
            "command" | "builtin" => {
                let asks = words.get(1).is_some_and(|option| option.starts_with('-'));
                self.script.is_whole &= asks;
                self.fresh &= asks;
            }
            // The text is read at a signal.
            "trap" => self.script.is_whole &= words.get(1).is_none_or(|text| matches!(text.as_str(), "" | "-")),
            "shift" | "alias" | "enable" => self.script.is_whole = false,
            _ => {}
        }
        Then::GoesOn
    }

    /// What `set` makes of a failure: an end where it surely says so, and none where it may.
    fn set_exits(&mut self, words: &[String], is_sure: bool) {
        let options = words.iter().skip(1).take_while(|word| *word != "--");
        let mut by_name = None;
        for word in options {
            let sets = match (word.strip_prefix('-'), word.strip_prefix('+'), by_name) {
                (Some(letters), ..) if letters.contains('e') => Some(true),
                (_, Some(letters), _) if letters.contains('e') => Some(false),
                (None, None, Some(sets)) if word == "errexit" => Some(sets),
                _ => None,
            };
            by_name = word.ends_with('o').then(|| word.starts_with('-'));
            match sets {
                Some(true) if is_sure => self.exits = true,
                Some(false) => self.exits = false,
                _ => {}
            }
        }
    }

    fn program(&mut self, mut command: Command) {
        command.failure = self.failure(command.executes);
        command.needs.clone_from(&self.behind);
        // Whoever was handed its name may have made it.
        command.is_sure &= !self.named.contains(&command.words[0]);
        if !matches!(command.words[0].rsplit('/').next(), Some("chmod" | "chown" | "ls" | "cat" | "stat" | "file")) {
            self.named.extend(command.words.iter().skip(1).cloned());
        }
        if let Some(folder) = &self.folder {
            if command.words[0].contains('/') && !command.words[0].starts_with('/') {
                if self.is_doubtful {
                    command.needs = Some(folder.clone());
                }
                let name = command.words[0].trim_start_matches("./");
                command.words[0] = format!("{}/{name}", folder.trim_end_matches('/'));
            }
            // Names among its arguments are relative to that folder too.
            command.is_open |= command.words.len() > 1;
            command.words.truncate(1);
        }
        self.script.commands.push(command);
    }

    fn set(&mut self, part: &Part) {
        for token in part.tokens.iter().filter(|_| !part.aside) {
            if let Token::Literal { word, .. } | Token::Expanded { word, .. } = token
                && is_assignment(word)
            {
                self.changes = self.changes.and(Changes::of(word.split(['=', '+']).next().unwrap_or_default()));
            }
        }
    }

    /// After a command that, where it `leaves`, is the last.
    fn ended(&mut self, leaves: bool, is_sure: bool, part: &Part) -> Then {
        if !leaves || part.aside {
            return Then::GoesOn;
        }
        if is_sure {
            return Then::Ends;
        }
        // What is in a function leaves where it is called.
        self.may_have_ended |= !part.in_function;
        Then::GoesOn
    }
}
