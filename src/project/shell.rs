//! The commands of a `RUN`, as far as they can be known without running them: words, assignments and redirections,
//! joined by `&&`, `;` and line feeds. Loops, conditions and subshells are not read into.

use super::budget::{Budget, Spent};
use super::dockerfile::expand::Variables;
use crate::layer::run::quoted;

/// A word of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// Its text without quotes, variables put in where they are known.
    pub text: String,
    /// The word for a shell in a recipe's command: quoted, `$TARGETARCH` as `{arch}`.
    pub shell: String,
    /// Whether something in it is known only when it runs.
    pub dynamic: bool,
}

/// How a command hangs on the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// It is the first, or follows `;`, `&&` or a line feed.
    Then,
    /// It follows `||`: it runs where the one before fails.
    Or,
    /// It follows `|`.
    Pipe,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// `NAME=VALUE` in front of it.
    pub assignments: Vec<Word>,
    /// Its name and arguments.
    pub words: Vec<Word>,
    /// Where its output goes: `>` or `>>`, and the file.
    pub output: Option<(bool, Word)>,
    /// How it hangs on the one before it.
    pub join: Join,
    /// Whether another one reads what it prints.
    pub piped: bool,
    /// Its bytes in the script.
    pub span: std::ops::Range<usize>,
}

impl Command {
    /// The name, without the folder it stands in.
    pub fn name(&self) -> &str {
        self.words.first().map_or("", |word| word.text.rsplit('/').next().unwrap_or_default())
    }

    /// The arguments' texts.
    pub fn arguments(&self) -> Vec<&str> {
        self.words.iter().skip(1).map(|word| word.text.as_str()).collect()
    }

    /// Whether something of it is known only when it runs.
    pub fn is_dynamic(&self) -> bool {
        self.words.iter().chain(&self.assignments).any(|word| word.dynamic)
    }
}

/// What a script is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// Commands one after the other.
    Commands(Vec<Command>),
    /// It has a loop, a condition or the like: the word that says so.
    Opaque(String),
}

/// A word as a command of a recipe must have it: as [`quoted`], and no brace of its own is taken for a placeholder.
pub fn word(text: &str) -> String {
    guarded(&quoted(text), '\'')
}

