//! `doctor`: checks every part in the order in which they need each other.

use std::io::Write;

use serde::Serialize;

use super::output::{BAD, FAINT, GOOD, styled};
use super::{CliError, build};
use crate::app::App;
use crate::config::{Database, Loaded};
use crate::embed::StaticModel;
use crate::postgres::Installation;
use crate::search::{self, Query};
use crate::store::databases;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print the checks as one JSON object
    #[arg(long)]
    json: bool,
}

/// What became of one check.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Failed,
    Skipped,
}

impl Check {
    fn of(name: &'static str, outcome: Result<String, String>) -> Self {
        match outcome {
            Ok(detail) => Self { name, status: Status::Ok, detail },
            Err(detail) => Self { name, status: Status::Failed, detail },
        }
    }

    fn skipped(name: &'static str) -> Self {
        let detail = "not checked, because a part that it needs failed".to_owned();
        Self { name, status: Status::Skipped, detail }
    }
}

pub(super) async fn run(arguments: &Arguments, loaded: &Loaded) -> Result<(), CliError> {
    let mut checks = vec![
        Check::of("configuration", Ok(loaded.origin.to_string())),
        Check::of("embedding model", model()),
        Check::of("PostgreSQL", postgres(&loaded.config.database)),
    ];
    match build(&loaded.config).await {
        Ok(app) => {
            checks.push(Check::of("database", database(&app).await));
            checks.push(Check::of("default project", project(&app).await));
            app.shutdown().await;
        }
        Err(error) => {
            checks.push(Check::of("database", Err(error.to_string())));
            checks.push(Check::skipped("default project"));
        }
    }
    print(arguments, &checks)?;
    if checks.iter().any(|check| check.status == Status::Failed) {
        return Err(CliError::Said);
    }
    Ok(())
}

fn model() -> Result<String, String> {
    let model = StaticModel::builtin().map_err(|error| error.to_string())?;
    let identity = model.identity();
    Ok(format!("{} {}, {} dimensions", identity.name, identity.version, identity.dimension))
}

fn postgres(database: &Database) -> Result<String, String> {
    match database {
        Database::External { url } => Ok(format!("external, {url}")),
        Database::Embedded(config) => {
            let installation = Installation::find(config).map_err(|error| error.to_string())?;
            Ok(format!(
                "embedded {} from {}, data in {}",
                installation.version,
                installation.dir.display(),
                config.data_dir.display()
            ))
        }
    }
}

async fn database(app: &App) -> Result<String, String> {
    let registry = app.services().projects.registry();
    let mut lease = registry.acquire().await.map_err(|error| error.to_string())?;
    let (server, pgvector) =
        databases::versions(&mut lease).await.map_err(|error| error.to_string())?;
    let pgvector = pgvector.ok_or("the server offers no pgvector")?;
    Ok(format!("PostgreSQL {server} with pgvector {pgvector} answers"))
}

/// Asks a question, so that everything on the way of an answer is used once.
async fn project(app: &App) -> Result<String, String> {
    let services = app.services();
    let project = services.projects.resolve(None).await.map_err(|error| error.to_string())?;
    let query = Query::new("read a file", 1).map_err(|error| error.to_string())?;
    let answer = search::search(&project.pool, &services.model, &query)
        .await
        .map_err(|error| error.to_string())?;
    let search::Answer { coverage, .. } = answer;
    Ok(format!(
        "{} files indexed, {} skipped, {} failed",
        coverage.indexed, coverage.skipped, coverage.failed
    ))
}

fn print(arguments: &Arguments, checks: &[Check]) -> Result<(), CliError> {
    if arguments.json {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::json!({ "checks": checks }))?;
        return Ok(());
    }
    let mut out = anstream::stdout().lock();
    for check in checks {
        let (style, mark) = match check.status {
            Status::Ok => (GOOD, "ok     "),
            Status::Failed => (BAD, "FAILED "),
            Status::Skipped => (FAINT, "skipped"),
        };
        writeln!(out, "{} {:16} {}", styled(style, mark), check.name, check.detail)?;
    }
    Ok(())
}
