//! The pool against a scripted connector and a paused clock.

mod acquiring;
mod cancelling;
mod ending;
mod limits;
mod living;
mod odd;
mod queueing;
pub(super) mod schedule;
mod scripted;
mod simulation;
mod texts;

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::*;
use scripted::{Act, Scripted};

fn config(min_size: u32, max_size: u32) -> Config {
    Config { min_size, max_size, ..Config::default() }
}

fn pool(config: Config, connector: &Scripted) -> Pool<Scripted> {
    Pool::new("test", config, connector.clone()).unwrap()
}

/// A pool whose first `min_size` connections are open.
async fn warm(config: Config, connector: &Scripted) -> Pool<Scripted> {
    let pool = pool(config, connector);
    pool.ready().await.unwrap();
    pool
}

fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    TaskTracker::new().spawn(task)
}

/// An acquire as a task of its own.
fn acquiring(pool: &Pool<Scripted>) -> JoinHandle<Result<Lease<Scripted>, AcquireError>> {
    let pool = pool.clone();
    spawn(async move { pool.acquire().await })
}

/// Lets the pool's tasks run until they all wait for something.
async fn settled() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Idle, in use, opening, checking, closing, waiting.
fn counts(pool: &Pool<Scripted>) -> [u32; 6] {
    let Snapshot { idle, in_use, opening, checking, closing, waiting, .. } = pool.snapshot();
    [idle, in_use, opening, checking, closing, waiting]
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
