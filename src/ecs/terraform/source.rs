//! The files of a folder as one body, each with its text for places and expressions.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Structure};

use super::super::location::Location;
use super::super::node::Lines;
use super::value::Place;

/// A file that was read.
pub(super) struct File {
    /// As locations name it.
    pub(super) name: Arc<str>,
    pub(super) text: Arc<str>,
    lines: Lines,
}

impl File {
    pub(super) fn new(name: &str, text: Arc<str>) -> Self {
        Self { name: name.into(), lines: Lines::of(&text), text }
    }

    pub(super) fn location(&self, span: Range<usize>) -> Location {
        self.lines.location(&self.name, &self.text, span)
    }

    /// The place of a whole block: what is underlined is its first line.
    pub(super) fn first_line(&self, span: Range<usize>) -> Location {
        self.lines.first_line(&self.name, &self.text, span)
    }
}

/// A block and the number of its file.
#[derive(Clone)]
pub(super) struct Stands {
    pub(super) file: usize,
    pub(super) block: Rc<Block>,
}

impl Stands {
    pub(super) fn place(&self) -> Option<Place> {
        self.block.span().map(|span| Place { file: self.file, start: span.start, end: span.end })
    }

    /// An attribute of the block itself.
    pub(super) fn attribute(&self, name: &str) -> Option<&Expression> {
        self.block.body.get_attribute(name).map(|attribute| &attribute.value)
    }

    /// Whether `ignore_changes` leaves an attribute of a resource as others made it.
    pub(super) fn ignores(&self, name: &str) -> bool {
        let lifecycle = self.block.body.get_blocks("lifecycle");
        lifecycle.filter_map(|block| block.body.get_attribute("ignore_changes")).any(|ignored| match &ignored.value {
            Expression::Variable(word) => word.as_str() == "all",
            Expression::Array(items) => items.iter().any(|item| match item {
                Expression::Variable(word) => word.as_str() == name,
                Expression::String(word) => word.as_str() == name,
                // A part of it: `tags["owner"]`.
                Expression::Traversal(part) => {
                    matches!(&part.expr, Expression::Variable(word) if word.as_str() == name)
                }
                _ => false,
            }),
            _ => false,
        })
    }
}

/// The folder of a module: its blocks by what they declare. The first of two that declare the same counts.
#[derive(Default)]
pub(super) struct Folder {
    /// As the source named it, for `path.module`.
    pub(super) path: String,
    pub(super) variables: BTreeMap<String, Stands>,
    pub(super) locals: BTreeMap<String, (usize, Rc<Expression>)>,
    pub(super) outputs: BTreeMap<String, Stands>,
    /// By type and name, `data.` before the type of a data source.
    pub(super) resources: BTreeMap<(String, String), Stands>,
    pub(super) modules: BTreeMap<String, Stands>,
    /// The resources and modules in the order of the files.
    pub(super) order: Vec<Stands>,
}

impl Folder {
    /// Adds the body of a file.
    pub(super) fn add(&mut self, file: usize, body: hcl_edit::structure::Body) {
        for structure in body {
            let Structure::Block(block) = structure else { continue };
            let labels: Vec<String> = block.labels.iter().map(|label| label.as_str().to_owned()).collect();
            let stands = Stands { file, block: Rc::new(block) };
            match (stands.block.ident.as_str(), labels.as_slice()) {
                ("locals", []) => {
                    for attribute in stands.block.body.attributes() {
                        let name = attribute.key.as_str().to_owned();
                        self.locals.entry(name).or_insert_with(|| (file, Rc::new(attribute.value.clone())));
                    }
                }
                ("variable", [name]) => {
                    self.variables.entry(name.clone()).or_insert(stands);
                }
                ("output", [name]) => {
                    self.outputs.entry(name.clone()).or_insert(stands);
                }
                ("resource", [kind, name]) => {
                    self.order.push(stands.clone());
                    self.resources.entry((kind.clone(), name.clone())).or_insert(stands);
                }
                ("data", [kind, name]) => {
                    self.resources.entry((format!("data.{kind}"), name.clone())).or_insert(stands);
                }
                ("module", [name]) => {
                    self.order.push(stands.clone());
                    self.modules.entry(name.clone()).or_insert(stands);
                }
                _ => {}
            }
        }
    }
}
