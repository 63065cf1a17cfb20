//! What is found out before a build: repositories, tags, whose credentials these are.

use super::scripted::{Scripted, identity, refused, token};
use super::stage::{HOST, KEYS, Stage};

#[test]
fn a_mistyped_repository_is_told_before_the_build() {
    let stage = Stage::new();
    let said = stage.push("team/ap:v1", &[], &KEYS).with_code(2);
    let expected = "error: there is no repository \"team/ap\" in account 123456789012 in eu-central-1\n  help: did you \
                    mean team/app? Otherwise create it with `aws ecr create-repository --repository-name team/ap \
                    --region eu-central-1`, or let --create-repository do it\n";
    assert_eq!(said.stderr, expected);
    assert!(!stage.folder.path().join("oci").exists(), "nothing is built");
    assert!(stage.requests().is_empty(), "nothing is asked of the registry");
}

#[test]
fn a_repository_is_created_as_it_is_asked_for() {
    let stage = Stage::new();
    let flags = ["--create-repository", "--scan-on-push", "--immutable-tags", "--keep-images", "30"];
    let said = stage.push("team/new:v1", &flags, &KEYS).done();
    assert!(said.stderr.contains("created the repository team/new\n"), "{said:#?}");
    let reference = format!("{HOST}/team/new:v1");
    let doctor = stage.run(&["doctor", "ecr", &reference], &KEYS).done();
    assert!(doctor.stdout.contains("imageTagMutability: IMMUTABLE"), "{doctor:#?}");
    assert!(doctor.stdout.contains("scanOnPush: true"), "{doctor:#?}");
    // There already: nothing is created, and nothing is changed.
    let said = stage.push("team/new:v2", &["--create-repository"], &KEYS).done();
    assert!(!said.stderr.contains("created"), "{said:#?}");
}

