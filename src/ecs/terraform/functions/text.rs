//! Functions over strings and numbers.

use std::rc::Rc;

use base64::Engine as _;

use super::super::evaluate::{Evaluator, Fail};
use super::super::number::digits;
use super::super::template::Pieces;
use super::super::value::{Data, Val, whole};

/// As Go's `strings.Title`: of ASCII all but letters, digits and `_` separates words, of the rest white space.
fn title(text: &str) -> String {
    let mut start = true;
    let separates = |letter: char| match letter {
        '\0'..='\x7f' => !letter.is_ascii_alphanumeric() && letter != '_',
        _ => letter.is_whitespace(),
    };
    let letter = |letter: char| {
        let upper = std::mem::replace(&mut start, separates(letter));
        if upper { letter.to_uppercase().collect::<String>() } else { letter.to_string() }
    };
    text.chars().map(letter).collect()
}

impl Evaluator<'_> {
    pub(super) fn text_function(&self, name: &str, arguments: &[Val]) -> Result<Option<Val>, Fail> {
        if name == "join" {
            return self.join(arguments);
        }
        if name == "format"
            && let [format, values @ ..] = arguments
        {
            let Some(format) = format.scalar() else { return Ok(None) };
            return self.format(&format, values);
        }
        if name == "formatlist" {
            return Ok(None);
        }
        if let ("floor" | "ceil" | "abs", [number]) = (name, arguments) {
            let apply = |number: f64| match name {
                "floor" => number.floor(),
                "ceil" => number.ceil(),
                _ => number.abs(),
            };
            return Ok(number.number().map(|number| Val::new(Data::Number(apply(number)))));
        }
        let Some(texts) = arguments.iter().map(Val::scalar).collect::<Option<Vec<Rc<str>>>>() else { return Ok(None) };
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        for text in &texts {
            self.spend(text.len() / 64)?;
            self.spend_text(text.len())?;
        }
        let number = |index: usize| arguments.get(index).and_then(Val::number);
        let text = |text: &str| Some(Val::text(text));
        Ok(match (name, texts.as_slice()) {
            ("upper", [value]) => text(&value.to_uppercase()),
            ("lower", [value]) => text(&value.to_lowercase()),
            ("title", [value]) => text(&title(value)),
            ("trimspace", [value]) => text(value.trim()),
            ("chomp", [value]) => text(value.trim_end_matches(['\n', '\r'])),
            ("trim", [value, cut]) => text(value.trim_matches(|c| cut.contains(c))),
            ("trimprefix", [value, cut]) => text(value.strip_prefix(cut).unwrap_or(value)),
            ("trimsuffix", [value, cut]) => text(value.strip_suffix(cut).unwrap_or(value)),
            ("startswith", [value, start]) => Some(Val::bool(value.starts_with(start))),
            ("endswith", [value, end]) => Some(Val::bool(value.ends_with(end))),
            ("strcontains", [value, part]) => Some(Val::bool(value.contains(part))),
            ("strrev", [value]) => text(&value.chars().rev().collect::<String>()),
            ("basename", [value]) => text(match value.trim_end_matches('/').rsplit('/').next().unwrap_or_default() {
                "" if value.is_empty() => ".",
                "" => "/",
                name => name,
            }),
            ("dirname", [value]) => {
                text(match value.rsplit_once('/').map(|(folder, _)| folder.trim_end_matches('/')) {
                    None => ".",
                    Some("") => "/",
                    Some(folder) => folder,
                })
            }
            ("split", [separator, value]) => {
                let parts: Vec<Val> = if separator.is_empty() {
                    self.spend(value.chars().count())?;
                    value.chars().map(|c| Val::text(c.to_string())).collect()
                } else {
                    self.spend(value.matches(separator).count())?;
                    value.split(separator).map(Val::text).collect()
                };
                Some(Val::list(parts))
            }
            // Between slashes stands a pattern.
            ("replace", [_, from, _]) if from.len() > 1 && from.starts_with('/') && from.ends_with('/') => None,
            ("replace", [value, from, to]) => {
                if value.len().saturating_add(1).saturating_mul(to.len()) > (16 << 20) {
                    return Err(Fail::new("the result would be too long".into()));
                }
                let made = value.replace(from, to);
                self.spend_text(made.len())?;
                text(&made)
            }
            ("substr", [value, ..]) => {
                let (Some(from), Some(count)) = (number(1), number(2)) else { return Ok(None) };
                let letters: Vec<char> = value.chars().collect();
                let start = match whole(from.abs()) {
                    Some(back) if from < 0.0 => letters.len().saturating_sub(back),
                    Some(start) => start,
                    None => return Ok(None),
                };
                let count = whole(count).unwrap_or(usize::MAX);
                Some(Val::text(letters.into_iter().skip(start).take(count).collect::<String>()))
            }
            ("indent", [_, value]) => {
                let spaces = " ".repeat(number(0).and_then(|n| whole(n.clamp(0.0, 200.0))).unwrap_or(0));
                let lines = value.bytes().filter(|byte| *byte == b'\n').count();
                self.spend_text(value.len().saturating_add(lines.saturating_mul(spaces.len())))?;
                text(&value.replace('\n', &format!("\n{spaces}")))
            }
            ("parseint", [value, base]) => {
                let base = base.parse().ok().filter(|base| (2..=36).contains(base));
                let parsed = base.and_then(|base| i32::from_str_radix(value, base).ok());
                parsed.map(|number| Val::new(Data::Number(f64::from(number))))
            }
            ("base64encode", [value]) => text(&base64::engine::general_purpose::STANDARD.encode(value)),
            ("base64decode", [value]) => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(value).ok();
                match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
                    Some(decoded) => text(&decoded),
                    None => return Err(Fail::new("this is not text in base64".into())),
                }
            }
            _ => None,
        })
    }

    fn join(&self, arguments: &[Val]) -> Result<Option<Val>, Fail> {
        let [separator, lists @ ..] = arguments else { return Ok(None) };
        let Some(separator) = separator.scalar() else { return Ok(None) };
        let mut pieces = Pieces::default();
        let mut first = true;
        for list in lists {
            let Data::List(items) = &list.data else {
                match list.gap() {
                    Some(gap) => {
                        pieces.hole(gap);
                        first = false;
                        continue;
                    }
                    None => return Err(Fail::new(format!("expected a list, found {}", list.kind()))),
                }
            };
            for item in items.iter() {
                self.spend(1)?;
                self.spend_text(separator.len())?;
                if !std::mem::take(&mut first) {
                    pieces.push_str(&separator);
                }
                self.put(&list.part(item), &mut pieces)?;
            }
        }
        Ok(Some(pieces.finish()))
    }

    /// `%s`, `%v`, `%d`, `%q`, `%%`, and widths of whole numbers.
    fn format(&self, format: &str, values: &[Val]) -> Result<Option<Val>, Fail> {
        let mut pieces = Pieces::default();
        let mut values = values.iter();
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            pieces.push_str(&rest[..at]);
            let spec = &rest[at + 1..];
            let end = spec.find(|c: char| c.is_alphabetic() || c == '%').unwrap_or(spec.len());
            let Some(verb) = spec[end..].chars().next() else { return Err(Fail::new("a % without a verb".into())) };
            rest = &spec[end + verb.len_utf8()..];
            let flags = &spec[..end];
            if verb == '%' {
                pieces.push_str("%");
                continue;
            }
            let Some(value) = values.next() else { return Err(Fail::new("more verbs than values".into())) };
            match (verb, flags) {
                ('v', "#") | ('q', "") => self.put(&self.encode(value)?, &mut pieces)?,
                ('s' | 'v', "" | "#") => match &value.data {
                    Data::List(_) | Data::Map(_) if verb == 's' => {
                        return Err(Fail::new(format!("%s: expected a string, found {}", value.kind())));
                    }
                    Data::List(_) | Data::Map(_) => self.put(&self.encode(value)?, &mut pieces)?,
                    _ => self.put(value, &mut pieces)?,
                },
                ('d', flags) => {
                    let Some(number) = value.number() else { return Ok(None) };
                    let zero = flags.starts_with('0');
                    let width: usize = if flags.is_empty() { 0 } else { flags.parse().unwrap_or(usize::MAX) };
                    if width > 64 {
                        return Ok(None);
                    }
                    let Some(text) = digits(number.trunc()) else { return Ok(None) };
                    pieces.push_str(&if zero { format!("{text:0>width$}") } else { format!("{text:>width$}") });
                }
                _ => return Ok(None),
            }
        }
        pieces.push_str(rest);
        Ok(Some(pieces.finish()))
    }
}
