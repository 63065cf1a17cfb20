//! `doctor ecr` as it is printed.

use std::path::Path;

use snapbox::{Data, assert_data_eq};

use super::scripted::{Scripted, identity, refused, token};
use super::stage::{HOST, KEYS, Stage};

fn golden(name: &str, text: String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/doctor").join(name);
    assert_data_eq!(text, Data::read_from(&path, None).raw());
}

fn reference(name: &str) -> String {
    format!("{HOST}/{name}")
}

#[test]
fn all_is_well() {
    let stage = Stage::with(&["immutable"]);
    stage.push("team/app:v1", &[], &KEYS).done();
    // The digest of the image is golden elsewhere.
    let said = stage.run(&["doctor", "ecr", &reference("team/app:v2")], &KEYS).done();
    golden("well.txt", said.told());
    let taken = stage.run(&["doctor", "ecr", &reference("team/app:v1")], &KEYS).done();
    assert!(taken.stdout.contains("and cannot be moved"), "{taken:#?}");
}

#[test]
fn no_credentials_at_all() {
    let stage = Stage::new();
    golden("no-credentials.txt", stage.run(&["doctor", "ecr", &reference("team/app:v1")], &[]).with_code(1).told());
}

#[test]
fn a_repository_that_is_not_there() {
    let stage = Stage::new();
    let region = [KEYS[0], KEYS[1], ("AWS_REGION", "us-east-1")];
    golden("missing.txt", stage.run(&["doctor", "ecr", &reference("team/ap")], &region).with_code(1).told());
}

#[test]
fn a_push_that_is_not_allowed() {
    let stage = Stage::with(&["deny=ecr:InitiateLayerUpload", "deny=ecr:DescribeRepositories", "deny=ecr:ListImages"]);
    golden("denied.txt", stage.run(&["doctor", "ecr", &reference("team/app:v1")], &KEYS).with_code(1).told());
}

#[test]
fn credentials_of_another_account() {
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "ecr:GetAuthorizationToken" => (200, token("any")),
        "sts:GetCallerIdentity" => (200, identity("999999999999")),
        _ => refused("AccessDeniedException", "no"),
    });
    let stage = Stage::with(&["anonymous"]);
    let variables = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", cloud.url.as_str())];
    golden("stranger.txt", stage.run(&["doctor", "ecr", &reference("team/app:v1")], &variables).done().told());
}

