//! Indexing jobs: accepted at once, run in the background, seen by everybody.
//!
//! A job is a row in the registry, so any process can report on it; the process that accepted it runs it
//! and signs its row every second. A row that nobody signs for [`ORPHANED_AFTER`] belongs to nobody: whoever
//! looks at it next closes it, and a process that comes back to a row that was closed gives its run up. The
//! module runs *a* job and knows nothing of what jobs do: the handler comes from outside.
//!
//! `pending → running → completed | failed`; a finished job never changes again.

mod config;
mod queue;

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use config::Config;
pub use queue::{JobState, JobStatus};

use crate::pool::{AcquireError, PgLease, PgPool, public_statement_error};

/// How often a job's row is signed and its progress written.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long after its last sign of life a job counts as orphaned.
const ORPHANED_AFTER: Duration = Duration::from_secs(10);
/// The code of a job whose process stopped signing.
const ORPHANED: &str = "ORPHANED";
/// How long to wait before the end of a job is recorded again, when the database did not take it.
const RECORD_AGAIN: Duration = Duration::from_secs(1);
/// How often a follower looks at a job's row.
const FOLLOW: Duration = Duration::from_millis(200);

/// How far a job is. Counts are of files, but for the chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, as a stable label.
    pub phase: &'static str,
    /// Files found by the walk.
    pub scanned: u64,
    /// Files whose chunks were written by this job.
    pub indexed: u64,
    /// Files that were in the index already as they are.
    pub unchanged: u64,
    /// Files that a rule keeps out.
    pub skipped: u64,
    /// Files that could not be read.
    pub failed: u64,
    /// Chunks written by this job.
    pub chunks: u64,
}

/// What a handler works with: where to report progress, and when to stop.
#[derive(Debug, Clone)]
pub struct Run {
    /// The latest progress.
    pub progress: watch::Sender<Progress>,
    /// Cancelled when the process shuts down, or when the job has been taken for dead.
    pub stop: CancellationToken,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A stable code for clients.
    pub code: &'static str,
    /// What happened, why, and what to do.
    pub message: String,
}

/// Does the work of a job.
pub type Handler =
    Arc<dyn Fn(Request, Run) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync + 'static>;

/// What is to be indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The project it is for.
    pub project_id: Uuid,
    /// The repository: absolute and resolved.
    pub repo_path: String,
    /// Whether files are indexed again although they have not changed.
    pub force_reindex: bool,
}

/// A job that was accepted, or the one that is at it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// The job's id.
    pub id: Uuid,
    /// Whether an unfinished job for the same repository existed, and this is it.
    pub existing: bool,
    /// Whether this job indexes files again although they have not changed.
    pub force_reindex: bool,
}

/// Why a job was not accepted, or could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Too many wait already.
    #[error("{limit} jobs wait already; retry when some have finished, or raise jobs.queue_limit")]
    QueueFull {
        /// `queue_limit` of the configuration.
        limit: usize,
    },
    /// There is no such job.
    #[error("there is no job with the id {id}")]
    NotFound {
        /// What was asked for.
        id: Uuid,
    },
    /// The process is shutting down.
    #[error("the server is shutting down and accepts no job")]
    ShuttingDown,
    /// No connection.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// A statement failed.
    #[error("a statement on the job queue failed: {0}")]
    Database(#[from] sqlx::Error),
}

impl JobError {
    /// The error for clients, who are not to learn where the database is and who connects to it.
    pub fn public(&self) -> String {
        match self {
            Self::Acquire(error) => error.public(),
            Self::Database(error) => public_statement_error(error),
            Self::QueueFull { .. } | Self::NotFound { .. } | Self::ShuttingDown => self.to_string(),
        }
    }
}

/// The jobs of one process, and a view of everybody's.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    registry: PgPool,
    config: Config,
    handler: Handler,
    /// One permit a running job.
    slots: Semaphore,
    /// One permit a running or waiting job.
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// The unfinished jobs of this process, which are not orphans whatever their rows say.
    own: Mutex<HashSet<Uuid>>,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").field("running", &self.inner.tasks.len()).finish_non_exhaustive()
    }
}

