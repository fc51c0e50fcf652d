//! Table `indexing_jobs` of the registry.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{Failure, JobError, Progress, Request, Submitted};
use crate::pool::PgLease;

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum JobState {
    /// Accepted, waiting for its turn.
    Pending,
    /// At work.
    Running,
    /// Done.
    Completed,
    /// Given up.
    Failed,
}

impl JobState {
    /// Whether the job will never change again.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// A job's row.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize, schemars::JsonSchema)]
pub struct JobStatus {
    /// The job's id.
    #[serde(rename = "job_id")]
    pub id: Uuid,
    /// The project it is for.
    pub project_id: Uuid,
    /// The repository it indexes.
    pub repo_path: String,
    /// Whether unchanged files are indexed again.
    pub force_reindex: bool,
    /// Where it is in its life.
    pub status: JobState,
    /// What is being done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// A stable code, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// What happened, why, and what to do, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Files found by the walk.
    pub files_scanned: i64,
    /// Files whose chunks were written.
    pub files_indexed: i64,
    /// Files that were in the index already.
    pub files_unchanged: i64,
    /// Files that a rule keeps out.
    pub files_skipped: i64,
    /// Files that could not be read.
    pub files_failed: i64,
    /// Chunks written.
    pub chunks_created: i64,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<DateTime<Utc>>,
}

/// The unfinished job of a repository.
pub(super) async fn active(
    on: impl PgExecutor<'_>,
    request: &Request,
) -> Result<Option<Submitted>, sqlx::Error> {
    let found: Option<(Uuid, bool)> = sqlx::query_as(
        "SELECT id, force_reindex FROM indexing_jobs
         WHERE project_id = $1 AND repo_path = $2 AND status IN ('pending', 'running')",
    )
    .bind(request.project_id)
    .bind(&request.repo_path)
    .fetch_optional(on)
    .await?;
    Ok(found.map(|(id, force_reindex)| Submitted { id, existing: true, force_reindex }))
}

/// Accepts a job, unless one for the same repository is unfinished.
pub(super) async fn enqueue(on: &mut PgLease, request: &Request) -> Result<Submitted, JobError> {
    let force_reindex = request.force_reindex;
    loop {
        let accepted: Option<Uuid> = sqlx::query_scalar(
            "INSERT INTO indexing_jobs (project_id, repo_path, force_reindex) VALUES ($1, $2, $3)
             ON CONFLICT (project_id, repo_path) WHERE status IN ('pending', 'running') DO NOTHING
             RETURNING id",
        )
        .bind(request.project_id)
        .bind(&request.repo_path)
        .bind(force_reindex)
        .fetch_optional(&mut *on)
        .await?;
        if let Some(id) = accepted {
            return Ok(Submitted { id, existing: false, force_reindex });
        }
        // The job that stood in the way may have finished by now; then there is room for this one.
        if let Some(active) = active(&mut *on, request).await? {
            return Ok(active);
        }
    }
}

impl JobStatus {
    /// Files that are settled: indexed, unchanged, skipped or failed.
    pub fn files_done(&self) -> i64 {
        self.files_indexed + self.files_unchanged + self.files_skipped + self.files_failed
    }

    /// How long it ran, or has been running at `now`; zero before it began.
    pub fn elapsed(&self, now: DateTime<Utc>) -> Duration {
        let ended = self.completed_at.unwrap_or(now);
        self.started_at.and_then(|started| (ended - started).to_std().ok()).unwrap_or_default()
    }
}

/// A job.
pub(super) async fn find(
    on: impl PgExecutor<'_>,
    id: Uuid,
) -> Result<Option<JobStatus>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, project_id, repo_path, force_reindex, status, phase, error_code, error_message,
                files_scanned, files_indexed, files_unchanged, files_skipped, files_failed,
                chunks_created, created_at, started_at, completed_at
         FROM indexing_jobs WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(on)
    .await
}

/// Begins a pending job.
pub(super) async fn begin(on: &mut PgLease, id: Uuid) -> Result<(), JobError> {
    sqlx::query(
        "UPDATE indexing_jobs SET status = 'running', started_at = now(), heartbeat_at = now()
         WHERE id = $1 AND status = 'pending'",
    )
    .bind(id)
    .execute(on)
    .await?;
    Ok(())
}

/// Signs an unfinished job and writes its progress. False when there is no such unfinished job.
pub(super) async fn sign(
    on: impl PgExecutor<'_>,
    id: Uuid,
    progress: Progress,
) -> Result<bool, sqlx::Error> {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    sqlx::query(
        "UPDATE indexing_jobs SET heartbeat_at = now(), phase = $2, files_scanned = $3,
             files_indexed = $4, files_unchanged = $5, files_skipped = $6, files_failed = $7,
             chunks_created = $8
         WHERE id = $1 AND status IN ('pending', 'running')",
    )
    .bind(id)
    .bind(progress.phase)
    .bind(count(progress.scanned))
    .bind(count(progress.indexed))
    .bind(count(progress.unchanged))
    .bind(count(progress.skipped))
    .bind(count(progress.failed))
    .bind(count(progress.chunks))
    .execute(on)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Ends a job well.
pub(super) async fn complete(on: impl PgExecutor<'_>, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE indexing_jobs SET status = 'completed', phase = NULL, completed_at = now()
         WHERE id = $1 AND status = 'running'",
    )
    .bind(id)
    .execute(on)
    .await
    .map(drop)
}

/// Ends a job badly.
pub(super) async fn fail(
    on: impl PgExecutor<'_>,
    id: Uuid,
    failure: &Failure,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE indexing_jobs SET status = 'failed', phase = NULL, completed_at = now(),
             error_code = $2, error_message = $3
         WHERE id = $1 AND status IN ('pending', 'running')",
    )
    .bind(id)
    .bind(failure.code)
    .bind(&failure.message)
    .execute(on)
    .await
    .map(drop)
}

/// Ends the jobs that nobody has signed for `limit`, but for `own`. Returns how many.
pub(super) async fn fail_orphans(
    on: impl PgExecutor<'_>,
    limit: Duration,
    own: &[Uuid],
) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "UPDATE indexing_jobs SET status = 'failed', phase = NULL, completed_at = now(),
             error_code = $3,
             error_message = 'the server that ran the job gave no sign of life for ' || $1::int
                             || ' s; submit it again, it goes on where it ended'
         WHERE status IN ('pending', 'running') AND id <> ALL($2)
           AND heartbeat_at < now() - make_interval(secs => $1)",
    )
    .bind(limit.as_secs_f64())
    .bind(own)
    .bind(super::ORPHANED)
    .execute(on)
    .await
    .map(|done| done.rows_affected())
}
