//! Why the embedded cluster cannot be used.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::install::InstallError;

/// An error of the embedded cluster. Its text says what to do; the cause is its source.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no PostgreSQL to run.
    #[error(transparent)]
    Install(#[from] InstallError),

    /// The kernel limits the path of a Unix socket.
    #[error(
        "the database's socket path {socket} is {length} bytes long and the system takes at most \
         {max}; set `database.data_dir` to a folder with a shorter path",
        socket = socket.display()
    )]
    SocketPathTooLong {
        /// The whole path.
        socket: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The most the kernel takes, in bytes.
        max: usize,
    },

    /// A file or folder of the cluster cannot be read or written.
    #[error(
        "cannot work with the database's folder {path}; make sure that it is writable and its disk \
         is not full, or set `database.data_dir` to another folder",
        path = path.display()
    )]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },

    /// The data folder holds files of someone else, and is left alone.
    #[error(
        "the folder {data_dir} is not a database of codebase-mcp: it holds {found}; set \
         `database.data_dir` to an empty folder",
        data_dir = data_dir.display(),
        found = found.display()
    )]
    ForeignFiles {
        /// The data folder.
        data_dir: PathBuf,
        /// The file that is not ours.
        found: PathBuf,
    },

    /// PostgreSQL cannot run as the owner of the cluster.
    #[error(
        "the database in {pgdata} belongs to user id {owner}, as whom user id {us} cannot run \
         PostgreSQL; give it to another user with `chown -R`, or set `database.data_dir` to \
         another folder",
        pgdata = pgdata.display()
    )]
    ForeignOwner {
        /// The cluster.
        pgdata: PathBuf,
        /// The id of its owner.
        owner: u32,
        /// The id of this process's user.
        us: u32,
    },

    /// PostgreSQL refuses to run as root, and there is nobody else.
    #[error(
        "PostgreSQL cannot run as root, and /etc/passwd has no user {tried}; set \
         `database.run_as` to a user that it has"
    )]
    NoAccount {
        /// The names that were looked up.
        tried: String,
    },

    /// The user whom root runs PostgreSQL as cannot enter a folder.
    #[error(
        "PostgreSQL cannot run as root and runs as user {user}, who may not enter {folder} on the \
         way to {path}; set `{setting}` to a folder elsewhere, or open this one with `chmod a+x`",
        folder = folder.display(),
        path = path.display()
    )]
    Closed {
        /// The user's name.
        user: String,
        /// The folder that is closed to it.
        folder: PathBuf,
        /// Where it has to go.
        path: PathBuf,
        /// The setting that says so.
        setting: &'static str,
    },

    /// The cluster was made by another major version of PostgreSQL.
    #[error(
        "the database in {data_dir} was made by PostgreSQL {made_by}, and {install_dir} is \
         PostgreSQL {installed}; set `database.install_dir` to a PostgreSQL {made_by}, or move \
         {data_dir} away and index again",
        data_dir = data_dir.display(),
        install_dir = install_dir.display()
    )]
    WrongVersion {
        /// The data folder.
        data_dir: PathBuf,
        /// The major version that its `PG_VERSION` names.
        made_by: String,
        /// The installation that was found.
        install_dir: PathBuf,
        /// Its major version.
        installed: u32,
    },

    /// A program cannot be run at all.
    #[error(
        "cannot run {program}; install PostgreSQL again with `ci/setup`",
        program = program.display()
    )]
    Program {
        /// The program.
        program: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },

    /// `initdb` failed.
    #[error("cannot make the database in {pgdata}; `initdb` said:\n{log}", pgdata = pgdata.display())]
    Init {
        /// The cluster that was to be made.
        pgdata: PathBuf,
        /// The last lines it printed.
        log: String,
    },

    /// PostgreSQL gave up starting.
    #[error("PostgreSQL did not start in {pgdata}; it said:\n{log}", pgdata = pgdata.display())]
    Start {
        /// The cluster.
        pgdata: PathBuf,
        /// The last lines of its log.
        log: String,
    },

    /// A step took too long; PostgreSQL may still come up.
    #[error(
        "the database in {pgdata} was not ready after {waited:?}: it is {doing}; try again, or set \
         `database.start_timeout` higher; the last lines of its log:\n{log}",
        pgdata = pgdata.display()
    )]
    StartTimeout {
        /// The cluster.
        pgdata: PathBuf,
        /// The start timeout.
        waited: Duration,
        /// The state that was seen last.
        doing: String,
        /// The last lines of its log.
        log: String,
    },

    /// Another process holds a lock for too long.
    #[error(
        "waited {waited:?} for {}, which is starting or stopping the database (it holds {lock}); \
         try again, or end that process if it hangs",
        holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")),
        lock = lock.display()
    )]
    LockTimeout {
        /// The lock's file.
        lock: PathBuf,
        /// The process that took it last.
        holder: Option<u32>,
        /// The start timeout.
        waited: Duration,
    },

    /// PostgreSQL ignores the request to stop.
    #[error("PostgreSQL (process {pid}) did not stop within {waited:?}; end it by hand")]
    Stop {
        /// The server's process.
        pid: i32,
        /// How long it was waited for.
        waited: Duration,
    },

    /// The keeper's program cannot be run at all.
    #[error(
        "cannot run the keeper of the database, {program}; install codebase-mcp again",
        program = program.display()
    )]
    KeeperProgram {
        /// The keeper's program.
        program: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },

    /// The keeper ended instead of keeping the cluster.
    #[error(
        "the keeper of the database ({program}) ended at once; it said:\n{log}",
        program = program.display()
    )]
    Keeper {
        /// The keeper's program.
        program: PathBuf,
        /// The last lines it printed.
        log: String,
    },

    /// The runtime is shutting down.
    #[error("attaching to the database was interrupted")]
    Interrupted {
        /// How its thread ended.
        #[source]
        source: tokio::task::JoinError,
    },
}
