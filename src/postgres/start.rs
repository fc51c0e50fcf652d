//! Making the cluster and starting its server, by whoever holds `start.lock`.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::account::{self, Account};
use super::command::Programs;
use super::config::Config;
use super::error::ClusterError;
use super::install::Installation;
use super::layout::{self, Layout, PGDATA, SETTINGS, SUPERUSER};
use super::postmaster::{self, Postmaster};
use super::wait::{self, Deadline};

/// How long to wait before another try while children of a killed server are still ending.
const RETRY: Duration = Duration::from_millis(100);
/// How much longer than its own limit `pg_ctl` may take to say that it gives up.
const REPORT: Duration = Duration::from_secs(2);

/// Returns when the server takes connections.
pub(super) fn bring_up(
    config: &Config,
    layout: &Layout,
    deadline: Deadline,
) -> Result<(), ClusterError> {
    if settle(layout, deadline)? {
        return Ok(());
    }
    let installation = Installation::find(config)?;
    let account = account::choose(config.run_as.as_deref(), layout)?;
    layout.within(File::create(layout.start_log()))?;
    layout.write_settings()?;
    layout.remove_unfinished()?;
    let account = account.as_ref();
    for folder in [layout.socket_dir(), layout.log_dir()] {
        layout.within(private_folder(&folder, account))?;
    }
    layout.remove_old_logs()?;

    let programs = Programs { layout, installation: &installation, account };
    match layout.within(layout::owner(&layout.pgdata()))? {
        None => init(&programs, deadline)?,
        Some(_) => check_version(&programs)?,
    }
    postmaster::disarm(layout)?;
    start(&programs, deadline)
}

/// Waits while the server is starting or stopping; true if it then takes connections.
fn settle(layout: &Layout, deadline: Deadline) -> Result<bool, ClusterError> {
    loop {
        let state = Postmaster::look(layout)?;
        match state {
            Postmaster::Ready { .. } => return Ok(true),
            Postmaster::Down => return Ok(false),
            Postmaster::Busy { .. } if !deadline.pause() => {
                return Err(timed_out(layout, &state, deadline));
            }
            Postmaster::Busy { .. } => {}
        }
    }
}

/// Makes a folder that only the server's user may enter, or gives an existing one to it.
fn private_folder(path: &Path, account: Option<&Account>) -> io::Result<()> {
    let owner = match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => layout::owner(path)?,
        created => created.map(|()| None)?,
    };
    match account {
        Some(user) if owner != Some((user.uid, user.gid)) => {
            std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid))
        }
        Some(_) | None => Ok(()),
    }
}

/// Makes the cluster under another name, so that `pgdata` is there whole or not at all.
fn init(programs: &Programs<'_>, deadline: Deadline) -> Result<(), ClusterError> {
    let layout = programs.layout;
    let began = Instant::now();
    let unfinished = layout.unfinished();
    layout.within(private_folder(&unfinished, programs.account))?;
    let made = run_init(programs, &unfinished, deadline).and_then(|()| {
        layout.within(fs::rename(&unfinished, layout.pgdata()))?;
        layout.within(File::open(&layout.data_dir).and_then(|folder| folder.sync_all()))
    });
    match made {
        Ok(()) => {
            let (path, version) = (layout.pgdata(), &programs.installation.version);
            let took_ms = began.elapsed().as_millis();
            tracing::info!(path = %path.display(), %version, took_ms, "made the database cluster");
            Ok(())
        }
        Err(error) => {
            // What cannot be removed now is removed by the next start.
            if let Err(error) = fs::remove_dir_all(&unfinished) {
                tracing::debug!(%error, "cannot remove the unfinished cluster");
            }
            Err(error)
        }
    }
}

fn run_init(
    programs: &Programs<'_>,
    folder: &Path,
    deadline: Deadline,
) -> Result<(), ClusterError> {
    let layout = programs.layout;
    let name = folder.file_name().unwrap_or(folder.as_os_str());
    let user = format!("--username={SUPERUSER}");
    let args = [
        "--pgdata".as_ref(),
        name,
        user.as_ref(),
        // The socket's folder is the guard.
        "--auth=trust".as_ref(),
        "--encoding=UTF8".as_ref(),
        "--locale=C.UTF-8".as_ref(),
        "--data-checksums".as_ref(),
        "--no-instructions".as_ref(),
        // One sync of the file system below takes a tenth of what a sync of each file does.
        "--no-sync".as_ref(),
    ];
    match programs.run("initdb", &args, deadline)? {
        Some(status) if status.success() => layout.within(
            File::open(folder).and_then(|folder| rustix::fs::syncfs(folder).map_err(Into::into)),
        ),
        Some(_) => Err(ClusterError::Init {
            pgdata: layout.pgdata(),
            log: layout::tail(&layout.start_log()),
        }),
        None => Err(ClusterError::StartTimeout {
            pgdata: layout.pgdata(),
            waited: deadline.limit,
            doing: "being made".to_owned(),
            log: layout::tail(&layout.start_log()),
        }),
    }
}

/// Refuses a folder that is no cluster, and a cluster of another major version.
fn check_version(programs: &Programs<'_>) -> Result<(), ClusterError> {
    let (layout, installation) = (programs.layout, programs.installation);
    let pgdata = layout.pgdata();
    let made_by = match fs::read_to_string(pgdata.join("PG_VERSION")) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let data_dir = layout.data_dir.clone();
            return Err(ClusterError::ForeignFiles { data_dir, found: pgdata });
        }
        Err(source) => return Err(ClusterError::Folder { path: pgdata, source }),
    };
    if made_by == installation.version.major.to_string() {
        return Ok(());
    }
    Err(ClusterError::WrongVersion {
        data_dir: layout.data_dir.clone(),
        made_by,
        install_dir: installation.dir.clone(),
        installed: installation.version.major,
    })
}

/// Starts the server and waits until it takes connections.
fn start(programs: &Programs<'_>, deadline: Deadline) -> Result<(), ClusterError> {
    let layout = programs.layout;
    let began = Instant::now();
    loop {
        let seconds = deadline.remaining().as_secs().max(1).to_string();
        let settings = format!("-c config_file={SETTINGS}");
        let args = ["start", "--wait", "--timeout", &seconds, "-D", PGDATA, "-o", &settings];
        let patience = Deadline::after(deadline.remaining() + REPORT);
        programs.run("pg_ctl", &args, patience)?;
        let state = Postmaster::look(layout)?;
        match state {
            Postmaster::Ready { pid } => {
                let took_ms = began.elapsed().as_millis();
                tracing::info!(%pid, took_ms, "started PostgreSQL");
                return Ok(());
            }
            Postmaster::Busy { .. } => return Err(timed_out(layout, &state, deadline)),
            Postmaster::Down => {
                let log = layout.log_tail();
                let orphans = log.contains("pre-existing shared memory block");
                if !orphans || deadline.remaining().is_zero() {
                    return Err(ClusterError::Start { pgdata: layout.pgdata(), log });
                }
                wait::sleep(RETRY);
                // What this try said must not be read as said by the next one.
                layout.within(File::create(layout.start_log()))?;
            }
        }
    }
}

fn timed_out(layout: &Layout, state: &Postmaster, deadline: Deadline) -> ClusterError {
    ClusterError::StartTimeout {
        pgdata: layout.pgdata(),
        waited: deadline.limit,
        doing: state.to_string(),
        log: layout.log_tail(),
    }
}
