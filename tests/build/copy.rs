//! What a `copy` layer takes and how: patterns, ignored files, times.

use dockless::layer::sniff;
use dockless::layer::untar::Reader;
use dockless::oci::media_type::Compression;

use super::project::{Project, Said};

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

/// `**/.env` with `!app` had `app/.env` in the image, and `**.pem` nothing to say: `docker build` has neither file.
#[test]
fn what_docker_build_leaves_out_is_left_out() {
    let source = "src = \"app\", dest = \"/app\", exclude = [\"*.log\", \"!logs\", \"**.tmp\"]";
    let project = Project::with(&format!("[[layer]]\ncopy = [{{ {source} }}]\n"));
    for path in [".env", "k.txt", "deep/key.pem", "deep/k", "logs/x.log", "logs/k", "x.tmp", "deep/x.tmp"] {
        project.write(&format!("app/{path}"), path);
    }
    project.write(".dockerignore", "**/.env\n**.pem\n!app\n");
    project.run(&["build", "-q"]).done();
    assert_eq!(
        project.image("oci", None).paths(0, 0),
        ["app/", "app/deep/", "app/deep/k", "app/k.txt", "app/logs/", "app/logs/k"]
    );
}

/// `src = "."` is what `init` writes: `.dockerignore` did not know the files by the names that they had there.
#[test]
fn a_source_is_ignored_by_any_of_its_names() {
    let project = Project::new();
    for path in ["app/main.py", "app/secret.env", "top.key", "sub/deep.key"] {
        project.write(&format!("project/{path}"), path);
    }
    project.write("project/.dockerignore", "app/secret.env\n**/*.key\nrecipe-*\n.dockerignore\n");
    std::os::unix::fs::symlink(project.at("project"), project.at("linked")).expect("a link");
    std::os::unix::fs::symlink("app", project.at("project/current")).expect("a link");
    project.write("project/.dockerignore", "current\napp/secret.env\n**/*.key\nrecipe-*\n.dockerignore\n");
    let absolute = project.at("project").display().to_string();
    let through_a_link = project.at("linked/app").display().to_string();
    let whole = ["app/", "app/app/", "app/app/main.py", "app/sub/"];
    let part = ["app/", "app/main.py"];
    for (source, wanted) in [
        (".", &whole[..]),
        ("./", &whole),
        ("../project", &whole),
        (&absolute, &whole),
        ("app", &part),
        ("./app", &part),
        ("sub/../app", &part),
        ("../project/app", &part),
        (&format!("{absolute}/app"), &part),
        (&through_a_link, &part),
        ("./ap*", &part),
        ("../project/ap*", &part),
        // Patterns are of real paths: `current` is the link alone.
        ("current/", &part),
        ("./current/.", &part),
        // What a pattern finds and another one ignores is no error.
        ("app/*", &part[1..]),
        ("current/*", &part[1..]),
    ] {
        let dest = if source.ends_with("/*") { "/app/" } else { "/app" };
        let recipe = format!("[[layer]]\ncopy = [{{ src = \"{source}\", dest = \"{dest}\" }}]\n");
        project.write("project/recipe-x.toml", &recipe);
        let words = ["build", "-q", "recipe-x.toml", "-o", "../oci"];
        let said = project.command(&words).current_dir(project.at("project")).output().expect("the binary runs");
        Said::of(&said).done();
        let skip = usize::from(source.ends_with("/*"));
        assert_eq!(project.image("oci", None).paths(0, 0)[skip..], *wanted, "{source}");
        // The same from elsewhere.
        project.run(&["build", "-q", "project/recipe-x.toml"]).done();
        assert_eq!(project.image("oci", None).paths(0, 0)[skip..], *wanted, "{source}, from above");
    }
}

