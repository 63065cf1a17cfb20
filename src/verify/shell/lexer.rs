//! The words and signs of a shell's text (POSIX Shell Command Language, "Token Recognition"), without expanding
//! anything.
//!
//! The text comes from strangers: what does not end (a quote, a substitution, a document) ends with the text, and
//! nesting is limited by whoever reads what is inside.

/// One word or sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word that stands there as it is; whether nothing of it is quoted, so that it may be a reserved word.
    Literal { word: String, bare: bool },
    /// A word in which something is expanded; whether a command is that may write files.
    Expanded { word: String, runs: bool },
    /// `"$@"`, `"$*"`
    Arguments,
    /// `"$0"`
    Zeroth,
    /// `>FILE`, `2>&1`, `<FILE`: its word is gone; whether a file may be written.
    Redirection { writes: bool },
    /// `;`, a line feed
    End,
    /// `&`
    Background,
    /// `;;` and its kin.
    CaseEnd,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `|`
    Pipe,
    /// `(`
    Open,
    /// `)`
    Close,
}

/// The tokens of a text, and the texts of the command substitutions in it.
#[derive(Debug, Default)]
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    pub(super) substitutions: Vec<String>,
    /// Whether a line of commands ends with CR LF: no shell takes the CR for a part of the line's end.
    pub(super) has_carriage_return: bool,
}

/// What is being read.
struct Lexer<'t> {
    chars: std::iter::Peekable<std::str::Chars<'t>>,
    read: Lexed,
    word: Word,
    /// The redirection whose word comes next.
    redirects: Option<Redirection>,
    /// Documents that begin after this line: the line that ends each, and whether tabs before it do not count.
    documents: Vec<(String, bool)>,
}

/// The word so far.
#[derive(Default)]
struct Word {
    text: String,
    expanded: bool,
    quoted: bool,
    /// Whether a command that may write files is substituted in it.
    runs: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Redirection {
    Read,
    Write,
    Document { tabs: bool },
}

pub(super) fn tokens(text: &str) -> Lexed {
    let mut lexer = Lexer {
        chars: text.chars().peekable(),
        read: Lexed::default(),
        word: Word::default(),
        redirects: None,
        documents: Vec::new(),
    };
    lexer.run();
    lexer.read
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(c) = self.chars.next() {
            match c {
                ' ' | '\t' => self.end_word(),
                '\r' if self.chars.peek() == Some(&'\n') => {
                    self.read.has_carriage_return = true;
                    self.part(c);
                }
                '\n' => {
                    self.sign(Token::End);
                    self.documents();
                }
                ';' => {
                    let token = if self.follows(';') | self.follows('&') { Token::CaseEnd } else { Token::End };
                    self.sign(token);
                }
                '|' => {
                    let token = if self.follows('|') { Token::Or } else { Token::Pipe };
                    // `|&` pipes both.
                    let _ = token == Token::Pipe && self.follows('&');
                    self.sign(token);
                }
                '&' if self.chars.peek() == Some(&'>') => self.end_word(),
                '&' => {
                    let token = if self.follows('&') { Token::And } else { Token::Background };
                    self.sign(token);
                }
                '(' => self.sign(Token::Open),
                ')' => self.sign(Token::Close),
                '<' | '>' => self.redirection(c),
                '#' if self.word.is_empty() => while self.chars.next_if(|c| *c != '\n').is_some() {},
                _ => self.part(c),
            }
        }
        self.end_word();
    }

    fn follows(&mut self, sign: char) -> bool {
        self.chars.next_if(|c| *c == sign).is_some()
    }

    fn sign(&mut self, token: Token) {
        self.end_word();
        self.redirects = None;
        self.read.tokens.push(token);
    }

    fn redirection(&mut self, first: char) {
        // The number of a descriptor belongs to the sign.
        if !self.word.quoted && self.word.text.bytes().all(|byte| byte.is_ascii_digit()) {
            self.word = Word::default();
        }
        self.end_word();
        if self.chars.peek() == Some(&'(') {
            // `<(COMMAND)`: a word that is expanded.
            self.word.expanded = true;
            self.word.text.push(first);
            self.chars.next();
            let inner = self.balanced(')');
            self.word.runs |= !only_reads(&inner);
            self.read.substitutions.push(inner);
            return;
        }
        self.redirects = Some(match first {
            '<' if self.follows('<') => {
                if self.follows('<') {
                    Redirection::Read
                } else {
                    Redirection::Document { tabs: self.follows('-') }
                }
            }
            '<' if !self.follows('>') => Redirection::Read,
            '<' => Redirection::Write,
            _ => {
                let _ = self.follows('>') | self.follows('|');
                Redirection::Write
            }
        });
        // `2>&1`, `<&0`: another descriptor, no file.
        if self.follows('&') {
            self.redirects = Some(Redirection::Read);
        }
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let Word { text, expanded, quoted, runs } = std::mem::take(&mut self.word);
        self.read.tokens.push(match self.redirects.take() {
            Some(Redirection::Document { tabs }) => {
                self.documents.push((text, tabs));
                Token::Redirection { writes: false }
            }
            Some(redirection) => {
                let writes = runs || redirection == Redirection::Write && !text.starts_with("/dev/");
                Token::Redirection { writes }
            }
            // Alone, brackets and a brace are words.
            None if !expanded || matches!(text.as_str(), "[" | "[[" | "{") => {
                Token::Literal { word: text, bare: !quoted }
            }
            None if matches!(text.as_str(), "$@" | "$*" | "${@}" | "${*}") => Token::Arguments,
            None if matches!(text.as_str(), "$0" | "${0}") => Token::Zeroth,
            None => Token::Expanded { word: text, runs },
        });
    }

