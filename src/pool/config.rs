//! What can be set about a pool, and within which bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::{BoundError, ConfigError};

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
    /// The limit of one statement. The server keeps it (`statement_timeout`); a statement that has no answer
    /// [`STATEMENT_GRACE`] later is given up on our side too. 1 ms to 24 h.
    pub command_timeout: Duration,
    /// How long a shutdown may take. After five sixths of it, or when five seconds are left, leases that have not
    /// come back are taken back; ending their sessions gets a second at least. 0 s to 300 s.
    pub shutdown_timeout: Duration,
    /// The limit of resetting or closing one connection, after which its socket is dropped and its place is
    /// given to another. 1 ms to 60 s.
    pub cleanup_timeout: Duration,
    /// How many connections may be in the making at once. 1 to 32.
    pub max_parallel_connects: u32,
    /// How often one idle connection is checked, in turns, so that a dead database is found without
    /// traffic. 100 ms to 60 s.
    pub probe_interval: Duration,
    /// The age at which a connection is replaced. Each connection draws its own, up to a fifth less, when it is
    /// opened, so that connections born together do not end together. 60 s to 7 days.
    pub max_lifetime: Duration,
    /// How long a connection beyond `min_size` may be idle. 10 s to 24 h.
    pub max_idle_time: Duration,
    /// After how many statements a connection is replaced. 1 000 to 4 294 967 295.
    pub max_queries: u32,
    /// How connections are checked before they are handed out.
    pub validation: Validation,
    /// How leases that do not come back are found.
    pub leaks: Leaks,
    /// Whether `max_size` follows the load.
    pub adaptive: Adaptive,
}

/// How a connection is checked before it is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// The limit of one check. 1 ms to 30 s.
    pub timeout: Duration,
    /// A connection that was proven to work this recently is handed out unchecked. 0 s checks always; at most
    /// 60 s.
    pub bypass_window: Duration,
    /// Whether a server that only reads, such as a primary that was demoted, counts as unfit.
    pub require_primary: bool,
}

/// How leases that are held for too long are reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaks {
    /// Whether they are looked for at all.
    pub enabled: bool,
    /// How long a lease may be held before it is reported, and again after twice and four times as long and
    /// so on. 0 s reports none; at most 24 h.
    pub threshold: Duration,
    /// Whether the report has a stack trace of the acquire. Capturing costs microseconds per acquire.
    pub trace: bool,
    /// Whether a lease is taken back when it is held for twice `threshold`.
    pub reclaim: bool,
}

/// Whether, and how far, `max_size` follows the load: x1.5 above a utilisation of 0.9, x0.7 below 0.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adaptive {
    /// Whether it does.
    pub enabled: bool,
    /// How far `max_size` may grow. It never falls below `min_size`. 1 to 500.
    pub max_size: u32,
    /// The least time between two changes, over which the utilisation is averaged. 1 s to 1 h.
    pub cooldown: Duration,
}

/// How much longer than `command_timeout` a statement may stay without an answer. By then the server has
/// ended it, so the silence means that the connection is dead.
pub const STATEMENT_GRACE: Duration = Duration::from_secs(5);

/// The bounds of the keys of a [`Config`].
pub mod bounds {
    use super::{Duration, RangeInclusive};

    const fn ms(from: u64, to: u64) -> RangeInclusive<Duration> {
        Duration::from_millis(from)..=Duration::from_millis(to)
    }

    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const DAY: u64 = 24 * 60 * MINUTE;

    /// Of `min_size` and both `max_size`.
    pub const SIZE: RangeInclusive<u32> = 1..=500;
    /// Of `max_waiting`.
    pub const MAX_WAITING: RangeInclusive<u32> = 1..=60_000;
    /// Of `max_parallel_connects`.
    pub const PARALLEL_CONNECTS: RangeInclusive<u32> = 1..=32;
    /// Of `max_queries`.
    pub const MAX_QUERIES: RangeInclusive<u32> = 1000..=u32::MAX;
    /// Of `acquire_timeout`.
    pub const ACQUIRE_TIMEOUT: RangeInclusive<Duration> = ms(1, 5 * MINUTE);
    /// Of `connect_timeout`.
    pub const CONNECT_TIMEOUT: RangeInclusive<Duration> = ms(10, 5 * MINUTE);
    /// Of `command_timeout`.
    pub const COMMAND_TIMEOUT: RangeInclusive<Duration> = ms(1, DAY);
    /// Of `shutdown_timeout`.
    pub const SHUTDOWN_TIMEOUT: RangeInclusive<Duration> = ms(0, 5 * MINUTE);
    /// Of `cleanup_timeout`.
    pub const CLEANUP_TIMEOUT: RangeInclusive<Duration> = ms(1, MINUTE);
    /// Of `probe_interval`.
    pub const PROBE_INTERVAL: RangeInclusive<Duration> = ms(100, MINUTE);
    /// Of `max_lifetime`.
    pub const MAX_LIFETIME: RangeInclusive<Duration> = ms(MINUTE, 7 * DAY);
    /// Of `max_idle_time`.
    pub const MAX_IDLE_TIME: RangeInclusive<Duration> = ms(10 * SECOND, DAY);
    /// Of `validation.timeout`.
    pub const VALIDATION_TIMEOUT: RangeInclusive<Duration> = ms(1, 30 * SECOND);
    /// Of `validation.bypass_window`.
    pub const BYPASS_WINDOW: RangeInclusive<Duration> = ms(0, MINUTE);
    /// Of `leaks.threshold`.
    pub const LEAK_THRESHOLD: RangeInclusive<Duration> = ms(0, DAY);
    /// Of `adaptive.cooldown`.
    pub const COOLDOWN: RangeInclusive<Duration> = ms(SECOND, 60 * MINUTE);
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
            probe_interval: Duration::from_secs(2),
            max_lifetime: Duration::from_hours(1),
            max_idle_time: Duration::from_mins(1),
            max_queries: 50_000,
            validation: Validation::default(),
            leaks: Leaks::default(),
            adaptive: Adaptive::default(),
        }
    }
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(1),
            bypass_window: Duration::from_millis(500),
            require_primary: true,
        }
    }
}