/// Each of these took in what an earlier build had written, and was another image each time.
#[test]
fn a_build_does_not_take_in_what_builds_write() {
    let project = Project::with("[[layer]]\ncopy = [{ src = \".\", dest = \"/app\" }]\n");
    project.write("app/x", "x").write("app/.dockless-env", "the user's");
    std::fs::create_dir(project.at("ci")).expect("a folder");
    std::os::unix::fs::symlink(project.at(""), project.at("ci/self")).expect("a link");
    let absolute = project.at("ci/self/out").display().to_string();
    let cache = project.at("cache");
    for output in ["oci", "ci/../oci", "ci/self/other", &absolute, "./ci/../image.tar"] {
        let words = ["build", "-q", "-o", output, "--report", "ci/../report.json"];
        let mut digests = Vec::new();
        for _ in 0..2 {
            let said = project.run_with(&words, &[("DOCKLESS_CACHE_DIR", cache.to_str().expect("UTF-8"))]).done();
            digests.push(said.line().to_owned());
        }
        assert_eq!(digests[0], digests[1], "{output}");
    }
    let paths = project.image("oci", None).paths(0, 0);
    assert!(paths.iter().any(|path| path.ends_with(".dockless-env")), "{paths:?}");
    assert!(!paths.iter().any(|path| path.contains("cache") || path.contains("oci")), "{paths:?}");
}

/// A root file system is taken as it is, but for what the build itself writes into it, and that is said.
#[test]
fn an_output_within_a_root_file_system_is_left_out() {
    let project = Project::new();
    project.write("root/etc/motd", "hi");
    let digests = [(); 2].map(|()| {
        let said = project.run(&["build", "-p", "linux/amd64", "--layer", "root", "-o", "root/oci"]).done();
        (said.line().to_owned(), said.stderr.contains("root/oci is left out, since the build itself writes it"))
    });
    assert_eq!(digests[0].0, digests[1].0);
    assert!(digests[1].1);
}

/// A file of zeros and an empty folder were in the layer, without a word.
#[test]
fn what_overlayfs_has_in_a_lower_folder_is_told() {
    let project = Project::new();
    project.write("upper/etc/motd", "\0\0").write("upper/moved/.keep", "");
    let set = |path: &str, name: &str, value: &str| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(project.at(path), name, value.as_bytes(), flags).is_ok()
    };
    if !set("upper/etc/motd", "user.overlay.origin", "x") {
        // Some file systems have no attributes.
        return;
    }
    let build = || project.run(&["build", "-p", "linux/amd64", "--layer", "upper", "-q"]);
    // What these say is nothing that is missing.
    assert!(set("upper/etc/motd", "user.overlay.redirect", "/etc/old") && set("upper/etc", "user.overlay.opaque", "y"));
    assert!(set("upper/etc", "user.overlay.redirect", "/old"));
    build().done();
    for (path, name, what) in
        [("upper/moved", "user.overlay.redirect", "content"), ("upper/etc/motd", "user.overlay.metacopy", "data")]
    {
        assert!(set(path, name, "/old"));
        let said = build().with_code(2);
        let wanted = format!("{path} cannot be in a layer: overlayfs has its {what} in a lower folder");
        assert!(said.stderr.contains(&wanted) && said.stderr.contains("redirect_dir=off"), "{}", said.stderr);
        rustix::fs::removexattr(project.at(path), name).expect("the attribute");
    }
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

