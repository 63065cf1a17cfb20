//! The rules together: facts of an image and targets in, findings and a verdict out.
//!
//! What concerns a target stands with the target: the platform that it asks for, and the process that ECS starts there.
//! What concerns the image whatever the target stands with the image: files of another machine that are not on the way
//! of a process, and the platforms that no target uses, whose errors are warnings then, since no target runs them.

use std::collections::{BTreeMap, BTreeSet};

use crate::ecs::target::{Asked, Target};
use crate::ecs::task_definition::{ContainerDefinition, CpuArchitecture, Location, Notation, OperatingSystem, Stated};
use crate::image::inspect::{Facts, Fit, ImageFacts, fit};
use crate::layer::contents::{Head, Kind};
use crate::oci::digest::Digest;
use crate::oci::platform::{Arch, Os, Platform};
use crate::oci::reference::Reference;

use super::allow::{Allow, Allowed};
use super::executable::Judge;
use super::finding::{Finding, Rule, Severity, TargetVerdict, Verdict, Verification};
use super::platforms::{choose, disagreement, is_image, missing};
use super::process::{Process, surroundings};
use super::scan::{self, Interpreter};
use super::{beside, reference, refused, runtime, secret, sidecar};

/// What the user says beside.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What is allowed.
    pub allow: Vec<Allow>,
    /// What other images of the tasks have, by their references as the container definitions state them.
    pub images: BTreeMap<String, Vec<Platform>>,
}

/// Whether an image runs on the targets; without a target, whether each of its platforms runs by itself.
pub fn verify(facts: &Facts, targets: &[Target], options: &Options) -> Verification {
    let (allowed, images) = (Allowed::new(&options.allow), &options.images);
    let mut pass = Pass { facts, allowed, images, used: BTreeMap::new() };
    let targets: Vec<TargetVerdict> = targets.iter().map(|target| pass.target(target)).collect();
    let mut findings = pass.images(!targets.is_empty());
    let verdict = match targets.split_first() {
        None => Verdict::of(&findings),
        Some((first, rest)) => rest.iter().fold(first.verdict, |verdict, target| verdict.and(target.verdict)),
    };
    findings.extend(pass.allowed.unused());
    Verification { version: 1, image: facts.name.clone(), digest: facts.top.digest, verdict, targets, findings }
}

/// What is wrong with an image whatever the target: on each of its platforms its word, its own entrypoint, its files.
pub fn check_image(facts: &Facts) -> Vec<Finding> {
    let (allowed, images) = (Allowed::new(&[]), &BTreeMap::new());
    Pass { facts, allowed, images, used: BTreeMap::new() }.images(false)
}

struct Pass<'a> {
    facts: &'a Facts,
    allowed: Allowed<'a>,
    images: &'a BTreeMap<String, Vec<Platform>>,
    /// The images that a target uses, and the files on the way of its processes.
    used: BTreeMap<Digest, BTreeSet<Box<[u8]>>>,
}

/// What one target wants on one platform.
struct Want<'a> {
    platform: &'a Platform,
    why: &'a str,
    by_default: bool,
    location: &'a Location,
    notation: Notation,
}

