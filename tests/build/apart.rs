//! What a command writes beside its image: in nobody's place, not left over from an earlier run, and on stdout alone
//! there.

use dockless::serve::fault::{Action, Fault};
use dockless::serve::route::Endpoint;
use hyper::Method;

use super::elf::{AARCH64, program};
use super::project::Project;
use super::registry::Registry;

const TASK: &str = r#"{"family":"app","runtimePlatform":{"cpuArchitecture":"X86_64"},"containerDefinitions":[{"name":"app","image":"localhost/app:old"}]}
"#;

/// A project that names a file of every kind.
fn everything() -> Project {
    let project = Project::with(
        r#"
[image]
platforms = ["linux/amd64"]
base = "oci:base.tar"

[config]
from = "config-{arch}.json"
entrypoint = ["/app/main.py"]

[[layer]]
name = "app"
copy = [{ src = "app", dest = "/app" }, { src = "lib/*.py", dest = "/lib/" }]

[[layer]]
name = "vendor"
tar = "vendor.tar"

[verify]
task-definition = "tfx"
var-file = ["prod.tfvars"]
"#,
    );
    project
        .write("app/main.py", "print()\n")
        .write("lib/a.py", "pass\n")
        .write("vendor.tar", "a tar")
        .write("base.tar", "a base");
    project.write("config-amd64.json", "{}").write("prod.tfvars", "a = 1\n").write("dockless.lock", "version = 1\n");
    project.write("tfx/main.tf", "# sources\n").write("task.json", TASK).write("ca.pem", "a certificate");
    project
}

/// Each of them replaced what it named, and ended well.
#[test]
fn nothing_that_is_read_is_written_over() {
    let project = everything();
    for path in [
        "dockless.toml",
        "dockless.lock",
        "config-amd64.json",
        "app/main.py",
        "lib/a.py",
        "vendor.tar",
        "base.tar",
        "tfx/main.tf",
        "prod.tfvars",
    ] {
        let before = project.read(path);
        let told = |words: &[&str]| {
            let words: Vec<&str> = ["build", "-t", "localhost/app:1", "--push"].iter().chain(words).copied().collect();
            let said = project.run(&words).with_code(2);
            assert!(said.stderr.contains(&format!("{path}: that is ")), "{said:#?}");
            assert!(said.stderr.contains("which would be lost"), "{said:#?}");
        };
        told(&["--report", path]);
        told(&["--image-refs", path]);
        told(&["--render", path]);
        assert_eq!(project.read(path), before, "{path}");
    }
    for (words, path) in [
        (&["build", "-o", "vendor.tar"][..], "vendor.tar"),
        (&["build", "-o", "base.tar"], "base.tar"),
        (
            &["build", "--layer", "app:/app", "--config", "config-{arch}.json", "--report", "config-amd64.json"],
            "config-amd64.json",
        ),
        (&["build", "--layer", "app:/app", "--var-file", "prod.tfvars", "--report", "prod.tfvars"], "prod.tfvars"),
        (&["push", "base.tar", "localhost/app:1", "--report", "base.tar"], "base.tar"),
        (
            &["push", "base.tar", "localhost/app:1", "--task-definition", "task.json", "--image-refs", "task.json"],
            "task.json",
        ),
        (&["push", "base.tar", "localhost/app:1", "--ca-file", "ca.pem", "--report", "ca.pem"], "ca.pem"),
        (&["verify", "base.tar", "--task-definition", "task.json", "--sarif", "task.json"], "task.json"),
        (&["verify", "base.tar", "--task-definition", "task.json", "--sarif", "base.tar"], "base.tar"),
        (
            &["render", "tfx", "--for", "terraform", "--image", "app=localhost/app:1", "-o", "tfx/main.tf"],
            "tfx/main.tf",
        ),
    ] {
        let before = project.read(path);
        let said = project.run(words).with_code(2);
        assert!(said.stderr.contains(&format!("{path}: that is ")), "{words:?}: {said:#?}");
        assert_eq!(project.read(path), before, "{words:?}");
    }
}