/// A root file system keeps its times, unless `SOURCE_DATE_EPOCH` bounds them.
#[test]
fn only_where_times_do_not_stay_compiled_python_is_told_to_be_stale() {
    let project = Project::new();
    project.write("root/app/x.pyc", "\u{6}\r\r\n\0\0\0\0 and so on");
    project.write("rootfs.toml", "[[layer]]\nrootfs = \"root\"\n");
    project.write("copy.toml", "[[layer]]\ncopy = [{ src = \"root\", dest = \"/\" }]\n");
    let said = |recipe: &str, variables: &[(&str, &str)]| {
        let words = ["build", "-p", "linux/amd64", recipe];
        project.run_with(&words, variables).done().stderr
    };
    let stale = "1 .pyc files hold the time of their source";
    // The second build of each takes the layer from the cache.
    for _ in 0..2 {
        let rootfs = said("rootfs.toml", &[]);
        assert!(!rootfs.contains(stale), "{rootfs}");
        let bounded = said("rootfs.toml", &[("SOURCE_DATE_EPOCH", "1000")]);
        assert!(bounded.contains(stale) && !bounded.contains("from the copy"), "{bounded}");
        let copied = said("copy.toml", &[]);
        assert!(copied.contains(stale) && copied.contains("exclude them from the copy"), "{copied}");
    }
}

/// Each of these made an empty folder or layer, with exit code 0 and without a word.
#[test]
fn a_source_that_is_left_out_whole_is_an_error() {
    let project = Project::new();
    for path in ["dist/index.html", "dist/app.js", "dist/sub/x.html", ".env", "logs/a.log"] {
        project.write(path, path);
    }
    let build = |ignored: &str, item: &str| {
        project.write(".dockerignore", ignored);
        let platforms = "[image]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n";
        project.write("dockless.toml", format!("{platforms}[[layer]]\ncopy = [{{ dest = \"/app/\", {item} }}]\n"));
        project.run(&["build"])
    };
    for (ignored, item, told) in [
        ("dist\n", "src = \"dist\"", "dist cannot be in a layer: it is left out by .dockerignore"),
        ("dist/*.html\n", "src = \"dist/*.html\"", "dist/*.html cannot be in a layer: all that it finds is left out"),
        ("dist/*\n", "src = \"dist/*\"", "dist/* cannot be in a layer: all that it finds is left out by .dockerignore"),
        ("", "src = \"dist/*.html\", exclude = [\"*.html\"]", "all that it finds is left out by exclude"),
        ("", "src = \".env\", exclude = [\".env\"]", ".env cannot be in a layer: it is left out by exclude"),
    ] {
        let said = build(ignored, item).with_code(2);
        assert!(said.stderr.contains(told), "{said:#?}");
        assert!(said.stderr.contains("a line that begins with !") || told.contains("exclude"), "{said:#?}");
    }
    // Docker makes these, so they are made, but not without a word.
    for (ignored, item, told) in [
        ("logs/*\n", "src = \"logs\"", "all that is in logs is left out by .dockerignore"),
        ("", "src = \"logs\", exclude = [\"*.log\"]", "all that is in logs is left out by exclude"),
    ] {
        let said = build(ignored, item).done();
        assert_eq!(said.stderr.matches(told).count(), 1, "{said:#?}");
        assert_eq!(project.image("oci", None).paths(0, 0), ["app/"]);
    }
    // What is taken back in a folder that is left out is there.
    build("dist\n!dist/sub/x.html\n", "src = \"dist\"").done();
    assert_eq!(project.image("oci", None).paths(0, 0), ["app/", "app/sub/", "app/sub/x.html"]);
}

/// `exclude` said nothing of what a pattern finds, and `init` writes such recipes of `COPY --exclude`.
#[test]
fn what_a_pattern_finds_is_excluded_as_what_a_folder_holds() {
    let project = Project::new();
    for path in ["app/main.py", "app/.env", "app/a.log", "app/sub/b.log", "app/sub/c.py", "app/old/d.py"] {
        project.write(path, path);
    }
    let exclude = "exclude = [\".env\", \"*.log\", \"/old\"]";
    let mut found = Vec::new();
    for source in ["app", "app/*", "app/**"] {
        project.write(
            "dockless.toml",
            format!("[[layer]]\ncopy = [{{ src = \"{source}\", dest = \"/app/\", {exclude} }}]\n"),
        );
        project.run(&["build", "-q"]).done();
        found.push(project.image("oci", None).paths(0, 0));
    }
    assert_eq!(found[0], ["app/", "app/main.py", "app/sub/", "app/sub/c.py"]);
    // A pattern finds `sub`, of which the content is copied.
    assert_eq!(found[1], ["app/", "app/c.py", "app/main.py"]);
    assert_eq!(found[2], found[1]);
}

