//! `search`: the pieces of code that answer a question.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use super::output::{FAINT, STRONG, styled};
use super::{CliError, build};
use crate::app::App;
use crate::config::Config;
use crate::index::Root;
use crate::search::{self, Answer, Hit, Query, QueryError};
use crate::store::repositories;

/// How many lines of a hit are shown.
const SHOWN_LINES: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What the code does, in words or identifiers
    #[arg(required = true)]
    query: Vec<String>,
    /// Id or name of the project [default: the default project]
    #[arg(long)]
    project: Option<String>,
    /// Only in the repository at this path
    #[arg(long, value_name = "PATH")]
    repository: Option<PathBuf>,
    /// The most results, 1 to 50
    #[arg(long, default_value_t = 5, allow_negative_numbers = true)]
    limit: i64,
    /// Only files with this extension, such as rs
    #[arg(long)]
    file_type: Option<String>,
    /// Only below this folder, relative to the repository's root
    #[arg(long)]
    directory: Option<String>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: &Arguments, config: &Config) -> Result<(), CliError> {
    let query = checked(arguments).map_err(CliError::failed)?;
    let root = match &arguments.repository {
        Some(path) => {
            let path = std::path::absolute(path)?;
            Some(Root::resolve(&path).map_err(CliError::failed)?)
        }
        None => None,
    };
    let app = build(config).await?;
    let outcome = match answer(arguments, query, root.as_ref(), &app).await {
        Ok(answer) if arguments.json => print_json(&answer),
        Ok(answer) => print(&answer),
        Err(error) => Err(error),
    };
    app.shutdown().await;
    outcome
}

async fn answer(
    arguments: &Arguments,
    mut query: Query,
    root: Option<&Root>,
    app: &App,
) -> Result<Answer, CliError> {
    let services = app.services();
    let project =
        services.projects.resolve(arguments.project.as_deref()).await.map_err(CliError::failed)?;
    if let Some(root) = root {
        let mut lease = project.pool.acquire().await.map_err(CliError::failed)?;
        let found =
            repositories::find(&mut lease, root.as_str()).await.map_err(CliError::failed)?;
        let id = found.ok_or_else(|| {
            let path = root.as_str();
            CliError::Failed(format!("{path} is not indexed; run `codebase-mcp index {path}`"))
        })?;
        query = query.within(id);
    }
    search::search(&project.pool, &services.model, &query).await.map_err(CliError::failed)
}

fn checked(arguments: &Arguments) -> Result<Query, QueryError> {
    let mut query = Query::new(&arguments.query.join(" "), arguments.limit)?;
    if let Some(file_type) = &arguments.file_type {
        query = query.of_type(file_type)?;
    }
    if let Some(directory) = &arguments.directory {
        query = query.below(directory)?;
    }
    Ok(query)
}

fn print(answer: &Answer) -> Result<(), CliError> {
    let mut out = anstream::stdout().lock();
    if answer.coverage.indexed == 0 {
        writeln!(out, "nothing is indexed yet; run `codebase-mcp index PATH` first")?;
    } else if answer.hits.is_empty() {
        writeln!(out, "no result")?;
    }
    let repositories: BTreeSet<&str> =
        answer.hits.iter().map(|hit| hit.repository_path.as_str()).collect();
    for (position, hit) in answer.hits.iter().enumerate() {
        if position > 0 {
            writeln!(out)?;
        }
        if repositories.len() > 1 {
            writeln!(out, "{}", styled(FAINT, &hit.repository_path))?;
        }
        print_hit(&mut out, position + 1, hit)?;
    }
    Ok(())
}

fn print_hit(out: &mut impl Write, position: usize, hit: &Hit) -> Result<(), CliError> {
    let place = format!("{}:{}-{}", hit.file_path, hit.start_line, hit.end_line);
    write!(out, "{position}. {}", styled(STRONG, place))?;
    if let Some(symbol) = &hit.symbol {
        write!(out, "  {symbol}")?;
    }
    writeln!(out, "  {}", styled(FAINT, format_args!("{:.2}", hit.similarity_score)))?;
    let mut lines = hit.content.lines().skip_while(|line| line.trim().is_empty());
    for line in lines.by_ref().take(SHOWN_LINES) {
        writeln!(out, "   {}", styled(FAINT, line))?;
    }
    let rest = lines.count();
    if rest > 0 {
        writeln!(out, "   {}", styled(FAINT, format_args!("... {rest} more lines")))?;
    }
    Ok(())
}

fn print_json(answer: &Answer) -> Result<(), CliError> {
    let value = serde_json::json!({ "results": answer.hits, "coverage": answer.coverage });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(())
}
