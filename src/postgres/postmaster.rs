//! The running server as seen from its pid file: whether it lives, and how it is stopped.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::error::ClusterError;
use super::layout::{self, Layout};
use super::wait::Deadline;

/// The line of `postmaster.pid`, counted from zero, on which the server says how far it is.
const STATUS_LINE: usize = 7;
/// A process id that the kernel never gives out.
const NO_PROCESS: i32 = i32::MAX;
/// Ends all sessions and writes a checkpoint; waited for so long.
const FAST: (Signal, Duration) = (Signal::INT, Duration::from_secs(30));
/// Gives up at once and recovers at the next start; waited for so long.
const IMMEDIATE: (Signal, Duration) = (Signal::QUIT, Duration::from_secs(10));

/// The state of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Postmaster {
    /// It does not run. It may have left a pid file behind.
    Down,
    /// It runs and takes no connections: it is starting, stopping, or without its socket.
    Busy { pid: Pid, status: String },
    /// It takes connections.
    Ready { pid: Pid },
}

impl Postmaster {
    /// Looks at the cluster's pid file, at `/proc` and at the socket.
    pub(super) fn look(layout: &Layout) -> Result<Self, ClusterError> {
        let path = layout.postmaster_pid();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Down),
            Err(source) => return Err(ClusterError::Folder { path, source }),
        };
        let Some(pid) = pid_in(&text).filter(|&pid| works_in(pid, &layout.pgdata())) else {
            return Ok(Self::Down);
        };
        let status = text.lines().nth(STATUS_LINE).unwrap_or("starting").trim();
        if status == "ready" && UnixStream::connect(layout.socket()).is_ok() {
            return Ok(Self::Ready { pid });
        }
        Ok(Self::Busy { pid, status: status.to_owned() })
    }

    fn pid(&self) -> Option<Pid> {
        match *self {
            Self::Down => None,
            Self::Busy { pid, .. } | Self::Ready { pid } => Some(pid),
        }
    }
}

impl fmt::Display for Postmaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down => f.write_str("not running"),
            Self::Busy { pid, status } if status == "ready" => {
                write!(f, "running as process {pid} without taking connections")
            }
            Self::Busy { pid, status } => write!(f, "{status} as process {pid}"),
            Self::Ready { pid } => write!(f, "ready as process {pid}"),
        }
    }
}

/// Stops the server: gently, and then less so. Only for who holds `in-use.lock` alone.
pub(super) fn stop(layout: &Layout) -> Result<(), ClusterError> {
    let Some(pid) = Postmaster::look(layout)?.pid() else {
        return Ok(());
    };
    for (signal, patience) in [FAST, IMMEDIATE] {
        match rustix::process::kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return layout.within(Err(error.into())),
        }
        let deadline = Deadline::after(patience);
        loop {
            if Postmaster::look(layout)? == Postmaster::Down {
                return Ok(());
            }
            if !deadline.pause() {
                break;
            }
        }
        tracing::warn!(%pid, "PostgreSQL does not stop");
    }
    Err(ClusterError::Stop { pid: pid.as_raw_nonzero().get(), waited: FAST.1 + IMMEDIATE.1 })
}

/// Makes a dead server's remnants harmless. Only for who holds `start.lock` and has seen it down.
///
/// PostgreSQL refuses to start while the process id in its pid file is alive, whosever it is now;
/// after a restart of the machine or container that is some other process. The id is replaced and
/// the rest stays: by its shared memory key PostgreSQL finds out whether children of the dead server
/// still run.
pub(super) fn disarm(layout: &Layout) -> Result<(), ClusterError> {
    for path in [layout.socket(), layout.socket_lock()] {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(ClusterError::Folder { path, source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    let path = layout.postmaster_pid();
    match fs::read_to_string(&path) {
        Ok(text) => {
            tracing::warn!(path = %path.display(), "PostgreSQL was not stopped, it will recover");
            layout.within(replace_pid(layout, &path, &text))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(ClusterError::Folder { path, source }),
    }
}

/// Replaces the pid file by a rename, as root must not write through what its owner put there.
fn replace_pid(layout: &Layout, path: &Path, text: &str) -> io::Result<()> {
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    let new = layout.data_dir.join("postmaster.pid.new");
    let mut file = File::create(&new)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    write!(file, "{NO_PROCESS}\n{rest}")?;
    if let Some((uid, gid)) = layout::owner(&layout.pgdata())? {
        std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    fs::rename(new, path)
}

/// The process id on the first line; negative while someone runs the server by hand in single-user
/// mode.
fn pid_in(text: &str) -> Option<Pid> {
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    Pid::from_raw(pid.checked_abs()?)
}

/// Whether the process is alive and its current folder is the cluster's, as is the server's. The
/// number alone says nothing: the kernel may have given it to another process.
fn works_in(pid: Pid, pgdata: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let (Ok(owned), Ok(cluster)) = (fs::metadata(&process), fs::metadata(pgdata)) else {
        return false;
    };
    if owned.uid() != cluster.uid() {
        return false;
    }
    match fs::metadata(process.join("cwd")) {
        Ok(cwd) => (cwd.dev(), cwd.ino()) == (cluster.dev(), cluster.ino()),
        // Root in a container may lack the right to look into processes of others.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "postgres")
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_process_id() {
        let cases = [
            ("4711\n/data\n", Some(4711)),
            ("-4711\n", Some(4711)),
            ("", None),
            ("\n", None),
            ("0\n", None),
            ("-2147483648\n", None),
            ("99999999999\n", None),
            ("x\n", None),
        ];
        for (text, expected) in cases {
            assert_eq!(pid_in(text), expected.and_then(Pid::from_raw), "{text:?}");
        }
    }

    #[test]
    fn takes_no_other_process_for_the_server() {
        let here = std::env::current_dir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let us = rustix::process::getpid();
        assert!(!works_in(us, elsewhere.path()));
        assert!(!works_in(Pid::from_raw(NO_PROCESS).unwrap(), &here));
    }

    #[test]
    fn disarms_a_pid_file_and_keeps_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).unwrap();
        fs::create_dir(layout.pgdata()).unwrap();
        fs::create_dir(layout.socket_dir()).unwrap();
        fs::write(layout.socket_lock(), "1\n").unwrap();
        // The process is alive, and it is not a server.
        let us = std::process::id();
        fs::write(layout.postmaster_pid(), format!("{us}\n/data\n1\n5432\n../socket\n\n 7 9\n"))
            .unwrap();

        assert_eq!(Postmaster::look(&layout).unwrap(), Postmaster::Down);
        disarm(&layout).unwrap();
        assert_eq!(
            fs::read_to_string(layout.postmaster_pid()).unwrap(),
            "2147483647\n/data\n1\n5432\n../socket\n\n 7 9\n"
        );
        assert!(!layout.socket_lock().exists());
    }
}