/// An archive, a registry or a layout of an earlier run went into the next image without a word.
#[test]
fn images_within_a_source_are_told() {
    let project = Project::with("[[layer]]\ncopy = [{ src = \".\", dest = \"/app\" }]\n");
    project.write("x", "x").write("data.tar", vec![0; 2048]);
    let told = |said: &Said| {
        let lines = said.stderr.lines().filter(|line| line.contains("is an image, as an earlier build"));
        lines
            .filter_map(|line| line.split("layer-1: ").nth(1)?.split(' ').next())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let said = project.run(&["build", "-o", "out/image.tar"]).done();
    assert_eq!(told(&said), [""; 0]);
    project.run(&["build", "-o", "docker.tar", "--format", "docker-archive"]).done();
    project.run(&["build", "-t", "localhost:5000/a:1", "--rehearse=registry"]).done();
    let said = project.run(&["build", "-o", "other"]).done();
    assert_eq!(told(&said), ["./docker.tar", "./oci", "./out/image.tar", "./registry"], "{said:#?}");
    // A pattern finds them as well; what this build writes it does not find.
    project.write(
        "pattern.toml",
        "[[layer]]\ncopy = [{ src = \"*\", dest = \"/app/\", exclude = [\"registry\", \"other\"] }]\n",
    );
    let twice = [(); 2].map(|()| {
        let said = project.run(&["build", "pattern.toml", "-o", "mine"]).done();
        assert_eq!(told(&said), ["docker.tar", "oci", "out/image.tar"], "{said:#?}");
        said.line().to_owned()
    });
    assert_eq!(twice[0], twice[1]);
    // What is named is meant.
    let said = project.run(&["build", "-p", "linux/amd64", "--layer", "oci:/image", "-o", "third"]).done();
    assert_eq!(told(&said), [""; 0]);
}

/// It was told to commit what was committed.
#[test]
fn times_of_commits_are_known_of_sources_beside_the_recipe() {
    let project = Project::new();
    project.write("web/index.html", "hi").write("web/sub/a.css", "a");
    project.write("service/own", "own");
    let layer = "[[layer]]\nmtime = \"git\"\n";
    project.write("service/dockless.toml", format!("{layer}copy = [{{ src = \"../web\", dest = \"/web\" }}]\n"));
    project.write(
        "service/more.toml",
        format!("{layer}copy = [{{ src = \"../web/**\", dest = \"/web/\" }}, {{ src = \"own\", dest = \"/own\" }}]\n"),
    );
    let git = |words: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]).args(words);
        command.env("GIT_COMMITTER_DATE", "@1600000000 +0000").env("GIT_CONFIG_GLOBAL", "/dev/null");
        assert!(command.current_dir(project.at("")).output().expect("git").status.success(), "{words:?}");
    };
    git(&["init", "--quiet", "."]);
    git(&["add", "-A"]);
    git(&["commit", "--quiet", "-m", "all"]);
    let path = std::env::var("PATH").expect("a PATH");
    for (recipe, wanted) in [
        ("service", &[("web", 0), ("web/index.html", 1), ("web/sub", 0), ("web/sub/a.css", 1)][..]),
        ("service/more.toml", &[("own", 1), ("web", 0), ("web/a.css", 1), ("web/index.html", 1)]),
    ] {
        let words = ["build", "-q", "--compression", "none", recipe];
        project.run_with(&words, &[("PATH", &path)]).done();
        let wanted: Vec<_> = wanted.iter().map(|(path, time)| ((*path).to_owned(), time * 1_600_000_000)).collect();
        assert_eq!(times(&project, 0), wanted, "{recipe}");
    }
}
