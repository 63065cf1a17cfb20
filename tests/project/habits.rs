//! What those expect who know Docker: its flags, its warnings, and where its paths begin.

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
