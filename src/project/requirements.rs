//! What a file of Python requirements names beside packages: other such files, and projects of the folder (pip,
//! "Requirements File Format").

use std::collections::BTreeSet;

use super::folder::Folder;

/// How many files are looked at: more than any project has.
const MOST_FILES: usize = 100;

/// A file of requirements and all files and folders of the project that it leads to, by their paths from the folder.
/// What lies elsewhere is left out.
pub fn files(folder: &Folder, first: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::from([first.to_owned()]);
    let mut unread = vec![first.to_owned()];
    while let Some(file) = unread.pop() {
        let Some(text) = folder.text(&file) else { continue };
        let above = file.rsplit_once('/').map_or("", |(above, _)| above);
        // A line goes on after a backslash; a comment is after a space.
        let text = text.replace("\\\r\n", " ").replace("\\\n", " ");
        for line in text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim()) {
            let Some((path, is_list)) = named(line) else { continue };
            let Some(path) = joined(above, path) else { continue };
            let there = folder.has_file(&path) || !is_list && folder.has_folder(&path);
            if there && found.len() < MOST_FILES && found.insert(path.clone()) && is_list {
                unread.push(path);
            }
        }
    }
    found
}

/// The path that a line names, and whether that is a file of requirements or constraints.
fn named(line: &str) -> Option<(&str, bool)> {
    const FLAGS: [(&str, bool); 6] = [
        ("--requirement", true),
        ("--constraint", true),
        ("--editable", false),
        ("-r", true),
        ("-c", true),
        ("-e", false),
    ];
    for (flag, is_list) in FLAGS {
        if let Some(rest) = line.strip_prefix(flag) {
            let value = rest.trim_start_matches(['=', ' ', '\t']);
            if value.len() == rest.len() && flag.starts_with("--") {
                continue;
            }
            return Some((value.split(['[', ';']).next()?.trim(), is_list));
        }
    }
    let path = line.split([';', '[']).next()?.trim();
    (path.starts_with("./") || path.starts_with("../")).then_some((path, false))
}

/// A path from the folder of a file; none where it leaves the project or is a URL.
fn joined(above: &str, path: &str) -> Option<String> {
    if path.contains("://") || path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in above.split('/').chain(path.split('/')).filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `inputs` that name the first file alone kept a layer when another one had changed.
    #[test]
    fn all_that_a_list_leads_to_is_found() {
        let project = tempfile::tempdir().expect("a folder");
        for (name, text) in [
            (
                "requirements.txt",
                "-r base.txt  # what all need\n--constraint=sub/c.txt\n-e ./lib[extra]\n./wheels/a.whl ; python_version > '3'\n\
                 --requirement \\\n  sub/more.txt\n-r ../outside.txt\n-r https://example.com/r.txt\n-r gone.txt\nflask==3 # -r no.txt\n",
            ),
            ("base.txt", "six\n-rrequirements.txt\n"),
            ("no.txt", ""),
            ("sub/c.txt", ""),
            ("sub/more.txt", "-c ../top.txt\n"),
            ("top.txt", ""),
            ("lib/pyproject.toml", ""),
            ("wheels/a.whl", ""),
        ] {
            let path = project.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let found: Vec<String> = files(&Folder::at(project.path()), "requirements.txt").into_iter().collect();
        assert_eq!(
            found,
            ["base.txt", "lib", "requirements.txt", "sub/c.txt", "sub/more.txt", "top.txt", "wheels/a.whl"]
        );
        assert_eq!(files(&Folder::none(), "r.txt").len(), 1);
    }
}
