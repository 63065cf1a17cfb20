//! `init`: Dockerfiles become recipes. Each of `testdata/dockerfiles` has a golden recipe beside it, and the remarks
//! that go with it; `SNAPSHOTS=overwrite` renews them.

mod habits;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use dockless::image::recipe::Recipe;
use dockless::project::folder::Folder;
use dockless::project::init::{Made, from_dockerfile};
use dockless::project::remark::Weight;
use dockless::project::translate::Wanted;
use proptest::prelude::*;
use snapbox::{Data, assert_data_eq};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dockerfiles")
}

fn made(text: &str) -> Made {
    let made = from_dockerfile("Dockerfile", text, &Folder::none(), &Wanted::default());
    made.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn refused(text: &str) -> String {
    from_dockerfile("Dockerfile", text, &Folder::none(), &Wanted::default()).expect_err(text).to_string()
}

/// The recipe as TOML, and what is left of it without the layers that a command fills.
fn without_runs(text: &str) -> toml::Table {
    let mut table: toml::Table = toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    if let Some(toml::Value::Array(layers)) = table.get_mut("layer") {
        for layer in layers.iter().filter(|layer| layer.get("run").is_some()) {
            let known = ["name", "run", "inputs", "dest", "owner"];
            assert!(layer.as_table().expect("a table").keys().all(|key| known.contains(&key.as_str())), "{layer}");
            assert!(layer["run"].as_str().expect("a command").contains("{out}"), "{layer}");
            assert!(layer["dest"].as_str().expect("a folder").starts_with('/'), "{layer}");
        }
        layers.retain(|layer| layer.get("run").is_none());
        if layers.is_empty() {
            table.remove("layer");
        }
    }
    table
}

/// Read as every recipe is, `run` layers included.
fn parsed(text: &str) -> Recipe {
    Recipe::parse("dockless.toml", text, Path::new(".")).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn told(made: &Made) -> String {
    made.remarks.iter().fold(String::new(), |mut out, remark| {
        let weight = if remark.weight == Weight::Untranslated { "not translated" } else { "note" };
        let _ = writeln!(out, "{}:{}: {weight}: {}", remark.file, remark.line, remark.message);
        out
    })
}

fn dockerfiles() -> BTreeMap<String, String> {
    let files = fs::read_dir(testdata()).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "Dockerfile"));
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    files.map(|path| (name(&path), fs::read_to_string(&path).expect("a file"))).collect()
}

#[test]
fn dockerfiles_of_every_kind() {
    let dockerfiles = dockerfiles();
    assert!(dockerfiles.len() >= 16);
    for (name, text) in dockerfiles {
        let made = made(&text);
        parsed(&made.text);
        for (ending, text) in [("toml", made.text.clone()), ("txt", told(&made))] {
            assert_data_eq!(text, Data::read_from(&testdata().join(format!("{name}.{ending}")), None).raw());
        }
    }
}

fn dockless(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockless"));
    command.args(words).env_clear().current_dir(folder).output().expect("the binary runs")
}

fn said(output: &Output) -> String {
    let status = output.status.code().map_or("a signal".into(), |code| code.to_string());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{stdout}--- stderr\n{stderr}--- exit code {status}\n")
}

/// No base is fetched here and no command is run: what is left of each recipe is built from the files that it names.
#[test]
fn what_is_copied_builds() {
    for (name, text) in dockerfiles() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        fs::write(at("Dockerfile"), &text).expect("a file");
        for file in
            ["requirements.txt", "package.json", "package-lock.json", "go.mod", "Gemfile", "app.py", "config.yml"]
        {
            fs::write(at(file), "{}").expect("a file");
        }
        for file in ["nginx.conf", "build/helper-amd64", "docker/nginx.conf", "docker/entrypoint.sh"] {
            fs::create_dir_all(at(file).parent().expect("a folder")).expect("a folder");
            fs::write(at(file), "x").expect("a file");
        }
        for sub in ["public", "migrations", "config", "src", "storage", "bootstrap/cache"] {
            fs::create_dir_all(at(sub)).expect("a folder");
            fs::write(at(sub).join("file"), "x").expect("a file");
        }
        let output = dockless(folder.path(), &["init", "-q"]);
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"dockless.toml\n"[..]), "{name}");
        let mut recipe = without_runs(&fs::read_to_string(at("dockless.toml")).expect("a recipe"));
        recipe["image"].as_table_mut().expect("a table").remove("base");
        if !recipe.contains_key("layer") {
            continue;
        }
        if let Some(layers) = recipe["layer"].as_array_mut() {
            layers.retain(|layer| layer.get("tar").is_none());
        }
        fs::write(at("dockless.toml"), recipe.to_string()).expect("a file");
        let output = dockless(folder.path(), &["build", "-p", "linux/amd64", "-o", "out"]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}\n{recipe}", said(&output));
    }
}

