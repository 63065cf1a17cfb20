//! The recipe as its users meet it: what a whole one says, and what a wrong one is told.

use std::path::Path;

use dockless::image::recipe::{Base, Command, LayerKind, Mtime, Recipe};
use dockless::oci::platform::Platform;
use proptest::prelude::*;

const WHOLE: &str = r#"# dockless.toml
[image]
base = "public.ecr.aws/docker/library/python:3.13-slim"
platforms = ["linux/amd64", "linux/arm64"]
annotations = { "org.opencontainers.image.source" = "https://example.com" }

[config]
from = "config-{arch}.json"
entrypoint = ["gunicorn"]
cmd = ["config.wsgi:application", "--bind", "0.0.0.0:8000"]
env = { PYTHONPATH = "/app/deps", A = "1" }
working-dir = "/app"
user = "10001:10001"
exposed-ports = ["8000/tcp", "53/udp", 9000]
volumes = ["/data"]
labels = { team = "web" }
stop-signal = "SIGTERM"

[[layer]]
name = "root"
rootfs = "rootfs/{arch}"
owner = "0:0"

[[layer]]
name = "owned"
rootfs = "rootfs-{machine}"
owners = { "1001:1001" = "0:0", "1002" = "10:20" }

[[layer]]
name = "app"
platforms = ["linux/amd64"]
mtime = 2026-01-01T09:00:00+09:00
copy = [
  { src = "app", dest = "/app", exclude = ["**/__pycache__", "*.pyc"], owner = "10001:10001" },
  { src = "bin/server-{arch}", dest = "/usr/local/bin/server", mode = "0755" },
  { src = "tool", dest = "/usr/local/bin/", mode = 0o4755 },
]

[[layer]]
tar = "vendor-{arch}.tar.zst"

[verify]
task-definition = "task-definition.json"
target = ["aws_ecs_task_definition.app"]
container = "app"
var = { cpu = "ARM64" }
var-file = "prod.tfvars"
parameter = ["Cpu=256"]
launch-type = "fargate"
architecture = "ARM64"
strict = true
allow = [{ rule = "foreign-executable", path = "/opt/qemu/**" }, "port-not-exposed", "secret-in-image=/srv/**"]
"#;

fn parse(text: &str) -> Recipe {
    Recipe::parse("dockless.toml", text, Path::new(".")).unwrap_or_else(|error| panic!("{error}"))
}

/// The error as a terminal would show it: the message, the line underlined, the help.
fn refused(text: &str) -> String {
    let error = Recipe::parse("dockless.toml", text, Path::new(".")).expect_err(text);
    let mut shown = vec![error.to_string()];
    if let Some(place) = &error.place {
        let (line, column) = place.line_and_column();
        let line = place.text().lines().nth(line - 1).unwrap_or_default();
        let width = place.excerpt().lines().next().unwrap_or_default().chars().count().max(1);
        let label = error.label.as_ref().map_or_else(String::new, |label| format!(" {label}"));
        shown.push(format!("| {line}"));
        shown.push(format!("| {}{}{label}", " ".repeat(column - 1), "^".repeat(width)));
    }
    shown.extend(error.help.map(|help| format!("help: {help}")));
    shown.join("\n")
}

