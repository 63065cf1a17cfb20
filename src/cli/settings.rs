//! Everything that is read from the environment, in one place and once. What the library needs of it is handed to it
//! as a value.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use dockless::aws::github::TokenRequest;
use dockless::image::build::LAST_SECOND;
use dockless::layer::run::environment::Environment;
use dockless::registry::endpoints::{Endpoints, ParseEndpointsError};
use dockless::secret::Secret;
use thiserror::Error;

use super::args::values::Size;

/// The environment as far as it concerns us. A variable that is set to nothing counts as unset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a variable of its own")]
pub struct Settings {
    /// `SOURCE_DATE_EPOCH`: seconds since 1970.
    pub source_date_epoch: Option<i64>,
    /// `DOCKLESS_CACHE_DIR`, else our folder in the platform's cache folder; `None` without a home.
    pub cache_folder: Option<PathBuf>,
    /// `DOCKLESS_CACHE_SIZE`: how many bytes of layers the cache keeps.
    pub cache_size: Option<u64>,
    /// All variables, for the commands of a recipe: which of them one sees is said by its layer.
    pub environment: Environment,
    /// `TMPDIR`, else where everyone's temporary files are.
    pub temporary_folder: PathBuf,
    /// `HOME`
    pub home: Option<PathBuf>,
    /// `TF_VAR_NAME`: values of Terraform variables, by name.
    pub terraform_variables: Vec<(String, String)>,
    /// `DOCKER_CONFIG`: the folder of Docker's config.json.
    pub docker_config: Option<PathBuf>,
    /// `REGISTRY_AUTH_FILE`: the credentials of podman and skopeo.
    pub registry_auth_file: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`
    pub runtime_folder: Option<PathBuf>,
    /// `DOCKLESS_REGISTRY_ENDPOINT`: where the traffic of a registry's host goes instead.
    pub endpoints: Endpoints,
    /// `GITHUB_OUTPUT`: the file that takes a step's outputs.
    pub github_output: Option<PathBuf>,
    /// `GITHUB_WORKSPACE`: the folder that the paths of outputs and annotations are relative to.
    pub github_workspace: Option<PathBuf>,
    /// Whether `GITHUB_ACTIONS` is true.
    pub github_actions: bool,
    /// Whether `CI` is set.
    pub ci: bool,
    /// Whether `NO_COLOR` is set.
    pub no_color: bool,
    /// Whether `TERM` is `dumb`: a terminal that cannot move its cursor.
    pub dumb_terminal: bool,
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`
    pub aws_region: Option<String>,
    /// Whether the calls to ECR go elsewhere: `AWS_ENDPOINT_URL_ECR` or `AWS_ENDPOINT_URL`.
    pub aws_endpoint: bool,
    /// What a job of GitHub Actions asks for its token with: `ACTIONS_ID_TOKEN_REQUEST_URL` and `_TOKEN`.
    pub github_token: Option<TokenRequest>,
    /// `AWS_ROLE_ARN`, where nothing else says how to take that role on.
    pub role: Option<String>,
    /// `AWS_ROLE_SESSION_NAME`, else one made of `GITHUB_RUN_ID`.
    pub role_session_name: Option<String>,
    ssl_cert_file: Option<PathBuf>,
    aws_ca_bundle: Option<PathBuf>,
}

/// Why the environment is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// `SOURCE_DATE_EPOCH` is no time.
    #[error("SOURCE_DATE_EPOCH is {0:?}: expected whole seconds since 1970-01-01, such as 1767225600")]
    SourceDateEpoch(String),
    /// `DOCKLESS_CACHE_SIZE` is no size.
    #[error("DOCKLESS_CACHE_SIZE is {0:?}: expected a number of bytes with a unit, such as 20GiB")]
    CacheSize(String),
    /// `DOCKLESS_REGISTRY_ENDPOINT` is not a list of hosts and URLs.
    #[error("DOCKLESS_REGISTRY_ENDPOINT: {0}")]
    Endpoint(ParseEndpointsError),
}

impl Settings {
    /// Reads the process's environment.
    pub fn from_environment() -> Result<Self, SettingsError> {
        let settings = Self::from_lookup(|name| env::var_os(name))?;
        let environment = Environment::new(env::vars_os());
        Ok(Self { terraform_variables: terraform_variables(env::vars_os()), environment, ..settings })
    }

