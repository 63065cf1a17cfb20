//! What an earlier run wrote, and what only looks like it.

use dockless::serve::fault::{Action, Fault};
use dockless::serve::route::Endpoint;
use hyper::Method;

use super::project::Project;
use super::registry::Registry;

const DIGEST: &str = "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945";

/// A task definition by digest: written by hand, or rendered.
fn rendered() -> String {
    let image = format!("localhost/app@{DIGEST}");
    format!(r#"{{"family":"app","containerDefinitions":[{{"name":"app","image":"{image}"}}]}}"#)
}

fn references() -> String {
    format!("localhost/app@{DIGEST}\n")
}

fn report() -> String {
    format!(r#"{{"version":1,"digest":"{DIGEST}","references":[],"platforms":[],"uploads":[]}}"#)
}

const TERRAFORM: &str = r#"
resource "aws_ecs_task_definition" "app" {
  family                = "app"
  container_definitions = jsonencode(jsondecode(file("${path.module}/td.json")).containerDefinitions)
}
"#;

/// It was removed as the record of an earlier run, before anybody knew who reads it.
#[test]
fn a_task_definition_that_a_source_reads_stays() {
    let project = Project::programs();
    project.run(&["build", "-q"]).done();
    project.write("infra/main.tf", TERRAFORM).write("infra/td.json", rendered());
    let build = ["build", "--task-definition", "infra", "--rehearse", "-t", "localhost/app:1"];
    let build = |flag| build.into_iter().chain([flag, "infra/td.json"]).collect::<Vec<_>>();
    let verify = vec!["verify", "oci", "--task-definition", "infra", "--sarif", "infra/td.json"];
    let push = vec!["push", "oci", "localhost:1/app:1", "--task-definition", "infra", "--image-refs", "infra/td.json"];
    let render = vec!["render", "infra", "--for", "terraform", "--image", "app=localhost/app:1", "-o", "infra/td.json"];
    let all = [build("--render"), build("--report"), build("--image-refs"), verify, push, render];
    for words in &all {
        let said = project.run(words).with_code(2);
        let told = ["infra/td.json: that is a file of the task definition, infra, which would be lost", "is Terraform"];
        assert!(told.iter().any(|told| said.stderr.contains(told)), "{said:#?}");
        assert_eq!(project.text("infra/td.json"), rendered(), "{words:?}");
    }
    // Nobody knows what a configuration reads that cannot be read.
    project.write("infra/main.tf", format!("{TERRAFORM}\n}}\n"));
    for words in &all {
        project.run(words).with_code(2);
        assert_eq!(project.text("infra/td.json"), rendered(), "{words:?}");
    }
}

/// `containerDefinitions` and a digest made a record of it, which may be replaced.
#[test]
fn a_configuration_that_names_a_digest_is_no_task_definition() {
    let project = Project::programs();
    let source = format!("{TERRAFORM}# {DIGEST}, as in a@{DIGEST}\n");
    project.write("infra/main.tf", &source).write("infra/td.json", rendered());
    let words = ["build", "--task-definition", "infra", "--rehearse", "-t", "localhost/app:1", "--render"];
    let said = project.run(&words.into_iter().chain(["infra/main.tf"]).collect::<Vec<_>>()).with_code(2);
    assert!(said.stderr.contains("infra/main.tf: that is a file of the task definition"), "{said:#?}");
    assert_eq!(project.text("infra/main.tf"), source);
}

/// What is refused with a right recipe was removed with a wrong one.
#[test]
fn a_slip_in_the_recipe_takes_no_task_definition_away() {
    let project = Project::programs();
    let recipe = project.text("dockless.toml");
    project.write("td.json", rendered()).write("td2.json", rendered());
    let words = ["build", "--push", "-t", "localhost/app:1", "--render", "td.json"];
    let words: Vec<_> =
        words.into_iter().chain(["--task-definition", "td.json", "--task-definition", "td2.json"]).collect();
    let said = project.run(&words).with_code(2);
    assert!(said.stderr.contains("td.json: that is the task definition, which would be lost"), "{said:#?}");
    project.write("dockless.toml", format!("{recipe}tarr = \"oops\"\n"));
    let said = project.run(&words).with_code(2);
    assert!(said.stderr.contains("`tarr`"), "{said:#?}");
    assert_eq!(project.text("td.json"), rendered());
}

/// A reference of the day before was there after exit code 2, which a script deployed.
#[test]
fn whatever_fails_first_nothing_is_left_of_an_earlier_run() {
    let project = Project::programs();
    project.write("td.json", rendered()).write("td2.json", rendered());
    let files = ["refs", "rep", "out.json"];
    let fixed = ["--image-refs", "refs", "--render", "out.json", "--task-definition", "td.json"];
    let build = ["build", "--push", "-t", "127.0.0.1:1/app:1"];
    for (slip, variables, kept) in [
        (&["--report", "rep", "-o", "img.tar.gz"][..], &[][..], ""),
        (&["--report", "rep", "--user", "a b c:d:e"], &[], ""),
        (&["--report", "rep", "--config", "{nothing}.json"], &[], ""),
        (&["--report", "nodir/rep"], &[], "rep"),
        (&["--report", "td.json"], &[], "rep"),
        (&["--report", "rep", "--task-definition", "nowhere.json"], &[], ""),
        (&["--report", "rep"], &[("SOURCE_DATE_EPOCH", "abc")], ""),
    ] {
        project.write("refs", references()).write("rep", report()).write("out.json", rendered());
        let words: Vec<_> = build.into_iter().chain(fixed).chain(slip.iter().copied()).collect();
        project.run_with(&words, variables).with_code(2);
        let left: Vec<_> = files.into_iter().filter(|file| project.at(file).exists() && *file != kept).collect();
        assert!(left.is_empty(), "{slip:?}: {left:?}");
    }
    let image = "app=127.0.0.1:1/app:1";
    for (words, file, content) in [
        (
            &["push", "oci", "127.0.0.1:1/app:1", "--report", "nodir/rep", "--image-refs", "refs"][..],
            "refs",
            references(),
        ),
        (&["render", "td.json", "--image", image, "-o", "out.json", "--target", "x"], "out.json", rendered()),
    ] {
        project.write(file, content);
        project.run(words).with_code(2);
        assert!(!project.at(file).exists(), "{words:?}");
    }
}

/// Only what lies in the configuration's folder may be part of it.
#[test]
fn values_beside_a_configuration_are_removed_and_those_within_stay() {
    let project = Project::new();
    let values = format!(r#"{{"image":"localhost/app@{DIGEST}"}}"#);
    project.write(
        "infra/main.tf",
        r#"
variable "image" {}
resource "aws_ecs_task_definition" "app" {
  family                = "app"
  container_definitions = jsonencode([{ name = "app", image = var.image }])
}
"#,
    );
    let words = |file| ["render", "infra", "--for", "terraform", "--image", "app=127.0.0.1:1/app:v1", "-o", file];
    for (file, is_left) in [("out.tfvars.json", false), ("infra/image.auto.tfvars.json", true)] {
        project.write(file, &values);
        project.run(&words(file)).with_code(2);
        assert_eq!(project.at(file).exists(), is_left, "{file}");
    }
    project.write("infra/main.tf", "resource {\n");
    for (file, is_left) in [("out.tfvars.json", false), ("infra/image.auto.tfvars.json", true)] {
        project.write(file, &values);
        project.run(&words(file)).with_code(2);
        assert_eq!(project.at(file).exists(), is_left, "{file}");
    }
}

/// Only that the report cannot be written was said.
#[test]
fn why_a_push_failed_is_told_also_where_the_report_cannot_be_written() {
    let denied = Action::Status { status: 403, retry_after: None };
    let denied = || vec![Fault::first(Method::PUT, Endpoint::Manifest, denied.clone())];
    let registries = [Registry::with(denied()), Registry::with(denied())];
    let project = Project::programs();
    project.run(&["build", "-q"]).done();
    // To a socket nothing is written, and that is found out when it is tried.
    let _socket = std::os::unix::net::UnixListener::bind(project.at("socket")).expect("a socket");
    let [one, two] = registries.each_ref().map(|registry| registry.reference("app:1"));
    for words in
        [&["push", "oci", &one, "--report", "socket"][..], &["build", "--push", "-t", &two, "--report", "socket"]]
    {
        let said = project.run(words).with_code(2);
        let (warning, error) = (said.stderr.find("warning: cannot write socket: "), said.stderr.find("error: "));
        assert!(warning.is_some() && warning < error, "{said:#?}");
        assert!(said.stderr.contains("403"), "{said:#?}");
    }
}

/// `--json` was, and a report on stdout was not.
#[test]
fn a_report_on_stdout_has_no_command_of_the_runner() {
    let project = Project::programs();
    let words = ["build", "-q", "--entrypoint", "##[add-mask]x", "--report", "-"];
    let said = project.run(&words);
    assert!(said.json()["findings"].to_string().contains("##[add-mask]x"), "{said:#?}");
    assert!(!said.stdout.contains("##["), "{said:#?}");
    let words = ["build", "-q", "--entrypoint", "##[add-mask]x", "--report", "report.json"];
    project.run(&words);
    assert_eq!(project.text("report.json"), said.stdout);
    // The values that a template takes are a document of ours as well.
    project.write(
        "template.json",
        r###"{"Parameters": {"##[error]P": {"Type": "String"}}, "Resources": {"T": {
        "Type": "AWS::ECS::TaskDefinition", "Properties": {
        "ContainerDefinitions": [{"Name": "app", "Image": {"Ref": "##[error]P"}}]}}}}"###,
    );
    let image = format!("app=localhost/app@{DIGEST}");
    let said = project.run(&["render", "template.json", "--for", "cloudformation", "--image", &image]).done();
    assert_eq!(said.json()[0]["ParameterKey"], "##[error]P");
    assert!(!said.stdout.contains("##["), "{said:#?}");
}