#[test]
fn a_whole_recipe_says_everything() {
    let recipe = parse(WHOLE);
    let Base::Registry(base) = &recipe.base.value else { panic!("a reference") };
    assert_eq!(base.to_string(), "public.ecr.aws/docker/library/python:3.13-slim");
    assert_eq!(recipe.base.place.as_ref().map(ToString::to_string).as_deref(), Some("dockless.toml:3:8"));
    assert_eq!(recipe.platforms.len(), 2);
    assert_eq!(recipe.annotations["org.opencontainers.image.source"], "https://example.com");

    let config = &recipe.config;
    let from = &config.from.as_ref().expect("a file").value;
    assert_eq!(from.expand(&Platform::linux_arm64()), "config-arm64.json");
    assert_eq!(config.entrypoint.as_deref(), Some(&["gunicorn".to_owned()][..]));
    assert_eq!(config.env, [("PYTHONPATH".into(), "/app/deps".into()), ("A".into(), "1".into())], "in order");
    assert_eq!(config.exposed_ports.iter().collect::<Vec<_>>(), ["53/udp", "8000/tcp", "9000/tcp"]);
    assert_eq!(config.stop_signal.as_deref(), Some("SIGTERM"));

    let names: Vec<&str> = recipe.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["root", "owned", "app", "layer-4"]);
    let LayerKind::Rootfs { source, owner, .. } = &recipe.layers[0].kind else { panic!("a root file system") };
    assert_eq!((source.value.expand(&Platform::linux_amd64()).as_str(), owner), ("rootfs/amd64", &Some((0, 0))));
    let LayerKind::Rootfs { owners, .. } = &recipe.layers[1].kind else { panic!("a root file system") };
    let owners: Vec<_> = owners.iter().map(|(from, to)| (*from, *to)).collect();
    assert_eq!(owners, [((1001, 1001), (0, 0)), ((1002, 1002), (10, 20))]);
    let app = &recipe.layers[2];
    assert!(app.is_for(&Platform::linux_amd64()) && !app.is_for(&Platform::linux_arm64()));
    assert!(!app.is_shared());
    let LayerKind::Copy { items, mtime } = &app.kind else { panic!("files") };
    assert_eq!(*mtime, Mtime::At(1_767_225_600));
    assert!(items[0].exclude.excludes("a/b.pyc") && items[0].exclude.excludes("a/__pycache__/x"));
    assert_eq!((items[0].owner, items[0].mode), ((10001, 10001), None));
    assert_eq!((items[1].owner, items[1].mode), ((0, 0), Some(0o755)));
    assert_eq!(items[2].mode, Some(0o4755));
    assert!(matches!(recipe.layers[3].kind, LayerKind::Tar { .. }));

    let verify = &recipe.verify;
    assert_eq!(verify.task_definitions[0].value, "task-definition.json");
    assert_eq!((verify.vars[0].value.as_str(), verify.parameters[0].value.as_str()), ("cpu=ARM64", "Cpu=256"));
    assert!(verify.strict);
    let allowed: Vec<_> =
        verify.allow.iter().map(|allow| (allow.value.rule.as_str(), allow.value.path.as_deref())).collect();
    let wanted = [
        ("foreign-executable", Some("/opt/qemu/**")),
        ("port-not-exposed", None),
        ("secret-in-image", Some("/srv/**")),
    ];
    assert_eq!(allowed, wanted);
}

#[test]
fn every_recipe_of_the_readme_is_one() {
    let blocks = include_str!("../README.md").split("```toml\n").skip(1);
    let recipes: Vec<&str> = blocks.filter_map(|block| block.split("```").next()).collect();
    assert!(recipes.len() > 2);
    for recipe in recipes {
        parse(recipe);
    }
}

#[test]
fn an_empty_recipe_is_scratch() {
    let recipe = parse("");
    assert_eq!(recipe, Recipe::empty(Path::new(".")));
    assert_eq!(recipe.base.value, Base::Scratch);
}

#[test]
fn bases_are_scratch_layouts_or_references() {
    let base = |text: &str| parse(&format!("[image]\nbase = {text:?}")).base.value;
    assert_eq!(base("scratch"), Base::Scratch);
    for (text, wanted, named) in [
        ("oci:../base", "../base", None),
        ("oci:base-{arch}:v1", "base-arm64", Some("v1")),
        ("oci:a:b/c", "a:b/c", None),
    ] {
        let Base::Layout { path, name } = base(text) else { panic!("{text}") };
        assert_eq!((path.expand(&Platform::linux_arm64()).as_str(), name.as_deref()), (wanted, named));
    }
    let Base::Registry(reference) = base("docker://nginx:1") else { panic!("a reference") };
    assert_eq!(reference.to_string(), "docker.io/library/nginx:1");
}

#[test]
fn times_are_seconds_or_git() {
    let mtime = |value: &str| {
        let text = format!("[[layer]]\nmtime = {value}\ncopy = [{{ src = \"a\", dest = \"/a\" }}]");
        Recipe::parse("f", &text, Path::new(".")).map(|recipe| match &recipe.layers[0].kind {
            LayerKind::Copy { mtime, .. } => *mtime,
            _ => panic!("a copy layer"),
        })
    };
    for (value, wanted) in [
        ("\"git\"", Mtime::Git),
        ("\"1970-01-01T00:00:00Z\"", Mtime::At(0)),
        ("\"2000-02-29T12:34:56Z\"", Mtime::At(951_827_696)),
        ("2026-11-21T01:02:03-05:30", Mtime::At(1_795_242_723)),
    ] {
        assert_eq!(mtime(value).ok(), Some(wanted), "{value}");
    }
    for (value, wanted) in [
        ("\"yesterday\"", "f:2:9: \"yesterday\" is neither a time nor \"git\""),
        ("1979-05-27", "f:2:9: `mtime` needs a date and a time of day"),
        ("1979-05-27T07:32:00", "f:2:9: `mtime` has no time zone, so it would differ between machines"),
        ("1969-12-31T23:59:59Z", "f:2:9: `mtime` is before 1970 or after 2242, which an archive cannot hold"),
        ("2026-01-01T00:00:00.5Z", "f:2:9: `mtime` is in whole seconds"),
        ("0", "f:2:9: `mtime` must be a time or \"git\", not a number"),
    ] {
        assert_eq!(mtime(value).expect_err(value).to_string(), wanted);
    }
}

