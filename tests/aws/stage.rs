//! A folder with something to build, a registry that answers as ECR does, and the binary between them.

use std::fs;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use dockless::serve::ecr::EcrSettings;
use dockless::serve::fault::named::Named;
use dockless::serve::log::Record;
use dockless::serve::{Like, Running, Server, Settings};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The registry of every test.
pub(crate) const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

/// Keys that mean nothing to anybody.
pub(crate) const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
];

/// The binary with its folder.
pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    records: Arc<Mutex<Vec<Record>>>,
    pub(crate) url: String,
    _server: Running,
    _runtime: Runtime,
}

/// What the binary said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        self.with_code(0)
    }

    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Output, errors and exit code in one text.
    pub(crate) fn told(&self) -> String {
        format!("{}--- stderr\n{}--- exit code {}\n", self.stdout, self.stderr, self.code.unwrap_or(-1))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Stage {
    /// With the repositories `team/app` and `team/base`.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// The same with faults.
    pub(crate) fn with(faults: &[&str]) -> Self {
        let ecr = EcrSettings {
            repositories: vec!["team/app".into(), "team/base".into()],
            ..EcrSettings::new("123456789012", "eu-central-1")
        };
        Self::over(|folder| {
            let mut settings = Settings::like_ecr(folder, ecr);
            for fault in faults {
                fault.parse::<Named>().expect("a fault").apply(&mut settings).expect("ECR's");
            }
            settings
        })
    }

    /// With any registry.
    pub(crate) fn over(settings: impl FnOnce(&std::path::Path) -> Settings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("app")).expect("a folder");
        fs::write(folder.path().join("app/file"), "content").expect("a file");
        let records: Arc<Mutex<Vec<Record>>> = Arc::default();
        let sink = Arc::clone(&records);
        let settings = Settings {
            log: Some(Arc::new(move |record| sink.lock().expect("no panic").push(record.clone()))),
            ..settings(&folder.path().join("registry"))
        };
        assert!(matches!(settings.like, Like::Ecr(_) | Like::Plain));
        let runtime = Runtime::new().expect("threads");
        let server = runtime.block_on(Server::start(settings)).expect("a server");
        Self { folder, records, url: server.url(), _server: server, _runtime: runtime }
    }

    /// How often an operation of ECR's API has been called.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        let records = self.records.lock().expect("no panic");
        records.iter().filter(|record| record.operation.as_deref() == Some(operation)).count()
    }

    /// The requests to the registry since the last time, those to the API of AWS apart: method, path, status.
    pub(crate) fn requests(&self) -> Vec<String> {
        let records = std::mem::take(&mut *self.records.lock().expect("no panic"));
        let words = |record: &Record| format!("{} {} {}", record.method, record.path, record.status.unwrap_or(0));
        records.iter().filter(|record| record.path != "/").map(words).collect()
    }

    /// Changes what there is to build.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).expect("a file");
    }

    /// The binary with the stand-ins, and nothing else of the environment.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockless"));
        command
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("DOCKLESS_REGISTRY_ENDPOINT", format!("{HOST}={}", self.url));
        command
    }

    pub(crate) fn run(&self, words: &[&str], variables: &[(&str, &str)]) -> Said {
        self.command(words).envs(variables.iter().copied()).output().expect("the binary runs").into()
    }

    /// Builds the folder and pushes it to the repository under a tag, with more flags.
    pub(crate) fn push(&self, name: &str, flags: &[&str], variables: &[(&str, &str)]) -> Said {
        let reference = format!("{HOST}/{name}");
        let words = ["build", "--layer", "app:/app", "-p", "linux/amd64", "-t", &reference, "--push"];
        self.run(&[&words[..], flags].concat(), variables)
    }

    /// Docker's configuration with a password for the host.
    pub(crate) fn docker_login(&self, user: &str, password: &str) {
        use base64::Engine as _;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        fs::create_dir_all(self.folder.path().join(".docker")).expect("a folder");
        self.write(".docker/config.json", &format!(r#"{{"auths":{{"{HOST}":{{"auth":"{auth}"}}}}}}"#));
    }
}