/// The layout was damaged, and every image in it gone, with exit code 0.
#[test]
fn nothing_of_a_layout_that_is_written_into_is_written_over() {
    let project = Project::programs();
    let rehearse = ["build", "-q", "-t", "localhost/app:1", "--rehearse=rh"];
    project.run(&rehearse).done();
    for (words, path) in [
        (&["build", "-q", "--report", "oci/index.json"][..], "oci/index.json"),
        (&["build", "-q", "--image-refs", "oci/oci-layout"], "oci/oci-layout"),
        (&["build", "-q", "-o", "other", "--rehearse=rh", "-t", "a/b", "--report", "rh/index.json"], "rh/index.json"),
    ] {
        let before = project.read(path);
        let said = project.run(words).with_code(2);
        assert!(said.stderr.contains(&format!("{path}: that is a file of the ")), "{said:#?}");
        assert_eq!(project.read(path), before, "{words:?}");
    }
    let beside = ["build", "-q", "--report", "oci/report.json"];
    (0..2).for_each(|_| drop(project.run(&beside).done()));
    project.run(&["check", "oci"]).done();
}

/// The first report took its place, and what it left out was in the image of the next build.
#[test]
fn what_a_build_looks_for_beside_the_recipe_is_not_written_over() {
    let project = Project::programs();
    for path in [".dockerignore", "dockless.lock"] {
        let said = project.run(&["build", "--report", path]).with_code(2);
        assert!(said.stderr.contains(&format!("--report {path}: that is where the ")), "{said:#?}");
        assert!(!project.at(path).exists());
    }
    project.write(".dockerignore", "**/*.log\n");
    let said = project.run(&["build", "--image-refs", ".dockerignore"]).with_code(2);
    assert!(said.stderr.contains("that is the .dockerignore, which would be lost"), "{said:#?}");
    assert_eq!(project.text(".dockerignore"), "**/*.log\n");
}

/// `src = "."` and a report beside the recipe go together, also the second time.
#[test]
fn what_an_earlier_build_wrote_among_the_sources_is_written_anew() {
    let project = Project::with(
        "[image]\nplatforms = [\"linux/amd64\"]\n[[layer]]\nname = \"app\"\ncopy = [{ src = \".\", dest = \"/app\" }]\n",
    );
    project.write("main.py", "print()\n").write("empty", "");
    let words =
        ["build", "-t", "localhost/app:1", "--report", "report.json", "--image-refs", "empty", "-o", "image.tar"];
    let digest = project.run(&words).done().line().to_owned();
    assert_eq!(project.run(&words).done().line(), digest);
    let words = ["build", "--report", "main.py"];
    let said = project.run(&words).with_code(2);
    assert!(said.stderr.contains("main.py: that is a file of a source of layer \"app\""), "{said:#?}");
}

#[test]
fn a_task_definition_may_be_rendered_where_it_stands() {
    let registry = Registry::new();
    let project = Project::programs();
    project.write("task.json", TASK);
    let reference = registry.reference("app:v1");
    let words = ["build", "--task-definition", "task.json", "-t", &reference, "--push", "--render", "task.json"];
    for _ in 0..2 {
        let pushed = project.run(&words).done().line().to_owned();
        assert!(project.text("task.json").contains(&pushed));
    }
    // It stays where the answer is no, for it is the source.
    project.write("bin/app-amd64", program(AARCH64));
    let before = project.text("task.json");
    project.run(&words).with_code(1);
    assert_eq!(project.text("task.json"), before);
}

