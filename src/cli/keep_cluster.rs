//! `keep-cluster`: the keeper of the embedded PostgreSQL.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::CliError;
use crate::config::Database;
use crate::postgres::{self, Keeper};
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The cluster's data folder.
    #[arg(long)]
    data_dir: PathBuf,
    /// How long an unused cluster goes on, in milliseconds.
    #[arg(long)]
    stop_after: u64,
}

/// How to start the keeper that `program`, this program, is with these arguments.
pub(super) fn keeper(program: PathBuf, database: &Database) -> Keeper {
    let args = match database {
        Database::External { .. } => Vec::new(),
        Database::Embedded(config) => vec![
            "keep-cluster".into(),
            "--data-dir".into(),
            config.data_dir.clone().into(),
            "--stop-after".into(),
            config.stop_after.as_millis().to_string().into(),
        ],
    };
    Keeper { program, args }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), CliError> {
    telemetry::init(&telemetry::Config::default(), io::stderr);
    // The cluster runs already; where it was installed is in its own records.
    let mut config = postgres::Config::new(PathBuf::new(), arguments.data_dir.clone());
    config.stop_after = Duration::from_millis(arguments.stop_after);
    postgres::keep(&config).map_err(CliError::failed)
}
