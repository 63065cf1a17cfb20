//! Configurations on disk: what is read, and what is not.

use std::fs;
use std::path::Path;

use dockless::ecs::load::load;
use dockless::ecs::target::{Given, TargetOptions};
use dockless::ecs::task_definition::Stated;

use super::{container, image};

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, text).expect("written");
}

fn loaded(source: &Path) -> Result<dockless::ecs::sources::Loaded, String> {
    let loaded = load(&source.display().to_string(), None, &TargetOptions::default());
    loaded.map_err(|error| format!("{error} {}", error.help().unwrap_or_default()))
}

#[test]
fn a_folder_is_a_root_module_and_a_file_is_one_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "main.tf", &container("image = var.image"));
    write(folder.path(), "variables.tf", "variable \"image\" {\n default = \"x\"\n}\n");
    let whole = loaded(folder.path()).expect("a folder");
    assert_eq!(image(&whole.targets[0].definition), "x");
    assert_eq!(whole.sources.len(), 2);
    let alone = loaded(&folder.path().join("main.tf")).expect("a file");
    let Stated::Unresolved { reason, .. } = &alone.targets[0].definition.containers[0].image else { panic!("open") };
    assert_eq!(reason, "var.image is not declared");
}

#[test]
fn a_folder_without_terraform_says_what_was_expected() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = loaded(folder.path()).expect_err("nothing there");
    assert!(error.contains("holds no Terraform configuration (*.tf)"), "{error}");
    write(folder.path(), "main.tf.json", "{}");
    assert!(loaded(folder.path()).expect_err("JSON only").contains("*.tf.json"));
    write(folder.path(), "main.tf", &container("image = \"x\""));
    assert_eq!(loaded(folder.path()).expect("a folder").targets.len(), 1);
    write(folder.path(), "more.tf.json", "{\"resource\": {\"aws_ecs_task_definition\": {}}}");
    assert!(
        loaded(folder.path()).expect_err("more").contains("more.tf.json:1:1: a task definition in Terraform's JSON")
    );
}

#[test]
fn a_syntax_error_has_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "main.tf", "locals {\n  a = [1,\n}\n");
    let error = loaded(folder.path()).expect_err("no HCL");
    assert!(error.contains("main.tf:3:1: this is not HCL"), "{error}");
}

#[test]
fn nothing_outside_the_repository_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("repository");
    write(folder.path(), "secret.json", "[{\"name\": \"stolen\", \"image\": \"x\"}]");
    write(folder.path(), "outside/main.tf", &container("image = \"stolen\""));
    fs::create_dir_all(root.join(".git")).expect("a repository");
    std::os::unix::fs::symlink(folder.path().join("secret.json"), root.join("link.json")).expect("a link");
    for path in ["../secret.json", "link.json", "/etc/hostname"] {
        let text = super::task(&format!("container_definitions = file(\"{path}\")"));
        write(&root, "main.tf", &text);
        let found = loaded(&root).expect("a folder");
        let open = found.targets[0].definition.other_containers.as_ref().expect("open");
        assert!(open.reason.contains("outside"), "{path}: {}", open.reason);
    }
    write(&root, "main.tf", "module \"a\" {\n  source = \"../outside\"\n}\n");
    assert_eq!(loaded(&root).expect("a folder").targets.len(), 0);
}

#[test]
fn without_a_repository_modules_may_stand_above_but_no_other_file() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "modules/task/main.tf", &container("image = file(\"${path.module}/image.txt\")"));
    write(folder.path(), "modules/task/image.txt", "x");
    write(folder.path(), "secret.txt", "stolen");
    let text = "module \"a\" {\n  source = \"../../modules/task\"\n}\n";
    write(folder.path(), "examples/a/main.tf", &format!("{text}{}", container("image = file(\"../../secret.txt\")")));
    let found = loaded(&folder.path().join("examples/a")).expect("a folder");
    assert_eq!(image(&found.targets[0].definition), "x");
    assert_eq!(image(&found.targets[1].definition), "${file(\"../../secret.txt\")}");
}

