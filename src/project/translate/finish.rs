//! From the stage that is asked for to the draft.

use std::collections::BTreeSet;

use super::super::draft::{Draft, Item, Kind, Layer, Piece};
use super::super::remark::shortened;
use super::Translator;
use super::stage::{Stage, below, joined, split};
use crate::oci::platform::Platform;

/// Console scripts, and the modules that do the same.
const MODULES: [(&str, &str); 22] = [
    ("alembic", "alembic"),
    ("celery", "celery"),
    ("daphne", "daphne"),
    ("django-admin", "django"),
    ("dramatiq", "dramatiq"),
    ("fastapi", "fastapi"),
    ("flask", "flask"),
    ("granian", "granian"),
    ("gunicorn", "gunicorn"),
    ("honcho", "honcho"),
    ("hypercorn", "hypercorn"),
    ("jupyter", "jupyter"),
    ("litestar", "litestar"),
    ("locust", "locust"),
    ("pytest", "pytest"),
    ("sanic", "sanic"),
    ("scrapy", "scrapy"),
    ("streamlit", "streamlit"),
    ("supervisord", "supervisor.supervisord"),
    ("taskiq", "taskiq"),
    ("uvicorn", "uvicorn"),
    ("waitress-serve", "waitress"),
];

impl Translator<'_> {
    pub(super) fn finish(&self, mut stage: Stage) -> Draft {
        let file = &self.file.source.file;
        let mut draft = Draft {
            head: vec![
                format!(
                    "Made by `dockless init` from {file}. Each layer says which line it comes from; read it before you build."
                ),
                "A `run` layer is a command on this machine that fills {out}; nothing of the image itself is ever run."
                    .into(),
            ],
            base: if stage.ground.reference.is_empty() { "scratch".into() } else { stage.ground.reference.clone() },
            platforms: self.platforms(&stage),
            ..Draft::default()
        };
        if let Some(mirror) = mirror(&draft.base) {
            draft.base_notes.push(format!("Docker Hub limits anonymous pulls; Amazon has the same image as {mirror}"));
        }
        modules_for_scripts(&mut stage);
        user(&mut stage);
        fewer_copies(&mut stage.pieces);
        if let Some(index) =
            stage.pieces.iter().position(|piece| matches!(piece, Piece::Layer(layer) if has_modules(layer)))
            && stage.pieces[index..].iter().any(|piece| matches!(piece, Piece::Layer(_)))
        {
            leave_out(&mut stage.pieces, "node_modules", |_| true);
        }
        // What uv installs goes into an environment beside the project, and the one of this machine must not lie in it.
        let filled: BTreeSet<String> = stage.pieces.iter().filter_map(Piece::filled).map(str::to_owned).collect();
        for folder in filled.iter().filter(|folder| folder.contains("/.venv/")) {
            leave_out(&mut stage.pieces, "/.venv", |dest| below(folder, &joined(dest, ".venv")).is_some());
        }
        draft.config = stage.config;
        draft.pieces = stage.pieces;
        if draft.base == "scratch" && !draft.pieces.iter().any(|piece| matches!(piece, Piece::Layer(_))) {
            draft.head.push("No layer came of it: see the comments below.".into());
        }
        draft
    }

    /// The platform that the Dockerfile's `FROM` states, else both.
    fn platforms(&self, _stage: &Stage) -> Vec<String> {
        let target = self.target().unwrap_or_default();
        let stated = self.stages.get(target).and_then(|source| source.platform.clone());
        match stated.and_then(|platform| platform.parse::<Platform>().ok()) {
            Some(platform) => vec![platform.to_string()],
            None => vec!["linux/amd64".into(), "linux/arm64".into()],
        }
    }
}

/// Commands that pip's scripts would be: those name the Python of this machine, so a module is started instead.
fn modules_for_scripts(stage: &mut Stage) {
    let Some((folder, _)) = stage.python.clone() else { return };
    let usual = stage.ground.python().map(|version| format!("/usr/local/lib/python{version}/site-packages"));
    if usual.as_deref() != Some(&*folder) {
        let folder = folder.replace("{{", "{").replace("}}", "}");
        let path = match stage.config.env.get("PYTHONPATH").filter(|path| !path.is_empty()) {
            Some(path) if path.split(':').any(|one| one == folder) => path.clone(),
            Some(path) => format!("{folder}:{path}"),
            None => folder,
        };
        stage.config.env.insert("PYTHONPATH".into(), path);
    }
    let mut told = Vec::new();
    let script = stage.config.entrypoint.iter().chain(&stage.config.cmd).find_map(|words| words.first().cloned());
    if let Some(script) = script.filter(|script| script.strip_suffix(".sh").is_some()) {
        let script = shortened(&script, 60);
        let note = format!("In {script} write python3 -m gunicorn and its kind: scripts of pip's are not on the PATH.");
        stage.config.notes.push(note);
    }
    for words in [&mut stage.config.entrypoint, &mut stage.config.cmd].into_iter().flatten() {
        if words.first().is_some_and(|word| word == "uv") && words.get(1).is_some_and(|word| word == "run") {
            words.drain(..2);
            while words.first().is_some_and(|word| word.starts_with("--")) {
                words.remove(0);
            }
        }
        let shell = words.iter().position(|word| matches!(word.as_str(), "-c" | "-ec" | "-lc")).map(|at| at + 1);
        if let Some(line) = shell.and_then(|at| words.get_mut(at)) {
            let start = line.strip_prefix("exec ").map_or(0, |_| 5);
            let end = line[start..].find(char::is_whitespace).map_or(line.len(), |length| start + length);
            if let Some(module) = module(&line[start..end]) {
                told.push(line[start..end].to_owned());
                line.replace_range(start..end, &format!("python3 -m {module}"));
            }
        } else if let Some(module) = words.first().and_then(|word| module(word)) {
            told.push(words[0].clone());
            words.splice(..1, ["python3".into(), "-m".into(), module.into()]);
        }
    }
    for script in told {
        stage.config.notes.push(format!(
            "{} is a script of pip's, which names the Python of the machine that made it; the module does the same.",
            shortened(&script, 60)
        ));
    }
}

