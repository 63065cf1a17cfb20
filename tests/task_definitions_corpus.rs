//! The readers against files that nobody here wrote.

mod corpus;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use dockless::ecs::load::load;
use dockless::ecs::target::{Given, Target, TargetJson, TargetOptions};
use serde_json::Value;

/// How a kind of case is judged.
#[derive(Clone, Copy, PartialEq)]
enum Judged {
    /// Every field of every definition, in order.
    Exactly,
    /// The architecture of every definition; containers, images and ports as a share of all.
    ByArchitecture,
    /// It must be refused.
    Refused,
}

/// The kinds that are read, by the folder that holds them. Templates are tried by `tests/cloudformation`.
const KINDS: &[(&str, Judged)] = &[
    ("json", Judged::Exactly),
    ("other", Judged::Refused),
    ("tf", Judged::ByArchitecture),
    ("plan", Judged::ByArchitecture),
];

/// How many of a hundred containers must be right, with image and ports.
const SHARE: usize = 97;

#[derive(Default)]
struct Score {
    cases: usize,
    right: usize,
    containers: (usize, usize),
    slowest: (u128, String),
}

#[test]
#[ignore = "needs DOCKLESS_CORPUS"]
fn agrees_with_the_corpus() {
    let (folder, expected) = corpus::task_definitions();
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    let (mut wrong, mut short) = (Vec::new(), Vec::new());
    for (path, case) in expected.as_object().expect("an object") {
        let kind = path.split('/').next().unwrap_or_default();
        let Some((kind, judged)) = KINDS.iter().find(|(name, _)| *name == kind) else { continue };
        let source = folder.join(path);
        // A template among what is refused elsewhere.
        if !source.exists() || path.contains("cloudformation-conversion") {
            continue;
        }
        let score = scores.entry(kind).or_default();
        score.cases += 1;
        let options = options(&source);
        let start = Instant::now();
        let loaded = load(&source.display().to_string(), None, &options);
        let took = start.elapsed().as_millis();
        if took >= score.slowest.0 {
            score.slowest = (took, path.clone());
        }
        let said = case["note"].as_str().unwrap_or_default();
        let refusal = *judged == Judged::Refused || said.starts_with("not JSON") || said.starts_with("NOT terraform");
        let theirs: Vec<&Value> = case["task_definitions"].as_array().into_iter().flatten().collect();
        match (loaded, refusal) {
            (Err(_), true) => score.right += 1,
            (Ok(_), true) => wrong.push(format!("{path}: read, but should be refused")),
            (Err(error), false) => wrong.push(format!("{path}: {error}")),
            (Ok(loaded), false) => {
                let ours: Vec<TargetJson> = loaded.targets.iter().map(Target::json).collect();
                let before = wrong.len();
                if *judged == Judged::Exactly {
                    exactly(path, &ours, &theirs, &mut wrong);
                } else {
                    for their in theirs {
                        let (right, all) = compare(path, &ours, their, &mut wrong, &mut short);
                        score.containers.0 += right;
                        score.containers.1 += all;
                    }
                }
                score.right += usize::from(wrong.len() == before);
            }
        }
    }
    for line in &short {
        note(line);
    }
    for (kind, Score { cases, right, containers, slowest }) in &scores {
        note(&format!(
            "corpus {kind}: {right} of {cases} right, containers {} of {}; slowest {} ms ({})",
            containers.0, containers.1, slowest.0, slowest.1
        ));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (kind, Score { containers: (right, all), .. }) in scores {
        assert!(right * 100 >= SHARE * all, "{kind}: {right} of {all} containers");
    }
}

/// The values that a case keeps beside itself for its tests.
fn options(source: &Path) -> TargetOptions {
    let mut options = TargetOptions::default();
    if let Ok(entries) = source.read_dir() {
        let names = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let fixtures = names.filter(|path| path.to_string_lossy().ends_with(".tfvars"));
        options.variables.given = fixtures.map(|path| Given::File(path.display().to_string())).collect();
    }
    options
}

#[expect(clippy::print_stderr, reason = "a test that is skipped, and a score, are said aloud")]
fn note(text: &str) {
    eprintln!("{text}");
}

fn text(value: &Value) -> String {
    value.to_string().trim_matches('"').to_owned()
}

fn exactly(path: &str, ours: &[TargetJson], theirs: &[&Value], wrong: &mut Vec<String>) {
    let ours: Vec<Value> = ours
        .iter()
        .map(|target| {
            let ports = |c: &dockless::ecs::target::ContainerJson| -> Vec<String> {
                c.ports.iter().map(|port| text(&serde_json::to_value(port).expect("JSON"))).collect()
            };
            let containers: Vec<Value> =
                target.containers.iter().map(|c| serde_json::json!([c.name, c.image, ports(c)])).collect();
            let TargetJson { family, architecture, operating_system, launch_types, .. } = target;
            serde_json::json!([family, architecture, operating_system, launch_types, containers])
        })
        .collect();
    let theirs: Vec<Value> = theirs.iter().map(|case| comparable(case)).collect();
    if ours != theirs {
        wrong.push(format!("{path}:\n  ours   {ours:?}\n  theirs {theirs:?}"));
    }
}

fn comparable(case: &Value) -> Value {
    let containers: Vec<Value> = case["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| {
            let ports: Vec<String> = c["ports"].as_array().into_iter().flatten().map(text).collect();
            serde_json::json!([c["name"], c["image"], ports])
        })
        .collect();
    let compatibilities = if case["compat"].is_array() { case["compat"].clone() } else { serde_json::json!([]) };
    serde_json::json!([case["family"], case["arch"], case["os"], compatibilities, containers])
}