/// A registry that refuses everything that `iam-policy push` with these flags does not allow.
fn least(flags: &[&str]) -> Stage {
    let reference = format!("{HOST}/team/new");
    let said = Stage::new().run(&[&["iam-policy", "push", &reference], flags].concat(), &[]).done();
    let every = [
        "BatchDeleteImage",
        "CreateRepository",
        "DeleteRepository",
        "DescribeImages",
        "DescribeRegistry",
        "DescribeRepositories",
        "DescribeRepositoryCreationTemplates",
        "GetAccountSetting",
        "GetDownloadUrlForLayer",
        "GetLifecyclePolicy",
        "ListImages",
        "PutAccountSetting",
        "PutImageTagMutability",
        "PutLifecyclePolicy",
    ];
    let refused = every.iter().filter(|action| !said.stdout.contains(&format!("\"ecr:{action}\"")));
    let faults: Vec<String> = refused.map(|action| format!("deny=ecr:{action}")).collect();
    Stage::with(&faults.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn the_policy_for_creating_is_enough_to_create() {
    let flags = ["--create-repository", "--scan-on-push", "--immutable-tags", "--keep-images", "30"];
    let said = least(&["--create-repository"]).push("team/new:v1", &flags, &KEYS).done();
    assert!(said.stderr.contains("created the repository team/new\n"), "{said:#?}");
}

#[test]
fn the_policy_for_looking_first_is_enough_to_see_what_is_missing() {
    let said = least(&["--preflight"]).push("team/new:v1", &[], &KEYS).with_code(2);
    assert!(said.stderr.starts_with("error: there is no repository \"team/new\""), "{said:#?}");
}

#[test]
fn what_is_kept_is_a_lifecycle_policy() {
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "ecr:GetAuthorizationToken" => (200, token("any")),
        "sts:GetCallerIdentity" => (200, identity("123456789012")),
        "ecr:DescribeRepositories" => refused("RepositoryNotFoundException", "no such repository"),
        _ => (200, "{}".into()),
    });
    let stage = Stage::with(&["anonymous"]);
    let variables = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", cloud.url.as_str())];
    stage.push("team/app:v1", &["--create-repository", "--keep-images", "30"], &variables).done();
    let asked = cloud.asked();
    let body = |what: &str| asked.iter().find(|asked| asked.what == what).expect(what).body.clone();
    assert!(body("ecr:CreateRepository").contains(r#""registryId":"123456789012""#));
    assert!(body("ecr:PutLifecyclePolicy").contains(r#"\"countNumber\":30"#), "{}", body("ecr:PutLifecyclePolicy"));
}

#[test]
fn no_repository_is_created_for_an_image_that_does_not_run() {
    let stage = Stage::new();
    stage.write(
        "task.json",
        r#"{"family":"app","requiresCompatibilities":["FARGATE"],"runtimePlatform":{"cpuArchitecture":"ARM64"},
            "containerDefinitions":[{"name":"app","image":"app"}]}"#,
    );
    let flags = ["--create-repository", "--task-definition", "task.json"];
    stage.push("team/new:v1", &flags, &KEYS).with_code(1);
    let said = stage.push("team/new:v1", &[], &KEYS).with_code(2);
    assert!(said.stderr.contains("there is no repository \"team/new\""), "{said:#?}");
}

#[test]
fn a_template_that_creates_on_push_is_respected() {
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "ecr:GetAuthorizationToken" => (200, token("any")),
        "sts:GetCallerIdentity" => (200, identity("123456789012")),
        "ecr:DescribeRepositoryCreationTemplates" => {
            let template = r#"{"prefix":"team","appliedFor":["CREATE_ON_PUSH"]}"#;
            (200, format!(r#"{{"repositoryCreationTemplates":[{template}]}}"#))
        }
        _ => refused("RepositoryNotFoundException", "no such repository"),
    });
    let stage = Stage::with(&["anonymous"]);
    let variables = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", cloud.url.as_str())];
    let said = stage.push("team/app:v1", &[], &variables).done();
    assert!(said.stderr.contains("the push creates it by a template"), "{said:#?}");
    let said = stage.push("teams/app:v1", &[], &variables).with_code(2);
    assert!(said.stderr.contains("there is no repository"), "{said:#?}");
}

#[test]
fn what_may_not_be_asked_is_no_failure() {
    let stage = Stage::with(&["deny=ecr:DescribeRepositories"]);
    stage.push("team/app:v1", &[], &KEYS).done();
    let said = stage.push("team/other:v1", &[], &KEYS).with_code(2);
    assert!(said.stderr.contains("NAME_UNKNOWN"), "the registry has the last word: {said:#?}");
}

#[test]
fn a_tag_that_cannot_be_moved_is_told_before_anything_is_sent() {
    let stage = Stage::with(&["immutable=dev-*"]);
    stage.push("team/app:v1", &[], &KEYS).done();
    stage.push("team/app:dev-1", &[], &KEYS).done();
    stage.push("team/app:v1", &[], &KEYS).done();
    stage.write("app/file", "other content");
    stage.requests();
    let said = stage.push("team/app:v1", &[], &KEYS).with_code(2);
    assert!(said.stderr.contains("its tags are immutable"), "{said:#?}");
    let requests = stage.requests();
    assert!(requests.iter().all(|request| request.starts_with("HEAD") || request.contains(" 401")), "{requests:#?}");
    stage.push("team/app:dev-1", &[], &KEYS).done();
}

#[test]
fn another_account_and_another_region_are_warnings() {
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "ecr:GetAuthorizationToken" => (200, token("any")),
        "sts:GetCallerIdentity" => (200, identity("999999999999")),
        _ => refused("AccessDeniedException", "no"),
    });
    let stage = Stage::with(&["anonymous"]);
    let variables = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", cloud.url.as_str()), ("AWS_REGION", "us-east-1")];
    let said = stage.push("team/app:v1", &[], &variables).done();
    assert!(said.stderr.contains("warning: the credentials are of account 999999999999"), "{said:#?}");
    assert!(said.stderr.contains("warning: AWS_REGION is us-east-1, but"), "{said:#?}");
}

#[test]
fn a_part_below_the_least_is_refused_before_the_build() {
    let stage = Stage::new();
    let said = stage.push("team/app:v1", &["--chunk-size", "1MiB"], &KEYS).with_code(2);
    assert!(said.stderr.contains("leave out --chunk-size, or give 5MiB at least"), "{said:#?}");
    assert!(!stage.folder.path().join("oci").exists(), "nothing is built");
}

#[test]
fn repositories_are_created_at_ecr_only() {
    let stage = Stage::new();
    let words = ["build", "--layer", "app:/app", "-p", "linux/amd64", "-t", "localhost:1/app", "--push"];
    let said = stage.run(&[&words[..], &["--create-repository"]].concat(), &KEYS).with_code(2);
    assert!(said.stderr.contains("--create-repository is for repositories of Amazon ECR"), "{said:#?}");
}
