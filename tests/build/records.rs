//! What scripts read: result lines, JSON, the files of `--report` and `--image-refs`, GitHub's outputs.

use super::project::{Project, golden, without_digests};

#[test]
fn results_are_lines_and_nothing_else() {
    let project = Project::programs();
    let digest = project.run(&["build"]).done().line().to_owned();
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    let tags = ["-t", "example.com/app:v1", "-t", "example.com/app:v2", "-t", "other.example/team/app"];
    let words: Vec<&str> = ["build"].iter().chain(&tags).copied().collect();
    let said = project.run(&words).done();
    assert_eq!(said.stdout, format!("example.com/app@{digest}\nother.example/team/app@{digest}\n"));
    let words: Vec<&str> = ["build", "--quiet"].iter().chain(&tags).copied().collect();
    let quiet = project.run(&words).done();
    assert_eq!((quiet.stdout, quiet.stderr.as_str()), (said.stdout, ""));
}

#[test]
fn a_build_without_a_platform_says_which_it_takes() {
    let project = Project::new();
    project.write("app/x", "x");
    let said = project.run(&["build", "--layer", "app:/app"]).done();
    assert!(said.stderr.starts_with("building linux/amd64, since neither"), "{said:#?}");
    project.write(
        "task.json",
        r#"{"family":"f","runtimePlatform":{"cpuArchitecture":"ARM64"},"containerDefinitions":[]}"#,
    );
    let said = project.run(&["build", "--layer", "app:/app", "--task-definition", "task.json"]);
    assert!(said.stderr.contains("building linux/arm64, as the task definitions ask for"), "{said:#?}");
}

#[test]
fn nothing_is_built_for_a_windows_task() {
    let project = Project::new();
    project.write("app/x", "x");
    for architecture in ["", "\"cpuArchitecture\":\"X86_64\","] {
        let definition = format!(
            r#"{{"family":"f","runtimePlatform":{{{architecture}"operatingSystemFamily":"WINDOWS_SERVER_2022_CORE"}},"containerDefinitions":[]}}"#
        );
        project.write("task.json", definition);
        let said = project.run(&["build", "--layer", "app:/app", "--task-definition", "task.json"]).with_code(2);
        assert!(said.stderr.contains("platform windows/amd64 is not supported"), "{said:#?}");
    }
}

/// Each of these replaced what it named, and ended well.
#[test]
fn a_record_takes_nobodys_place() {
    let project = Project::programs();
    project.write("task.json", r#"{"family":"f","containerDefinitions":[]}"#);
    let recipe = project.text("dockless.toml");
    for (words, told) in [
        (&["--report", "dockless.toml"][..], "--report dockless.toml: that is the recipe, which would be lost"),
        (&["--report", "./bin/../task.json", "--task-definition", "task.json"], "that is the task definition"),
        (&["-o", "a.tar", "--report", "a.tar"], "--report a.tar: that is --output"),
        (&["--report", "r", "--image-refs", "./r"], "--image-refs ./r: that is --report"),
    ] {
        let words: Vec<&str> = ["build"].iter().chain(words).copied().collect();
        let said = project.run(&words).with_code(2);
        assert!(said.stderr.contains(told), "{said:#?}");
    }
    assert_eq!(project.text("dockless.toml"), recipe);
    project.run(&["build", "--report", "/dev/null", "--image-refs", "/dev/null"]).done();
}

#[test]
fn reports_are_files_or_output() {
    let project = Project::programs();
    project.write("outputs", "before=1\n");
    let words =
        ["build", "-q", "-t", "example.com/app:v1", "--report", "report.json", "--image-refs", "refs", "--json"];
    let said = project.run_with(&words, &[("GITHUB_OUTPUT", "outputs")]).done();
    let report = said.json();
    assert_eq!(said.stdout, project.text("report.json"), "the same document");
    let digest = report["digest"].as_str().expect("a digest");
    assert_eq!(project.text("refs"), format!("example.com/app@{digest}\n"));
    let outputs = project.text("outputs");
    assert!(outputs.starts_with("before=1\nimage<<end-"), "{outputs}");
    assert!(outputs.contains(&format!("\nexample.com/app@{digest}\n")), "{outputs}");
    assert!(outputs.contains(&format!("\n{digest}\n")), "{outputs}");
    golden("report.json", without_sizes(&without_digests(&said.stdout)));
}

/// A report without the sizes of compressed layers.
fn without_sizes(text: &str) -> String {
    let line = |line: &str| match line.split_once("\"size\": ") {
        Some((before, _)) => format!("{before}\"size\": [SIZE],\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn inspect_shows_what_is_there() {
    let project = Project::programs();
    project.run(&["build", "-q", "--compression", "none", "--env", "SECRET=hush"]).done();
    let said = project.run(&["inspect", "oci"]).done();
    assert!(!said.stdout.contains("hush"), "values may be secrets: {said:#?}");
    golden("inspect.txt", without_digests(&said.stdout));
}