#[test]
fn an_unknown_key_is_underlined_with_the_one_that_was_meant() {
    assert_eq!(
        refused("[config]\nentrypint = [\"/app\"]\n"),
        "dockless.toml:2:1: `entrypint` is not a key of [config]\n\
         | entrypint = [\"/app\"]\n\
         | ^^^^^^^^^\n\
         help: did you mean `entrypoint`?"
    );
    assert_eq!(
        refused("[image]\nentrypoint = [\"/app\"]\n"),
        "dockless.toml:2:1: `entrypoint` is not a key of [image]\n\
         | entrypoint = [\"/app\"]\n\
         | ^^^^^^^^^^\n\
         help: `entrypoint` belongs to [config]"
    );
    assert_eq!(
        refused("[[layer]]\ncopy = [{ src = \"a\", dest = \"/a\", zzzz = 1 }]\n"),
        "dockless.toml:2:35: `zzzz` is not a key of a `copy` item\n\
         | copy = [{ src = \"a\", dest = \"/a\", zzzz = 1 }]\n\
         |                                   ^^^^\n\
         help: the keys are `src`, `dest`, `exclude`, `owner`, `mode`"
    );
    assert!(refused("[layers]\n").contains("did you mean `layer`?"));
    assert!(refused("[[layer]]\nsrc = \"a\"\n").contains("`src` belongs to an item of `copy`"));
    assert!(refused("[verify]\ntask_definition = \"a\"\n").contains("did you mean `task-definition`?"));
}

#[test]
fn a_wrong_type_is_underlined_with_what_was_expected() {
    assert_eq!(
        refused("[config]\nentrypoint = \"/app --verbose\"\n"),
        "dockless.toml:2:14: `entrypoint` must be an array of strings, not a string\n\
         | entrypoint = \"/app --verbose\"\n\
         |              ^^^^^^^^^^^^^^^^ a string\n\
         help: no shell splits it: write entrypoint = [\"/app\", \"--verbose\"]"
    );
    assert_eq!(
        refused("[config]\nenv = { PORT = 8000 }\n"),
        "dockless.toml:2:16: `PORT` in `env` must be a string, not a number\n\
         | env = { PORT = 8000 }\n\
         |                ^^^^ a number\n\
         help: quote it: \"8000\""
    );
    assert_eq!(
        refused("[config]\nuser = 10001\n"),
        "dockless.toml:2:8: `user` must be a string, not a number\n\
         | user = 10001\n\
         |        ^^^^^ a number\n\
         help: quote it: \"10001\""
    );
    assert_eq!(
        refused("[image]\nplatforms = [\"linux/x86_64\"]\n"),
        "dockless.toml:2:14: \"linux/x86_64\" is not a platform: an OCI platform is written linux/amd64\n\
         | platforms = [\"linux/x86_64\"]\n\
         |              ^^^^^^^^^^^^^^\n\
         help: write \"linux/amd64\""
    );
    assert_eq!(
        refused("[[layer]]\ncopy = [{ src = \"a\", dest = \"/a\", mode = 755 }]\n"),
        "dockless.toml:2:42: `mode` is a decimal number, but a mode is octal\n\
         | copy = [{ src = \"a\", dest = \"/a\", mode = 755 }]\n\
         |                                          ^^^ decimal\n\
         help: quote it: \"0755\""
    );
    assert_eq!(
        refused("[config]\nlabels.org.example = \"x\"\n"),
        "dockless.toml:2:8: `org` in `labels` must be a string, not a table\n\
         | labels.org.example = \"x\"\n\
         |        ^^^\n\
         help: quote a name that has dots: \"org.opencontainers.image.source\" = \"…\""
    );
}

