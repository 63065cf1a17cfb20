//! A pattern as an automaton that is run over a path once, in all its states at the same time, so that `*a*a*a*b` costs
//! the product of two lengths and never more.

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
    /// `**` at the end, or where a name's last characters follow (`**.log`): anything.
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Automaton {
    tokens: Vec<Token>,
    /// The characters before the first token that is not one: most paths are refused by these.
    literal: String,
}

impl Automaton {
    pub(super) fn new(pattern: &str) -> Result<Self, &'static str> {
        let mut tokens = Vec::new();
        let mut rest = pattern.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '*' if rest.next_if_eq(&'*').is_some() => {
                    let crosses = rest.next_if_eq(&'/').is_none() && tokens.is_empty() && is_plain(rest.clone());
                    if crosses || rest.peek().is_none() {
                        tokens.push(Token::Any);
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

    /// Whether it matches exactly this.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        if !path.starts_with(self.literal.as_bytes()) {
            return false;
        }
        if self.tokens.iter().all(|token| matches!(token, Token::Char(_))) {
            return path.len() == self.literal.len();
        }
        let mut run = Run::start(self);
        characters(path).all(|character| run.step(character)) && run.has_matched()
    }

    /// Whether it may match something below a folder, seen from the folder's path alone.
    pub(super) fn may_match_below(&self, folder: &[u8]) -> bool {
        let shared = folder.len().min(self.literal.len());
        if folder[..shared] != self.literal.as_bytes()[..shared] {
            return false;
        }
        let mut run = Run::start(self);
        characters(folder).chain([Some('/')]).all(|character| run.step(character))
    }
}

/// Whether nothing of this is special. After a `**` at the beginning it is then what a path ends in, for moby since
/// 0.5.0: `**.log` is `a/b.log` too, though `**.lo?` is only a file of that whole name.
fn is_plain(mut rest: impl Iterator<Item = char>) -> bool {
    !rest.any(|character| matches!(character, '*' | '?' | '[' | ']' | '\\'))
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
                    Token::Any => enter(self.tokens, &mut self.next, state),
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
            Some(Token::Star | Token::Any) => state += 1,
            Some(Token::Deep) => {
                states[(state + 1) / 64] |= 1 << ((state + 1) % 64);
                state += 2;
            }
            _ => return,
        }
    }
}