    /// Passes the documents of the line that has ended.
    fn documents(&mut self) {
        for (end, tabs) in std::mem::take(&mut self.documents) {
            while self.chars.peek().is_some() {
                let line: String = std::iter::from_fn(|| self.chars.next_if(|c| *c != '\n')).collect();
                self.chars.next();
                let line = if tabs { line.trim_start_matches('\t') } else { &line };
                if line == end {
                    break;
                }
            }
        }
    }

    /// A character of a word, and what belongs to it.
    fn part(&mut self, c: char) {
        match c {
            '\'' => self.quote(),
            '"' => {
                self.word.quoted = true;
                while let Some(c) = self.chars.next() {
                    match c {
                        '"' => break,
                        '\\' => match self.chars.next() {
                            Some('\n') | None => {}
                            Some(c) => {
                                if !matches!(c, '$' | '`' | '"' | '\\') {
                                    self.word.text.push('\\');
                                }
                                self.word.text.push(c);
                            }
                        },
                        '$' | '`' => self.expansion(c),
                        _ => self.word.text.push(c),
                    }
                }
            }
            '\\' => match self.chars.next() {
                Some('\n') | None => {}
                Some(c) => {
                    self.word.quoted = true;
                    self.word.text.push(c);
                }
            },
            '$' if self.chars.next_if_eq(&'\'').is_some() => self.escaped_quote(),
            '$' if self.chars.peek() == Some(&'"') => {}
            '$' | '`' => self.expansion(c),
            _ => {
                self.word.expanded |= matches!(c, '*' | '?' | '[' | '{' | '~');
                self.word.text.push(c);
            }
        }
    }

    fn quote(&mut self) {
        self.word.quoted = true;
        self.word.text.extend(std::iter::from_fn(|| self.chars.next_if(|c| *c != '\'')));
        self.chars.next();
    }

    /// `$'…'`, in which a backslash says another character.
    fn escaped_quote(&mut self) {
        self.word.quoted = true;
        while let Some(c) = self.chars.next().filter(|c| *c != '\'') {
            self.word.text.push(c);
            if c == '\\' {
                self.word.expanded = true;
                self.word.text.extend(self.chars.next());
            }
        }
    }

    /// `$NAME`, `${…}`, `$(…)`, `$((…))`, `` `…` ``
    fn expansion(&mut self, first: char) {
        let word = &mut self.word;
        word.expanded = true;
        word.text.push(first);
        let closes = match (first, self.chars.peek()) {
            ('`', _) => '`',
            (_, Some('(')) => ')',
            (_, Some('{')) => '}',
            // The parameter's first character is none that ends a word, `$#` no comment.
            (_, Some(c))
                if !c.is_whitespace() && !matches!(c, '"' | '\'' | ';' | '&' | '|' | ')' | '<' | '>' | '\\') =>
            {
                self.word.text.extend(self.chars.next());
                return;
            }
            _ => return,
        };
        if first == '$' {
            self.word.text.extend(self.chars.next());
        }
        let inner = self.balanced(closes);
        self.word.text.push_str(&inner);
        self.word.text.push(closes);
        if !inner.starts_with('(') && (closes != '}' || inner.contains(['(', '`'])) {
            self.word.runs |= !only_reads(&inner);
        }
        if closes != '}' && !inner.starts_with('(') {
            self.read.substitutions.push(inner);
        }
    }

