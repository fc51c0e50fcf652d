//! `scenarios report`: a run again, from its folder.

use std::path::PathBuf;

use super::CliError;
use super::output::say;
use crate::report::{html, json, terminal};

/// Which run.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The run's folder, or its report.json
    run: PathBuf,
    /// Write the page again, as report.html in the run's folder
    #[arg(long)]
    html: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, CliError> {
    let report = read(&arguments.run)?;
    let folder = if arguments.run.is_dir() {
        arguments.run.as_path()
    } else {
        arguments.run.parent().unwrap_or(&arguments.run)
    };
    let page = folder.join("report.html");
    if arguments.html {
        std::fs::write(&page, html::page(&report))?;
    }
    say(terminal::run(&report, page.is_file().then_some(page.as_path()), true))?;
    Ok(0)
}

/// Reads the report of a run's folder, or the file itself.
pub(super) fn read(path: &std::path::Path) -> Result<crate::report::model::Report, CliError> {
    json::read(path).map_err(|error| CliError::Invalid(error.to_string()))
}
