//! What cannot be written as it was asked for, and where nothing may be written at all.

use super::project::{Project, golden, without_digests};

#[test]
fn docker_archives_hold_one_platform_and_no_zstd() {
    let project = Project::programs();
    let text = [
        project.refused(&["build", "--format", "docker-archive"]),
        project.refused(&["build", "--format", "docker-archive", "-o", "image.tar"]),
        project.refused(&["build", "--format", "docker-archive", "-o", "folder"]),
        project.refused(&[
            "build",
            "--format",
            "docker-archive",
            "-p",
            "linux/amd64",
            "--compression",
            "zstd",
            "-o",
            "image.tar",
        ]),
    ];
    golden("docker-archive.txt", without_digests(&text.join("\n")));
}

#[test]
fn other_peoples_files_are_left_alone() {
    let project = Project::programs();
    project.write("thesis/chapter.txt", "do not touch").write("notes", "nor this");
    std::fs::create_dir(project.at("folder.tar")).expect("a folder");
    project.write("folder.tar/file", "");
    let text = [
        project.refused(&["build", "-o", "thesis"]),
        project.refused(&["build", "-o", "notes"]),
        project.refused(&["build", "-o", "folder.tar"]),
        project.refused(&["build", "--report", "missing/report.json", "-o", "thesis"]),
    ];
    golden("output.txt", text.join("\n"));
    assert_eq!((project.text("thesis/chapter.txt"), project.text("notes")), ("do not touch".into(), "nor this".into()));
}

#[test]
fn a_file_that_vanishes_is_an_error_and_not_half_a_layer() {
    // A link to itself can be listed but not opened.
    let project = Project::with("[[layer]]\nname = \"vendor\"\ntar = \"loop.tar\"\n");
    std::os::unix::fs::symlink("loop.tar", project.at("loop.tar")).expect("a link");
    golden("loop.txt", project.refused(&["build", "-p", "linux/amd64"]));
}

#[test]
fn a_failed_build_leaves_the_image_before_it() {
    let project = Project::programs();
    let first = project.run(&["build", "-t", "example.com/app:v1"]).done();
    project.write("dockless.toml", super::project::PROGRAMS.to_owned() + "[[layer]]\ntar = \"garbage.tar\"\n");
    project.write("garbage.tar", super::files::noise(5, 4096)).write("bin/app-amd64", "another program");
    project.refused(&["build", "-t", "example.com/app:v1"]);
    project.run(&["check", "oci"]).done();
    let inspected = project.run(&["inspect", "oci", "--json"]).done().json();
    assert_eq!(first.line(), format!("example.com/app@{}", inspected["digest"].as_str().expect("a digest")));
}

#[test]
fn a_registry_that_is_not_there_is_told_before_the_build() {
    let project = Project::new();
    project.write("app/file", "content");
    // Port 1 is nobody's.
    let words = ["build", "--layer", "app:/app", "-p", "linux/amd64", "-t", "127.0.0.1:1/app:v1", "--push"];
    let said = project.run(&words).with_code(2);
    assert!(said.stderr.contains("check that a registry listens at 127.0.0.1:1"), "{said:#?}");
    assert!(!project.at("oci").exists(), "nothing is built");
}

/// They were built with exit code 0, and no runtime could unpack them.
#[test]
fn hard_links_of_an_archive_lead_somewhere() {
    let project = Project::new();
    let archive = |links: &[(&str, &str)]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, target) in links {
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            match *target {
                "" => tar.append_data(&mut header, path, [].as_slice()).expect("an entry"),
                target => {
                    header.set_entry_type(tar::EntryType::Link);
                    tar.append_link(&mut header, path, target).expect("an entry");
                }
            }
        }
        tar.into_inner().expect("an archive")
    };
    project.write("root/bin/sh", "sh").write("below.tar", archive(&[("opt/a", "bin/sh")]));
    project.write("later.tar", archive(&[("opt/a", "opt/b"), ("opt/b", "")]));
    project.write("folder.tar", archive(&[("opt/a", "bin")]));
    let recipe = |below: &str, tar: &str| {
        let layer = format!("[[layer]]\nname = \"vendor\"\ntar = \"{tar}\"\n");
        project.write("dockless.toml", format!("[image]\nplatforms = [\"linux/amd64\"]\n{below}{layer}"));
    };
    let root = "[[layer]]\nrootfs = \"root\"\nowner = \"0:0\"\n";
    recipe(root, "below.tar");
    project.run(&["build", "-q"]).done();
    // The layer may come from the cache, and what is below is another.
    for (below, tar, told) in [
        (
            "",
            "below.tar",
            "layer vendor: opt/a is a hard link to bin/sh, which is neither in the archive nor in the layers",
        ),
        (root, "later.tar", "opt/a is a hard link to opt/b, which comes after it in the archive"),
        (root, "folder.tar", "layer vendor: opt/a is a hard link to bin, which is a folder"),
    ] {
        recipe(below, tar);
        let said = project.run(&["build", "-q", "-o", "other"]).with_code(2);
        assert!(said.stderr.contains(told), "{said:#?}");
        assert!(!project.at("other").exists(), "nothing is written");
    }
}

/// Root file systems are often published so.
#[test]
fn an_archive_in_another_compression_is_told_as_such() {
    let project = Project::with("[image]\nplatforms = [\"linux/amd64\"]\n[[layer]]\ntar = \"root.tar\"\n");
    for (magic, program) in [(&b"\xfd7zXZ\0 and more"[..], "xz"), (b"BZh91AY&SY", "bzip2")] {
        project.write("root.tar", magic);
        let said = project.run(&["build"]).with_code(2);
        assert!(said.stderr.contains(&format!("decompress it first ({program} -dk root.tar)")), "{said:#?}");
    }
}
