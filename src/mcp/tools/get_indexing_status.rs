//! `get_indexing_status`: how far a job is, and what it left out.

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{describe, parse};
use crate::jobs::{JobState, JobStatus};
use crate::mcp::Server;
use crate::mcp::error::ToolError;
use crate::mcp::readiness::Services;
use crate::store::files::{self, LeftOut};

pub(super) const NAME: &str = "get_indexing_status";

/// How many files that were left out are listed.
const LISTED: i64 = 20;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The id that `start_indexing_background` returned.
    job_id: String,
}

/// A job as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    /// At the end, indexed, unchanged, skipped and failed files add up to the scanned ones.
    #[serde(flatten)]
    job: JobStatus,
    /// How far it is, in words.
    status_message: String,
    /// How long it ran, or has been running.
    duration_seconds: f64,
    /// Up to 20 files that are not in the index, and why.
    left_out: Vec<LeftOut>,
}

pub(super) fn tool() -> Tool {
    describe::<Input, Output>(
        NAME,
        "Indexing status",
        "Says how far an indexing job is, how many files it indexed, skipped and failed to read, and why.",
        ToolAnnotations::new().read_only(true).idempotent(true),
    )
}

pub(super) async fn call(server: &Server, arguments: JsonObject) -> Result<Output, ToolError> {
    let input: Input = parse(arguments)?;
    let id = Uuid::parse_str(&input.job_id).map_err(|_malformed| {
        ToolError::invalid(&format!(
            "job_id is {:?}, which is no UUID; use the job_id that start_indexing_background returned",
            input.job_id
        ))
    })?;
    let services = server.services().await?;
    let status = services.jobs.status(id).await?;
    report(&services, status).await
}

/// The job's row together with the files it left out.
pub(super) async fn report(services: &Services, job: JobStatus) -> Result<Output, ToolError> {
    let project = services.projects.by_id(job.project_id).await?;
    let left_out = if job.files_skipped + job.files_failed > 0 {
        let mut lease = project.pool.acquire().await?;
        files::left_out(&mut lease, &job.repo_path, LISTED).await?
    } else {
        Vec::new()
    };
    Ok(Output {
        status_message: message(&job),
        duration_seconds: job.elapsed(chrono::Utc::now()).as_secs_f64(),
        left_out,
        job,
    })
}

/// How far a job is, in words.
pub(super) fn message(job: &JobStatus) -> String {
    match job.status {
        JobState::Pending => "waiting for its turn".to_owned(),
        JobState::Running => format!(
            "{}: {} of {} files",
            job.phase.as_deref().unwrap_or("starting"),
            job.files_done(),
            job.files_scanned
        ),
        JobState::Completed if job.files_failed > 0 => format!(
            "completed; {} files could not be read and will be tried again next time",
            job.files_failed
        ),
        JobState::Completed => "completed".to_owned(),
        JobState::Failed => "failed".to_owned(),
    }
}
