//! What is taken out of a build in the project's folder. However much it is, the build runs once: layers are made side
//! by side, and two builds in one folder would disturb each other.

use super::super::draft::Run;
use super::super::shell::from_template;
use super::command::script;
use super::stage::below;

/// More than this of one build is another layer.
const MOST: usize = 32;

/// One thing that is taken.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    /// What, as a shell must be given it.
    pub(super) from: String,
    /// Which kind of thing it is.
    pub(super) how: How,
    /// The folder that it goes into.
    pub(super) dest: String,
}

/// What kind of thing is taken.
#[derive(Debug, Clone)]
pub(super) enum How {
    /// A folder's content.
    Content,
    /// A file, which gets this name; its own where it is empty.
    File(String),
    /// A file or a folder of this name: only the build knows.
    Either(String),
}

/// A layer of what a build makes.
#[derive(Debug, Clone)]
pub(super) struct Share {
    /// The build.
    pub(super) lines: Vec<String>,
    /// Who owns what is taken.
    pub(super) owner: Option<String>,
    /// The piece that holds the layer.
    pub(super) piece: usize,
    /// What is taken.
    pub(super) taken: Vec<Taken>,
}

impl Share {
    /// Whether something of this build, for this owner, belongs to the layer.
    pub(super) fn takes(&self, lines: &[String], owner: Option<&String>) -> bool {
        self.taken.len() < MOST && self.owner.as_ref() == owner && self.lines == lines
    }

    /// The layer.
    pub(super) fn run(&self) -> Run {
        // Not from the root down: folders that the base has keep their owners only if the layer does not name them.
        let dest = self.taken.iter().skip(1).fold(self.taken[0].dest.clone(), |all, one| common(&all, &one.dest));
        let mut lines = self.lines.clone();
        for Taken { from, how, dest: folder } in &self.taken {
            let way = below(folder, &dest).unwrap_or_default();
            let out = if way.is_empty() { "{out}".to_owned() } else { format!("{{out}}/{}", from_template(way)) };
            if !way.is_empty() {
                lines.push(format!("mkdir -p {out}"));
            }
            lines.push(match how {
                How::Content => format!("cp -R {from}/. {out}/"),
                How::File(name) => format!("cp {from} {out}/{name}"),
                How::Either(name) => format!(
                    "if [ -d {from} ]; then mkdir -p {out}/{name} && cp -R {from}/. {out}/{name}/; else cp {from} {out}/{name}; fi"
                ),
            });
        }
        Run { command: script(&lines), inputs: Vec::new(), dest, owner: self.owner.clone() }
    }
}

/// The folder that two have in common.
fn common(a: &str, b: &str) -> String {
    let names = |path: &str| path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (a, b) = (names(a), names(b));
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    format!("/{}", a[..same].join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_build_fills_several_folders() {
        let taken = |from: &str, how, dest: &str| Taken { from: from.into(), how, dest: dest.into() };
        let share = Share {
            lines: vec!["make".into()],
            owner: None,
            piece: 0,
            taken: vec![
                taken("dist", How::Content, "/srv/app/static"),
                taken("bin/x", How::File("x".into()), "/srv/app"),
            ],
        };
        let run = share.run();
        assert_eq!(run.dest, "/srv/app");
        assert_eq!(run.command, "make && mkdir -p {out}/static && cp -R dist/. {out}/static/ && cp bin/x {out}/x");
        assert_eq!(common("/usr/bin", "/etc"), "/");
    }
}
