//! Images on top of images: links and modes of the base stay, configurations merge, layers are shared.

use serde_json::Value;

use super::elf::{AARCH64, X86_64, program};
use super::project::Project;

/// A base like Debian's, in the layout `base`: merged /usr, a sticky /tmp, a private /root.
fn on_debian(recipe: &str) -> Project {
    let project = Project::new();
    for (arch, machine) in [("amd64", X86_64), ("arm64", AARCH64)] {
        let root = project.tree(&format!("debian-{arch}"));
        root.dir("usr/bin", 0o755).link("bin", "usr/bin").file("usr/bin/sh", 0o755, program(machine));
        root.dir("tmp", 0o1777).dir("root", 0o700).dir("var/lib", 0o755).link("var/run", "/run").dir("run", 0o755);
        root.settle(1_700_000_000);
    }
    project.write(
        "base.toml",
        "[image]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [config]\nentrypoint = [\"/bin/sh\", \"-c\"]\ncmd = [\"true\"]\nuser = \"root\"\n\
         env = { PATH = \"/usr/bin\", LANG = \"C\" }\nlabels = { from = \"base\", kind = \"os\" }\n\
         [[layer]]\nname = \"debian\"\nrootfs = \"debian-{arch}\"\nowner = \"0:0\"\n",
    );
    project.run(&["build", "-q", "base.toml", "-o", "base"]).done();
    let image = "[image]\nbase = \"oci:base\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n";
    project.write("dockless.toml", format!("{image}{recipe}"));
    project
}

#[test]
fn what_is_on_the_way_stays_as_it_was() {
    let project = on_debian(
        "[[layer]]\nname = \"app\"\ncopy = [\n\
         { src = \"app\", dest = \"/bin/app\" },\n\
         { src = \"app\", dest = \"/tmp/\" },\n\
         { src = \"app\", dest = \"/root/deep/er/app\", owner = \"5:6\" },\n\
         { src = \"app\", dest = \"/var/run/app/app\" },\n]\n",
    );
    project.write("app", "an app");
    let said = project.run(&["build", "-v"]).done();
    assert!(said.stderr.contains("layer app, linux/amd64: /bin is /usr/bin in the layers below"), "{said:#?}");
    let image = project.image("oci", None);
    let expected = [
        "0 0755 0:0 //",
        "0 0777 0:0 /bin -> usr/bin",
        "1 0700 0:0 /root/",
        "1 0755 0:0 /root/deep/",
        "1 0755 0:0 /root/deep/er/",
        "1 0644 5:6 /root/deep/er/app 6",
        "1 0755 0:0 /run/",
        "1 0755 0:0 /run/app/",
        "1 0644 0:0 /run/app/app 6",
        "1 1777 0:0 /tmp/",
        "1 0644 0:0 /tmp/app 6",
        "1 0755 0:0 /usr/",
        "1 0755 0:0 /usr/bin/",
        "1 0644 0:0 /usr/bin/app 6",
        "0 0755 0:0 /usr/bin/sh 128",
        "1 0755 0:0 /var/",
        "0 0755 0:0 /var/lib/",
        "0 0777 0:0 /var/run -> /run",
    ];
    for platform in [0, 1] {
        assert_eq!(image.root(platform), expected);
    }
    let paths = image.paths(0, 1);
    assert!(paths.iter().all(|path| !path.starts_with("bin") && !path.starts_with("var/run")), "{paths:?}");
    assert_eq!(paths[..5], ["root/", "root/deep/", "root/deep/er/", "root/deep/er/app", "run/"]);
}

