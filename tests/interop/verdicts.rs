//! No false alarm on real root file systems, and no false comfort: what is said to run does run, and what is said not
//! to does not. The programs are Debian's own and a few lines of C; chroot is the judge of the judge.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dockless::ecs::json::parse;
use dockless::ecs::target::{TargetOptions, select};
use dockless::event::Silent;
use dockless::image::base::choose;
use dockless::image::inspect::{Facts, facts};
use dockless::layer::contents::{Head, Kind};
use dockless::verify::finding::{Finding, Verdict};
use dockless::verify::rules::{Options, verify};

use super::debian;
use super::support::{Place, run, say, tool};

const TOOLS: &[&str] = &["debootstrap", "setcap", "umoci"];

/// The facts of an image of these root file systems, read back from its blobs.
fn image(place: &Place, platform: &str, layers: &[&Path]) -> Facts {
    let layers: Vec<String> = layers.iter().map(|layer| format!("{platform}={}", layer.display())).collect();
    let mut words = vec!["build", "--platform", platform, "-o", "image", "--compression", "none"];
    for layer in &layers {
        words.extend(["--layer", layer]);
    }
    place.dockless(words).ok();
    let layout = Arc::new(dockless::layout::Layout::open(&place.path("image")).expect("a layout"));
    let top = choose(&layout.index().expect("an index"), None).expect("an image");
    facts("image", &layout, &top, 2, &Silent).expect("the facts of an image")
}

/// What is said of a command, on a task of the image's own architecture.
fn judged(facts: &Facts, command: &[&str]) -> (Verdict, Vec<Finding>) {
    let mut facts = facts.clone();
    facts.images[0].config.config.entrypoint = command.iter().map(|word| (*word).to_owned()).collect();
    let architecture = if facts.images[0].platform().to_string() == "linux/arm64" { "ARM64" } else { "X86_64" };
    let definition = format!(
        "{{\"family\":\"f\",\"runtimePlatform\":{{\"cpuArchitecture\":\"{architecture}\"}},\
         \"containerDefinitions\":[{{\"name\":\"app\"}}]}}"
    );
    let definitions = parse("td.json", &definition).expect("a task definition");
    let targets = select(definitions, &TargetOptions::default()).expect("a target");
    let answer = verify(&facts, &targets, &Options::default());
    (answer.verdict, answer.all().cloned().collect())
}

/// Every program of the usual folders runs, and nothing is said of any.
fn all_programs_run(facts: &Facts, least: usize) {
    const FOLDERS: [&[u8]; 6] = [b"bin/", b"sbin/", b"usr/bin/", b"usr/sbin/", b"usr/local/bin/", b"opt/"];
    let root = Arc::clone(&facts.images[0].root);
    let program = |kind: &Kind, mode: u16| {
        matches!(kind, Kind::File { head: Head::Elf(_) | Head::Script(_), .. }) && mode & 0o111 != 0
    };
    let programs = root.iter().filter(|(path, node, _)| {
        FOLDERS.iter().any(|folder| path.starts_with(folder)) && program(&node.kind, node.mode)
    });
    let programs: Vec<String> = programs.map(|(path, ..)| format!("/{}", String::from_utf8_lossy(path))).collect();
    assert!(programs.len() >= least, "only {} programs", programs.len());
    let mut wrong = Vec::new();
    for path in &programs {
        let (verdict, findings) = judged(facts, &[path]);
        if verdict != Verdict::Runs || !findings.is_empty() {
            let told: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
            wrong.push(format!("{path}: {verdict}: {}", told.join("; ")));
        }
    }
    assert!(wrong.is_empty(), "of {} programs:\n{}", programs.len(), wrong.join("\n"));
    say(&format!("{} programs, nothing to say of any", programs.len()));
}

#[test]
fn every_program_of_debian_runs() {
    let Some(place) = Place::new("every_program_of_debian_runs", TOOLS) else { return };
    all_programs_run(&image(&place, "linux/amd64", &[&debian::amd64()]), 300);
}

#[test]
fn every_program_of_debian_for_arm64_runs() {
    let Some(place) = Place::new("every_program_of_debian_for_arm64_runs", TOOLS) else { return };
    let facts = image(&place, "linux/arm64", &[&debian::arm64()]);
    all_programs_run(&facts, 300);
    // The same root as another platform's: nothing of it runs.
    let mut wrong = facts;
    let amd64 = dockless::oci::platform::Platform::linux_amd64();
    (wrong.images[0].config.architecture, wrong.images[0].stated) = (amd64.architecture.clone(), Some(amd64));
    assert_eq!(judged(&wrong, &["/bin/sh"]).0, Verdict::DoesNotRun);
}

