//! Why a PostgreSQL of the scenarios cannot be had, or does not do what a fault asks of it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use codebase_mcp::postgres::{ClusterError, InstallError};

use super::{Action, Provider, State};

/// An error of the stack. Its text says what to do; the cause is its source.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// This provider cannot do it.
    #[error("cannot {action} the PostgreSQL of the provider `{provider}`: {reason}")]
    Unsupported {
        /// The provider.
        provider: Provider,
        /// What was asked for.
        action: Action,
        /// Why not.
        reason: &'static str,
    },

    /// The server is in a state in which this makes no sense.
    #[error("cannot {action} a PostgreSQL that is {state}; let the fault before it end first")]
    State {
        /// What was asked for.
        action: Action,
        /// The state.
        state: State,
    },

    /// The provider `url` was asked for without a URL.
    #[error(
        "the provider `url` needs the URL of a PostgreSQL; give one, or choose another provider"
    )]
    NoUrl,

    /// The URL is none of a server that the runner can work with. The text holds no password.
    #[error("the URL of the PostgreSQL is unusable: {reason}")]
    Url {
        /// What is wrong with it.
        reason: String,
    },

    /// A server that is not ours takes no connection.
    #[error(
        "no connection to the PostgreSQL of the URL at {address}; start it, correct host, port, user, \
         password or database of the URL, or choose another provider"
    )]
    Unreachable {
        /// Host and port, as the URL has them.
        address: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A server that is not ours has another setting than the scenario wants.
    #[error(
        "the PostgreSQL at {address} has {name} = {found} and the scenario wants {wanted}; set it \
         there, or choose another provider"
    )]
    Setting {
        /// Where the server is.
        address: String,
        /// The setting.
        name: String,
        /// Its value there.
        found: String,
        /// The wanted one.
        wanted: String,
    },

    /// A setting is not the scenario's to choose.
    #[error(
        "the runner chooses the setting {name} of PostgreSQL itself; remove it from the scenario"
    )]
    OurSetting {
        /// The setting.
        name: String,
    },

    /// A server that is not ours has databases of codebase-mcp, which are somebody's.
    #[error(
        "the PostgreSQL at {address} has a database {database} of codebase-mcp already, into which a \
         scenario would write; give one that has none, or if a run has left it, let `scenarios recover` drop it"
    )]
    IndexThere {
        /// Where the server is.
        address: String,
        /// The first of them.
        database: String,
    },

    /// Another run has the databases of codebase-mcp on a server that is not ours.
    #[error(
        "another run uses the databases of codebase-mcp on the PostgreSQL at {address}; wait until it has \
         ended, or give another server"
    )]
    Claimed {
        /// Where the server is.
        address: String,
    },

    /// The databases that a run has made on a server that is not ours are left there.
    #[error("the databases of codebase-mcp on the PostgreSQL at {address} were not dropped")]
    Undropped {
        /// Where the server is.
        address: String,
        /// What happened.
        #[source]
        source: Box<sqlx::Error>,
    },

    /// It took too long until the server took a connection.
    #[error(
        "the PostgreSQL at {address} took no connection within {waited:?}; the last lines of its \
         log:\n{log}"
    )]
    NotReady {
        /// Where it should be.
        address: String,
        /// How long it was waited for.
        waited: Duration,
        /// The end of its log.
        log: String,
        /// The last refusal.
        #[source]
        source: Option<Box<sqlx::Error>>,
    },

    /// The server ended instead of taking connections.
    #[error("PostgreSQL ended while it started; check the scenario's settings; it said:\n{log}")]
    Ended {
        /// The end of its log.
        log: String,
    },

    /// The server refused a question of the runner.
    #[error("the PostgreSQL at {address} did not answer {question:?}")]
    Query {
        /// Where the server is.
        address: String,
        /// What was asked.
        question: &'static str,
        /// What happened.
        #[source]
        source: Box<sqlx::Error>,
    },

    /// No container engine answers.
    #[error("no container engine answers; start one, or choose the provider `process`")]
    NoEngine {
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The engine has no such image.
    #[error(
        "the container engine has no image {image}; run `ci/images`, or choose the provider `process`"
    )]
    NoImage {
        /// The image.
        image: String,
    },

    /// The engine did not do it.
    #[error("the container engine could not {doing} the container {container}")]
    Engine {
        /// What was to be done.
        doing: &'static str,
        /// The container's name, or the label of several.
        container: String,
        /// What the engine says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// There is no PostgreSQL to run.
    #[error(transparent)]
    Install(#[from] InstallError),

    /// There is nobody to run PostgreSQL as.
    #[error(transparent)]
    Account(#[from] Box<ClusterError>),

    /// The user whom root runs PostgreSQL as cannot enter a folder.
    #[error(
        "PostgreSQL runs as user {user}, who may not enter {folder}; open it with `chmod a+x`, or \
         set TMPDIR to another folder",
        folder = folder.display()
    )]
    Closed {
        /// The user's name.
        user: String,
        /// The folder.
        folder: PathBuf,
    },

    /// A file or folder cannot be read, written or removed.
    #[error("cannot work with {path}; make sure that it is writable and its disk is not full", path = path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },

    /// A journal names a folder that no runner makes.
    #[error("{path} is no folder that a scenario makes, so it is not removed; remove the journal that names it", path = path.display())]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
    },

    /// A program cannot be run at all.
    #[error("cannot run {program}; install PostgreSQL again with `ci/setup`", program = program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },

    /// `initdb` failed or took too long.
    #[error("`initdb` made no database within {waited:?}; it said:\n{log}")]
    Init {
        /// How long it may take.
        waited: Duration,
        /// The end of what it printed.
        log: String,
    },

    /// No TCP port is free.
    #[error("found no free TCP port on 127.0.0.1 in {tries} tries; end programs that listen there")]
    NoPort {
        /// How many were tried.
        tries: u32,
    },

    /// A process cannot be signalled.
    #[error("cannot send a signal to process {pid}")]
    Signal {
        /// The process.
        pid: u32,
        /// What the system says.
        #[source]
        source: io::Error,
    },

    /// Processes do not end or stop though they cannot refuse to.
    #[error(
        "{left} processes that work in {folder} did not heed a signal within {waited:?}; their disk may \
         hang",
        folder = folder.display()
    )]
    Unheeded {
        /// Where they work.
        folder: PathBuf,
        /// How many.
        left: usize,
        /// How long they were waited for.
        waited: Duration,
    },

    /// A server does not stop when it is asked to.
    #[error("PostgreSQL did not stop within {waited:?}")]
    Stop {
        /// How long it was waited for.
        waited: Duration,
    },

    /// The journal cannot be written; without it nothing is begun.
    #[error("cannot write the journal of what must be undone; make sure that its disk is not full")]
    Journal {
        /// What the system says.
        #[source]
        source: io::Error,
    },

    /// The runtime is shutting down.
    #[error("the work on PostgreSQL was interrupted")]
    Interrupted {
        /// How its thread ended.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl StackError {
    /// The text with those of its causes, in one line unless it has a log in it.
    pub fn whole(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |cause| cause.source());
        causes.fold(self.to_string(), |text, cause| {
            let cause = cause.to_string();
            // Some say their cause themselves.
            if text.contains(&cause) { text } else { format!("{text}: {cause}") }
        })
    }

    /// Whether something that is needed is not there, so that nothing can be said about what needs it.
    pub fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::Unsupported { .. }
                | Self::NoUrl
                | Self::Unreachable { .. }
                | Self::Setting { .. }
                | Self::IndexThere { .. }
                | Self::Claimed { .. }
                | Self::NoEngine { .. }
                | Self::NoImage { .. }
                | Self::Install(_)
                | Self::Account(_)
                | Self::Closed { .. }
        )
    }
}