#[test]
fn a_layer_is_one_thing() {
    assert_eq!(
        refused("[[layer]]\nrootfs = \"a\"\ntar = \"b\"\n"),
        "dockless.toml:3:1: the layer has both `rootfs` and `tar`\n\
         | tar = \"b\"\n\
         | ^^^\n\
         help: a layer has exactly one of `rootfs`, `copy`, `tar` and `run`: write two layers"
    );
    assert_eq!(
        refused("[[layer]]\nname = \"a\"\n"),
        "dockless.toml:1:1: the layer does not say what it holds\n\
         | [[layer]]\n\
         | ^^^^^^^^^\n\
         help: a layer has exactly one of `rootfs`, `copy`, `tar` and `run`"
    );
    assert_eq!(
        refused("[[layer]]\nrun = \"make\"\ncopy = []\n"),
        "dockless.toml:3:1: the layer has both `run` and `copy`\n\
         | copy = []\n\
         | ^^^^\n\
         help: a layer has exactly one of `rootfs`, `copy`, `tar` and `run`: write two layers"
    );
    assert_eq!(
        refused("[[layer]]\nname = \"a\"\ntar = \"a\"\n[[layer]]\nname = \"a\"\ntar = \"b\"\n"),
        "dockless.toml:5:8: two layers are named `a`\n\
         | name = \"a\"\n\
         |        ^^^\n\
         help: the other is at dockless.toml:2:8; give each its own name"
    );
    assert!(refused("[layer]\ntar = \"a\"\n").contains("write [[layer]] with two brackets"));
    assert!(refused("[[layer]]\ntar = \"a\"\nowner = \"0\"\n").contains("a `tar` layer has no `owner`"));
    assert!(refused("[[layer]]\nrootfs = \"a\"\nmtime = \"git\"\n").contains("a `rootfs` layer has no `mtime`"));
    assert!(refused("[[layer]]\nrootfs = \"a\"\nowner = \"0\"\nowners = {}\n").contains("both `owner` and `owners`"));
    assert!(refused("[[layer]]\nrootfs = \"a\"\nowners = { 1 = \"0\", \"1:1\" = \"2\" }\n").contains("is there twice"));
}

#[test]
fn a_command_says_what_it_depends_on_and_sees() {
    let text = r#"
[[layer]]
name = "deps"
run = "pip install --target {out} --platform manylinux_2_28_{machine} -r ${REQUIREMENTS}"
inputs = ["requirements.txt", "src-{arch}/**"]
dest = "/app/{arch}"
env = { REQUIREMENTS = "requirements-{arch}.txt", RUSTFLAGS = "--remap-path-prefix={out}=/app" }
pass-env = ["PIP_INDEX_URL"]
exclude = ["**/__pycache__"]
owner = "10001"
mtime = "2026-01-01T00:00:00Z"

[[layer]]
run = ["make", "install", "DESTDIR={out}"]
"#;
    let recipe = parse(text);
    let LayerKind::Run(run) = &recipe.layers[0].kind else { panic!("a command") };
    let Command::Shell(command) = &run.command else { panic!("a text") };
    let arm64 = Platform::linux_arm64();
    assert_eq!(
        command.expand_with(&arm64, "/o"),
        "pip install --target /o --platform manylinux_2_28_aarch64 -r ${REQUIREMENTS}"
    );
    let inputs: Vec<_> = run.inputs.iter().flatten().map(|input| input.value.expand(&arm64)).collect();
    assert_eq!(inputs, ["requirements.txt", "src-arm64/**"]);
    assert_eq!(run.dest.value.expand(&arm64), "/app/arm64");
    assert_eq!(run.env["RUSTFLAGS"].value.expand_with(&arm64, "/o"), "--remap-path-prefix=/o=/app");
    assert_eq!((run.pass_env[0].value.as_str(), run.owner), ("PIP_INDEX_URL", (10001, 10001)));
    assert!(run.exclude.excludes("a/__pycache__/x") && run.mtime == Mtime::At(1_767_225_600));
    assert!(!recipe.layers[0].is_shared());
    let LayerKind::Run(run) = &recipe.layers[1].kind else { panic!("a command") };
    assert!(matches!(&run.command, Command::Words(words) if words.len() == 3));
    assert_eq!((run.dest.value.as_written(), &run.inputs, run.owner), ("/", &None, (0, 0)));
}

