//! Operations on a connection pool in this process, as a program that has the library makes them.

mod code;
mod staleness;
mod witness;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use codebase_mcp::pool::{Config, ConfigError, PgLease, PgPool, Postgres};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use sqlx::postgres::PgConnectOptions;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use self::witness::Witness;
use super::alarm::Alarm;
use super::request::Answer;
use super::target::foreign;
use crate::record::Outcome;
use crate::schema::Op;

/// A pool that requests are made to. Clones are handles of the same.
#[derive(Debug, Clone)]
pub struct Subject {
    pool: PgPool,
    inner: Arc<Inner>,
}

/// What all handles share.
#[derive(Debug)]
struct Inner {
    config: Config,
    options: PgConnectOptions,
    witness: Witness,
}

/// The error that a caller of the pool got, by its code.
struct Failed(Outcome);

impl Subject {
    /// Makes a pool, inside a Tokio runtime. It begins to open its connections in the background.
    ///
    /// # Errors
    /// Every key of the configuration that is out of bounds.
    pub fn new(name: &str, config: Config, options: PgConnectOptions) -> Result<Self, ConfigError> {
        let pool = open(name, &config, &options)?;
        Ok(Self { pool, inner: Arc::new(Inner { config, options, witness: Witness::default() }) })
    }

    /// The pool itself. While leases are taken from it past [`perform`](super::perform), the ages that
    /// `pool.snapshot` measures prove less: the pool then counts releases that nobody expects.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// How many connections the pool can lend at once, `max_size` at most: as many as are acquired within
    /// `patience`. They are all given back.
    ///
    /// # Cancel safety
    /// A dropped future gives back what it has.
    pub async fn capacity(&self, patience: Duration) -> usize {
        let end = Instant::now() + patience;
        let mut leases = Vec::new();
        for _ in 0..self.inner.config.max_size {
            match timeout_at(end, self.pool.acquire()).await {
                Ok(Ok(lease)) => leases.push(lease),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        leases.len()
    }
}

fn open(name: &str, config: &Config, options: &PgConnectOptions) -> Result<PgPool, ConfigError> {
    let connector = Postgres::new(options.clone(), name, config.command_timeout);
    PgPool::new(name, config.clone(), connector)
}

/// Carries out an operation on a pool once.
pub(super) async fn perform(op: &Op, subject: &Subject, mut rng: ChaCha8Rng) -> Answer {
    let done = match op {
        Op::PoolAcquire => acquire(subject).await,
        Op::PoolQuery { hold: (least, most) } => {
            let hold = draw(&mut rng, *least, *most);
            query(subject, hold).await
        }
        Op::PoolCancel { within } => cancel(subject, *within, &mut rng).await,
        Op::PoolPanic { within } => panic(subject, *within, &mut rng).await,
        Op::PoolHealth => {
            let (health, _reason) = subject.pool.health();
            return Answer::health(health);
        }
        Op::PoolSnapshot => Ok(staleness::measure(subject).await),
        Op::PoolOpen => return open_another(subject).await,
        Op::Search { .. } | Op::Health | Op::ListTools | Op::Start => return foreign(op),
    };
    match done {
        Ok(value) => Answer { outcome: Outcome::Ok, value, rest: None },
        Err(Failed(outcome)) => outcome.into(),
    }
}

/// A time from the range, both ends included. A range that is none is its least time.
fn draw(rng: &mut ChaCha8Rng, least: Duration, most: Duration) -> Duration {
    rng.random_range(least..=most.max(least))
}

async fn acquire(subject: &Subject) -> Result<Option<u64>, Failed> {
    let mut release = subject.inner.witness.release();
    let lease = subject.pool.acquire().await?;
    release.is_due();
    drop(lease);
    Ok(None)
}

async fn query(subject: &Subject, hold: Duration) -> Result<Option<u64>, Failed> {
    let mut release = subject.inner.witness.release();
    let mut lease = subject.pool.acquire().await?;
    release.is_due();
    let pid = backend_pid(&mut lease).await?;
    if !hold.is_zero() {
        sleep(hold).await;
        // Whether a connection was really kept shows only when it is used again.
        let still = backend_pid(&mut lease).await?;
        if still != pid {
            let what = format!("a lease went from session {pid} to {still} while it was kept");
            return Err(Failed(Outcome::Malformed { what }));
        }
    }
    drop(lease);
    Ok(Some(pid))
}

async fn backend_pid(lease: &mut PgLease) -> Result<u64, Failed> {
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(lease).await?;
    Ok(u64::from(pid.unsigned_abs()))
}

/// Begins work that takes as long as `within`, and drops it before.
async fn cancel(
    subject: &Subject,
    within: Duration,
    rng: &mut ChaCha8Rng,
) -> Result<Option<u64>, Failed> {
    let dropped_after = draw(rng, Duration::ZERO, within);
    let work = work(subject, within, rng.random());
    // Most of what can go wrong with a cancelled acquire goes wrong between two milliseconds.
    let alarm = Alarm::new();
    tokio::select! {
        biased;
        done = work => done.map(|()| None),
        // Its proper end.
        () = alarm.until(Instant::now() + dropped_after) => Ok(None),
    }
}

/// With what a task ends that was to panic.
struct ProperEnd;

/// Begins work that takes as long as `within`, in a task that panics before.
async fn panic(
    subject: &Subject,
    within: Duration,
    rng: &mut ChaCha8Rng,
) -> Result<Option<u64>, Failed> {
    let (after, transaction) = (draw(rng, Duration::ZERO, within), rng.random());
    let subject = subject.clone();
    // A set ends its task when it is dropped: nothing goes on after its caller has given up.
    let mut task = JoinSet::new();
    task.spawn(async move {
        let alarm = Alarm::new();
        tokio::select! {
            biased;
            done = work(&subject, within, transaction) => done,
            // The work is still there and is dropped while the task unwinds. Nobody prints this panic.
            () = alarm.until(Instant::now() + after) => resume_unwind(Box::new(ProperEnd)),
        }
    });
    // There is one task, so it ends once.
    let Some(ended) = task.join_next().await else { return Ok(None) };
    match ended.map_err(JoinError::try_into_panic) {
        Ok(done) => done.map(|()| None),
        Err(Ok(cause)) if cause.is::<ProperEnd>() => Ok(None),
        Err(_) => Err(Failed(Outcome::Malformed { what: "the pool panicked".to_owned() })),
    }
}

/// Holds a connection with a statement that runs, alone or within a transaction that has changed something.
async fn work(subject: &Subject, time: Duration, transaction: bool) -> Result<(), Failed> {
    let mut release = subject.inner.witness.release();
    let mut lease = subject.pool.acquire().await?;
    release.is_due();
    let sleeping = sqlx::query("SELECT pg_sleep($1)").bind(time.as_secs_f64());
    if transaction {
        let mut transaction = lease.begin().await?;
        let change = "SELECT set_config('application_name', 'in a transaction', true)";
        sqlx::query(change).execute(&mut *transaction).await?;
        sleeping.execute(&mut *transaction).await?;
        drop(transaction.commit().await?);
    } else {
        sleeping.execute(&mut lease).await?;
    }
    Ok(())
}

/// Makes a pool like the subject's, from nothing to its first lease.
async fn open_another(subject: &Subject) -> Answer {
    let name = format!("{} opened", subject.pool.name());
    let pool = match open(&name, &subject.inner.config, &subject.inner.options) {
        Ok(pool) => pool,
        Err(_bounds) => return code::configuration().into(),
    };
    let opened = async {
        pool.ready().await?;
        drop(pool.acquire().await?);
        Ok(())
    };
    let outcome = match opened.await {
        Ok(()) => Outcome::Ok,
        Err(Failed(outcome)) => outcome,
    };
    let rest = async move {
        let report = pool.shutdown().await;
        if report.forced.is_empty() && report.abandoned == 0 {
            return Outcome::Ok;
        }
        let (forced, abandoned) = (report.forced.len(), report.abandoned);
        let what = format!("its shutdown forced {forced} leases and abandoned {abandoned}");
        Outcome::Malformed { what }
    };
    Answer { outcome, value: None, rest: Some(Box::pin(rest)) }
}
