//! `start_indexing_background`: accepts a job and returns at once.

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;

use super::{IndexInput, accept, describe, parse};
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
    /// Whether the job indexes files again although they have not changed.
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
    let (project, request) = accept(&services, &input).await?;
    let submitted = services.jobs.submit(request.clone()).await?;
    let (status, message) = match (submitted.existing, submitted.force_reindex) {
        (false, _) => ("pending", "indexing job started"),
        (true, false) if request.force_reindex => (
            "active",
            "a job for this repository is under way without force_reindex; submit again when it has ended",
        ),
        (true, _) => ("active", "a job for this repository is under way already; this is its id"),
    };
    Ok(Output {
        job_id: submitted.id.to_string(),
        status,
        message,
        repo_path: request.repo_path,
        force_reindex: submitted.force_reindex,
        project_id: project.id.to_string(),
        database_name: project.database_name,
    })
}