#[test]
fn instructions_become_words() {
    let text = "\u{feff}# syntax=docker/dockerfile:1\r\nARG V=3.12\r\nFROM python:${V}-slim\r\nARG NAME=web OTHER\r\n\
        ENV A=1 B=\"two words\" C=${NAME:-x}-${OTHER:-y}\r\nENV OLD style value\r\nLABEL a.b=c \"d e\"='f'\r\n\
        WORKDIR /srv\r\nWORKDIR app\r\nCOPY [\"a file\", \"./\"]\r\nEXPOSE 80 443/tcp 53/udp 8000-8002\r\n\
        VOLUME /data /more\r\nSTOPSIGNAL term\r\nENTRYPOINT [\"a\"]\r\nCMD [\"b\"]\r\n";
    let recipe = parsed(&made(text).text);
    let config = &recipe.config;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(config.env, [pair("A", "1"), pair("B", "two words"), pair("C", "web-y"), pair("OLD", "style value")]);
    assert_eq!(config.labels, BTreeMap::from([pair("a.b", "c"), pair("d e", "f")]));
    assert_eq!(config.working_dir.as_deref(), Some("/srv/app"));
    let ports: Vec<&str> = config.exposed_ports.iter().map(String::as_str).collect();
    assert_eq!(ports, ["443/tcp", "53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"]);
    assert_eq!(config.stop_signal.as_deref(), Some("SIGTERM"));
    assert_eq!((config.entrypoint.clone(), config.cmd.clone()), (Some(vec!["a".into()]), Some(vec!["b".into()])));
    assert!(made(text).text.contains("base = \"python:3.12-slim\""));
    assert!(made(text).text.contains("{ src = \"a file\", dest = \"/srv/app/\" }"));
}

#[test]
fn an_entrypoint_forgets_the_command_of_another_stage() {
    let text = "FROM debian AS base\nCMD [\"lower\"]\nFROM base\nENTRYPOINT [\"upper\"]\n";
    assert_eq!(parsed(&made(text).text).config.cmd, None);
    let text = "FROM debian\nCMD run it\nENTRYPOINT [\"upper\"]\n";
    assert_eq!(parsed(&made(text).text).config.cmd, Some(["/bin/sh", "-c", "run it"].map(str::to_owned).into()));
}

/// A stage that is made of another one knows its ARGs (Docker, "Scoping"); any other stage does not.
#[test]
fn the_arguments_of_a_stage_hold_in_those_made_of_it() {
    let text = "FROM python:3.13-slim AS base\nARG V=2.0\nFROM base\nENV X=$V\nWORKDIR /a/$V\nCOPY a /a\n";
    let recipe = |given: &[(&str, &str)], text: &str| {
        let arguments = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let wanted = Wanted { arguments, ..Wanted::default() };
        let made = from_dockerfile("Dockerfile", text, &Folder::none(), &wanted).expect("a recipe");
        assert!(!told(&made).contains("no value is known"), "{}", told(&made));
        made.text
    };
    let plain = recipe(&[], text);
    assert!(plain.contains("X = \"2.0\"") && plain.contains("working-dir = \"/a/2.0\""), "{plain}");
    let given = recipe(&[("V", "9")], text);
    assert!(given.contains("X = \"9\"") && given.contains("working-dir = \"/a/9\""), "{given}");
    let other =
        recipe(&[("V", "9")], "FROM python:3.13-slim AS a\nARG V=2.0\nFROM python:3.13-slim\nENV X=$V\nCOPY a /a\n");
    assert!(other.contains("X = \"\""), "{other}");
}

