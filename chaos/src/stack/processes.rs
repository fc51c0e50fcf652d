//! Processes as `/proc` shows them: those that a run has started in a folder.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::time::Instant;

use super::error::StackError;

/// How often a wait looks again: a scan of `/proc` takes about a millisecond.
const POLL: Duration = Duration::from_millis(10);
/// How long processes may take to stop or end after a signal that cannot be caught. One that waits
/// for a slow disk does not heed it until the disk answers.
pub(super) const UNCATCHABLE: Duration = Duration::from_secs(10);
/// The variable that marks what a run starts in a folder; its value is the folder. Children inherit it.
pub(super) const MARK: &str = "SCENARIOS_PLACE";
/// What the kernel appends to the name of a folder that was removed.
const DELETED: &str = " (deleted)";

/// A process that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// When it began, in the kernel's ticks: with the number it names one process for ever.
    started: u64,
    stopped: bool,
}

/// All processes that a run has started in this folder: their current folder is this one or below it, and they have
/// its mark. That holds of PostgreSQL even after its first process is gone, and the others have been handed to the
/// system's first process. It does not hold of a shell in which somebody looks at the folder.
#[derive(Debug, Clone)]
pub(super) struct Family {
    folder: PathBuf,
}

impl Process {
    /// Reads `/proc/PID/stat`; `None` if there is no such process, or it has ended.
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is a name in parentheses, which may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        let ended = matches!(state, "Z" | "X");
        (!ended).then_some(Self { pid, parent, started, stopped: matches!(state, "T" | "t") })
    }

    /// All processes, the oldest first.
    fn all() -> io::Result<Vec<Self>> {
        let mut all: Vec<Self> = fs::read_dir("/proc")?
            .flatten()
            .filter_map(|entry| Self::read(entry.file_name().to_str()?.parse().ok()?))
            .collect();
        all.sort_by_key(|process| (process.started, process.pid));
        Ok(all)
    }

    fn works_in(&self, folder: &Path) -> bool {
        match fs::read_link(format!("/proc/{}/cwd", self.pid)) {
            Ok(cwd) => {
                let cwd = cwd.to_string_lossy();
                Path::new(cwd.strip_suffix(DELETED).unwrap_or(&cwd)).starts_with(folder)
            }
            // Root in a container may lack the right to look into processes of others; what they show of
            // themselves decides.
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
        }
    }

    /// Whether a run has started it in `folder`, or something that it has started there.
    fn is_marked(&self, folder: &Path) -> bool {
        // In this order: a process of PostgreSQL writes its title over the environment that it began with.
        self.inherits(folder) || self.is_postgres_of(folder)
    }

    fn inherits(&self, folder: &Path) -> bool {
        let mark = [MARK.as_bytes(), b"=", folder.as_os_str().as_bytes()].concat();
        fs::read(format!("/proc/{}/environ", self.pid))
            .is_ok_and(|all| all.split(|byte| *byte == 0).any(|pair| pair == mark))
    }

    /// Whether it shows itself as a PostgreSQL with its data in `folder`: by its arguments, or by a title with the
    /// name of the cluster, which is the folder's.
    fn is_postgres_of(&self, folder: &Path) -> bool {
        let Ok(line) = fs::read(format!("/proc/{}/cmdline", self.pid)) else { return false };
        let name = folder.file_name().unwrap_or_default().as_bytes();
        if line.starts_with(&[b"postgres: ", name, b": "].concat()) {
            return true;
        }
        let mut arguments = line.split(|byte| *byte == 0);
        let program = Path::new(OsStr::from_bytes(arguments.next().unwrap_or_default()));
        let data = folder.join("data");
        program.file_name() == Some(OsStr::new("postgres"))
            && arguments.any(|argument| argument == data.as_os_str().as_bytes())
    }

    /// Sends a signal to this process and to no later one with the same number.
    fn signal(&self, signal: Signal) -> Result<(), StackError> {
        let send = || -> rustix::io::Result<()> {
            let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
            let process = rustix::process::pidfd_open(
                pid.ok_or(rustix::io::Errno::SRCH)?,
                PidfdFlags::empty(),
            )?;
            match Self::read(self.pid) {
                Some(now) if now.started == self.started => {
                    rustix::process::pidfd_send_signal(&process, signal)
                }
                Some(_) | None => Ok(()),
            }
        };
        match send() {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(StackError::Signal { pid: self.pid, source: error.into() }),
        }
    }
}

