//! `run` layers: what a command sees, what becomes of what it leaves, and when it is not run again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::elf::{AARCH64, program};
use super::project::{Project, Said, golden};

const PLATFORMS: &str = "[image]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n";

/// A project whose results are kept in it, so that no test sees another's.
fn project(recipe: &str) -> Project {
    Project::with(&format!("{PLATFORMS}{recipe}"))
}

fn build_with(project: &Project, words: &[&str], variables: &[(&str, &str)]) -> Said {
    let cache = project.at("cache").display().to_string();
    let all = [&["build", "--compression", "none"], words].concat();
    let here = [("PATH", "/usr/bin:/bin"), ("DOCKLESS_CACHE_DIR", &cache)];
    project.run_with(&all, &[&here, variables].concat())
}

fn build(project: &Project, words: &[&str]) -> Said {
    build_with(project, words, &[])
}

/// What a file of a layer of an image holds.
fn content(project: &Project, platform: usize, path: &str) -> String {
    use dockless::layer::untar::Reader;
    let image = project.image("oci", None);
    for layer in &image.manifest(platform).layers {
        let file = fs::File::open(image.layout.blob_path(layer.digest)).expect("the layer");
        let mut reader = Reader::new(file);
        while let Some(entry) = reader.next_entry().expect("an entry") {
            let mut data = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                match reader.read_data(&mut buffer).expect("data") {
                    0 => break,
                    count => data.extend_from_slice(&buffer[..count]),
                }
            }
            if *entry.path == *path.as_bytes() {
                return String::from_utf8(data).expect("text");
            }
        }
    }
    panic!("no {path}");
}

/// How often a command that appends a letter to `count` was run.
fn count(project: &Project) -> usize {
    fs::read(project.at("count")).map_or(0, |bytes| bytes.len())
}

/// A message without what differs from place to place.
fn tamed(project: &Project, words: &[&str], said: &Said) -> String {
    let text = project.shown(&[&["build"], words].concat(), said);
    let mut parts = text.split("/cache/run/");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out = out + "/cache/run/[PLACE]" + part.get(16..).unwrap_or_default();
    }
    out
}

