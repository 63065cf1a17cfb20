//! The times that copied files get.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::folder_name;
use crate::image::recipe::Mtime;
use crate::layer::copy::{self, Source};
use crate::layer::git::{GitError, last_commit_times};
use crate::layer::scan::ScanError;

/// The times of commits, by path below each folder that was asked about.
pub(super) struct Commits(Vec<(PathBuf, BTreeMap<Vec<u8>, i64>)>);

impl Commits {
    /// Asks git about the recipe's folder, and about each source that lies elsewhere, be it in the same repository or
    /// in another one.
    pub(super) fn of(folder: &Path, sources: &[Source<'_>]) -> Result<Self, GitError> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for source in sources {
            let (here, elsewhere): (Vec<&Path>, Vec<&Path>) = source
                .picks
                .iter()
                .map(|pick| pick.path.as_path())
                .partition(|path| copy::within(path, folder).is_some());
            let asked = (!here.is_empty()).then(|| folder.to_owned()).into_iter().chain(shared_folder(&elsewhere));
            for one in asked {
                if !folders.contains(&one) {
                    folders.push(one);
                }
            }
        }
        let ask = |folder: PathBuf| last_commit_times(folder_name(&folder)).map(|times| (folder, times));
        folders.into_iter().map(ask).collect::<Result<_, _>>().map(Self)
    }

    fn time(&self, path: &Path) -> Option<i64> {
        self.0.iter().find_map(|(folder, times)| {
            copy::within(path, folder).and_then(|path| times.get(path.as_os_str().as_bytes())).copied()
        })
    }
}

/// The lowest folder that all of these are in, or are.
fn shared_folder(paths: &[&Path]) -> Option<PathBuf> {
    let folder = |path: &&Path| match path.symlink_metadata() {
        Ok(data) if data.is_dir() => (*path).to_owned(),
        _ => path.parent().unwrap_or(path).to_owned(),
    };
    paths.iter().map(folder).reduce(|shared, one| {
        shared.ancestors().find(|shared| one.starts_with(shared)).map_or_else(PathBuf::new, Path::to_owned)
    })
}

/// The time of a file, by its path on the disk.
pub(super) fn time_of(path: &Path, mtime: Mtime, commits: Option<&Commits>) -> Result<i64, ScanError> {
    match (mtime, commits) {
        (Mtime::At(seconds), _) => Ok(i64::try_from(seconds).unwrap_or(i64::MAX)),
        // Folders have no commits of their own; a link has one, wherever on this machine it leads.
        (Mtime::Git, Some(_)) if path.symlink_metadata().is_ok_and(|data| data.is_dir()) => Ok(0),
        (Mtime::Git, Some(commits)) => commits.time(path).ok_or_else(|| ScanError::Name {
            path: path.display().to_string(),
            reason: "mtime = \"git\", but the file has no commit as it is now; commit it, or exclude it".into(),
        }),
        _ => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_the_time_of_its_commit_wherever_it_leads() {
        let folder = tempfile::tempdir().expect("a folder");
        let times = [("gone", 7), ("here", 8)].map(|(name, at)| (name.into(), at)).into();
        let commits = Commits(vec![(folder.path().into(), times)]);
        for (name, target, time) in [("gone", "/nowhere/at/all", 7), ("here", "/", 8)] {
            let path = folder.path().join(name);
            std::os::unix::fs::symlink(target, &path).expect("a link");
            assert_eq!(time_of(&path, Mtime::Git, Some(&commits)).expect("a time"), time);
        }
        assert_eq!(time_of(folder.path(), Mtime::Git, Some(&commits)).expect("a time"), 0);
    }

    #[test]
    fn what_lies_elsewhere_is_asked_about_once() {
        let shared = |paths: &[&str]| {
            let paths: Vec<&Path> = paths.iter().map(Path::new).collect();
            shared_folder(&paths)
        };
        assert_eq!(shared(&[]), None);
        assert_eq!(shared(&["../web/a.html"]), Some("../web".into()));
        assert_eq!(shared(&["../web/a.html", "../web/sub/b.html"]), Some("../web".into()));
        assert_eq!(shared(&["../web/a.html", "../other/b.html"]), Some("..".into()));
    }
}