/// A script that does not look at exit codes registered the task definition of the day before.
#[test]
fn after_a_no_or_a_failure_nothing_is_left_of_an_earlier_run() {
    let registry = Registry::new();
    let project = Project::programs();
    project.write("task.json", TASK);
    let reference = registry.reference("app:v1");
    let (files, there) = (["r.json", "refs", "out.json"], |project: &Project| {
        ["r.json", "refs", "out.json"].map(|file| project.at(file).exists())
    });
    let words = |reference: &'static str| {
        let fixed =
            ["--report", "r.json", "--image-refs", "refs", "--render", "out.json", "--task-definition", "task.json"];
        ["build", "--push", "-t", reference].into_iter().chain(fixed).collect::<Vec<_>>()
    };
    let reference: &'static str = reference.leak();
    project.run(&words(reference)).done();
    assert_eq!(there(&project), [true; 3]);
    let kept = files.map(|file| project.read(file));
    let again = || {
        files.iter().zip(&kept).for_each(|(file, content)| {
            project.write(file, content);
        });
    };
    // Nobody listens there.
    project.run(&words("127.0.0.1:1/app:v1")).with_code(2);
    assert_eq!(there(&project), [false; 3]);
    again();
    let recipe = project.text("dockless.toml");
    project.write("dockless.toml", "[imag]\n");
    project.run(&words(reference)).with_code(2);
    assert_eq!(there(&project), [false; 3]);
    project.write("dockless.toml", &recipe);
    again();
    project.write("bin/app-amd64", program(AARCH64));
    project.run(&words(reference)).with_code(1);
    // The report says why.
    assert_eq!(there(&project), [true, false, false]);
    assert!(project.text("r.json").contains("foreign-executable"));
    again();
    let push = ["push", "oci", "127.0.0.1:1/app:v1", "--report", "r.json", "--image-refs", "refs"];
    project.run(&push).with_code(2);
    // What was reached: nothing.
    assert_eq!(there(&project), [true, false, true]);
    assert!(project.text("r.json").contains("\"references\": []"));
    project.run(&["render", "task.json", "--image", "app=127.0.0.1:1/app:v1", "-o", "out.json"]).with_code(2);
    assert!(!project.at("out.json").exists());
    // What is no record is the user's, as long as there is nothing to put in its place.
    project.write("refs", "notes\n");
    project.run(&["push", "oci", "127.0.0.1:1/app:v1", "--image-refs", "refs"]).with_code(2);
    assert_eq!(project.text("refs"), "notes\n");
}

/// One tag had moved, and neither stdout nor a file said so.
#[test]
fn a_push_that_reaches_one_registry_says_which() {
    let denied = |skip| {
        let denied = Action::Status { status: 403, retry_after: None };
        vec![Fault { skip, ..Fault::first(Method::PUT, Endpoint::Manifest, denied) }]
    };
    let project = Project::programs();
    let digest = project.run(&["build", "-q"]).done().line().to_owned();
    // The manifests of the platforms are refused, or after these the tag.
    for (skip, tags) in [(0, 0), (2, 1)] {
        let (good, bad) = (Registry::new(), Registry::with(denied(skip)));
        let (first, second) = (good.reference("app:v1"), bad.reference("app:v1"));
        let words = ["push", "-q", "oci", &first, &second, "--report", "report.json", "--image-refs", "refs"];
        let said = project.run(&words).with_code(2);
        assert_eq!((said.stdout.as_str(), project.at("refs").exists()), ("", false));
        let named = good.tags().into_iter().filter(|name| !name.contains('@'));
        assert_eq!(named.count(), tags, "{:?}", good.tags());
        let told = format!("these name the image now: {first}\n");
        assert_eq!(said.stderr.contains(&told), tags == 1, "{said:#?}");
        let report: serde_json::Value = serde_json::from_str(&project.text("report.json")).expect("JSON");
        let reached: Vec<String> = (0..tags).map(|_| format!("{}@{digest}", good.reference("app"))).collect();
        assert_eq!(report["references"], serde_json::json!(reached));
        assert!(!report["uploads"].as_array().expect("uploads").is_empty(), "{report}");
    }
}

#[test]
fn what_goes_to_stdout_takes_the_place_of_the_result() {
    let project = Project::programs();
    let build = |words: &[&str]| {
        let words: Vec<&str> = ["build", "-q", "-t", "example.com/app:v1"].iter().chain(words).copied().collect();
        project.run(&words)
    };
    let report = build(&["--report", "-"]).done().json();
    let digest = report["digest"].as_str().expect("a digest");
    assert_eq!(build(&["--image-refs", "-"]).done().stdout, format!("example.com/app@{digest}\n"));
    for (words, told) in [
        (&["--json", "--report", "-"][..], "--report - and --json both write to stdout"),
        (&["--json", "--image-refs", "-"], "--image-refs - and --json both write to stdout"),
        (&["--report", "-", "--image-refs", "-"], "--report - and --image-refs - both write to stdout"),
        (&["--rehearse", "--render", "-", "--report", "-"], "--report - and --render - both write to stdout"),
    ] {
        let said = build(words).with_code(2);
        assert!(said.stderr.contains(told), "{said:#?}");
    }
    project.write("task.json", TASK).write("outputs", "");
    let words =
        ["build", "-q", "-t", "localhost/app:v1", "--rehearse", "--render", "-", "--task-definition", "task.json"];
    let said = project.run_with(&words, &[("GITHUB_OUTPUT", "outputs")]).done();
    assert!(said.json()["containerDefinitions"][0]["image"].as_str().expect("an image").contains("@sha256:"));
    assert!(!project.text("outputs").contains("task-definition"), "{}", project.text("outputs"));
}

