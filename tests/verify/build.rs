//! Images and task definitions made by hand, and what is expected of them.

use std::sync::Arc;

use dockless::ecs::json::parse;
use dockless::ecs::target::{TargetOptions, select};
use dockless::elf::{self, Elf, Machine};
use dockless::image::inspect::{Facts, ImageFacts};
use dockless::image::root::Root;
use dockless::layer::contents::{Contents, Head, Kind, Node};
use dockless::oci::Extra;
use dockless::oci::config::{Config, ImageConfiguration, RootFs};
use dockless::oci::descriptor::Descriptor;
use dockless::oci::media_type::MediaType;
use dockless::oci::platform::Platform;
use dockless::verify::finding::{Finding, Verdict, Verification};
use dockless::verify::rules::{Options, verify};

pub(crate) fn program(machine: Machine) -> Elf {
    Elf {
        is_64: machine != Machine::I386 && machine != Machine::ARM,
        little_endian: true,
        machine,
        os_abi: 0,
        kind: elf::Kind::Executable,
        interpreter: None,
        needed: Some(Vec::new()),
        search_path: None,
        inherited: false,
        soname: None,
        has_code: true,
        truncated: false,
    }
}

pub(crate) fn dynamic(machine: Machine, interpreter: &str, needed: &[&str]) -> Elf {
    let bytes = |text: &&str| Box::from(text.as_bytes());
    Elf { interpreter: Some(bytes(&interpreter)), needed: Some(needed.iter().map(bytes).collect()), ..program(machine) }
}

pub(crate) fn node(path: &str, kind: Kind) -> Node {
    Node { path: path.as_bytes().into(), kind, mode: 0o755, uid: 0, gid: 0, xattrs: None }
}

pub(crate) fn file(path: &str, head: Head) -> Node {
    node(path, Kind::File { size: 100, head })
}

pub(crate) fn exe(path: &str, elf: Elf) -> Node {
    file(path, Head::Elf(Box::new(elf)))
}

pub(crate) fn script(path: &str, line: &str) -> Node {
    file(path, Head::Script(line.as_bytes().into()))
}

pub(crate) fn link(path: &str, target: &str) -> Node {
    node(path, Kind::Symlink(target.as_bytes().into()))
}

pub(crate) fn folder(path: &str) -> Node {
    node(path, Kind::Directory)
}

pub(crate) const X86: Machine = Machine::X86_64;
pub(crate) const ARM: Machine = Machine::AARCH64;

pub(crate) fn image(platform: &Platform, layers: Vec<Vec<Node>>, config: Config) -> ImageFacts {
    let descriptor = |n: usize| Descriptor::of(MediaType::ImageLayerGzip, format!("{platform} {n}").as_bytes());
    ImageFacts {
        stated: Some(platform.clone()),
        manifest: Descriptor::of(MediaType::ImageManifest, platform.to_string().as_bytes()),
        config: ImageConfiguration {
            created: None,
            author: None,
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            os_version: None,
            os_features: Vec::new(),
            variant: None,
            config,
            rootfs: RootFs::layers(Vec::new()),
            history: Vec::new(),
            extra: Extra::new(),
        },
        layers: (0..layers.len()).map(descriptor).collect(),
        root: Arc::new(Root::of(layers.into_iter().map(|nodes| Arc::new(Contents { nodes })).collect())),
    }
}

pub(crate) fn entry(words: &[&str]) -> Config {
    Config { entrypoint: words.iter().map(|word| (*word).to_owned()).collect(), ..Config::default() }
}

pub(crate) fn index(images: Vec<ImageFacts>) -> Facts {
    Facts {
        name: "example.com/team/app:v1".into(),
        top: Descriptor::of(MediaType::ImageIndex, b"{}"),
        is_index: true,
        images,
    }
}

pub(crate) fn amd64(nodes: Vec<Node>, words: &[&str]) -> Facts {
    index(vec![image(&Platform::linux_amd64(), vec![nodes], entry(words))])
}

pub(crate) fn arm64(nodes: Vec<Node>, words: &[&str]) -> Facts {
    index(vec![image(&Platform::linux_arm64(), vec![nodes], entry(words))])
}

pub(crate) fn single(mut image: ImageFacts) -> Facts {
    image.stated = None;
    image.manifest = Descriptor::of(MediaType::ImageManifest, b"{}");
    Facts { is_index: false, top: image.manifest.clone(), ..index(vec![image]) }
}

/// What the definitions name: [`index`], by digest.
pub(crate) const IMAGE: &str =
    "example.com/team/app@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// A task definition with these fields and one container with those.
pub(crate) fn task(fields: &str, container: &str) -> String {
    let comma = |text: &str| if text.is_empty() { String::new() } else { format!(",{text}") };
    format!(
        "{{\"family\":\"f\"{},\"containerDefinitions\":[{{\"name\":\"app\",\"image\":\"{IMAGE}\"{}}}]}}",
        comma(fields),
        comma(container)
    )
}

pub(crate) const X86_64: &str = r#""runtimePlatform":{"cpuArchitecture":"X86_64"}"#;
pub(crate) const ARM64: &str = r#""runtimePlatform":{"cpuArchitecture":"ARM64"}"#;
pub(crate) const FARGATE: &str = r#""requiresCompatibilities":["FARGATE"]"#;

pub(crate) fn judge_with(facts: &Facts, definition: &str, said: &TargetOptions, options: &Options) -> Verification {
    let definitions = parse("td.json", definition).unwrap_or_else(|error| panic!("{error}"));
    verify(facts, &select(definitions, said).expect("targets"), options)
}

pub(crate) fn judge(facts: &Facts, definition: &str) -> Verification {
    judge_with(facts, definition, &TargetOptions::default(), &Options::default())
}

/// What matters of findings: severity, rule, path.
pub(crate) fn brief<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<String> {
    let words = |finding: &Finding| {
        let path = finding.path.as_deref().map(|path| format!(" {path}")).unwrap_or_default();
        format!("{:?} {}{path}", finding.severity, finding.rule).to_lowercase()
    };
    findings.into_iter().map(words).collect()
}

#[track_caller]
pub(crate) fn expect(facts: &Facts, definition: &str, verdict: Verdict, findings: &[&str]) -> Verification {
    let answer = judge(facts, definition);
    assert_eq!((answer.verdict, brief(answer.all())), (verdict, findings.iter().map(|f| (*f).to_owned()).collect()));
    answer
}
