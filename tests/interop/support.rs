//! What every test needs: whether it runs at all, a folder of its own, programs with a time limit, servers that end.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// Longer than any program here needs, shorter than CI's patience.
const LONGEST: Duration = Duration::from_mins(7);

/// Where a second run finds what the first one downloaded.
pub(crate) fn cache() -> PathBuf {
    let folder = env::var_os("DOCKLESS_TEST_CACHE")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop"), PathBuf::from);
    fs::create_dir_all(&folder).expect("the cache folder can be made");
    folder
}

/// The path of a program, where it is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    // As a user whose PATH lacks the folders of the administrator's programs.
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A program that must be there.
pub(crate) fn tool(name: &str) -> Command {
    let mut command = Command::new(find(name).unwrap_or_else(|| panic!("{name} is not installed")));
    // Locale, proxies and the user's registries and credentials are no part of a test.
    command.env("LC_ALL", "C.UTF-8").env_remove("REGISTRY_AUTH_FILE").env_remove("DOCKER_CONFIG");
    command
}

/// A line that no test harness swallows.
pub(crate) fn say(line: &str) {
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "{line}");
}

/// A test's own folder, gone when the test ends.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    /// The folder of a test that runs here; `None`, said aloud, where the tests were not asked for.
    pub(crate) fn new(test: &str, tools: &[&str]) -> Option<Self> {
        if env::var_os("DOCKLESS_INTEROP").is_none_or(|value| value.is_empty() || value == "0") {
            let needs = [&["root"], tools].concat().join(", ");
            say(&format!("SKIPPED: {test}: set DOCKLESS_INTEROP=1 to run it (needs {needs})"));
            return None;
        }
        assert!(rustix::process::geteuid().is_root(), "{test} needs root");
        let missing: Vec<_> = tools.iter().filter(|name| find(name).is_none()).collect();
        assert!(missing.is_empty(), "{test} needs {missing:?}, which .ci/run installs");
        let folder = tempfile::Builder::new().prefix("test-").tempdir_in(cache()).expect("a folder for the test");
        Some(Self { folder })
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path of text").into()
    }

    /// Runs the binary in the folder, with a home and cache of the test's own.
    pub(crate) fn dockless<I: IntoIterator<Item: AsRef<OsStr>>>(&self, words: I) -> Told {
        run(self.command().args(words))
    }

    /// The binary, to be run in the folder.
    pub(crate) fn command(&self) -> Command {
        self.prepare(Command::new(env!("CARGO_BIN_EXE_dockless")))
    }

    /// Gives any command the folder and its environment.
    pub(crate) fn prepare(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("DOCKLESS_CACHE_DIR", self.path("cache"))
            .current_dir(self.folder.path());
        command
    }
}

/// What a program answered.
#[derive(Debug)]
pub(crate) struct Told {
    /// The command as it could be typed.
    pub(crate) command: String,
    /// Its output.
    pub(crate) stdout: Vec<u8>,
    /// Its errors.
    pub(crate) stderr: String,
    /// Its exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
}

impl Told {
    /// The output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The only line of the output.
    pub(crate) fn line(&self) -> String {
        let text = self.text();
        assert_eq!(text.lines().count(), 1, "one line was expected of {self}");
        text.trim_end().to_owned()
    }

    /// The answer of a program that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// The answer of a program that must have failed with this code, and have said each of these.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, said: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        for word in said {
            assert!(self.stderr.contains(word), "{word:?} was expected of {self}");
        }
        self
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tail = |text: &str| text.chars().rev().take(4000).collect::<Vec<_>>().into_iter().rev().collect::<String>();
        write!(f, "$ {}\n{}{}exit code {:?}", self.command, tail(&self.text()), tail(&self.stderr), self.code)
    }
}

/// Runs a program to its end, or until it took too long.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Told {
    let mut typed = command.get_program().to_string_lossy().into_owned();
    for word in command.get_args() {
        let _ = write!(typed, " {}", word.to_string_lossy());
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{typed}: {error}"));
    let stdout = child.stdout.take().map(read_aside).expect("a pipe");
    let stderr = child.stderr.take().map(read_aside).expect("a pipe");
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child that can be waited for") {
            break status;
        }
        if start.elapsed() > LONGEST {
            kill(&mut child);
            panic!("{typed} took more than {} seconds", LONGEST.as_secs());
        }
        thread::sleep(Duration::from_millis(10));
    };
    let stdout = stdout.join().expect("the output was read");
    let stderr = String::from_utf8_lossy(&stderr.join().expect("the errors were read")).into_owned();
    Told { command: typed, stdout, stderr, code: status.code() }
}

fn read_aside(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe that can be read");
        bytes
    })
}

/// Ends a child and what it started.
pub(crate) fn kill(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Gone already is as good.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// One request of a registry's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// `GET`, `PATCH`, …
    pub(crate) method: String,
    /// The path with its query.
    pub(crate) path: String,
    /// The answer's status.
    pub(crate) status: u16,
}

impl Request {
    /// Whether it sends, or is about to send, a blob.
    pub(crate) fn sends_a_blob(&self) -> bool {
        self.method != "GET" && self.method != "HEAD" && self.path.contains("/blobs/uploads/")
    }
}

/// A registry that other people wrote, or ours.
pub(crate) struct Registry {
    child: Child,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    log: PathBuf,
    /// Kept open, so that nothing written to it fails.
    _stdout: Option<BufReader<ChildStdout>>,
}