impl Pass<'_> {
    fn target(&mut self, target: &Target) -> TargetVerdict {
        let definition = &target.definition;
        let places = [definition.architecture.location(), definition.launch_types.location()];
        let location = places.into_iter().flatten().next().unwrap_or(&definition.location);
        let (mut findings, verdict) = match &target.asked {
            Asked::Platform { platform, why, by_default } => {
                let notation = definition.notation;
                let want = Want { platform, why, by_default: *by_default, location, notation };
                let mut findings = self.on_platform(target, &want);
                if *by_default {
                    findings.extend(self.allowed.filter(self.default_taken(&want).into_iter().collect()));
                }
                let verdict = Verdict::of(&findings);
                (findings, verdict)
            }
            Asked::Undetermined { why, help } => self.on_each(target, why, help, location),
        };
        let own = self.definition(target);
        let verdict = verdict.and(Verdict::of(&own));
        findings.extend(own);
        TargetVerdict { target: target.json(), verdict, findings }
    }

    /// What is to be said of the definition whatever its platform.
    fn definition(&self, target: &Target) -> Vec<Finding> {
        let (ours, note) = containers(self.facts, target);
        // Where no container is known to run the image, its reference is compared with none.
        let ours: Vec<&ContainerDefinition> = ours.into_iter().flatten().filter(|_| note.is_none()).collect();
        let mut findings = refused::refused(target);
        findings.extend(reference::references(self.facts, target, &ours));
        let others = target.definition.containers.iter().filter(|other| !ours.iter().any(|own| own.name == other.name));
        let known =
            others.filter_map(|other| Some((other.name.clone(), self.images.get(other.image.value()?)?.clone())));
        findings.extend(sidecar::sidecars(target, &known.collect()));
        self.allowed.filter(findings)
    }

    /// The architecture or the operating system is open: the image is judged on each that may be meant.
    fn on_each(&mut self, target: &Target, why: &str, help: &str, location: &Location) -> (Vec<Finding>, Verdict) {
        let mut sides = Vec::new();
        for (platform, aside) in possible(target) {
            let notation = target.definition.notation;
            let want = Want { platform: &platform, why: &aside, by_default: false, location, notation };
            let findings = self.on_platform(target, &want);
            sides.push((platform, Verdict::of(&findings), findings));
        }
        let on = |wanted: Verdict| {
            let names = sides.iter().filter(|side| side.1 == wanted).map(|side| side.0.to_string());
            names.collect::<Vec<_>>().join(" and ")
        };
        let runs_on_all = sides.iter().all(|side| side.1 == Verdict::Runs);
        let fails_on_all = sides.iter().all(|side| side.1 == Verdict::DoesNotRun);
        let (all, none) = match sides.len() {
            1 => ("there", "does not run there"),
            2 => ("on both", "runs on neither"),
            _ => ("on each", "runs on none"),
        };
        let rest = match (on(Verdict::Runs), on(Verdict::DoesNotRun)) {
            _ if runs_on_all => format!("the image runs {all}"),
            _ if fails_on_all => format!("the image {none}"),
            (runs, fails) if !runs.is_empty() && !fails.is_empty() => {
                format!("the image runs on {runs}, but not on {fails}")
            }
            (_, fails) if !fails.is_empty() => format!("the image does not run on {fails}"),
            _ => "what the image runs on is not known either".to_owned(),
        };
        let mut note = Finding::new(Rule::ArchitectureNotStated, Severity::Note, format!("{why}; {rest}")).help(help);
        note.location = Some(location.clone());
        if !runs_on_all && !fails_on_all {
            note.severity = Severity::Warning;
            note.undecided = true;
        }
        let allowed = self.allowed.covers(note.rule, None);
        let mut findings: Vec<Finding> = Vec::new();
        for mut finding in sides.into_iter().flat_map(|side| side.2) {
            finding.platform = match findings.iter_mut().find(|known| same(known, &finding)) {
                // Said of several, it is said once.
                Some(known) => {
                    known.platform = None;
                    continue;
                }
                None => finding.platform,
            };
            findings.push(finding);
        }
        let verdict = if fails_on_all {
            Verdict::DoesNotRun
        } else {
            // One side fails, and nobody says that it is the side: that is a warning.
            for finding in &mut findings {
                finding.severity = finding.severity.min(Severity::Warning);
            }
            if runs_on_all { Verdict::Runs } else { Verdict::Undetermined }
        };
        if !allowed {
            findings.insert(0, note);
        }
        (findings, verdict)
    }

    /// Nothing is stated, Fargate takes `X86_64`, and the image has no amd64. Where it has, nothing is wrong: most
    /// definitions are like that.
    fn default_taken(&self, want: &Want<'_>) -> Option<Finding> {
        let fits = choose(self.facts, want.platform).is_some_and(|image| image.platform().satisfies(want.platform));
        let message = format!("the task definition states no {}: {}", want.notation.architecture_key(), want.why);
        let mut finding = Finding::new(Rule::ArchitectureNotStated, Severity::Warning, message)
            .help(format!("state {}, or ARM64", want.notation.architecture(CpuArchitecture::X86_64)));
        finding.location = Some(want.location.clone());
        (!fits).then_some(finding)
    }

    fn on_platform(&mut self, target: &Target, want: &Want<'_>) -> Vec<Finding> {
        let findings = self.unfiltered(target, want);
        self.allowed.filter(findings)
    }

    fn unfiltered(&mut self, target: &Target, want: &Want<'_>) -> Vec<Finding> {
        let absent = || {
            let mut finding = missing(self.facts, want.platform, want.why, (want.by_default, want.notation));
            finding.location = Some(want.location.clone());
            finding
        };
        let Some(image) = choose(self.facts, want.platform) else { return vec![absent()] };
        let mut way = BTreeSet::new();
        let mut findings = Vec::new();
        if let Some(mut finding) = disagreement(image) {
            finding.location = Some(want.location.clone());
            findings.push(finding);
        }
        let own = image.platform();
        if want.platform.os == Os::Windows {
            self.used.entry(image.manifest.digest).or_default();
            if own.os != Os::Windows {
                findings.push(absent());
            }
            let message = "the task asks for Windows: only the platform is compared";
            let help = "if you know that the program starts there, say so: --allow windows-task";
            findings.push(Finding::new(Rule::WindowsTask, Severity::Note, message).undecided().help(help));
            return findings;
        }
        let (containers, note) = containers(self.facts, target);
        let lenient = note.is_some();
        let mut judged = Vec::new();
        for container in containers {
            let process = Process::of(image, container);
            let architecture = &want.platform.architecture;
            let mut judge = Judge::new(surroundings(image, container), &process, architecture, want.why);
            judge.findings.extend(runtime::refused(image, container, &judge.surroundings));
            judge.run();
            let interpreters = judge.visited.iter().filter_map(|path| Interpreter::of(path));
            let mut interpreters: BTreeSet<_> = interpreters.collect();
            if judge.by_script {
                interpreters.insert(Interpreter::Shell);
            }
            let roots = judge.module_roots("PYTHONPATH");
            for interpreter in interpreters {
                let known = &mut judge.visited;
                judge.findings.extend(scan::modules(image, architecture, interpreter, &roots, known, &self.allowed));
            }
            way.append(&mut judge.visited);
            if let Some(container) = container {
                judge.findings.extend(beside::asked(target, container, &judge.surroundings));
            }
            for mut finding in judge.findings {
                finding.platform = Some(want.platform.to_string());
                finding.container = container.map(|container| container.name.clone());
                if finding.rule == Rule::ForeignExecutable {
                    finding.location = Some(want.location.clone());
                } else if finding.location.is_none() {
                    finding.location = container.map(|container| container.location.clone());
                }
                // A container definition that was not found may start something else.
                if lenient && finding.rule != Rule::ForeignExecutable && finding.severity == Severity::Error {
                    finding.severity = Severity::Warning;
                    finding.undecided = true;
                }
                judged.push(finding);
            }
        }
        let native = starts_native(image, &way, want.platform);
        self.used.entry(image.manifest.digest).or_default().append(&mut way);
        // A variant is no other machine, and nobody compares it here.
        let same = own.os == want.platform.os && own.architecture == want.platform.architecture;
        if !self.facts.is_index && !same {
            return if native { misnamed(image, want, judged) } else { vec![absent()] };
        }
        findings.extend(note);
        findings.extend(judged);
        findings
    }

    /// The findings about the image itself.
    fn images(&mut self, with_targets: bool) -> Vec<Finding> {
        let mut all = Vec::new();
        let mut told = secret::Told::new();
        for image in self.facts.images.iter().filter(|image| is_image(image)) {
            let mut findings = Vec::new();
            let mut known = self.used.remove(&image.manifest.digest);
            if known.is_none() {
                let (own, way) = by_itself(image);
                findings.extend(disagreement(image));
                findings.extend(own);
                known = Some(way);
                if with_targets {
                    for finding in &mut findings {
                        finding.severity = finding.severity.min(Severity::Warning);
                        finding.message.push_str(" (no target uses this platform)");
                    }
                }
            }
            all.extend(self.allowed.filter(findings));
            all.extend(scan::foreign(image, &known.unwrap_or_default(), &self.allowed));
            all.extend(secret::secrets(image, &mut told, &self.allowed));
        }
        all
    }
}

