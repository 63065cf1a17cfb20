//! Words of strangers that GitHub's runner would take for commands, in every place where such words are shown.

use std::os::unix::net::UnixListener;

use super::elf::{AARCH64, X86_64, program};
use super::project::{Project, golden, without_digests};

/// At the beginning of a line, behind white space, and anywhere in one.
const COLONS: &str = "\n::add-mask::e";
const INDENTED: &str = "\n \t::set-output name=image::evil.example/x";
const BRACKETS: &str = "##[add-mask]e";

/// Whether the runner takes a line for a command.
fn is_command(line: &str) -> bool {
    line.trim_start().starts_with("::") || line.contains("##[")
}

/// Runs a command as a step does, and shows it where no line that it prints is a command but our annotations.
#[track_caller]
fn shown(project: &Project, words: &[&str]) -> String {
    let said = project.run_with(words, &[("GITHUB_ACTIONS", "true")]);
    let ours = ["::error ", "::warning ", "::notice "];
    for line in said.stdout.lines().chain(said.stderr.lines()).flat_map(|line| line.split('\r')) {
        assert!(!is_command(line) || ours.iter().any(|word| line.starts_with(word)), "{line:?} of {said:#?}");
    }
    // Annotations are encoded, and `github.rs` has their tests.
    let lines = said.stderr.lines().filter(|line| !ours.iter().any(|word| line.starts_with(word)));
    let stderr = lines.fold(String::new(), |text, line| text + line + "\n");
    without_digests(&project.shown(&words[..1], &super::project::Said { stderr, ..said }))
}

fn task(entry_point: &str) -> String {
    let family = format!("web{COLONS}");
    let (name, image) = (format!("app {BRACKETS}{COLONS}"), format!("example.com/app{COLONS}"));
    let task = serde_json::json!({
        "family": family,
        "requiresCompatibilities": ["FARGATE"],
        "runtimePlatform": { "cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX" },
        "containerDefinitions": [
            { "name": name, "image": image, "entryPoint": [entry_point] },
            { "name": format!("other{INDENTED}{BRACKETS}"), "image": "example.com/other:v1" },
        ],
    });
    serde_json::to_string_pretty(&task).expect("JSON")
}

#[test]
fn findings() {
    let project = Project::programs();
    project.run(&["build", "-q"]).done();
    let file = format!("task {BRACKETS}{INDENTED}.json");
    project.write(&file, task(&format!("/nope{COLONS}{INDENTED}")));
    let container = format!("app {BRACKETS}{COLONS}");
    let words = ["verify", "oci", "--task-definition", &file, "--container", &container];
    // JSON says the same, and is only looked at.
    shown(&project, &[&words[..], &["--json"]].concat());
    shown(&project, &[&words[..], &["--sarif", "-"]].concat());
    golden("hostile-findings.txt", shown(&project, &words));
}

/// They have no line of a file beside them.
#[test]
fn findings_in_an_image() {
    let project =
        Project::with("[image]\nplatforms = [\"linux/amd64\"]\n[[layer]]\nrootfs = \"root\"\nowner = \"0:0\"\n");
    project.write(&format!("root/bin{COLONS}/app {BRACKETS}{INDENTED}"), program(AARCH64));
    project.write("root/bin/app", program(X86_64));
    golden("hostile-image.txt", shown(&project, &["build", "--compression", "none"]));
}

#[test]
fn errors_and_their_lists() {
    let project = Project::programs();
    project.run(&["build", "-q"]).done();
    let file = format!("task{COLONS}{BRACKETS}.json");
    project.write(&file, task("/bin/app").replace("\"ARM64\"", "\"arm ##[add-mask]e\\n::add-mask::e\""));
    project.write("two.json", task("/bin/app")).write("cut.json", format!("{{\"{BRACKETS}\": {COLONS}"));
    let missing = format!("missing{COLONS}");
    let texts = [
        shown(&project, &["verify", "oci", "--task-definition", &file]),
        shown(&project, &["verify", "oci", "--task-definition", "cut.json"]),
        shown(&project, &["verify", "oci", "--task-definition", &missing]),
        shown(
            &project,
            &["render", "two.json", "--image", &format!("none{COLONS}=example.com/app@sha256:{}", "0".repeat(64))],
        ),
        shown(&project, &["render", "two.json", "--image", &format!("{COLONS}=example.com/{BRACKETS}")]),
        shown(&project, &["build", "-p", COLONS]),
        shown(&project, &["help", INDENTED]),
        shown(&project, &["build", BRACKETS]),
    ];
    golden("hostile-errors.txt", texts.join("\n"));
}

#[test]
fn recipes() {
    let project = Project::new();
    let name = format!("recipe{COLONS}{BRACKETS}.toml");
    project.write(&name, format!("[image]\nplatforms = [\"{BRACKETS}\"]\n"));
    project.write("name.toml", layer(&format!("{BRACKETS}{COLONS}")));
    let texts = [shown(&project, &["build", &name]), shown(&project, &["build", "name.toml"])];
    golden("hostile-recipe.txt", texts.join("\n"));
}

fn layer(name: &str) -> String {
    format!(
        "[image]\nplatforms = [\"linux/amd64\"]\n[[layer]]\nname = {}\nrootfs = \"root\"\nowner = \"0:0\"\n",
        toml::Value::String(name.into())
    )
}

#[test]
fn warnings_and_progress() {
    let project = Project::new();
    project.write("root/bin/app", program(X86_64));
    let _socket = UnixListener::bind(project.at("root").join(format!("{BRACKETS}{COLONS}"))).expect("a socket");
    project.write("dockless.toml", layer(BRACKETS));
    golden("hostile-progress.txt", shown(&project, &["build", "-v", "--compression", "none"]));
}

#[test]
fn results() {
    let project = Project::programs();
    let label = format!("{BRACKETS}{COLONS}={BRACKETS}{COLONS}");
    project.run(&["build", "-q", "--label", &label]).done();
    project.write("two.json", task("/bin/app"));
    shown(&project, &["targets", "two.json", "--json"]);
    shown(&project, &["inspect", "oci", "--json"]);
    let texts = [shown(&project, &["targets", "two.json"]), shown(&project, &["inspect", "oci"])];
    golden("hostile-results.txt", texts.join("\n"));
}