/// It became a link to nowhere in the image.
#[test]
fn a_link_that_is_copied_brings_what_it_leads_to() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("real")).expect("a folder");
    fs::write(folder.path().join("real/a"), "a").expect("a file");
    std::os::unix::fs::symlink("real", folder.path().join("current")).expect("a link");
    for source in ["current", "./current/"] {
        let text = format!("FROM scratch\nCOPY {source} /app/\n");
        let made = from_dockerfile("Dockerfile", &text, &Folder::at(folder.path()), &Wanted::default());
        let made = made.expect("a recipe").text;
        assert!(made.contains("src = \"current/\", dest = \"/app\""), "{made}");
    }
}

#[test]
fn what_docker_refuses_is_refused_with_its_place() {
    for (text, wanted) in [
        ("", "Dockerfile holds no FROM"),
        ("RUN x\n", "Dockerfile:1:1: no FROM stands before this instruction"),
        ("FROM a\n\n  COYP a b\n", "Dockerfile:3:3: COYP is no instruction of a Dockerfile"),
        ("FROM a\nCOPY a\n", "Dockerfile:2:1: COPY needs a source and a destination"),
        ("FROM a\nRUN <<EOF\nx\n", "Dockerfile:2:1: the here-document EOF does not end"),
        ("# escape=x\nFROM a\n", "Dockerfile:1:1: the escape character is neither \\ nor `"),
        ("FROM $X\n", "Dockerfile:1:1: FROM needs X, which has no value"),
        ("FROM a b\n", "Dockerfile:1:1: FROM is written FROM IMAGE [AS NAME]"),
        ("FROM a\nCMD\n", "Dockerfile:2:1: CMD says nothing"),
        ("FROM a\nFROM b AS a\nADD --from=0 a b\n", "Dockerfile:3:1: ADD has no --from"),
    ] {
        assert_eq!(refused(text), wanted, "{text:?}");
    }
    assert_eq!(refused(&"#".repeat((1 << 20) + 1)), "Dockerfile has more than 1 MiB, which no Dockerfile needs");
}

/// An earlier attempt took fifteen seconds for what is a moment's work.
#[test]
fn large_files_take_a_moment() {
    let pips: String = (0..9_000).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "RUN pip install package-{number}");
        text
    });
    let copies: String = (0..4_500).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "COPY a{number} /b{number}\nRUN chown 1:1 /b{number}");
        text
    });
    let words = |word: &str, count: usize| word.repeat(count);
    let files = [
        format!("FROM python:3.12\n{pips}"),
        format!("FROM debian\n{copies}"),
        format!("FROM a AS x\n{copies}FROM a\n{}", "COPY --from=x /b1 /c\n".repeat(900)),
        format!("FROM a\nENV A={}\n{}", words("x", 1000), "ENV A=$A$A\n".repeat(60)),
        format!("FROM a\nENV A=\"{}\"\n", words("${A:-", 150_000)),
        format!("FROM a\nRUN {}\n", words("useradd a && ", 900)),
        format!("FROM a\nRUN {}\n", words("$(", 500_000)),
        format!("FROM a\nCOPY {} /x/\n", words("a ", 300_000)),
        format!("FROM a\n{}", words("FROM a\n", 9_000)),
        format!("FROM a\nRUN x {}y\n", words("\\\n", 500_000)),
        format!("FROM a\nRUN {}\n", words("<<E ", 200_000)),
        format!("FROM a\n{}", words("ARG X=y\n", 9_900)),
    ];
    for text in files {
        let start = Instant::now();
        let made = from_dockerfile("Dockerfile", &text, &Folder::none(), &Wanted::default());
        // Many times what a busy machine takes: one that looks at everything before takes minutes.
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}: {}", start.elapsed(), &text[..60]);
        if let Ok(made) = made {
            toml::from_str::<toml::Table>(&made.text).expect("TOML");
        }
    }
    let made = made(&format!("FROM python:3.12\n{pips}"));
    assert_eq!(made.text.matches("[[layer]]").count(), 1);
}