/// The platforms that a target may ask for, as far as its definition leaves them open, each with a word on what that
/// hangs on. ECS runs Windows on `X86_64` only.
fn possible(target: &Target) -> Vec<(Platform, String)> {
    let definition = &target.definition;
    let windows = || (Platform::new(Os::Windows, Arch::Amd64), "if it runs on Windows".to_owned());
    let on_linux = || {
        let architectures = match definition.architecture {
            Stated::Known { value, .. } => vec![value],
            _ => vec![CpuArchitecture::X86_64, CpuArchitecture::Arm64],
        };
        architectures.into_iter().map(|architecture| (architecture.platform(), format!("if it runs on {architecture}")))
    };
    match &definition.operating_system {
        Stated::Known { value: OperatingSystem::Windows(_), .. } => vec![windows()],
        Stated::Known { value: OperatingSystem::Linux, .. } | Stated::Unset => on_linux().collect(),
        Stated::Unresolved { .. } => on_linux().chain([windows()]).collect(),
    }
}

/// The image as it starts by itself, on its own platform.
fn by_itself(image: &ImageFacts) -> (Vec<Finding>, BTreeSet<Box<[u8]>>) {
    let platform = image.platform();
    if platform.os != Os::Linux {
        return (Vec::new(), BTreeSet::new());
    }
    let process = Process::of(image, None);
    let why = format!("{platform}, the image's own platform");
    let mut judge = Judge::new(surroundings(image, None), &process, &platform.architecture, &why);
    judge.findings.extend(runtime::refused(image, None, &judge.surroundings));
    judge.run();
    let mut findings = judge.findings;
    for finding in &mut findings {
        finding.platform = Some(platform.to_string());
        // An image may be meant to be started with a command.
        if process.words.is_empty() {
            finding.severity = Severity::Note;
        }
    }
    (findings, judge.visited)
}

