//! Runs the command that fills the folder of a `run` layer.
//!
//! The command is the recipe's, and as trusted as whoever wrote the recipe: it runs as the user, unconfined, as a
//! Makefile would. What it leaves is not trusted, and neither is how it behaves:
//!
//! - It sees the variables that it is given and no others, so that neither a token of the pipeline nor a setting of the
//!   developer gets into a layer unseen ([`environment`]).
//! - It may write without end: of its output the last part is kept in memory, and a file takes so much and no more.
//!   What was passed to it in confidence is masked in both.
//! - It may leave processes behind that hold the pipe, or write into the folder while it is being packed: it runs in a
//!   process group of its own, which ends with it.
//! - It may ask on the terminal, where nobody is asked in a build: it is stopped by the kernel, and that ends it.
//! - We may be killed while it runs. Signals of the terminal do not reach its group, so a shell that waits for our end
//!   ends the group, also where nothing was left to us to say.

pub mod environment;
pub mod inputs;
pub mod mention;
pub mod place;
mod said;

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use thiserror::Error;

use self::said::{Masks, Said};
use crate::mutex::lock;

/// The shell that runs a command that is one text, and waits for our end.
const SHELL: &str = "/bin/sh";

/// Ends its process group once nobody holds the other end of its standard input: with time to tidy up, then without.
const WATCH: &str = "trap '' HUP INT TERM; read -r end; kill -TERM 0; sleep 1; kill -KILL 0";

/// A command with all that it is given.
#[derive(Clone)]
pub struct Task {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// The folder that it runs in.
    pub folder: PathBuf,
    /// Its environment, whole.
    pub variables: Vec<(OsString, OsString)>,
    /// Texts that are never shown, should it print them.
    pub secrets: Vec<OsString>,
    /// The file that takes what it says.
    pub log: PathBuf,
}

impl Task {
    /// The words for a text that a shell runs: an error or an unset variable ends it.
    pub fn shell(text: &str) -> Vec<OsString> {
        [SHELL, "-eu", "-c", text].map(OsString::from).into()
    }
}

/// A word as a shell must be given it, so that it stays one word and what it is.
pub fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

/// How a command ended that did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It was stopped by this signal; by SIGTTIN where it reads from the terminal, as any process of the background.
    Stopped(i32),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::Stopped(signal) if [Signal::TTIN.as_raw(), Signal::TTOU.as_raw()].contains(signal) => {
                f.write_str("it asks on the terminal, where a build answers nothing")
            }
            Self::Stopped(signal) => write!(f, "stopped by signal {signal}"),
        }
    }
}

/// Why a command came to nothing.
#[derive(Debug, Error)]
pub enum RunError {
    /// It could not be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It failed.
    #[error("{ending}")]
    Failed {
        /// How it ended.
        ending: Ending,
        /// The last lines of what it said.
        said: Vec<String>,
    },
    /// It was ended because another failed.
    #[error("ended because another command failed")]
    Ended,
    /// What it needs could not be made.
    #[error("cannot {what}")]
    System {
        /// What was being done.
        what: String,
        /// Why.
        source: io::Error,
    },
}

fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> RunError {
    let what = what.into();
    move |source| RunError::System { what, source }
}

/// How often it is said that a command is still running.
const TICK: Duration = Duration::from_millis(200);

