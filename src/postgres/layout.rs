//! The files of a cluster's folder, and whether the folder is ours.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::ClusterError;

/// The port in the name of the socket. The socket's folder makes it unique.
pub(super) const PORT: u16 = 5432;
/// The role that owns everything in the cluster.
pub(super) const SUPERUSER: &str = "postgres";
/// The cluster's folder and the prefix of one that is being made, below the data folder.
pub(super) const PGDATA: &str = "pgdata";
const UNFINISHED: &str = "pgdata.new-";
/// The server's settings, below the data folder.
pub(super) const SETTINGS: &str = "postgresql.conf";
/// The first words of the settings file. It marks the folder as ours, so this never changes.
const MARK: &str = "# The PostgreSQL cluster of codebase-mcp.";
/// What may be there before the settings file is.
const EARLY: [&str; 5] =
    ["in-use.lock", "start.lock", "start.log", "postgresql.conf.new", "lost+found"];
/// The longest path that the kernel takes for a Unix socket, in bytes.
const SOCKET_PATH_MAX: usize = 107;
/// How long the server's own log files are kept: one a weekday.
const LOG_KEPT: Duration = Duration::from_hours(6 * 24);
/// What is shown of a log: at most so many bytes and lines of its end.
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 12;

/// The paths below the data folder.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) data_dir: PathBuf,
}

impl Layout {
    /// The layout below `data_dir`. Fails if the socket's path would be too long.
    pub(super) fn new(data_dir: &Path) -> Result<Self, ClusterError> {
        let data_dir = std::path::absolute(data_dir)
            .map_err(|source| ClusterError::Folder { path: data_dir.to_owned(), source })?;
        let layout = Self { data_dir };
        let socket = layout.socket();
        let length = socket.as_os_str().as_bytes().len();
        if length > SOCKET_PATH_MAX {
            return Err(ClusterError::SocketPathTooLong { socket, length, max: SOCKET_PATH_MAX });
        }
        Ok(layout)
    }

    pub(super) fn pgdata(&self) -> PathBuf {
        self.data_dir.join(PGDATA)
    }

    /// The name, below the data folder, under which this process makes a cluster.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.data_dir.join(format!("{UNFINISHED}{}", std::process::id()))
    }

    pub(super) fn postmaster_pid(&self) -> PathBuf {
        self.pgdata().join("postmaster.pid")
    }

    pub(super) fn socket_dir(&self) -> PathBuf {
        self.data_dir.join("socket")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.socket_dir().join(format!(".s.PGSQL.{PORT}"))
    }

    pub(super) fn socket_lock(&self) -> PathBuf {
        self.socket_dir().join(format!(".s.PGSQL.{PORT}.lock"))
    }

    pub(super) fn log_dir(&self) -> PathBuf {
        self.data_dir.join("log")
    }

    pub(super) fn start_log(&self) -> PathBuf {
        self.data_dir.join("start.log")
    }

    pub(super) fn keeper_log(&self) -> PathBuf {
        self.data_dir.join("keeper.log")
    }

    pub(super) fn in_use_lock(&self) -> PathBuf {
        self.data_dir.join("in-use.lock")
    }

    pub(super) fn start_lock(&self) -> PathBuf {
        self.data_dir.join("start.lock")
    }

    pub(super) fn keeper_lock(&self) -> PathBuf {
        self.data_dir.join("keeper.lock")
    }

    /// Makes the data folder if it is absent; refuses one that holds something else than a cluster
    /// of ours, before anything is written to it.
    pub(super) fn claim(&self) -> Result<(), ClusterError> {
        if !self.exists(&self.data_dir)? {
            self.within(fs::create_dir_all(&self.data_dir))?;
            // The user whom root runs PostgreSQL as has to pass, whatever the mask is.
            if rustix::process::geteuid().is_root() {
                self.within(fs::set_permissions(&self.data_dir, Permissions::from_mode(0o755)))?;
            }
        }
        // Whoever makes a cluster here right now writes the settings before any other file. So the
        // files are listed first.
        let foreign = self.foreign_entry()?;
        let settings = self.data_dir.join(SETTINGS);
        if self.exists(&settings)? {
            let mut mark = String::new();
            let read = File::open(&settings).and_then(|f| BufReader::new(f).read_line(&mut mark));
            self.within(read)?;
            return if mark.trim_end() == MARK { Ok(()) } else { Err(self.foreign(settings)) };
        }
        foreign.map_or(Ok(()), |found| Err(self.foreign(found)))
    }

    /// A file that is not there before the settings file is.
    fn foreign_entry(&self) -> Result<Option<PathBuf>, ClusterError> {
        for entry in self.within(fs::read_dir(&self.data_dir))? {
            let entry = self.within(entry)?;
            if !EARLY.iter().any(|early| entry.file_name() == *early) {
                return Ok(Some(entry.path()));
            }
        }
        Ok(None)
    }

    /// Writes the server's settings, which also marks the folder as ours.
    pub(super) fn write_settings(&self) -> Result<(), ClusterError> {
        let settings = self.data_dir.join(SETTINGS);
        let new = self.data_dir.join("postgresql.conf.new");
        let written = (|| {
            let mut file = File::create(&new)?;
            writeln!(file, "{MARK}")?;
            file.write_all(include_bytes!("postgresql.conf"))?;
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.sync_all()?;
            fs::rename(&new, &settings)
        })();
        self.within(written)
    }

    /// Removes the folders of clusters that were never finished. Only for who holds `start.lock`.
    pub(super) fn remove_unfinished(&self) -> Result<(), ClusterError> {
        for entry in self.within(fs::read_dir(&self.data_dir))? {
            let entry = self.within(entry)?;
            if !entry.file_name().as_bytes().starts_with(UNFINISHED.as_bytes()) {
                continue;
            }
            let path = entry.path();
            match fs::remove_dir_all(&path) {
                Ok(()) => tracing::info!(path = %path.display(), "removed an unfinished cluster"),
                // Its `initdb` may still be at work, though the process that ran it was killed.
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished cluster");
                }
            }
        }
        Ok(())
    }

    /// Removes server logs of last week. The server empties a weekday's file itself, but only if it
    /// happens to run at midnight.
    pub(super) fn remove_old_logs(&self) -> Result<(), ClusterError> {
        for entry in self.within(fs::read_dir(self.log_dir()))? {
            let entry = self.within(entry)?;
            let changed = self.within(entry.metadata().and_then(|m| m.modified()))?;
            if changed.elapsed().is_ok_and(|age| age > LOG_KEPT) {
                self.within(fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }

    /// The end of what the last start printed, and of the server's log if it got that far.
    pub(super) fn log_tail(&self) -> String {
        let mut text = tail(&self.start_log());
        // The server says this when it turns from its output to its log file.
        if text.contains("Future log output will appear")
            && let Some(log) = self.newest_log()
        {
            text.push('\n');
            text.push_str(&tail(&log));
        }
        text
    }

    fn newest_log(&self) -> Option<PathBuf> {
        fs::read_dir(self.log_dir())
            .ok()?
            .flatten()
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                metadata.is_file().then_some((metadata.modified().ok()?, entry.path()))
            })
            .max()
            .map(|(_, path)| path)
    }

    fn exists(&self, path: &Path) -> Result<bool, ClusterError> {
        self.within(path.try_exists())
    }

    fn foreign(&self, found: PathBuf) -> ClusterError {
        ClusterError::ForeignFiles { data_dir: self.data_dir.clone(), found }
    }

    /// Adds the data folder to an error of the file system.
    pub(super) fn within<T>(&self, result: io::Result<T>) -> Result<T, ClusterError> {
        result.map_err(|source| ClusterError::Folder { path: self.data_dir.clone(), source })
    }
}

