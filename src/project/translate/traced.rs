//! `COPY --from=STAGE`: where the files of another stage come from.

use super::super::dockerfile::Instruction;
use super::super::draft::{Item, Kind, Layer, Run};
use super::super::remark::shortened;
use super::copied::{Manner, quoted_template};
use super::stage::{Origin, Stage, What, absolute, below, joined, split};
use super::{Translator, command};
use crate::image::recipe::place::RecipeError;
use crate::layer::pattern::glob;

/// Folders that builds make, so that one of this name in the project is an older build's.
const MADE: [&str; 11] =
    ["dist", "build", "out", ".next", ".output", "target", "release", "_site", "publish", "standalone", "browser"];

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
                any |= self.place(stage, instruction, (&origin, &rest), &path, is_folder, (&dest, into), manner);
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
        (origin, rest): (&Origin, &str),
        path: &str,
        is_folder: bool,
        (dest, into): To<'_>,
        manner: &Manner,
    ) -> bool {
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
                let command = format!("{before}{{out}}/{}{behind}", quoted_template(file));
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
                let from = quoted_template(&local).replace("'*'", "*");
                let last = split(&local).1;
                let is_file = elsewhere.is_some() || last.trim_start_matches('.').contains(['.', '*']);
                let known_folder = is_folder || MADE.contains(&last) || rest.is_empty();
                let (copy, to) = if is_file && !is_folder {
                    let to = if last.contains('*') && into { String::new() } else { quoted_template(file) };
                    (
                        format!(
                            "cp {} {{out}}/{to}",
                            if last.contains('*') { local.replace(' ', "\\ ") } else { from }
                        ),
                        folder,
                    )
                } else if known_folder {
                    (format!("cp -R {from}/. {{out}}/"), dest)
                } else {
                    let to = quoted_template(file);
                    let both =
                        format!("if [ -d {from} ]; then cp -R {from}/. {{out}}/{to}/; else cp {from} {{out}}/{to}; fi");
                    (both, folder)
                };
                let to = if rest.is_empty() { joined(to, &local) } else { to.to_owned() };
                let copy =
                    copy.replace("then cp -R", &format!("then mkdir -p {{out}}/{} && cp -R", quoted_template(file)));
                let lines: Vec<String> = lines.iter().cloned().chain([copy]).collect();
                let run =
                    Run { command: command::script(&lines), inputs: Vec::new(), dest: to, owner: manner.owner.clone() };
                let layer = Layer { notes: notes.clone(), name: layer_name(last), kind: Kind::Run(run.clone()) };
                self.layer(stage, instruction, layer);
                let what = What::Layer { name: layer_name(last), run, below: "", notes: notes.clone() };
                Origin { dest: dest.to_owned(), what }
            }
            What::Wheels(_) => Origin { dest: dest.to_owned(), what: origin.what.clone() },
        };
        stage.origins.push(moved);
        true
    }
}

/// A layer's name made of a file's.
pub(super) fn layer_name(file: &str) -> String {
    let plain = file.replace("{arch}", "").replace("{machine}", "");
    let name: String = plain.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(40).collect();
    if name.is_empty() { "build".into() } else { name }
}
