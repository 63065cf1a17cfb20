//! What of the sources is left out, and by whom.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Rules, Source, within};
use crate::layer::pattern::Descent;
use crate::layer::scan::ScanError;

/// What has left something out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// The project's `.dockerignore`.
    Ignored,
    /// The `exclude` of the source.
    Excluded,
}

impl LeftOut {
    /// What it is called, and how something is taken back there.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Ignored => (".dockerignore", "take it back there with a line that begins with !"),
            Self::Excluded => ("exclude", "take it back there with a pattern that begins with !"),
        }
    }

    /// The error of a source of which nothing is left.
    pub(super) fn whole(self, source: &str, what: &str) -> ScanError {
        let (by, repair) = self.words();
        ScanError::Name { path: source.into(), reason: format!("{what} is left out by {by}; {repair}") }
    }
}

/// What decides about the paths of the sources, one after another.
pub(super) struct Choice<'a> {
    /// The `.dockerignore`, and its folder.
    ignore: Option<(&'a Path, Descent<'a>)>,
    /// The `exclude` of the source that is copied.
    exclude: Option<Descent<'a>>,
}

impl<'a> Choice<'a> {
    pub(super) fn new(rules: &Rules<'a>) -> Self {
        Self { ignore: rules.ignore.map(|(folder, patterns)| (folder, patterns.descent())), exclude: None }
    }

    /// Goes on to the next source.
    pub(super) fn next(&mut self, source: &Source<'a>) {
        self.exclude = Some(source.exclude.descent());
    }

    /// By what a path is left out. `name` is how `exclude` knows it.
    pub(super) fn leaves(&mut self, name: &[u8], path: &Path) -> Option<LeftOut> {
        let is_ignored = self.ignore.as_mut().is_some_and(|(folder, patterns)| {
            within(path, folder).is_some_and(|path| patterns.excludes(path.as_os_str().as_bytes()))
        });
        if is_ignored {
            return Some(LeftOut::Ignored);
        }
        self.exclude.as_mut().is_some_and(|patterns| patterns.excludes(name)).then_some(LeftOut::Excluded)
    }

    /// Whether something below a folder that is left out is taken back: by each that leaves it out.
    pub(super) fn may_return(&mut self, name: &[u8], path: &Path) -> bool {
        self.exclude.as_mut().is_none_or(|patterns| patterns.may_reinclude_below(name))
            && self.ignore.as_mut().is_none_or(|(folder, patterns)| {
                within(path, folder).is_none_or(|path| patterns.may_reinclude_below(path.as_os_str().as_bytes()))
            })
    }
}
