//! The house keeps its floors: imports point down only, rooms on one floor do not know each other, and no file grows
//! into a house of its own. Prose did not hold such walls anywhere that we looked; a test does.
//!
//! The check reads the tokens of each file, not its types: `crate::…`, `dockless::…`, `self::…` and `super::…` paths in
//! imports and in expressions, tests included. A new room without a floor is an error too.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms below `src`, and the floor each is on.
const FLOORS: &[(&str, u8)] = &[
    ("main", 9),
    ("cli", 8),
    ("release", 7),
    ("verify", 6),
    ("project", 6),
    ("image", 5),
    ("layer", 4),
    ("serve", 4),
    ("layout", 3),
    ("registry", 3),
    ("blob", 2),
    ("ecs", 2),
    ("oci", 1),
    ("aws", 1),
    ("elf", 1),
    ("event", 1),
    ("cause", 0),
    ("mutex", 0),
    ("secret", 0),
];

/// `registry` is tall enough to have floors of its own.
const REGISTRY_FLOORS: &[(&str, u8)] =
    &[("endpoints", 1), ("error", 1), ("auth", 2), ("http", 3), ("client", 4), ("pull", 5), ("upload", 5), ("push", 6)];

/// Names that say who may enter, or nothing, instead of what is inside.
const NAMELESS: &[&str] = &["utils", "util", "common", "internal", "helpers", "helper", "misc"];

/// More than this is two files that have not met yet.
const MOST_LINES: usize = 520;

/// As code has it. The formatter leaves comments as they are.
const MOST_COLUMNS: usize = 120;

/// A place in a file that goes where it must not.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: PathBuf,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Path,
    /// Any other sign.
    Sign(char),
}

/// The tokens of a Rust file with their lines; comments, texts and lifetimes are left out.
fn tokens(source: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    let peek = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    while at < chars.len() {
        let start = at;
        match chars[at] {
            '/' if peek(at + 1) == '/' => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
            }
            '/' if peek(at + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (peek(at), peek(at + 1)) {
                        ('/', '*') => (depth, at) = (depth + 1, at + 2),
                        ('*', '/') => (depth, at) = (depth - 1, at + 2),
                        _ => at += 1,
                    }
                    if depth == 0 || at >= chars.len() {
                        break;
                    }
                }
            }
            '"' => at = text_end(&chars, at),
            'r' | 'b' | 'c' if !is_word(if at == 0 { ' ' } else { chars[at - 1] }) && raw_end(&chars, at).is_some() => {
                at = raw_end(&chars, at).unwrap_or(at + 1);
            }
            '\'' => {
                // 'a' and '\n' are characters, 'a without an end is a lifetime.
                if peek(at + 1) == '\\' {
                    at += 3;
                    while at < chars.len() && chars[at] != '\'' {
                        at += 1;
                    }
                    at += 1;
                } else if peek(at + 2) == '\'' {
                    at += 3;
                } else {
                    at += 1;
                    while is_word(peek(at)) {
                        at += 1;
                    }
                }
            }
            c if is_word(c) => {
                while is_word(peek(at)) {
                    at += 1;
                }
                found.push((line, Token::Word(chars[start..at].iter().collect())));
            }
            ':' if peek(at + 1) == ':' => {
                at += 2;
                found.push((line, Token::Path));
            }
            c => {
                at += 1;
                if !c.is_whitespace() {
                    found.push((line, Token::Sign(c)));
                }
            }
        }
        at = at.min(chars.len());
        line += chars[start..at].iter().filter(|c| **c == '\n').count();
    }
    found
}

