//! The command line: one file per subcommand.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage or
//! configuration.

mod config;
mod doctor;
mod index;
mod keep_cluster;
pub mod output;
mod pool;
mod reload;
mod search;
mod serve;
mod signals;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::{App, BuildError, explained};
use crate::config::{Config, ConfigErrors, Environment};
use crate::control;
use crate::postgres::Keeper;
use crate::telemetry;

use self::reload::Reload;

/// Code search for AI assistants over the Model Context Protocol, stored in PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "codebase-mcp", version, max_term_width = 100)]
struct Arguments {
    /// The configuration file; without it ./codebase-mcp.yaml or that of the user's configuration
    /// folder, else built-in defaults
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Log what `telemetry.log` asks for, also where a command would only log warnings.
    #[arg(long, short, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve one MCP client over stdin and stdout
    Serve,
    /// Index a repository, or bring its index up to date
    Index(index::Arguments),
    /// Search the indexed repositories
    Search(search::Arguments),
    /// Check or print the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Show the connection pools of running servers
    #[command(subcommand)]
    Pool(pool::Command),
    /// Check every part that a server needs, and say how to mend what is broken
    Doctor(doctor::Arguments),
    /// Stop the embedded database when nobody uses it; started by the server itself
    #[command(hide = true)]
    KeepCluster(keep_cluster::Arguments),
}

/// Why a command failed, as far as it is not its own business.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The parts could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// stdout was closed, or the runtime could not be made.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The command has failed; its text says what and why.
    #[error("{0}")]
    Failed(String),
    /// The command has said everything itself.
    #[error("the command failed")]
    Said,
}

impl CliError {
    /// A failure that the command explains with this text.
    fn failed(error: impl std::error::Error) -> Self {
        Self::Failed(explained(&error))
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(2),
            // A reader that has seen enough, as in `… | head`, is no failure.
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Build(_) | Self::Io(_) | Self::Failed(_) | Self::Said => ExitCode::FAILURE,
        }
    }
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.exit_code();
            if code != ExitCode::SUCCESS && !matches!(error, CliError::Said) {
                output::error(&explained(&error));
            }
            code
        }
    }
}

fn run(arguments: Arguments) -> Result<(), CliError> {
    let Arguments { config, verbose, command } = arguments;
    if let Command::KeepCluster(arguments) = command {
        return keep_cluster::run(&arguments);
    }
    let environment = Environment::of_process();
    if let Command::Config(command) = command {
        return config::run(&command, config.as_deref(), &environment);
    }
    if let Command::Pool(command) = command {
        // What a server runs with is not what the file says now, so the file is not needed.
        return tokio::runtime::Runtime::new()?.block_on(pool::run(&command, &environment));
    }
    let loaded = Config::load(config.as_deref(), &environment)?;
    let mut log = loaded.config.telemetry.clone();
    if !verbose && !matches!(command, Command::Serve) {
        "warn".clone_into(&mut log.log);
    }
    let log = telemetry::init(&log, io::stderr);
    for notice in &loaded.notices {
        tracing::warn!("{notice}");
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve => serve::run(Reload::new(loaded, config, environment, log)).await,
            Command::Index(arguments) => index::run(&arguments, &loaded.config).await,
            Command::Search(arguments) => search::run(&arguments, &loaded.config).await,
            Command::Doctor(arguments) => doctor::run(&arguments, &loaded).await,
            Command::Config(_) | Command::Pool(_) | Command::KeepCluster(_) => {
                unreachable!("handled before the configuration is read")
            }
        }
    });
    // A read of stdin that nobody waits for any more must not hold the process.
    runtime.shutdown_background();
    outcome
}

/// Builds the parts for a command that needs the database.
async fn build(config: &Config) -> Result<App, CliError> {
    Ok(App::build(config, &keeper(config)?).await?)
}

/// How to start the keeper of the embedded cluster: this program again.
fn keeper(config: &Config) -> Result<Keeper, CliError> {
    Ok(keep_cluster::keeper(std::env::current_exe()?, &config.database))
}

/// Where the servers of this user have their control sockets.
fn control_folder(environment: &Environment) -> Result<control::Folder, CliError> {
    let data = environment.data_folder().ok_or_else(|| {
        let fix = "set HOME or XDG_DATA_HOME to an absolute path";
        CliError::Failed(format!("there is no folder for control sockets; {fix}"))
    })?;
    control::Folder::below(&data).map_err(CliError::failed)
}
