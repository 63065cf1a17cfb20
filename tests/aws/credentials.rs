//! Which credentials open ECR, in which order, and how they are found.

use dockless::serve::Settings;
use dockless::serve::auth::{Access, Credentials};
use dockless::serve::ecr::EcrSettings;
use dockless::serve::fault::named::Named;

use super::scripted::{Scripted, identity, refused, role, token};
use super::stage::{HOST, KEYS, Stage};

/// A registry that takes one password, the cloud being a script.
fn stage(password: &str) -> Stage {
    let ecr = EcrSettings { repositories: vec!["team/app".into()], ..EcrSettings::new("123456789012", "eu-central-1") };
    let credentials = Credentials { user: "AWS".into(), password: password.into() };
    Stage::over(|folder| Settings { access: Access::Basic(credentials), ..Settings::like_ecr(folder, ecr) })
}

#[test]
fn aws_credentials_open_the_registry() {
    Stage::new().push("team/app:v1", &[], &KEYS).done();
}

#[test]
fn without_aws_credentials_the_login_of_docker_is_taken() {
    let stage = stage("from-docker");
    stage.docker_login("AWS", "from-docker");
    let said = stage.push("team/app:v1", &["-v"], &[]).done();
    assert!(said.stderr.contains("using those of Docker"), "{said:#?}");
}

#[test]
fn denied_aws_credentials_give_way_to_the_login_of_docker() {
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "sts:GetCallerIdentity" => (200, identity("123456789012")),
        _ => refused("AccessDeniedException", "User: arn:aws:iam::123456789012:user/ci is not authorized"),
    });
    let stage = stage("from-docker");
    let denied = || [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", cloud.url.as_str())];
    stage.docker_login("AWS", "from-docker");
    stage.push("team/app:v1", &[], &denied()).done();
    let said = stage.push("team/app:v2", &["--credentials", "aws"], &denied()).with_code(2);
    assert!(said.stderr.contains("ecr:GetAuthorizationToken: AccessDeniedException"), "{said:#?}");
}

#[test]
fn aws_goes_before_docker_unless_it_is_told_not_to() {
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "ecr:GetAuthorizationToken" => (200, token("from-aws")),
        "sts:GetCallerIdentity" => (200, identity("123456789012")),
        _ => refused("AccessDeniedException", "no"),
    });
    let stage = stage("from-aws");
    stage.docker_login("AWS", "from-docker");
    let keys = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", cloud.url.as_str())];
    stage.push("team/app:v1", &[], &keys).done();
    let tokens = cloud.operations().iter().filter(|what| *what == "ecr:GetAuthorizationToken").count();
    assert_eq!(tokens, 1, "one token serves a whole push");
    let before = cloud.operations().len();
    let said = stage.push("team/app:v2", &["--credentials", "docker"], &keys).with_code(2);
    assert!(said.stderr.contains("401"), "{said:#?}");
    assert_eq!(cloud.operations().len(), before, "nobody asks AWS");
}

#[test]
fn a_stand_in_for_the_registry_alone_gets_no_token_of_aws() {
    let cloud = Scripted::new(|_| (200, token("from-aws")));
    let stage = stage("from-docker");
    stage.docker_login("AWS", "from-docker");
    for host in [HOST.to_owned(), HOST.to_ascii_uppercase(), HOST.replace("dkr", "Dkr")] {
        let mut command = stage.command(&["build", "--layer", "app:/app", "-p", "linux/amd64", "--push", "-t"]);
        command.arg(format!("{HOST}/team/app:v1")).envs(KEYS);
        command.env_remove("AWS_ENDPOINT_URL").env("AWS_ENDPOINT_URL_STS", &cloud.url);
        command.env("DOCKLESS_REGISTRY_ENDPOINT", format!("{host}={}", stage.url));
        assert!(command.status().expect("the binary runs").success(), "{host}");
    }
    assert!(cloud.operations().is_empty());
}