/// Runs a command to its end. `still` hears a few times a second that it is running, and the last line that it said.
///
/// # Errors
/// Where it cannot be started, fails, or is ended.
pub fn run(task: &Task, groups: &Groups, still: impl Fn(&str) + Sync) -> Result<(), RunError> {
    let log = File::create(&task.log).map_err(system(format!("write {}", task.log.display())))?;
    let (reader, writer) = io::pipe().map_err(system("make a pipe"))?;
    let group = groups.open()?;
    let mut child = {
        let (program, arguments) = task.words.split_first().ok_or_else(|| {
            system("run a command")(io::Error::new(io::ErrorKind::InvalidInput, "there is no program"))
        })?;
        let path = program_path(program, &task.folder);
        let mut command = Command::new(&path);
        command
            .args(arguments)
            .env_clear()
            .envs(task.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&task.folder)
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(system("share a pipe"))?)
            .stderr(writer)
            .process_group(group.leader.as_raw_nonzero().get());
        // Our ends of the pipe go with the command.
        command.spawn().map_err(|source| RunError::Start { program: program.to_string_lossy().into_owned(), source })?
    };
    let said = Said::listen(reader, log, Masks::new(&task.secrets));
    let ending = std::thread::scope(|scope| {
        let (over, running) = mpsc::channel::<()>();
        let (last, still) = (said.last(), &still);
        scope.spawn(move || {
            while running.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                still(&last());
            }
        });
        let ending = ending(&child);
        drop(over);
        ending
    });
    let ended = group.close();
    // Its end is known, or the group is: either way there is nothing to wait for.
    child.wait().map_err(system("wait for a command"))?;
    let lines = said.end();
    match ending? {
        None => Ok(()),
        Some(_) if ended => Err(RunError::Ended),
        Some(ending) => Err(RunError::Failed { ending, said: lines }),
    }
}

/// A program with a slash is meant from the folder that it runs in, whatever ours is.
fn program_path(program: &OsString, folder: &Path) -> PathBuf {
    let path = Path::new(program);
    if path.is_relative() && path.components().count() > 1 || path.starts_with(".") {
        folder.join(path)
    } else {
        path.into()
    }
}

/// Waits until a command ends or is stopped; `None` where all is well. It stays to be waited for, so that its number is
/// nobody else's.
fn ending(child: &Child) -> Result<Option<Ending>, RunError> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(Pid::from_child(child)), options) {
            Ok(Some(status)) => {
                return Ok(match (status.exit_status(), status.terminating_signal(), status.stopping_signal()) {
                    (Some(0), ..) => None,
                    (Some(code), ..) => Some(Ending::Exit(code)),
                    (None, Some(signal), _) => Some(Ending::Signal(signal)),
                    (None, None, signal) => Some(Ending::Stopped(signal.unwrap_or_default())),
                });
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(system("wait for a command")(error.into())),
        }
    }
}

/// The process groups that commands are running in, to end them all once one has failed.
#[derive(Debug, Default)]
pub struct Groups(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether no other may begin.
    ended: bool,
    running: Vec<Pid>,
}

impl Groups {
    /// Ends all that is running; nothing begins any more.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        for leader in &state.running {
            // It may have ended by itself.
            let _ = kill_process_group(*leader, Signal::KILL);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.0)
    }

    fn open(&self) -> Result<Group<'_>, RunError> {
        let mut state = self.state();
        if state.ended {
            return Err(RunError::Ended);
        }
        let watcher = Command::new(SHELL)
            .args(["-c", WATCH])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| RunError::Start { program: SHELL.into(), source })?;
        let leader = Pid::from_child(&watcher);
        state.running.push(leader);
        Ok(Group { groups: self, leader, watcher })
    }
}

/// A process group. Its leader is the shell that waits for our end, so the group is there until we say.
struct Group<'g> {
    groups: &'g Groups,
    leader: Pid,
    watcher: Child,
}

