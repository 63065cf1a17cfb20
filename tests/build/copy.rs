//! What a `copy` layer takes and how: patterns, ignored files, times.

use dockless::layer::sniff;
use dockless::layer::untar::Reader;
use dockless::oci::media_type::Compression;

use super::project::Project;

/// The times of the entries of an uncompressed layer, by path.
fn times(project: &Project, layer: usize) -> Vec<(String, i64)> {
    let image = project.image("oci", None);
    let descriptor = &image.manifest(0).layers[layer];
    let file = std::fs::File::open(image.layout.blob_path(descriptor.digest)).expect("the layer");
    let mut reader = Reader::new(sniff::decompress(file, Compression::None).expect("a tar"));
    let mut out = Vec::new();
    while let Some(entry) = reader.next_entry().expect("an entry") {
        out.push((String::from_utf8_lossy(&entry.path).into_owned(), entry.mtime));
    }
    out
}

#[test]
fn ignored_and_excluded_files_stay_out() {
    let project = Project::with(
        "[[layer]]\ncopy = [{ src = \"app\", dest = \"/app\", exclude = [\"*.pyc\", \"docs/**\", \"!docs/keep\"] }]\n",
    );
    for path in ["a.py", "a.pyc", "deep/b.pyc", "docs/x", "docs/keep", "node_modules/m/i.js", ".env", "sub/.env"] {
        project.write(&format!("app/{path}"), path);
    }
    project.write(".dockerignore", "# not for the image\n**/node_modules\napp/.env\n");
    project.run(&["build", "-q"]).done();
    assert_eq!(
        project.image("oci", None).paths(0, 0),
        ["app/", "app/a.py", "app/deep/", "app/docs/", "app/docs/keep", "app/sub/", "app/sub/.env"],
        "a name is excluded everywhere, but ignored where the pattern says, as Docker does"
    );
}

#[test]
fn sources_are_files_folders_or_patterns() {
    let project = Project::with(
        r#"
[[layer]]
copy = [
  { src = "dist/*.whl", dest = "/wheels" },
  { src = "one-*.txt", dest = "/single" },
  { src = "a[b].txt", dest = "/literal" },
  { src = "tool", dest = "/usr/bin/" },
  { src = "conf", dest = "/etc", owner = "7:8", mode = "0600" },
]
"#,
    );
    for path in ["dist/a.whl", "dist/b.whl", "dist/c.txt", "one-1.txt", "a[b].txt", "conf/x/y"] {
        project.write(path, path);
    }
    project.tree("").file("tool", 0o755, "#!/bin/sh\n").link("conf/link", "../../anywhere");
    project.run(&["build", "-q"]).done();
    assert_eq!(
        project.image("oci", None).root(0),
        [
            "0 0755 7:8 /etc/",
            "0 0777 7:8 /etc/link -> ../../anywhere",
            "0 0755 7:8 /etc/x/",
            "0 0600 7:8 /etc/x/y 8",
            "0 0644 0:0 /literal 8",
            "0 0644 0:0 /single 9",
            "0 0755 0:0 /usr/",
            "0 0755 0:0 /usr/bin/",
            "0 0755 0:0 /usr/bin/tool 10",
            "0 0755 0:0 /wheels/",
            "0 0644 0:0 /wheels/a.whl 10",
            "0 0644 0:0 /wheels/b.whl 10",
        ]
    );
}

#[test]
fn times_are_what_the_recipe_says() {
    let project = Project::with(
        r#"
[[layer]]
name = "zero"
copy = [{ src = "app", dest = "/zero" }]

[[layer]]
name = "said"
mtime = "2026-01-01T00:00:00Z"
copy = [{ src = "app", dest = "/said" }]

[[layer]]
name = "kept"
rootfs = "root"
owner = "0:0"
"#,
    );
    project.write("app/x", "x");
    project.tree("root").file("kept", 0o644, "").settle(1_700_000_000);
    let build = ["build", "-q", "--compression", "none"];
    project.run(&build).done();
    let entry = |path: &str, time: i64| (path.to_owned(), time);
    assert_eq!(times(&project, 0), [entry("zero", 0), entry("zero/x", 0)]);
    assert_eq!(times(&project, 1), [entry("said", 1_767_225_600), entry("said/x", 1_767_225_600)]);
    assert_eq!(times(&project, 2), [entry("", 1_700_000_000), entry("kept", 1_700_000_004)]);
    let created = |project: &Project| project.image("oci", None).config(0).created;
    assert_eq!(created(&project).as_deref(), Some("1970-01-01T00:00:00Z"));

    project.run_with(&build, &[("SOURCE_DATE_EPOCH", "1700000002")]).done();
    assert_eq!(created(&project).as_deref(), Some("2023-11-14T22:13:22Z"));
    assert_eq!(times(&project, 0), [entry("zero", 0), entry("zero/x", 0)]);
    assert_eq!(times(&project, 1)[1], entry("said/x", 1_767_225_600), "what the recipe says is not clamped");
    assert_eq!(times(&project, 2), [entry("", 1_700_000_000), entry("kept", 1_700_000_002)]);
}

/// They were looked for below the recipe's folder twice.
#[test]
fn patterns_of_a_recipe_in_another_folder() {
    let project = Project::with("");
    project.write("service/dockless.toml", "[[layer]]\ncopy = [{ src = \"src/*.txt\", dest = \"/app\" }]\n");
    project.write("service/src/a.txt", "a");
    project.write("service/src/b.txt", "b");
    project.run(&["build", "-q", "service"]).done();
    assert_eq!(
        project.image("oci", None).root(0),
        ["0 0755 0:0 /app/", "0 0644 0:0 /app/a.txt 1", "0 0644 0:0 /app/b.txt 1"]
    );
}