#[test]
fn what_gives_out_credentials_on_this_machine_is_not_asked_through_a_proxy() {
    let proxy = Scripted::new(|_| refused("ProxyException", "no"));
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "GET /credentials" => {
            let keys =
                r#"{"AccessKeyId":"ASIATASK","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}"#;
            (200, keys.into())
        }
        "GET /token?audience=sts.amazonaws.com" => (200, r#"{"value":"job.jwt.token"}"#.into()),
        "sts:AssumeRoleWithWebIdentity" => (200, role("AssumeRoleWithWebIdentity", "ASIAJOB", "s", "t")),
        "sts:GetCallerIdentity" => (200, identity("123456789012")),
        "ecr:GetAuthorizationToken" => (200, token("from-aws")),
        _ => refused("AccessDeniedException", "no"),
    });
    let stage = stage("from-aws");
    let (keys, job) = (format!("{}/credentials", cloud.url), format!("{}/token", cloud.url));
    let around = [("HTTP_PROXY", proxy.url.as_str()), ("HTTPS_PROXY", &proxy.url), ("AWS_ENDPOINT_URL", &cloud.url)];
    let task = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", keys.as_str())];
    stage.push("team/app:v1", &[], &[&around[..], &task].concat()).done();
    let job = [("ACTIONS_ID_TOKEN_REQUEST_URL", job.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token")];
    let role = ["--role", "arn:aws:iam::123456789012:role/ci"];
    stage.push("team/app:v2", &role, &[&around[..], &job].concat()).done();
    assert!(cloud.operations().contains(&"GET /credentials".to_owned()));
    assert!(proxy.operations().is_empty(), "{:?}", proxy.operations());
}

#[test]
fn a_denial_does_not_cost_credentials_that_are_given_out_once() {
    let given = std::sync::atomic::AtomicBool::new(false);
    let cloud = Scripted::new(move |asked| match asked.what.as_str() {
        "ecr:GetAuthorizationToken" if !given.swap(true, std::sync::atomic::Ordering::Relaxed) => {
            (200, token("from-aws"))
        }
        "sts:GetCallerIdentity" => (200, identity("123456789012")),
        _ => refused("AccessDeniedException", "no"),
    });
    let ecr = EcrSettings { repositories: vec!["team/app".into()], ..EcrSettings::new("123456789012", "eu-central-1") };
    let credentials = Credentials { user: "AWS".into(), password: "from-aws".into() };
    let stage = Stage::over(|folder| {
        let mut settings = Settings { access: Access::Basic(credentials), ..Settings::like_ecr(folder, ecr) };
        "deny=ecr:BatchGetImage".parse::<Named>().expect("a fault").apply(&mut settings).expect("ECR's");
        settings
    });
    let keys = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", cloud.url.as_str())];
    stage.push("team/app:v1", &["--credentials", "aws"], &keys).done();
}

#[test]
fn the_token_of_a_github_job_becomes_a_role() {
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "GET /token?job=1&audience=sts.amazonaws.com" => (200, r#"{"value":"job.jwt.token"}"#.into()),
        "sts:AssumeRoleWithWebIdentity" => {
            (200, role("AssumeRoleWithWebIdentity", "ASIAJOB", "job-secret", "job-session"))
        }
        "sts:GetCallerIdentity" => (200, identity("123456789012")),
        "ecr:GetAuthorizationToken" => (200, token("for-the-job")),
        _ => refused("AccessDeniedException", "no"),
    });
    let stage = stage("for-the-job");
    let request = format!("{}/token?job=1", cloud.url);
    let job = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", request.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token"),
        ("AWS_ENDPOINT_URL", cloud.url.as_str()),
        ("GITHUB_RUN_ID", "42"),
    ];
    let arn = "arn:aws:iam::123456789012:role/ci";
    stage.push("team/app:v1", &["--role", arn], &job).done();
    let asked = cloud.asked();
    assert_eq!(asked[0].headers["authorization"], "Bearer request-token");
    let exchange = asked.iter().find(|asked| asked.what == "sts:AssumeRoleWithWebIdentity").expect("an exchange");
    assert!(exchange.body.contains("WebIdentityToken=job.jwt.token"), "{}", exchange.body);
    assert!(exchange.body.contains("RoleSessionName=dockless-42"), "{}", exchange.body);
    assert!(!exchange.headers.contains_key("authorization"), "the token stands for the signature");
    let signed = asked.iter().find(|asked| asked.what == "ecr:GetAuthorizationToken").expect("a token");
    assert!(signed.headers["authorization"].contains("Credential=ASIAJOB/"), "{signed:?}");
    assert!(
        signed.headers["authorization"].contains("/eu-central-1/ecr/aws4_request"),
        "the host's region: {signed:?}"
    );
    // The same by the variable that names a role.
    stage.push("team/app:v2", &[], &[&job[..], &[("AWS_ROLE_ARN", arn)]].concat()).done();
}

