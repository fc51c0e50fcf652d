//! What can be set about a pool.

use std::time::Duration;

/// Sizes and time limits of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Connections kept open when nobody needs them. 1 to 500, at most `max_size`.
    pub min_size: u32,
    /// The most connections at any time, counting those being opened and closed. 1 to 500.
    pub max_size: u32,
    /// How many acquires may wait at once; one more fails immediately. 1 to 60 000.
    pub max_waiting: u32,
    /// The limit of one acquire: waiting and checking together. 1 ms to 300 s.
    pub acquire_timeout: Duration,
    /// The limit of opening one connection. 10 ms to 300 s.
    pub connect_timeout: Duration,
    /// The limit of one statement, kept by the server (`statement_timeout`). 1 ms to 24 h.
    pub command_timeout: Duration,
    /// How long a shutdown waits for leases to come back. 0 s to 300 s.
    pub shutdown_timeout: Duration,
    /// The limit of closing one connection politely, after which its socket is dropped. 1 ms to 60 s.
    pub cleanup_timeout: Duration,
    /// How many connections may be in the making at once. 1 to 32.
    pub max_parallel_connects: u32,
    /// How connections are checked before they are handed out.
    pub validation: Validation,
}

/// How a connection is checked before it is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// The limit of one check. 1 ms to 30 s.
    pub timeout: Duration,
    /// A connection that was in use this recently is handed out unchecked. 0 s checks always; at most 60 s.
    pub bypass_window: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_size: 2,
            max_size: 10,
            max_waiting: 10_000,
            acquire_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_mins(1),
            shutdown_timeout: Duration::from_secs(30),
            cleanup_timeout: Duration::from_secs(2),
            max_parallel_connects: 2,
            validation: Validation::default(),
        }
    }
}

impl Default for Validation {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(1), bypass_window: Duration::from_millis(500) }
    }
}
