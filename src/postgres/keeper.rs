//! The keeper: a process that stops the cluster when nobody uses it any more.
//!
//! It is a process of its own because the last user of the cluster may be gone from one moment to
//! the next. If it is killed itself, the cluster goes on, and whoever attaches next starts another.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::config::Config;
use super::error::ClusterError;
use super::layout::{self, Layout};
use super::lock::{Lock, Mode};
use super::postmaster::{self, Postmaster};
use super::wait::{self, Deadline};

/// How often the keeper looks whether the cluster is in use.
const TICK: Duration = Duration::from_secs(1);
/// How long a new keeper tries to get its lock. Those who look whether a keeper runs hold the lock
/// for an instant.
const CLAIM: Duration = Duration::from_millis(200);

/// How to start a keeper: a program that calls [`keep`] with the same data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeper {
    /// The absolute path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// Watches over a running cluster for one keeper.
struct Watch {
    layout: Layout,
    stop_after: Duration,
    /// When the cluster was first seen without users, and when the last one had come by then.
    idle: Option<(Instant, SystemTime)>,
}

/// The body of the keeper: returns once it has stopped the cluster of `config.data_dir`, because
/// nobody had used it for `config.stop_after`; or at once if there is a keeper; or when the server
/// has ended by itself. Blocks, and leaves the session of the process that started it.
pub fn keep(config: &Config) -> Result<(), ClusterError> {
    // The terminal or the client that the server belongs to must not end the keeper. A leader of a
    // process group, started by hand, is refused, and needs it least.
    if let Err(error) = rustix::process::setsid() {
        tracing::debug!(%error, "cannot leave the session");
    }
    let layout = Layout::new(&config.data_dir)?;
    let Some(keeping) = claim(&layout)? else {
        return Ok(());
    };
    let mut watch = Watch { layout, stop_after: config.stop_after, idle: None };
    loop {
        wait::sleep(TICK);
        if let Some(last_lock) = watch.tick()? {
            // Free for another keeper before anyone can start the server again.
            drop(keeping);
            drop(last_lock);
            return Ok(());
        }
    }
}

/// Starts a keeper unless there is one, and waits until it keeps.
pub(super) fn ensure(
    layout: &Layout,
    keeper: &Keeper,
    deadline: Deadline,
) -> Result<(), ClusterError> {
    if is_running(layout)? {
        return Ok(());
    }
    let _starting = Lock::wait(&layout.start_lock(), Mode::Exclusive, deadline)?;
    if is_running(layout)? { Ok(()) } else { spawn(layout, keeper, deadline) }
}

fn spawn(layout: &Layout, keeper: &Keeper, deadline: Deadline) -> Result<(), ClusterError> {
    let program = keeper.program.clone();
    let failed = |source| ClusterError::KeeperProgram { program: program.clone(), source };
    let log = layout.within(File::create(layout.keeper_log()))?;
    // As a child of the runtime it is reaped when it ends before this process does.
    let mut child = tokio::process::Command::new(&program)
        .args(&keeper.args)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    loop {
        // In this order, as one that ends at once may have met another keeper.
        let ended = child.try_wait().map_err(failed)?.is_some();
        if is_running(layout)? {
            return Ok(());
        }
        if ended || !deadline.pause() {
            return Err(ClusterError::Keeper { program, log: layout::tail(&layout.keeper_log()) });
        }
    }
}

fn is_running(layout: &Layout) -> Result<bool, ClusterError> {
    Ok(Lock::try_take(&layout.keeper_lock(), Mode::Shared)?.is_none())
}

/// Takes the keeper's lock; `None` if another keeper has it.
fn claim(layout: &Layout) -> Result<Option<Lock>, ClusterError> {
    let deadline = Deadline::after(CLAIM);
    loop {
        if let Some(lock) = Lock::try_take(&layout.keeper_lock(), Mode::Exclusive)? {
            lock.sign();
            return Ok(Some(lock));
        }
        if !deadline.pause() {
            return Ok(None);
        }
    }
}

impl Watch {
    /// Looks once. When the keeper is done, returns the lock that keeps others from starting the
    /// server until the keeper's own lock is free.
    fn tick(&mut self) -> Result<Option<Lock>, ClusterError> {
        if Postmaster::look(&self.layout)? == Postmaster::Down {
            let starting = Lock::try_take(&self.layout.start_lock(), Mode::Exclusive)?;
            let down = Postmaster::look(&self.layout)? == Postmaster::Down;
            return Ok(starting.filter(|_| down));
        }
        let Some(alone) = Lock::try_take(&self.layout.in_use_lock(), Mode::Exclusive)? else {
            self.idle = None;
            return Ok(None);
        };
        if self.idle_for()? < self.stop_after {
            return Ok(None);
        }
        alone.sign();
        tracing::info!(path = %self.layout.data_dir.display(), "stopping the unused PostgreSQL");
        postmaster::stop(&self.layout)?;
        Ok(Some(alone))
    }

    /// How long nobody has used the cluster. Users sign `in-use.lock`, so its time tells of those
    /// who came and went between two looks.
    fn idle_for(&mut self) -> Result<Duration, ClusterError> {
        let used = fs::metadata(self.layout.in_use_lock()).and_then(|file| file.modified());
        let used = self.layout.within(used)?;
        let since = match self.idle {
            Some((since, before)) if before == used => since,
            Some(_) | None => Instant::now(),
        };
        self.idle = Some((since, used));
        Ok(since.elapsed())
    }
}
