//! What those expect who know Docker: its flags, its warnings, and where its paths begin.

use dockless::project::folder::Folder;
use dockless::project::init::from_dockerfile;
use dockless::project::translate::Wanted;

use super::{golden, session};

/// It was written anywhere, and its paths meant other files there.
#[test]
fn a_recipe_is_written_into_the_folder_that_its_paths_are_relative_to() {
    let files = [("Dockerfile", "FROM scratch\nCOPY a /\n"), ("a", ""), ("svc/Dockerfile", "FROM scratch\n")];
    let commands: &[&[&str]] = &[
        &["init", "-o", "recipes/app.toml"],
        &["init", "-o", "svc/app.toml"],
        &["init", "svc", "-o", "app.toml"],
        &["init", "svc", "-o", "svc", "--force"],
        &["init", "svc", "-o", "svc/../svc/app.toml"],
        &["init", "./", "-o", "app.toml"],
        &["init", "-o", "../app.toml"],
    ];
    golden("outputs.txt", session(&files, commands));
}

/// `--force` is for a recipe that is there: the Dockerfile was replaced by what had been made of it.
#[test]
fn a_recipe_does_not_replace_what_it_is_made_from() {
    let files = [("Dockerfile", "FROM scratch\n"), ("svc/api.Dockerfile", "FROM scratch\n"), ("requirements.txt", "")];
    let commands: &[&[&str]] = &[
        &["init", "-o", "Dockerfile", "--force"],
        &["init", "-o", "requirements.txt", "--force"],
        &["init", "svc", "-f", "svc/api.Dockerfile", "-o", "svc/api.Dockerfile", "--force"],
        &["init", "-o", "app.toml"],
        &["init", "-o", "app.toml", "--force"],
    ];
    golden("replaced.txt", session(&files, commands));
}

/// Each of them led nowhere.
#[test]
fn what_docker_users_type_first_leads_to_init() {
    let files = [
        ("Dockerfile", "FROM scratch\n"),
        ("svc/docker/web.Dockerfile", "FROM scratch\n"),
        ("node/package.json", "{}"),
        ("none/x", ""),
    ];
    let commands: &[&[&str]] = &[
        &["build"],
        &["build", "-t", "app:v1", "."],
        &["build", "node"],
        &["build", "none"],
        &["build", "Dockerfile"],
        &["build", "svc/docker/web.Dockerfile"],
        &["build", "-f", "Dockerfile", "."],
        &["build", "--file=Dockerfile", "."],
        &["build", "--dockerfile", "my Dockerfile", "."],
        &["build", "--build-arg", "V=1", "."],
        &["build", "-p", "linux/amd64", "linux/arm64"],
        &["build", "--output", "type=oci,dest=x.tar"],
        &["lock"],
        &["lock", "none"],
        &["init", "svc", "--dockerfile", "docker/web.Dockerfile"],
        &["init", "svc", "--dockerfile", "docker/absent"],
        &["init", "svc", "-f", "svc/docker/web.Dockerfile"],
        &["init", "--file", "Dockerfile"],
    ];
    golden("habits.txt", session(&files, commands));
}

/// Docker warns of them; here nothing was said.
#[test]
fn an_argument_that_no_line_takes_is_told() {
    let text =
        "ARG BASE=debian\nFROM $BASE AS one\nARG VERSION=1 NAME\nENV X=$VERSION\nFROM scratch\nCOPY --from=one /a /a\n";
    let told = |given: &[&str], text: &str| {
        let arguments = given.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        let wanted = Wanted { arguments, ..Wanted::default() };
        let made = from_dockerfile("Dockerfile", text, &Folder::none(), &wanted).expect("a recipe");
        let unused = made.remarks.into_iter().filter(|remark| remark.line == 0);
        unused.map(|remark| format!("{}; {}", remark.message, remark.help.expect("a repair"))).collect::<Vec<_>>()
    };
    assert_eq!(told(&["BASE", "VERSION", "NAME", "http_proxy", "SOURCE_DATE_EPOCH"], text), [""; 0]);
    assert_eq!(
        told(&["Versoin", "ZZZZ"], text),
        [
            "--build-arg Versoin is not used: no ARG has this name; did you mean VERSION?",
            "--build-arg ZZZZ is not used: no ARG has this name; there are BASE, NAME, VERSION",
        ]
    );
    assert_eq!(
        told(&["A"], "FROM scratch\nCOPY a /a\n"),
        ["--build-arg A is not used: no ARG has this name; there is no ARG in the Dockerfile"]
    );
}

/// Nor was it where there is no Dockerfile at all.
#[test]
fn flags_for_a_dockerfile_that_is_not_there_are_told() {
    let files = [("go.mod", "module a\n")];
    let said = session(&files, &[&["init", "--build-arg", "V=1", "--target", "web"]]);
    assert!(said.contains("go.mod: note: --build-arg V is not used: there is no Dockerfile\n"), "{said}");
    assert!(said.contains("go.mod: note: --target web is not used: there is no Dockerfile\n"), "{said}");
}

/// The help was to give what is given already.
#[test]
fn an_argument_of_from_stands_before_the_first() {
    let help = |given: &[&str], text: &str| {
        let arguments = given.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        let wanted = Wanted { arguments, ..Wanted::default() };
        let error = from_dockerfile("Dockerfile", text, &Folder::none(), &wanted).expect_err(text);
        error.help.expect("a repair")
    };
    let late = "FROM a\nARG BASE\nFROM $BASE\n";
    let rest = "before the first FROM: no other ARG counts in a FROM";
    assert_eq!(help(&[], late), format!("write a line `ARG BASE=VALUE` {rest}"));
    assert_eq!(help(&["BASE"], late), format!("write a line `ARG BASE` {rest}"));
    assert_eq!(help(&[], "ARG A=1 BASE\nFROM $BASE\n"), "give one: --build-arg BASE=VALUE");
}
