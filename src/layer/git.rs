//! The time of each file's last commit, for layers with `mtime = "git"`: a server such as nginx makes its `ETag` of a
//! file's time and size, so files of the year 1970 would look unchanged to every client after a deployment.
//!
//! The answer must be the same in every clone of the same commit, or the digests would differ between machines. So a
//! shallow clone, which knows no older commits, is refused; replaced objects and the user's settings for `git log` are
//! put aside; and the time of a file is the newest commit time of all commits in the history of `HEAD` that changed
//! it, whatever order they are listed in. A merge counts where its result differs from each of its parents.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

/// Why the times of commits are not known.
#[derive(Debug, Error)]
pub enum GitError {
    /// There is no git to ask.
    #[error("cannot run git, which `mtime = \"git\"` asks for the time of each file's last commit")]
    Missing(#[source] io::Error),
    /// The folder is in no working tree.
    #[error("{} is not in a git repository, so its files have no commits to take their times from", .0.display())]
    NotARepository(PathBuf),
    /// The clone does not hold the whole history.
    #[error("the clone that holds {} is shallow, so the last commit of a file is not known: {}", .0.display(), SHALLOW_HELP)]
    Shallow(PathBuf),
    /// Git said no.
    #[error("git failed in {}: {message}", folder.display())]
    Failed {
        /// The folder that was asked about.
        folder: PathBuf,
        /// What git said.
        message: String,
    },
    /// Git said what we do not understand.
    #[error("git answered in a form that is not known: {0:?}")]
    Answer(String),
}

const SHALLOW_HELP: &str = "fetch the whole history (`fetch-depth: 0` of actions/checkout, or `git fetch --unshallow`)";

/// Variables that would send git to another repository, or change what it prints. Settings that come by variable
/// (`GIT_CONFIG_COUNT`) stay: that is how continuous integration declares a folder safe.
const CLEARED: [&str; 21] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIFF_OPTS",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TRACE",
    "GIT_WORK_TREE",
];

/// The seconds since 1970 of each file's last commit, by its path relative to the folder.
///
/// Only files that are as they were committed: one that is changed, staged or untracked has no time, and what that
/// means is the caller's to say.
///
/// # Errors
/// Where there is no git, no repository, or no whole history (a shallow clone).
pub fn last_commit_times(folder: &Path) -> Result<BTreeMap<Vec<u8>, i64>, GitError> {
    let git = Git { folder };
    let state = match git.ask(&["rev-parse", "--is-inside-work-tree", "--is-shallow-repository", "--show-prefix"])? {
        Ok(state) => state,
        // Git has one exit code for all that it refuses, and words that change.
        Err(_) if !has_repository(folder) => return Err(GitError::NotARepository(folder.to_path_buf())),
        Err(message) => return Err(git.failed(message)),
    };
    // The prefix comes last: it is a path and may itself hold a line feed.
    let mut lines = state.splitn(3, |byte| *byte == b'\n');
    let (inside, shallow) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let prefix = lines.next().and_then(|rest| rest.strip_suffix(b"\n")).unwrap_or_default();
    if inside != b"true" {
        return Err(GitError::NotARepository(folder.to_path_buf()));
    }
    if shallow != b"false" {
        return Err(GitError::Shallow(folder.to_path_buf()));
    }
    if git.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?.is_err() {
        return Ok(BTreeMap::new());
    }

    let in_full = |arguments| git.ask(arguments)?.map_err(|message| git.failed(message));
    let committed = in_full(&["ls-tree", "-r", "-z", "--name-only", "--full-name", "HEAD", "--", "."])?;
    let changed = in_full(&["diff", "-z", "--name-only", "--no-renames", "--no-ext-diff", "HEAD", "--", "."])?;
    let log = in_full(&[
        "log",
        "-z",
        "--format=tformat:/%ct",
        "--name-only",
        "--no-renames",
        "--no-ext-diff",
        "--no-show-signature",
        "--no-follow",
        "-c",
        "HEAD",
        "--",
        ".",
    ])?;
    let mut wanted: BTreeSet<&[u8]> = fields(&committed).collect();
    for path in fields(&changed) {
        wanted.remove(path);
    }
    let mut times = BTreeMap::new();
    read_log(&log, |path, time| {
        if let (true, Some(relative)) = (wanted.contains(path), path.strip_prefix(prefix)) {
            let newest = times.entry(relative.to_vec()).or_insert(time);
            *newest = time.max(*newest);
        }
    })?;
    Ok(times)
}

