//! Text for people: sizes, durations, and strangers' words made fit for a terminal.

use std::borrow::Cow;
use std::time::Duration;

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
/// reach the terminal, and a line of theirs must not begin with `::`, which GitHub Actions takes as a command.
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
}
