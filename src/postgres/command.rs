//! Running the programs of PostgreSQL: as the right user, with a clean environment and a deadline.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use super::account::Account;
use super::error::ClusterError;
use super::install::Installation;
use super::layout::Layout;
use super::wait::Deadline;

/// What all programs of one start have in common.
#[derive(Debug)]
pub(super) struct Programs<'a> {
    pub(super) layout: &'a Layout,
    pub(super) installation: &'a Installation,
    pub(super) account: Option<&'a Account>,
}

impl Programs<'_> {
    /// Runs the program `name` in the data folder and waits for it; `None` if it was ended because
    /// the deadline passed. What it prints goes to the file `start.log`.
    ///
    /// The data folder being the current one, no path of ours passes through the shell that `pg_ctl`
    /// starts the server with.
    pub(super) fn run<A: AsRef<OsStr>>(
        &self,
        name: &str,
        args: &[A],
        deadline: Deadline,
    ) -> Result<Option<ExitStatus>, ClusterError> {
        let program = self.installation.program(name);
        let log = self.layout.start_log();
        let (stdout, stderr) = File::options()
            .append(true)
            .create(true)
            .open(&log)
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(|source| ClusterError::Folder { path: log, source })?;
        let mut command = Command::new(&program);
        command
            .args(args)
            .current_dir(&self.layout.data_dir)
            // The server outlives this process and may belong to another user: nothing of our
            // environment, secrets or PGDATA, may stick to it.
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr);
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        let mut child = command.spawn().map_err(|source| self.refused(&program, source))?;
        let failed = |source| ClusterError::Program { program: program.clone(), source };
        loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                return Ok(Some(status));
            }
            if !deadline.pause() {
                child.kill().map_err(failed)?;
                child.wait().map_err(failed)?;
                return Ok(None);
            }
        }
    }

    /// Says which folder keeps the other user from running a program, if it is that.
    fn refused(&self, program: &Path, source: io::Error) -> ClusterError {
        let places = [
            (self.layout.data_dir.as_path(), "database.data_dir"),
            (program.parent().unwrap_or(program), "database.install_dir"),
        ];
        let closed = self
            .account
            .filter(|_| source.kind() == io::ErrorKind::PermissionDenied)
            .and_then(|account| {
                places.into_iter().find_map(|(path, setting)| {
                    let folder = account.closed_folder(path)?;
                    let (user, path) = (account.name.clone(), path.to_owned());
                    Some(ClusterError::Closed { user, folder, path, setting })
                })
            });
        closed.unwrap_or_else(|| ClusterError::Program { program: program.to_owned(), source })
    }
}