#[test]
fn a_command_is_judged() {
    assert_eq!(
        refused("[[layer]]\nrun = \"cp {archh} {out}\"\n"),
        "dockless.toml:2:11: `{archh}` is not a placeholder\n\
         | run = \"cp {archh} {out}\"\n\
         |           ^^^^^^^\n\
         help: did you mean `{arch}`? A shell's own is written with a dollar sign: ${archh}"
    );
    assert_eq!(
        refused("[[layer]]\nrun = \"make\"\npass_env = [\"A\"]\n"),
        "dockless.toml:3:1: `pass_env` is not a key of a layer\n\
         | pass_env = [\"A\"]\n\
         | ^^^^^^^^\n\
         help: did you mean `pass-env`?"
    );
    for (rest, wanted) in [
        ("inputs = [\"{out}\"]", "help: `{out}` is the folder that the command of a `run` layer fills"),
        ("inputs = []", "`inputs` names nothing"),
        ("inputs = \"src\"", "help: write inputs = [\"src\"]"),
        ("dest = \"/{out}\"", "`{out}` is not a placeholder"),
        ("dest = \"/../a\"", "goes upwards"),
        ("dest = \"app\"", "help: write /app"),
        ("env = { DOCKLESS_ARCH = \"arm64\" }", "DOCKLESS_ARCH is not the recipe's to set"),
        ("env = { \"A=B\" = \"\" }", "\"A=B\" is not the name of a variable"),
        ("env = { A = \"{machne}\" }", "did you mean `{machine}`?"),
        ("env = { A = 1 }", "help: quote it: \"1\""),
        ("pass-env = [\"A=secret\"]", "help: name variables; their values come from the environment"),
        ("pass-env = \"A\"", "help: write pass-env = [\"A\"]"),
        ("mtime = \"git\"", "what a command makes has no commits"),
        ("owners = {}", "a `run` layer has no `owners`"),
        ("exclude = [\"[b\"]", "the pattern \"[b\" has a [ that is not closed"),
    ] {
        let shown = refused(&format!("[[layer]]\nrun = \"make\"\n{rest}\n"));
        assert!(shown.contains(wanted), "{rest}: {shown}");
    }
    for (text, wanted) in [
        ("run = \" \"", "`run` runs nothing"),
        ("run = []", "`run` names no program"),
        ("run = [\"\"]", "`run` names no program"),
        ("run = [\"make\", 1]", "each item of `run` must be a string, not a number"),
        ("run = 1", "`run` must be a string or an array of strings, not a number"),
        ("run = \"a\\u0000\"", "`run` holds a NUL"),
        ("script = \"make\"", "did you mean `run`?"),
        ("tar = \"a\"\ninputs = [\"a\"]", "help: `inputs` belongs to `run`"),
        ("tar = \"a\"\npass-env = [\"a\"]", "help: `pass-env` belongs to `run`"),
        ("tar = \"a\"\nexclude = [\"a\"]", "help: it is taken as it is; `copy` leaves files out"),
        ("rootfs = \"a\"\nenv = {}", "help: the environment of containers is `env` in [config]"),
        ("copy = []\nexclude = [\"a\"]", "write `exclude` into each item of `copy`"),
    ] {
        let shown = refused(&format!("[[layer]]\n{text}\n"));
        assert!(shown.contains(wanted), "{text}: {shown}");
    }
}