/// Whether the folder or one above it has what makes a working tree.
fn has_repository(folder: &Path) -> bool {
    folder
        .canonicalize()
        .is_ok_and(|folder| folder.ancestors().any(|above| above.join(".git").symlink_metadata().is_ok()))
}

fn fields(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|byte| *byte == 0).filter(|field| !field.is_empty())
}

/// Reads `/TIME NUL LF PATH NUL PATH NUL /TIME …`. A path of git's never begins with a slash, so one marks a commit.
fn read_log<'l>(log: &'l [u8], mut touched: impl FnMut(&'l [u8], i64)) -> Result<(), GitError> {
    let mut time = None;
    let mut after_commit = false;
    for field in log.split(|byte| *byte == 0) {
        // Paths begin on a line of their own.
        let field = if after_commit { field.strip_prefix(b"\n").unwrap_or(field) } else { field };
        after_commit = false;
        if let Some(digits) = field.strip_prefix(b"/") {
            let digits = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            time = Some(digits.ok_or_else(|| GitError::Answer(String::from_utf8_lossy(field).into_owned()))?);
            after_commit = true;
        } else if !field.is_empty() {
            let time = time.ok_or_else(|| GitError::Answer(String::from_utf8_lossy(field).into_owned()))?;
            touched(field, time);
        }
    }
    Ok(())
}

struct Git<'a> {
    folder: &'a Path,
}

