//! Does the image run on that task? The exit code says so, and nothing that does not run is pushed.

use super::elf::{AARCH64, X86_64 as AMD64, program};
use super::project::{Project, Said, golden, without_digests};
use super::registry::Registry;

/// A task on Fargate, on the architecture of the name.
pub(crate) const X86_64: &str = r#"{
  "family": "web",
  "requiresCompatibilities": ["FARGATE"],
  "runtimePlatform": { "cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX" },
  "containerDefinitions": [{ "name": "app", "image": "example.com/app:v1" }]
}
"#;

fn arm64() -> String {
    X86_64.replace("X86_64", "ARM64")
}

/// Nothing says the architecture.
fn unstated(launch_type: &str) -> String {
    let lines = X86_64.lines().filter(|line| !line.contains("runtimePlatform"));
    lines.collect::<Vec<_>>().join("\n").replace("FARGATE", launch_type)
}

fn amd64_only() -> Project {
    let project = Project::programs();
    project.run(&["build", "-q", "-p", "linux/amd64"]).done();
    project.write("x86.json", X86_64).write("arm.json", arm64());
    project
}

#[test]
fn an_image_that_lacks_the_platform() {
    let project = amd64_only();
    let said = project.run(&["verify", "oci", "--task-definition", "x86.json"]).done();
    assert_eq!(said.stdout, "runs\n");
    let words = ["verify", "oci", "--task-definition", "arm.json"];
    let said = project.run(&words).with_code(1);
    assert_eq!(said.stdout, "does-not-run\n");
    golden("verify-platform.txt", without_digests(&project.shown(&words, &said)));
    let json = project.run(&["verify", "oci", "--task-definition", "arm.json", "--json"]).with_code(1).json();
    assert_eq!((json["version"].as_u64(), json["verdict"].as_str()), (Some(1), Some("does-not-run")));
    let finding = &json["targets"][0]["findings"][0];
    assert_eq!((finding["rule"].as_str(), finding["location"]["line"].as_u64()), (Some("platform-missing"), Some(4)));
    assert_eq!(finding["location"]["file"], "arm.json");
}

#[test]
fn a_program_for_another_machine() {
    let project = amd64_only();
    project.write("bin/app-amd64", program(AARCH64));
    let words = ["build", "-q", "--compression", "none", "-p", "linux/amd64"];
    let said = project.run(&words).with_code(1);
    golden("verify-machine.txt", without_digests(&project.shown(&words, &said)));
    let words = ["verify", "oci", "--task-definition", "x86.json"];
    let json = project.run(&["verify", "oci", "--task-definition", "x86.json", "--json"]).with_code(1).json();
    let all: Vec<_> =
        json["findings"].as_array().into_iter().chain(json["targets"][0]["findings"].as_array()).flatten().collect();
    let finding = all.iter().find(|finding| finding["rule"] == "foreign-executable").expect("the finding");
    let layer = project.image("oci", None).manifest(0).layers[0].digest.to_string();
    assert_eq!((finding["path"].as_str(), finding["layer"].as_str()), (Some("/bin/app"), Some(layer.as_str())));
    assert!(finding["found"].as_str().is_some_and(|text| text.contains("AARCH64")), "{finding:#}");
    assert!(finding["wanted"].as_str().is_some_and(|text| text.contains("X86_64")), "{finding:#}");
    let said = project.run(&words).with_code(1);
    golden("verify-machine-task.txt", without_digests(&project.shown(&words, &said)));
    let allowed = ["verify", "oci", "--task-definition", "x86.json", "--allow", "foreign-executable=/opt/**"];
    project.run(&allowed).with_code(1);
}

#[test]
fn what_nobody_states() {
    let project = amd64_only();
    project.write("fargate.json", unstated("FARGATE")).write("ec2.json", unstated("EC2"));
    let fargate = project.run(&["verify", "oci", "--task-definition", "fargate.json"]).done();
    assert_eq!(fargate.stdout, "runs\n", "Fargate then takes X86_64");
    let words = ["verify", "oci", "--task-definition", "ec2.json"];
    let ec2 = project.run(&words).done();
    assert_eq!(ec2.stdout, "undetermined\n");
    golden("verify-unstated.txt", without_digests(&project.shown(&words, &ec2)));
    project.run(&["verify", "oci", "--task-definition", "ec2.json", "--strict"]).with_code(1);
    let said = project.run(&["verify", "oci", "--task-definition", "ec2.json", "--architecture", "X86_64"]).done();
    assert_eq!(said.stdout, "runs\n");
    project.run(&["verify", "oci", "--task-definition", "ec2.json", "--architecture", "ARM64"]).with_code(1);
    let said = project.run(&["verify", "oci", "--task-definition", "missing.json"]).with_code(2);
    assert_eq!(said.stdout, "");
}

