//! The table of all keys: name, field, bounds and historical variables. Reading, printing and the
//! search for unknown keys all go through it.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::secret::DatabaseUrl;
use super::slot::Slot;
use super::slot::Target::{U32, U64, Usize};
use super::units::{GIB, KIB, MIB};
use super::{Config, Database, Mode, Server};
use crate::{index, jobs, pool, postgres, telemetry};

/// The prefix of the variables that set a key each.
pub(super) const PREFIX: &str = "CODEBASE_MCP__";

const START_TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(10);
const STOP_AFTER: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24);
const STARTUP_WAIT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_mins(5);

/// The fields that the keys set. Other than in [`Config`], both kinds of database have their place.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) mode: Option<Mode>,
    pub(super) url: Option<DatabaseUrl>,
    pub(super) postgres: postgres::Config,
    pub(super) pool: pool::Config,
    pub(super) index: index::Config,
    pub(super) jobs: jobs::Config,
    pub(super) server: Server,
    pub(super) telemetry: telemetry::Config,
}

/// A key and the field that it sets.
pub(super) struct Key<'a> {
    /// Sections and name, such as `pool.validation.timeout`.
    pub(super) path: &'static str,
    /// Variables that set this key since before there was a configuration file.
    pub(super) historical: &'static [&'static str],
    /// Whether a running server takes a new value up; else it has its effect at the next start.
    pub(super) live: bool,
    pub(super) slot: Slot<'a>,
}

impl Draft {
    /// The defaults of an installation that keeps its data in `data_folder`.
    pub(super) fn new(data_folder: &Path) -> Self {
        Self {
            mode: None,
            url: None,
            postgres: postgres_in(data_folder),
            pool: pool::Config::default(),
            index: index::Config::default(),
            jobs: jobs::Config::default(),
            server: Server::default(),
            telemetry: telemetry::Config::default(),
        }
    }

    /// All keys with the fields of this draft.
    pub(super) fn keys(&mut self) -> Vec<Key<'_>> {
        let mut keys = Vec::from(database(&mut self.mode, &mut self.url));
        keys.extend(embedded(&mut self.postgres));
        keys.extend(pool(&mut self.pool));
        keys.extend(index(&mut self.index));
        keys.extend(jobs(&mut self.jobs));
        keys.extend(server(&mut self.server));
        keys.extend(telemetry(&mut self.telemetry));
        keys
    }

    /// The keys that have an effect: an external database leaves those of the embedded one out.
    pub(super) fn effective_keys(&mut self) -> Vec<Key<'_>> {
        let external = self.mode == Some(Mode::External);
        let unused: Vec<_> = embedded(&mut self.postgres).iter().map(|key| key.path).collect();
        let mut keys = self.keys();
        keys.retain(|key| !external || !unused.contains(&key.path));
        keys
    }
}

impl From<&Config> for Draft {
    fn from(config: &Config) -> Self {
        let (mode, url, postgres) = match &config.database {
            Database::Embedded(postgres) => (Mode::Embedded, None, postgres.clone()),
            Database::External { url } => {
                (Mode::External, Some(url.clone()), postgres_in(Path::new("")))
            }
        };
        Self {
            mode: Some(mode),
            url,
            postgres,
            pool: config.pool.clone(),
            index: config.index.clone(),
            jobs: config.jobs.clone(),
            server: config.server.clone(),
            telemetry: config.telemetry.clone(),
        }
    }
}

impl<'a> Key<'a> {
    fn new(path: &'static str, slot: Slot<'a>) -> Self {
        Self { path, historical: &[], live: false, slot }
    }

    fn live(self) -> Self {
        Self { live: true, ..self }
    }

    fn also(self, historical: &'static [&'static str]) -> Self {
        Self { historical, ..self }
    }

    /// The variable that sets this key.
    pub(super) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.path.replace('.', "__").to_ascii_uppercase())
    }
}

fn postgres_in(data_folder: &Path) -> postgres::Config {
    postgres::Config::new(data_folder.join("postgresql"), data_folder.join("cluster"))
}

fn database<'a>(mode: &'a mut Option<Mode>, url: &'a mut Option<DatabaseUrl>) -> [Key<'a>; 2] {
    [
        Key::new("database.mode", Slot::Mode(mode)),
        Key::new("database.url", Slot::Url(url)).also(&["DATABASE_URL"]),
    ]
}

fn embedded(config: &mut postgres::Config) -> [Key<'_>; 5] {
    let postgres::Config {
        install_dir,
        install_default: _,
        data_dir,
        run_as,
        start_timeout,
        stop_after,
    } = config;
    [
        Key::new("database.install_dir", Slot::OptionalFolder(install_dir)),
        Key::new("database.data_dir", Slot::Folder(data_dir)),
        Key::new("database.run_as", Slot::Account(run_as)),
        Key::new("database.start_timeout", Slot::time(start_timeout, START_TIMEOUT)),
        Key::new("database.stop_after", Slot::time(stop_after, STOP_AFTER)),
    ]
}