/// `file=-` is no file of a pull request.
#[test]
fn an_annotation_of_standard_input_names_no_file() {
    let project = Project::programs();
    project.write("bin/app-amd64", program(AARCH64)).write("task.json", TASK);
    project.run(&["build", "-q", "-p", "linux/arm64"]).done();
    let mut command = project.command(&["verify", "oci", "--task-definition", "-"]);
    let input = std::fs::File::open(project.at("task.json")).expect("a file");
    let output = command.env("GITHUB_ACTIONS", "true").stdin(input).output().expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("::error title=platform-missing::") && !told.contains("file="), "{told}");
}

/// Two tags of one registry were one endpoint too many, after the whole build.
#[test]
fn a_rehearsal_takes_several_tags_of_a_registry() {
    let project = Project::programs();
    let host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    let tags = ["abc", "latest"].map(|tag| format!("{host}/app:{tag}"));
    let said =
        project.run(&["build", "-q", "-t", &tags[0], "-t", &tags[1], "-t", "localhost/app", "--rehearse"]).done();
    assert_eq!(said.stdout.lines().count(), 2, "{said:#?}");
}

/// It was that of an index, which is in no file.
#[test]
fn a_docker_archive_has_the_digest_of_its_manifest() {
    let project = Project::programs();
    let words = ["build", "-p", "linux/amd64", "--format", "docker-archive", "-o", "image.tar"];
    let digest = project.run(&words).done().line().to_owned();
    assert_eq!(project.run(&["inspect", "image.tar", "--json"]).done().json()["digest"], *digest);
    let named: Vec<&str> = words.into_iter().chain(["-t", "localhost/app:v1", "--json"]).collect();
    let report = project.run(&named).done().json();
    assert_eq!(
        (&report["digest"], &report["platforms"][0]["manifest"]),
        (&digest.clone().into(), &digest.clone().into())
    );
    assert_eq!(report["references"][0], format!("localhost/app@{digest}"));
}

/// They were ignored, and whoever had forgotten --task-definition took the silence for a yes.
#[test]
fn a_flag_about_a_task_definition_needs_one() {
    let project = Project::programs();
    project.run(&["build", "-q"]).done();
    project.write("task.json", TASK).write("tfx/main.tf", TERRAFORM);
    for (words, told) in [
        (&["build", "--target", "x"][..], "--target is about a task definition, and none is named"),
        (&["build", "--container", "x"], "--container is about"),
        (&["build", "--architecture", "ARM64"], "--architecture is about"),
        (&["build", "--var", "a=b"], "--var is about"),
        (&["push", "oci", "localhost:1/app:v1", "--strict"], "--strict is about"),
        (&["push", "oci", "localhost:1/app:v1", "--allow", "foreign-executable"], "--allow is about"),
        (&["render", "task.json", "--image", "app=localhost/app:1", "--target", "x"], "--target is for --for"),
        (&["render", "task.json", "--image", "app=localhost/app:1", "--container", "x"], "--container is for --for"),
        (&["targets", "task.json", "--parameter", "a=b"], "--parameter is for a CloudFormation template"),
        (&["targets", "tfx", "--parameter", "a=b"], "--parameter is for a CloudFormation template"),
        (&["targets", "task.json", "--var", "a=b"], "--var is for a Terraform configuration"),
        (&["targets", "task.json", "--var-file", "task.json"], "--var-file is for a Terraform configuration"),
    ] {
        let said = project.run(words).with_code(2);
        assert!(said.stderr.contains(told), "{words:?}: {said:#?}");
    }
    project.run(&["targets", "tfx", "--var", "arch=ARM64"]).done();
    // A build is judged without a task definition as well.
    project.run(&["build", "--strict", "--allow", "foreign-executable"]).done();
}

