//! Text for people: sizes, durations, and strangers' words made fit for a terminal.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};

/// A number of bytes in powers of 1000: `999 B`, `1.2 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // In tenths of a unit, rounded half up; all in integers, so that the same bytes read the same everywhere.
    let mut scale: u128 = 1000;
    for unit in UNITS {
        let tenths = (u128::from(bytes) * 10 + scale / 2) / scale;
        if tenths < 10_000 {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        scale *= 1000;
    }
    format!("{bytes} B")
}

/// A duration in the form that is read fastest: `0.4 s`, `12 s`, `3 min 20 s`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{seconds}.{} s", duration.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// The text without control characters, each further line behind a bar.
///
/// Registries, archives and task definitions choose parts of what is printed. An escape sequence of theirs must not
/// reach the terminal, and a line of theirs must not look like one of ours.
pub fn printable(text: &str) -> Cow<'_, str> {
    let text = text.trim_end();
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => clean.push_str("\n  | "),
            '\r' => {}
            '\t' => clean.push(' '),
            c if c.is_control() => clean.push('\u{fffd}'),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// The text on one line and without control characters, its own ends of lines as `\n`: for titles, names and paths.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let text = text.trim_end();
    if text.contains('\n') { Cow::Owned(printable(&text.replace('\n', "\\n")).into_owned()) } else { printable(text) }
}

/// Writes to stderr what a closure writes, with nothing in it that GitHub's runner takes for a command.
pub fn to_stderr(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut styled = Vec::new();
    write(&mut styled)?;
    let mut text = String::from_utf8_lossy(&styled);
    let stderr = io::stderr();
    // Before the look at it: the runner sees what is left.
    if AutoStream::choice(&stderr) == ColorChoice::Never {
        text = strip_str(&text).to_string().into();
    }
    let mut stderr = stderr.lock();
    stderr.write_all(without_commands(&text).as_bytes())?;
    stderr.flush()
}

/// The text with nothing in it that GitHub's runner takes for a command: `::` where a line begins, after white space or
/// none, and `##[` anywhere in it.
///
/// Also where `GITHUB_ACTIONS` is not set: a container that a step runs need not see the variable, and what it prints
/// goes to the runner all the same.
pub fn without_commands(text: &str) -> Cow<'_, str> {
    broken(text, " [")
}

/// A JSON document with nothing in it that GitHub's runner takes for a command, and with the same values.
pub fn json_without_commands(text: &str) -> Cow<'_, str> {
    // Behind `##` a bracket is part of a string.
    broken(text, "\\u005b")
}

fn broken<'a>(text: &'a str, bracket: &str) -> Cow<'a, str> {
    if !text.contains("::") && !text.contains('#') && text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    // Whether nothing but white space is before it on its line, then whether a colon is; how many hashes are.
    let (mut fresh, mut colon, mut hashes) = (true, false, 0);
    for c in text.chars() {
        if is_passed_over(c) {
            safe.push(c);
            continue;
        }
        if c == ':' && colon {
            safe.push(' ');
        }
        match c {
            '[' if hashes > 1 => safe.push_str(bracket),
            c => safe.push(c),
        }
        let ends = matches!(c, '\n' | '\r');
        hashes = if c == '#' { hashes + 1 } else { 0 };
        colon = c == ':' && fresh;
        fresh = ends || fresh && c.is_whitespace();
    }
    Cow::Owned(safe)
}

/// What has no width. The runner compares texts as people do, for whom it is not there.
fn is_passed_over(c: char) -> bool {
    let invisible = matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}'
    );
    invisible || c.is_control() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal() {
        let said: Vec<_> = [0, 999, 1000, 1_249_999, 1_250_000, 999_949, 999_950, 1 << 30].map(size).into();
        assert_eq!(said, ["0 B", "999 B", "1.0 kB", "1.2 MB", "1.3 MB", "999.9 kB", "1.0 MB", "1.1 GB"]);
        assert_eq!(size(u64::MAX), "18446744073709551615 B");
    }

    #[test]
    fn durations_are_short() {
        let said: Vec<_> = [400, 9_990, 12_700, 200_000].map(|ms| duration(Duration::from_millis(ms))).into();
        assert_eq!(said, ["0.4 s", "9.9 s", "12 s", "3 min 20 s"]);
    }

    #[test]
    fn strangers_words_are_tame() {
        assert_eq!(printable("plain\n"), "plain");
        assert_eq!(printable("a\u{1b}[31mb\r\n::add-mask::x"), "a\u{fffd}[31mb\n  | ::add-mask::x");
    }

    #[test]
    fn a_title_is_one_line() {
        assert_eq!(one_line("plain\n"), "plain");
        assert_eq!(one_line("/nope\r\n::x\u{1b}"), "/nope\\n::x\u{fffd}");
    }

    #[test]
    fn nothing_is_a_command_of_the_runner() {
        for (text, safe) in [
            ("a::b\n  ::1 #[x] #a [b]\n", "a::b\n  : :1 #[x] #a [b]\n"),
            ("::add-mask::x", ": :add-mask::x"),
            ("\u{a0}\u{85}\t:::", "\u{a0}\u{85}\t: ::"),
            ("a\r::x\rb", "a\r: :x\rb"),
            ("\u{200b}:\u{feff}:x", "\u{200b}:\u{feff} :x"),
            (": ::x", ": ::x"),
            ("app ##[add-mask]e", "app ## [add-mask]e"),
            ("###\u{ad}[a]", "###\u{ad} [a]"),
            ("##a[b]", "##a[b]"),
        ] {
            assert_eq!(without_commands(text), safe);
            assert_eq!(without_commands(safe), safe);
        }
    }

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({"a##[b": ["##", "##[c]", "\n::x", "\\##[", "#\u{200b}#[d"], "##": ["e"]});
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        let safe = json_without_commands(&text);
        assert!(!safe.contains("##["), "{safe}");
        assert_eq!(without_commands(&safe), safe);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).expect("JSON"), value);
    }
}