/// The password of `user` in the registries that ask for one, and what `htpasswd -B` makes of it; and of the password
/// that moto's tokens hold for the user `AWS`.
pub(crate) const PASSWORD: &str = "open sesame";
const HTPASSWD: &str = "user:$2b$05$QOO..fysiZOu56eZlYS0/u/TcukwxQ91XdPa/Tpf2T.NZcphyRaMG\n\
                        AWS:$2b$05$rqqHfXc8WEWJ3g0ytn7mQ.dVksFCkSOH/sWBD/WJ.fShs/.M0cB/O\n";

impl Registry {
    /// Sends a command's traffic with these hosts here, without anybody's login.
    pub(crate) fn stand_in_for<const N: usize>(&self, place: &Place, command: &mut Command, hosts: [&str; N]) {
        let endpoints = hosts.map(|host| format!("{host}=http://{}", self.address)).join(",");
        command.env("DOCKER_CONFIG", place.path("no-logins")).env("DOCKLESS_REGISTRY_ENDPOINT", endpoints);
    }

    /// Debian's docker-registry over a folder of the test's.
    pub(crate) fn docker_registry(place: &Place, name: &str) -> Self {
        Self::start_distribution(place, "docker-registry", name, false)
    }

    /// The same, asking for a user and a password.
    pub(crate) fn docker_registry_with_password(place: &Place, name: &str) -> Self {
        Self::start_distribution(place, "docker-registry", name, true)
    }

    /// CNCF distribution 3, which Debian's docker-registry is an ancestor of; `None`, said aloud, where it is not
    /// installed.
    pub(crate) fn distribution(place: &Place, test: &str, name: &str) -> Option<Self> {
        // Its program has a name that others may have as well.
        let version = find("registry").map(|program| run(Command::new(program).arg("--version")));
        if version.is_none_or(|told| !told.text().contains("distribution/v3")) {
            say(&format!("SKIPPED: {test}: distribution 3 is not installed"));
            return None;
        }
        Some(Self::start_distribution(place, "registry", name, false))
    }

    fn start_distribution(place: &Place, program: &str, name: &str, password: bool) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let folder = place.path(name);
        fs::create_dir(&folder).expect("a folder for the registry");
        let mut config = format!(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: false\nstorage:\n  filesystem:\n    \
             rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n  secret: interop\n",
            folder.join("storage").display()
        );
        if password {
            let path = folder.join("htpasswd");
            fs::write(&path, HTPASSWD).expect("a file");
            let _ = write!(config, "auth:\n  htpasswd:\n    realm: interop\n    path: {}\n", path.display());
        }
        fs::write(folder.join("config.yml"), config).expect("a file");
        let log = folder.join("log");
        let file = File::create(&log).expect("a file");
        let child = tool(program)
            .arg("serve")
            .arg(folder.join("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .expect("the registry starts");
        let registry = Self { child, address, log, _stdout: None };
        let start = Instant::now();
        while TcpStream::connect(&registry.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "{program} does not listen: {}", registry.told());
            thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// moto's server: the APIs of AWS's services with nothing behind them, no registry either.
    pub(crate) fn moto(place: &Place) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let port = address.rsplit(':').next().expect("a port");
        let log = place.path("moto.log");
        let file = File::create(&log).expect("a file");
        let child = place
            .prepare(tool("moto_server"))
            .args(["-H", "127.0.0.1", "-p", port])
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .expect("moto_server starts");
        let moto = Self { child, address, log, _stdout: None };
        let start = Instant::now();
        while TcpStream::connect(&moto.address).is_err() {
            assert!(start.elapsed() < Duration::from_mins(1), "moto does not listen: {}", moto.told());
            thread::sleep(Duration::from_millis(50));
        }
        moto
    }

    /// `dockless serve` over a folder.
    pub(crate) fn dockless(place: &Place, folder: &str) -> Self {
        Self::serve(place, folder, &[])
    }

    /// The same with more flags.
    pub(crate) fn serve(place: &Place, folder: &str, more: &[&str]) -> Self {
        let log = place.path(&format!("{folder}.log"));
        let mut child = place
            .command()
            .args(["serve", folder, "--listen", "127.0.0.1:0"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a file"))
            .process_group(0)
            .spawn()
            .expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let registry = Self { child, address, log, _stdout: Some(stdout) };
        assert!(line.starts_with("http://127.0.0.1:"), "the first line is the URL, not {line:?}: {}", registry.told());
        registry
    }

    /// A reference in the registry.
    pub(crate) fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// The same as skopeo and buildah write it.
    pub(crate) fn docker(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.address)
    }

    /// Everything that it has said.
    pub(crate) fn told(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).expect("a log")).into_owned()
    }

    /// Every request so far, as the access log has it.
    pub(crate) fn requests(&self) -> Vec<Request> {
        // 127.0.0.1 - - [date] "PUT /v2/app/manifests/v1 HTTP/1.1" 201 0 "" "dockless/0.1.0"
        let request = |line: &str| {
            let mut parts = line.split('"').skip(1);
            let (line, status) = (parts.next()?, parts.next()?);
            let (mut words, status) = (line.split(' '), status.split_whitespace().next()?);
            let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
            Some(Request { method, path, status: status.parse().ok()? })
        };
        self.told().lines().filter_map(request).filter(|request| request.path.starts_with("/v2/")).collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

/// skopeo, which takes what it is given without asking a policy.
pub(crate) fn skopeo<I: IntoIterator<Item: Into<OsString>>>(words: I) -> Told {
    let mut command = tool("skopeo");
    command.arg("--insecure-policy").args(words.into_iter().map(Into::into));
    run(&mut command)
}
