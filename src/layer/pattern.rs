//! Patterns over paths: `.dockerignore`, the `exclude` of a `copy` layer, and the names of a glob.
//!
//! The rules are those of moby's patternmatcher, which users know from `docker build`: a pattern matches a path or any
//! folder above it, the last pattern that matches wins, `!` takes back, `*` and `?` stay within a name, `**` crosses
//! folders. They differ from gitignore: `foo` is the `foo` at the root alone, and a `!` below an excluded folder works.
//! Two things are decided here: a class such as `[^a]` never matches a slash, and a pattern that is not well-formed is
//! an error instead of a pattern that never matches.
//!
//! A pattern becomes an automaton that is run over the path once, in all its states at the same time, so that
//! `*a*a*a*b` costs the product of two lengths and never more. Paths are bytes; where they are UTF-8, `?` is a
//! character.

pub mod glob;

use thiserror::Error;

/// A list of patterns; the last that matches decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns(Vec<Pattern>);

/// A pattern that is not well-formed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: the pattern {pattern:?} {reason}")]
pub struct PatternError {
    /// The line of the file, or the place in the list, from 1.
    pub line: usize,
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// Whether it takes paths back.
    negated: bool,
    automaton: Automaton,
}

impl Patterns {
    /// Reads a `.dockerignore`: a pattern a line, `#` first on a line is a comment.
    ///
    /// # Errors
    /// The first pattern that is none, with its line.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
        Self::read(lines, false)
    }

    /// Reads the `exclude` of a `copy` layer: the same rules, with one more that everyone expects of `*.pyc`: a pattern
    /// without a slash matches at any depth. `/name` is the one at the root.
    ///
    /// # Errors
    /// The first pattern that is none.
    pub fn from_list(patterns: &[String]) -> Result<Self, PatternError> {
        Self::read(patterns.iter().map(String::as_str).enumerate(), true)
    }

    fn read<'t>(lines: impl Iterator<Item = (usize, &'t str)>, any_depth: bool) -> Result<Self, PatternError> {
        let mut patterns = Vec::new();
        for (index, line) in lines {
            let written = line.trim();
            if written.is_empty() {
                continue;
            }
            let wrong = |reason| PatternError { line: index + 1, pattern: written.into(), reason };
            let (negated, rest) = match written.strip_prefix('!') {
                Some(rest) => (true, rest.trim_start()),
                None => (false, written),
            };
            if rest.is_empty() {
                return Err(wrong("takes back nothing"));
            }
            let mut cleaned = clean(rest);
            if any_depth && !rest.trim_end_matches('/').contains('/') {
                cleaned.insert_str(0, "**/");
            }
            let automaton = Automaton::new(&cleaned).map_err(wrong)?;
            patterns.push(Pattern { negated, automaton });
        }
        Ok(Self(patterns))
    }

    /// Whether nothing is excluded, whatever the path.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a path is left out. It is relative, without a leading or trailing slash.
    pub fn excludes(&self, path: impl AsRef<[u8]>) -> bool {
        self.decided_by(path.as_ref()).is_some_and(|index| !self.0[index].negated)
    }

    /// Whether something below an excluded folder may be taken back; where not, a walk need not enter it.
    pub fn may_reinclude_below(&self, folder: impl AsRef<[u8]>) -> bool {
        let folder = folder.as_ref();
        match self.decided_by(folder) {
            // What follows decided nothing about the folder itself, so it can only match by names below it.
            Some(index) if !self.0[index].negated => {
                self.0[index + 1..].iter().any(|later| later.negated && later.automaton.may_match_below(folder))
            }
            _ => true,
        }
    }

    /// The last pattern that matches the path or a folder above it.
    fn decided_by(&self, path: &[u8]) -> Option<usize> {
        self.0.iter().rposition(|pattern| pattern.automaton.matches_or_above(path))
    }
}

/// The shortest spelling of a path, without a leading slash: no `.`, no empty names, `..` taken where it can be.
fn clean(pattern: &str) -> String {
    let rooted = pattern.starts_with('/');
    let mut names: Vec<&str> = Vec::new();
    for name in pattern.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => {
                names.pop();
            }
            ".." if rooted => {}
            name => names.push(name),
        }
    }
    names.join("/")
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// This character.
    Char(char),
    /// `?`: a character that is no slash.
    One,
    /// `[a-z]`, `[^a]`
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// `*`: characters that are no slash.
    Star,
    /// `**/` before it has begun: nothing, or what the next token says.
    Deep,
    /// `**/` once it has begun: anything, up to a slash.
    DeepRest,
    /// `**` at the end: anything.
    Tail,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Automaton {
    tokens: Vec<Token>,
    /// The characters before the first token that is not one: most paths are refused by these.
    literal: String,
}