#[test]
fn findings_are_annotations_in_github_actions() {
    let project = amd64_only();
    let words = ["verify", "-q", "oci", "--task-definition", "arm.json"];
    let said = project.run_with(&words, &[("GITHUB_ACTIONS", "true")]).with_code(1);
    let line = said.stderr.lines().find(|line| line.starts_with("::error ")).expect("an annotation");
    assert!(line.starts_with("::error file=arm.json,line=4,col="), "{line}");
}

/// They were relative to the step's folder, and the runner looks in the workspace.
#[test]
fn annotations_are_relative_to_the_workspace() {
    let project = amd64_only();
    let workspace = project.path().parent().expect("a folder").display().to_string();
    let variables = [("GITHUB_ACTIONS", "true"), ("GITHUB_WORKSPACE", workspace.as_str())];
    let words = ["verify", "-q", "oci", "--task-definition", "arm.json", "--sarif", "out.sarif"];
    let said = project.run_with(&words, &variables).with_code(1);
    let folder = project.path().file_name().expect("a name").to_string_lossy().into_owned();
    assert!(said.stderr.contains(&format!("::error file={folder}/arm.json,line=4,col=")), "{said:#?}");
    assert!(project.text("out.sarif").contains(&format!("\"uri\": \"{folder}/arm.json\"")));
    let elsewhere = project.at("oci").display().to_string();
    let said = project.run_with(&words, &[variables[0], ("GITHUB_WORKSPACE", elsewhere.as_str())]).with_code(1);
    let absolute = project.path().canonicalize().expect("there").join("arm.json");
    assert!(said.stderr.contains(&format!("::error file={},line=4", absolute.display())), "{said:#?}");
}

#[test]
fn nothing_that_does_not_run_is_pushed() {
    let project = amd64_only();
    project.write("bin/app-amd64", program(AMD64));
    let registry = Registry::new();
    let reference = registry.reference("app:v1");
    let said = project.run(&["push", "oci", &reference, "--task-definition", "arm.json"]).with_code(1);
    assert_eq!(said.stdout, "");
    assert_eq!(registry.requests(), Vec::<String>::new());
    let build = ["build", "-p", "linux/amd64", "-t", &reference, "--push", "--task-definition", "arm.json"];
    let said = project.run(&build).with_code(1);
    assert!(said.stderr.contains("nothing was pushed"), "{said:#?}");
    assert_eq!(registry.requests(), ["HEAD /v2/app/manifests/v1 404"], "whether it is there, before the build");
    assert_eq!((registry.tags(), registry.blobs()), (Vec::new(), 0));
    let name = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/app:v1";
    let mut words = vec!["build", "-p", "linux/amd64", "-t", name, "--rehearse=rehearsed"];
    project.run(&words).done();
    let pushed = project.run(&["inspect", "rehearsed", "--json"]).done().json();
    assert_eq!(pushed["platforms"][0]["platform"], "linux/amd64");
    std::fs::remove_dir_all(project.at("rehearsed")).expect("removed");
    words.extend(["--task-definition", "arm.json"]);
    project.run(&words).with_code(1);
    assert!(!project.at("rehearsed").exists());
}