#[test]
fn layers_are_made_once_and_shared() {
    let project = on_debian(
        "[[layer]]\nname = \"shared\"\ncopy = [{ src = \"app\", dest = \"/app\" }]\n\
         [[layer]]\nname = \"own\"\ncopy = [{ src = \"own-{arch}\", dest = \"/own\" }]\n\
         [[layer]]\nname = \"arm\"\nplatforms = [\"linux/arm64\"]\ncopy = [{ src = \"app\", dest = \"/arm\" }]\n",
    );
    project.write("app", "an app").write("own-amd64", "one").write("own-arm64", "another");
    let said = project.run(&["build", "--json"]).done();
    let report = said.json();
    let layers = |platform: usize| -> Vec<(Option<&str>, &str)> {
        let layers = report["platforms"][platform]["layers"].as_array().expect("layers");
        layers.iter().map(|layer| (layer["name"].as_str(), layer["digest"].as_str().expect("a digest"))).collect()
    };
    let (amd64, arm64) = (layers(0), layers(1));
    let names =
        |layers: &[(Option<&str>, &str)]| layers.iter().map(|(name, _)| name.map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(names(&amd64), [None, Some("shared".to_owned()), Some("own".into())], "a base's layers have no names");
    assert_eq!(names(&arm64), [None, Some("shared".to_owned()), Some("own".into()), Some("arm".into())]);
    assert_ne!(amd64[0], arm64[0]);
    assert_eq!(amd64[1], arm64[1]);
    assert_ne!(amd64[2], arm64[2]);
    let count = |word: &str| said.stderr.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!((count("layer shared"), count("layer own"), count("layer arm")), (1, 2, 1), "{said:#?}");
    // The base's own blobs came along.
    project.run(&["check", "oci"]).done();
}

#[test]
fn a_layer_is_shared_only_where_what_lies_below_agrees() {
    let project = on_debian("[[layer]]\nname = \"app\"\ncopy = [{ src = \"app\", dest = \"/srv/app\" }]\n");
    project.write("app", "an app");
    project.tree("debian-arm64").dir("srv", 0o750).settle(1_700_000_000);
    project.run(&["build", "-q", "base.toml", "-o", "base"]).done();
    let report = project.run(&["build", "--json"]).done().json();
    let digest = |platform: usize| report["platforms"][platform]["layers"][1]["digest"].clone();
    assert_ne!(digest(0), digest(1));
    let root = project.image("oci", None).root(1);
    assert!(root.contains(&"1 0750 0:0 /srv/".to_owned()), "{root:#?}");
}

#[test]
fn configurations_merge() {
    let project = on_debian("[config]\nfrom = \"config.json\"\nenv = { LANG = \"C.UTF-8\", A = \"recipe\" }\n");
    project.write(
        "config.json",
        r#"{"architecture":"amd64","config":{"Env":["A=file","B=file"],"Labels":{"kind":"file","b":"file"},"User":"1"}}"#,
    );
    let words = ["build", "-q", "--env", "B=flag", "--label", "b=flag", "--working-dir", "/srv"];
    project.run(&words).done();
    let config = serde_json::to_value(project.image("oci", None).config(1)).expect("JSON");
    assert_eq!(config["architecture"], "arm64", "a file does not say what is built");
    let config = &config["config"];
    let list = |value: &Value| {
        value.as_array().map(|list| list.iter().map(|v| v.as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>())
    };
    let mut env = list(&config["Env"]).expect("an environment");
    env.sort();
    assert_eq!(env, ["A=recipe", "B=flag", "LANG=C.UTF-8", "PATH=/usr/bin"]);
    assert_eq!(config["Labels"], serde_json::json!({"from": "base", "kind": "file", "b": "flag"}));
    assert_eq!((config["User"].as_str(), config["WorkingDir"].as_str()), (Some("1"), Some("/srv")));
    assert_eq!(list(&config["Entrypoint"]), Some(vec!["/bin/sh".into(), "-c".into()]));
    assert_eq!(list(&config["Cmd"]), Some(vec!["true".into()]));

    project.run(&["build", "-q", "--entrypoint", "/bin/app"]).done();
    let config = serde_json::to_value(project.image("oci", None).config(0)).expect("JSON");
    assert_eq!(list(&config["config"]["Entrypoint"]), Some(vec!["/bin/app".into()]));
    assert_eq!(list(&config["config"]["Cmd"]), None, "a new entrypoint clears the base's arguments");

    project.run(&["build", "-q", "--entrypoint", "[\"/bin/app\",\"-v\"]", "--cmd", "serve"]).done();
    let config = serde_json::to_value(project.image("oci", None).config(0)).expect("JSON");
    assert_eq!(list(&config["config"]["Entrypoint"]), Some(vec!["/bin/app".into(), "-v".into()]));
    assert_eq!(list(&config["config"]["Cmd"]), Some(vec!["serve".into()]));
}

#[test]
fn a_base_without_the_platform_says_what_it_has() {
    let project = on_debian("");
    project.run(&["build", "-q", "base.toml", "-o", "base", "-p", "linux/amd64"]).done();
    let text = project.refused(&["build"]);
    assert!(text.contains("the base base has no linux/arm64; it has linux/amd64"), "{text}");
}