#[test]
fn a_command_sees_what_is_written_down_and_nothing_else() {
    let project = project(
        r#"
[[layer]]
name = "seen"
run = ["/bin/sh", "-c", "before=$(ls -A {out}); pwd >{out}/folder; echo \"before: $before\" >{out}/before; cat >{out}/input; env | sort >{out}/seen"]
env = { PROFILE = "release-{arch}", LANG = "C", PASSED = "by the layer" }
pass-env = ["TOKEN", "ABSENT", "PASSED"]
"#,
    );
    let host = [
        ("HOME", "/home/someone"),
        ("https_proxy", "http://proxy.example:3128"),
        ("NO_PROXY", "localhost"),
        ("TOKEN", "hunter2-hunter2"),
        ("PASSED", "by the host"),
        ("AWS_SECRET_ACCESS_KEY", "never seen"),
        ("GOARCH", "riscv64"),
        ("SOURCE_DATE_EPOCH", "1700000000"),
    ];
    let said = build_with(&project, &["-v"], &host).done();
    assert!(!said.stderr.contains("hunter2"), "{said:#?}");
    let seen = |platform: usize| {
        let text = content(&project, platform, "seen");
        // The shell's own.
        let lines =
            text.lines().filter(|line| !["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|own| line.starts_with(own)));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        let out = lines.iter().position(|line| line.starts_with("DOCKLESS_OUT=")).expect("a folder");
        let run = project.at("cache/run").canonicalize().expect("there").display().to_string();
        let folder = lines.remove(out);
        let name = folder.strip_prefix(&format!("DOCKLESS_OUT={run}/")).and_then(|rest| rest.strip_suffix("/out"));
        assert_eq!(name.map(str::len), Some(16), "{folder}");
        lines
    };
    assert_eq!(
        seen(1),
        [
            "CGO_ENABLED=0",
            "DOCKLESS_ARCH=arm64",
            "DOCKLESS_MACHINE=aarch64",
            "DOCKLESS_OS=linux",
            "DOCKLESS_PLATFORM=linux-arm64",
            "GOARCH=arm64",
            "GOOS=linux",
            "HOME=/home/someone",
            "LANG=C",
            "NO_PROXY=localhost",
            "PASSED=by the layer",
            "PATH=/usr/bin:/bin",
            "PROFILE=release-arm64",
            "PYTHONDONTWRITEBYTECODE=1",
            "PYTHONHASHSEED=0",
            "SOURCE_DATE_EPOCH=315532800",
            "TOKEN=hunter2-hunter2",
            "TZ=UTC",
            "https_proxy=http://proxy.example:3128",
            "npm_config_cpu=arm64",
            "npm_config_libc=glibc",
            "npm_config_os=linux",
        ]
    );
    assert!(seen(0).contains(&"npm_config_cpu=x64".to_owned()));
    let here = project.path().canonicalize().expect("there").display().to_string();
    assert_eq!(content(&project, 0, "folder").trim(), here);
    assert_eq!(content(&project, 0, "input"), "", "it is given no input");
    assert_eq!(content(&project, 0, "before"), "before: \n");
    build_with(&project, &["-q"], &host).done();
    assert_eq!(content(&project, 0, "before"), "before: \n", "what the run before left is gone");
}

#[test]
fn what_it_leaves_is_normalised() {
    let project = project(
        r#"
[[layer]]
name = "below"
copy = [{ src = "file", dest = "/usr/bin/tool" }]

[[layer]]
name = "link"
rootfs = "root"
owner = "0:0"

[[layer]]
name = "made"
run = """
umask 077
mkdir -p {out}/bin {out}/lib/__pycache__
echo {arch} >{out}/bin/app; chmod 4711 {out}/bin/app
echo x >{out}/lib/x; ln {out}/lib/x {out}/lib/y; ln -s ../lib {out}/bin/lib
echo no >{out}/lib/__pycache__/x.pyc
"""
dest = "/{machine}"
exclude = ["**/__pycache__"]
owner = "10001"
mtime = "2026-01-01T00:00:00Z"

[[layer]]
name = "through"
run = "echo x >{out}/y"
dest = "/bin"
"#,
    );
    project.write("file", "").write(".dockerignore", "**\n!file\n!root\n");
    project.tree("root").link("bin", "usr/bin");
    let said = build(&project, &[]).done();
    assert!(!said.stderr.contains("warning"), "{said:#?}");
    assert_eq!(
        project.image("oci", None).root(1).into_iter().filter(|line| line.starts_with(['2', '3'])).collect::<Vec<_>>(),
        [
            "2 0755 10001:10001 /aarch64/",
            "2 0755 10001:10001 /aarch64/bin/",
            "2 0755 10001:10001 /aarch64/bin/app 6",
            "2 0777 10001:10001 /aarch64/bin/lib -> ../lib",
            "2 0755 10001:10001 /aarch64/lib/",
            "2 0644 10001:10001 /aarch64/lib/x 2",
            "2 0644 10001:10001 /aarch64/lib/y 2",
            "3 0755 0:0 /usr/",
            "3 0755 0:0 /usr/bin/",
            "3 0644 0:0 /usr/bin/y 2",
        ]
    );
    let digest = said.line().to_owned();
    assert_eq!(build(&project, &["--no-cache", "-j", "1"]).done().line(), digest, "and the same each time");
    // The command that says the same for both is one blob.
    let image = project.image("oci", None);
    assert_eq!(image.manifest(0).layers[3].digest, image.manifest(1).layers[3].digest);
    assert_ne!(image.manifest(0).layers[2].digest, image.manifest(1).layers[2].digest);
}

#[test]
fn it_is_run_again_when_something_is_another() {
    let recipe = r#"
[[layer]]
name = "made"
platforms = ["linux/amd64"]
run = "printf x >>count; cat input src/* >{out}/made; echo $GREETING >>{out}/made"
inputs = ["input", "src/**"]
env = { GREETING = "hello" }
pass-env = ["TOKEN"]

[[layer]]
name = "other"
run = "echo {arch} >{out}/arch"
inputs = ["input"]
"#;
    let project = project(recipe);
    project.write("input", "1\n").write("src/a", "a\n");
    let first = build(&project, &[]).done();
    assert_eq!((count(&project), content(&project, 0, "made").as_str()), (1, "1\na\nhello\n"));
    let mut runs = 1;
    let mut step = |what: &str, again: bool, words: &[&str], variables: &[(&str, &str)]| {
        let said = build_with(&project, words, variables).done();
        runs += usize::from(again);
        assert_eq!(count(&project), runs, "{what}: {said:#?}");
        said
    };
    let again = step("nothing changed", false, &["-v"], &[]);
    assert_eq!(again.line(), first.line());
    assert!(again.stderr.contains("run made (linux/amd64)  (cached)"), "{again:#?}");
    step("the path is the machine's", false, &[], &[("PATH", "/bin:/usr/bin"), ("HOME", "/root")]);
    step("it is allowed not to run", false, &["--no-run"], &[]);
    project.write("input", "2\n");
    step("an input", true, &[], &[]);
    assert!(content(&project, 0, "made").starts_with("2\n"));
    fs::set_permissions(project.at("input"), fs::Permissions::from_mode(0o755)).expect("a mode");
    step("an x bit", true, &[], &[]);
    project.write("src/b", "");
    step("a file more", true, &[], &[]);
    step("a variable that is passed", true, &[], &[("TOKEN", "one-secret")]);
    step("its value", true, &[], &[("TOKEN", "another-secret")]);
    step("the same value", false, &[], &[("TOKEN", "another-secret")]);
    step("it is asked for", true, &["--no-cache"], &[("TOKEN", "another-secret")]);
    project.write("dockless.toml", format!("{PLATFORMS}{}", recipe.replace("hello", "good day")));
    step("the layer's environment", true, &[], &[]);
    project.write("dockless.toml", format!("{PLATFORMS}{}", recipe.replace("printf x", "printf y")));
    step("the command", true, &[], &[]);
    project
        .write("dockless.toml", format!("{PLATFORMS}{}", recipe.replace("printf x", "printf y") + "dest = \"/b\"\n"));
    step("where it goes", false, &[], &[]);
    let kept = project.listing().into_iter().filter(|path| path.ends_with("out/made")).collect::<Vec<_>>();
    assert_eq!(kept.len(), 1);
    fs::remove_file(project.at("cache").parent().expect("a folder").join(&kept[0])).expect("a file of the cache");
    step("what was kept", true, &[], &[]);
    for path in project.listing().iter().filter(|path| path.starts_with("cache")) {
        let path = project.path().join(path);
        assert!(!path.is_file() || !String::from_utf8_lossy(&fs::read(path).expect("a file")).contains("secret"));
    }
}

#[test]
fn what_cannot_be_known_is_run_each_time() {
    let project = project(
        "[[layer]]\nname = \"made\"\nplatforms = [\"linux/amd64\"]\nrun = \"printf x >>count; echo >{out}/x\"\n\
                           [[layer]]\nname = \"file\"\ncopy = [{ src = \"dockless.toml\", dest = \"/\" }]\n",
    );
    build(&project, &[]).done();
    build(&project, &[]).done();
    assert_eq!(count(&project), 2);
    let said = build(&project, &["--no-run"]).with_code(2);
    golden("run-forbidden.txt", tamed(&project, &["--no-run"], &said));
    assert_eq!(count(&project), 2);
    let with = project.text("dockless.toml").replace("run =", "inputs = [\"dockless.toml\"]\nrun =");
    project.write("dockless.toml", with);
    let said = build(&project, &["--no-run"]).with_code(2);
    assert!(said.stderr.contains("no result is kept that fits its inputs"), "{said:#?}");
}

#[test]
fn an_input_that_changes_while_it_is_read_keeps_nothing() {
    let project = project(
        "[[layer]]\nname = \"made\"\nplatforms = [\"linux/amd64\"]\nrun = \"printf x >>count; echo >{out}/x\"\ninputs = [\"*\"]\n\
                           [[layer]]\ncopy = [{ src = \"dockless.toml\", dest = \"/\" }]\n",
    );
    let words = ["-o", "result"];
    let said = build(&project, &words).done();
    assert!(said.stderr.contains("its inputs changed while it ran"), "{said:#?}");
    build(&project, &words).done();
    assert_eq!(count(&project), 2);
}

/// The image that the build writes beside the recipe is no input.
#[test]
fn the_result_of_the_build_is_no_input() {
    let project = project(
        "[[layer]]\nname = \"made\"\nrun = \"printf x >>/dev/null; echo {arch} >{out}/x\"\ninputs = [\"dockless.toml\", \"all\"]\n",
    );
    project.write("all/x", "");
    build(&project, &["-o", "all/oci", "--report", "all/report.json"]).done();
    build(&project, &["-o", "all/oci", "--report", "all/report.json", "--no-run"]).done();
}

#[test]
fn platforms_run_side_by_side() {
    // Each waits for the other: one after the other they would never end.
    let project = project(
        "[[layer]]\nname = \"made\"\nrun = \"\"\"\ntouch here-{arch}\ni=0\nwhile [ $i -lt 300 ]; do [ -e here-amd64 ] && [ -e here-arm64 ] && break\n\
         sleep 0.1; i=$((i+1)); done\n[ $i -lt 300 ]\necho {machine} >{out}/machine\n\"\"\"\n",
    );
    build(&project, &["-j", "2"]).done();
    assert_eq!([0, 1].map(|platform| content(&project, platform, "machine")), ["x86_64\n", "aarch64\n"]);
}

#[test]
fn failures_say_what_was_run_and_what_it_said() {
    let cases = [
        "run = \"echo compiling; echo 'no such crate' >&2; echo more; exit 3\"\n",
        "run = \"kill -KILL $$\"\n",
        "run = [\"no-such-program\", \"a b\"]\n",
        "run = \"true\"\n",
        "run = \"rm -r {out}; ln -s /etc {out}\"\n",
        "run = \"cat /dev/null >{out}/x\"\ninputs = [\"missing\", \"*.lock\"]\n",
        "run = \"cat /dev/null >{out}/x\"\ninputs = [\"*.lock\"]\n",
        "run = \"mkfifo {out}/pipe\"\n",
        "run = \"touch {out}/.wh.passwd\"\n",
        "run = \"touch ran {out}/x\"\n\n[[layer]]\nrootfs = \"missing\"\n",
    ];
    let shown = cases.iter().map(|case| {
        let project = Project::with(&format!("[[layer]]\nname = \"made\"\n{case}"));
        let words = ["-p", "linux/amd64"];
        let said = build(&project, &words).with_code(2);
        assert!(!project.at("oci").exists() && !project.at("ran").exists());
        tamed(&project, &words, &said)
    });
    golden("run-failures.txt", shown.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_folder_that_a_shell_would_split_is_for_arrays_alone() {
    let project = Project::with("[[layer]]\nname = \"made\"\nrun = \"echo >{out}/x\"\n");
    let cache = project.at("a cache").display().to_string();
    let words = ["build", "-q", "-p", "linux/amd64"];
    let variables = [("PATH", "/usr/bin:/bin"), ("DOCKLESS_CACHE_DIR", cache.as_str())];
    let said = project.run_with(&words, &variables).with_code(2);
    assert!(said.stderr.contains("a shell would not take") && said.stderr.contains("as an array"), "{said:#?}");
    for run in ["\"echo >\\\"$DOCKLESS_OUT/x\\\"\"", "[\"touch\", \"{out}/x\"]"] {
        project.write("dockless.toml", format!("[[layer]]\nname = \"made\"\nrun = {run}\n"));
        project.run_with(&words, &variables).done();
        assert_eq!(project.image("oci", None).paths(0, 0), ["x"]);
    }
}

#[test]
fn without_a_cache_folder_it_is_among_the_temporary_files() {
    let project = Project::with("[[layer]]\nname = \"made\"\nrun = \"echo >{out}/x\"\n");
    project.write("tmp/file", "");
    let temporary = project.at("tmp").display().to_string();
    project.run_with(&["build", "-q", "-p", "linux/amd64"], &[("TMPDIR", &temporary)]).done();
    let made: Vec<_> = fs::read_dir(project.at("tmp")).expect("a folder").flatten().map(|entry| entry.path()).collect();
    let run = made.iter().find(|path| path.is_dir()).expect("a folder for results");
    assert!(run.file_name().is_some_and(|name| name.to_string_lossy().starts_with("dockless-")), "{made:?}");
    assert_eq!(fs::metadata(run).expect("a folder").permissions().mode() & 0o7777, 0o700);
}

#[test]
fn secrets_are_in_no_message_and_no_file() {
    let project = project(
        "[[layer]]\nname = \"made\"\nrun = \"env; echo $TOKEN >&2; exit 1\"\npass-env = [\"TOKEN\"]\ninputs = [\"dockless.toml\"]\n",
    );
    let secret = "hunter2-hunter2";
    let proxy = "http://user:open-sesame@proxy.example";
    let said = build_with(&project, &["-v"], &[("TOKEN", secret), ("https_proxy", proxy)]).with_code(2);
    assert!(said.stderr.contains("TOKEN=***"), "{said:#?}");
    for path in project.listing() {
        let path = project.path().join(path);
        let text = if path.is_file() { fs::read(&path).expect("a file") } else { Vec::new() };
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains(secret) && !text.contains("sesame"), "{}", path.display());
    }
    assert!(!said.stderr.contains(secret) && !said.stderr.contains("sesame"), "{said:#?}");
}

#[test]
fn a_path_that_is_not_in_the_image_is_told_with_the_file() {
    let project = project(
        "[[layer]]\nname = \"made\"\nplatforms = [\"linux/amd64\"]\nrun = \"mkdir {out}/bin; echo '#!{out}/bin/python' >{out}/bin/tool; ln -s {out} {out}/link; echo {out} >{out}/left.out\"\n\
         inputs = [\"dockless.toml\"]\nexclude = [\"*.out\"]\ndest = \"/opt\"\n\n[[layer]]\ncopy = [{ src = \"dockless.toml\", dest = \"/\" }]\n",
    );
    let first = build(&project, &["-q", "--report", "report.json"]).done();
    let warnings = |project: &Project| {
        let report: serde_json::Value = serde_json::from_slice(&project.read("report.json")).expect("JSON");
        report["warnings"]
            .as_array()
            .expect("warnings")
            .iter()
            .map(|text| text.as_str().expect("text").to_owned())
            .collect::<Vec<_>>()
    };
    let told = warnings(&project);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("layer made (linux/amd64): bin/tool and 1 more of "), "{told:?}");
    let again = build(&project, &["-q", "--report", "report.json", "--no-run"]).done();
    assert_eq!((warnings(&project), again.line()), (told, first.line()), "also where it was not run");
}

#[test]
fn nothing_of_it_is_trusted() {
    let project = Project::with(
        "[config]\nentrypoint = [\"/app\"]\n[[layer]]\nname = \"made\"\nrun = \"cp program {out}/app; chmod +x {out}/app\"\n",
    );
    project.write("program", program(AARCH64));
    let said = build(&project, &["-p", "linux/amd64"]).with_code(1);
    assert!(said.stderr.contains("foreign-executable") && said.stderr.contains("/app"), "{said:#?}");
    build(&project, &["-p", "linux/arm64"]).done();
}

#[test]
fn what_it_leaves_behind_hangs_nothing() {
    // In its own session, so that nothing ends it: it holds the pipe for as long as it likes.
    let project = project(
        "[[layer]]\nname = \"made\"\nplatforms = [\"linux/amd64\"]\nrun = \"(setsid sleep 20 || sleep 20) & echo >{out}/x\"\n\
                           [[layer]]\ncopy = [{ src = \"dockless.toml\", dest = \"/\" }]\n",
    );
    let started = Instant::now();
    build(&project, &[]).done();
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[test]
fn a_build_that_is_killed_ends_its_command_and_the_next_begins_anew() {
    let project = project(
        "[[layer]]\nname = \"made\"\nplatforms = [\"linux/amd64\"]\nrun = \"echo half >{out}/half; [ -e quick ] || exec 3>alive; touch begun; [ -e quick ] || sleep 60; touch late; rm {out}/half; echo >{out}/x\"\ninputs = [\"dockless.toml\"]\n\
         [[layer]]\ncopy = [{ src = \"dockless.toml\", dest = \"/\" }]\n",
    );
    let cache = project.at("cache");
    let alive = project.at("alive");
    assert!(Command::new("mkfifo").arg(&alive).status().expect("mkfifo runs").success());
    for signal in ["-KILL", "-INT"] {
        let (ended, end) = mpsc::channel();
        let alive = alive.clone();
        // A pipe has its end where nobody holds it open any more: the command and what it started.
        std::thread::spawn(move || ended.send(fs::read(alive).map(|read| read.len())));
        let mut child = project
            .command(&["build", "-q"])
            .env("PATH", "/usr/bin:/bin")
            .env("DOCKLESS_CACHE_DIR", &cache)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let started = Instant::now();
        while !project.at("begun").exists() {
            assert!(started.elapsed() < Duration::from_mins(1), "it does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
        assert!(killed.success() && child.wait().expect("a child").code().is_none());
        fs::remove_file(project.at("begun")).expect("a file");
        let read = end.recv_timeout(Duration::from_secs(40)).expect("it has ended");
        assert_eq!(read.expect("a pipe"), 0);
        assert!(!project.at("late").exists(), "{signal}: the command went on");
        let refused = build(&project, &["--no-run"]).with_code(2);
        assert!(refused.stderr.contains("no result is kept"), "{refused:#?}");
    }
    project.write("quick", "");
    build(&project, &["-q"]).done();
    assert_eq!(project.image("oci", None).paths(0, 0), ["x"]);
}

#[test]
fn two_builds_take_turns() {
    let project = project(
        "[[layer]]\nname = \"made\"\nrun = \"[ ! -e busy-{arch} ]; touch busy-{arch}; sleep 0.5; rm busy-{arch}; echo {arch} >{out}/x\"\n",
    );
    std::thread::scope(|scope| {
        let both = ["one", "two"].map(|output| scope.spawn(|| build(&project, &["-q", "-o", output]).done().stdout));
        let [one, two] = both.map(|build| build.join().expect("a build"));
        assert_eq!(one, two);
    });
}

/// A job of GitLab runs in /builds/x/0 and the next one in /builds/x/1: each ran its commands anew.
#[test]
fn a_result_is_taken_whatever_folder_the_recipe_lies_in() {
    let project = Project::new();
    for folder in ["0", "1"] {
        project.write(
            &format!("{folder}/dockless.toml"),
            "[[layer]]\nrun = \"echo x >> ../count; cp in {out}\"\ninputs = [\"in\"]\ndest = \"/app\"\n",
        );
        project.write(&format!("{folder}/in"), "1");
    }
    let lines = ["0", "1"].map(|folder| build(&project, &["-q", folder]).done().line().to_owned());
    assert_eq!(lines[0], lines[1]);
    assert_eq!(fs::read_to_string(project.at("count")).expect("a file"), "x\n");
    project.write("1/in", "2");
    build(&project, &["-q", "1"]).done();
    build(&project, &["-q", "0"]).done();
    assert_eq!(fs::read_to_string(project.at("count")).expect("a file"), "x\nx\n", "what 0 has stays its own");
}

#[test]
fn without_a_cache_folder_commands_are_run_elsewhere() {
    let project = project("[[layer]]\nrun = \"cp in {out}\"\ninputs = [\"in\"]\ndest = \"/app\"\n");
    project.write("in", "1").write("file", "no folder");
    fs::create_dir(project.at("tmp")).expect("a folder");
    let (cache, tmp) = (project.at("file/cache").display().to_string(), project.at("tmp").display().to_string());
    let variables = [("DOCKLESS_CACHE_DIR", cache.as_str()), ("TMPDIR", tmp.as_str())];
    let said = build_with(&project, &[], &variables).done();
    assert_eq!(said.stderr.matches("results of commands are kept in").count(), 1, "{said:#?}");
    assert!(said.stderr.contains("Not a directory"), "{said:#?}");
    assert_eq!(content(&project, 0, "app/in"), "1");
    build_with(&project, &["--no-run"], &variables).done();
}