impl Default for Leaks {
    fn default() -> Self {
        let threshold = Duration::from_secs(30);
        Self { enabled: true, threshold, trace: false, reclaim: false }
    }
}

impl Default for Adaptive {
    fn default() -> Self {
        Self { enabled: false, max_size: 100, cooldown: Duration::from_secs(30) }
    }
}

impl Leaks {
    /// When a lease is reported for the first time, if ever.
    pub(super) fn after(&self) -> Option<Duration> {
        (self.enabled && !self.threshold.is_zero()).then_some(self.threshold)
    }
}

impl Config {
    /// Checks every key against its bounds, and the keys against each other.
    ///
    /// # Errors
    /// All violations at once.
    ///
    /// ```
    /// use codebase_mcp::pool::Config;
    ///
    /// let wrong = Config { min_size: 20, max_waiting: 0, ..Config::default() };
    /// let error = wrong.validate().unwrap_err().to_string();
    /// assert!(error.contains("pool.max_waiting is 0, must be 1 to 60000"));
    /// assert!(error.contains("lower pool.min_size to 10 or raise pool.max_size to 20"));
    /// ```
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut errors = Vec::new();
        self.check_counts(&mut errors);
        self.check_times(&mut errors);
        if self.min_size > self.max_size {
            errors.push(BoundError::MinAboveMax { min: self.min_size, max: self.max_size });
        }
        if self.adaptive.enabled && self.adaptive.max_size < self.max_size {
            let (start, limit) = (self.max_size, self.adaptive.max_size);
            errors.push(BoundError::MaxAboveAdaptive { start, limit });
        }
        if errors.is_empty() { Ok(()) } else { Err(ConfigError { errors }) }
    }

    fn check_counts(&self, errors: &mut Vec<BoundError>) {
        for (key, value, bounds) in [
            ("min_size", self.min_size, bounds::SIZE),
            ("max_size", self.max_size, bounds::SIZE),
            ("max_waiting", self.max_waiting, bounds::MAX_WAITING),
            ("max_parallel_connects", self.max_parallel_connects, bounds::PARALLEL_CONNECTS),
            ("max_queries", self.max_queries, bounds::MAX_QUERIES),
            ("adaptive.max_size", self.adaptive.max_size, bounds::SIZE),
        ] {
            if !bounds.contains(&value) {
                errors.push(BoundError::Count { key, value, bounds });
            }
        }
    }

    fn check_times(&self, errors: &mut Vec<BoundError>) {
        for (key, value, bounds) in [
            ("acquire_timeout", self.acquire_timeout, bounds::ACQUIRE_TIMEOUT),
            ("connect_timeout", self.connect_timeout, bounds::CONNECT_TIMEOUT),
            ("command_timeout", self.command_timeout, bounds::COMMAND_TIMEOUT),
            ("shutdown_timeout", self.shutdown_timeout, bounds::SHUTDOWN_TIMEOUT),
            ("cleanup_timeout", self.cleanup_timeout, bounds::CLEANUP_TIMEOUT),
            ("probe_interval", self.probe_interval, bounds::PROBE_INTERVAL),
            ("max_lifetime", self.max_lifetime, bounds::MAX_LIFETIME),
            ("max_idle_time", self.max_idle_time, bounds::MAX_IDLE_TIME),
            ("validation.timeout", self.validation.timeout, bounds::VALIDATION_TIMEOUT),
            ("validation.bypass_window", self.validation.bypass_window, bounds::BYPASS_WINDOW),
            ("leaks.threshold", self.leaks.threshold, bounds::LEAK_THRESHOLD),
            ("adaptive.cooldown", self.adaptive.cooldown, bounds::COOLDOWN),
        ] {
            if !bounds.contains(&value) {
                errors.push(BoundError::Time { key, value, bounds });
            }
        }
    }
}
