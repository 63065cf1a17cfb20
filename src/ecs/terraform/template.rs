//! Templates: strings with `${…}` and `%{…}`. A part that is not known is a hole in the string.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use hcl_edit::expr::Expression;
use hcl_edit::parser::parse_template;
use hcl_edit::template::{Directive, Element, Strip, Template};

use super::evaluate::{Done, Evaluator, Fail};
use super::heredoc;
use super::json::{hidden, many_digits};
use super::module::{Module, Name, Scope};
use super::number::digits;
use super::value::{Data, Gap, MOST_STEPS, Piece, Val};

/// How a template is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    /// In quotes, where a backslash begins an escape.
    #[default]
    Quoted,
    /// As a heredoc or a file, where each line is a literal of its own: `~` takes off what is in one.
    Lines,
}

/// A string in the making.
#[derive(Default)]
pub(super) struct Pieces {
    done: Vec<Piece>,
    text: String,
    sensitive: bool,
    form: Form,
    /// How many directives are open.
    within: usize,
    /// Whether white space at the start of the literal that follows is to go.
    strip: bool,
    /// Where the literal begins that the text ends in.
    literal: usize,
    how: Vec<Rc<str>>,
}

impl Pieces {
    pub(super) fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn literal(&mut self, text: &str) {
        let first = text.find('\n').filter(|_| self.form == Form::Lines).map_or(text.len(), |at| at + 1);
        let last = text
            .strip_suffix('\n')
            .unwrap_or(text)
            .rfind('\n')
            .filter(|_| self.form == Form::Lines)
            .map_or(0, |at| at + 1);
        let (first, rest) = text.split_at(first);
        self.text.push_str(if self.strip { first.trim_start() } else { first });
        self.text.push_str(rest);
        self.strip = false;
        self.literal = self.text.len().saturating_sub(text.len() - last).max(self.literal);
    }

    /// `${…}` or `%{…}` ends here.
    fn sequence(&mut self, strip: bool) {
        self.strip = strip;
        self.literal = self.text.len();
    }

    pub(super) fn hole(&mut self, gap: &Rc<Gap>) {
        if !self.text.is_empty() {
            self.done.push(Piece::Known(std::mem::take(&mut self.text).into()));
        }
        self.done.push(Piece::Hole(Rc::clone(gap)));
        self.literal = 0;
    }

    /// Adds a value as a template shows it.
    fn push(&mut self, value: &Val) -> Result<(), Fail> {
        if value.sensitive {
            self.hole(&Rc::new(hidden(value)));
            return Ok(());
        }
        for step in value.steps() {
            if self.how.len() < MOST_STEPS && !self.how.contains(&step) {
                self.how.push(step);
            }
        }
        match &value.data {
            Data::Holes(pieces) => {
                for piece in pieces.iter() {
                    match piece {
                        Piece::Known(text) => self.push_str(text),
                        Piece::Hole(gap) => self.hole(gap),
                    }
                }
            }
            Data::Null => return Err(Fail::new("null stands in a string".into())),
            Data::Number(number) if digits(*number).is_none() => self.hole(&Rc::new(many_digits(value))),
            _ => match (value.scalar(), value.gap()) {
                (Some(text), _) => self.push_str(&text),
                (None, Some(gap)) => self.hole(gap),
                (None, None) => return Err(Fail::new(format!("{} stands in a string", value.kind()))),
            },
        }
        Ok(())
    }

    /// Takes white space off the end of the literal that stands there.
    fn trim(&mut self, strip: bool) {
        if strip {
            self.text.truncate(self.text.trim_end().len().max(self.literal));
        }
    }

    pub(super) fn finish(mut self) -> Val {
        let mut value = if self.done.is_empty() {
            Val::text(self.text)
        } else {
            if !self.text.is_empty() {
                self.done.push(Piece::Known(self.text.into()));
            }
            Val::new(Data::Holes(self.done.into()))
        };
        value.sensitive = self.sensitive;
        for step in self.how {
            value = value.through(step);
        }
        value
    }
}