/// Behind the text that starts at a quotation mark.
fn text_end(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Behind `r"…"`, `br#"…"#`, `b"…"`; nothing where no text starts.
fn raw_end(chars: &[char], start: usize) -> Option<usize> {
    let mut at = start;
    while matches!(chars.get(at), Some('b' | 'c')) && at == start {
        at += 1;
    }
    if chars.get(at) == Some(&'"') {
        return (at > start).then(|| text_end(chars, at));
    }
    if chars.get(at) != Some(&'r') {
        return None;
    }
    at += 1;
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    at += hashes;
    if chars.get(at) != Some(&'"') {
        return None;
    }
    at += 1;
    while at < chars.len() {
        if chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(at)
}

/// The module that a file is, from the root of its crate.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> = file.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let name = parts.pop().unwrap_or_default();
    match name.trim_end_matches(".rs") {
        "mod" | "lib" => {}
        name => parts.push(name.to_owned()),
    }
    parts
}

/// Every path in the file that starts at a known place, as it is from the root, with its line.
fn paths(file: &Path, source: &str) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(source);
    let word = |at: usize| match tokens.get(at) {
        Some((_, Token::Word(word))) => Some(word.as_str()),
        _ => None,
    };
    let is = |at: usize, token: &Token| tokens.get(at).is_some_and(|(_, found)| found == token);
    let file_module = module_of(file);
    // For each open brace whether it is a module's.
    let mut braces: Vec<Option<String>> = Vec::new();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is(at, &Token::Sign('}')) {
            braces.pop();
        } else if is(at, &Token::Sign('{')) {
            let named = at >= 2 && word(at - 2) == Some("mod");
            braces.push(if named { word(at - 1).map(str::to_owned) } else { None });
        } else if let Some(first @ ("crate" | "dockless" | "self" | "super")) = word(at)
            && is(at + 1, &Token::Path)
            && (at == 0 || !is(at - 1, &Token::Path))
        {
            let mut from = file_module.clone();
            // The binary's root is no module of its own.
            from.retain(|part| part != "main");
            from.extend(braces.iter().flatten().cloned());
            match first {
                "crate" | "dockless" => from.clear(),
                "super" => drop(from.pop()),
                _ => {}
            }
            // The tree of a `use` closes its own braces.
            at = expand(&tokens, at + 2, from, &mut found);
            continue;
        }
        at += 1;
    }
    found
}

/// Follows a path, or a tree of paths in braces, from behind its `::`. Returns where it ends.
fn expand(
    tokens: &[(usize, Token)],
    mut at: usize,
    mut prefix: Vec<String>,
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    loop {
        match tokens.get(at) {
            Some((line, Token::Word(word))) => {
                match word.as_str() {
                    "super" => drop(prefix.pop()),
                    "self" => {}
                    word => prefix.push(word.to_owned()),
                }
                if !matches!(tokens.get(at + 1), Some((_, Token::Path))) {
                    found.push((*line, prefix));
                    return at + 1;
                }
                at += 2;
            }
            Some((_, Token::Sign('{'))) => {
                at += 1;
                while at < tokens.len() && tokens[at].1 != Token::Sign('}') {
                    // A name, or a tree below; `as other` and commas are passed over.
                    at = match &tokens[at].1 {
                        Token::Word(word) if word == "as" => at + 2,
                        Token::Word(_) => expand(tokens, at, prefix.clone(), found),
                        _ => at + 1,
                    };
                }
                return at + 1;
            }
            Some((line, _)) => {
                found.push((*line, prefix));
                return at + 1;
            }
            None => return at,
        }
    }
}

fn floor_of(rooms: &[(&str, u8)], room: &str) -> Option<u8> {
    rooms.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// What is wrong with one file, named from `src`.
fn violations(file: &Path, source: &str) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let mut say = |line, what| wrong.push(Violation { file: file.into(), line, what });
    let module = module_of(file);
    if let Some(name) = module.iter().find(|part| NAMELESS.contains(&part.as_str())) {
        say(1, format!("the name {name} says nothing of what is inside"));
    }
    let lines = source.lines().count();
    if lines > MOST_LINES {
        say(lines, format!("{lines} lines, more than {MOST_LINES}: which wall is missing?"));
    }
    for (line, text) in (1..).zip(source.lines()) {
        let comment = text.trim_start().strip_prefix("//").map(|text| text.trim_start_matches(['/', '!']).trim());
        // A row of a table is one line.
        let over = comment.is_some_and(|comment| comment.contains(' ') && !comment.starts_with('|'));
        let columns = text.chars().count();
        if over && columns > MOST_COLUMNS {
            say(line, format!("a comment of {columns} characters, more than {MOST_COLUMNS}"));
        }
    }
    let Some(room) = module.first() else {
        for (line, path) in paths(file, source) {
            say(line, format!("the library's root re-exports {}: say where things live", path.join("::")));
        }
        return wrong;
    };
    let Some(floor) = floor_of(FLOORS, room) else {
        say(1, format!("the room {room} has no floor"));
        return wrong;
    };
    for (line, path) in paths(file, source) {
        // `crate::Something` is at the root: a macro, or a mistake that the compiler finds.
        let Some((other, other_floor)) =
            path.first().and_then(|other| Some((other, floor_of(FLOORS, other.as_str())?)))
        else {
            continue;
        };
        if other != room && other_floor >= floor {
            let direction = if other_floor > floor { "up" } else { "sideways" };
            say(line, format!("{room} (floor {floor}) imports {direction}: {} (floor {other_floor})", path.join("::")));
        }
        if room == "registry" && other == "registry" {
            let inner = |path: &[String]| {
                let name = path.get(1)?.clone();
                let floor = floor_of(REGISTRY_FLOORS, &name)?;
                Some((name, floor))
            };
            if let (Some((here, floor)), Some((there, other_floor))) = (inner(&module), inner(&path))
                && here != there
                && other_floor >= floor
            {
                let direction = if other_floor > floor { "up" } else { "sideways" };
                say(
                    line,
                    format!(
                        "registry::{here} (floor {floor} of registry) imports {direction}: {} (floor {other_floor})",
                        path.join("::")
                    ),
                );
            }
        }
    }
    wrong
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a name").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_point_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    found.sort();
    assert!(found.len() > 20, "the sources are not where they were: {found:?}");
    let wrong: Vec<String> = found
        .iter()
        .flat_map(|path| {
            let source = fs::read_to_string(path).expect("a source");
            violations(path.strip_prefix(&root).expect("below src"), &source)
        })
        .map(|violation| format!("src/{violation}"))
        .collect();
    assert!(wrong.is_empty(), "the house does not hold:\n{}", wrong.join("\n"));
}

