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