impl Group<'_> {
    /// Ends what is left of it; the answer is whether all were told to end.
    fn close(self) -> bool {
        self.groups.state().ended
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        let mut state = self.groups.state();
        let _ = kill_process_group(self.leader, Signal::KILL);
        // Before it is waited for: then its number may be another's.
        state.running.retain(|leader| *leader != self.leader);
        drop(state);
        let _ = self.watcher.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::*;

    fn task(folder: &Path, text: &str) -> Task {
        Task {
            words: Task::shell(text),
            folder: folder.into(),
            variables: vec![("PATH".into(), "/usr/bin:/bin".into()), ("TOKEN".into(), "hunter2-hunter2".into())],
            secrets: vec!["hunter2-hunter2".into()],
            log: folder.join("log"),
        }
    }

    fn failed(folder: &Path, text: &str) -> (Ending, Vec<String>) {
        match run(&task(folder, text), &Groups::default(), |_| ()) {
            Err(RunError::Failed { ending, said }) => (ending, said),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_it_says_is_kept_in_order_and_without_secrets() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "echo one; echo two >&2; echo three $TOKEN; printf '10%%\\r20%%\\rend' >&2; exit 7";
        let (ending, said) = failed(folder.path(), text);
        assert_eq!(ending, Ending::Exit(7));
        assert_eq!(said, ["one", "two", "three ***", "end"]);
        assert_eq!(fs::read_to_string(folder.path().join("log")).expect("a log"), "one\ntwo\nthree ***\nend\n");
        assert_eq!(failed(folder.path(), "kill -TERM $$").0, Ending::Signal(15));
        assert_eq!(failed(folder.path(), "kill -STOP $$").0, Ending::Stopped(Signal::STOP.as_raw()));
        let asks = Ending::Stopped(Signal::TTIN.as_raw()).to_string();
        assert_eq!(asks, "it asks on the terminal, where a build answers nothing");
        assert!(failed(folder.path(), "echo $unset").1[0].contains("unset"));
        let (_, said) = failed(folder.path(), "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; exit 1");
        assert_eq!((said.len(), said[0].as_str(), said[199].as_str()), (200, "line 4800", "line 4999"));
    }

    #[test]
    fn what_it_says_is_heard_while_it_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let heard = Mutex::new(Vec::new());
        // It ends when what it said has been heard.
        let text = "echo first; echo $TOKEN; while [ ! -e heard ]; do sleep 0.05; done";
        let listen = |line: &str| {
            heard.lock().expect("a lock").push(line.to_owned());
            if line == "***" {
                fs::write(folder.path().join("heard"), "").expect("a file");
            }
        };
        run(&task(folder.path(), text), &Groups::default(), listen).expect("it ends");
        assert!(heard.into_inner().expect("a lock").iter().all(|line| ["", "first", "***"].contains(&line.as_str())));
    }

    #[test]
    fn what_it_leaves_behind_ends_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let alive = folder.path().join("alive");
        assert!(Command::new("mkfifo").arg(&alive).status().expect("mkfifo runs").success());
        let (ended, end) = mpsc::channel();
        // A pipe has its end where nobody holds it open any more.
        std::thread::spawn(move || ended.send(fs::read(alive).map(|read| read.len())));
        let text = "exec 3>alive; (sleep 60; echo late >&3) & echo done";
        let started = Instant::now();
        run(&task(folder.path(), text), &Groups::default(), |_| ()).expect("it ends");
        assert!(started.elapsed() < Duration::from_secs(30), "it was waited for");
        let read = end.recv_timeout(Duration::from_secs(20)).expect("it has ended");
        assert_eq!(read.expect("a pipe"), 0);
    }

    #[test]
    fn one_that_fails_ends_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let groups = Groups::default();
        let started = Instant::now();
        let (begun, begins) = mpsc::channel();
        std::thread::scope(|scope| {
            let long = scope.spawn(|| {
                run(&task(folder.path(), "echo begun; sleep 60"), &groups, |_| {
                    let _ = begun.send(());
                })
            });
            begins.recv().expect("it begins");
            groups.end();
            assert!(matches!(long.join().expect("a thread"), Err(RunError::Ended)));
        });
        assert!(started.elapsed() < Duration::from_secs(30));
        assert!(matches!(run(&task(folder.path(), "true"), &groups, |_| ()), Err(RunError::Ended)));
    }

    #[test]
    fn a_program_is_found_from_its_folder() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\ntest \"$1\" = 'a b' && pwd > where\n").expect("a script");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a mode");
        let words = |words: &[&str]| words.iter().map(OsString::from).collect();
        let there = Task { words: words(&["./script", "a b"]), ..task(folder.path(), "") };
        run(&there, &Groups::default(), |_| ()).expect("it is found");
        let pwd = fs::read_to_string(folder.path().join("where")).expect("a file");
        assert_eq!(Path::new(pwd.trim()).canonicalize().expect("there"), folder.path().canonicalize().expect("there"));
        let absent = Task { words: words(&["no-such-program"]), ..task(folder.path(), "") };
        let error = run(&absent, &Groups::default(), |_| ()).expect_err("absent");
        assert_eq!(error.to_string(), "cannot start no-such-program");
    }
}