impl Automaton {
    fn new(pattern: &str) -> Result<Self, &'static str> {
        let mut tokens = Vec::new();
        let mut rest = pattern.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '*' if rest.next_if_eq(&'*').is_some() => {
                    rest.next_if_eq(&'/');
                    if rest.peek().is_none() {
                        tokens.push(Token::Tail);
                    } else {
                        tokens.extend([Token::Deep, Token::DeepRest]);
                    }
                }
                '*' => tokens.push(Token::Star),
                '?' => tokens.push(Token::One),
                '[' => tokens.push(class(&mut rest)?),
                '\\' => tokens.push(Token::Char(rest.next().ok_or("ends in a backslash that escapes nothing")?)),
                character => tokens.push(Token::Char(character)),
            }
        }
        let literal =
            tokens.iter().map_while(|token| if let Token::Char(one) = token { Some(*one) } else { None }).collect();
        Ok(Self { tokens, literal })
    }

    /// Whether it matches a path or a folder above it.
    fn matches_or_above(&self, path: &[u8]) -> bool {
        if !path.starts_with(self.literal.as_bytes()) || path.is_empty() || self.tokens.is_empty() {
            return false;
        }
        if self.tokens.iter().all(|token| matches!(token, Token::Char(_))) {
            return matches!(path.get(self.literal.len()), None | Some(b'/'));
        }
        let mut run = Run::start(self);
        for character in characters(path) {
            if character == Some('/') && run.has_matched() {
                return true;
            }
            if !run.step(character) {
                return false;
            }
        }
        run.has_matched()
    }

    /// Whether it may match something below a folder, seen from the folder's path alone.
    fn may_match_below(&self, folder: &[u8]) -> bool {
        let shared = folder.len().min(self.literal.len());
        if folder[..shared] != self.literal.as_bytes()[..shared] {
            return false;
        }
        let mut run = Run::start(self);
        characters(folder).chain([Some('/')]).all(|character| run.step(character))
    }

    /// Whether it matches exactly this.
    fn matches(&self, name: &[u8]) -> bool {
        let mut run = Run::start(self);
        characters(name).all(|character| run.step(character)) && run.has_matched()
    }
}

/// Reads a class after its `[`.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, &'static str> {
    const OPEN: &str = "has a [ that is not closed";
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let first = match rest.next().ok_or(OPEN)? {
            ']' if ranges.is_empty() => return Err("has an empty class []"),
            ']' => return Ok(Token::Class { negated, ranges }),
            '\\' => rest.next().ok_or(OPEN)?,
            character => character,
        };
        let mut last = first;
        let mut ahead = rest.clone();
        // A hyphen before the end of the class stands for itself.
        if ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']') {
            rest.next();
            last = match rest.next().ok_or(OPEN)? {
                '\\' => rest.next().ok_or(OPEN)?,
                character => character,
            };
            if last < first {
                return Err("has a range that runs backwards");
            }
        }
        ranges.push((first, last));
    }
}

/// The characters of a path; a byte that is not UTF-8 is `None`.
fn characters(path: &[u8]) -> impl Iterator<Item = Option<char>> {
    path.utf8_chunks().flat_map(|chunk| chunk.valid().chars().map(Some).chain(chunk.invalid().iter().map(|_| None)))
}

/// The states that an automaton is in. State `n` means that the tokens before `n` have matched.
struct Run<'a> {
    tokens: &'a [Token],
    now: Vec<u64>,
    next: Vec<u64>,
}

impl<'a> Run<'a> {
    fn start(automaton: &'a Automaton) -> Self {
        let words = automaton.tokens.len() / 64 + 1;
        let mut run = Self { tokens: &automaton.tokens, now: vec![0; words], next: vec![0; words] };
        enter(run.tokens, &mut run.now, 0);
        run
    }

    fn has_matched(&self) -> bool {
        let end = self.tokens.len();
        self.now[end / 64] & (1 << (end % 64)) != 0
    }