#[test]
fn paths_and_values_are_judged() {
    assert_eq!(
        refused("[[layer]]\ntar = \"a/{archh}.tar\"\n"),
        "dockless.toml:2:10: `{archh}` is not a placeholder\n\
         | tar = \"a/{archh}.tar\"\n\
         |          ^^^^^^^\n\
         help: did you mean `{arch}`?"
    );
    // An escape moves the bytes: the whole value is underlined.
    assert!(refused("[[layer]]\ntar = \"\\t/{archh}.tar\"\n").contains("| tar = \"\\t/{archh}.tar\"\n|       ^"));
    let item = |rest: &str| refused(&format!("[[layer]]\ncopy = [{{ src = \"a\", {rest} }}]\n"));
    for (rest, wanted) in [
        ("dest = \"app\"", "the destination \"app\" is not absolute"),
        ("dest = \"/a/../../b\"", "the destination \"/a/../../b\" goes upwards, and may leave the image's root"),
        ("dest = \"/a/.wh.b\"", "the destination \"/a/.wh.b\" has a name that starts with `.wh.`"),
        ("dest = \"\"", "`dest` is empty"),
        ("dest = \"/a\\u0000\"", "`dest` holds a NUL"),
        ("exclude = []", "the `copy` item has no `dest`"),
        ("dest = \"/a\", owner = \"app:app\"", "\"app:app\" is not an owner"),
        ("dest = \"/a\", owner = \"4294967295\"", "is not an owner"),
        ("dest = \"/a\", mode = \"0999\"", "\"0999\" is not a mode"),
        ("dest = \"/a\", mode = \"17777\"", "\"17777\" is not a mode"),
        ("dest = \"/a\", exclude = [\"a\", \"[b\"]", "the pattern \"[b\" has a [ that is not closed\n"),
        ("dest = \"/a\", exclude = \"*.pyc\"", "help: write exclude = [\"*.pyc\"]"),
    ] {
        assert!(item(rest).contains(wanted), "{rest}: {}", item(rest));
    }
    for (text, wanted) in [
        ("[image]\nbase = \"./base\"", "help: a layout folder is written oci:./base"),
        ("[image]\nbase = \"oci-archive:a.tar\"", "`base` cannot be an archive"),
        ("[image]\nbase = \"example.com/App\"", "a repository's name is lower case"),
        ("[image]\nplatforms = []", "`platforms` names none to build"),
        ("[image]\nplatforms = [\"linux/arm64\", \"linux/arm64/v8\"]", "the platform linux/arm64 is there twice"),
        ("[config]\nworking-dir = \"app\"", "help: write /app"),
        ("[config]\nstop-signal = \"TERM\"", "did you mean `SIGTERM`?"),
        ("[config]\nexposed-ports = [\"80/http\"]", "\"80/http\" is not a port"),
        ("[config]\nvolumes = [\"data\"]", "\"data\" is not an absolute path"),
        ("[verify]\nlaunch-type = \"FARGATE\"", "did you mean \"fargate\"?"),
        ("[verify]\narchitecture = \"arm64\"", "did you mean \"ARM64\"?"),
        ("[verify]\narchitecture = \"amd64\"", "did you mean \"X86_64\"?"),
        ("[verify]\nallow = [{ path = \"/a\" }]", "the item of `allow` names no rule"),
        ("[verify]\nvar = [\"a\"]", "help: write a=VALUE"),
    ] {
        assert!(refused(text).contains(wanted), "{text}: {}", refused(text));
    }
}

#[test]
fn what_is_no_toml_is_underlined() {
    let shown = refused("[image]\nbase = \"scratch\nplatforms = []\n");
    assert!(shown.starts_with("dockless.toml:2:"), "{shown}");
    let shown = refused("[image]\nbase = \"a\"\nbase = \"b\"\n");
    assert!(shown.starts_with("dockless.toml:3:1: duplicate key"), "{shown}");
}

proptest! {
    #[test]
    fn no_text_panics(text in r#"[a-z\[\]{}="\\.,:/ \n0-9é#-]{0,60}"#) {
        let _ = Recipe::parse("dockless.toml", &text, Path::new("."));
    }

    #[test]
    fn no_mutation_panics(at in 0..WHOLE.len(), cut in 0usize..40, put in r#"[a-z\[\]{}="\\.,:/ \n0-9é]{0,6}"#) {
        let end = (at + cut).min(WHOLE.len());
        let text = format!("{}{put}{}", &WHOLE[..at], &WHOLE[end..]);
        if let Err(error) = Recipe::parse("dockless.toml", &text, Path::new(".")) {
            prop_assert!(error.message.lines().count() == 1, "{}", error.message);
            prop_assert!(!error.to_string().ends_with('.'), "{}", error);
        }
    }

    #[test]
    fn no_value_of_another_type_panics(line in 0..WHOLE.lines().count(), value in 0..7usize) {
        let value = ["1", "true", "\"x\"", "[1]", "{ a = 1 }", "1979-05-27", "[[\"\"]]"][value];
        let lines: Vec<String> = WHOLE.lines().enumerate().map(|(index, text)| match text.split_once(" = ") {
            Some((key, _)) if index == line => format!("{key} = {value}"),
            _ => text.to_owned(),
        }).collect();
        let _ = Recipe::parse("dockless.toml", &lines.join("\n"), Path::new("."));
    }
}

#[test]
fn what_is_nested_deep_is_refused_and_not_a_crash() {
    for open in ["a = ".to_owned() + &"[".repeat(100_000), "a = ".to_owned() + &"{a=".repeat(100_000)] {
        assert!(Recipe::parse("dockless.toml", &open, Path::new(".")).is_err());
    }
    let json = "[".repeat(100_000) + &"]".repeat(100_000);
    assert!(dockless::image::recipe::config_file::parse_config_file("config.json", &json).is_err());
}