/// Whether two findings say the same, though of two platforms.
fn same(one: &Finding, other: &Finding) -> bool {
    one.rule == other.rule && one.message == other.message && one.container == other.container && one.path == other.path
}

/// Whether what starts is known to be of the wanted machine, whatever the configuration says.
fn starts_native(image: &ImageFacts, way: &BTreeSet<Box<[u8]>>, wanted: &Platform) -> bool {
    let fits = way.iter().filter_map(|path| match &image.root.lookup(path)?.0.kind {
        Kind::File { head: Head::Elf(elf), .. } => Some(fit(elf, &wanted.architecture)),
        _ => None,
    });
    let fits: Vec<Fit> = fits.collect();
    !fits.is_empty() && fits.iter().all(|fit| *fit == Fit::Native)
}

/// A single manifest of another platform is taken all the same. What decides is the program: it is of the wanted
/// machine, so only the configuration is wrong.
fn misnamed(image: &ImageFacts, want: &Want<'_>, judged: Vec<Finding>) -> Vec<Finding> {
    let message = format!(
        "the image is a single manifest whose configuration says {}, but what it starts is made for {} ({}): it runs, \
         and whoever believes the configuration will not expect it",
        image.platform(),
        want.platform,
        want.why
    );
    let mut finding = Finding::new(Rule::ConfigDisagrees, Severity::Warning, message)
        .help("build the image again with the right platform");
    finding.platform = Some(want.platform.to_string());
    finding.found = Some(image.platform().to_string());
    finding.wanted = Some(want.platform.to_string());
    finding.location = Some(want.location.clone());
    std::iter::once(finding).chain(judged).collect()
}

/// The containers that the image runs in: the one that is named, else the only one where all are known, else those of
/// its repository. Where there is none, the image by itself, and a note that says so.
fn containers<'a>(facts: &Facts, target: &'a Target) -> (Vec<Option<&'a ContainerDefinition>>, Option<Finding>) {
    let all = &target.definition.containers;
    if let Some(name) = &target.container {
        let named: Vec<_> = all.iter().filter(|container| container.name == *name).map(Some).collect();
        if !named.is_empty() {
            return (named, None);
        }
    } else if let ([only], None) = (all.as_slice(), &target.definition.other_containers) {
        return (vec![Some(only)], None);
    } else {
        let repository = |text: &str| {
            // A tag that is still to be rendered says nothing of the repository.
            let text = text.split("{{").next().unwrap_or(text).trim_end_matches([':', '@']);
            text.parse::<Reference>().ok().map(|reference| reference.name())
        };
        if let Some(ours) = repository(facts.name.strip_prefix("docker://").unwrap_or(&facts.name)) {
            let same = |container: &&ContainerDefinition| {
                container.image.value().and_then(|image| repository(image)).is_some_and(|theirs| theirs == ours)
            };
            let same: Vec<_> = all.iter().filter(same).map(Some).collect();
            if !same.is_empty() {
                return (same, None);
            }
        }
    }
    let names: Vec<&str> = all.iter().map(|container| container.name.as_str()).collect();
    let message = if names.is_empty() {
        "the rules about containers are skipped: the source does not say which containers there are".to_owned()
    } else {
        format!("the rules about containers are skipped: none of {} has an image of this repository", names.join(", "))
    };
    if let Some(gap) = &target.definition.other_containers {
        // One of those that are not known may be ours, and start something else than the image does by itself.
        let message = format!("what the container of this image starts is not known: {}", gap.reason);
        let mut open = Finding::new(Rule::ContainerNotChosen, Severity::Warning, message)
            .help("give a source that has it: what `terraform show -json` prints, or the task definition itself")
            .undecided();
        open.location = Some(gap.at.clone());
        return (vec![None], Some(open));
    }
    let mut note = Finding::new(Rule::ContainerNotChosen, Severity::Note, message)
        .help("name the container in which the image runs: --container NAME");
    note.location = Some(target.definition.location.clone());
    (vec![None], Some(note))
}