/// A literal of a string in quotes, with what its escapes mean; what is none stays as it stands (HCL native syntax
/// "Quoted Literals").
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = |digits: usize| {
            let number = after.get(1..=digits).filter(|number| number.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            Some((char::from_u32(u32::from_str_radix(number, 16).ok()?)?, digits + 1))
        };
        let meant = match after.as_bytes().first() {
            Some(b'n') => Some(('\n', 1)),
            Some(b'r') => Some(('\r', 1)),
            Some(b't') => Some(('\t', 1)),
            Some(b'"') => Some(('"', 1)),
            Some(b'\\') => Some(('\\', 1)),
            Some(b'u') => code(4),
            Some(b'U') => code(8),
            _ => None,
        };
        let (meant, length) = meant.unwrap_or(('\\', 0));
        plain.push(meant);
        rest = &after[length..];
    }
    plain.push_str(rest);
    plain
}

pub(super) fn sides(strip: Strip) -> (bool, bool) {
    match strip {
        Strip::None => (false, false),
        Strip::Start => (true, false),
        Strip::End => (false, true),
        Strip::Both => (true, true),
    }
}

impl Evaluator<'_> {
    pub(super) fn template<'t>(
        &self,
        elements: impl Iterator<Item = &'t Element>,
        scope: &Scope<'_>,
        expression: &Expression,
    ) -> Done {
        let quoted = matches!(expression, Expression::StringTemplate(_));
        let form = if quoted { Form::Quoted } else { Form::Lines };
        let mut pieces = Pieces { form, ..Pieces::default() };
        self.elements(elements, scope, &mut pieces)?;
        let mut value = pieces.finish();
        if quoted && (value.sensitive || value.gap().is_some()) {
            value.written = Some(self.template_text(expression, scope).into());
        }
        Ok(value)
    }

    /// Adds a value to a string, as a template shows it. A string that is not known has as many parts as it was put
    /// together from, and counts them.
    pub(super) fn put(&self, value: &Val, pieces: &mut Pieces) -> Result<(), Fail> {
        match &value.data {
            Data::Holes(parts) => self.spend_parts(parts)?,
            _ => self.spend_text(value.scalar().map_or(0, |text| text.len()))?,
        }
        pieces.push(value)
    }

    pub(super) fn spend_parts(&self, parts: &[Piece]) -> Result<(), Fail> {
        self.spend(parts.len())?;
        let known = parts.iter().map(|part| match part {
            Piece::Known(text) => text.len(),
            Piece::Hole(_) => 0,
        });
        self.spend_text(known.sum())
    }

    /// What stands between the quotes, for a string that cannot be shown or is not known.
    pub(super) fn template_text(&self, expression: &Expression, scope: &Scope<'_>) -> String {
        let text = self.written(expression, scope.file);
        match expression {
            Expression::String(_) | Expression::StringTemplate(_) => {
                text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&text).to_owned()
            }
            _ => format!("${{{text}}}"),
        }
    }

    fn elements<'t>(
        &self,
        elements: impl Iterator<Item = &'t Element>,
        scope: &Scope<'_>,
        pieces: &mut Pieces,
    ) -> Result<(), Fail> {
        for element in elements {
            self.spend(1)?;
            match element {
                Element::Literal(text) => {
                    self.spend_text(text.len())?;
                    // The parser takes the escapes of a string for what they mean, but not those within a directive.
                    let escaped = pieces.form == Form::Quoted && pieces.within > 0 && text.contains('\\');
                    pieces.literal(&if escaped { unescaped(text).into() } else { Cow::Borrowed(text.as_str()) });
                }
                Element::Interpolation(interpolation) => {
                    let (start, end) = sides(interpolation.strip);
                    pieces.trim(start);
                    let mut value = self.settled(&interpolation.expr, scope)?;
                    if matches!(value.data, Data::Number(number) if digits(number).is_none()) {
                        value = self.open(&Rc::new(many_digits(&value)), &interpolation.expr, scope);
                    }
                    self.put(&value, pieces)?;
                    pieces.sequence(end);
                }
                Element::Directive(directive) => self.deeper(|| self.directive(directive, scope, pieces))?,
            }
        }
        Ok(())
    }

    fn directive(&self, directive: &Directive, scope: &Scope<'_>, pieces: &mut Pieces) -> Result<(), Fail> {
        match directive {
            Directive::If(choice) => {
                let opens = sides(choice.if_expr.strip);
                let closes = sides(choice.endif_expr.strip);
                let middle = choice.else_expr.as_ref().map(|other| sides(other.strip));
                pieces.trim(opens.0);
                let condition = self.settled(&choice.if_expr.cond_expr, scope)?;
                pieces.sensitive |= condition.sensitive;
                let before_end = middle.unwrap_or(closes).0;
                match (condition.truth(), condition.gap()) {
                    (Some(true), _) => self.inside(&choice.if_expr.template, opens.1, before_end, scope, pieces)?,
                    (Some(false), _) => {
                        if let (Some(other), Some(middle)) = (&choice.else_expr, middle) {
                            self.inside(&other.template, middle.1, closes.0, scope, pieces)?;
                        }
                    }
                    (None, Some(gap)) => pieces.hole(gap),
                    (None, None) => return Err(Fail::new("%{ if }: expected true or false".into())),
                }
                pieces.sequence(closes.1);
            }
            Directive::For(each) => {
                let opens = sides(each.for_expr.strip);
                let closes = sides(each.endfor_expr.strip);
                pieces.trim(opens.0);
                let collection = self.settled(&each.for_expr.collection_expr, scope)?;
                match self.pairs(&collection) {
                    Ok(pairs) => {
                        for (key, value) in pairs {
                            let outer = scope.names;
                            let key = each.for_expr.key_var.as_ref().map(|name| Name {
                                word: name.as_str(),
                                value: key,
                                outer,
                            });
                            let outer = key.as_ref().or(outer);
                            let name = Name { word: each.for_expr.value_var.as_str(), value, outer };
                            let scope = scope.with(&name);
                            self.inside(&each.for_expr.template, opens.1, closes.0, &scope, pieces)?;
                        }
                    }
                    Err(Some(gap)) => pieces.hole(&gap),
                    Err(None) => return Err(Fail::new("%{ for }: expected a list or a map".into())),
                }
                pieces.sequence(closes.1);
            }
        }
        Ok(())
    }

    fn inside(
        &self,
        template: &Template,
        strip_start: bool,
        strip_end: bool,
        scope: &Scope<'_>,
        pieces: &mut Pieces,
    ) -> Result<(), Fail> {
        pieces.sequence(strip_start);
        pieces.within += 1;
        self.elements(template.iter(), scope, pieces)?;
        pieces.within -= 1;
        pieces.trim(strip_end);
        Ok(())
    }

    /// A text that was read elsewhere, as a template over the given names.
    pub(super) fn render(&self, text: &Val, vars: &Val, module: &Rc<Module>) -> Done {
        if let Some(gap) = text.gap() {
            return Ok(Val::unknown(gap));
        }
        let Some(text) = text.scalar() else { return Err(Fail::new("expected a template".into())) };
        self.spend(text.len() / 16)?;
        self.measure(&text)?;
        let mut template = parse_template(&text).map_err(|error| {
            let at = error.location();
            Fail::new(format!("a template does not parse ({}:{}): {}", at.line(), at.column(), error.message()))
        })?;
        heredoc::of_template(&mut template, &text);
        let pairs = match self.pairs(vars) {
            Ok(pairs) => pairs,
            Err(Some(gap)) => return Ok(Val::unknown(&gap)),
            Err(None) => return Err(Fail::new("expected an object with the values of a template".into())),
        };
        let given: BTreeMap<Rc<str>, Val> =
            pairs.into_iter().filter_map(|(key, value)| Some((key.scalar()?, value))).collect();
        let mut pieces = Pieces { form: Form::Lines, ..Pieces::default() };
        // Places within such a text are not kept: no file has this number.
        let scope = Scope { module, file: usize::MAX, names: None, given: Some(&given) };
        self.deeper(|| self.elements(template.iter(), &scope, &mut pieces))?;
        Ok(pieces.finish())
    }
}