impl Jobs {
    /// Runs jobs with `handler`, and closes those whose process died. Dropping the future starts nothing.
    pub async fn start(
        registry: PgPool,
        config: Config,
        handler: Handler,
    ) -> Result<Self, JobError> {
        let inner = Inner {
            registry,
            handler,
            slots: Semaphore::new(config.max_concurrent),
            places: Arc::new(Semaphore::new(config.max_concurrent + config.queue_limit)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            own: Mutex::new(HashSet::new()),
            config,
        };
        inner.close_orphans(&mut inner.registry.acquire().await?).await?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Accepts a job and returns at once. A repository with an unfinished job gets that job's id.
    ///
    /// # Cancel safety
    /// After a dropped future the job may have been accepted; it then runs, or is closed as orphaned.
    pub async fn submit(&self, request: Request) -> Result<Submitted, JobError> {
        let inner = &self.inner;
        if inner.stop.is_cancelled() {
            return Err(JobError::ShuttingDown);
        }
        let mut lease = inner.registry.acquire().await?;
        inner.close_orphans(&mut lease).await?;
        if let Some(active) = queue::active(&mut lease, &request).await? {
            return Ok(active);
        }
        let limit = inner.config.queue_limit;
        let place = Arc::clone(&inner.places)
            .try_acquire_owned()
            .map_err(|_full| JobError::QueueFull { limit })?;
        let submitted = queue::enqueue(&mut lease, &request).await?;
        if !submitted.existing {
            let inner = Arc::clone(inner);
            inner.own.lock().insert(submitted.id);
            self.inner.tasks.spawn(async move {
                inner.run(submitted.id, request).await;
                inner.own.lock().remove(&submitted.id);
                drop(place);
            });
        }
        Ok(submitted)
    }

    /// The job's row.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn status(&self, id: Uuid) -> Result<JobStatus, JobError> {
        let mut lease = self.inner.registry.acquire().await?;
        self.inner.close_orphans(&mut lease).await?;
        queue::find(&mut lease, id).await?.ok_or(JobError::NotFound { id })
    }

    /// Submits a job and follows it to its end. Where an unfinished job was in the way, that job is
    /// followed, and the request is submitted again if its process had died or it did less than was asked.
    ///
    /// # Cancel safety
    /// As for [`submit`](Self::submit).
    pub async fn follow(&self, request: Request) -> Result<Follow, JobError> {
        let submitted = self.submit(request.clone()).await?;
        Ok(Follow { jobs: self.clone(), request, submitted, ended: false, looked: false })
    }

    /// Accepts no more, stops the running ones at their next step, and waits for them.
    ///
    /// # Cancel safety
    /// After a dropped future the jobs stop all the same.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

/// The statuses of a job, as they come.
#[derive(Debug)]
pub struct Follow {
    jobs: Jobs,
    request: Request,
    submitted: Submitted,
    ended: bool,
    looked: bool,
}

impl Follow {
    /// The id of the job that is being followed.
    pub fn id(&self) -> Uuid {
        self.submitted.id
    }

    /// The next status, the last one being that of the finished job; then `None`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<JobStatus>, JobError> {
        if self.ended {
            return Ok(None);
        }
        if self.looked {
            sleep(FOLLOW).await;
        }
        self.looked = true;
        let status = self.jobs.status(self.submitted.id).await?;
        if status.status.is_finished() {
            let orphaned = status.error_code.as_deref() == Some(ORPHANED);
            let less = self.request.force_reindex && !status.force_reindex;
            if self.submitted.existing && (orphaned || less) {
                self.submitted = self.jobs.submit(self.request.clone()).await?;
            } else {
                self.ended = true;
            }
        }
        Ok(Some(status))
    }
}

impl Inner {
    /// Closes the jobs of other processes that nobody has signed for too long.
    async fn close_orphans(&self, lease: &mut PgLease) -> Result<(), JobError> {
        let own: Vec<Uuid> = self.own.lock().iter().copied().collect();
        let closed = queue::fail_orphans(lease, ORPHANED_AFTER, &own).await?;
        if closed > 0 {
            tracing::warn!(jobs = closed, "closed jobs whose process gave no sign of life");
        }
        Ok(())
    }

    async fn run(&self, id: Uuid, request: Request) {
        let (progress, seen) =
            watch::channel(Progress { phase: "starting", ..Progress::default() });
        let run = Run { progress, stop: self.stop.child_token() };
        let lost = run.stop.clone();
        // Both are polled all the time: each may hold a connection that the other waits for.
        let outcome = tokio::select! {
            outcome = self.work(id, request, run) => outcome,
            never = self.keep_signed(id, &seen, &lost) => match never {},
        };
        match &outcome {
            Ok(()) => tracing::info!(job.id = %id, "job completed"),
            Err(Failure { code, message }) => {
                tracing::info!(job.id = %id, code, error = message, "job failed");
            }
        }
        let progress = *seen.borrow();
        while let Err(error) = self.finish(id, progress, &outcome).await {
            tracing::warn!(job.id = %id, error = %error, "could not record the end of a job");
            if self.stop.is_cancelled() {
                // The row is closed as orphaned by whoever looks at it next.
                return;
            }
            sleep(RECORD_AGAIN).await;
        }
    }

    async fn work(&self, id: Uuid, request: Request, run: Run) -> Result<(), Failure> {
        let stopped = Failure {
            code: "STOPPED",
            message: "the server stopped before the job began; submit it again".to_owned(),
        };
        let _slot = tokio::select! {
            () = run.stop.cancelled() => return Err(stopped),
            slot = self.slots.acquire() => slot.map_err(|_closed| stopped)?,
        };
        let started = async { queue::begin(&mut self.registry.acquire().await?, id).await };
        started.await.map_err(|error: JobError| Failure {
            code: "DATABASE_ERROR",
            message: error.public(),
        })?;
        tracing::info!(job.id = %id, repository = request.repo_path, "job started");
        (self.handler)(request, run).await
    }

    /// Signs the job every second, and cancels `lost` when it was taken for dead.
    async fn keep_signed(
        &self,
        id: Uuid,
        progress: &watch::Receiver<Progress>,
        lost: &CancellationToken,
    ) -> Infallible {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            heartbeat.tick().await;
            let latest = *progress.borrow();
            match self.sign(id, latest).await {
                Ok(true) => {}
                Ok(false) => lost.cancel(),
                Err(error) => {
                    tracing::warn!(job.id = %id, error = %error, "could not sign a job");
                }
            }
        }
    }

    /// False when the job is not unfinished any more: it was taken for dead.
    async fn sign(&self, id: Uuid, progress: Progress) -> Result<bool, JobError> {
        Ok(queue::sign(&mut self.registry.acquire().await?, id, progress).await?)
    }

    async fn finish(
        &self,
        id: Uuid,
        progress: Progress,
        outcome: &Result<(), Failure>,
    ) -> Result<(), JobError> {
        let mut lease = self.registry.acquire().await?;
        queue::sign(&mut lease, id, progress).await?;
        match outcome {
            Ok(()) => queue::complete(&mut lease, id).await?,
            Err(failure) => queue::fail(&mut lease, id, failure).await?,
        }
        Ok(())
    }
}
