//! Errors and what caused them, as one text.

use std::error::Error;
use std::io;

/// An error and its causes, the outermost first.
///
/// An [`io::Error`] made of another error passes over that one in its own `source`; here it is a link like any other.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

/// What an error says, then each of its causes that says something new: many errors state their cause in their own
/// text.
pub fn messages(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for link in chain(error) {
        let text = link.to_string();
        if !text.is_empty() && !messages.iter().any(|message| states(message, &text)) {
            messages.push(text);
        }
    }
    messages
}

/// An error and its causes in one line, each after a colon.
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    messages(error).join(": ")
}

/// What the innermost cause says: what a person can do something about.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// Whether a text holds another, from the beginning of a word to the end of one: `not found` says nothing of `no`.
fn states(message: &str, text: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    message.match_indices(text).any(|(at, _)| {
        let (before, after) = (message[..at].chars().next_back(), message[at + text.len()..].chars().next());
        !(is_word(before) && is_word(text.chars().next()) || is_word(after) && is_word(text.chars().next_back()))
    })
}

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    fn link(texts: &[&'static str]) -> Link {
        let (text, rest) = texts.split_first().expect("a text");
        Link { text, source: (!rest.is_empty()).then(|| Box::new(link(rest))) }
    }

    #[test]
    fn a_cause_is_left_out_only_where_it_was_said() {
        let line = |texts: &[&'static str]| in_one_line(&link(texts));
        assert_eq!(line(&["cannot read a: cut off", "cut off"]), "cannot read a: cut off");
        assert_eq!(
            line(&["cannot read a (cut off)", "", "cut off", "at byte 5"]),
            "cannot read a (cut off): at byte 5"
        );
        // Part of a word is not what was said.
        assert_eq!(line(&["the host is not found", "no"]), "the host is not found: no");
        assert_eq!(line(&["status 404", "40"]), "status 404: 40");
        assert_eq!(innermost(&link(&["a", "b", "c"])), "c");
    }

    #[test]
    fn what_an_io_error_is_made_of_is_a_link() {
        let error = io::Error::other(link(&["outer", "inner"]));
        assert_eq!(in_one_line(&error), "outer: inner");
        assert!(chain(&error).any(<dyn Error>::is::<Link>));
    }
}