impl Git<'_> {
    /// Runs git in the folder: what it printed, or what it complained of.
    fn ask(&self, arguments: &[&str]) -> Result<Result<Vec<u8>, String>, GitError> {
        let mut command = Command::new("git");
        for variable in CLEARED {
            command.env_remove(variable);
        }
        // What it complains of is shown among words in English.
        command.env("LC_ALL", "C");
        command.args(["--no-pager", "--no-replace-objects", "--no-optional-locks"]);
        command.args(["-c", "core.quotepath=off", "-c", "core.fsmonitor=false", "-c", "log.showRoot=true"]);
        command.args(["-c", "color.ui=false", "-c", "diff.relative=false"]);
        command.arg("-C").arg(self.folder).args(arguments);
        let output = command.output().map_err(GitError::Missing)?;
        if output.status.success() {
            return Ok(Ok(output.stdout));
        }
        let message = String::from_utf8_lossy(&output.stderr);
        let first = message.lines().find(|line| !line.is_empty()).unwrap_or("it said nothing");
        Ok(Err(first.strip_prefix("fatal: ").unwrap_or(first).to_owned()))
    }

    fn failed(&self, message: String) -> GitError {
        GitError::Failed { folder: self.folder.to_path_buf(), message }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Repository(tempfile::TempDir);

    impl Repository {
        fn new() -> Self {
            let repository = Self(tempfile::tempdir().expect("a folder"));
            repository.git(&["init", "--quiet", "--initial-branch=main", "."], 0);
            repository
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn git(&self, arguments: &[&str], time: u32) {
            let mut command = Command::new("git");
            for variable in CLEARED {
                command.env_remove(variable);
            }
            let when = format!("@{time} +0000");
            command
                .env("GIT_COMMITTER_DATE", &when)
                .env("GIT_AUTHOR_DATE", &when)
                .env("GIT_CONFIG_GLOBAL", "/dev/null");
            command.args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false", "-C"]);
            let output = command.arg(self.path()).args(arguments).output().expect("git");
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }

        fn commit(&self, files: &[(&str, &str)], time: u32) {
            for (name, content) in files {
                let path = self.path().join(name);
                fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
                fs::write(path, content).expect("a file");
            }
            self.git(&["add", "-A"], time);
            self.git(&["commit", "--quiet", "-m", "a commit"], time);
        }

        fn times(&self, below: &str) -> Vec<(String, i64)> {
            let times = last_commit_times(&self.path().join(below)).expect("times");
            times.into_iter().map(|(path, time)| (String::from_utf8_lossy(&path).into_owned(), time)).collect()
        }
    }

    fn owned(times: &[(&str, i64)]) -> Vec<(String, i64)> {
        times.iter().map(|(path, time)| ((*path).to_owned(), *time)).collect()
    }

    #[test]
    fn each_file_has_the_time_of_its_last_commit() {
        let repository = Repository::new();
        repository.commit(&[("web/a b\n.html", "1"), ("web/é.css", "1"), ("README", "1")], 1_000_000_000);
        repository.commit(&[("web/é.css", "2"), ("web/gone", "1")], 1_100_000_000);
        fs::remove_file(repository.path().join("web/gone")).expect("gone");
        repository.commit(&[("README", "2")], 1_200_000_000);
        assert_eq!(repository.times("web"), owned(&[("a b\n.html", 1_000_000_000), ("é.css", 1_100_000_000)]));
        assert_eq!(repository.times("").len(), 3);
    }

    #[test]
    fn a_changed_or_untracked_file_has_none() {
        let repository = Repository::new();
        repository.commit(&[("kept", "1"), ("changed", "1"), ("staged", "1")], 1_000_000_000);
        for name in ["changed", "staged", "untracked"] {
            fs::write(repository.path().join(name), "2").expect("a file");
        }
        repository.git(&["add", "staged"], 0);
        assert_eq!(repository.times(""), owned(&[("kept", 1_000_000_000)]));
    }

    #[test]
    fn a_merge_counts_where_it_is_no_parents_content() {
        let repository = Repository::new();
        repository.commit(&[("ours", "1"), ("theirs", "1"), ("both", "1")], 1_000_000_000);
        repository.git(&["checkout", "--quiet", "-b", "side"], 0);
        repository.commit(&[("theirs", "2"), ("both", "2")], 1_100_000_000);
        repository.git(&["checkout", "--quiet", "main"], 0);
        repository.commit(&[("ours", "2")], 1_200_000_000);
        repository.git(&["merge", "--quiet", "--no-ff", "--no-commit", "side"], 0);
        repository.commit(&[("both", "3")], 1_300_000_000);
        let wanted = owned(&[("both", 1_300_000_000), ("ours", 1_200_000_000), ("theirs", 1_100_000_000)]);
        assert_eq!(repository.times(""), wanted);
    }

    #[test]
    fn a_shallow_clone_is_refused() {
        let repository = Repository::new();
        repository.commit(&[("a", "1")], 1_000_000_000);
        repository.commit(&[("a", "2")], 1_100_000_000);
        let clone = tempfile::tempdir().expect("a folder");
        let from = format!("file://{}", repository.path().display());
        let target = clone.path().join("clone");
        repository.git(&["clone", "--quiet", "--depth=1", &from, target.to_str().expect("a path")], 0);
        let error = last_commit_times(&target).expect_err("a shallow clone");
        assert!(matches!(error, GitError::Shallow(_)));
        assert!(error.to_string().contains("`fetch-depth: 0`"), "{error}");
    }

    #[test]
    fn a_plain_folder_is_no_repository() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(last_commit_times(folder.path()), Err(GitError::NotARepository(_))));
        let repository = Repository::new();
        assert_eq!(repository.times(""), []);
        assert!(matches!(last_commit_times(&repository.path().join(".git")), Err(GitError::NotARepository(_))));
    }

    /// The words of git said which it was.
    #[test]
    fn a_repository_that_git_refuses_is_none_that_is_missing() {
        let repository = Repository::new();
        repository.commit(&[("sub/a", "1")], 1_000_000_000);
        fs::write(repository.path().join(".git/config"), "[core\n").expect("a file");
        let error = last_commit_times(&repository.path().join("sub")).expect_err("a broken repository");
        assert!(matches!(error, GitError::Failed { .. }), "{error}");
    }

    #[test]
    fn reads_a_log() {
        let read = |log: &[u8]| {
            let mut seen = Vec::new();
            read_log(log, |path, time| seen.push((String::from_utf8_lossy(path).into_owned(), time))).map(|()| seen)
        };
        assert_eq!(read(b"/3\0\0/2\0\na\0b\0/1\0\n\nc\0").ok(), Some(owned(&[("a", 2), ("b", 2), ("\nc", 1)])));
        assert_eq!(read(b"").ok(), Some(Vec::new()));
        assert!(matches!(read(b"a\0"), Err(GitError::Answer(_))));
        assert!(matches!(read(b"/x\0"), Err(GitError::Answer(_))));
    }
}