/// Unpacks packages of this machine's Debian into a folder.
fn packages(place: &Place, root: &Path, names: &[&str]) {
    let folder = place.path("packages");
    fs::create_dir_all(&folder).expect("a folder");
    run(tool("apt-get").arg("download").args(names).current_dir(&folder)).ok();
    fs::create_dir_all(root).expect("a folder");
    for entry in fs::read_dir(&folder).expect("a folder") {
        let file = entry.expect("a name").path();
        run(tool("dpkg-deb").arg("-x").arg(&file).arg(root)).ok();
    }
    fs::remove_dir_all(folder).expect("packages that can be removed");
}

/// Compiles a program or library.
fn compiled(place: &Place, source: &str, words: &[&str], file: &Path) {
    let path = place.path("source.c");
    fs::write(&path, source).expect("a file");
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    run(tool("cc").arg("-o").arg(file).arg(&path).args(words)).ok();
}

/// Whether the command runs in a root file system, in truth.
fn runs(root: &Path, command: &[&str]) -> bool {
    let told = run(tool("chroot").arg(root).args(command));
    assert!(matches!(told.code, Some(0 | 126 | 127)), "{told}");
    told.code == Some(0)
}

fn rules(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.rule.name()).collect()
}

const MAIN: &str = "int main(void) { return 0; }\n";

/// A root like Alpine's: musl and busybox.
fn alpine(place: &Place) -> PathBuf {
    let root = place.path("alpine");
    packages(place, &root, &["musl", "busybox-static"]);
    let loader = root.join("lib/ld-musl-x86_64.so.1");
    if fs::symlink_metadata(&loader).is_err() {
        std::os::unix::fs::symlink("x86_64-linux-musl/libc.so", &loader).expect("a link");
    }
    std::os::unix::fs::symlink("busybox", root.join("bin/sh")).expect("a link");
    // Linked with nothing but musl, whose start is our own.
    let source = "void _exit(int); void _start(void) { _exit(0); }\n";
    let folder = format!("-L{}", root.join("lib/x86_64-linux-musl").display());
    let loader = "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1";
    let words = ["-nostdlib", "-nostartfiles", "-fPIE", "-pie", "-fno-stack-protector", loader, &folder, "-l:libc.so"];
    compiled(place, source, &words, &root.join("usr/bin/app"));
    root
}

#[test]
fn c_libraries_are_told_apart() {
    let tools = &[TOOLS, &["apt-get", "dpkg-deb", "cc", "chroot"]].concat();
    let Some(place) = Place::new("c_libraries_are_told_apart", tools) else { return };
    if !cfg!(target_arch = "x86_64") {
        return say("SKIPPED: c_libraries_are_told_apart: the programs are made for x86_64");
    }
    let root = alpine(&place);
    let glibc = place.path("glibc/opt/glibc-app");
    compiled(&place, MAIN, &[], &glibc);
    let with = image(&place, "linux/amd64", &[&root, &place.path("glibc")]);
    fs::create_dir_all(root.join("opt")).expect("a folder");
    fs::copy(&glibc, root.join("opt/glibc-app")).expect("a file");
    for command in ["/bin/sh", "/bin/busybox", "/usr/bin/app", "/opt/glibc-app"] {
        let words = if command.contains("busybox") { vec![command, "true"] } else { vec![command] };
        let words = if command == "/bin/sh" { vec![command, "-c", "true"] } else { words };
        let (verdict, findings) = judged(&with, &words);
        let wanted = if runs(&root, &words) { Verdict::Runs } else { Verdict::DoesNotRun };
        assert_eq!(verdict, wanted, "{command}: {findings:?}");
        let alarms: &[&str] = if command.starts_with("/opt") { &["interpreter-missing"] } else { &[] };
        assert_eq!(rules(&findings), alarms, "{command}: {findings:?}");
    }
    // The other way round: a program of musl in Debian's root.
    let musl = place.path("musl");
    fs::create_dir_all(musl.join("opt")).expect("a folder");
    fs::copy(root.join("usr/bin/app"), musl.join("opt/app")).expect("a file");
    let (verdict, findings) = judged(&image(&place, "linux/amd64", &[&debian::amd64(), &musl]), &["/opt/app"]);
    assert_eq!((verdict, rules(&findings)), (Verdict::DoesNotRun, vec!["interpreter-missing"]), "{findings:?}");
}