/// A text of a command in which `{arch}` and its kind stay what they are: a pair of quotes parts the brace from the
/// name, which a shell takes for nothing, within quotes of that kind and outside of any.
fn guarded(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, behind) = (&rest[..at], &rest[at + 1..]);
        out.push_str(before);
        out.push('{');
        let length = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        if length > 0 && behind[length..].starts_with('}') && !out.ends_with("${") {
            out.push(quote);
            out.push(quote);
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Whether a text has what a recipe's command may take for a placeholder.
pub fn names_placeholder(text: &str) -> bool {
    guarded(text, '"') != text
}

/// A path in a recipe's form, with placeholders and doubled braces, as a word of a command, where braces are not
/// doubled.
pub fn from_template(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:@%+,{}".contains(c);
    if !text.is_empty() && text.chars().all(plain) && !text.contains("{{") && !text.contains("}}") {
        return text.into();
    }
    let mut out = String::from("'");
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => out.push_str("'\\''"),
            '{' if chars.peek() == Some(&'{') => {
                chars.next();
                out.push_str("{''");
            }
            '}' if chars.peek() == Some(&'}') => {
                chars.next();
                out.push('}');
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// As [`from_template`]; `*` and `?` are for the shell, where nothing else needs quotes.
pub fn glob_from_template(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:@%+,*?".contains(c);
    if text.chars().all(plain) { text.into() } else { from_template(text) }
}

/// Reads a script. Variables that are known are put in.
///
/// # Errors
/// Where their values are too much.
pub fn read(script: &str, variables: &Variables, budget: &mut Budget) -> Result<Script, Spent> {
    budget.spend(script.len())?;
    let mut reader = Reader { script, at: 0, variables, budget, found: Vec::new(), opaque: None };
    reader.read()?;
    Ok(match reader.opaque {
        Some(word) => Script::Opaque(word),
        None => Script::Commands(reader.found),
    })
}

struct Reader<'a> {
    script: &'a str,
    at: usize,
    variables: &'a Variables,
    budget: &'a mut Budget,
    found: Vec<Command>,
    opaque: Option<String>,
}

/// Words that begin what is more than a command.
const COMPOUND: [&str; 14] =
    ["if", "for", "while", "until", "case", "select", "function", "{", "}", "!", "[[", "then", "do", "eval"];

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.script[self.at..]
    }

    /// What follows up to the end of a word of letters in braces.
    fn placeholder(&self) -> &str {
        let rest = self.rest();
        let length = rest.find('}').map_or(0, |end| end + 1);
        if length > 12 { "" } else { &rest[..length] }
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn read(&mut self) -> Result<(), Spent> {
        let mut command = self.fresh(Join::Then);
        while self.opaque.is_none() {
            let Some(c) = self.peek() else { break };
            let rest = self.rest();
            let (length, join) = match c {
                '\n' | ';' => (1, Some(Join::Then)),
                '&' if rest.starts_with("&&") => (2, Some(Join::Then)),
                '|' if rest.starts_with("||") => (2, Some(Join::Or)),
                '|' => (1, Some(Join::Pipe)),
                '&' if !rest.starts_with("&>") => {
                    self.opaque = Some("&".into());
                    break;
                }
                '(' | ')' => {
                    self.opaque = Some(c.to_string());
                    break;
                }
                '#' => (rest.find('\n').unwrap_or(rest.len()), None),
                c if c.is_whitespace() => (c.len_utf8(), None),
                _ => {
                    self.one(&mut command)?;
                    command.span.end = self.at;
                    continue;
                }
            };
            self.at += length;
            if let Some(join) = join {
                command.piped = join == Join::Pipe;
                let next = self.fresh(join);
                self.end(std::mem::replace(&mut command, next));
            }
        }
        self.end(command);
        Ok(())
    }

    fn fresh(&self, join: Join) -> Command {
        let (assignments, words) = (Vec::new(), Vec::new());
        Command { assignments, words, output: None, join, piped: false, span: self.at..self.at }
    }

    fn end(&mut self, command: Command) {
        if command.words.is_empty() && command.assignments.is_empty() && command.output.is_none() {
            return;
        }
        if let Some(word) = command.words.first().filter(|word| COMPOUND.contains(&word.text.as_str())) {
            self.opaque = Some(word.text.clone());
        }
        self.found.push(command);
    }

    /// A word or a redirection.
    fn one(&mut self, command: &mut Command) -> Result<(), Spent> {
        let rest = self.rest();
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let sign = &rest[digits..];
        let signs = ["&>>", "&>", ">>", ">&", ">|", ">", "<<<", "<<", "<&", "<"];
        if let Some(found) = signs.iter().find(|one| sign.starts_with(**one)) {
            let errors = digits > 0 && &rest[..digits] != "1";
            self.at += digits + found.len();
            while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
                self.at += 1;
            }
            let target = self.word()?;
            match *found {
                ">" | ">>" | ">|" | "&>" | "&>>" if !errors => command.output = Some((found.contains(">>"), target)),
                "<<" | "<<<" => self.opaque = Some("<<".into()),
                _ => {}
            }
            return Ok(());
        }
        let before = self.at;
        let word = self.word()?;
        if self.at == before {
            // Nothing that a word can begin with: it is passed over, so that every turn comes to an end.
            self.at += self.peek().map_or(1, char::len_utf8);
            return Ok(());
        }
        if command.span.is_empty() {
            command.span.start = before;
        }
        let name = word.text.split_once('=').map(|(name, _)| name);
        let assigns =
            name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        if command.words.is_empty() && assigns { &mut command.assignments } else { &mut command.words }.push(word);
        Ok(())
    }

    fn word(&mut self) -> Result<Word, Spent> {
        let start = self.at;
        // What a shell must be given where something is dynamic: the word as it was written, known values put in.
        let mut raw = String::new();
        let mut word = Word::default();
        let mut quoted_word = false;
        while let Some(c) = self.peek() {
            match c {
                c if !quoted_word && (c.is_whitespace() || ";&|()<>".contains(c)) => break,
                '\'' if !quoted_word => {
                    let rest = &self.rest()[1..];
                    let length = rest.find('\'').unwrap_or(rest.len());
                    let text = &rest[..length];
                    word.text.push_str(text);
                    raw.push('\'');
                    raw.push_str(&guarded(text, '\''));
                    raw.push('\'');
                    self.at = (self.at + length + 2).min(self.script.len());
                }
                '"' => {
                    quoted_word = !quoted_word;
                    raw.push('"');
                    self.at += 1;
                }
                // A brace that a recipe would take for a placeholder's.
                '{' if !guarded(self.placeholder(), '"').eq(self.placeholder()) => {
                    word.text.push('{');
                    raw.push_str(if quoted_word { "{\"\"" } else { "{''" });
                    self.at += 1;
                }
                '\\' => {
                    self.at += 1;
                    let Some(next) = self.peek() else { break };
                    self.at += next.len_utf8();
                    if next == '\n' {
                        continue;
                    }
                    if quoted_word && !matches!(next, '$' | '"' | '\\' | '`') {
                        word.text.push('\\');
                    }
                    word.text.push(next);
                    raw.push('\\');
                    raw.push(next);
                }
                '`' => {
                    let length = self.rest()[1..].find('`').map_or(self.rest().len(), |end| end + 2);
                    self.dynamic(&mut word, &mut raw, length);
                }
                '$' => self.dollar(&mut word, &mut raw, quoted_word)?,
                c => {
                    word.text.push(c);
                    raw.push(c);
                    self.at += c.len_utf8();
                    // Outside of quotes a shell makes names of these.
                    if !quoted_word && "*?[~".contains(c) {
                        word.dynamic |= c != '~' || word.text.len() == 1;
                    }
                }
            }
        }
        debug_assert!(self.at >= start);
        word.shell = if word.dynamic { raw } else { self::word(&word.text) };
        Ok(word)
    }

    fn dynamic(&mut self, word: &mut Word, raw: &mut String, length: usize) {
        let text = &self.script[self.at..self.at + length];
        word.text.push_str(text);
        raw.push_str(&guarded(text, '\''));
        word.dynamic = true;
        self.at += length;
    }

    fn dollar(&mut self, word: &mut Word, raw: &mut String, in_quotes: bool) -> Result<(), Spent> {
        let rest = self.rest();
        if rest.starts_with("$(") {
            let mut depth = 0_usize;
            let end = rest.char_indices().find(|(_, c)| {
                match c {
                    '(' => depth += 1,
                    ')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                *c == ')' && depth == 0
            });
            let length = end.map_or(rest.len(), |(at, _)| at + 1);
            self.dynamic(word, raw, length);
            return Ok(());
        }
        let name_of = |text: &str| {
            let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
            text[..end].to_owned()
        };
        let (name, length) = if let Some(inner) = rest.strip_prefix("${") {
            let name = name_of(inner);
            let length = inner.find('}').map_or(rest.len(), |end| end + 3);
            (if length == name.len() + 3 { name } else { String::new() }, length)
        } else {
            let name = name_of(&rest[1..]);
            let length = name.len() + 1;
            (name, length)
        };
        if length == 1 {
            word.text.push('$');
            raw.push('$');
            self.at += 1;
            return Ok(());
        }
        let value = if name.is_empty() { None } else { self.variables.get(&name) };
        let value = value.filter(|_| name != "PATH" && name != "HOME");
        match value {
            None => self.dynamic(word, raw, length),
            Some(value) => {
                self.budget.spend(value.as_template().len())?;
                if let Some(plain) = value.plain() {
                    word.text.push_str(&plain);
                    if in_quotes {
                        for c in guarded(&plain, '"').chars() {
                            if matches!(c, '\\' | '"' | '$' | '`') {
                                raw.push('\\');
                            }
                            raw.push(c);
                        }
                    } else {
                        raw.push_str(&self::word(&plain));
                    }
                } else {
                    word.text.push_str(value.as_template());
                    raw.push_str(&value.as_template().replace("{{", "{").replace("}}", "}"));
                    word.dynamic = true;
                }
                self.at += length;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::dockerfile::expand::Text;
    use super::*;

    fn commands(script: &str) -> Vec<Command> {
        let mut variables = Variables::default();
        variables.env.insert("APP".into(), Text::literal("my app"));
        variables.args.insert("TARGETARCH".into(), Text::template("{arch}"));
        match read(script, &variables, &mut Budget::new()).expect("little") {
            Script::Commands(commands) => commands,
            Script::Opaque(word) => panic!("{word}"),
        }
    }

    #[test]
    fn commands_are_split() {
        let found = commands("set -ex; A=1 go build -o /out/$APP . && echo 'a b' > \"/x y\" || true | cat 2>&1 # no");
        let names: Vec<_> = found.iter().map(|command| (command.name(), command.join, command.piped)).collect();
        assert_eq!(
            names,
            [
                ("set", Join::Then, false),
                ("go", Join::Then, false),
                ("echo", Join::Then, false),
                ("true", Join::Or, true),
                ("cat", Join::Pipe, false)
            ]
        );
        assert_eq!(found[1].arguments(), ["build", "-o", "/out/my app", "."]);
        assert_eq!(found[1].words[3].shell, "'/out/my app'");
        assert_eq!(found[1].assignments[0].text, "A=1");
        assert_eq!(found[2].output.as_ref().map(|(_, word)| word.text.as_str()), Some("/x y"));
    }

    #[test]
    fn what_only_a_shell_knows_stays_as_it_is() {
        let found =
            commands("go build -ldflags=\"-X v=$(git rev-parse HEAD) -X a=$APP\" -o x-$TARGETARCH ${B:-c} *.go");
        let words: Vec<_> = found[0].words.iter().map(|word| (word.shell.as_str(), word.dynamic)).collect();
        assert_eq!(
            words[2..],
            [
                ("-ldflags=\"-X v=$(git rev-parse HEAD) -X a=my app\"", true),
                ("-o", false),
                ("x-{arch}", true),
                ("${B:-c}", true),
                ("*.go", true)
            ]
        );
    }

    #[test]
    fn braces_are_no_placeholders() {
        for (text, wanted) in
            [("{arch}", "'{\'\'arch}'"), ("a{b c}", "'a{b c}'"), ("{{.Dir}}", "'{{.Dir}}'"), ("it's", "'it'\\''s'")]
        {
            assert_eq!(word(text), wanted);
        }
        assert_eq!(from_template("bin/app-{arch}"), "bin/app-{arch}");
        assert_eq!(from_template("a b-{arch}-{{arch}}"), "'a b-{arch}-{''arch}'");
        assert_eq!(glob_from_template("target/*.jar"), "target/*.jar");
        let found = commands("x \"{out} $(a)\" ${HOME:-y}");
        assert_eq!(found[0].words[1].shell, "\"{\"\"out} $(a)\"");
    }

    #[test]
    fn loops_and_subshells_are_not_read() {
        for script in ["for a in b; do c; done", "(cd x && y)", "if a; then b; fi", "a & b", "cat <<< x", "{ a; }"] {
            let read = read(script, &Variables::default(), &mut Budget::new()).expect("little");
            assert!(matches!(read, Script::Opaque(_)), "{script}: {read:?}");
        }
    }
}
