//! `<<-`: how far the lines of a heredoc move to the left.
//!
//! Terraform goes by the lines of the whole text as they are written, inside of directives as well, and takes off what
//! all of them have. The parser goes by the literals between two interpolations, each for itself, and takes characters
//! off the lines of those that have less.

use hcl_edit::Span as _;
use hcl_edit::structure::Body;
use hcl_edit::template::{Directive, Element, HeredocTemplate, Strip, Template};
use hcl_edit::visit_mut::{VisitMut, visit_heredoc_template_mut};

use super::template::sides;

/// Moves the lines of every heredoc in a body that was parsed from this text.
pub(super) fn of_body(body: &mut Body, text: &str) {
    Heredocs { text }.visit_body_mut(body);
}

/// The same of those in the interpolations of a template.
pub(super) fn of_template(template: &mut Template, text: &str) {
    Heredocs { text }.visit_template_mut(template);
}

struct Heredocs<'t> {
    text: &'t str,
}

impl VisitMut for Heredocs<'_> {
    fn visit_heredoc_template_mut(&mut self, heredoc: &mut HeredocTemplate) {
        let written = heredoc.span().and_then(|span| self.text.get(span));
        if written.is_some_and(|written| written.starts_with("<<-")) {
            let mut lines = Lines { text: self.text, indent: usize::MAX, cut: None, at_start: true, trims: false };
            lines.template(&mut heredoc.template, false);
            let mut lines = Lines { cut: Some(lines.indent), at_start: true, trims: false, ..lines };
            lines.template(&mut heredoc.template, false);
        }
        visit_heredoc_template_mut(self, heredoc);
    }
}

/// The lines of one heredoc: first measured, then cut.
struct Lines<'t> {
    text: &'t str,
    /// The least white space in front of a line.
    indent: usize,
    /// How many characters are taken off each line; `None` while they are measured.
    cut: Option<usize>,
    /// Whether what follows begins a line.
    at_start: bool,
    /// Whether the `~` of what went before takes white space off what follows.
    trims: bool,
}

impl Lines<'_> {
    /// `trimmed` says whether what follows the template takes white space off its end.
    fn template(&mut self, template: &mut Template, trimmed: bool) {
        let opens = |element: &Element| match element {
            Element::Literal(_) => false,
            Element::Interpolation(interpolation) => sides(interpolation.strip).0,
            Element::Directive(directive) => match &**directive {
                Directive::If(choice) => sides(choice.if_expr.strip).0,
                Directive::For(each) => sides(each.for_expr.strip).0,
            },
        };
        let next: Vec<bool> = template.iter().skip(1).map(opens).chain([trimmed]).collect();
        for (element, trimmed) in template.iter_mut().zip(next) {
            match element {
                Element::Literal(literal) => {
                    let written = literal.span().and_then(|span| self.text.get(span)).unwrap_or_default();
                    let cut = self.literal(written, trimmed);
                    if self.cut.is_some() {
                        *literal.as_mut() = cut.replace("$${", "${").replace("%%{", "%{");
                    }
                }
                Element::Interpolation(interpolation) => self.sequence(interpolation.strip),
                Element::Directive(directive) => match &mut **directive {
                    Directive::If(choice) => {
                        let end = choice.endif_expr.strip;
                        let middle = choice.else_expr.as_ref().map_or(end, |other| other.strip);
                        self.sequence(choice.if_expr.strip);
                        self.template(&mut choice.if_expr.template, sides(middle).0);
                        if let Some(other) = &mut choice.else_expr {
                            self.sequence(other.strip);
                            self.template(&mut other.template, sides(end).0);
                        }
                        self.sequence(end);
                    }
                    Directive::For(each) => {
                        let end = each.endfor_expr.strip;
                        self.sequence(each.for_expr.strip);
                        self.template(&mut each.for_expr.template, sides(end).0);
                        self.sequence(end);
                    }
                },
            }
        }
    }

    /// `${…}` or `%{…}`: where it begins a line, that one has no white space in front.
    fn sequence(&mut self, strip: Strip) {
        if std::mem::take(&mut self.at_start) {
            self.indent = 0;
        }
        self.trims = sides(strip).1;
    }

    /// A literal without what is cut off its lines. What a `~` takes off counts for no line: neither as its white space
    /// nor as its end.
    fn literal(&mut self, written: &str, trimmed: bool) -> String {
        let mut made = String::with_capacity(written.len());
        let mut lines = written.split_inclusive('\n').peekable();
        while let Some(line) = lines.next() {
            let left = if std::mem::take(&mut self.trims) { line.trim_start() } else { line };
            let left = if trimmed && lines.peek().is_none() { left.trim_end() } else { left };
            let starts = std::mem::replace(&mut self.at_start, left.ends_with('\n'));
            let is_blank = left.trim_start().is_empty() && left.ends_with('\n');
            let mut cut = 0;
            if starts && !is_blank {
                self.indent = self.indent.min(left.chars().take_while(|c| c.is_whitespace()).count());
                cut = self.cut.unwrap_or(0);
            }
            made.extend(line.chars().skip(cut));
        }
        made
    }
}
