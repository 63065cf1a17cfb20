//! The layer cache: what it saves, and that nothing else comes of it.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::files::{prose, set_time};
use super::project::{Project, Said};
use super::registry::Registry;

const RECIPE: &str = "[image]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
    [[layer]]\nname = \"root\"\nrootfs = \"root-{arch}\"\nowner = \"0:0\"\n\
    [[layer]]\nname = \"app\"\ncopy = [{ src = \"app\", dest = \"/app\" }]\n";

/// A project whose files are old enough to be believed.
fn project() -> Project {
    let project = Project::with(RECIPE);
    for (number, arch) in [(1, "amd64"), (2, "arm64")] {
        let root = project.tree(&format!("root-{arch}"));
        root.dir("tmp", 0o1777).file("etc/motd", 0o644, "hi\n").file("usr/one", 0o644, prose(number, 900_000));
        for name in ["a", "b", "c", "d", "e", "f"] {
            root.file(&format!("usr/lib/{name}"), 0o644, prose(number + u64::from(name.as_bytes()[0]), 700_000));
        }
        root.settle(1_700_000_000);
    }
    project.tree("app").file("main", 0o755, "#!/bin/sh\n");
    rest();
    project
}

/// Longer than a tick of the clock that files are stamped by.
fn rest() {
    std::thread::sleep(Duration::from_millis(60));
}

fn build(project: &Project, words: &[&str]) -> Said {
    let cache = project.at("cache");
    let words: Vec<&str> = ["build"].iter().chain(words).copied().collect();
    project.run_with(&words, &[("DOCKLESS_CACHE_DIR", cache.to_str().expect("UTF-8"))]).done()
}

/// The digest, and for each platform's layers whether they were there already.
fn report(project: &Project, words: &[&str]) -> (String, Vec<bool>) {
    let words: Vec<&str> = words.iter().chain(&["--json"]).copied().collect();
    let json = build(project, &words).json();
    let layers = json["platforms"].as_array().expect("platforms").iter();
    let layers = layers.flat_map(|platform| platform["layers"].as_array().expect("layers"));
    let cached = layers.map(|layer| layer["cached"].as_bool().expect("a word")).collect();
    (json["digest"].as_str().expect("a digest").to_owned(), cached)
}

/// A damaged blob kept its name, since it had the right size, and went from there into the cache and into other
/// layouts.
#[test]
fn a_damaged_blob_is_replaced_by_the_next_build() {
    let project = project();
    let whole = report(&project, &["-o", "oci"]).0;
    let largest = |folder: &str| {
        let blobs = fs::read_dir(project.at(folder).join("blobs/sha256")).expect("blobs").flatten();
        blobs.max_by_key(|entry| entry.metadata().expect("what it is").len()).expect("a blob").path()
    };
    let mut file = fs::File::options().write(true).open(largest("oci")).expect("a blob");
    file.seek(SeekFrom::Start(5000)).and_then(|_| file.write_all(b"damage")).expect("damage");
    drop(file);
    project.run(&["check", "oci"]).with_code(1);
    for output in ["oci", "second", "third"] {
        assert_eq!(report(&project, &["-o", output]).0, whole);
        project.run(&["check", output]).done();
    }
}

/// The largest blob of a layout, as a file of its own: on another disk than the cache's it is no link to one of those.
fn largest_by_itself(project: &Project, layout: &str) -> PathBuf {
    let blobs = fs::read_dir(project.at(layout).join("blobs/sha256")).expect("blobs").flatten();
    let largest = blobs.max_by_key(|entry| entry.metadata().expect("what it is").len()).expect("a blob").path();
    fs::copy(&largest, project.at("copy")).expect("a copy");
    fs::rename(project.at("copy"), &largest).expect("renamed");
    largest
}

