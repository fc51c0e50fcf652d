//! `search`: the pieces of code that answer a question.

use std::io::Write;

use super::output::{FAINT, STRONG, styled};
use super::{CliError, build};
use crate::config::Config;
use crate::search::{self, Answer, Hit, Query, QueryError};

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
    let app = build(config).await?;
    let services = app.services();
    let answer = async {
        let project = services
            .projects
            .resolve(arguments.project.as_deref())
            .await
            .map_err(CliError::failed)?;
        search::search(&project.pool, &services.model, &query).await.map_err(CliError::failed)
    }
    .await;
    let printed =
        answer.and_then(|answer| if arguments.json { print_json(&answer) } else { print(&answer) });
    app.shutdown().await;
    printed
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
    for (position, hit) in answer.hits.iter().enumerate() {
        if position > 0 {
            writeln!(out)?;
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