#[test]
fn an_override_file_is_merged_by_terraform_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "main.tf", &container("image = \"x\""));
    write(folder.path(), "provider_override.tf", "provider \"aws\" {\n}\n");
    assert_eq!(loaded(folder.path()).expect("a folder").targets.len(), 1);
    write(folder.path(), "override.tf", &container("image = \"y\""));
    assert!(loaded(folder.path()).expect_err("not merged").contains("override file"));
}

#[test]
fn a_file_in_a_form_that_is_not_read_is_refused_where_it_may_say_something() {
    let with = |name: &str, text: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "main.tf", &container("image = \"x\""));
        write(folder.path(), "versions.tf", "terraform {\n}\n");
        write(folder.path(), name, text);
        // The file alone is one, whatever stands beside it.
        assert!(loaded(&folder.path().join("main.tf")).is_ok(), "{name}");
        loaded(folder.path()).map(|loaded| loaded.targets.len())
    };
    for (name, text, wanted) in [
        ("override.tf.json", "{\"variable\": {\"a\": {\"default\": \"b\"}}}", "an override file, which is not merged"),
        ("x_override.tf.json", "{\"locals\": {\"a\": \"b\"}}", "an override file, which is not merged"),
        ("x.tf.json", "{\"module\": {\"b\": {\"source\": \"./m\"}}}", "x.tf.json:1:1: module in Terraform's JSON"),
        ("x.tf.json", "{\"locals\": {\"a\": \"b\"}}", "x.tf.json:1:1: locals in Terraform's JSON"),
        ("x.tf.json", "{\"resource\": {\"aws_ecs_service\": {}}}", "x.tf.json:1:1: a resource of ECS in Terraform's"),
        ("x.tf.json", "[{\"locals\": {}}]", "x.tf.json:1:1: a list in Terraform's JSON"),
        ("x.tf.json", "{\"locals\"", "this is not JSON"),
        ("main.tofu", "terraform {\n}\n", "what takes the place of a file of Terraform in a file of OpenTofu"),
        (
            "x.tofu",
            "locals {\n}\n",
            "x.tofu:1:1: locals in a file of OpenTofu, which is not read: give a plan (`tofu show",
        ),
        ("x.tofu.json", "{\"locals\": {}}", "x.tofu.json:1:1: locals in a file of OpenTofu"),
    ] {
        let error = with(name, text).expect_err(name);
        assert!(error.contains(wanted), "{name}: {error}");
    }
    for (name, text) in [
        ("override.tf.json", "{\"provider\": {\"aws\": {}}}"),
        ("x.tf.json", "{\"//\": \"a remark\", \"terraform\": {}, \"resource\": {\"aws_s3_bucket\": {}}}"),
        ("versions.tofu", "terraform {\n}\n"),
        (".x.tofu", "locals {\n}\n"),
    ] {
        assert_eq!(with(name, text), Ok(1), "{name}");
    }
}

#[test]
fn values_may_come_from_a_file_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "a/main.tf", &format!("variable \"image\" {{}}\n{}", container("image = var.image")));
    write(folder.path(), "values/prod.tfvars", "image = \"x\"\n");
    let mut options = TargetOptions::default();
    options.variables.given = vec![Given::File(folder.path().join("values/prod.tfvars").display().to_string())];
    let found = load(&folder.path().join("a").display().to_string(), None, &options).expect("a folder");
    assert_eq!(image(&found.targets[0].definition), "x");
}

