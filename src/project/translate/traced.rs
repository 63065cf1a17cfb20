//! `COPY --from=STAGE`: where the files of another stage come from.

use super::super::dockerfile::Instruction;
use super::super::draft::{Item, Kind, Layer, Piece, Run};
use super::super::remark::shortened;
use super::super::shell::{from_template, glob_from_template};
use super::Translator;
use super::copied::Manner;
use super::stage::{Origin, Stage, What, absolute, below, joined, split};
use super::taken::{How, Share, Taken};
use crate::image::recipe::place::RecipeError;
use crate::layer::pattern::glob;

/// Folders that builds make, so that one of this name in the project is an older build's.
const MADE: [&str; 11] =
    ["dist", "build", "out", ".next", ".output", "target", "release", "_site", "publish", "standalone", "browser"];

/// Something of a stage that is copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    /// What puts it there.
    pub(super) origin: &'a Origin,
    /// What is left of the path below that.
    pub(super) rest: &'a str,
    /// The path that is asked for.
    pub(super) path: &'a str,
    /// Whether that is written as a folder.
    pub(super) is_folder: bool,
}

/// Where something goes: a path, and whether files go into it.
type To<'a> = (&'a str, bool);

impl Translator<'_> {
    pub(super) fn copy_from(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        other: usize,
        sources: &[String],
        (dest, into): To<'_>,
        manner: &Manner,
    ) -> Result<(), RecipeError> {
        // Taken out and put back: translating needs all of the translator.
        let from = self.done.remove(&other).expect("a stage stands before those that copy from it");
        for source in sources {
            let Some(source) = self.value(stage, instruction, source)? else { continue };
            let path = absolute("/", source.as_template());
            let is_folder = source.as_template().ends_with(['/', '.']);
            self.spend(instruction, from.origins.len() + 1)?;
            let found = self.trace(&from, &path);
            let mut any = false;
            for (origin, rest) in found {
                // What a stage of its own installed is needed by a build in this one.
                if matches!(origin.what, What::Layer { below: "node_modules", .. }) && stage.prepared.is_empty() {
                    stage.prepared.clone_from(&from.prepared);
                    stage.node.clone_from(&from.node);
                }
                // Of a folder the content is meant; what lies in it keeps its way from there.
                let (dest, into) = match below(&origin.dest, &path) {
                    Some(way) if !way.is_empty() => (joined(dest, way), false),
                    _ => (dest.to_owned(), into),
                };
                let found = Found { origin: &origin, rest: &rest, path: &path, is_folder };
                any |= self.place(stage, instruction, &found, (&dest, into), manner);
            }
            if !any && from.python.is_some() && path.ends_with("/bin") {
                let message =
                    "programs that pip makes name the Python of the machine that made them, so they are left out";
                self.note(instruction, message, Some("start them as modules: python3 -m gunicorn"));
                any = true;
            }
            if !any {
                let message = format!("nothing that is understood puts {} into that stage", shortened(&path, 80));
                let help = "make it on this machine with a `run` layer, or before the build, and copy it";
                self.cannot(stage, instruction, message, Some(help));
            }
        }
        stage.folders.insert(if into { dest.to_owned() } else { split(dest).0.to_owned() });
        if stage.python.is_none()
            && let Some((folder, _)) = &from.python
        {
            // Relocated by the copy, if it was copied at all: `place` says where.
            let folder = folder.clone();
            if let Some(moved) = sources.iter().find_map(|source| {
                let rest = below(&folder, absolute("/", source).as_str())?.to_owned();
                Some(joined(dest, &rest))
            }) {
                stage.python = Some((moved, usize::MAX));
            }
        }
        self.done.insert(other, from);
        Ok(())
    }

    /// What puts something to a path, with what is left of the path below it; and what lies below the path.
    fn trace(&self, from: &Stage, path: &str) -> Vec<(Origin, String)> {
        let covering = |wanted: fn(&What) -> bool| {
            let mut origins = from.origins.iter().rev().filter(|origin| wanted(&origin.what));
            origins.find_map(|origin| Some((origin.clone(), below(path, &origin.dest)?.to_owned())))
        };
        let host = covering(|what| matches!(what, What::Host { .. }));
        let build = covering(|what| matches!(what, What::Build { .. }));
        let made = covering(|what| !matches!(what, What::Host { .. } | What::Build { .. }))
            .filter(|(_, rest)| rest.is_empty());
        let mut found = Vec::new();
        if let Some(made) = made {
            found.push(made);
        } else {
            let older = |src: &str, rest: &str| {
                let known = self.folder.path().is_none() || self.folder.has(&joined(src, rest));
                let first = rest.split('/').next().unwrap_or_default();
                !known || MADE.contains(&first) || MADE.contains(&split(rest).1)
            };
            match (host, build) {
                (Some((Origin { what: What::Host { src, .. }, .. }, rest)), Some(build))
                    if !build.1.is_empty() && older(&src, &rest) =>
                {
                    found.push(build);
                }
                (Some(host), build) => {
                    found.push(host);
                    found.extend(build.filter(|(_, rest)| rest.is_empty()));
                }
                (None, Some(build)) => found.push(build),
                (None, None) => {}
            }
        }
        let inside =
            from.origins.iter().filter(|origin| below(&origin.dest, path).is_some_and(|rest| !rest.is_empty()));
        // Of two with one destination the later counts.
        let mut kept: Vec<&Origin> = Vec::new();
        for origin in inside.rev().take(200) {
            let hidden = kept.iter().any(|later| {
                later.dest == origin.dest
                    || matches!((&later.what, &origin.what), (What::Host { .. }, What::Host { .. }))
                        && below(&origin.dest, &later.dest).is_some()
            });
            let whole = found.iter().any(|(one, rest)| {
                rest.is_empty() && matches!(one.what, What::Host { .. }) && matches!(origin.what, What::Host { .. })
            });
            if !hidden && !whole {
                kept.push(origin);
            }
        }
        found.extend(kept.into_iter().rev().map(|origin| (origin.clone(), String::new())));
        found
    }

    /// Puts what was found into the stage; false where it cannot be.
    pub(super) fn place(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        found: &Found<'_>,
        (dest, into): To<'_>,
        manner: &Manner,
    ) -> bool {
        let Found { origin, rest, path, is_folder } = *found;
        let name = split(if rest.is_empty() { &origin.dest } else { path }).1;
        let (folder, file) = if into { (dest, name) } else { split(dest) };
        let whole = joined(folder, file);
        let moved = match &origin.what {
            What::Host { src, owner, mode, exclude } => {
                let src = joined(src, rest);
                let exclude = if rest.is_empty() { exclude.clone() } else { Vec::new() };
                let is_folder = is_folder
                    || src == "."
                    || self.folder.has_folder(&src)
                    || !self.folder.has(&src) && !split(&src).1.contains(['.', '*']);
                let at = if is_folder { dest.to_owned() } else { whole.clone() };
                let item = Item {
                    src: src.clone(),
                    dest: if glob::is_glob(&src) { format!("{dest}/") } else { at.clone() },
                    exclude: exclude.clone(),
                    owner: manner.owner.clone().or_else(|| owner.clone()),
                    mode: manner.mode.clone().or_else(|| mode.clone()),
                };
                let what = What::Host { src, owner: item.owner.clone(), mode: item.mode.clone(), exclude };
                self.add_items(stage, instruction, vec![item]);
                Origin { dest: at, what }
            }
            What::Layer { name, run, below: part, notes } => {
                let dest = match dest.strip_suffix(part) {
                    Some(folder) if !part.is_empty() => folder.trim_end_matches('/'),
                    Some(_) => dest,
                    None => return false,
                };
                let dest = if dest.is_empty() { "/" } else { dest };
                let run = Run { dest: dest.into(), owner: manner.owner.clone(), ..run.clone() };
                let layer = Layer { notes: notes.clone(), name: name.clone(), kind: Kind::Run(run) };
                self.layer(stage, instruction, layer);
                Origin { dest: joined(dest, part), what: origin.what.clone() }
            }
            What::Program { before, behind, notes } => {
                let command = format!("{before}{{out}}/{}{behind}", from_template(file));
                let run = Run { command, inputs: Vec::new(), dest: folder.into(), owner: manner.owner.clone() };
                let layer = Layer { notes: notes.clone(), name: layer_name(file), kind: Kind::Run(run) };
                self.layer(stage, instruction, layer);
                Origin { dest: whole, what: origin.what.clone() }
            }
            What::Build { lines, elsewhere, notes, .. } => {
                let mut local = rest.to_owned();
                if local.is_empty() {
                    local = self.output_folder().into();
                }
                if let Some((there, here)) = elsewhere
                    && let Some(found) = local.find(there)
                {
                    // A target of the Dockerfile's own stands between the two: target/TRIPLE/release.
                    local = format!("{here}{}", &local[found + there.len()..]);
                } else if elsewhere.is_some() && local.contains("/release/") {
                    local = format!("target/{{machine}}-unknown-linux-musl/release/{}", split(&local).1);
                }
                let last = split(&local).1;
                let is_file = elsewhere.is_some() || last.trim_start_matches('.').contains(['.', '*']);
                let known_folder = is_folder || MADE.contains(&last) || rest.is_empty();
                let many = last.contains('*');
                let from = if many { glob_from_template(&local) } else { from_template(&local) };
                let taken = if is_file && !is_folder {
                    let name = if many && into { String::new() } else { from_template(file) };
                    Taken { from, how: How::File(name), dest: folder.into() }
                } else if known_folder {
                    let dest = if rest.is_empty() { joined(dest, &local) } else { dest.to_owned() };
                    Taken { from, how: How::Content, dest }
                } else {
                    Taken { from, how: How::Either(from_template(file)), dest: folder.into() }
                };
                let layer = Layer { notes: notes.clone(), name: layer_name(last), kind: Kind::Run(Run::default()) };
                let run = self.take(stage, instruction, lines, taken, manner, layer);
                let what = What::Layer { name: layer_name(last), run, below: "", notes: notes.clone() };
                Origin { dest: dest.to_owned(), what }
            }
            What::Wheels(_) => Origin { dest: dest.to_owned(), what: origin.what.clone() },
        };
        stage.origins.push(moved);
        true
    }
}

impl Translator<'_> {
    /// Takes something out of a build: into the layer of that build where there is one, else into one of its own.
    fn take(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        lines: &[String],
        taken: Taken,
        manner: &Manner,
        layer: Layer,
    ) -> Run {
        let origin = self.origin(instruction);
        let mut shares = stage.shares.iter_mut().rev().take(8);
        if let Some(share) = shares.find(|share| share.takes(lines, manner.owner.as_ref())) {
            share.taken.push(taken);
            if let Some(Piece::Layer(before)) = stage.pieces.get_mut(share.piece) {
                before.notes.push(origin);
                before.kind = Kind::Run(share.run());
            }
            share.run()
        } else {
            let (piece, owner) = (stage.pieces.len(), manner.owner.clone());
            let share = Share { lines: lines.to_vec(), owner, piece, taken: vec![taken] };
            let run = share.run();
            self.layer(stage, instruction, Layer { kind: Kind::Run(run.clone()), ..layer });
            stage.shares.push(share);
            run
        }
    }
}

/// A layer's name made of a file's.
pub(super) fn layer_name(file: &str) -> String {
    let plain = file.replace("{arch}", "").replace("{machine}", "");
    let name: String = plain.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(40).collect();
    if name.is_empty() { "build".into() } else { name }
}
