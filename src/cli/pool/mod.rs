//! `pool status` and `pool watch`: how the pools of the running servers are.

mod amount;
mod line;
mod parts;
#[cfg(test)]
mod samples;
mod screen;
mod trend;
mod view;
mod watch;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CliError, control_folder};
use crate::config::{Environment, parse_duration};
use crate::control::{self, Answer, Folder, Status};

use self::trend::Trends;
use self::view::{Detail, Scene};

/// How wide text is where there is no terminal, and how wide it gets at most.
const WIDTH: usize = 80;
const MAX_WIDTH: usize = 100;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the pools of all running servers of this user
    Status {
        /// Print what the servers say as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show them again and again, in place on a terminal, line by line elsewhere
    Watch {
        /// The time between two looks, 100ms to 1h
        #[arg(long, default_value = "1s", value_parser = interval)]
        interval: Duration,
    },
}

/// What came of asking one server.
#[derive(Debug, Clone, PartialEq)]
enum Server {
    Answered(Box<Status>),
    /// It runs, but says nothing that can be shown.
    Silent {
        pid: u32,
        error: String,
    },
}

impl Server {
    fn pid(&self) -> u32 {
        match self {
            Self::Answered(status) => status.pid,
            Self::Silent { pid, .. } => *pid,
        }
    }
}

impl From<Answer> for Server {
    fn from(Answer { pid, outcome }: Answer) -> Self {
        let status = match outcome {
            Ok(status) => status,
            Err(error) => return Self::Silent { pid, error: error.to_string() },
        };
        match Status::deserialize(&status) {
            Ok(status) => Self::Answered(Box::new(status)),
            Err(error) => {
                let version = status.get("version").and_then(Value::as_str).unwrap_or("unknown");
                let ours = env!("CARGO_PKG_VERSION");
                let error =
                    format!("it is of version {version}, which {ours} cannot read: {error}");
                Self::Silent { pid, error }
            }
        }
    }
}

pub(super) async fn run(command: &Command, environment: &Environment) -> Result<(), CliError> {
    let folder = control_folder(environment)?;
    match command {
        Command::Status { json } => status(&folder, *json).await,
        Command::Watch { interval } => watch::run(folder, *interval, environment).await,
    }
}

async fn ask(folder: &Folder) -> Result<Vec<Answer>, CliError> {
    control::ask(folder).await.map_err(|error| {
        CliError::Failed(format!("{} cannot be read: {error}", folder.path().display()))
    })
}

async fn status(folder: &Folder, json: bool) -> Result<(), CliError> {
    let answers = ask(folder).await?;
    if answers.is_empty() {
        return Err(CliError::Failed(format!(
            "no server of this user runs (looked in {}); an MCP client starts one, or `codebase-mcp serve` does",
            folder.path().display()
        )));
    }
    let silent = answers.iter().all(|answer| answer.outcome.is_err());
    if json {
        let servers: Vec<Value> = answers.into_iter().map(to_json).collect();
        writeln!(io::stdout().lock(), "{}", json!({ "servers": servers }))?;
    } else {
        let servers: Vec<Server> = answers.into_iter().map(Server::from).collect();
        let scene = Scene { servers: &servers, trends: &Trends::default(), now: Utc::now() };
        let mut out = anstream::stdout().lock();
        for line in scene.lines(Detail::Full, width()) {
            writeln!(out, "{line}")?;
        }
    }
    if silent { Err(CliError::Said) } else { Ok(()) }
}

fn to_json(Answer { pid, outcome }: Answer) -> Value {
    outcome.unwrap_or_else(|error| json!({ "pid": pid, "error": error.to_string() }))
}

/// How wide the text on stdout may be.
fn width() -> usize {
    match crossterm::terminal::size() {
        Ok((columns, _)) if io::stdout().is_terminal() => usize::from(columns).min(MAX_WIDTH),
        Ok(_) | Err(_) => WIDTH,
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    parse_duration(text, Duration::from_millis(100)..=Duration::from_hours(1))
}
