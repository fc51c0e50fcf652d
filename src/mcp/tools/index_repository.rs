//! `index_repository`: indexes and waits for the end, reporting progress on the way.

use rmcp::model::{JsonObject, ProgressNotificationParam, ProgressToken, Tool, ToolAnnotations};
use rmcp::service::RequestContext;
use rmcp::{Peer, RoleServer};
use uuid::Uuid;

use super::get_indexing_status::{Output, message, report};
use super::{IndexInput, accept, describe, parse};
use crate::jobs::{JobState, JobStatus};
use crate::mcp::Server;
use crate::mcp::error::{Code, ToolError};

pub(super) const NAME: &str = "index_repository";

pub(super) fn tool() -> Tool {
    describe::<IndexInput, Output>(
        NAME,
        "Index a repository",
        "Indexes a repository and waits until that is done, with progress notifications when the \
         request carries a progress token. For large repositories prefer start_indexing_background: \
         many clients give up on a call after 30 to 60 seconds. If the call is cancelled, indexing \
         goes on in the background.",
        ToolAnnotations::new().read_only(false).destructive(false).idempotent(true),
    )
}

pub(super) async fn call(
    server: &Server,
    arguments: JsonObject,
    context: &RequestContext<RoleServer>,
) -> Result<Output, ToolError> {
    let input: IndexInput = parse(arguments)?;
    let services = server.services().await?;
    let (_, request) = accept(&services, &input).await?;
    let mut follow = services.jobs.follow(request).await?;
    let mut reporter =
        Reporter { peer: &context.peer, token: context.meta.get_progress_token(), reported: None };
    let mut latest = None;
    loop {
        let next = tokio::select! {
            next = follow.next() => next?,
            () = context.ct.cancelled() => return Err(cancelled(follow.id())),
        };
        let Some(job) = next else { break };
        reporter.report(&job).await;
        latest = Some(job);
    }
    let job = latest.ok_or_else(|| cancelled(follow.id()))?;
    match (job.status, &job.error_message) {
        (JobState::Failed, Some(error)) => {
            let database = job.error_code.as_deref() == Some("DATABASE_ERROR");
            let code = if database { Code::Database } else { Code::Indexing };
            let details = serde_json::json!({ "job_id": job.id, "reason": job.error_code });
            Err(ToolError::advised(error, "index again, it goes on where it ended")
                .coded(code)
                .with_details(details))
        }
        _ => report(&services, job).await,
    }
}

fn cancelled(id: Uuid) -> ToolError {
    ToolError::new(
        Code::Indexing,
        format!("the call was cancelled; job {id} goes on in the background"),
        "follow it with get_indexing_status",
    )
    .with_details(serde_json::json!({ "job_id": id }))
}

/// Sends progress to a client that asked for it, and only when there is some.
struct Reporter<'a> {
    peer: &'a Peer<RoleServer>,
    token: Option<ProgressToken>,
    reported: Option<f64>,
}

impl Reporter<'_> {
    async fn report(&mut self, job: &JobStatus) {
        let Some(token) = &self.token else { return };
        let count = |files: i64| f64::from(u32::try_from(files).unwrap_or(u32::MAX));
        let done = count(job.files_done());
        if self.reported.is_some_and(|reported| done <= reported) {
            return;
        }
        self.reported = Some(done);
        let mut progress =
            ProgressNotificationParam::new(token.clone(), done).with_message(message(job));
        if job.files_scanned > 0 {
            progress = progress.with_total(count(job.files_scanned));
        }
        if let Err(error) = self.peer.notify_progress(progress).await {
            tracing::debug!(error = %error, "a client did not take a progress notification");
        }
    }
}