/// Other bytes, and the size and the time that it had.
fn damage(blob: &Path) {
    let time = fs::metadata(blob).and_then(|data| data.modified()).expect("a time");
    let mut file = fs::File::options().write(true).open(blob).expect("a blob");
    file.seek(SeekFrom::Start(5000)).and_then(|_| file.write_all(b"damage")).expect("damage");
    file.set_modified(time).expect("a time");
}

/// The cache had the layer whole, and the layout's own was taken as it stood.
#[test]
fn a_damaged_blob_that_only_the_layout_has_is_replaced() {
    let project = project();
    let whole = report(&project, &[]).0;
    for asked_before in [false, true] {
        let blob = largest_by_itself(&project, "oci");
        if asked_before {
            assert_eq!(report(&project, &[]), (whole.clone(), vec![true; 4]));
        }
        rest();
        damage(&blob);
        project.run(&["check", "oci"]).with_code(1);
        assert_eq!(report(&project, &[]), (whole.clone(), vec![true; 4]));
        project.run(&["check", "oci"]).done();
    }
}

#[test]
fn a_damaged_layer_of_a_base_is_replaced() {
    let project = project();
    report(&project, &["-o", "base"]);
    project.write(
        "on-base/dockless.toml",
        "[image]\nbase = \"oci:../base\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [[layer]]\nname = \"more\"\ncopy = [{ src = \"more\", dest = \"/more\" }]\n",
    );
    project.write("on-base/more", "more");
    rest();
    let whole = report(&project, &["on-base"]).0;
    for words in [&["on-base"][..], &["on-base", "--no-cache"], &["on-base"]] {
        damage(&largest_by_itself(&project, "oci"));
        project.run(&["check", "oci"]).with_code(1);
        assert_eq!(report(&project, words).0, whole, "{words:?}");
        project.run(&["check", "oci"]).done();
    }
}

/// What the same files make where there is no cache.
fn plainly(project: &Project) -> String {
    project.run(&["build", "-o", "plain", "--no-cache"]).done().line().to_owned()
}

