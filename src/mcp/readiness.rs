//! What the tools work with, and how far it is.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Server;
use super::error::{Code, ToolError};
use crate::embed::StaticModel;
use crate::jobs::Jobs;
use crate::project::Projects;

/// What the tools work with.
#[derive(Debug, Clone)]
pub struct Services {
    /// Which project a request means.
    pub projects: Arc<Projects>,
    /// Who indexes.
    pub jobs: Jobs,
    /// What makes vectors.
    pub model: Arc<StaticModel>,
}

/// How far the server is on its way to its database.
#[derive(Debug, Clone)]
pub enum Readiness {
    /// The first attempt is under way.
    Starting,
    /// The last attempt failed; the next one follows by itself.
    Failed {
        /// What happened and what to do, for people.
        error: Arc<str>,
        /// When the next attempt begins, counted from the failure.
        retry_after: Duration,
    },
    /// Everything is there.
    Ready(Services),
}

impl Server {
    /// The services, waiting up to `startup_wait` for a database that is still starting.
    pub(super) async fn services(&self) -> Result<Services, ToolError> {
        let mut readiness = self.readiness.clone();
        let settled = readiness.wait_for(|state| !matches!(state, Readiness::Starting));
        let state = match timeout(self.startup_wait, settled).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_closed)) => return Err(ToolError::shutting_down()),
            Err(_elapsed) => Readiness::Starting,
        };
        match state {
            Readiness::Ready(services) => Ok(services),
            Readiness::Starting => Err(ToolError::new(
                Code::NotReady,
                "the database is still starting",
                "call the tool again in a few seconds",
            )),
            Readiness::Failed { error, retry_after } => Err(ToolError::new(
                Code::NotReady,
                format!("the database is not available: {error}"),
                "mend the cause; the server tries again by itself. `codebase-mcp doctor` checks every part",
            )
            .with_details(serde_json::json!({ "retry_after_seconds": retry_after.as_secs_f64() }))),
        }
    }
}
