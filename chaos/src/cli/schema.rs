//! `scenarios schema`

use std::fs;
use std::path::PathBuf;

use super::CliError;
use super::output::say;
use crate::schema::{fault_schema, scenario_schema};

/// Which schema, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which one to print
    #[arg(value_enum, default_value = "scenario")]
    which: Which,
    /// Write both into this folder instead, as `scenario.v1.json` and `fault.v1.json`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Which {
    Scenario,
    Fault,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, CliError> {
    let schemas = [("scenario", scenario_schema()), ("fault", fault_schema())];
    let Some(folder) = &arguments.out else {
        let [(_, scenario), (_, fault)] = &schemas;
        let schema = match arguments.which {
            Which::Scenario => scenario,
            Which::Fault => fault,
        };
        say(format_args!("{schema:#}"))?;
        return Ok(0);
    };
    fs::create_dir_all(folder)?;
    for (name, schema) in &schemas {
        fs::write(folder.join(format!("{name}.v1.json")), format!("{schema:#}\n"))?;
    }
    Ok(0)
}