/// An address without keys: what is in parentheses or angle brackets of theirs is a remark.
fn plain(id: &str) -> String {
    id.split([' ', '(', '<'])
        .next()
        .unwrap_or(id)
        .split('[')
        .map(|part| part.split(']').next_back().unwrap_or(part))
        .collect()
}

/// The definition of ours that theirs means: by its address, else by its family, else the module that both begin with.
fn counterpart<'o>(ours: &'o [TargetJson], their: &Value) -> Option<&'o TargetJson> {
    let (id, family) = (text(&their["id"]), text(&their["family"]));
    let begins = |a: &str, b: &str| !b.is_empty() && a.starts_with(b);
    ours.iter()
        .find(|our| our.id == id)
        .or_else(|| ours.iter().find(|our| plain(&our.id) == plain(&id)))
        .or_else(|| ours.iter().find(|our| our.family == family))
        .or_else(|| ours.iter().find(|our| begins(&plain(&id), &our.id)))
        .or_else(|| ours.iter().find(|our| alike(&our.family, &family)))
        .or_else(|| ours.last().filter(|last| last.family == "UNRESOLVED"))
        .or_else(|| ours.first().filter(|_| ours.len() == 1))
}

/// How many containers of theirs are right, of how many.
fn compare(
    path: &str,
    ours: &[TargetJson],
    their: &Value,
    wrong: &mut Vec<String>,
    short: &mut Vec<String>,
) -> (usize, usize) {
    let id = text(&their["id"]);
    let containers: Vec<&Value> = their["containers"].as_array().into_iter().flatten().collect();
    let Some(our) = counterpart(ours, their) else {
        let ids: Vec<&String> = ours.iter().map(|our| &our.id).collect();
        wrong.push(format!("{path}: {id} was not found among {ids:?}"));
        return (0, containers.len());
    };
    for (what, ours, key) in [("architecture", &our.architecture, "arch"), ("system", &our.operating_system, "os")] {
        let theirs = text(&their[key]);
        // What follows the word is a remark.
        let theirs = theirs.split(' ').next().unwrap_or_default();
        let same = *ours == theirs || theirs.starts_with("UNRESOLVED") && ours == "UNRESOLVED";
        // A module that is not on disk: to leave open what only its source says is right as well.
        let open = ours == "UNRESOLVED" && our.id.rsplit('.').nth(1) == Some("module");
        if !same && !open {
            let source = our.architecture_source.as_deref().unwrap_or_default();
            wrong.push(format!("{path}: {id}: {what} {ours}, expected {theirs} ({source})"));
        }
    }
    if let Some(theirs) = their["compat"].as_array()
        && theirs.iter().all(|word| !text(word).contains(['$', '.']))
        && our.launch_types != theirs.iter().map(text).collect::<Vec<_>>()
    {
        short.push(format!("{path}: {id}: launch types {:?}, expected {theirs:?}", our.launch_types));
    }
    let mut right = 0;
    for container in &containers {
        let (name, image) = (text(&container["name"]), text(&container["image"]));
        let ports: Vec<String> = container["ports"].as_array().into_iter().flatten().map(text).collect();
        let same = our.containers.iter().find(|our| alike(&our.name, &name) && alike(&our.image, &image));
        let same_ports = same.is_some_and(|same| {
            let ours = same.ports.iter().map(|port| text(&serde_json::to_value(port).expect("JSON")));
            ports.is_empty() || ours.collect::<Vec<_>>() == ports
        });
        if same_ports {
            right += 1;
        } else {
            let ours: Vec<_> = our.containers.iter().map(|c| (&c.name, &c.image, &c.ports)).collect();
            short.push(format!("{path}: {id}: {name} {image} {ports:?}, found {ours:?}"));
        }
    }
    (right, containers.len())
}

/// Whether two texts are the same where both say something. An expression of theirs may be shortened by dots, and may
/// name a variable whose default we take.
fn alike(ours: &str, theirs: &str) -> bool {
    let mut known = Vec::new();
    let mut rest = theirs;
    while let Some((before, after)) = rest.split_once("${") {
        known.push(before);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    known.push(rest);
    let known: Vec<&str> = known.iter().flat_map(|part| part.split("..")).collect();
    let [first, .., last] = known.as_slice() else { return ours == theirs };
    let mut middle = ours;
    ours.starts_with(first)
        && ours.ends_with(last)
        && known.iter().all(|part| match middle.find(part) {
            Some(at) => {
                middle = &middle[at + part.len()..];
                true
            }
            None => false,
        })
}
