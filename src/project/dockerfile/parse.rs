//! From logical lines to instructions.

use std::sync::Arc;

use super::lines::{Logical, logical};
use super::{Dockerfile, Instruction, KEYWORDS, MOST_INSTRUCTIONS};
use crate::image::recipe::place::{Place, RecipeError, Source};

pub(super) fn dockerfile(source: &Arc<Source>) -> Result<Dockerfile, RecipeError> {
    let (escape, lines) = logical(&source.text).map_err(|error| {
        let wrong = RecipeError::at(Place::new(source, error.span), error.message);
        match error.help {
            Some(help) => wrong.help(help),
            None => wrong,
        }
    })?;
    let mut instructions = Vec::new();
    let mut began = false;
    for line in lines {
        let place = Place::new(source, line.span.clone());
        if instructions.len() == MOST_INSTRUCTIONS {
            return Err(RecipeError::at(place, format!("there are more than {MOST_INSTRUCTIONS} instructions")));
        }
        let instruction = instruction(source, line)?;
        began |= instruction.keyword == "FROM";
        if !began && instruction.keyword != "ARG" {
            return Err(RecipeError::at(place, "no FROM stands before this instruction")
                .help("a Dockerfile begins with FROM; only ARG may stand before it"));
        }
        instructions.push(instruction);
    }
    if !began {
        return Err(RecipeError::new(format!("{} holds no FROM", source.file)));
    }
    Ok(Dockerfile { source: Arc::clone(source), escape, instructions })
}

fn instruction(source: &Arc<Source>, line: Logical) -> Result<Instruction, RecipeError> {
    let Logical { line, span, text, mut heredocs } = line;
    let word = text.split_whitespace().next().unwrap_or_default();
    let place = |length: usize| Place::new(source, span.start..span.start + length);
    let Some(keyword) = KEYWORDS.iter().find(|known| known.eq_ignore_ascii_case(word)) else {
        let shown = super::super::remark::shortened(word, 40);
        let error = RecipeError::at(place(word.len()), format!("{shown} is no instruction of a Dockerfile"));
        return Err(match nearest(word) {
            Some(meant) => error.help(format!("did you mean {meant}?")),
            None => error.help("a line that goes on from the one before needs a \\ at that one's end"),
        });
    };
    let mut at = text.find(word).unwrap_or_default() + word.len();
    let mut flags = Vec::new();
    if matches!(*keyword, "FROM" | "COPY" | "ADD" | "RUN" | "HEALTHCHECK") {
        loop {
            let rest = &text[at..];
            let spaces = rest.len() - rest.trim_start().len();
            let Some(flag) = rest[spaces..].strip_prefix("--") else { break };
            let length = flag.find(char::is_whitespace).unwrap_or(flag.len());
            at += spaces + 2 + length;
            let flag = &flag[..length];
            if flag.is_empty() {
                break;
            }
            flags.push(match flag.split_once('=') {
                Some((name, value)) => (name.into(), Some(value.into())),
                None => (flag.into(), None),
            });
        }
    }
    at += text[at..].len() - text[at..].trim_start().len();
    for heredoc in &mut heredocs {
        heredoc.at = heredoc.at.start.saturating_sub(at)..heredoc.at.end.saturating_sub(at);
    }
    let rest = text[at..].trim_end().to_owned();
    if rest.is_empty() {
        return Err(RecipeError::at(place(span.len()), format!("{keyword} says nothing")));
    }
    Ok(Instruction { keyword, line, span, flags, rest, heredocs })
}

/// The instruction that was probably meant.
fn nearest(word: &str) -> Option<&'static str> {
    if word.len() > 20 {
        return None;
    }
    let word = word.to_ascii_uppercase();
    let distance = |known: &&&str| strsim::damerau_levenshtein(&word, known);
    KEYWORDS.iter().min_by_key(distance).filter(|known| distance(known) <= known.len() / 3).copied()
}
