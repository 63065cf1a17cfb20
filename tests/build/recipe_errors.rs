//! A recipe, or a file that it names, is to blame: one message, the place underlined, and nothing left behind.

use super::project::{PROGRAMS, Project, golden};

/// Each recipe's message, in a folder with `app/x`, `app/y` and `bin/app-amd64`.
fn messages(recipes: &[&str]) -> String {
    let shown = recipes.iter().map(|recipe| {
        let project = Project::with(recipe);
        project.write("app/x", "x").write("app/y", "y").write("bin/app-amd64", "no program");
        project.refused(&["build", "-p", "linux/amd64"])
    });
    shown.collect::<Vec<_>>().join("\n")
}

fn layer(copy: &str) -> String {
    format!("[[layer]]\nname = \"app\"\ncopy = [\n  {copy},\n]\n")
}

#[test]
fn without_a_recipe() {
    let project = Project::new();
    let nothing = project.refused(&["build"]);
    let folder = project.refused(&["build", "services/app"]);
    project.write("broken.toml", "[image\n");
    let broken = project.refused(&["build", "broken.toml"]);
    project.write("latin.toml", b"[image]\nbase = \"\xe9\"\n");
    let latin = project.refused(&["build", "latin.toml"]);
    golden("recipe-missing.txt", [nothing, folder, broken, latin].join("\n"));
}

#[test]
fn words_that_a_recipe_does_not_have() {
    let text = messages(&[
        "[image]\nplatform = [\"linux/amd64\"]\n",
        "[image]\nplatforms = [\"linux/x86_64\"]\n",
        "[config]\nentry-point = [\"app\"]\n",
        "[config]\nenv = { \"A=B\" = \"c\" }\n",
        "[[layer]]\nname = \"app\"\n",
        "[[layer]]\ntar = \"a.tar\"\nrootfs = \"root\"\n",
        "[[layer]]\nname = \"app\"\ncopy = [{ src = \"app/x\", destination = \"/x\" }]\n",
        "[[layer]]\nname = \"app\"\ncopy = [{ src = \"app/{architecture}\", dest = \"/x\" }]\n",
        "[[layer]]\nname = \"deps\"\nrun = \"make DESTDIR={ouut}\"\ndest = \"/x\"\n",
    ]);
    golden("recipe-words.txt", text);
}

#[test]
fn files_that_do_not_fit() {
    let layers = [
        layer("{ src = \"missing\", dest = \"/x\" }"),
        layer("{ src = \"ap/x\", dest = \"/x\" }"),
        layer("{ src = \"app/xx/z\", dest = \"/x\" }"),
        layer("{ src = \"missing-*\", dest = \"/x/\" }"),
        layer("{ src = \"app/x\", dest = \"/../x\" }"),
        layer("{ src = \"app/x\", dest = \"/x\" },\n  { src = \"app/y\", dest = \"/x\" }"),
        layer("{ src = \"app/x\", dest = \"/a\" },\n  { src = \"app/y\", dest = \"/a/b\" }"),
        layer("{ src = \"app/x\", dest = \"/.wh.x\" }"),
        "[[layer]]\nname = \"root\"\nrootfs = \"missing\"\n".to_owned(),
        "[[layer]]\nname = \"root\"\nrootfs = \"app/x\"\n".to_owned(),
        "[[layer]]\nname = \"vendor\"\ntar = \"app\"\n".to_owned(),
        "[[layer]]\nname = \"arm\"\nplatforms = [\"linux/arm64\"]\nrootfs = \"app\"\n".to_owned(),
        format!("[config]\nfrom = \"config.json\"\n{}", layer("{ src = \"app\", dest = \"/app\" }")),
        "[image]\nbase = \"oci:missing\"\n".to_owned(),
        "[verify]\ntask-definition = \"missing.json\"\n".to_owned(),
        "[config]\nentrypoint = [\"app\"]\n".to_owned(),
    ];
    golden("recipe-files.txt", messages(&layers.iter().map(String::as_str).collect::<Vec<_>>()));
}

#[test]
fn a_platform_without_its_files() {
    let project = Project::with(PROGRAMS);
    project.write("bin/app-amd64", "one of two");
    golden("recipe-platform.txt", project.refused(&["build"]));
}

#[test]
fn patterns_and_configurations_have_places_too() {
    let project = Project::with(&layer("{ src = \"app\", dest = \"/app\" }"));
    project.write("app/x", "x").write(".dockerignore", "*.log\n[z-a]\n");
    let ignore = project.refused(&["build", "-p", "linux/amd64"]);
    let app = layer("{ src = \"app\", dest = \"/app\" }");
    let project = Project::with(&format!("[config]\nfrom = \"config.json\"\n{app}"));
    project.write("app/x", "x").write("config.json", "{\n  \"Env\": \"A=B\"\n}\n");
    let config = project.refused(&["build", "-p", "linux/amd64"]);
    project.write("config.json", "{\"Env\": [");
    let cut = project.refused(&["build", "-p", "linux/amd64"]);
    golden("recipe-beside.txt", [ignore, config, cut].join("\n"));
}

#[test]
fn flags_have_no_place_but_a_message() {
    let project = Project::new();
    project.write("app/x", "x");
    let wrong: [&[&str]; 5] = [
        &["--layer", "missing"],
        &["--layer", "app:/a/../b"],
        &["--layer", "app:/app", "--base", "oci:missing"],
        &["--layer", "app:/app", "--config", "missing.json"],
        &["--layer", "app:/app", "--user", "some body"],
    ];
    let shown = wrong.iter().map(|words| {
        let words: Vec<&str> = ["build", "-p", "linux/amd64"].iter().chain(*words).copied().collect();
        project.refused(&words)
    });
    golden("flags.txt", shown.collect::<Vec<_>>().join("\n"));
}
