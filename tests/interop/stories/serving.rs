//! Containers that serve: amd64 in runc, arm64 in qemu, each on a port of this machine.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use std::os::unix::process::CommandExt as _;

use serde_json::{Value, json};

use super::super::support::{Place, kill, run, say, skopeo, tool};

/// What qemu needs to start a server on a machine with two busy cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// What Docker gives the processes of a container, and ECS with it. umoci's own list is shorter: under it no server can
/// change its user.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A port that no other story has, and that no outgoing connection takes meanwhile: builds make many.
pub(super) fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 8_000).expect("a small number");
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// An image as a runtime has it: fetched from the registry by skopeo, unpacked by umoci.
pub(super) struct Bundle {
    folder: PathBuf,
    config: Value,
}

impl Bundle {
    pub(super) fn pull(place: &Place, image: &str, arch: &str) -> Self {
        let layout = place.text(&format!("pulled-{arch}"));
        let copy = ["copy", "--src-tls-verify=false", "--override-os", "linux", "--override-arch", arch];
        skopeo(copy.into_iter().chain([image, &format!("oci:{layout}:v1")])).ok();
        let folder = place.path(&format!("bundle-{arch}"));
        run(tool("umoci").args(["unpack", "--image", &format!("{layout}:v1")]).arg(&folder)).ok();
        let path = folder.join("config.json");
        let mut config: Value =
            serde_json::from_slice(&fs::read(&path).expect("umoci wrote a configuration")).expect("JSON");
        config["process"]["terminal"] = json!(false);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(CAPABILITIES);
        }
        for set in ["inheritable", "ambient"] {
            config["process"]["capabilities"][set] = json!([]);
        }
        // Without a network of its own the container has this machine's, and the port is ours to ask.
        config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|space| space["type"] != "network");
        fs::write(&path, serde_json::to_vec(&config).expect("JSON")).expect("a file");
        Self { folder, config }
    }

    fn words(&self, name: &str) -> Vec<String> {
        serde_json::from_value(self.config["process"][name].clone()).expect("words")
    }

    /// A program of the image, found as the kernel's caller finds it.
    fn program(&self, name: &str) -> String {
        if name.contains('/') {
            return name.to_owned();
        }
        let variables = self.words("env");
        let path = variables.iter().find_map(|variable| variable.strip_prefix("PATH=")).expect("a PATH");
        let mut found = path.split(':').map(|folder| format!("{folder}/{name}"));
        // A link may name a path of the image's own.
        let there = |path: &String| self.folder.join("rootfs").join(&path[1..]).symlink_metadata().is_ok();
        found.find(there).unwrap_or_else(|| panic!("{name} is not in the image's {path}"))
    }

    /// runc over the bundle.
    fn runc(&self, id: &str, more: &[&str]) -> Command {
        let mut command = tool("runc");
        command.arg("--root").arg(self.folder.join("runc")).arg("run").args(more);
        command.arg("--bundle").arg(&self.folder).arg(id);
        command
    }

    /// The same process without a container around it: `qemu` is what runs it, where the machine cannot.
    fn in_root(&self, qemu: Option<&Path>) -> Command {
        let root = self.folder.join("rootfs");
        let process = &self.config["process"];
        let mut words = self.words("args");
        words[0] = self.program(&words[0]);
        if let Some(qemu) = qemu {
            fs::copy(qemu, root.join("qemu")).expect("qemu can be copied into the image");
            words.insert(0, "/qemu".to_owned());
        }
        // Its own processes, which end with the first; what a server finds in /dev and /proc, and no more.
        let script = "root=$1; cwd=$2; uid=$3; gid=$4; shift 4\n\
                      for name in null zero full random urandom; do\n\
                      : >\"$root/dev/$name\"; mount --bind /dev/$name \"$root/dev/$name\"\n\
                      done\n\
                      ln -sf /proc/self/fd/1 \"$root/dev/stdout\"; ln -sf /proc/self/fd/2 \"$root/dev/stderr\"\n\
                      mount -t proc proc \"$root/proc\"\n\
                      exec env -i \"$@\"";
        let mut command = tool("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-euc", script, "sh"]).arg(&root);
        let id = |name: &str| process["user"][name].as_u64().expect("a number").to_string();
        command.arg(process["cwd"].as_str().expect("a folder")).args([id("uid"), id("gid")]);
        command.args(self.words("env"));
        let enter = super::super::support::find("unshare").expect("unshare is here");
        command.arg(enter).arg("--root").arg(&root).arg("--wd").arg(process["cwd"].as_str().expect("a folder"));
        command.args(["--setgid", &id("gid"), "--setuid", &id("uid")]).args(words);
        command
    }

    /// What `path` answers while the image's process runs in runc.
    pub(super) fn ask_in_runc(&self, port: u16, path: &str) -> String {
        let id = format!("dockless-{port}");
        let ways: [(&str, Command); 3] = [
            ("runc", self.runc(&id, &[])),
            ("runc --no-pivot", self.runc(&id, &["--no-pivot"])),
            // Machines that may not make namespaces or control groups: what runs is the same, what surrounds it is not.
            ("NOT IN A CONTAINER: a changed root", self.in_root(None)),
        ];
        let mut said = Vec::new();
        for (way, command) in ways {
            let mut server = Server::start(self, command, Some(&id));
            match server.ask(port, path) {
                Ok(answer) => return answer,
                Err(error) => {
                    say(&format!("{way} does not serve here: {error}"));
                    said.push(error);
                }
            }
        }
        panic!("nothing serves {path}: {said:#?}")
    }

    /// What `path` answers while the image's process runs in qemu.
    pub(super) fn ask_in_qemu(&self, port: u16, path: &str) -> String {
        let qemu = super::super::support::find("qemu-aarch64-static").expect("qemu is here");
        let mut server = Server::start(self, self.in_root(Some(&qemu)), None);
        server.ask(port, path).unwrap_or_else(|error| panic!("qemu serves no {path}: {error}"))
    }
}

/// A process that serves until it is dropped.
struct Server<'a> {
    bundle: &'a Bundle,
    child: Child,
    container: Option<&'a str>,
    log: PathBuf,
}

impl<'a> Server<'a> {
    fn start(bundle: &'a Bundle, mut command: Command, container: Option<&'a str>) -> Self {
        let log = bundle.folder.join("log");
        let file = File::create(&log).expect("a file");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a file")).stderr(file).process_group(0);
        let child = command.spawn().expect("a process");
        Self { bundle, child, container, log }
    }

    fn told(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).expect("a log")).into_owned()
    }

    /// Waits for an answer, as long as the process runs.
    fn ask(&mut self, port: u16, path: &str) -> Result<String, String> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return Err(format!("{status}: {}", self.told()));
            }
            match get(port, path) {
                Ok(answer) => return Ok(answer),
                Err(error) if start.elapsed() > PATIENCE => {
                    return Err(format!("no answer in {} s: {error}: {}", PATIENCE.as_secs(), self.told()));
                }
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.container {
            let mut delete = tool("runc");
            delete.arg("--root").arg(self.bundle.folder.join("runc")).args(["delete", "--force", id]);
            // Where runc made no container there is none to delete.
            let _ = run(&mut delete);
        }
        kill(&mut self.child);
    }
}

/// A GET in HTTP/1.0: the answer ends where the connection does. Only 200 is an answer.
fn get(port: u16, path: &str) -> Result<String, String> {
    let answer = (|| {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    })();
    let answer = answer.map_err(|error| error.to_string())?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no HTTP: {answer}"))?;
    if head.split(' ').nth(1) == Some("200") { Ok(body.to_owned()) } else { Err(answer) }
}