#[test]
fn libraries_are_found_where_the_loader_finds_them() {
    let tools = &[TOOLS, &["apt-get", "dpkg-deb", "cc", "chroot", "ldconfig"]].concat();
    let Some(place) = Place::new("libraries_are_found_where_the_loader_finds_them", tools) else { return };
    // A root without a shell, as distroless images have it.
    let root = place.path("root");
    packages(&place, &root, &["libc6", "libssl3", "openssl", "libgcc-s1"]);
    let check = |what: &str, command: &[&str], wanted: Verdict| {
        let (verdict, findings) = judged(&image(&place, "linux/amd64", &[&root]), command);
        assert_eq!(verdict, wanted, "{what}: {findings:?}");
        if verdict != Verdict::Undetermined {
            assert_eq!(runs(&root, command), verdict == Verdict::Runs, "{what}: {findings:?}");
        }
        findings
    };
    assert_eq!(check("openssl", &["/usr/bin/openssl", "version"], Verdict::Runs), []);
    let library = place.path("libown.so.1");
    compiled(&place, "int own(void) { return 0; }\n", &["-shared", "-fPIC", "-Wl,-soname,libown.so.1"], &library);
    let source = "int own(void); int main(void) { return own(); }\n";
    let with = library.to_str().expect("text");
    compiled(&place, source, &[with], &root.join("usr/bin/app"));
    let missing = check("a library that is nowhere", &["/usr/bin/app"], Verdict::DoesNotRun);
    assert_eq!(rules(&missing), ["library-missing"]);
    fs::create_dir_all(root.join("opt/own")).expect("a folder");
    fs::copy(&library, root.join("opt/own/libown.so.1")).expect("a file");
    check("in a folder that nobody names", &["/usr/bin/app"], Verdict::Undetermined);
    run(tool("ldconfig").arg("-r").arg(&root)).ok();
    check("in a folder that the cache does not name", &["/usr/bin/app"], Verdict::DoesNotRun);
    fs::create_dir_all(root.join("etc/ld.so.conf.d")).expect("a folder");
    fs::write(root.join("etc/ld.so.conf"), "/opt/own\n").expect("a file");
    run(tool("ldconfig").arg("-r").arg(&root)).ok();
    assert_eq!(check("in a folder that the cache names", &["/usr/bin/app"], Verdict::Runs), []);
    fs::remove_file(root.join("etc/ld.so.cache")).expect("a file");
    // Without /proc, which a container has, the loader does not know $ORIGIN.
    compiled(&place, source, &[with, "-Wl,-rpath,/opt/own"], &root.join("usr/bin/app"));
    assert_eq!(check("behind RUNPATH", &["/usr/bin/app"], Verdict::Runs), []);
}

#[test]
fn a_service_of_node_runs() {
    let tools = &[TOOLS, &["apt-get", "dpkg-deb", "cc"]].concat();
    let Some(place) = Place::new("a_service_of_node_runs", tools) else { return };
    let node = place.path("node");
    // Debian's own, whichever this machine prefers: a program of few lines, and everything in a library.
    packages(
        &place,
        &node,
        &[
            "nodejs/bookworm",
            "libnode108",
            "libicu72",
            "libuv1",
            "libc-ares2",
            "libnghttp2-14",
            "libbrotli1",
            "libssl3",
            "libstdc++6",
            "zlib1g",
        ],
    );
    // Debian's /lib is a link to usr/lib. A layer that has a folder there puts it in the link's place, and the loader
    // is gone with the link.
    let split = image(&place, "linux/amd64", &[&debian::amd64(), &node]);
    assert_eq!(rules(&judged(&split, &["/usr/bin/node"]).1), ["interpreter-missing"]);
    run(tool("cp").arg("-a").arg(node.join("lib/.")).arg(node.join("usr/lib"))).ok();
    fs::remove_dir_all(node.join("lib")).expect("a folder");
    let addon = node.join("app/node_modules/addon");
    compiled(&place, "int own;\n", &["-shared", "-fPIC"], &addon.join("prebuilds/linux-x64/addon.node"));
    let arm = debian::arm64().join("usr/lib/aarch64-linux-gnu/libz.so.1");
    let arm =
        fs::canonicalize(arm).or_else(|_| fs::canonicalize(debian::arm64().join("lib/aarch64-linux-gnu/libc.so.6")));
    fs::create_dir_all(addon.join("prebuilds/linux-arm64")).expect("a folder");
    fs::copy(arm.expect("a library"), addon.join("prebuilds/linux-arm64/addon.node")).expect("a file");
    fs::write(node.join("app/server.js"), "require('addon')\n").expect("a file");
    let facts = image(&place, "linux/amd64", &[&debian::amd64(), &node]);
    let (verdict, findings) = judged(&facts, &["node", "/app/server.js"]);
    assert_eq!((verdict, findings), (Verdict::Runs, Vec::new()));
    all_programs_run(&facts, 300);
    // Without the one for this machine, nobody knows.
    fs::remove_dir_all(addon.join("prebuilds/linux-x64")).expect("a folder");
    let (verdict, findings) =
        judged(&image(&place, "linux/amd64", &[&debian::amd64(), &node]), &["node", "/app/server"]);
    assert_eq!((verdict, rules(&findings)), (Verdict::Undetermined, vec!["foreign-executable"]), "{findings:?}");
}
