//! Keys, tokens and passwords are nowhere in what the binary says or writes, whatever happens.

use dockless::serve::Settings;
use dockless::serve::auth::{Access, Credentials};
use dockless::serve::ecr::EcrSettings;

use super::scripted::{Scripted, identity, refused, role, token};
use super::stage::{HOST, Stage};

const SECRETS: [&str; 7] = [
    "hunter2-password",
    "job.jwt.hunter2",
    "hunter2-secret",
    "hunter2-session",
    "hunter2-request",
    "aHVudGVyMi",
    "QVdTOmh1bn",
];

/// What each run may end like: the token is right, wrong, or not given at all.
#[test]
fn no_secret_is_ever_said() {
    for (case, given, denies) in
        [("well", "hunter2-password", false), ("wrong", "hunter2-password-old", false), ("denied", "", true)]
    {
        let cloud = Scripted::new(move |asked| match asked.what.as_str() {
            "GET /token?audience=sts.amazonaws.com" => (200, r#"{"value":"job.jwt.hunter2"}"#.into()),
            "sts:AssumeRoleWithWebIdentity" => {
                (200, role("AssumeRoleWithWebIdentity", "ASIAHUNTER", "hunter2-secret", "hunter2-session"))
            }
            "sts:GetCallerIdentity" => (200, identity("999999999999")),
            // A reply that repeats what it was sent, as error pages of proxies do.
            "ecr:GetAuthorizationToken" if denies => refused("AccessDeniedException", "no"),
            "ecr:GetAuthorizationToken" => (200, token(given)),
            _ => refused("AccessDeniedException", "no"),
        });
        let ecr =
            EcrSettings { repositories: vec!["team/app".into()], ..EcrSettings::new("123456789012", "eu-central-1") };
        let credentials = Credentials { user: "AWS".into(), password: "hunter2-password".into() };
        let stage =
            Stage::over(|folder| Settings { access: Access::Basic(credentials), ..Settings::like_ecr(folder, ecr) });
        let request = format!("{}/token", cloud.url);
        let job = [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", request.as_str()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter2-request"),
            ("AWS_ENDPOINT_URL", cloud.url.as_str()),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ci"),
            ("RUST_LOG", "trace"),
            ("RUST_BACKTRACE", "1"),
        ];
        let pushed = stage.push("team/app:v1", &["-v", "--json", "--report", "report.json"], &job);
        let reference = format!("{HOST}/team/app:v2");
        let checked = stage.run(&["doctor", "ecr", "-v", "--self-test", &reference], &job);
        assert_eq!(pushed.code == Some(0), case == "well", "{case}: {pushed:#?}");
        let report = std::fs::read_to_string(stage.folder.path().join("report.json")).unwrap_or_default();
        assert_eq!(!report.is_empty(), case == "well");
        let said = format!("{pushed:?}{checked:?}{report}");
        for secret in SECRETS {
            assert!(!said.contains(secret), "{case}: {secret} in {said}");
        }
        assert!(cloud.operations().iter().any(|what| what == "sts:AssumeRoleWithWebIdentity"), "{case}");
    }
}