/// Text as Dockerfiles have it, and worse.
fn dockerfile() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => "[a-z./$\\-]{1,8}",
        1 => Just("\"\"\" '''".to_owned()),
        1 => Just("${A:-{x}}".to_owned()),
        1 => Just("$TARGETARCH".to_owned()),
        1 => Just("--from=b".to_owned()),
        1 => Just("--chown=a:b".to_owned()),
        1 => Just("<<EOF".to_owned()),
        1 => Just("\u{202e}\u{1b}[31m".to_owned()),
        1 => Just("&& pip install x".to_owned()),
        1 => Just("&& go build -o /x .".to_owned()),
        1 => Just("&& npm run build".to_owned()),
        1 => Just("[\"a\\nb\", \"]\"]".to_owned()),
        2 => "[^\u{0}\n]{0,10}",
    ];
    let keyword = prop::sample::select(dockless::project::dockerfile::KEYWORDS.to_vec());
    let line = (keyword, prop::collection::vec(word, 1..6)).prop_map(|(keyword, words)| match keyword {
        "FROM" => "FROM python:3.12 AS b".to_owned(),
        _ => format!("{keyword} {}", words.join(" ")),
    });
    prop::collection::vec(line, 0..12).prop_map(|lines| format!("FROM node:20 AS b\n{}\nEOF\n", lines.join("\n")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn a_recipe_is_valid_whatever_the_dockerfile_holds(text in dockerfile()) {
        // The last line ends here-documents; where none is open it is no instruction.
        for text in [text.clone(), text.trim_end_matches("EOF\n").to_owned()] {
            if let Ok(made) = from_dockerfile("Dockerfile", &text, &Folder::none(), &Wanted::default()) {
                parsed(&made.text);
                prop_assert!(!made.text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')));
            }
        }
    }

    #[test]
    fn any_bytes_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = from_dockerfile("Dockerfile", &text, &Folder::none(), &Wanted::default());
        let _ = from_dockerfile("Dockerfile", &format!("FROM a\nRUN {text}"), &Folder::none(), &Wanted::default());
    }
}

/// A folder with these files, and what commands in it say.
fn session(files: &[(&str, &str)], commands: &[&[&str]]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
    let shown = commands
        .iter()
        .map(|words| format!("$ dockless {}\n{}", words.join(" "), said(&dockless(folder.path(), words))));
    shown.collect::<Vec<_>>().join("\n")
}

fn golden(name: &str, text: String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/init").join(name);
    assert_data_eq!(text, Data::read_from(&path, None).raw());
}

#[test]
fn the_command_tells_what_it_did() {
    let dockerfile =
        "FROM python:3.12-slim\nRUN apt-get install -y libpq5\nCOPY . /app\nCMD [\"python3\", \"/app/main.py\"]\n";
    let files = [
        ("Dockerfile", dockerfile),
        ("main.py", ""),
        ("two.Dockerfile", "FROM scratch AS one\nCOPY main.py /\nFROM one\nUSER 1\n"),
    ];
    let commands: &[&[&str]] = &[
        &["init"],
        &["init"],
        &["init", "--force", "--strict", "-q"],
        &["init", "--json", "-o", "other.toml"],
        &["init", "--dockerfile", "two.Dockerfile", "--target", "one", "--stdout", "-q"],
        &["init", "--dockerfile", "two.Dockerfile", "--target", "three", "--stdout"],
        &["init", "main.py"],
        &["init", "--dockerfile", "absent", "--stdout"],
    ];
    golden("session.txt", session(&files, commands));
}

/// The folder's path and the commit were in the program.
#[test]
fn a_program_of_go_is_the_same_from_every_folder() {
    let command = |run: &str| {
        let text = format!(
            "FROM golang:1.23 AS b\nWORKDIR /src\nCOPY . .\nRUN {run}\nFROM scratch\nCOPY --from=b /out/app /app\n"
        );
        let made = made(&text).text;
        let line = made.lines().find(|line| line.starts_with("run = ")).expect("a command").to_owned();
        let start = line.find("go build").expect("a build");
        (line[start..].to_owned(), made.contains("# -trimpath and -buildvcs=false keep"))
    };
    let both = "go build -trimpath -buildvcs=false -o {out}/app .\"";
    assert_eq!(command("go build -o /out/app ."), (both.into(), true));
    assert_eq!(
        command("go build -buildvcs=true -o /out/app ."),
        ("go build -trimpath -o {out}/app -buildvcs=true .\"".into(), true)
    );
    let (own, explained) = command("go build --trimpath -buildvcs=false -o /out/app .");
    assert!(own.contains("--trimpath") && own.matches("trimpath").count() == 1 && !explained, "{own}");
    let (own, _) = command("GOFLAGS='-buildvcs=auto -mod=mod' go build -o /out/app .");
    assert_eq!(own, "go build -trimpath -o {out}/app .\"");
}

#[test]
fn a_dockerfile_that_is_none_is_underlined() {
    let wrong = "FROM debian\nRUN apt-get update &&\n    apt-get install -y curl\n";
    let unset = "FROM debian:$VERSION\n";
    let files = [("Dockerfile", wrong), ("unset", unset), ("empty/x", "")];
    let commands: &[&[&str]] = &[&["init"], &["init", "--dockerfile", "unset"], &["init", "empty"]];
    golden("errors.txt", session(&files, commands));
}

#[test]
fn a_project_without_a_dockerfile() {
    let manage = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";
    let package =
        r#"{"main": "lib/x.js", "engines": {"node": ">=20"}, "scripts": {"start": "node server.js", "build": "tsc"}}"#;
    let projects: [&[(&str, &str)]; 6] = [
        &[("requirements.txt", "django\ngunicorn\n"), ("manage.py", manage)],
        &[
            ("pyproject.toml", "[project]\nname = \"x\"\nrequires-python = \">=3.11\"\n"),
            ("uv.lock", "fastapi"),
            ("app/main.py", ""),
        ],
        &[("package.json", package), ("package-lock.json", "{}")],
        &[("go.mod", "module example.com/team/shop/v2\n\ngo 1.23\n"), ("cmd/shop/main.go", "")],
        &[("Cargo.toml", "[package]\nname = \"shop\"\n"), ("Cargo.lock", "")],
        &[("go.mod", "module $(reboot)\n")],
    ];
    let shown: Vec<String> = projects
        .iter()
        .map(|files| {
            let text = session(files, &[&["init", "--stdout"]]);
            let recipe = text.split_once('\n').and_then(|(_, rest)| rest.split_once("--- stderr")).expect("a recipe").0;
            parsed(recipe);
            text
        })
        .collect();
    golden("projects.txt", shown.join("\n"));
}

/// A wheel of the project itself would be as old as its list of requirements.
#[test]
fn a_project_that_is_installed_is_installed_each_time() {
    let recipe =
        made("FROM python:3.12\nCOPY . /app\nWORKDIR /app\nRUN pip install -r requirements.txt && pip install .\n")
            .text;
    assert!(recipe.contains("-r requirements.txt .\""), "{recipe}");
    assert!(!recipe.contains("inputs"), "{recipe}");
    assert_eq!(recipe.matches("Dockerfile:4").count(), 1, "{recipe}");
}

/// By --prefix npm would look for the machine's settings, such as a proxy's certificates, in the prefix.
#[test]
fn npm_keeps_the_settings_of_the_machine() {
    for (verb, option) in [("ci", ""), ("install", ""), ("ci", " --omit=dev")] {
        let made = made(&format!("FROM node:22\nWORKDIR /app\nCOPY package*.json ./\nRUN npm {verb}{option}\n"));
        assert!(made.text.contains(&format!("{{out}}/ && cd {{out}} && npm {verb} ")), "{}", made.text);
        assert!(!made.text.contains("--prefix"), "{}", made.text);
    }
}

/// An `.npmrc` of the project's may hold the token of a private registry.
#[test]
fn the_settings_of_npm_do_not_stay_in_the_layer() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        fs::write(folder.path().join(name), "{}").expect("a file");
    }
    let text = "FROM node:22\nWORKDIR /app\nCOPY package*.json .npmrc ./\nRUN npm ci\n";
    let made = from_dockerfile("Dockerfile", text, &Folder::at(folder.path()), &Wanted::default()).expect("a recipe");
    assert!(made.text.contains("&& rm {out}/.npmrc"), "{}", made.text);
}