/// What is printed looked like the result of a push, and no repository was there.
#[test]
fn a_flag_about_a_push_needs_one() {
    let project = Project::programs();
    let tag = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/app:v1";
    for flag in [&["--create-repository", "--keep-images", "3"][..], &["--mount-from", "b"], &["--chunk-size", "5MiB"]]
    {
        let words: Vec<_> = ["build", "-t", tag].iter().chain(flag).copied().collect();
        let said = project.run(&words).with_code(2);
        assert!(said.stderr.contains(&format!("{} is for a push: add --push", flag[0])), "{said:#?}");
    }
}

/// The second of them was an empty document.
#[test]
fn standard_input_is_named_once() {
    let project = Project::new();
    project.write("task.json", TASK);
    let mut command = project.command(&["targets", "-", "-"]);
    let input = std::fs::File::open(project.at("task.json")).expect("a file");
    let output = command.stdin(input).output().expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && told.contains("standard input is named twice"), "{told}");
}

/// It was refused: nothing said that both platforms are meant.
#[test]
fn the_example_of_a_build_without_a_recipe_can_be_pasted() {
    let project = Project::programs();
    let help = project.run(&["build", "--help"]).done().stdout;
    let example =
        help.split("  dockless ").find(|example| example.contains("--layer linux/amd64=")).expect("an example");
    project.write("rootfs-amd64/bin/a", "").write("rootfs-arm64/bin/a", "").write("app/run", program(AARCH64));
    let words: Vec<&str> = example.split_whitespace().filter(|word| *word != "\\").collect();
    let said = project.run(&words);
    assert!(said.code != Some(2), "{said:#?}");
}

const TERRAFORM: &str = r#"
variable "arch" { default = "X86_64" }
resource "aws_ecs_task_definition" "app" {
  family                = "app"
  runtime_platform { cpu_architecture = var.arch }
  container_definitions = jsonencode([{ name = "app", image = "localhost/app:1" }])
}
"#;

#[test]
fn a_repository_that_lends_is_of_the_same_registry() {
    let registry = Registry::new();
    let project = Project::programs();
    project.run(&["build", "-q"]).done();
    project.run(&["push", "oci", &registry.reference("src/b:1")]).done();
    let to = |name: &str| registry.reference(name);
    // The source's own repository is asked without a word.
    let report =
        project.run(&["push", &format!("docker://{}", to("src/b:1")), &to("prom/b:1"), "--json"]).done().json();
    let statuses = |report: &serde_json::Value| {
        let uploads = report["uploads"].as_array().expect("uploads").clone();
        uploads.iter().map(|upload| upload["status"].as_str().expect("a status").to_owned()).collect::<Vec<_>>()
    };
    assert!(statuses(&report).iter().all(|status| status == "mounted"), "{report}");
    let (none, with_host) = (to("other/none").split_once('/').expect("a name").1.to_owned(), to("src/b"));
    let words = ["push", "oci", &to("third/b:1"), "--json", "--mount-from", &none, "--mount-from", &with_host];
    let report = project.run(&words).done().json();
    assert!(statuses(&report).iter().all(|status| status == "mounted"), "{report}");
    let said = project.run(&["push", "oci", &to("third/b:2"), "--mount-from", "elsewhere.example/b"]).with_code(2);
    assert!(said.stderr.contains("elsewhere.example"), "{said:#?}");
}

/// Whoever reads has no use for a repository that is created.
#[test]
fn a_missing_repository_is_not_to_be_created_for_a_pull() {
    let project = Project::new();
    let body = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"said the registry"}]}"#;
    let length = body.len();
    let answer = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let parrot = super::registry::Parrot::new(answer);
    let said = project.run(&["inspect", &parrot.reference("team/app:v1")]).with_code(2);
    assert!(said.stderr.contains("check how \"team/app\" is spelled") && !said.stderr.contains("create"), "{said:#?}");
}

/// The registry was asked first, and its refusal hid what was wrong with the document.
#[test]
fn a_document_is_read_before_a_registry_is_asked() {
    let project = Project::new();
    project.write("task.json", TASK);
    let said = project.run(&["render", "task.json", "--image", "other=127.0.0.1:1/app:v1"]).with_code(2);
    assert!(said.stderr.contains("there is no container \"other\""), "{said:#?}");
    project.write("tfx/main.tf", TERRAFORM);
    let words = ["render", "tfx", "--for", "terraform", "--image", "other=127.0.0.1:1/app:v1"];
    let said = project.run(&words).with_code(2);
    assert!(said.stderr.contains("neither a container nor a variable \"other\""), "{said:#?}");
}