fn blobs(project: &Project) -> Vec<PathBuf> {
    let folder = fs::read_dir(project.at("cache/layers-3/blobs")).expect("the cache");
    folder.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn a_layer_is_taken_as_it_was_made() {
    let project = project();
    let (first, cached) = report(&project, &["-o", "one"]);
    assert_eq!(cached, [false; 4]);
    // Into the same layout, another one, and an archive.
    for output in ["one", "two", "three.tar"] {
        assert_eq!(report(&project, &["-o", output]), (first.clone(), vec![true; 4]), "{output}");
    }
    project.run(&["check", "two"]).done();
    assert_eq!(plainly(&project), first);
    assert_eq!(report(&project, &["-o", "one", "--no-cache"]), (first, vec![false; 4]));
}

#[test]
fn any_change_makes_the_layer_anew() {
    use std::os::unix::fs::PermissionsExt;
    let project = project();
    let file = project.at("root-amd64/usr/lib/a");
    let content = fs::read(&file).expect("the file");
    let mut other = content.clone();
    other[1000] ^= 1;
    let changes: &[(&str, &dyn Fn())] = &[
        ("content", &|| fs::write(&file, &other).expect("written")),
        // As a program does that wants to hide it.
        ("content with the old time", &|| {
            fs::write(&file, &content).expect("written");
            set_time(&file, Duration::from_secs(1_700_000_000));
        }),
        ("mode", &|| fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode")),
        ("a link", &|| fs::hard_link(&file, project.at("root-amd64/usr/lib/z")).expect("a link")),
        ("a name", &|| fs::rename(&file, project.at("root-amd64/usr/lib/y")).expect("renamed")),
    ];
    report(&project, &[]);
    for (what, change) in changes {
        change();
        rest();
        let (digest, cached) = report(&project, &[]);
        assert_eq!(cached, [false, true, true, true], "{what}");
        assert_eq!(plainly(&project), digest, "{what}");
    }
}

/// A file that is written twice in one tick of the clock looks the same both times.
#[test]
fn a_file_of_this_moment_is_read_again() {
    let project = project();
    for round in 0..8 {
        project.write("app/main", format!("round {round}"));
        let (digest, cached) = report(&project, &[]);
        assert!(!cached[1], "round {round}");
        assert_eq!(plainly(&project), digest, "round {round}");
    }
}

/// A fresh checkout with a restored cache: other inodes and change times, the same content.
#[test]
fn chunks_that_did_not_change_are_used_again() {
    for method in ["gzip", "zstd"] {
        let project = project();
        let words = ["--compression", method];
        let plain = |project: &Project| {
            let words = ["build", "-o", "plain", "--no-cache", "--compression", method];
            project.run(&words).done().line().to_owned()
        };
        report(&project, &words);
        let copied = Project::with(RECIPE);
        let copy = std::process::Command::new("cp")
            .args(["-a", "cache", "root-amd64", "root-arm64", "app"])
            .arg(copied.path())
            .current_dir(project.path())
            .status()
            .expect("cp");
        assert!(copy.success());
        // One small file more, before all that the layer had.
        copied.write("root-amd64/etc/.early", "new");
        rest();
        let said = build(&copied, &["--compression", method, "-v"]);
        assert_eq!(said.line(), plain(&copied));
        // All but the first of the layer that has another file, and all of the one that has not.
        let told = |layer: &str| {
            let line =
                said.stderr.lines().find(|line| line.contains("chunks were compressed before") && line.contains(layer));
            let numbers = line.unwrap_or_else(|| panic!("{layer}: {}", said.stderr)).split(' ');
            let numbers: Vec<usize> = numbers.filter_map(|word| word.parse().ok()).collect();
            (numbers[0], numbers[1])
        };
        let ((reused, all), (same, of)) = (told("amd64"), told("arm64"));
        assert!(all > 1 && reused == all - 1, "{method}: {reused} of {all}");
        assert_eq!(same, of, "{method}");
    }
}

type Damage<'a> = (&'a str, &'a dyn Fn(&PathBuf));

#[test]
fn what_is_damaged_is_found_and_made_anew() {
    let project = project();
    let (first, _) = report(&project, &["-o", "one"]);
    let damage: &[Damage<'_>] = &[
        ("cut off", &|path| fs::File::options().write(true).open(path).expect("a file").set_len(10).expect("cut")),
        ("a bit", &|path| {
            let mut file = fs::File::options().read(true).write(true).open(path).expect("a file");
            let at = file.metadata().expect("data").len() / 2;
            let mut byte = [0];
            file.seek(SeekFrom::Start(at)).expect("there");
            file.read_exact(&mut byte).expect("a byte");
            file.seek(SeekFrom::Start(at)).expect("there");
            file.write_all(&[byte[0] ^ 1]).expect("written");
        }),
        ("gone", &|path| fs::remove_file(path).expect("removed")),
    ];
    for (what, damage) in damage {
        for part in ["blobs", "tables", "contents", "keys"] {
            // The layout's blob is the cache's by a link.
            fs::remove_dir_all(project.at("one")).expect("the layout");
            for entry in fs::read_dir(project.at("cache/layers-3").join(part)).expect("the cache") {
                damage(&entry.expect("an entry").path());
            }
            rest();
            assert_eq!(report(&project, &["-o", "one"]).0, first, "{what}: {part}");
            project.run(&["check", "one"]).done();
        }
        assert_eq!(report(&project, &["-o", "one"]), (first.clone(), vec![true; 4]), "{what}");
    }
}

/// A layer that is made anew comes to the name of a blob that was damaged: it was taken for the whole one.
#[test]
fn a_damaged_blob_without_a_key_is_replaced() {
    let project = project();
    let (first, _) = report(&project, &["-o", "one"]);
    fs::remove_dir_all(project.at("one")).expect("the layout");
    for path in blobs(&project) {
        let mut bytes = fs::read(&path).expect("a blob");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).expect("written");
    }
    fs::remove_dir_all(project.at("cache/layers-3/keys")).expect("the keys");
    for output in ["two", "three"] {
        assert_eq!(report(&project, &["-o", output]).0, first);
        project.run(&["check", output]).done();
    }
}

#[test]
fn a_check_finds_what_was_changed_behind_its_times() {
    let project = project();
    let (first, _) = report(&project, &[]);
    assert_eq!(report(&project, &["--cache-check"]), (first, vec![false; 4]));
    // The chunks of a layer that was checked are there for the next that needs them.
    fs::rename(project.at("root-amd64/etc/motd"), project.at("root-amd64/etc/issue")).expect("renamed");
    rest();
    let said = build(&project, &["-v"]);
    assert!(said.stderr.contains("chunks were compressed before"), "{}", said.stderr);
    assert_eq!(said.line(), plainly(&project));
    // A key that leads to another layer, as if the file system had lied.
    let keys: Vec<PathBuf> =
        fs::read_dir(project.at("cache/layers-3/keys")).expect("keys").map(|key| key.expect("a key").path()).collect();
    let texts: Vec<Vec<u8>> = keys.iter().map(|key| fs::read(key).expect("a key")).collect();
    for (index, key) in keys.iter().enumerate() {
        fs::write(key, &texts[(index + 1) % texts.len()]).expect("written");
    }
    let said = build(&project, &["--cache-check"]);
    assert!(said.stderr.contains("the cache has sha256:"), "{}", said.stderr);
    assert_eq!(said.line(), plainly(&project));
}

#[test]
fn it_keeps_to_its_bound() {
    let project = project();
    let cache = project.at("cache");
    let variables = [("DOCKLESS_CACHE_DIR", cache.to_str().expect("UTF-8")), ("DOCKLESS_CACHE_SIZE", "1MiB")];
    project.run_with(&["build"], &variables).done();
    let total: u64 = blobs(&project).iter().map(|path| fs::metadata(path).expect("a blob").len()).sum();
    assert!(total <= 1 << 20, "{total}");
    let said = project.run_with(&["build"], &[variables[0], ("DOCKLESS_CACHE_SIZE", "much")]).with_code(2);
    assert!(said.stderr.contains("DOCKLESS_CACHE_SIZE is \"much\""), "{}", said.stderr);
}

/// A layer of a layout was as open, or as private, as the first build's that made it.
#[test]
fn a_layer_from_the_cache_is_as_open_as_the_umask_lets_it_be() {
    use std::os::unix::fs::PermissionsExt;
    let project = project();
    let cache = project.at("cache");
    for (number, umask) in ["077", "022", "027", "077", "022"].into_iter().enumerate() {
        let output = format!("oci-{number}");
        let command = format!("umask {umask}; exec \"$0\" \"$@\"");
        let done = std::process::Command::new("sh")
            .args(["-c", &command, env!("CARGO_BIN_EXE_dockless"), "build", "-q", "-o", &output])
            .env_clear()
            .env("DOCKLESS_CACHE_DIR", &cache)
            .current_dir(project.path())
            .status();
        assert!(done.expect("a shell").success());
        let blobs = fs::read_dir(project.at(&output).join("blobs/sha256")).expect("blobs");
        let wanted = 0o666 & !u32::from_str_radix(umask, 8).expect("octal");
        for blob in blobs {
            let mode = blob.expect("a blob").metadata().expect("what it is").permissions().mode() & 0o777;
            assert_eq!(mode, wanted, "{output}, umask {umask}: {mode:o}");
        }
    }
}

/// The first build of each new version left up to the bound behind, for ever.
#[test]
fn what_earlier_versions_kept_goes_once_nobody_uses_it() {
    let project = project();
    let ago = |days: u64| SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    let kept = |version: &str, used: SystemTime| {
        let marker = format!("cache/{version}/trimmed");
        project.write(&format!("cache/{version}/blobs/x"), "a layer").write(&marker, "looked over\n");
        let trimmed = fs::File::options().append(true).open(project.at(&marker));
        trimmed.and_then(|file| file.set_modified(used)).expect("a time");
    };
    for (version, days) in [("layers-1", 8), ("layers-2", 6), ("layers-999", 8), ("layers-", 8), ("layers-1.old", 8)] {
        kept(version, ago(days));
    }
    // Somebody else's, who chose the same folder.
    project.write("cache/layers-0/blobs/x", "terrain");
    report(&project, &[]);
    let mut there: Vec<String> = fs::read_dir(project.at("cache"))
        .expect("the cache")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.starts_with("layers"))
        .collect();
    there.sort();
    assert_eq!(there, ["layers-", "layers-0", "layers-1.old", "layers-2", "layers-3", "layers-999"]);
    assert!(project.at("cache/layers-2/blobs/x").exists());
}