#[test]
fn pushes_and_what_is_there_already() {
    let project = amd64_only();
    let registry = Registry::new();
    let reference = registry.reference("team/app:v1");
    let words = ["build", "-t", &reference, "--push", "--task-definition", "x86.json", "--task-definition", "arm.json"];
    let said = project.run(&words).done();
    let at = said.line().to_owned();
    assert!(at.starts_with(&format!("{}@sha256:", registry.reference("team/app"))), "{at}");
    assert_eq!(registry.tags(), ["localhost/team/app:v1"]);
    registry.requests();

    let again = project.run(&["push", "oci:oci:v1", &reference]).done();
    assert_eq!(again.line(), at);
    let tag = "HEAD /v2/team/app/manifests/v1 200";
    assert_eq!(registry.requests(), [tag], "the same digest is there: one request");

    // Another tag of the same image sends no blob.
    project.run(&["push", "oci:oci:v1", &registry.reference("team/app:v2")]).done();
    let requests = registry.requests();
    assert!(!requests.iter().any(|request| request.starts_with("POST")), "{requests:#?}");

    // A reference is an image like any other.
    for image in [reference.clone(), format!("docker://{reference}"), at.clone()] {
        let said = project.run(&["inspect", &image, "--json"]).done().json();
        assert_eq!(format!("{}@{}", registry.reference("team/app"), said["digest"].as_str().expect("a digest")), at);
        project.run(&["verify", &image, "--task-definition", "arm.json"]).done();
    }
    let elsewhere = registry.reference("copy/app:v1");
    project.run(&["push", &reference, &elsewhere]).done();
    assert_eq!(registry.tags().len(), 3);
    project.run(&["build", "-q", "-o", "app.tar"]).done();
    let from_archive = project.run(&["push", "app.tar", &registry.reference("archive/app:v1")]).done();
    assert_eq!(from_archive.line().rsplit('@').next(), at.rsplit('@').next());
}

#[test]
fn the_other_containers_run_on_the_same_machine() {
    let project = amd64_only();
    let registry = Registry::new();
    let (ours, side) = (registry.reference("app:v1"), registry.reference("side:v1"));
    for (platform, reference) in [("linux/amd64,linux/arm64", &ours), ("linux/amd64", &side)] {
        let words = ["build", "--layer", "bin:/data", "--cmd", "/data/app-amd64", "-p", platform, "-t", reference];
        project.run(&[&words[..], &["--push", "--allow", "foreign-executable"]].concat()).done();
    }
    let task = |architecture: &str| {
        format!(
            r#"{{"family": "app", "requiresCompatibilities": ["FARGATE"], "runtimePlatform": {{"cpuArchitecture": "{architecture}"}},
                "containerDefinitions": [{{"name": "app", "image": "{ours}", "command": ["/data/app-{architecture}"]}},
                                         {{"name": "side", "image": "{side}"}},
                                         {{"name": "gone", "image": "{}"}}]}}"#,
            registry.reference("gone:v1")
        )
    };
    project.write("both.json", task("ARM64"));
    let words = ["verify", &ours, "--task-definition", "both.json", "--container", "app", "--json"];
    let rules = |said: &Said| -> Vec<String> {
        let findings = said.json()["targets"][0]["findings"].as_array().cloned().unwrap_or_default();
        findings.iter().filter_map(|finding| finding["rule"].as_str().map(str::to_owned)).collect()
    };
    let alone = project.run(&words);
    assert!(!rules(&alone).contains(&"sidecar-platform-missing".to_owned()), "{alone:#?}");
    let said = project.run(&[&words[..], &["--sidecars"]].concat()).with_code(1);
    assert!(rules(&said).contains(&"sidecar-platform-missing".to_owned()), "{said:#?}");
    assert!(said.stderr.contains("is not known"), "one that cannot be asked is told: {said:#?}");
    project.write("both.json", task("X86_64"));
    let said = project.run(&[&words[..], &["--sidecars"]].concat());
    assert!(!rules(&said).contains(&"sidecar-platform-missing".to_owned()), "{said:#?}");
}

#[test]
fn a_recipe_says_the_variables_of_terraform() {
    let project = Project::programs();
    let recipe = std::fs::read_to_string(project.at("dockless.toml")).expect("a recipe");
    let verify = "\n[verify]\ntask-definition = \"infra\"\nvar = [\"arch=ARM64\"]\nvar-file = \"image.tfvars\"\n";
    project.write("dockless.toml", recipe + verify);
    project.write("image.tfvars", "image = \"example.com/app:v1\"\n");
    project.write(
        "infra/main.tf",
        "variable \"arch\" {}\nvariable \"image\" {}\nresource \"aws_ecs_task_definition\" \"app\" {\n  family = \"app\"\n  \
         requires_compatibilities = [\"FARGATE\"]\n  runtime_platform { cpu_architecture = var.arch }\n  \
         container_definitions = jsonencode([{ name = \"app\", image = var.image }])\n}\n",
    );
    let said = project.run(&["build", "-p", "linux/amd64"]).with_code(1);
    assert!(said.stderr.contains("linux/arm64"), "{said:#?}");
    // A flag goes before the recipe.
    let said = project.run(&["build", "-p", "linux/amd64", "--var", "arch=X86_64"]).done();
    assert!(!said.stderr.contains("ARM64"), "{said:#?}");
}