/// moto answers what it does not know with a page of HTML and 500, which the SDK would ask for three times.
#[test]
fn an_imitation_that_does_not_know_a_call_is_asked_once() {
    let page = "<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>";
    let cloud = Scripted::new(move |asked| match asked.what.as_str() {
        "ecr:GetAuthorizationToken" => (200, token("any")),
        "sts:GetCallerIdentity" => (200, identity("123456789012")),
        "ecr:DescribeRepositories" => (200, r#"{"repositories":[{"repositoryName":"team/app"}]}"#.into()),
        "ecr:ListImages" => (503, page.into()),
        _ => (500, page.into()),
    });
    let stage = Stage::with(&["anonymous"]);
    let variables = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", cloud.url.as_str())];
    let said = stage.run(&["doctor", "ecr", &reference("team/app:v1")], &variables).done();
    let mounting = "skipped  mounting     ecr:GetAccountSetting: the answer is 500, and none of AWS's";
    assert!(said.stdout.contains(mounting), "{said:#?}");
    assert!(!said.told().contains("html"), "{said:#?}");
    let asked = |what: &str| cloud.operations().iter().filter(|operation| *operation == what).count();
    assert_eq!(asked("ecr:GetAccountSetting"), 1);
    assert_eq!(asked("ecr:ListImages"), 3, "what a gateway says is asked again");
}

#[test]
fn the_self_test_leaves_nothing_behind() {
    let stage = Stage::new();
    let said = stage.run(&["doctor", "ecr", "--self-test", "--quiet", &reference("team/app")], &KEYS).done();
    let lines: Vec<&str> = said.stdout.lines().filter(|line| line.starts_with("ok")).collect();
    let tested: Vec<&str> = lines.iter().map(|line| line.split_whitespace().nth(1).expect("a check")).collect();
    assert_eq!(tested[tested.len() - 4..], ["upload", "again", "read", "delete"]);
    let requests = stage.requests();
    let parts = requests.iter().filter(|request| request.starts_with("PATCH")).count();
    assert_eq!(parts, 2, "two whole parts, the rest with the final PUT: {requests:#?}");
    let index = std::fs::read_to_string(stage.folder.path().join("registry/index.json")).expect("an index");
    assert!(!index.contains("self-test"), "{index}");
}

#[test]
fn the_self_test_tells_what_it_may_not_do() {
    let stage = Stage::with(&["deny=ecr:BatchDeleteImage"]);
    let said = stage.run(&["doctor", "ecr", "--self-test", "--quiet", &reference("team/app")], &KEYS).done();
    assert!(said.stdout.contains("warning  delete"), "{said:#?}");
    assert!(said.stdout.contains(&format!("delete {HOST}/team/app:dockless-self-test-")), "{said:#?}");
}

/// All was ok, and the push was refused.
#[test]
fn what_only_the_self_test_tries_is_said() {
    for action in ["ecr:PutImage", "ecr:CompleteLayerUpload"] {
        let stage = Stage::with(&[&format!("deny={action}")]);
        let said = stage.run(&["doctor", "ecr", &reference("team/app:v1")], &KEYS).done();
        let last = said.stdout.lines().last().expect("a line");
        assert!(last.starts_with("skipped  upload") && last.contains(action) && last.contains("--self-test"), "{last}");
        let said = stage.run(&["doctor", "ecr", "-q", "--self-test", &reference("team/app")], &KEYS).with_code(1);
        assert!(!said.stdout.contains("skipped") && said.stdout.contains("FAILED   upload"), "{said:#?}");
    }
}

/// The very name that was given was offered, and a command that creates it elsewhere.
#[test]
fn a_repository_of_the_credentials_account_is_told() {
    let stage = Stage::new();
    let other = HOST.replace("123456789012", "210987654321");
    let there = "team/app exists in 123456789012, the account of the credentials: correct the account in the reference";
    let said = stage.run(&["doctor", "ecr", &format!("{other}/team/app:v1")], &KEYS).with_code(1);
    let line =
        format!("FAILED   repository   team/app does not exist in account 210987654321\n{:22}help: {there}\n", "");
    assert!(said.stdout.contains(&line), "{said:#?}");
    let push = |name: &str| {
        let reference = format!("{other}/{name}:v1");
        let words = ["build", "--layer", "app:/app", "-p", "linux/amd64", "-t", &reference, "--push"];
        stage.run(&words, &KEYS).with_code(2).stderr
    };
    let expected = format!(
        "error: there is no repository \"team/app\" in account 210987654321 in eu-central-1\n  help: {there}\n"
    );
    assert!(push("team/app").ends_with(&expected), "{}", push("team/app"));
    let said = push("team/new");
    let create = "create it with credentials of 210987654321, by `aws ecr create-repository --repository-name team/new";
    assert!(said.contains("correct the account in the reference, or") && said.contains(create), "{said}");
    assert!(!said.contains("--create-repository do it"), "{said}");
}

/// The network was to blame.
#[test]
fn a_misspelled_region_is_told() {
    let stage = Stage::new();
    let nobody = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_MAX_ATTEMPTS", "1")];
    let reference = "123456789012.dkr.ecr.eu-centrl-1.amazonaws.com/team/app:v1";
    let said = stage.run(&["doctor", "ecr", reference], &nobody).with_code(1);
    let mut lines = said.stdout.lines().skip_while(|line| !line.starts_with("FAILED   token"));
    let help = lines.nth(1).expect("help");
    assert!(help.contains("eu-centrl-1 is no region that is known: eu-central-1 is probably meant"), "{said:#?}");
    let known = reference.replace("centrl", "central");
    let said = stage.run(&["doctor", "ecr", &known], &nobody).with_code(1);
    assert!(!said.stdout.contains("no region"), "{said:#?}");
}

#[test]
fn json_has_the_same_checks() {
    let stage = Stage::new();
    let said = stage.run(&["doctor", "ecr", "--json", &reference("team/app:v1")], &KEYS).done();
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(document["version"], 1);
    let checks: Vec<_> =
        document["checks"].as_array().expect("checks").iter().map(|one| one["check"].clone()).collect();
    let expected =
        ["registry", "credentials", "identity", "region", "token", "repository", "push", "tag", "mounting", "quota"];
    assert_eq!(checks[..checks.len() - 1], expected);
    assert_eq!(document["checks"][checks.len() - 1]["outcome"], "skipped");
}

#[test]
fn other_registries_are_no_patients() {
    let stage = Stage::new();
    let said = stage.run(&["doctor", "ecr", "ghcr.io/team/app"], &KEYS).with_code(2);
    assert!(said.stderr.contains("ghcr.io is not a registry of Amazon ECR"), "{said:#?}");
}

/// The first line that nobody took ended the checks, and all was well.
#[test]
fn what_nobody_reads_is_checked_all_the_same() {
    let stage = Stage::with(&["deny=ecr:InitiateLayerUpload"]);
    for flags in [&[][..], &["--json"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let reference = reference("team/app:v1");
        let words = [&["doctor", "ecr", &reference][..], flags].concat();
        let said = stage.command(&words).envs(KEYS).stdout(writer).output().expect("the binary runs");
        assert_eq!(said.status.code(), Some(1), "{said:#?}");
    }
}
