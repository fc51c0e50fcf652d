//! `scenarios validate`

use std::path::PathBuf;

use super::files::Files;
use super::output::{GOOD, say, styled};
use super::{CliError, INVALID};
use crate::schema::{FaultFile, Overrides, Scenario, SchemaErrors, yaml_files};

/// Which files.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The files; all scenarios and faults of the project if there are none
    files: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, files: &Files) -> Result<u8, CliError> {
    let faults = files.faults();
    let mut paths = arguments.files.clone();
    if paths.is_empty() {
        paths = yaml_files(&files.scenarios())?;
        paths.extend(yaml_files(&faults)?);
    }
    let mut wrong = Vec::new();
    for path in &paths {
        let checked: Result<(), SchemaErrors> =
            if path.parent().is_some_and(|folder| folder.ends_with("faults")) {
                FaultFile::open(path).map(drop)
            } else {
                Scenario::open(path, &faults, &Overrides::default()).map(drop)
            };
        if let Err(errors) = checked {
            wrong.push(files.shown(errors));
        }
    }
    for errors in &wrong {
        say(errors)?;
    }
    let right = paths.len() - wrong.len();
    let conclusion = format!("{right} right, {} wrong", wrong.len());
    if wrong.is_empty() {
        say(styled(GOOD, conclusion))?;
        return Ok(0);
    }
    say(conclusion)?;
    Ok(INVALID)
}