#[test]
fn many_processes_share_it() {
    let project = project();
    let wanted = plainly(&project);
    for size in ["10GiB", "1MiB"] {
        std::thread::scope(|scope| {
            for number in 0..6 {
                let (project, wanted) = (&project, &wanted);
                scope.spawn(move || {
                    let cache = project.at("cache");
                    let variables =
                        [("DOCKLESS_CACHE_DIR", cache.to_str().expect("UTF-8")), ("DOCKLESS_CACHE_SIZE", size)];
                    let output = format!("oci-{}", number / 2);
                    for _ in 0..3 {
                        let said = project.run_with(&["build", "-o", &output], &variables).done();
                        assert_eq!(said.line(), wanted);
                    }
                    project.run(&["check", &output]).done();
                });
            }
        });
    }
}

#[test]
fn a_folder_that_cannot_be_had_costs_nothing_but_time() {
    let project = project();
    project.write("file", "");
    let at = project.at("file");
    let said = project.run_with(&["build"], &[("DOCKLESS_CACHE_DIR", at.to_str().expect("UTF-8"))]).done();
    assert_eq!(said.line(), plainly(&project));
}

/// Nothing changed: the request that shows, before the build, that the registry is there shows the tag as well.
#[test]
fn a_push_of_what_is_there_asks_for_the_tag_alone() {
    let project = project();
    let registry = Registry::new();
    let tag = registry.reference("team/app:v1");
    let first = build(&project, &["-t", &tag, "--push"]);
    let requests = registry.requests();
    let uploads = |requests: &[String]| requests.iter().filter(|request| request.starts_with("PUT")).count();
    // Three layers, two configurations, two manifests and the index, each once.
    assert_eq!(uploads(&requests), 8, "{requests:#?}");
    let heads = requests.iter().filter(|request| request.starts_with("HEAD") && request.contains("/blobs/")).count();
    assert_eq!(heads, 5, "{requests:#?}");
    // The tag, and for each blob a HEAD, a POST and a PUT.
    assert_eq!(requests.len(), 1 + 3 * 5 + 3, "{requests:#?}");
    let second = build(&project, &["-t", &tag, "--push"]);
    assert_eq!(second.line(), first.line());
    let requests = registry.requests();
    assert_eq!(requests, ["HEAD /v2/team/app/manifests/v1 200"]);
}

/// With a task definition nothing leaves before the verdict.
#[test]
fn nothing_is_sent_ahead_of_a_verdict() {
    let project = project();
    let registry = Registry::new();
    let tag = registry.reference("team/app:v1");
    project.write(
        "task.json",
        r#"{"family":"app","requiresCompatibilities":["FARGATE"],"containerDefinitions":[{"name":"app","image":"x"}]}"#,
    );
    let words = ["build", "-t", &tag, "--push", "--task-definition", "task.json", "--entrypoint", "/gone"];
    project.run(&words).with_code(1);
    let requests = registry.requests();
    assert!(requests.iter().all(|request| request.starts_with("HEAD")), "{requests:#?}");
}
