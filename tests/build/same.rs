//! The same inputs give the same digests, whoever builds them, where and how.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use super::files::{prose, set_time, walk};
use super::golden::fixture;
use super::project::{Project, Said};

/// Enough chunks for threads to overtake each other, and no more: this is built many times.
fn small() -> Project {
    let project = Project::with(
        "[image]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [[layer]]\nname = \"root\"\nrootfs = \"root\"\nowner = \"0:0\"\n\
         [[layer]]\nname = \"app\"\ncopy = [{ src = \"app\", dest = \"/app\" }]\n",
    );
    project.tree("root").dir("tmp", 0o1777).file("etc/motd", 0o644, "hi\n").settle(1_700_000_000);
    let app = project.tree("app");
    for name in ["a", "b", "c/d", "c/e", "f-g", "f/h"] {
        app.file(name, 0o644, prose(name.len() as u64 + 1, 300_000));
    }
    app.file("run", 0o755, "#!/bin/sh\n").link("link", "run");
    project
}

fn digest(project: &Project, words: &[&str]) -> String {
    let words: Vec<&str> = ["build", "-o", "oci"].iter().chain(words).copied().collect();
    project.run(&words).done().line().to_owned()
}

#[test]
fn any_number_of_threads() {
    let project = fixture();
    for method in ["gzip", "zstd"] {
        let one = digest(&project, &["-j", "1", "--compression", method]);
        for jobs in ["2", "8"] {
            assert_eq!(digest(&project, &["-j", jobs, "--compression", method]), one, "{method} with {jobs} threads");
        }
    }
}

#[test]
fn any_umask() {
    let project = small();
    let plain = digest(&project, &[]);
    for umask in ["000", "022", "077"] {
        let output = Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_dockless")])
            .args(["build", "-o", umask])
            .env_clear()
            .current_dir(project.path())
            .output()
            .expect("a shell");
        assert_eq!(Said::of(&output).done().line(), plain, "umask {umask}");
        // What is written is as open as the umask lets it be, no more and no less.
        let mode = |path: &str| fs::metadata(project.at(umask).join(path)).expect("there").permissions().mode() & 0o777;
        let wanted = 0o666 & !u32::from_str_radix(umask, 8).expect("octal");
        assert_eq!((mode("index.json"), mode("oci-layout")), (wanted, wanted), "umask {umask}");
    }
}

#[test]
fn any_environment_and_working_folder() {
    let project = small();
    let plain = digest(&project, &[]);
    let settings: [&[(&str, &str)]; 4] = [
        &[("TZ", "Asia/Tokyo"), ("LANG", "ja_JP.UTF-8"), ("LC_ALL", "ja_JP.UTF-8")],
        &[("TZ", "America/New_York"), ("LANG", "C"), ("HOME", "/dev/null"), ("USER", "someone")],
        &[("CI", "true"), ("GITHUB_ACTIONS", "true"), ("RAYON_NUM_THREADS", "1"), ("TMPDIR", "/nonexistent")],
        &[("COLUMNS", "20"), ("TERM", "xterm"), ("CLICOLOR_FORCE", "1"), ("UMASK", "077")],
    ];
    for variables in settings {
        let said = project.run_with(&["build", "-o", "oci"], variables).done();
        assert_eq!(said.line(), plain, "{variables:?}");
    }
    let elsewhere = Project::new();
    let recipe = project.path().display().to_string();
    assert_eq!(elsewhere.run(&["build", &recipe, "-o", "here"]).done().line(), plain);
    let recipe = format!("{recipe}/dockless.toml");
    assert_eq!(elsewhere.run(&["build", &recipe, "-o", "here"]).done().line(), plain);
}

#[test]
fn any_order_time_and_mode_of_the_files() {
    let project = small();
    let plain = digest(&project, &[]);
    // The same files, made the other way round: most file systems list them in another order.
    let paths = walk(&project.at("app"));
    fs::rename(project.at("app"), project.at("old")).expect("renamed");
    let app = project.tree("app");
    app.link("link", "run");
    for path in paths.iter().rev() {
        let old = project.at("old").join(path);
        let data = old.symlink_metadata().expect("there");
        if data.is_file() {
            let name = path.to_str().expect("text");
            // A group and others that may write, or may not read, are a matter of this machine's umask.
            let mode = if data.permissions().mode() & 0o100 == 0 { 0o600 } else { 0o775 };
            app.file(name, mode, fs::read(&old).expect("there"));
        }
    }
    fs::remove_dir_all(project.at("old")).expect("removed");
    assert_eq!(digest(&project, &[]), plain);
    for (number, path) in walk(&project.at("app")).iter().enumerate() {
        set_time(&project.at("app").join(path), Duration::from_secs(86_400 * number as u64));
    }
    assert_eq!(digest(&project, &[]), plain);
}

#[test]
fn a_layout_and_an_archive_hold_the_same() {
    let project = small();
    let plain = digest(&project, &["-t", "example.com/app:v1"]);
    let again = digest(&project, &["-t", "example.com/app:v1"]);
    assert_eq!(plain, again, "a second build into the same layout");
    let said = project.run(&["build", "-t", "example.com/app:v1", "-o", "image.tar"]).done();
    assert_eq!(said.line(), plain);
    let mut archive = tar::Archive::new(fs::File::open(project.at("image.tar")).expect("the archive"));
    let unpacked = project.at("unpacked");
    archive.unpack(&unpacked).expect("an archive that others read");
    let files = |root: &str| -> Vec<_> {
        let root = project.at(root);
        let files = walk(&root).into_iter().filter(|path| root.join(path).is_file());
        files.map(|path| (fs::read(root.join(&path)).expect("a file"), path)).collect()
    };
    assert!(files("oci") == files("unpacked"), "{:?}\n{:?}", walk(&project.at("oci")), walk(&unpacked));
    let first = project.read("image.tar");
    project.run(&["build", "-t", "example.com/app:v1", "-o", "image.tar", "-j", "7"]).done();
    assert!(first == project.read("image.tar"), "the archive itself is reproducible");
    let left: Vec<_> = project.listing().into_iter().filter(|path| path.to_string_lossy().contains("/.")).collect();
    assert!(left.is_empty(), "{left:?}");
}
