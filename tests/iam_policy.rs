//! `dockless iam-policy` as people meet it: its help, and each policy. `SNAPSHOTS=overwrite` renews the golden files in
//! `testdata/cli`.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use snapbox::{Data, assert_data_eq};

const APP: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app";

fn dockless(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockless"));
    command.arg("iam-policy").args(words).env_clear().output().expect("the binary runs")
}

/// The command, its output, errors and exit code in one text.
fn told(words: &[&str]) -> String {
    let output = dockless(words);
    let status = output.status.code().map_or("a signal".into(), |code| code.to_string());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("$ dockless iam-policy {}\n{stdout}--- stderr\n{stderr}--- exit code {status}\n\n", words.join(" "))
}

fn golden(name: &str, text: String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cli").join(name);
    assert_data_eq!(text, Data::read_from(&path, None).raw());
}

const HERE: [&str; 4] = ["--account", "123456789012", "--region", "eu-central-1"];

fn policies() -> Vec<Vec<&'static str>> {
    let github = ["github-trust", "--account", "123456789012", "--github", "Acme/app"];
    vec![
        vec!["push", APP],
        vec!["push", APP, "--create-repository", "--preflight", "--mount-from", "base/python"],
        [&["push", "--repository", "team/*", "--repository", "base"], &HERE[..]].concat(),
        vec!["push", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/app:v1"],
        vec!["push", APP, "210987654321.dkr.ecr-fips.us-east-1.amazonaws.com/app"],
        vec!["verify", APP],
        [&["verify", "--service", "main/web"], &HERE[..]].concat(),
        [&["deploy", "--service", "main/web", "--pass-role", "web-task"], &HERE[..]].concat(),
        [
            &["deploy", "--service", "main/web", "--service", "main/jobs", "--partition", "aws"][..],
            &["--pass-role", "arn:aws:iam::123456789012:role/service-role/ecsTaskExecutionRole"],
            &HERE,
        ]
        .concat(),
        [&github[..], &["--branch", "main"]].concat(),
        [&github[..], &["--environment", "production", "--org-id", "12", "--repo-id", "34"]].concat(),
        [&github[..], &["--branch", "release/*", "--tag", "v*", "--partition", "aws-us-gov"]].concat(),
    ]
}

#[test]
fn help_of_every_policy() {
    let words: [&[&str]; 5] =
        [&["--help"], &["push", "--help"], &["verify", "--help"], &["deploy", "--help"], &["github-trust", "--help"]];
    golden("iam-policy.txt", words.map(told).concat());
}

#[test]
fn each_policy_is_ready_to_paste() {
    golden("iam-policy-documents.txt", policies().iter().map(|words| told(words)).collect());
}

#[test]
fn no_policy_is_wider_than_its_task() {
    // The actions for which IAM knows no resource, or none smaller than the registry.
    let anywhere = [
        "ecr:GetAuthorizationToken",
        "ecr:DescribeRepositoryCreationTemplates",
        "ecs:DescribeTaskDefinition",
        "ecs:RegisterTaskDefinition",
    ];
    for words in policies() {
        let output = dockless(&words);
        let policy: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(policy["Version"], "2012-10-17");
        for statement in policy["Statement"].as_array().expect("statements") {
            let list = |key: &str| match &statement[key] {
                Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                Value::String(one) => vec![one.clone()],
                _ => Vec::new(),
            };
            let (actions, resources) = (list("Action"), list("Resource"));
            assert!(!actions.is_empty() && actions.iter().all(|action| !action.contains('*')), "{statement}");
            if resources.iter().any(|resource| resource == "*") {
                assert!(actions.iter().all(|action| anywhere.contains(&action.as_str())), "{statement}");
            }
            assert!(resources.iter().all(|one| one == "*" || one.starts_with("arn:aws")), "{statement}");
            if actions.iter().any(|action| action == "iam:PassRole") {
                assert_eq!(statement["Condition"]["StringEquals"]["iam:PassedToService"], "ecs-tasks.amazonaws.com");
            }
        }
    }
}

#[test]
fn wrong_usage_says_what_is_wrong() {
    let wrong: [&[&str]; 12] = [
        &["push"],
        &["push", "registry.example.com/app"],
        &["push", "public.ecr.aws/a1b2/app"],
        &["push", APP, "123456789012.dkr.ecr.us-gov-west-1.amazonaws.com/app"],
        &["push", "--repository", "app"],
        &["push", "--repository", APP],
        &["push", APP, "--region", "eu-west-1"],
        &["push", APP, "--account", "12345"],
        &["deploy", "--service", "web", "--account", "123456789012", "--region", "eu-central-1"],
        &["github-trust", "--account", "123456789012", "--github", "acme/app"],
        &["github-trust", "--account", "123456789012", "--github", "acme/*", "--branch", "main"],
        &["github-trust", "--account", "123456789012", "--github", "acme/app", "--branch", "main", "--org-id", "1"],
    ];
    let told: String = wrong
        .iter()
        .map(|words| {
            assert_eq!(dockless(words).status.code(), Some(2), "{words:?}");
            told(words)
        })
        .collect();
    golden("iam-policy-errors.txt", told);
}