    /// Takes a character; false when nothing can match any more.
    fn step(&mut self, character: Option<char>) -> bool {
        let slash = character == Some('/');
        self.next.fill(0);
        for (index, word) in self.now.iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                let state = index * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let Some(token) = self.tokens.get(state) else { continue };
                match token {
                    Token::Char(wanted) if character == Some(*wanted) => enter(self.tokens, &mut self.next, state + 1),
                    Token::One if !slash => enter(self.tokens, &mut self.next, state + 1),
                    Token::Class { negated, ranges } if !slash => {
                        let within = character
                            .is_some_and(|one| ranges.iter().any(|(first, last)| (*first..=*last).contains(&one)));
                        if within != *negated {
                            enter(self.tokens, &mut self.next, state + 1);
                        }
                    }
                    Token::Star if !slash => enter(self.tokens, &mut self.next, state),
                    Token::Tail => enter(self.tokens, &mut self.next, state),
                    Token::DeepRest => {
                        enter(self.tokens, &mut self.next, state);
                        if slash {
                            enter(self.tokens, &mut self.next, state + 1);
                        }
                    }
                    _ => {}
                }
            }
        }
        std::mem::swap(&mut self.now, &mut self.next);
        self.now.iter().any(|word| *word != 0)
    }
}

/// Enters a state and those that follow from it without a character.
fn enter(tokens: &[Token], states: &mut [u64], mut state: usize) {
    loop {
        states[state / 64] |= 1 << (state % 64);
        match tokens.get(state) {
            Some(Token::Star | Token::Tail) => state += 1,
            Some(Token::Deep) => {
                states[(state + 1) / 64] |= 1 << ((state + 1) % 64);
                state += 2;
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn patterns(text: &str) -> Patterns {
        Patterns::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn listed(list: &[&str]) -> Patterns {
        let list: Vec<String> = list.iter().map(|pattern| (*pattern).to_owned()).collect();
        Patterns::from_list(&list).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn matches_as_docker_does() {
        // Each line of a file is separated by a space here; then what is excluded, then what is not.
        for (lines, excluded, kept) in [
            ("foo", &["foo", "foo/bar", "foo/a/b"][..], &["a/foo", "foobar", "fo", "f"][..]),
            ("/foo", &["foo"], &["a/foo"]),
            ("./foo/", &["foo", "foo/x"], &["a/foo"]),
            ("a//b/../c", &["a/c"], &["a/b", "a"]),
            ("../a", &[], &["a"]),
            (".", &[], &["a", ".a"]),
            ("/", &[], &["a"]),
            ("*", &["a", ".a", "a/b"], &[]),
            ("*.go", &["a.go", ".go", "x.go/y"], &["a/b.go", "a.goo"]),
            ("*/*.go", &["a/b.go"], &["b.go", "a/b/c.go"]),
            ("**", &["a", "a/b"], &[]),
            ("**/foo", &["foo", "a/foo", "a/b/foo/c"], &["afoo", "a/bfoo"]),
            ("**/*.pyc", &["x.pyc", "a/x.pyc", "a/b/.pyc"], &["x.py", "xpyc"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b/c"], &["ab", "a/xb", "b"]),
            ("a**b", &["ab", "ax/b"], &["axb", "a"]),
            ("a/**/*.txt", &["a/x.txt", "a/b/c/x.txt"], &["x.txt", "a.txt"]),
            ("**/a/**/b", &["a/b", "x/a/y/b"], &["a", "xa/b"]),
            ("a?c", &["abc", "aéc"], &["ac", "a/c", "abbc"]),
            ("a[b-d]e", &["abe", "ade"], &["aee", "a-e"]),
            ("a[^b-d]e", &["aee", "aße"], &["abe", "a/e"]),
            ("a[-x]b[x-]", &["a-bx", "axb-"], &["a.bx"]),
            ("[\\]]", &["]"], &["\\"]),
            ("a\\*b \\!c \\#d", &["a*b", "!c", "#d"], &["axb", "c"]),
            ("a.b+c(d)|e$ ^x {y}", &["a.b+c(d)|e$", "^x", "{y}"], &["aXb+c(d)|e$", "x", "y"]),
            ("* !keep", &["a", "a/keep"], &["keep", "keep/x"]),
            ("a !a/b", &["a", "a/c", "a/bb"], &["a/b", "a/b/c"]),
            ("a !a/b a/b/c", &["a/b/c", "a/b/c/d"], &["a/b/d"]),
            ("!a a", &["a", "a/b"], &[]),
            ("**/*.md !README*.md README-x.md", &["a/b.md", "README-x.md", "a/README.md"], &["README.md"]),
        ] {
            let patterns = patterns(&lines.replace(' ', "\n"));
            for path in excluded {
                assert!(patterns.excludes(path), "{lines:?} excludes {path:?}");
            }
            for path in kept {
                assert!(!patterns.excludes(path), "{lines:?} keeps {path:?}");
            }
            assert!(!patterns.excludes(""), "{lines:?} keeps the root");
        }
    }

    #[test]
    fn reads_lines_as_docker_does() {
        let patterns = patterns("\u{feff}# a comment\r\n\r\n  foo  \r\n #x\n! foo/y\n");
        assert!(patterns.excludes("foo") && patterns.excludes("#x"));
        assert!(!patterns.excludes("a comment") && !patterns.excludes("foo/y"));
        assert!(Patterns::parse("# only").expect("nothing").is_empty());
        for (text, wanted) in [
            ("ok\n!", "line 2: the pattern \"!\" takes back nothing"),
            ("[a", "line 1: the pattern \"[a\" has a [ that is not closed"),
            ("[]a]", "line 1: the pattern \"[]a]\" has an empty class []"),
            ("[z-a]", "line 1: the pattern \"[z-a]\" has a range that runs backwards"),
            ("a\\", "line 1: the pattern \"a\\\\\" ends in a backslash that escapes nothing"),
        ] {
            assert_eq!(Patterns::parse(text).expect_err(text).to_string(), wanted);
        }
    }

    #[test]
    fn a_name_in_a_list_matches_at_any_depth() {
        let patterns = listed(&["*.pyc", "!keep.pyc", "build/", "/top", "a/b"]);
        for path in ["x.pyc", "a/x.pyc", "x/build/y", "top", "a/b"] {
            assert!(patterns.excludes(path), "{path}");
        }
        for path in ["a/keep.pyc", "x/top", "x/a/b"] {
            assert!(!patterns.excludes(path), "{path}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_match_wildcards() {
        assert!(patterns("a?b").excludes(b"a\xffb"));
        assert!(patterns("a*").excludes(b"a\xff\xfe/c"));
        assert!(patterns("[^x]").excludes(b"\xff"));
        assert!(!patterns("[a-z]").excludes(b"\xff"));
    }

    #[test]
    fn a_walk_may_skip_what_nothing_takes_back() {
        for (lines, folder, enter) in [
            ("a", "a", false),
            ("a", "b", true),
            ("a !a/b", "a", true),
            ("a !b", "a", false),
            ("a !a/b/c", "a/x", false),
            ("a !a/b/c", "a/b", true),
            ("a !**/keep", "a/x/y", true),
            ("a !a/*.txt", "a", true),
            ("a !a/*.txt", "a/x", false),
            ("!a/b a", "a", false),
        ] {
            assert_eq!(patterns(&lines.replace(' ', "\n")).may_reinclude_below(folder), enter, "{lines:?} {folder}");
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_two_lengths() {
        let patterns = patterns(&format!("{}b\n{}b", "*a".repeat(50), "**/a".repeat(50)));
        let start = Instant::now();
        assert!(!patterns.excludes("a".repeat(5000)));
        assert!(!patterns.excludes("a/".repeat(2500)));
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn never_panics(text in r"[a-c!#*?\[\]^\\/. \n-]{0,30}", path in "[a-c/é.]{0,20}") {
            if let Ok(patterns) = Patterns::parse(&text) {
                // What a walk would skip is excluded as a whole.
                if patterns.excludes(&path) && !patterns.may_reinclude_below(&path) {
                    let below = format!("{path}/c/a");
                    prop_assert!(patterns.excludes(below));
                }
            }
        }

        #[test]
        fn a_star_is_any_run_within_a_name(left in "[ab]{0,4}", middle in "[ab/]{0,4}", right in "[ab]{0,4}") {
            let path = format!("x{left}{middle}{right}");
            let matched = patterns(&format!("x{left}*{right}")).excludes(&path);
            prop_assert!(middle.contains('/') || matched);
        }
    }
}