    /// Reads an environment by a function that knows the value of each variable.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, SettingsError> {
        let value = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let path = |name: &str| value(name).map(PathBuf::from);
        let home = path("HOME");
        let cache_folder = path("DOCKLESS_CACHE_DIR").or_else(|| {
            // The XDG specification has relative paths ignored.
            let xdg = path("XDG_CACHE_HOME").filter(|folder| folder.is_absolute());
            let platform = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
            xdg.or_else(|| home.as_ref().map(|home| home.join(platform))).map(|folder| folder.join("dockless"))
        });
        let text = |name: &str| value(name).and_then(|value| value.into_string().ok());
        let github_token = text("ACTIONS_ID_TOKEN_REQUEST_URL")
            .zip(text("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
            .map(|(url, token)| TokenRequest { url, token: Secret::new(token) });
        // With a file or with keys it belongs to the SDK's own ways.
        let taken = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ACCESS_KEY_ID"].iter().any(|name| value(name).is_some());
        Ok(Self {
            source_date_epoch: value("SOURCE_DATE_EPOCH").as_deref().map(epoch).transpose()?,
            cache_folder,
            cache_size: value("DOCKLESS_CACHE_SIZE").as_deref().map(size).transpose()?,
            home,
            environment: Environment::default(),
            temporary_folder: path("TMPDIR").unwrap_or_else(|| "/tmp".into()),
            terraform_variables: Vec::new(),
            docker_config: path("DOCKER_CONFIG"),
            registry_auth_file: path("REGISTRY_AUTH_FILE"),
            runtime_folder: path("XDG_RUNTIME_DIR"),
            endpoints: value("DOCKLESS_REGISTRY_ENDPOINT").as_deref().map(endpoints).transpose()?.unwrap_or_default(),
            github_output: path("GITHUB_OUTPUT"),
            github_workspace: path("GITHUB_WORKSPACE"),
            github_actions: value("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
            ci: value("CI").is_some_and(|value| value != "false" && value != "0"),
            no_color: value("NO_COLOR").is_some(),
            dumb_terminal: value("TERM").is_some_and(|value| value == "dumb"),
            aws_region: text("AWS_REGION").or_else(|| text("AWS_DEFAULT_REGION")),
            aws_endpoint: value("AWS_ENDPOINT_URL_ECR").or_else(|| value("AWS_ENDPOINT_URL")).is_some(),
            role: text("AWS_ROLE_ARN").filter(|_| !taken && github_token.is_some()),
            role_session_name: text("AWS_ROLE_SESSION_NAME")
                .or_else(|| text("GITHUB_RUN_ID").map(|run| format!("dockless-{run}"))),
            github_token,
            ssl_cert_file: path("SSL_CERT_FILE"),
            aws_ca_bundle: path("AWS_CA_BUNDLE"),
        })
    }

    /// Where the results of commands are made and kept: in the cache folder, else in the one for temporary files.
    pub fn run_folder(&self) -> PathBuf {
        match &self.cache_folder {
            Some(folder) => folder.join("run"),
            None => self.temporary_run_folder(),
        }
    }

    /// The one in the folder for temporary files.
    pub fn temporary_run_folder(&self) -> PathBuf {
        self.temporary_folder.join(format!("dockless-{}-run", rustix::process::geteuid().as_raw()))
    }

    /// The certificate authorities to trust as well: the flag's file, else `SSL_CERT_FILE`, else `AWS_CA_BUNDLE`.
    pub fn ca_file<'a>(&'a self, flag: Option<&'a Path>) -> Option<&'a Path> {
        flag.or(self.ssl_cert_file.as_deref()).or(self.aws_ca_bundle.as_deref())
    }
}

/// Those whose value is text; Terraform takes no other.
fn terraform_variables(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(String, String)> {
    let mut variables: Vec<_> = all
        .filter_map(|(name, value)| {
            Some((name.to_str()?.strip_prefix("TF_VAR_")?.to_owned(), value.into_string().ok()?))
        })
        .collect();
    variables.sort();
    variables
}

fn epoch(value: &OsStr) -> Result<i64, SettingsError> {
    let text = value.to_str().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    text.and_then(|text| text.parse().ok())
        .filter(|seconds| *seconds <= LAST_SECOND)
        .ok_or_else(|| SettingsError::SourceDateEpoch(value.to_string_lossy().into_owned()))
}

fn size(value: &OsStr) -> Result<u64, SettingsError> {
    let size = value.to_str().and_then(|text| text.parse().ok());
    size.map(|Size(bytes)| bytes).ok_or_else(|| SettingsError::CacheSize(value.to_string_lossy().into_owned()))
}

fn endpoints(value: &OsStr) -> Result<Endpoints, SettingsError> {
    value.to_string_lossy().parse().map_err(SettingsError::Endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_lookup(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn source_date_epoch_is_whole_seconds() {
        let epoch = |text: &str| settings(&[("SOURCE_DATE_EPOCH", text)]).map(|settings| settings.source_date_epoch);
        assert_eq!(epoch("1767225600"), Ok(Some(1_767_225_600)));
        assert_eq!(epoch(""), Ok(None));
        for wrong in ["-1", "+1", "1.5", "2026-01-01", " 1", "253402300800", "99999999999999999999"] {
            assert_eq!(epoch(wrong), Err(SettingsError::SourceDateEpoch(wrong.into())));
        }
    }

    #[test]
    fn terraform_variables_keep_their_names() {
        let all = [("TF_VAR_arch", "ARM64"), ("PATH", "/bin"), ("TF_VAR_a", "")];
        let all = all.into_iter().map(|(name, value)| (name.into(), value.into()));
        assert_eq!(terraform_variables(all), [("a".into(), String::new()), ("arch".into(), "ARM64".into())]);
    }

    #[test]
    fn the_cache_has_a_place() {
        let folder = |variables: &[(&str, &str)]| settings(variables).expect("sound variables").cache_folder;
        assert_eq!(folder(&[("DOCKLESS_CACHE_DIR", "c"), ("HOME", "/h")]), Some("c".into()));
        assert_eq!(folder(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]), Some("/x/dockless".into()));
        let platform = if cfg!(target_os = "macos") { "/h/Library/Caches/dockless" } else { "/h/.cache/dockless" };
        assert_eq!(folder(&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")]), Some(platform.into()));
        assert_eq!(folder(&[]), None);
        let run = |variables: &[(&str, &str)]| settings(variables).expect("sound variables").run_folder();
        assert_eq!(run(&[("DOCKLESS_CACHE_DIR", "c")]), Path::new("c/run"));
        assert!(run(&[("TMPDIR", "/t")]).to_string_lossy().starts_with("/t/dockless-"));
    }

    #[test]
    fn a_path_need_not_be_text() {
        use std::os::unix::ffi::OsStringExt as _;
        let raw = OsString::from_vec(b"/h/\xff".to_vec());
        let settings = Settings::from_lookup(|name| (name == "DOCKER_CONFIG").then(|| raw.clone()));
        assert_eq!(settings.map(|settings| settings.docker_config), Ok(Some(raw.into())));
    }

    #[test]
    fn endpoints_are_those_of_registries() {
        let endpoints = |text: &str| settings(&[("DOCKLESS_REGISTRY_ENDPOINT", text)]).map(|s| s.endpoints);
        let two = endpoints("a.example=http://127.0.0.1:5000,b.example=https://mirror.example").expect("two");
        assert!(two.stand_in_for("a.example") && two.stand_in_for("b.example"));
        let refused = endpoints("a.example=http://10.0.0.1").expect_err("plain http");
        assert!(refused.to_string().starts_with("DOCKLESS_REGISTRY_ENDPOINT: the endpoint"), "{refused}");
    }

    #[test]
    fn the_flag_wins_over_the_environment() {
        let both = settings(&[("SSL_CERT_FILE", "s"), ("AWS_CA_BUNDLE", "a")]).expect("sound variables");
        assert_eq!(both.ca_file(Some(Path::new("f"))), Some(Path::new("f")));
        assert_eq!(both.ca_file(None), Some(Path::new("s")));
        let aws = settings(&[("AWS_CA_BUNDLE", "a"), ("SSL_CERT_FILE", "")]).expect("sound variables");
        assert_eq!(aws.ca_file(None), Some(Path::new("a")));
    }
}