/// The owner of a folder; `None` if there is none.
pub(super) fn owner(path: &Path) -> io::Result<Option<(u32, u32)>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.uid(), metadata.gid()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last lines of a log file. A log that cannot be read is no second error.
pub(super) fn tail(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let lines: Vec<&str> = text.trim_end().lines().collect();
            let skipped = lines.len().saturating_sub(TAIL_LINES);
            lines.into_iter().skip(skipped).collect::<Vec<_>>().join("\n")
        }
        Err(error) => format!("({} cannot be read: {error})", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_only_a_folder_that_is_empty_or_ours() {
        let ours = format!("{MARK}\nport = 1\n");
        let cases = [
            (vec![], None),
            (vec![("lost+found", ""), ("in-use.lock", "1\n")], None),
            (vec![("postgresql.conf", &ours), ("pgdata", ""), ("notes", "")], None),
            (vec![("PG_VERSION", "18\n")], Some("PG_VERSION")),
            (
                vec![("PG_VERSION", "18\n"), ("postgresql.conf", "port = 1\n")],
                Some("postgresql.conf"),
            ),
            (vec![("postgresql.conf", "")], Some("postgresql.conf")),
            (vec![("pgdata", "")], Some("pgdata")),
            (vec![("start.lock", ""), ("thesis.txt", "")], Some("thesis.txt")),
        ];
        for (files, refused) in cases {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in &files {
                fs::write(dir.path().join(name), text).unwrap();
            }
            let claimed = Layout::new(dir.path()).unwrap().claim();
            match (claimed, refused) {
                (Ok(()), None) => {}
                (Err(ClusterError::ForeignFiles { found, .. }), Some(name)) => {
                    assert_eq!(found, dir.path().join(name));
                }
                (claimed, _) => panic!("{files:?}: {claimed:?}"),
            }
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), files.len(), "{files:?}");
        }
    }

    #[test]
    fn knows_its_own_settings_again() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).unwrap();
        layout.claim().unwrap();
        layout.write_settings().unwrap();
        fs::create_dir(layout.pgdata()).unwrap();
        layout.claim().unwrap();
    }

    #[test]
    fn refuses_a_socket_path_that_the_kernel_does() {
        let tail = format!("/socket/.s.PGSQL.{PORT}").len();
        let fits = format!("/{}", "d".repeat(SOCKET_PATH_MAX - tail - 1));
        assert!(Layout::new(Path::new(&fits)).is_ok());

        let error = Layout::new(Path::new(&format!("{fits}d"))).unwrap_err().to_string();
        assert!(error.contains("is 108 bytes long and the system takes at most 107;"), "{error}");
        assert!(error.contains("set `database.data_dir`"), "{error}");
    }

    #[test]
    fn shows_the_last_lines_of_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let lines: Vec<String> = (0..5000).map(|n| format!("line {n}")).collect();
        fs::write(&path, lines.join("\n")).unwrap();
        let tail = tail(&path);
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.ends_with("line 4998\nline 4999"), "{tail}");
    }
}