/// The user by number, where it has no account in the image.
fn user(stage: &mut Stage) {
    let Some(user) = stage.user.take() else { return };
    let (name, group) = user.split_once(':').map_or((user.as_str(), None), |(name, group)| (name, Some(group)));
    let added = stage.accounts.contains_key(name) || group.is_some_and(|group| stage.groups.contains_key(group));
    if let Some(owner) = stage.owner(&user).filter(|_| added) {
        let note = format!("{} has no account in the image, and needs none: {owner}", shortened(&user, 60));
        stage.config.notes.push(note);
        stage.config.user = Some(owner);
        return;
    }
    stage.config.user = Some(user);
}

fn module(script: &str) -> Option<&'static str> {
    let folder = split(script).0;
    if !(folder.is_empty() || folder.ends_with("/bin")) {
        return None;
    }
    let name = split(script).1;
    MODULES.iter().find(|(known, _)| *known == name).map(|(_, module)| *module)
}

/// Where Amazon's public registry has an official image of Docker Hub.
fn mirror(reference: &str) -> Option<String> {
    let plain = reference.strip_prefix("docker.io/").unwrap_or(reference);
    let plain = plain.strip_prefix("library/").unwrap_or(plain);
    (plain != "scratch" && !plain.contains('/')).then(|| format!("public.ecr.aws/docker/library/{plain}"))
}

/// Takes out items that the copy of the whole folder brings as well: Docker's cache has use for them, a recipe has not.
fn fewer_copies(pieces: &mut Vec<Piece>) {
    let whole = pieces.iter().enumerate().rev().find_map(|(index, piece)| match piece {
        Piece::Layer(Layer { kind: Kind::Copy(items), .. }) => {
            items.iter().find(|item| item.src == ".").map(|item| (index, item.dest.clone()))
        }
        _ => None,
    });
    let Some((last, dest)) = whole else { return };
    let again = |item: &Item| {
        // Owner and mode of the later copy count, as they do in Docker.
        let same = item.exclude.is_empty();
        let place = match item.dest.strip_suffix('/') {
            Some(folder) if item.src.contains(['*', '?', '[']) => {
                let (above, _) = split(&item.src);
                return same && folder == joined(&dest, above.trim_start_matches('/'));
            }
            Some(folder) => joined(folder, split(&item.src).1),
            None => item.dest.clone(),
        };
        same && below(&place, &dest).is_some_and(|rest| rest == item.src)
    };
    let mut dropped = Vec::new();
    for piece in &mut pieces[..last] {
        if let Piece::Layer(Layer { kind: Kind::Copy(items), notes, .. }) = piece {
            items.retain(|item| !again(item));
            if items.is_empty() {
                dropped.append(notes);
            }
        }
    }
    if let Some(Piece::Layer(layer)) = pieces.get_mut(last)
        && !dropped.is_empty()
    {
        layer.notes.push("This copies as well:".into());
        layer.notes.append(&mut dropped);
    }
    pieces.retain(|piece| !matches!(piece, Piece::Layer(Layer { kind: Kind::Copy(items), .. }) if items.is_empty()));
}

fn has_modules(layer: &Layer) -> bool {
    matches!(&layer.kind, Kind::Run(run) if layer.name == "dependencies" && run.command.contains("package.json"))
}

/// Packages of this machine must not lie on those of the target: no copy of the whole project brings them there.
fn leave_out(pieces: &mut [Piece], what: &str, there: impl Fn(&str) -> bool) {
    for piece in pieces {
        let Piece::Layer(Layer { kind: Kind::Copy(items), .. }) = piece else { continue };
        for item in items.iter_mut().filter(|item| item.src == "." && there(&item.dest)) {
            item.exclude.push(what.into());
        }
    }
}