#[test]
fn wrappers_and_flags_of_pip() {
    let run = |line: &str| {
        let table: toml::Table =
            toml::from_str(&made(&format!("FROM python:3.12-alpine\nRUN {line}\n")).text).expect("TOML");
        table.get("layer").map(|layers| {
            let layer = &layers[0];
            format!(
                "{} | {}",
                layer["run"].as_str().expect("text").split("{out} ").last().expect("text"),
                layer["dest"]
            )
        })
    };
    let packages = "\"/usr/local/lib/python3.12/site-packages\"";
    for (line, wanted) in [
        ("pip install --upgrade pip setuptools", None),
        ("python -m pip install -U 'a>=1' b==2", Some(format!("'a>=1' b==2 | {packages}"))),
        ("python3 -mpip install a", Some(format!("a | {packages}"))),
        ("sudo PIP_X=1 pip3 install -rreq.txt -c c.txt", Some(format!("-r req.txt -c c.txt | {packages}"))),
        (
            "pip install --target=/deps a --index-url https://x.example.com/s",
            Some("a --index-url https://x.example.com/s | \"/deps\"".into()),
        ),
        ("/opt/v/bin/pip install a", Some("a | \"/opt/v/lib/python3.12/site-packages\"".into())),
        ("pip install --user a", Some("a | \"/root/.local/lib/python3.12/site-packages\"".into())),
    ] {
        assert_eq!(run(line), wanted, "{line}");
    }
}

