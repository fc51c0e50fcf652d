//! `scenarios compare`

use std::path::PathBuf;

use super::CliError;
use super::output::say;
use super::report::read;
use crate::report::compare::compare;

/// Which runs.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder of the run before, or its report.json
    before: PathBuf,
    /// The folder of the run after
    after: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, CliError> {
    let comparison = compare(&read(&arguments.before)?, &read(&arguments.after)?);
    say(comparison)?;
    Ok(0)
}
