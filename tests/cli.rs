//! The command line as a stranger meets it: help, wrong usage, exit codes. `SNAPSHOTS=overwrite` renews the golden
//! files in `testdata/cli`.

use std::path::Path;
use std::process::{Command, Output};

use snapbox::{Data, assert_data_eq};

const COMMANDS: [&str; 12] =
    ["build", "init", "lock", "verify", "targets", "push", "render", "doctor", "inspect", "diff", "check", "serve"];

fn dockless(words: &[&str]) -> Output {
    dockless_with(words, &[])
}

fn dockless_with(words: &[&str], variables: &[(&str, &str)]) -> Output {
    // An empty environment: neither CI's nor a developer's settings are part of a snapshot.
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockless"));
    command.args(words).env_clear().envs(variables.iter().copied());
    command.output().expect("the binary runs")
}

/// Output, errors and exit code in one text.
fn told(output: &Output) -> String {
    let status = output.status.code().map_or("a signal".into(), |code| code.to_string());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{stdout}--- stderr\n{stderr}--- exit code {status}\n")
}

fn golden(name: &str, text: String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cli").join(name);
    assert_data_eq!(text, Data::read_from(&path, None).raw());
}

/// As for a layout: the folder of an archive is made, and only where the build succeeds.
#[test]
fn an_archive_makes_its_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("app")).expect("a folder");
    std::fs::write(folder.path().join("app/file"), "x").expect("a file");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let build = |source: &str| {
        let (layer, output) = (format!("{}:/x", path(source)), path("to/dist/image.tar"));
        dockless(&["build", "--layer", &layer, "-p", "linux/amd64", "-o", &output]).status.code()
    };
    assert_eq!(build("nothing"), Some(2));
    assert!(!folder.path().join("to").exists());
    assert_eq!(build("app"), Some(0));
    let names = |folder: &Path| std::fs::read_dir(folder).expect("a folder").count();
    assert_eq!((names(&folder.path().join("to/dist")), folder.path().join("to/dist/image.tar").is_file()), (1, true));
}

#[test]
fn help_of_every_command() {
    golden("dockless.txt", told(&dockless(&["--help"])));
    for command in COMMANDS {
        golden(&format!("{command}.txt"), told(&dockless(&[command, "--help"])));
    }
}

#[test]
fn no_command_is_wrong_usage() {
    let output = dockless(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: dockless"));
}

#[test]
fn the_version_is_a_result() {
    let output = dockless(&["--version"]);
    let expected = format!("dockless {}\n--- stderr\n--- exit code 0\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(told(&output), expected);
}

#[test]
fn wrong_usage_says_what_is_wrong() {
    let wrong: &[&[&str]] = &[
        &["bulid"],
        &["build", "-p", "linux/x86_64"],
        &["build", "-p", "linux/riscv64"],
        &["build", "--push"],
        &["build", "-t", "example.com/App"],
        &["build", "--chunk-size", "10M"],
        &["build", "--compression", "gzip:99"],
        &["build", "--layer", "aarch64=rootfs"],
        &["build", "recipe", "--layer", "rootfs"],
        &["build", "-j", "0"],
        &["build", "-q", "-v"],
        &["build", "--env", "NAME"],
        &["build", "-o", "type=docker,dest=image.tar"],
        &["render", "task-definition.json", "--image", "registry.example.com/app:v1"],
        &["init", "--stdout", "-o", "recipe.toml"],
        &["init", "--build-arg", "NAME"],
        &["push", "oci"],
        &["verify"],
        &["verify", "oci"],
        &["verify", "oci", "--explain", "platform-missing"],
        &["verify", "oci", "--task-definition", "t.json", "--architecture", "arm64"],
        &["serve", "--listen", "0.0.0.0:5000"],
    ];
    let told: Vec<_> = wrong
        .iter()
        .map(|words| {
            let output = dockless(words);
            assert_eq!(output.status.code(), Some(2), "{words:?}");
            format!("$ dockless {}\n{}", words.join(" "), told(&output))
        })
        .collect();
    golden("usage-errors.txt", told.join("\n"));
}

#[test]
fn a_port_that_is_taken_leads_to_a_free_one() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let layout = folder.path().join("oci").display().to_string();
    let output = dockless(&["serve", &layout, "--listen", &address]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--listen 127.0.0.1:0 takes a free port"), "{stderr}");
}

#[test]
fn a_wrong_environment_is_a_failure() {
    let output = dockless_with(&["check", "oci"], &[("SOURCE_DATE_EPOCH", "yesterday")]);
    let expected = "\
--- stderr
error: SOURCE_DATE_EPOCH is \"yesterday\": expected whole seconds since 1970-01-01, such as 1767225600
--- exit code 2
";
    assert_data_eq!(told(&output), expected);
}

#[test]
fn colour_is_asked_for_or_absent() {
    let wrong = [("SOURCE_DATE_EPOCH", "x")];
    let colored = |output: Output| output.stderr.contains(&0x1b);
    assert!(!colored(dockless_with(&["check", "oci"], &wrong)));
    assert!(colored(dockless_with(&["check", "oci", "--color", "always"], &wrong)));
    let forced = [("SOURCE_DATE_EPOCH", "x"), ("CLICOLOR_FORCE", "1")];
    assert!(!colored(dockless_with(&["check", "oci", "--color", "never"], &forced)));
}

/// A verdict on no task was that everything runs.
#[test]
fn a_source_without_a_task_definition_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir(folder.path().join("infra")).expect("a folder");
    let absent = "module \"app\" {\n  source = \"example/app/aws\"\n}\n";
    std::fs::write(folder.path().join("infra/main.tf"), absent).expect("a file");
    let plan = r#"{"format_version": "1.2", "terraform_version": "1.9.0", "planned_values": {"root_module": {}}}"#;
    std::fs::write(folder.path().join("plan.json"), plan).expect("a file");
    for source in [path("infra"), path("plan.json")] {
        for words in [&["verify", "oci", "--task-definition", source.as_str()][..], &["targets", source.as_str()]] {
            let said = told(&dockless(words));
            assert!(said.contains(&format!("{source} holds no task definition")), "{said}");
            assert!(said.ends_with("exit code 2\n"), "{said}");
        }
    }
}

/// `verify … | head -c 0` was done, whatever the verdict.
#[test]
fn a_stdout_that_nobody_reads_changes_no_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |words: &[&str]| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockless"));
        command.args(words).env_clear().current_dir(folder.path()).stdout(writer);
        let said = command.output().expect("the binary runs");
        let stderr = String::from_utf8(said.stderr).expect("text");
        assert!(!stderr.contains("ipe"), "{stderr}");
        said.status.code()
    };
    std::fs::write(folder.path().join("x"), "x").expect("a file");
    let task = r#"{"family":"f","requiresCompatibilities":["FARGATE"],"cpu":"256","memory":"512","networkMode":"awsvpc",
        "containerDefinitions":[{"name":"app","image":"example.com/app:v1"}]}"#;
    std::fs::write(folder.path().join("task.json"), task).expect("a file");
    let build = ["build", "--layer", "x:/x", "-p", "linux/arm64"];
    assert_eq!(run(&build), Some(0));
    let gate = ["--task-definition", "task.json"];
    for words in [&[&build[..], &gate].concat()[..], &[&["verify", "oci"][..], &gate].concat()] {
        assert_eq!(run(words), Some(1), "{words:?}");
        assert_eq!(run(&[words, &["--json"]].concat()), Some(1), "{words:?}");
    }
    let sarif = [&["verify", "oci", "--sarif", "-"][..], &gate].concat();
    assert_eq!(run(&sarif), Some(1));
    assert_eq!(run(&["check", "oci"]), Some(0));
    let blobs = std::fs::read_dir(folder.path().join("oci/blobs/sha256")).expect("a folder");
    let largest =
        blobs.map(|blob| blob.expect("a blob").path()).max_by_key(|blob| blob.metadata().expect("a file").len());
    std::fs::write(largest.expect("a blob"), "damaged").expect("a file");
    for words in [&["check", "oci"][..], &["check", "oci", "--json"]] {
        assert_eq!(run(words), Some(1), "{words:?}");
    }
}

