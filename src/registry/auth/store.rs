//! The credentials that `docker login`, `podman login` and credential helpers have left on this machine.
//!
//! Order, as Docker's and Podman's own: `REGISTRY_AUTH_FILE` where it is set; else Docker's `config.json`; then
//! `${XDG_RUNTIME_DIR}/containers/auth.json`. Within a file `credHelpers`, `credsStore`, `auths`. A login of Podman's
//! may be for a namespace or a repository (containers-auth.json(5)): the longest that fits goes first.
//!
//! A file's content is a secret: errors name its path and the place, never what stands there. A helper is a program
//! that the user's own file names; its name may not leave the `PATH` (`docker-credential-` is put before it, and a
//! separator in it is refused).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::{Authenticator, Credentials};
use crate::registry::error::Error;
use crate::secret::Secret;

/// The key under which `docker login` keeps Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

/// The largest file of credentials that is read, in bytes.
const FILE_LIMIT: u64 = 4 << 20;

/// Where credentials are kept: what the command line found in its environment.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// `DOCKER_CONFIG`: the folder of `config.json`.
    pub docker_config: Option<PathBuf>,
    /// `REGISTRY_AUTH_FILE`: a file that is taken instead of Docker's.
    pub registry_auth_file: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, below which Podman keeps its logins.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `PATH`, where helpers are to be found by another than the process's own.
    pub path: Option<OsString>,
}

