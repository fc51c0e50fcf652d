//! `start_indexing_background`: accepts a job and returns at once.

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;

use super::{IndexInput, describe, parse, submit};
use crate::mcp::Server;
use crate::mcp::error::ToolError;

pub(super) const NAME: &str = "start_indexing_background";

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    /// For `get_indexing_status`.
    job_id: String,
    /// `pending`, or `active` when a job for this repository was at it already.
    status: &'static str,
    message: &'static str,
    /// The repository, with symbolic links resolved.
    repo_path: String,
    force_reindex: bool,
    project_id: String,
    database_name: String,
}

pub(super) fn tool() -> Tool {
    describe::<IndexInput, Output>(
        NAME,
        "Start indexing in the background",
        "Starts to index a repository and returns a job id at once. Use it for repositories of any \
         size, then follow the job with get_indexing_status.",
        ToolAnnotations::new().read_only(false).destructive(false).idempotent(true),
    )
}

pub(super) async fn call(server: &Server, arguments: JsonObject) -> Result<Output, ToolError> {
    let input: IndexInput = parse(arguments)?;
    let services = server.services().await?;
    let accepted = submit(&services, &input).await?;
    let (status, message) = if accepted.submitted.existing {
        ("active", "a job for this repository is under way already; this is its id")
    } else {
        ("pending", "indexing job started")
    };
    Ok(Output {
        job_id: accepted.submitted.id.to_string(),
        status,
        message,
        repo_path: accepted.root.as_str().to_owned(),
        force_reindex: input.force_reindex,
        project_id: accepted.project.id.to_string(),
        database_name: accepted.project.database_name,
    })
}