#[test]
fn a_role_that_does_not_trust_the_job_is_told() {
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "sts:AssumeRoleWithWebIdentity" => (
            403,
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized to perform \
             sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>"
                .into(),
        ),
        _ => (200, r#"{"value":"job.jwt.token"}"#.into()),
    });
    let stage = stage("nobody's");
    // What Docker has is another identity than the one that was asked for.
    stage.docker_login("AWS", "nobody's");
    let request = format!("{}/token", cloud.url);
    let job = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", request.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token"),
        ("AWS_ENDPOINT_URL", cloud.url.as_str()),
    ];
    let said = stage.push("team/app:v1", &["--role", "arn:aws:iam::123456789012:role/ci"], &job).with_code(2);
    assert!(said.stderr.contains("the role does not trust this job"), "{said:#?}");
    assert!(said.stderr.contains("dockless iam-policy github-trust"), "{said:#?}");
}

#[test]
fn a_role_outside_github_is_assumed_with_the_keys_at_hand() {
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "sts:AssumeRole" => (200, role("AssumeRole", "ASIAROLE", "role-secret", "role-session")),
        "sts:GetCallerIdentity" => (200, identity("123456789012")),
        "ecr:GetAuthorizationToken" => (200, token("for-the-role")),
        _ => refused("AccessDeniedException", "no"),
    });
    let stage = stage("for-the-role");
    let keys = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", cloud.url.as_str())];
    stage.push("team/app:v1", &["--role", "arn:aws:iam::123456789012:role/ci"], &keys).done();
    let asked = cloud.asked();
    let by = |what: &str| asked.iter().find(|asked| asked.what == what).expect(what).headers["authorization"].clone();
    assert!(by("sts:AssumeRole").contains(KEYS[0].1));
    assert!(by("ecr:GetAuthorizationToken").contains("Credential=ASIAROLE/"));
}

#[test]
fn a_web_identity_file_is_a_link_of_the_chain() {
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "sts:AssumeRoleWithWebIdentity" => (200, role("AssumeRoleWithWebIdentity", "ASIAFILE", "s", "t")),
        "sts:GetCallerIdentity" => (200, identity("123456789012")),
        "ecr:GetAuthorizationToken" => (200, token("by-the-file")),
        _ => refused("AccessDeniedException", "no"),
    });
    let stage = stage("by-the-file");
    stage.write("token", "file.jwt");
    let file = stage.folder.path().join("token").display().to_string();
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.as_str()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ci"),
        ("AWS_ENDPOINT_URL", cloud.url.as_str()),
    ];
    stage.push("team/app:v1", &[], &variables).done();
}

#[test]
fn a_credential_process_and_a_profile_are_links_of_the_chain() {
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "sts:GetCallerIdentity" => (200, identity("123456789012")),
        "ecr:GetAuthorizationToken" => (200, token("by-profile")),
        _ => refused("AccessDeniedException", "no"),
    });
    let stage = stage("by-profile");
    std::fs::create_dir(stage.folder.path().join(".aws")).expect("a folder");
    stage.write(
        ".aws/config",
        "[profile printed]\ncredential_process = /bin/echo '{\"Version\":1,\"AccessKeyId\":\"AKIAPRINTED\",\
         \"SecretAccessKey\":\"x\"}'\n[profile written]\naws_access_key_id = AKIAWRITTEN\naws_secret_access_key = y\n",
    );
    for (profile, key) in [("printed", "AKIAPRINTED"), ("written", "AKIAWRITTEN")] {
        let variables = [("AWS_PROFILE", profile), ("AWS_ENDPOINT_URL", cloud.url.as_str())];
        stage.push(&format!("team/app:{profile}"), &[], &variables).done();
        assert!(cloud.asked().iter().any(|asked| asked.headers["authorization"].contains(key)), "{profile}");
    }
    // One that does not exist is named.
    let said = stage.push("team/app:v3", &[], &[("AWS_PROFILE", "mistyped"), ("AWS_ENDPOINT_URL", &cloud.url)]);
    assert!(said.with_code(2).stderr.contains("mistyped"));
}