/// The logins of this machine. Reads its files anew at every question, so that a login or helper is seen at once.
#[derive(Debug, Clone, Default)]
pub struct CredentialStore {
    places: Places,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    auths: Option<BTreeMap<String, Option<Login>>>,
    #[serde(rename = "credHelpers")]
    helpers: Option<BTreeMap<String, Option<String>>>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Login {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl CredentialStore {
    /// The logins that are kept at these places.
    pub fn new(places: Places) -> Self {
        Self { places }
    }

    /// The credentials for a registry, or for a repository of it (`registry/repository`). Reads files and runs helpers:
    /// it blocks.
    ///
    /// # Errors
    /// Where a file cannot be read or is none of credentials, or a helper fails.
    pub fn find(&self, place: &str) -> Result<Credentials, Error> {
        let docker = self.places.docker_config.clone().or_else(|| Some(self.places.home.as_ref()?.join(".docker")));
        let first = match &self.places.registry_auth_file {
            Some(file) => Some(file.clone()),
            None => docker.map(|folder| folder.join("config.json")),
        };
        let second = self.places.xdg_runtime_dir.as_ref().map(|folder| folder.join("containers/auth.json"));
        for path in first.iter().chain(&second) {
            match find_in(path, place, self.places.path.as_deref())? {
                Credentials::Anonymous => {}
                found => return Ok(found),
            }
        }
        Ok(Credentials::Anonymous)
    }
}

impl Authenticator for CredentialStore {
    fn credentials<'a>(&'a self, place: &'a str, _: bool) -> BoxFuture<'a, Result<Credentials, Error>> {
        Box::pin(async move {
            let (store, place) = (self.clone(), place.to_owned());
            tokio::task::spawn_blocking(move || store.find(&place)).await.map_err(|_| Error::Worker)?
        })
    }
}

fn find_in(path: &Path, place: &str, program_path: Option<&OsStr>) -> Result<Credentials, Error> {
    let bytes = match read(path) {
        // Nobody has logged in. A path whose parent is a file is no login either.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Credentials::Anonymous);
        }
        Err(source) => return Err(Error::CredentialFile { path: path.into(), source }),
        Ok(bytes) => bytes,
    };
    // `touch config.json` is what some images do so that tools find one.
    if bytes.trim_ascii().is_empty() {
        return Ok(Credentials::Anonymous);
    }
    let file: File = serde_json::from_slice(&bytes).map_err(|error| Error::CredentialSyntax {
        path: path.into(),
        line: error.line(),
        column: error.column(),
        // serde_json's own text may quote a value.
        why: match error.classify() {
            serde_json::error::Category::Data => "a value of another type is expected here".into(),
            serde_json::error::Category::Eof => "the JSON document ends early".into(),
            _ => "this is not JSON".into(),
        },
    })?;
    let registry = host(place);
    let hosts = keys(registry);
    let helper = |name: &str| helper(name, hosts[0], registry, program_path);
    // A helper without a name takes its host out of the store: its login is in `auths`, as Docker reads it.
    let own = lookup(file.helpers.as_ref(), &hosts).map(|(_, name)| name.as_deref().unwrap_or_default());
    if let Some(name) = own.filter(|name| !name.is_empty()) {
        return helper(name);
    }
    if let Some(name) = file.store.as_deref().filter(|name| !name.is_empty() && own.is_none()) {
        match helper(name)? {
            // A store holds what `docker login` gave it; other tools write into `auths` beside it.
            Credentials::Anonymous => {}
            found => return Ok(found),
        }
    }
    let namespaces = std::iter::successors(Some(place), |place| place.rsplit_once('/').map(|(above, _)| above));
    let all: Vec<&str> = namespaces.filter(|place| place.contains('/')).chain(hosts).collect();
    let Some((key, login)) = lookup(file.auths.as_ref(), &all) else { return Ok(Credentials::Anonymous) };
    let Some(login) = login else { return Ok(Credentials::Anonymous) };
    login.credentials().ok_or_else(|| {
        let (line, column) = place_of(&bytes, key);
        let why = format!("the login of {key:?} is not base64 of user:password");
        Error::CredentialSyntax { path: path.into(), line, column, why }
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than 4 MiB"));
    }
    Ok(bytes)
}

/// Where a key stands, line and column from 1.
fn place_of(bytes: &[u8], key: &str) -> (usize, usize) {
    let text = String::from_utf8_lossy(bytes);
    let at = text.find(&format!("\"{key}\"")).unwrap_or(0);
    let before = &text[..at];
    (before.matches('\n').count() + 1, at - before.rfind('\n').map_or(0, |newline| newline + 1) + 1)
}

impl Login {
    /// `None` where `auth` cannot be read.
    fn credentials(&self) -> Option<Credentials> {
        if let Some(token) = self.identitytoken.as_deref().filter(|token| !token.is_empty()) {
            return Some(Credentials::IdentityToken(Secret::new(token)));
        }
        if let Some(auth) = self.auth.as_deref().map(str::trim).filter(|auth| !auth.is_empty()) {
            let bytes = STANDARD.decode(auth).or_else(|_| STANDARD_NO_PAD.decode(auth)).ok()?;
            let text = String::from_utf8(bytes).ok()?;
            // Docker itself ends some passwords with NUL.
            let (user, password) = text.trim_end_matches('\0').split_once(':')?;
            return Some(Credentials::Basic { user: user.into(), password: Secret::new(password) });
        }
        // An entry without anything is what Docker writes beside a credsStore: no login.
        Some(match (&self.username, &self.password) {
            (Some(user), Some(password)) if !user.is_empty() => {
                Credentials::Basic { user: user.clone(), password: Secret::new(password) }
            }
            _ => Credentials::Anonymous,
        })
    }
}

/// The keys under which a registry may stand, the likeliest first.
fn keys(registry: &str) -> Vec<&str> {
    match registry {
        "docker.io" => vec![HUB, "docker.io", "index.docker.io", "registry-1.docker.io"],
        _ => vec![registry],
    }
}

/// Keys are hosts, or repositories and what they are in; older tools wrote `https://host/v1/`, and some `host/`.
fn lookup<'a, T>(map: Option<&'a BTreeMap<String, T>>, keys: &[&str]) -> Option<(&'a str, &'a T)> {
    let map = map?;
    keys.iter()
        .find_map(|key| map.get_key_value(*key))
        .or_else(|| map.iter().find(|(key, _)| keys.iter().any(|wanted| old_host(key) == Some(wanted))))
        .map(|(key, value)| (key.as_str(), value))
}

fn old_host(key: &str) -> Option<&str> {
    if let Some(rest) = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")) {
        return Some(host(rest));
    }
    // A slash at the end tells it from a namespace.
    let bare = key.strip_suffix('/')?;
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    (!bare.contains('/')).then_some(bare)
}

/// The registry of a repository.
pub(super) fn host(place: &str) -> &str {
    place.split_once('/').map_or(place, |(host, _)| host)
}