    /// What stands before the sign that closes, with all that is opened in between.
    fn balanced(&mut self, closes: char) -> String {
        let mut inner = String::new();
        let (mut depth, mut single, mut double) = (1_usize, false, false);
        while let Some(c) = self.chars.next() {
            match c {
                '\\' if !single => {
                    inner.push(c);
                    inner.extend(self.chars.next());
                    continue;
                }
                '\'' if !double => single = !single,
                '"' if !single => double = !double,
                _ if single => {}
                '(' if closes == ')' => depth += 1,
                '{' if closes == '}' => depth += 1,
                _ if c == closes => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            inner.push(c);
        }
        inner
    }
}

/// Whether the text of a substitution starts nothing but what reads: no file is another after it.
fn only_reads(text: &str) -> bool {
    const READERS: [&str; 31] = [
        "[", "basename", "cat", "cd", "command", "cut", "date", "dirname", "echo", "expr", "getent", "grep", "head",
        "hostname", "id", "ls", "nproc", "printenv", "printf", "pwd", "readlink", "realpath", "seq", "stat", "tail",
        "test", "tr", "uname", "wc", "which", "whoami",
    ];
    let text = text.replace("2>/dev/null", "").replace("2>&1", "");
    let reads = |command: &str| {
        let command = command.trim_matches([' ', '\t', '"', '$', ')']);
        let name = command.split([' ', '\t']).next().unwrap_or_default();
        name.is_empty() || READERS.contains(&name.rsplit('/').next().unwrap_or(name))
    };
    !text.contains('>') && text.split([';', '|', '&', '\n', '`', '(']).all(reads)
}

impl Word {
    fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.quoted && !self.expanded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words as they are, signs as they are written, `?` behind what is expanded.
    fn shown(text: &str) -> String {
        let tokens = tokens(text).tokens.into_iter().map(|token| match token {
            Token::Literal { word, bare } => {
                if bare {
                    word
                } else {
                    format!("'{word}'")
                }
            }
            Token::Expanded { word, .. } => format!("{word}?"),
            Token::Arguments => "@".into(),
            Token::Zeroth => "0".into(),
            Token::Redirection { writes } => if writes { ">" } else { "<" }.into(),
            Token::End => ";".into(),
            Token::Background => "&".into(),
            Token::CaseEnd => ";;".into(),
            Token::And => "&&".into(),
            Token::Or => "||".into(),
            Token::Pipe => "|".into(),
            Token::Open => "(".into(),
            Token::Close => ")".into(),
        });
        tokens.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_and_signs_are_told_apart() {
        for (text, wanted) in [
            ("exec app --port=8080", "exec app --port=8080"),
            ("'a b' \"c\"d e\\ f", "'a b' 'cd' 'e f'"),
            ("a;b&&c||d|e&f\ng", "a ; b && c || d | e & f ; g"),
            ("a >/dev/null 2>&1 >>log <in &>all b", "a < < > < > b"),
            ("a # b\nc#d", "a ; c#d"),
            ("exec \"$@\" $* \"$0\" ${@}", "exec @ @ 0 @"),
            ("a $X \"${Y:-b c}\" $(d \"e f\" $(g)) `h i`", "a $X? ${Y:-b c}? $(d \"e f\" $(g))? `h i`?"),
            ("X=$((1 + 2)) $# $? $$", "X=$((1 + 2))? $#? $?? $$?"),
            ("a <<E b\nnot a command\nE\nc", "a < b ; c"),
            ("a <<-'E'\n\tx $(y)\n\tE\nc", "a < ; c"),
            ("a <<A <<B\n1\nA\n2\nB\nc", "a < < ; c"),
            ("a <<< word b", "a < b"),
            ("case $1 in a|b) c ;; *) d ;; esac", "case $1? in a | b ) c ;; *? ) d ;; esac"),
            ("f() { a; }", "f ( ) { a ; }"),
            ("[ -f x ] && ! y", "[ -f x ] && ! y"),
            ("a \\\n  b", "a b"),
            ("a\r\nb c\r\n\r\n# d\r\n", "a\r ; b c\r ; \r ; ;"),
            ("a <<E\r\nb\r\nE\r\nc", "a < ; c"),
            ("$'a b' $'\\x41' $\"c\"", "'a b' \\x41? 'c'"),
            ("diff <(a b) c", "diff <? c"),
            ("'unfinished", "'unfinished'"),
            ("\"$(unfinished", "$(unfinished)?"),
            ("\"$1\" \"a\\$b\\n\"", "$1? 'a$b\\n'"),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
        for (text, wanted) in [
            ("$(app)", true),
            ("\"$(dirname \"$0\")\"", false),
            ("$(cd \"$(dirname \"$0\")\" && pwd)", false),
            ("$(cat x 2>/dev/null | tr -d a)", false),
            ("$(cat x > y)", true),
            ("`date; app`", true),
            ("${A:-$(app)}", true),
            ("${A:-b}$((1 + 2))", false),
            ("<(app)", true),
        ] {
            let runs = |token: &Token| matches!(token, Token::Expanded { runs: true, .. });
            assert_eq!(tokens(text).tokens.iter().any(runs), wanted, "{text}");
        }
        assert_eq!(tokens("a $(b c) \"`d`\" $((1)) <(e)").substitutions, ["b c", "d", "e"]);
    }
}
