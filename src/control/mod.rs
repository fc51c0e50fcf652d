//! The control socket: a running server says how its pools are, to commands of the same user.
//!
//! Each server has a Unix socket in a folder that only its user may enter. A connection carries one request,
//! a line of text, and one answer, a line of JSON. The only request is `status`.
//!
//! # What must stay true
//!
//! - A server is never held up: an answer is made of what is in memory, and connections are few, short and
//!   apart from the server's own work.
//! - A socket with its final name accepts connections for as long as its server lives. So one that refuses
//!   them was left behind by a process that was killed, and whoever finds it removes it.

mod answer;
mod ask;
mod folder;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use answer::{Listener, OpenError};
pub use ask::{Answer, AskError, ask};
pub use folder::{Folder, PathTooLong};

use crate::pool::Statistics;

/// The request for a [`Status`].
const STATUS: &str = "status";

/// What a server says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// The version of this program that it runs.
    pub version: String,
    /// Since when it serves.
    pub started_at: DateTime<Utc>,
    /// Who it serves, once they have said so.
    pub client: Option<Client>,
    /// How far it is.
    pub state: State,
    /// Why it is not ready, as clients may know it.
    pub error: Option<String>,
    /// Its pools, none before it is ready.
    pub pools: Vec<Statistics>,
}

/// What a client calls itself; nothing proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// How far a server is on the way to its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The first attempt is under way.
    Starting,
    /// The last attempt failed; the next one follows by itself.
    Failed,
    /// Everything is there.
    Ready,
}

#[cfg(test)]
mod tests;
