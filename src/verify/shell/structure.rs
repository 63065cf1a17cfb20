//! A shell's tokens as the commands that are written there, and the blocks and functions around them.

use std::collections::BTreeSet;

use super::lexer::Token;

/// A command as it is written, before anyone asks what it does.
pub(super) struct Part {
    pub(super) tokens: Vec<Token>,
    /// How many blocks it stands in.
    pub(super) depth: usize,
    /// Whether it stands in a function.
    pub(super) in_function: bool,
    /// What joins it to the one before.
    pub(super) before: Join,
    /// Whether it runs in a process of its own, in a pipeline or the background: it neither ends nor changes the shell.
    pub(super) aside: bool,
    /// Whether its answer is turned round (`!`).
    pub(super) negated: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Join {
    #[default]
    Next,
    And,
    Or,
    Pipe,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    If,
    Loop,
    Case { pattern: bool },
    Brace,
    Subshell,
    Function,
}

/// From tokens to commands and the blocks around them.
#[derive(Default)]
pub(super) struct Structure {
    pub(super) parts: Vec<Part>,
    pub(super) functions: BTreeSet<String>,
    blocks: Vec<Block>,
    /// How many of the blocks are functions. A text may have as many blocks as commands: none is looked for among them.
    open_functions: usize,
    /// What joins the next command to the one before, and whether its answer is turned round.
    next: (Join, bool),
    /// Blocks end that never began, or the other way.
    pub(super) is_broken: bool,
}

impl Structure {
    pub(super) fn read(&mut self, tokens: &[Token]) {
        let mut rest = tokens;
        while let Some((token, after)) = rest.split_first() {
            rest = after;
            if self.blocks.last() == Some(&Block::Case { pattern: true }) {
                match token {
                    Token::Close => self.pattern(false),
                    Token::Literal { word, bare: true } if word == "esac" => {
                        self.close(&[Block::Case { pattern: true }]);
                    }
                    _ => {}
                }
                continue;
            }
            match token {
                Token::End => self.next.0 = Join::Next,
                Token::And => self.next.0 = Join::And,
                Token::Or => self.next.0 = Join::Or,
                Token::Pipe | Token::Background => {
                    self.next.0 = if *token == Token::Pipe { Join::Pipe } else { Join::Next };
                    if let Some(part) = self.parts.last_mut() {
                        part.aside = true;
                    }
                }
                Token::CaseEnd => {
                    self.next.0 = Join::Next;
                    self.pattern(true);
                }
                Token::Open => self.blocks.push(Block::Subshell),
                Token::Close => self.close(&[Block::Subshell]),
                Token::Literal { word, bare: true } if self.reserved(word, &mut rest) => {}
                _ => {
                    // It goes as far as the next sign.
                    let is_sign = |token: &Token| {
                        !matches!(
                            token,
                            Token::Literal { .. }
                                | Token::Expanded { .. }
                                | Token::Arguments
                                | Token::Zeroth
                                | Token::Redirection { .. }
                        )
                    };
                    let count = rest.iter().position(is_sign).unwrap_or(rest.len());
                    let (words, after) = rest.split_at(count);
                    rest = after;
                    // `ARRAY=(…)`: the words in it are a value.
                    if let (Token::Literal { word, bare: true }, [Token::Open, after @ ..]) =
                        (words.last().unwrap_or(token), rest)
                        && word.ends_with('=')
                    {
                        let end = after.iter().position(|token| *token == Token::Close);
                        rest = end.map_or(&[], |end| &after[end + 1..]);
                        self.part(std::iter::once(token).chain(words).cloned().collect());
                        continue;
                    }
                    if let (Token::Literal { word, bare: true }, [], [Token::Open, Token::Close, after @ ..]) =
                        (token, words, rest)
                    {
                        rest = after;
                        self.function(word.clone());
                        continue;
                    }
                    self.part(std::iter::once(token).chain(words).cloned().collect());
                }
            }
        }
        self.is_broken |= !self.blocks.is_empty();
    }

    fn part(&mut self, tokens: Vec<Token>) {
        let (before, negated) = std::mem::take(&mut self.next);
        self.parts.push(Part {
            tokens,
            depth: self.blocks.len(),
            in_function: self.open_functions > 0,
            before,
            aside: before == Join::Pipe,
            negated,
        });
    }

    /// Takes a reserved word where a command may begin.
    fn reserved(&mut self, word: &str, rest: &mut &[Token]) -> bool {
        match word {
            "then" | "else" | "elif" | "do" | "time" => {}
            "!" => self.next.1 = true,
            "if" => self.blocks.push(Block::If),
            "while" | "until" => self.blocks.push(Block::Loop),
            "for" | "select" => {
                self.blocks.push(Block::Loop);
                let is_do = |token: &Token| matches!(token, Token::Literal { word, bare: true } if word == "do");
                *rest = &rest[rest.iter().position(is_do).unwrap_or(rest.len())..];
            }
            "case" => {
                self.blocks.push(Block::Case { pattern: true });
                let is_in = |token: &Token| matches!(token, Token::Literal { word, bare: true } if word == "in");
                *rest = rest.iter().position(is_in).map_or(&[], |at| &rest[at + 1..]);
            }
            "[[" => {
                let is_end = |token: &Token| matches!(token, Token::Literal { word, .. } if word == "]]");
                let end = rest.iter().position(is_end).map_or(rest.len(), |at| at + 1);
                *rest = &rest[end..];
                // It stays a command, since others hang on it.
                self.part(vec![Token::Literal { word: "[[".into(), bare: true }]);
            }
            "{" => self.blocks.push(Block::Brace),
            "function" => {
                let Some((Token::Literal { word, .. }, after)) = rest.split_first() else { return false };
                *rest = after;
                if let [Token::Open, Token::Close, after @ ..] = rest {
                    *rest = after;
                }
                self.function(word.clone());
            }
            "fi" => self.close(&[Block::If]),
            "done" => self.close(&[Block::Loop]),
            "esac" => self.close(&[Block::Case { pattern: false }]),
            "}" => self.close(&[Block::Brace]),
            _ => return false,
        }
        true
    }

    /// The body is the block that comes; as a rule, braces.
    fn function(&mut self, name: String) {
        self.functions.insert(name);
        self.blocks.push(Block::Function);
        self.open_functions += 1;
    }

    fn pattern(&mut self, pattern: bool) {
        match self.blocks.last_mut() {
            Some(Block::Case { pattern: place }) => *place = pattern,
            _ => self.is_broken = true,
        }
    }

    fn close(&mut self, kinds: &[Block]) {
        match self.pop() {
            Some(block) if kinds.contains(&block) => {}
            _ => self.is_broken = true,
        }
        // A function ends with its body.
        if self.blocks.last() == Some(&Block::Function) {
            self.pop();
        }
    }

    fn pop(&mut self) -> Option<Block> {
        let block = self.blocks.pop();
        self.open_functions -= usize::from(block == Some(Block::Function));
        block
    }
}