fn told(file: &str, source: &str) -> Vec<String> {
    violations(Path::new(file), source).iter().map(ToString::to_string).collect()
}

#[test]
fn a_climber_is_seen() {
    let source = r#"//! crate::verify in a comment is nothing.
use crate::{
    oci::{digest::Digest, media_type::{self, MediaType as Kind}},
    verify::finding::Finding,
};
use super::super::serve::Settings;
fn f<'a>(text: &'a str) -> char {
    let _ = ("crate::release::x", r"crate::cli::y", '"');
    crate::registry::client::name(text)
}
#[cfg(test)]
mod tests {
    use super::*;
    use super::super::tar::Header;
    use crate::image::recipe::Recipe;
}
"#;
    assert_eq!(
        told("layer/pack.rs", source),
        [
            "layer/pack.rs:4: layer (floor 4) imports up: verify::finding::Finding (floor 6)",
            "layer/pack.rs:6: layer (floor 4) imports sideways: serve::Settings (floor 4)",
            "layer/pack.rs:15: layer (floor 4) imports up: image::recipe::Recipe (floor 5)",
        ]
    );
}

#[test]
fn the_terminal_and_the_registry_have_walls_too() {
    assert_eq!(
        told("image/base.rs", "use dockless::cli::args;\nuse crate::layer::cache;"),
        ["image/base.rs:1: image (floor 5) imports up: cli::args (floor 8)"]
    );
    assert!(told("main.rs", "use cli::args;\nuse dockless::release::ship;").is_empty());
    assert!(told("cli/build.rs", "use super::context::Context;\nuse dockless::layer::pack;").is_empty());
    assert_eq!(
        told("registry/http/retry.rs", "use super::super::client::Client;\nuse super::session::Session;"),
        [
            "registry/http/retry.rs:1: registry::http (floor 3 of registry) imports up: registry::client::Client (floor 4)"
        ]
    );
    assert_eq!(
        told("registry/pull.rs", "use super::{error::Error, upload::{self, body}};"),
        [
            "registry/pull.rs:1: registry::pull (floor 5 of registry) imports sideways: registry::upload (floor 5)",
            "registry/pull.rs:1: registry::pull (floor 5 of registry) imports sideways: registry::upload::body (floor 5)",
        ]
    );
}

#[test]
fn names_and_sizes_are_seen() {
    assert_eq!(told("layer/utils.rs", ""), ["layer/utils.rs:1: the name utils says nothing of what is inside"]);
    assert_eq!(told("attic.rs", ""), ["attic.rs:1: the room attic has no floor"]);
    assert_eq!(
        told("lib.rs", "pub mod oci;\npub use crate::oci::digest::Digest;"),
        ["lib.rs:2: the library's root re-exports oci::digest::Digest: say where things live"]
    );
    let long = "\n".repeat(MOST_LINES + 1);
    assert_eq!(told("elf.rs", &long), ["elf.rs:521: 521 lines, more than 520: which wall is missing?"]);
    let comment = |start: &str, columns: usize| {
        format!("{start}{}", "é ".repeat(columns))[..].chars().take(columns).collect::<String>()
    };
    assert_eq!(
        told("elf.rs", &format!("{}\n    {}", comment("/// ", 120), comment("// ", 121))),
        ["elf.rs:2: a comment of 125 characters, more than 120"]
    );
    assert!(told("elf.rs", &comment("//! | a | ", 130)).is_empty());
}