/// Terraform takes `-var` and `-var-file` in the order in which they stand.
#[test]
fn of_var_and_var_file_the_last_one_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let main = "variable \"arch\" {}\nresource \"aws_ecs_task_definition\" \"t\" {\n  family = \"t\"\n  \
                container_definitions = \"[]\"\n  runtime_platform {\n    cpu_architecture = var.arch\n  }\n}\n";
    std::fs::write(folder.path().join("main.tf"), main).expect("a file");
    std::fs::write(folder.path().join("prod.vars"), "arch = \"X86_64\"\n").expect("a file");
    let (flag, file) = (["--var", "arch=ARM64"], ["--var-file", "prod.vars"]);
    for (words, wanted) in [([flag, file], "X86_64"), ([file, flag], "ARM64")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockless"));
        command.args(["targets", ".", "--json"]).args(words.concat()).env_clear().current_dir(folder.path());
        let said = String::from_utf8(command.output().expect("the binary runs").stdout).expect("text");
        assert!(said.contains(&format!("\"architecture\": \"{wanted}\"")), "{words:?}: {said}");
    }
}

/// A folder that is not there was asked for at Docker Hub, and a registry alone was taken for a repository there.
#[test]
fn a_mistyped_path_and_a_registry_alone_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("x"), "x").expect("a file");
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockless"));
        command.args(words).env_clear().current_dir(folder.path());
        let hub = ("DOCKLESS_REGISTRY_ENDPOINT", "docker.io=http://127.0.0.1:1");
        let output = command.envs([hub, ("AWS_EC2_METADATA_DISABLED", "true")]).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(2), "{output:#?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let help = "  help: if a path is meant: there is no file or folder build/oci\n";
    assert!(run(&["inspect", "build/oci"]).ends_with(help));
    assert!(!run(&["inspect", "docker://build/oci"]).contains("if a path is meant"));
    let ecr = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    for (words, registry) in [
        (&["doctor", "ecr", ecr][..], ecr),
        (&["push", "oci", "localhost:5602"], "localhost:5602"),
        (&["build", "--layer", "x:/x", "-t", ecr], ecr),
        (&["inspect", "localhost:5602"], "localhost:5602"),
    ] {
        let said = run(words);
        let expected = format!("names a registry, but no repository: expected {registry}/REPOSITORY:TAG");
        assert!(said.contains(&expected), "{said}");
    }
}
