//! `lock`: the digests of a recipe's base, written down.

use std::path::PathBuf;
use std::process::ExitCode;

use dockless::image::base::choose_anew;
use dockless::image::lock::{Change, Lock, LockedBase};
use dockless::image::recipe::{Base, Recipe};
use dockless::oci::digest::Digest;
use dockless::oci::platform::Platform;
use serde::Serialize;

use super::args::lock as args;
use super::build::{recipe_path, wrong};
use super::context::Context;
use super::failure::Failure;
use super::image;
use super::report::document::VERSION;

#[derive(Serialize)]
struct Locked<'a> {
    version: u32,
    path: PathBuf,
    base: &'a LockedBase,
    changes: Vec<Change>,
}

/// Runs `dockless lock`.
pub fn run(args: &args::Lock, context: &Context) -> Result<ExitCode, Failure> {
    let path = recipe_path(args.recipe.as_deref());
    let recipe = Recipe::load(path).map_err(wrong)?;
    let before = Lock::load(path);
    let Base::Registry(reference) = &recipe.base.value else {
        return Err(Failure::new("the recipe's base is not in a registry: there is nothing to lock")
            .hint("a layout folder says what it holds, and scratch is the same for ever"));
    };
    // A file that is damaged is replaced, but is no answer to whether it would change.
    let before = match before {
        Err(_) if !args.check => Lock::none(path),
        before => before.map_err(wrong)?,
    };
    let platforms: Vec<Platform> = if args.platforms.is_empty() {
        recipe.platforms.iter().map(|platform| platform.value.clone()).collect()
    } else {
        args.platforms.clone()
    };
    let network = image::network(context, &args.registry)?;
    let base = choose_anew(reference, &platforms, &network.registries())
        .map_err(|error| wrong(error.or_at(recipe.base.place.clone())))?;
    let changes = before.changes(&base);
    let same = before.base.as_ref() == Some(&base);
    let file = before.path.display().to_string();
    if !args.check && !same {
        let lock = Lock { path: before.path.clone(), base: Some(base.clone()) };
        lock.write().map_err(|error| Failure::new(error).during(format!("cannot write {file}")))?;
    }
    if context.output.json {
        context.json(&Locked { version: VERSION, path: before.path, base: &base, changes })?;
    } else if args.check {
        let shown = |digest: Option<Digest>| digest.map_or_else(|| "nothing".into(), |digest| digest.to_string());
        for Change { platform, from, to } in &changes {
            context.result(format!("{platform} {} -> {}", shown(*from), shown(*to)))?;
        }
    } else {
        for (platform, digest) in &base.platforms {
            context.result(format!("{platform} {}", reference.at(*digest)))?;
        }
    }
    context.say(match (args.check, same) {
        (_, true) => format!("{file} is as {reference} is now"),
        (true, false) => format!("{file} would change: `dockless lock` writes it"),
        (false, false) => format!("{file} is written: commit it"),
    });
    Ok(if args.check && !same { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