/// The recipe that a Dockerfile becomes, as one line.
fn line(text: &str) -> String {
    made(text).text.replace("\n# ", " ").replace('\n', " ")
}

#[test]
fn a_lock_file_that_cannot_be_read_stops_the_build() {
    // The shell of a layer has no pipefail: of `uv export | uv pip install -r -` only the second is asked.
    for (install, export) in [("uv sync --frozen", "uv export"), ("poetry install", "poetry export")] {
        let text = made(&format!("FROM python:3.12\nWORKDIR /app\nCOPY . .\nRUN {install}\n")).text;
        assert!(text.contains(&format!("run = \"requirements=$({export} ")), "{text}");
        assert!(text.contains(") && printf '%s\\\\n' \\\"$requirements\\\" | "), "{text}");
        // `$((` would be arithmetic.
        let text = made(&format!("FROM python:3.12\nWORKDIR /app\nCOPY backend/ .\nRUN {install}\n")).text;
        assert!(text.contains(&format!("run = \"requirements=$(cd backend && {export} ")), "{text}");
    }
}

#[test]
fn an_environment_of_this_machine_stays_out() {
    let whole = "FROM python:3.12\nWORKDIR /app\nCOPY . .\n";
    assert!(line(&format!("{whole}RUN uv sync --frozen\n")).contains(", \"/oci\", \"/.venv\"]"));
    assert!(!line(&format!("{whole}RUN pip install -r requirements.txt\n")).contains(".venv"));
}

#[test]
fn a_folder_that_is_given_away_comes_with_its_owner_alone() {
    let text = line("FROM debian\nWORKDIR /srv\nCOPY . .\nRUN chown -R 7:8 var/data\n");
    assert!(text.contains(", \"/oci\", \"/var/data\"]"), "{text}");
    assert!(text.contains("{ src = \"var/data\", dest = \"/srv/var/data\", owner = \"7:8\" }"), "{text}");
}

#[test]
fn a_program_of_npm_is_installed_by_the_settings_for_everyone() {
    let text = line("FROM node:20\nRUN npm install -g serve\n");
    assert!(text.contains("--prefix {out} --globalconfig \\\"$(npm config get globalconfig)\\\" "), "{text}");
    assert!(text.contains("npm must be 10.4 or newer"), "{text}");
}

#[test]
fn what_pnpm_writes_for_itself_does_not_stay_in_the_layer() {
    let text = line("FROM node:20\nCOPY . .\nRUN pnpm install\n");
    assert!(
        text.contains("&& rm -f {out}/node_modules/.modules.yaml {out}/node_modules/.pnpm-workspace-state*.json\""),
        "{text}"
    );
    assert!(text.contains("pnpm must be 10.14 or newer"), "{text}");
}

#[test]
fn a_build_installs_what_the_lock_file_says() {
    for install in ["yarn install --frozen-lockfile", "pnpm install --frozen-lockfile", "yarn install"] {
        let text = format!(
            "FROM node:20 AS b\nWORKDIR /a\nCOPY . .\nRUN {install}\nRUN yarn build\nFROM nginx\nCOPY --from=b /a/dist /x\n"
        );
        assert!(made(&text).text.contains(&format!("\n{install}\n")), "{}", made(&text).text);
    }
}
