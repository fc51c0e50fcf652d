//! The provider `process`: a cluster in a fresh folder, and its server as a child.

mod make;
mod port;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::postgres::LOG_BYTES;
use super::processes::Family;
use super::remains::blocking;
use super::{Action, Place, StackError, Wanted};
use crate::journal::Journal;
use make::Programs;

/// How long a gentle stop may take: it ends the sessions and writes a checkpoint.
const STOP: Duration = Duration::from_secs(30);

/// A cluster and its server. Dropping it ends the server and removes the folder.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Holds `data`, in which the server works, and its log. The runtime reaps what is ended with it.
    place: Place,
    programs: Programs,
    /// The server's arguments.
    arguments: Vec<String>,
    server: Option<Child>,
}

impl Cluster {
    /// Makes a cluster and starts its server; says where, and the superuser's password.
    pub(super) async fn create(
        wanted: &Wanted,
        journal: &Journal,
    ) -> Result<(Self, SocketAddr, String), StackError> {
        let config = wanted.installation.clone();
        let programs = blocking(move || Programs::find(&config)).await?;
        // The server's user has to pass.
        let place = Place::make("pg", 0o711, journal)?;
        let arguments = wanted.arguments();
        let mut cluster = Self { place, programs, arguments, server: None };
        let password = make::init(&cluster.place, &cluster.programs).await?;
        let port = port::free()?;
        cluster.arguments.extend(make::fixed_arguments(cluster.place.path(), port));
        cluster.spawn()?;
        Ok((cluster, (Ipv4Addr::LOCALHOST, port).into(), password))
    }

    /// Takes a step; the address never changes.
    pub(super) async fn act(&mut self, step: Action) -> Result<Option<SocketAddr>, StackError> {
        let family = Family::working_in(self.place.path());
        match step {
            Action::Start => self.spawn()?,
            Action::Freeze => blocking(move || family.freeze()).await?,
            Action::Thaw => blocking(move || family.thaw()).await?,
            Action::Kill => {
                blocking(move || family.kill()).await?;
                reap(&mut self.server).await?;
            }
            Action::Stop => self.stop().await?,
        }
        Ok(None)
    }

    /// Whether the server has ended by itself.
    pub(super) fn has_ended(&mut self) -> Result<bool, StackError> {
        let log = self.log_file();
        match &mut self.server {
            None => Ok(true),
            Some(server) => match server.try_wait() {
                Ok(status) => Ok(status.is_some()),
                Err(source) => Err(StackError::Folder { path: log, source }),
            },
        }
    }

    /// The end of the log.
    pub(super) async fn log(&self) -> String {
        let path = self.log_file();
        let read = blocking(move || Ok(tail(&path).unwrap_or_else(|error| format!("({error})"))));
        read.await.unwrap_or_else(|error| format!("({error})"))
    }

    /// Ends the server and removes the folder.
    pub(super) async fn remove(self) -> Result<(), StackError> {
        let Self { place, mut server, .. } = self;
        place.remove().await?;
        reap(&mut server).await
    }

    fn spawn(&mut self) -> Result<(), StackError> {
        let log = self.log_file();
        let output = File::options()
            .append(true)
            .create(true)
            .open(&log)
            .and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) = output.map_err(|source| StackError::Folder { path: log, source })?;
        let server = self
            .programs
            .command("postgres", &self.place)
            .args(&self.arguments)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .map_err(|source| self.programs.refused("postgres", source))?;
        self.server = Some(server);
        Ok(())
    }

    /// Asks the server to end its sessions and itself.
    async fn stop(&mut self) -> Result<(), StackError> {
        let pid = self.server.as_ref().and_then(Child::id);
        let Some(pid) = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) else {
            return Ok(());
        };
        // It is our child and was not waited for, so the number is still its own.
        match rustix::process::kill_process(pid, Signal::INT) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                let pid = pid.as_raw_nonzero().get().unsigned_abs();
                return Err(StackError::Signal { pid, source: error.into() });
            }
        }
        timeout(STOP, reap(&mut self.server))
            .await
            .map_err(|_elapsed| StackError::Stop { waited: STOP })?
    }

    fn log_file(&self) -> PathBuf {
        self.place.path().join("server.log")
    }
}

/// Waits for a server that ends.
async fn reap(server: &mut Option<Child>) -> Result<(), StackError> {
    if let Some(server) = server {
        let ended = server.wait().await;
        ended.map_err(|source| StackError::Folder { path: "/proc".into(), source })?;
    }
    *server = None;
    Ok(())
}

/// The end of a file.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let most = u64::try_from(LOG_BYTES).unwrap_or(u64::MAX);
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Programs {
    /// A program that works in `place`, as the right user and with nothing of our environment.
    fn command(&self, name: &str, place: &Place) -> Command {
        let mut command = Command::new(self.installation.program(name));
        let (mark, folder) = place.mark();
        command
            .current_dir(place.path())
            .env_clear()
            .env(mark, folder)
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            // What is typed at the terminal is meant for the runner.
            .process_group(0);
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }
}