/// A sandbox's network that forbids the metadata service was said to be a failure of credentials that nobody had set
/// up.
#[test]
fn a_metadata_service_that_refuses_is_none() {
    let cloud = Scripted::new(|_| (403, "<!doctype html><title>403 Forbidden</title>".into()));
    let stage = stage("from-docker");
    let asks = [("AWS_EC2_METADATA_DISABLED", "false"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", cloud.url.as_str())];
    let said = stage.push("team/app:v1", &[], &asks).with_code(2);
    assert!(said.stderr.contains("there are no AWS credentials: none by environment, profile"), "{said:#?}");
    assert!(said.stderr.contains("set AWS_PROFILE"), "{said:#?}");
    assert!(!said.stderr.contains("html"), "{said:#?}");
    assert!(!cloud.operations().is_empty(), "nobody asked");
    stage.docker_login("AWS", "from-docker");
    stage.push("team/app:v1", &[], &asks).done();
}

#[test]
fn a_token_that_expires_in_the_middle_is_renewed_once() {
    let stage = Stage::with(&["expire-token"]);
    stage.push("team/app:v1", &[], &KEYS).done();
    let tokens = stage.calls("GetAuthorizationToken");
    assert_eq!(tokens, 2, "one to begin with and one in its place, however many uploads ran into it");
    let refused = stage.requests().iter().filter(|request| request.ends_with(" 403")).count();
    assert!(refused > 0, "it did not expire");
}

#[test]
fn the_public_registry_has_a_token_of_its_own() {
    let cloud = Scripted::new(|asked| match asked.what.as_str() {
        "ecr-public:GetAuthorizationToken" => {
            let answer = token("public").replace("[{", "{").replace("}]", "}");
            (200, answer)
        }
        _ => refused("AccessDeniedException", "no"),
    });
    let ecr = EcrSettings { repositories: vec!["alias/app".into()], ..EcrSettings::default() };
    let credentials = Credentials { user: "AWS".into(), password: "public".into() };
    let stage =
        Stage::over(|folder| Settings { access: Access::Basic(credentials), ..Settings::like_ecr(folder, ecr) });
    let mut command = stage.command(&["build", "--layer", "app:/app", "-p", "linux/amd64", "--push"]);
    command.args(["-t", "public.ecr.aws/alias/app:v1"]).envs(KEYS).env("AWS_ENDPOINT_URL", &cloud.url);
    command.env("DOCKLESS_REGISTRY_ENDPOINT", format!("public.ecr.aws={}", stage.url));
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(cloud.operations(), ["ecr-public:GetAuthorizationToken"]);
    assert!(cloud.asked()[0].headers["authorization"].contains("/us-east-1/ecr-public/aws4_request"));
}

#[test]
fn calls_to_aws_are_not_plain_http_off_loopback() {
    let stage = stage("any");
    let variables = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", "http://192.0.2.1:1")];
    let said = stage.push("team/app:v1", &[], &variables).with_code(2);
    assert!(said.stderr.contains("plain http is for loopback only"), "{said:#?}");
}

#[test]
fn the_chain_is_asked_once_when_it_has_nothing() {
    let stage = stage("from-docker");
    stage.docker_login("AWS", "from-docker");
    std::fs::create_dir(stage.folder.path().join(".aws")).expect("a folder");
    let asked = stage.folder.path().join("asked");
    stage.write("process", &format!("#!/bin/sh\necho asked >> {}\nexit 1\n", asked.display()));
    let process = stage.folder.path().join("process").display().to_string();
    stage.write(".aws/config", &format!("[default]\ncredential_process = /bin/sh {process}\n"));
    let said = stage.push("team/app:v1", &["-v"], &[]).done();
    assert!(said.stderr.contains("using those of Docker"), "{said:#?}");
    assert_eq!(std::fs::read_to_string(asked).expect("a file"), "asked\n", "{said:#?}");
}
