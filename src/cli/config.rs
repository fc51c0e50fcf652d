//! `config check` and `config print`.

use std::io::Write;
use std::path::Path;

use super::CliError;
use super::output::{FAINT, GOOD, styled};
use crate::config::{Config, Environment};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Check the configuration and list everything that is wrong with it
    Check,
    /// Print the configuration as it applies, with every key and without secrets
    Print,
}

pub(super) fn run(
    command: &Command,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<(), CliError> {
    let loaded = Config::load(file, environment)?;
    let mut stdout = anstream::stdout().lock();
    match command {
        Command::Check => {
            writeln!(stdout, "{} {}", styled(GOOD, "ok"), loaded.origin)?;
            for notice in &loaded.notices {
                writeln!(stdout, "   {}", styled(FAINT, notice))?;
            }
        }
        Command::Print => write!(stdout, "{}", loaded.to_yaml())?,
    }
    Ok(())
}