#[test]
fn what_may_not_be_read_is_not_known_to_be_absent() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("repository");
    fs::create_dir_all(root.join(".git")).expect("a repository");
    write(folder.path(), "shared/p.json", "{\"image\": \"stolen\"}");
    write(&root, "own.json", "{\"image\": \"own\"}");
    for (expression, wanted) in [
        ("fileexists(\"../shared/p.json\") ? \"a\" : \"b\"", "${fileexists(\"../shared/p.json\") ? \"a\" : \"b\"}"),
        ("fileexists(\"../shared/q.json\") ? \"a\" : \"b\"", "${fileexists(\"../shared/q.json\") ? \"a\" : \"b\"}"),
        (
            "try(jsondecode(file(\"../shared/p.json\")), {}) == {} ? \"a\" : \"b\"",
            "${try(jsondecode(file(\"../shared/p.json\")), {}) == {} ? \"a\" : \"b\"}",
        ),
        ("fileexists(\"own.json\") ? \"a\" : \"b\"", "a"),
        ("fileexists(\"none.json\") ? \"a\" : \"b\"", "b"),
        ("try(jsondecode(file(\"none.json\")), { image = \"c\" }).image", "c"),
        ("jsondecode(file(\"${path.cwd}/own.json\")).image", "own"),
        ("substr(path.cwd, 0, 1)", "/"),
    ] {
        write(&root, "main.tf", &container(&format!("image = {expression}")));
        assert_eq!(image(&loaded(&root).expect("a folder").targets[0].definition), wanted, "{expression}");
    }
}

#[cfg(unix)]
#[test]
fn what_cannot_be_looked_at_is_not_known_to_be_absent() {
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink("loop", folder.path().join("loop")).expect("a link");
    for name in ["loop", "loop/arm"] {
        let expression = format!("fileexists(\"${{path.module}}/{name}\") ? \"a\" : \"b\"");
        write(folder.path(), "main.tf", &container(&format!("image = {expression}")));
        let found = loaded(folder.path()).expect("a folder");
        let Stated::Unresolved { reason, .. } = &found.targets[0].definition.containers[0].image else {
            panic!("open")
        };
        assert!(reason.contains(&format!("{name} cannot be read: ")), "{reason}");
    }
}

#[test]
fn a_folder_with_many_other_files_is_read_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    for index in 0..10_500 {
        fs::write(folder.path().join(format!("{index}.txt")), "").expect("written");
    }
    for index in 0..3 {
        let text = container("image = \"x\"").replace("\"app\" {", &format!("\"app{index}\" {{"));
        write(folder.path(), &format!("{index}.tf"), &text);
    }
    assert_eq!(loaded(folder.path()).expect("a folder").targets.len(), 3);
}

#[test]
fn a_folder_with_too_many_files_of_a_configuration_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for index in 0..=10_000 {
        fs::write(folder.path().join(format!("{index}.tf")), "").expect("written");
    }
    let error = load(&folder.path().display().to_string(), None, &TargetOptions::default()).expect_err("too many");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert_eq!(cause, "has more than 10000 files of a configuration");
}

#[test]
fn hidden_files_are_none_of_a_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "main.tf", &container("image = \"x\""));
    for name in [".main.tf", "._main.tf"] {
        write(folder.path(), name, "\u{0}\u{5}\u{16}");
    }
    assert_eq!(loaded(folder.path()).expect("a folder").targets.len(), 1);
}

#[test]
fn a_byte_order_mark_moves_no_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = "container_definitions = \"[]\"\n  runtime_platform {\n    cpu_architecture = var.arch\n  }";
    let text = format!("variable \"arch\" {{ default = \"ARM64\" }}\n{}", super::task(platform));
    let source = |found: dockless::ecs::sources::Loaded| {
        let definition = &found.targets[0].definition;
        let at = definition.architecture.location().expect("known").clone();
        let text = found.sources.get(&at.file).expect("its text");
        (text[at.span.clone()].to_owned(), at.line, at.column)
    };
    write(folder.path(), "main.tf", &format!("\u{feff}{text}"));
    assert_eq!(source(loaded(folder.path()).expect("a folder")), ("\"ARM64\"".to_owned(), 1, 29));
    write(folder.path(), "terraform.tfvars", "\u{feff}arch = \"X86_64\"\n");
    assert_eq!(source(loaded(folder.path()).expect("a folder")), ("\"X86_64\"".to_owned(), 1, 8));
    fs::remove_file(folder.path().join("terraform.tfvars")).expect("removed");
    write(folder.path(), "terraform.tfvars.json", "\u{feff}{\n  \"arch\": \"ARM64\"}\n");
    assert_eq!(source(loaded(folder.path()).expect("a folder")), ("\"ARM64\"".to_owned(), 2, 11));
}
