//! What a shell takes the first word of a command for: a builtin, a test, a setting, an assignment.

use super::lexer::Token;
use super::structure::Part;

/// Builtins of all or most shells. Behind `exec` they are names of programs.
pub(super) const BUILTINS: &[&str] = &[
    ".",
    ":",
    "[",
    "alias",
    "bg",
    "break",
    "builtin",
    "cd",
    "command",
    "continue",
    "declare",
    "dirs",
    "disown",
    "echo",
    "enable",
    "eval",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "getopts",
    "hash",
    "jobs",
    "kill",
    "let",
    "local",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "test",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
];

/// What answers a question, so that what follows it by `&&` need not come.
const TESTS: &[&str] = &["[", "[[", "test", "command", "type", "which", "hash", "grep", "false", "getopts", "read"];

/// What succeeds unless the whole goes wrong.
const SETTINGS: &[&str] =
    &["cd", "export", "set", "umask", "ulimit", "echo", ":", "true", "printf", "trap", ".", "source"];

impl Part {
    /// Whether what follows it by `&&` comes unless all goes wrong; in the last list the text ends with its answer.
    pub(super) fn leads_on(&self, is_last: bool) -> bool {
        let name = self.name();
        // A file may be in a folder that is none, and only of a folder that is named can be said whether it is one.
        let writes = self.tokens.contains(&Token::Redirection { writes: true });
        let to = self.tokens.get(1);
        let is_open = name == "cd" && !matches!(to, Some(Token::Literal { word, .. }) if word.starts_with('/'));
        let succeeds = (SETTINGS.contains(&name) || is_assignment(name)) && !writes && !is_open;
        !self.negated && (succeeds || (is_last && !TESTS.contains(&name)))
    }

    /// Its first word, where that is literal.
    pub(super) fn name(&self) -> &str {
        match self.tokens.first() {
            Some(Token::Literal { word, .. }) => word.as_str(),
            _ => "",
        }
    }
}

pub(super) fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        let name = name.strip_suffix('+').unwrap_or(name);
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}
