//! A real PostgreSQL with pgvector that can be stopped, frozen, killed and started again.
//!
//! # Providers
//!
//! - `url`: a server that somebody else runs. What needs control of its process is refused. The databases that
//!   codebase-mcp makes there are one run's at a time, who has claimed them.
//! - `container`: a container of an image with pgvector. Its address changes at each start.
//! - `process`: a child process with a cluster in a fresh folder.
//!
//! # Invariants
//!
//! - Whatever is made here is in the journal before it is made, and struck out after it is gone. So
//!   [`undo`] leaves nothing behind, whenever the runner was killed.
//! - An entry names no process: a container is found by its label, a process by the folder that it
//!   works in and its mark, which tells it from a shell that looks at the folder. Both hold of children that have lost their parent, of what is frozen, and of what an engine is
//!   still making for a runner that is gone.
//! - [`Postgres`] knows in which of three states its server is; a step that changes nothing is no
//!   error, and one that makes no sense is.

mod choose;
mod cluster;
mod container;
mod databases;
mod error;
mod place;
mod postgres;
mod processes;
mod random;
mod remains;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use codebase_mcp::postgres::Config;
use serde::{Deserialize, Serialize};

pub use choose::{Availability, probe, read_url};
pub use container::sweep;
pub use databases::{Databases, REGISTRY, RUNNER};
pub use error::StackError;
pub use place::Place;
pub use postgres::Postgres;
pub use remains::undo;

/// The image of the official PostgreSQL with pgvector, which `ci/images` makes available.
pub const IMAGE: &str = "pgvector/pgvector:pg17";

/// Settings by which the runner reaches and recognises its server.
const OURS: [&str; 10] = [
    "cluster_name",
    "config_file",
    "data_directory",
    "dynamic_shared_memory_type",
    "hba_file",
    "listen_addresses",
    "logging_collector",
    "port",
    "unix_socket_directories",
    "log_destination",
];

/// Who runs the PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Somebody else; it is given by its URL.
    Url,
    /// A container engine.
    Container,
    /// The runner, as its child.
    Process,
}

/// Which provider to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// `url` if one is given, else `container` if there is an engine with the image, else `process`.
    #[default]
    Auto,
    /// This one or none.
    Only(Provider),
}

/// What PostgreSQL is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Settings of the server, such as `max_connections`. A server given by its URL must have them.
    pub settings: BTreeMap<String, String>,
    /// The server of the provider `url`, with a superuser's name and password.
    pub url: Option<String>,
    /// The image of the provider `container`, with its tag.
    pub image: String,
    /// Where the provider `process` looks for PostgreSQL, and whom root runs it as. Its data folder is
    /// not used.
    pub installation: Config,
}

/// What can be done to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// End it as an administrator does: sessions are ended, everything is written.
    Stop,
    /// End it as a crash does: the next start recovers.
    Kill,
    /// Start it again.
    Start,
    /// Let it do nothing at all, while the system goes on to take its connections.
    Freeze,
    /// End that.
    Thaw,
}

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It takes connections.
    Running,
    /// It exists and does nothing.
    Frozen,
    /// It does not run. Its data are there.
    Down,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Url, Self::Container, Self::Process];

    /// Its name, as people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Container => "container",
            Self::Process => "process",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Start => "start",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Down => "down",
        })
    }
}

impl Wanted {
    /// A PostgreSQL with the default settings; one that `ci/setup` installed is below `data_folder`.
    pub fn new(data_folder: &Path) -> Self {
        Self {
            settings: BTreeMap::new(),
            url: None,
            image: IMAGE.to_owned(),
            installation: Config::new(data_folder.join("postgresql"), data_folder.join("cluster")),
        }
    }

    /// Refuses settings that the runner needs for itself.
    fn check(&self) -> Result<(), StackError> {
        match self.settings.keys().find(|name| OURS.contains(&name.to_lowercase().as_str())) {
            Some(name) => Err(StackError::OurSetting { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// The settings as arguments of the server: ours, which make it fast where that costs no
    /// guarantee that a killed process could need, and then the wanted ones, which win.
    fn arguments(&self) -> Vec<String> {
        // Without syncs the data of a killed server are safe with the kernel.
        let ours = [("fsync", "off"), ("log_line_prefix", "%m [%p] %q%a ")];
        let wanted = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        ours.into_iter()
            .chain(wanted)
            .flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
            .collect()
    }
}

/// What a step does to a server in `state`: the steps to take, none if it is so already.
fn steps(state: State, action: Action) -> Result<&'static [Action], StackError> {
    use Action::{Freeze, Kill, Start, Stop, Thaw};
    match (state, action) {
        (State::Running, Start | Thaw) | (State::Frozen, Freeze) | (State::Down, Stop | Kill) => {
            Ok(&[])
        }
        (State::Running | State::Frozen, Kill) => Ok(&[Kill]),
        (State::Running, Stop) => Ok(&[Stop]),
        (State::Running, Freeze) => Ok(&[Freeze]),
        (State::Frozen, Thaw) => Ok(&[Thaw]),
        // A frozen server hears of nothing.
        (State::Frozen, Stop) => Ok(&[Thaw, Stop]),
        (State::Down, Start) => Ok(&[Start]),
        (State::Frozen, Start) | (State::Down, Freeze | Thaw) => {
            Err(StackError::State { action, state })
        }
    }
}

#[cfg(test)]
mod tests;
