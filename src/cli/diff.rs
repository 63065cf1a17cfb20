//! `diff`: what differs between two images, file by file.

use std::process::ExitCode;

use dockless::image::diff::{
    Aspect, Difference, FileDifference, LayerDifference, LayerOf, PlatformDifference, Setting,
};
use dockless::image::diff::{Side, Standing, difference};
use dockless::oci::digest::Digest;
use serde::Serialize;

use super::args::Diff;
use super::context::Context;
use super::failure::Failure;
use super::image;
use super::report::document::VERSION;
use super::text::{printable, size};
use super::verify::threads;

#[derive(Serialize)]
struct DiffReport {
    version: u32,
    same: bool,
    a: Named,
    b: Named,
    #[serde(flatten)]
    difference: Difference,
}

#[derive(Serialize)]
struct Named {
    image: String,
    digest: Digest,
}

/// The longest value that is shown in a line.
const LONGEST: usize = 100;

/// Runs `dockless diff`.
pub fn run(args: &Diff, context: &Context) -> Result<ExitCode, Failure> {
    let (a, _network_a) = image::open(&args.a, context, &args.registry)?;
    let (b, _network_b) = image::open(&args.b, context, &args.registry)?;
    let side_a = Side { source: a.source.as_ref(), top: &a.top };
    let side_b = Side { source: b.source.as_ref(), top: &b.top };
    let difference = difference(side_a, side_b, &args.platforms, threads(), context.progress.as_ref())
        .map_err(|error| Failure::new(error).during("cannot compare the images"))?;
    let same = difference.is_none();
    let named = |image: &str, digest| Named { image: image.to_owned(), digest };
    let report = DiffReport {
        version: VERSION,
        same,
        a: named(&args.a, a.top.digest),
        b: named(&args.b, b.top.digest),
        difference,
    };
    if context.output.json {
        context.json(&report)?;
    } else {
        show(&report, context)?;
    }
    Ok(ExitCode::from(u8::from(!same)))
}

fn show(report: &DiffReport, context: &Context) -> Result<(), Failure> {
    let (a, b) = (&report.a, &report.b);
    if a.digest == b.digest {
        return context.result(format!("same: {}", a.digest));
    }
    context.result(format!("a  {}  {}", a.digest, printable(&a.image)))?;
    context.result(format!("b  {}  {}", b.digest, printable(&b.image)))?;
    let difference = &report.difference;
    for setting in &difference.settings {
        context.result(format!("  {}", shown_setting(setting)))?;
    }
    for (name, only) in [("a", &difference.only_a), ("b", &difference.only_b)] {
        for platform in only {
            context.result(format!("\n{}: only in {name}", printable(platform)))?;
        }
    }
    for platform in &difference.platforms {
        show_platform(platform, context)?;
    }
    Ok(())
}

fn show_platform(platform: &PlatformDifference, context: &Context) -> Result<(), Failure> {
    let name = printable(&platform.platform);
    if platform.a == platform.b {
        return context.result(format!("\n{name}: same, {}", platform.a));
    }
    context.result(format!("\n{name}: differs"))?;
    for setting in &platform.settings {
        context.result(format!("  {}", shown_setting(setting)))?;
    }
    for layer in &platform.layers {
        context.result(format!("  {}", shown_layer(layer)))?;
    }
    // A build at another time touches each file: that many lines hide the one that matters.
    let is_time = |file: &&FileDifference| file.what == [Aspect::Time];
    let times = platform.files.iter().filter(is_time).count();
    let fold = times > 10 && !context.output.verbose;
    for file in platform.files.iter().filter(|file| !(fold && is_time(file))) {
        context.result(format!("  {}", shown_file(file)))?;
    }
    if fold {
        context.result(format!("  {times} more differ in their time alone (--verbose lists them)"))?;
    }
    let tars_differ = platform.layers.iter().any(|layer| !layer.is_compression());
    if tars_differ && platform.files.is_empty() {
        context.result("  no file differs: the layers have the same files in another order, form or division")?;
    }
    Ok(())
}

/// Values of the environment may be secrets; `--json` has them for who needs them.
fn shown_setting(setting: &Setting) -> String {
    let name = printable(&setting.name);
    let short = |value: &Option<String>| match value {
        Some(value) if value.len() > LONGEST => "...".to_owned(),
        Some(value) => printable(&value.replace('\n', " ")).into_owned(),
        None => "-".to_owned(),
    };
    match (&setting.a, &setting.b) {
        (None, _) if setting.name.starts_with("Env ") => format!("{name}: only in b"),
        (_, None) if setting.name.starts_with("Env ") => format!("{name}: only in a"),
        _ if setting.name.starts_with("Env ") || setting.name == "history" => format!("{name} differs"),
        (a, b) => format!("{name}: {} -> {}", short(a), short(b)),
    }
}

fn shown_layer(layer: &LayerDifference) -> String {
    let name = layer.name.as_deref().map_or_else(|| "layer".to_owned(), |name| format!("layer {}", printable(name)));
    let shown = |layer: &LayerOf| format!("{} ({})", layer.digest, size(layer.size));
    match (&layer.a, &layer.b) {
        (Some(a), Some(b)) if layer.is_compression() => {
            format!("{name}: the same tar, compressed in two ways: {} -> {}", shown(a), shown(b))
        }
        (Some(a), Some(b)) => format!("{name}: {} -> {}", shown(a), shown(b)),
        (Some(a), None) => format!("{name}: only in a: {}", shown(a)),
        (None, Some(b)) => format!("{name}: only in b: {}", shown(b)),
        (None, None) => name,
    }
}

fn shown_file(file: &FileDifference) -> String {
    let path = printable(&file.path.replace('\n', " ")).into_owned();
    let whole = |standing: &Standing| {
        let size = standing.size.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
        let target = standing.target.as_deref().map(|to| format!(" {}", printable(to))).unwrap_or_default();
        format!("{}{target}{size}, {} {}", standing.kind, standing.mode, standing.owner)
    };
    match (&file.a, &file.b) {
        (Some(a), Some(b)) => {
            let aspects = file.what.iter().map(|aspect| shown_aspect(*aspect, a, b));
            format!("~ {path}  {}", aspects.collect::<Vec<_>>().join(", "))
        }
        (Some(a), None) => format!("- {path}  {}", whole(a)),
        (None, Some(b)) => format!("+ {path}  {}", whole(b)),
        (None, None) => path,
    }
}

fn shown_aspect(aspect: Aspect, a: &Standing, b: &Standing) -> String {
    let target = |standing: &Standing| printable(standing.target.as_deref().unwrap_or_default()).into_owned();
    match aspect {
        Aspect::Kind => format!("{} -> {}", a.kind, b.kind),
        Aspect::Content => match (a.size, b.size) {
            (Some(a), Some(b)) if a != b => format!("content {} -> {}", exact(a), exact(b)),
            _ => "content".into(),
        },
        Aspect::Target => format!("target {} -> {}", target(a), target(b)),
        Aspect::Mode => format!("mode {} -> {}", a.mode, b.mode),
        Aspect::Owner => format!("owner {} -> {}", a.owner, b.owner),
        Aspect::Time => format!("time {} -> {}", a.mtime, b.mtime),
        Aspect::Xattrs => "xattrs".into(),
    }
}

/// A size whose difference must be seen.
fn exact(bytes: u64) -> String {
    format!("{bytes} B")
}
