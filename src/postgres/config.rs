//! Where the embedded cluster lives and how long its steps may take.

use std::path::PathBuf;
use std::time::Duration;

/// What the embedded cluster is made and run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The only PostgreSQL to use: a folder with `bin`, `lib` and `share`.
    pub install_dir: Option<PathBuf>,
    /// Where `ci/setup` installs PostgreSQL; tried first when `install_dir` is not set.
    pub install_default: PathBuf,
    /// The folder of the cluster, which holds nothing else. Made when absent.
    pub data_dir: PathBuf,
    /// The user to run PostgreSQL as when this process is root, else without effect. Without a
    /// value it is `postgres` if there is such a user, else `nobody`.
    pub run_as: Option<String>,
    /// How long attaching may take, with all that it has to wait for.
    pub start_timeout: Duration,
    /// How long the cluster goes on when nobody uses it.
    pub stop_after: Duration,
}

impl Config {
    /// The default settings, for a cluster in `data_dir`.
    pub fn new(install_default: PathBuf, data_dir: PathBuf) -> Self {
        Self {
            install_dir: None,
            install_default,
            data_dir,
            run_as: None,
            start_timeout: Duration::from_mins(1),
            stop_after: Duration::from_mins(5),
        }
    }
}