fn pool(config: &mut pool::Config) -> [Key<'_>; 23] {
    use pool::bounds;

    let pool::Config {
        min_size,
        max_size,
        max_waiting,
        acquire_timeout,
        connect_timeout,
        command_timeout,
        shutdown_timeout,
        cleanup_timeout,
        max_parallel_connects,
        probe_interval,
        max_lifetime,
        max_idle_time,
        max_queries,
        validation: pool::Validation { timeout, bypass_window, require_primary },
        leaks: pool::Leaks { enabled: find_leaks, threshold, trace, reclaim },
        adaptive: pool::Adaptive { enabled: adapt, max_size: adaptive_max_size, cooldown },
    } = config;
    let count = |field, bounds: RangeInclusive<u32>| {
        let (min, max) = bounds.into_inner();
        Slot::count(U32(field), min.into()..=max.into())
    };
    [
        Key::new("pool.min_size", count(min_size, bounds::SIZE)).also(&["POOL_MIN_SIZE"]),
        Key::new("pool.max_size", count(max_size, bounds::SIZE)).also(&["POOL_MAX_SIZE"]),
        Key::new("pool.max_waiting", count(max_waiting, bounds::MAX_WAITING)),
        Key::new("pool.acquire_timeout", Slot::time(acquire_timeout, bounds::ACQUIRE_TIMEOUT))
            .also(&["POOL_ACQUIRE_TIMEOUT", "POOL_TIMEOUT"]),
        Key::new("pool.connect_timeout", Slot::time(connect_timeout, bounds::CONNECT_TIMEOUT)),
        Key::new("pool.command_timeout", Slot::time(command_timeout, bounds::COMMAND_TIMEOUT))
            .also(&["POOL_COMMAND_TIMEOUT"]),
        Key::new("pool.shutdown_timeout", Slot::time(shutdown_timeout, bounds::SHUTDOWN_TIMEOUT)),
        Key::new("pool.cleanup_timeout", Slot::time(cleanup_timeout, bounds::CLEANUP_TIMEOUT)),
        Key::new(
            "pool.max_parallel_connects",
            count(max_parallel_connects, bounds::PARALLEL_CONNECTS),
        ),
        Key::new("pool.probe_interval", Slot::time(probe_interval, bounds::PROBE_INTERVAL)),
        Key::new("pool.max_lifetime", Slot::time(max_lifetime, bounds::MAX_LIFETIME))
            .also(&["POOL_MAX_CONNECTION_LIFETIME"]),
        Key::new("pool.max_idle_time", Slot::time(max_idle_time, bounds::MAX_IDLE_TIME))
            .also(&["POOL_MAX_IDLE_TIME"]),
        Key::new("pool.max_queries", count(max_queries, bounds::MAX_QUERIES))
            .also(&["POOL_MAX_QUERIES"]),
        Key::new("pool.validation.timeout", Slot::time(timeout, bounds::VALIDATION_TIMEOUT)),
        Key::new("pool.validation.bypass_window", Slot::time(bypass_window, bounds::BYPASS_WINDOW)),
        Key::new("pool.validation.require_primary", Slot::Switch(require_primary)),
        Key::new("pool.leaks.enabled", Slot::Switch(find_leaks))
            .also(&["POOL_ENABLE_LEAK_DETECTION"]),
        Key::new("pool.leaks.threshold", Slot::time(threshold, bounds::LEAK_THRESHOLD))
            .also(&["POOL_LEAK_DETECTION_TIMEOUT"]),
        Key::new("pool.leaks.trace", Slot::Switch(trace)),
        Key::new("pool.leaks.reclaim", Slot::Switch(reclaim)),
        Key::new("pool.adaptive.enabled", Slot::Switch(adapt)),
        Key::new("pool.adaptive.max_size", count(adaptive_max_size, bounds::SIZE)),
        Key::new("pool.adaptive.cooldown", Slot::time(cooldown, bounds::COOLDOWN)),
    ]
    .map(Key::live)
}

fn index(config: &mut index::Config) -> [Key<'_>; 4] {
    let index::Config { max_file_size, max_line_length, max_chunk_size, batch_size } = config;
    [
        Key::new("index.max_file_size", Slot::size(U64(max_file_size), KIB..=GIB)),
        Key::new("index.max_line_length", Slot::size(Usize(max_line_length), KIB..=10 * MIB)),
        Key::new("index.max_chunk_size", Slot::size(Usize(max_chunk_size), 256..=64 * KIB)),
        Key::new("index.batch_size", Slot::count(Usize(batch_size), 1..=1000)),
    ]
}

fn jobs(config: &mut jobs::Config) -> [Key<'_>; 2] {
    let jobs::Config { max_concurrent, queue_limit } = config;
    [
        Key::new("jobs.max_concurrent", Slot::count(Usize(max_concurrent), 1..=64))
            .also(&["MAX_CONCURRENT_INDEXING_JOBS"]),
        Key::new("jobs.queue_limit", Slot::count(Usize(queue_limit), 1..=10_000)),
    ]
}

fn server(config: &mut Server) -> [Key<'_>; 1] {
    let Server { startup_wait } = config;
    [Key::new("server.startup_wait", Slot::time(startup_wait, STARTUP_WAIT))]
}

fn telemetry(config: &mut telemetry::Config) -> [Key<'_>; 2] {
    let telemetry::Config { log, format } = config;
    [
        Key::new("telemetry.log", Slot::Filter(log)).live(),
        Key::new("telemetry.format", Slot::Format(format)),
    ]
}
