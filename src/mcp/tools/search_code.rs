//! `search_code`: the chunks that answer a question.

use std::time::Duration;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use super::{describe, parse};
use crate::mcp::Server;
use crate::mcp::error::ToolError;
use crate::pool;
use crate::project::ProjectError;
use crate::search::{self, Answer, Hit, Query, QueryError, SearchError};
use crate::store::files::Coverage;

pub(super) const NAME: &str = "search_code";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// What the code does, in words or identifiers; 1 to 500 characters.
    query: String,
    /// Id or name of the project; the default project when left out.
    #[serde(default)]
    project_id: Option<String>,
    /// Search only this repository (UUID).
    #[serde(default)]
    repository_id: Option<String>,
    /// Search only files with this extension, without its dot, such as `rs`.
    #[serde(default)]
    file_type: Option<String>,
    /// Search only below this folder, relative to the repository's root, such as `src/net`.
    #[serde(default)]
    directory: Option<String>,
    /// The most results, 1 to 50.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 50))]
    limit: i64,
}

fn default_limit() -> i64 {
    Query::DEFAULT_LIMIT
}

/// What `search_code` gives back.
#[derive(Debug, Serialize, JsonSchema)]
// The tool's own description says more.
#[schemars(description = "")]
pub struct Output {
    /// The hits, best first.
    results: Vec<Hit>,
    /// The number of hits in this answer.
    total_count: usize,
    /// The project that was searched.
    project_id: String,
    /// The project's database.
    database_name: String,
    /// Files that are in the index, skipped and failed; an answer can only come from the indexed ones.
    coverage: Coverage,
    /// How long the search took, in milliseconds.
    latency_ms: u64,
    /// What to know about the answer, when there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

impl Output {
    /// What is given back for `answer`, which took so long to find in the database of a project.
    pub fn new(answer: Answer, project_id: Uuid, database_name: String, took: Duration) -> Self {
        let nothing_indexed = answer.coverage.indexed == 0;
        Self {
            total_count: answer.hits.len(),
            results: answer.hits,
            project_id: project_id.to_string(),
            database_name,
            coverage: answer.coverage,
            latency_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            note: nothing_indexed.then_some(
                "nothing is indexed yet; call start_indexing_background with the repository's path",
            ),
        }
    }
}

pub(super) fn tool() -> Tool {
    describe::<Input, Output>(
        NAME,
        "Search code",
        "Finds the pieces of the indexed repositories that do what the query says, best first. \
         The query may be a question, a description or an identifier.",
        ToolAnnotations::new().read_only(true).idempotent(true),
    )
}

pub(super) async fn call(server: &Server, arguments: JsonObject) -> Result<Output, ToolError> {
    let started = Instant::now();
    let input: Input = parse(arguments)?;
    let query = checked(&input)?;
    let services = server.services().await?;
    let project = once_more(
        || services.projects.resolve(input.project_id.as_deref()),
        |error| matches!(error, ProjectError::Database(error) if pool::lost_connection(error)),
    )
    .await?;
    let answer = once_more(
        || search::search(&project.pool, &services.model, &query),
        |error| matches!(error, SearchError::Database(error) if pool::lost_connection(error)),
    )
    .await?;
    Ok(Output::new(answer, project.id, project.database_name, started.elapsed()))
}

/// Does what only reads, and does it once more if its connection was lost under it: on another connection it may
/// succeed.
async fn once_more<T, E, F: Future<Output = Result<T, E>>>(
    read: impl Fn() -> F,
    is_lost: impl Fn(&E) -> bool,
) -> Result<T, E> {
    match read().await {
        Err(error) if is_lost(&error) => {
            tracing::info!(event = "search.retried", "a connection was lost under a search");
            read().await
        }
        outcome => outcome,
    }
}

fn checked(input: &Input) -> Result<Query, QueryError> {
    let mut query = Query::new(&input.query, input.limit)?;
    if let Some(repository_id) = &input.repository_id {
        query = query.in_repository(repository_id)?;
    }
    if let Some(file_type) = &input.file_type {
        query = query.of_type(file_type)?;
    }
    if let Some(directory) = &input.directory {
        query = query.below(directory)?;
    }
    Ok(query)
}
