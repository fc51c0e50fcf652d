//! The load of a scenario: which requests, how many, when.

use std::time::Duration;

use crate::record::Phase;

/// One stream of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Its name in the scenario.
    pub id: String,
    /// What each request is.
    pub op: Op,
    /// When the requests are made.
    pub model: Model,
    /// When a caller gives up on a request, counted from when it is sent.
    pub timeout: Duration,
    /// The phases in which requests are made.
    pub during: Vec<Phase>,
}

/// When requests are made.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// At a rate, whatever the answers do, as many independent users would.
    Open {
        /// Requests a second.
        rate: f64,
        /// Their distances.
        arrivals: Arrivals,
        /// How many may be under way; what is due beyond that is dropped and counted.
        max_in_flight: usize,
    },
    /// By workers, each of which waits for its answer before the next request.
    Closed {
        /// How many workers.
        workers: usize,
        /// How long each of them waits between an answer and its next request.
        think: Duration,
        /// How many requests all of them make together; `None` goes on until the phases end.
        count: Option<u64>,
    },
}

/// The distances between the requests of an open load.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// All the same.
    Constant,
    /// As independent users would: exponentially distributed, from the seed.
    Poisson,
}

/// What a request is. Those of the server go through its protocol, those of the pool call the library
/// in the runner's own process.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Call the tool `search_code` with this question.
    Search {
        /// The question.
        query: String,
    },
    /// Read the resource `health://connection-pool`.
    Health,
    /// List the tools.
    ListTools,
    /// Start another server, make the handshake, and let it leave. The latency is until the answer to
    /// `initialize`.
    Start,
    /// Acquire a connection and give it back.
    PoolAcquire,
    /// Acquire a connection, ask for its `pg_backend_pid()`, keep it for a while from the range, ask again
    /// if that is more than nothing, and give it back. The sample's value is the process id.
    PoolQuery {
        /// The least and the most time to keep it; drawn from the seed.
        hold: (Duration, Duration),
    },
    /// As `PoolQuery`, but dropped at an instant drawn from the seed, at most `within` after its start.
    /// Being dropped is its proper end.
    PoolCancel {
        /// The latest instant.
        within: Duration,
    },
    /// As `PoolCancel`, but the task that makes it panics at that instant, which is its proper end.
    PoolPanic {
        /// The latest instant.
        within: Duration,
    },
    /// Ask the pool for its health.
    PoolHealth,
    /// Take a snapshot of the pool while others use it. The sample's value is the age of what was read, in
    /// nanoseconds.
    PoolSnapshot,
    /// Open a pool, wait until it is ready, acquire once, and shut it down. The latency is until the
    /// connection is acquired.
    PoolOpen,
}

impl Op {
    /// The name, as in scenarios and reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Search { .. } => "search",
            Self::Health => "health",
            Self::ListTools => "list_tools",
            Self::Start => "start",
            Self::PoolAcquire => "pool.acquire",
            Self::PoolQuery { .. } => "pool.query",
            Self::PoolCancel { .. } => "pool.cancel",
            Self::PoolPanic { .. } => "pool.panic",
            Self::PoolHealth => "pool.health",
            Self::PoolSnapshot => "pool.snapshot",
            Self::PoolOpen => "pool.open",
        }
    }

    /// Whether the runner needs a pool of its own for it, instead of a server.
    pub fn is_of_pool(&self) -> bool {
        self.as_str().starts_with("pool.")
    }
}