impl Family {
    /// Those that were started in `folder`, a path without links, and marked with it.
    pub(super) fn working_in(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Who is there now, the oldest first.
    pub(super) fn members(&self) -> Result<Vec<Process>, StackError> {
        let mut all =
            Process::all().map_err(|source| StackError::Folder { path: "/proc".into(), source })?;
        let own = ancestry(&all);
        all.retain(|process| {
            !own.contains(&process.pid)
                && process.works_in(&self.folder)
                && process.is_marked(&self.folder)
        });
        Ok(all)
    }

    /// Stops all of them, and those they start meanwhile; blocks until none runs.
    pub(super) fn freeze(&self) -> Result<(), StackError> {
        self.signal_until(Signal::STOP, |process| process.stopped)
    }

    /// Lets all of them go on; blocks until none is stopped.
    pub(super) fn thaw(&self) -> Result<(), StackError> {
        self.signal_until(Signal::CONT, |process| !process.stopped)
    }

    /// Kills all of them, also those that are stopped; blocks until none is left.
    pub(super) fn kill(&self) -> Result<(), StackError> {
        self.signal_until(Signal::KILL, |_| false)
    }

    /// Asks those whose parent is not among them to end, which end the others, and waits for that; true
    /// if none is left at the end of `limit`.
    pub(super) fn ask_to_end(&self, signal: Signal, limit: Duration) -> Result<bool, StackError> {
        let members = self.members()?;
        let pids: HashSet<u32> = members.iter().map(|process| process.pid).collect();
        for process in members.iter().filter(|process| !pids.contains(&process.parent)) {
            process.signal(signal)?;
        }
        for process in members.iter().filter(|process| process.stopped) {
            process.signal(Signal::CONT)?;
        }
        let deadline = Instant::now() + limit;
        while !self.members()?.is_empty() {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            pause(POLL);
        }
        Ok(true)
    }

    fn signal_until(&self, signal: Signal, done: fn(&Process) -> bool) -> Result<(), StackError> {
        let deadline = Instant::now() + UNCATCHABLE;
        loop {
            let mut left = self.members()?;
            left.retain(|process| !done(process));
            if left.is_empty() {
                return Ok(());
            }
            // The oldest is the server that starts the others.
            for process in &left {
                process.signal(signal)?;
            }
            self.pause(deadline, left.len())?;
        }
    }

    fn pause(&self, deadline: Instant, left: usize) -> Result<(), StackError> {
        if Instant::now() >= deadline {
            let folder = self.folder.clone();
            return Err(StackError::Unheeded { folder, left, waited: UNCATCHABLE });
        }
        pause(POLL);
        Ok(())
    }
}

/// This process and those from which it descends; none of them is ever signalled.
fn ancestry(all: &[Process]) -> HashSet<u32> {
    let parent = |pid: &u32| all.iter().find(|process| process.pid == *pid).map(|it| it.parent);
    let mut own = HashSet::new();
    let mut next = Some(std::process::id());
    while let Some(pid) = next.filter(|pid| own.insert(*pid)) {
        next = parent(&pid);
    }
    own
}

/// Blocks this thread for about `time`. Only for threads that may block, and in `Drop`.
pub(super) fn pause(time: Duration) {
    std::thread::park_timeout(time);
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A shell with a child of its own, both working in `folder`.
    fn shell(folder: &Path) -> Child {
        let child = Command::new("sh")
            .args(["-c", "sleep 600 & wait"])
            .current_dir(folder)
            .env(MARK, folder)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let family = Family::working_in(folder);
        let deadline = Instant::now() + UNCATCHABLE;
        while family.members().unwrap().len() < 2 {
            assert!(Instant::now() < deadline);
            pause(POLL);
        }
        child
    }

    #[test]
    fn a_family_is_stopped_continued_and_killed_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let mut child = shell(&path);
        let family = Family::working_in(&path);
        family.freeze().unwrap();
        let members = family.members().unwrap();
        assert_eq!(members.len(), 2);
        assert!(members.iter().all(|process| process.stopped));
        family.thaw().unwrap();
        assert!(family.members().unwrap().iter().all(|process| !process.stopped));

        let later = Process { started: members[0].started + 1, ..members[0] };
        later.signal(Signal::KILL).unwrap();
        assert_eq!(family.members().unwrap().len(), 2, "a later process is another one");

        family.freeze().unwrap();
        family.kill().unwrap();
        assert_eq!(family.members().unwrap(), []);
        child.wait().unwrap();
    }

    #[test]
    fn a_child_that_lost_its_parent_still_works_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let mut child = shell(&path);
        child.kill().unwrap();
        child.wait().unwrap();
        let family = Family::working_in(&path);
        assert_eq!(family.members().unwrap().len(), 1);
        drop(folder);
        assert_eq!(family.members().unwrap().len(), 1, "and when that is gone");
        family.kill().unwrap();
        assert_eq!(family.members().unwrap(), []);
    }

    /// Only what a run has started is its own, wherever it works by then.
    #[test]
    fn who_looks_at_the_folder_is_no_member() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let inside = path.join("inside");
        fs::create_dir(&inside).unwrap();
        let file = inside.join("file");
        fs::write(&file, "").unwrap();
        let start = |mark: Option<&Path>| {
            // Its arguments have the folder's name, as those of an editor have.
            let mut reader = Command::new("tail");
            reader.arg("-f").arg(&file).current_dir(&inside).env_remove(MARK);
            if let Some(mark) = mark {
                reader.env(MARK, mark);
            }
            reader.stdout(Stdio::null()).spawn().unwrap()
        };
        let mut own = start(Some(&path));
        let mut looking = [start(None), start(Some(&inside))];
        let family = Family::working_in(&path);
        let members: Vec<u32> = family.members().unwrap().iter().map(|member| member.pid).collect();
        assert_eq!(members, [own.id()]);
        family.kill().unwrap();
        own.wait().unwrap();
        for child in &mut looking {
            assert!(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn this_process_and_its_ancestors_are_no_members() {
        let all = Process::all().unwrap();
        let own = ancestry(&all);
        let this = Process::read(std::process::id()).unwrap();
        assert!(own.contains(&this.pid) && own.contains(&this.parent));
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        assert!(!ancestry(&Process::all().unwrap()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