/// Asks `docker-credential-NAME get` (docker-credential-helpers, "Protocol").
fn helper(name: &str, server: &str, registry: &str, path: Option<&OsStr>) -> Result<Credentials, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Found {
        username: String,
        secret: String,
    }
    let program = format!("docker-credential-{name}");
    let failed = |why: String| Error::CredentialHelper { helper: program.clone(), registry: registry.into(), why };
    if name.contains(['/', '\\']) {
        return Err(failed("its name holds a path".into()));
    }
    let mut command = Command::new(&program);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let mut child = command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Its words may hold what it was asked for; they are the user's to see by running it.
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed("it is not installed".into()),
            _ => failed(format!("it cannot be started: {error}")),
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read what it is asked says so by its exit status.
        let _ = stdin.write_all(server.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        // The protocol has no other way to say "none" than this sentence on stdout, which Docker compares as well.
        if output.stdout.trim_ascii() == b"credentials not found in native keychain" {
            return Ok(Credentials::Anonymous);
        }
        return Err(failed(format!("it ends with {}", output.status)));
    }
    let found: Found = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("its answer is not what the protocol says".into()))?;
    let secret = Secret::new(found.secret);
    Ok(match found.username.as_str() {
        "<token>" => Credentials::IdentityToken(secret),
        "" if secret.expose().is_empty() => Credentials::Anonymous,
        _ => Credentials::Basic { user: found.username, password: secret },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic { user: user.into(), password: Secret::new(password) }
    }

    fn find(config: &str, registry: &str) -> Result<Credentials, Error> {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(home.path().join(".docker")).expect("a folder");
        std::fs::write(home.path().join(".docker/config.json"), config).expect("a file");
        CredentialStore::new(Places { home: Some(home.path().into()), ..Places::default() }).find(registry)
    }

    #[test]
    fn reads_the_logins_of_docker() {
        let config = format!(
            r#"{{"auths": {{
                "ghcr.io": {{"auth": "{}"}},
                "https://old.example.com/v1/": {{"auth": "{}"}},
                "https://index.docker.io/v1/": {{"identitytoken": "refresh"}},
                "empty.example.com": {{}}
            }}, "unknown": 1}}"#,
            STANDARD.encode("me:pass:word"),
            STANDARD.encode("you:word\0"),
        );
        assert_eq!(find(&config, "ghcr.io").expect("a login"), basic("me", "pass:word"));
        assert_eq!(find(&config, "old.example.com").expect("a login"), basic("you", "word"));
        assert_eq!(find(&config, "docker.io").expect("a login"), Credentials::IdentityToken(Secret::new("refresh")));
        assert_eq!(find(&config, "empty.example.com").expect("none"), Credentials::Anonymous);
        assert_eq!(find(&config, "quay.io").expect("none"), Credentials::Anonymous);
        assert_eq!(find("", "quay.io").expect("none"), Credentials::Anonymous);
        assert_eq!(find(r#"{"auths": null}"#, "quay.io").expect("none"), Credentials::Anonymous);
    }

    #[test]
    fn reads_what_other_tools_have_written() {
        let auth = STANDARD.encode("me:p");
        for key in ["127.0.0.1:5000", "127.0.0.1:5000/", "127.0.0.1:5000/v1/", "127.0.0.1:5000/v2/"] {
            let config = format!(r#"{{"auths": {{"{key}": {{"auth": "{auth}"}}, "other": null}}}}"#);
            assert_eq!(find(&config, "127.0.0.1:5000/app").expect("a login"), basic("me", "p"), "{key}");
            assert_eq!(find(&config, "other").expect("none"), Credentials::Anonymous);
        }
        let config = format!(r#"{{"auths": {{"a.io/team/": {{"auth": "{auth}"}}}}}}"#);
        assert_eq!(find(&config, "a.io/app").expect("none"), Credentials::Anonymous, "a namespace is no host");
    }

    #[test]
    fn a_helper_without_a_name_takes_its_host_out_of_the_store() {
        let auth = STANDARD.encode("me:p");
        for helper in ["\"\"", "null"] {
            let config = format!(
                r#"{{"credsStore": "no-such-helper", "credHelpers": {{"a.io": {helper}}}, "auths": {{"a.io": {{"auth": "{auth}"}}}}}}"#
            );
            assert_eq!(find(&config, "a.io/app").expect("a login"), basic("me", "p"));
            assert!(matches!(find(&config, "b.io"), Err(Error::CredentialHelper { .. })));
        }
    }

    #[test]
    fn a_login_of_a_namespace_is_for_that_alone() {
        let login = |user: &str| format!(r#"{{"auth": "{}"}}"#, STANDARD.encode(format!("{user}:p")));
        let config = format!(
            r#"{{"auths": {{"a.io/team": {}, "a.io/team/app": {}, "b.io": {}, "b.io/team": {}}}}}"#,
            login("team"),
            login("app"),
            login("all"),
            login("team-b"),
        );
        for (place, user) in [
            ("a.io/team/app", Some("app")),
            ("a.io/team/app2", Some("team")),
            ("a.io/team/deep/app", Some("team")),
            ("a.io/other/app", None),
            ("a.io", None),
            ("b.io/team/app", Some("team-b")),
            ("b.io/other/app", Some("all")),
            ("b.io", Some("all")),
        ] {
            let expected = user.map_or(Credentials::Anonymous, |user| basic(user, "p"));
            assert_eq!(find(&config, place).expect("a login or none"), expected, "{place}");
        }
    }

    #[test]
    fn says_where_a_file_is_wrong_and_not_what_it_holds() {
        let error = find("{\n \"auths\": {\"a.io\": {\"auth\": \"c2VjcmV0\"},\n }", "a.io").expect_err("no JSON");
        assert!(matches!(error, Error::CredentialSyntax { line: 3, .. }), "{error:?}");
        let error = find("{\n \"auths\": {\n  \"a.io\": {\"auth\": \"c2VjcmV0\"}}}", "a.io").expect_err("no user");
        assert!(matches!(error, Error::CredentialSyntax { line: 3, column: 3, .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("c2Vj"));
        let error = find(r#"{"auths": {"a.io": {"auth": 12345}}}"#, "a.io").expect_err("no text");
        assert!(!format!("{error} {error:?}").contains("12345"));
    }

    #[test]
    fn the_named_file_comes_first_and_the_runtime_folder_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, user: &str, registry: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            let auth = STANDARD.encode(format!("{user}:p"));
            std::fs::write(&path, format!(r#"{{"auths": {{"{registry}": {{"auth": "{auth}"}}}}}}"#)).expect("a file");
            path
        };
        let mut places = Places {
            docker_config: write("docker/config.json", "docker", "a.io").parent().map(Into::into),
            xdg_runtime_dir: Some(folder.path().into()),
            ..Places::default()
        };
        write("containers/auth.json", "podman", "b.io");
        let store = CredentialStore::new(places.clone());
        assert_eq!(store.find("a.io").expect("a login"), basic("docker", "p"));
        assert_eq!(store.find("b.io").expect("a login"), basic("podman", "p"));
        places.registry_auth_file = Some(write("named.json", "named", "a.io"));
        assert_eq!(CredentialStore::new(places).find("a.io").expect("a login"), basic("named", "p"));
    }

    #[test]
    fn a_helper_that_is_not_there_is_an_error() {
        let error = find(r#"{"credHelpers": {"a.io": "no-such-helper"}}"#, "a.io").expect_err("no helper");
        assert_eq!(
            error.to_string(),
            "credential helper docker-credential-no-such-helper fails for a.io: it is not installed"
        );
        let error = find(r#"{"credsStore": "../../bin/sh"}"#, "a.io").expect_err("a path");
        assert!(matches!(error, Error::CredentialHelper { .. }), "{error:?}");
        // Others' registries do not ask it.
        assert_eq!(
            find(r#"{"credHelpers": {"a.io": "no-such-helper"}}"#, "b.io").expect("none"),
            Credentials::Anonymous
        );
    }

    #[test]
    fn a_helper_is_asked_in_its_protocol() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().expect("a folder");
        let script = r#"#!/bin/sh
read -r host
case "$1 $host" in
"get a.io") echo '{"ServerURL":"a.io","Username":"AWS","Secret":"token"}' ;;
"get b.io") echo '{"ServerURL":"b.io","Username":"<token>","Secret":"refresh"}' ;;
"get https://index.docker.io/v1/") echo 'credentials not found in native keychain'; exit 1 ;;
"get c.io") echo 'no JSON: hunter2' ;;
*) echo hunter2; exit 3 ;;
esac
"#;
        let program = folder.path().join("docker-credential-scripted");
        std::fs::write(&program, script).expect("a file");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        std::fs::write(folder.path().join("config.json"), r#"{"credsStore": "scripted"}"#).expect("a file");
        let mut path = folder.path().as_os_str().to_owned();
        path.push(":/usr/bin:/bin");
        let store = CredentialStore::new(Places {
            docker_config: Some(folder.path().into()),
            path: Some(path),
            ..Places::default()
        });
        assert_eq!(store.find("a.io").expect("a login"), basic("AWS", "token"));
        assert_eq!(store.find("b.io").expect("a login"), Credentials::IdentityToken(Secret::new("refresh")));
        assert_eq!(store.find("docker.io").expect("none"), Credentials::Anonymous);
        for registry in ["c.io", "d.io"] {
            let error = store.find(registry).expect_err("a failure");
            assert!(matches!(error, Error::CredentialHelper { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
