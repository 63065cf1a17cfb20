//! Patterns over paths: `.dockerignore`, the `exclude` of a `copy` layer, and the names of a glob.
//!
//! The rules are those of moby's patternmatcher as `docker build` asks it, folder by folder on its walk: what matches a
//! folder holds for all that is in it, the last pattern that matches wins, `!` takes back, `*` and `?` stay within a
//! name, `**` crosses folders. A `!` is looked at only where something has excluded the path so far: `!app` takes back
//! an `app` that is excluded and what is in it, but no `app/.env` where `app` itself never was. They differ from
//! gitignore: `foo` is the `foo` at the root alone, and a `!` below an excluded folder works. Two things are decided
//! here: a class such as `[^a]` never matches a slash, and a pattern that is not well-formed is an error instead of a
//! pattern that never matches.
//!
//! Paths are bytes; where they are UTF-8, `?` is a character.

mod automaton;
pub mod glob;

use thiserror::Error;

use self::automaton::Automaton;

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
            if any_depth && !rest.trim_end_matches('/').contains('/') && !cleaned.starts_with("**") {
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
        self.descent().excludes(path)
    }

    /// What decides about many paths.
    pub fn descent(&self) -> Descent<'_> {
        Descent { patterns: self, way: Vec::new() }
    }

    /// Which patterns match a path, by which of them match the folder that it is in.
    fn matching(&self, above: Option<&[bool]>, path: &[u8]) -> Box<[bool]> {
        let mut excluded = false;
        let matches = |(index, pattern): (usize, &Pattern)| {
            // What would change nothing is not tried, and so holds for nothing below either.
            let matches = above.is_some_and(|above| above[index])
                || (pattern.negated == excluded && pattern.automaton.matches(path));
            if matches {
                excluded = !pattern.negated;
            }
            matches
        };
        self.0.iter().enumerate().map(matches).collect()
    }
}

/// Decides about path after path from the top down, and remembers the folders on the way to the last: of paths in the
/// order of a walk, each folder is decided once or twice.
pub struct Descent<'a> {
    patterns: &'a Patterns,
    /// The folders above the last path, and it itself.
    way: Vec<Step>,
}

/// A path, and which patterns match it.
struct Step {
    path: Box<[u8]>,
    matching: Box<[bool]>,
}

impl Descent<'_> {
    /// Whether a path is left out. It is relative, without a leading or trailing slash.
    pub fn excludes(&mut self, path: impl AsRef<[u8]>) -> bool {
        self.decided_by(path.as_ref()).is_some()
    }

    /// Whether something below an excluded folder may be taken back; where not, a walk need not enter it.
    pub fn may_reinclude_below(&mut self, folder: impl AsRef<[u8]>) -> bool {
        let folder = folder.as_ref();
        // What follows did not match the folder itself, so it can only match by names below it.
        self.decided_by(folder).is_none_or(|index| {
            let later = &self.patterns.0[index + 1..];
            later.iter().any(|later| later.negated && later.automaton.may_match_below(folder))
        })
    }

    /// The pattern by which a path is left out.
    fn decided_by(&mut self, path: &[u8]) -> Option<usize> {
        if path.is_empty() {
            return None;
        }
        let is_above = |folder: &[u8]| path.strip_prefix(folder).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        while self.way.pop_if(|step| !is_above(&step.path)).is_some() {}
        let known = self.way.last().map_or(0, |step| step.path.len());
        let ends = (1..=path.len()).filter(|end| *end > known && matches!(path.get(*end), None | Some(b'/')));
        for end in ends {
            let above = self.way.last().map(|step| &*step.matching);
            let matching = self.patterns.matching(above, &path[..end]);
            self.way.push(Step { path: path[..end].into(), matching });
        }
        self.way.last()?.matching.iter().rposition(|matches| *matches).filter(|index| !self.patterns.0[*index].negated)
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
            ("**.log", &["x.log", ".log", "a/x.log", "a/.log", "a/x.log/y"], &["log", "x.logs", "a/log"]),
            ("**b/c", &["b/c", "ab/c", "x/ab/c/d"], &["bc", "c"]),
            ("**.lo?", &[".log", "a/.log"], &["x.log", "a/x.log"]),
            ("**.l** **a\\b **x]", &[".log", "x/.l/y", "ab", "x]"], &["x.log", "xab", "yx]"]),
            ("a** **", &["a", "ab", "a/b", "x"], &[]),
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
            ("* !a/b", &["a", "a/c", "b"], &["a/b", "a/b/c"]),
            // What would change nothing at a folder holds for nothing in it.
            ("**/.env !app", &["app/.env", "app/x/.env"], &["app", "app/k"]),
            ("*/b !a", &["a/b", "a/b/c"], &["a", "a/c"]),
            ("a !a a/b !a", &["a/b", "a/b/c"], &["a", "a/c"]),
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
        let patterns = listed(&["*.pyc", "!keep.pyc", "build/", "/top", "a/b", "**.log"]);
        for path in ["x.pyc", "a/x.pyc", "x/build/y", "top", "a/b", "x.log", "x/y.log"] {
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
            assert_eq!(
                patterns(&lines.replace(' ', "\n")).descent().may_reinclude_below(folder),
                enter,
                "{lines:?} {folder}"
            );
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_two_lengths() {
        let patterns = patterns(&format!("{}b\n{}b", "*a".repeat(50), "**/a".repeat(50)));
        let start = Instant::now();
        assert!(!patterns.excludes("a".repeat(5000)));
        assert!(!patterns.excludes("a/".repeat(300)));
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn never_panics(text in r"[a-c!#*?\[\]^\\/. \n-]{0,30}", path in "[a-c/é.]{0,20}") {
            if let Ok(patterns) = Patterns::parse(&text) {
                // What a walk would skip is excluded as a whole.
                if patterns.excludes(&path) && !patterns.descent().may_reinclude_below(&path) {
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
