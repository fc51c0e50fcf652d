//! How old the numbers are that a pool shows while others change it.
//!
//! Nothing in a pool's numbers says from when they are, so their age has to be found from outside. A change whose
//! end is known is made: a lease is given back, which is over when its drop returns. Another thread waits for that and
//! reads the pool's numbers at once, as each reading that begins after the change must know of it. Then
//!
//! - if the first reading shows the change, what it shows is from an instant within the reading itself, so at its end
//!   it is at most as old as the reading took: that is the age;
//! - if it does not, readings are repeated until one does, and the age is the time from the change to the end of the
//!   first one that shows it.
//!
//! "Shows" is by count: the pool must have counted at least as many releases as callers of [`perform`](super::perform)
//! have finished by then. What this cannot tell:
//!
//! - Releases that others are just in the middle of can be in the pool's count and not yet in that of the callers, so
//!   a stale count can hide behind as many releases as there are threads that give back at this instant, no more.
//! - The reader begins some microseconds after the change, when the other thread has told it. A lag shorter than that
//!   is over by then, and no reader would have met it.
//! - The pauses of a thread that has no processor are in the age, which makes it longer and never shorter.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use codebase_mcp::pool::{AcquireOptions, PgPool};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Subject;

/// How long to wait for a connection to make the change with. Without one there is no change and no age.
const CHANGE: Duration = Duration::from_millis(100);
/// After how long a reader no longer waits for the change, or for a reading that shows it. The age of what was read
/// is then at least this, which no limit allows.
const OLDEST: Duration = Duration::from_millis(500);

/// What a change leaves for the reader: when it was over, and how many leases had been given back by then.
type Change = OnceLock<(Instant, u64)>;

/// Reads the pool's numbers and gives their age in nanoseconds; `None` when no connection was to be had, so that
/// there was nothing to see, or when the pool may take leases back by itself, which no caller can count.
pub(super) async fn measure(subject: &Subject) -> Option<u64> {
    let options = AcquireOptions { timeout: Some(CHANGE), ..AcquireOptions::default() };
    let mut release = subject.inner.witness.release();
    let lease = match subject.pool.acquire_with(options).await {
        Ok(lease) if !subject.inner.config.leaks.reclaim => lease,
        Ok(_) | Err(_) => {
            std::hint::black_box(subject.pool.snapshot());
            return None;
        }
    };
    release.is_due();
    let change = Arc::new(Change::new());
    let (waits, waiting) = oneshot::channel();
    let reader = {
        let (pool, change) = (subject.pool.clone(), Arc::clone(&change));
        tokio::task::spawn_blocking(move || read(&pool, &change, waits))
    };
    // A reader that could not start has nothing to see.
    waiting.await.ok()?;
    drop(lease);
    drop(release);
    // What was given back by now, this included, must be in every later reading.
    change.get_or_init(|| (Instant::now(), subject.inner.witness.released()));
    let age = reader.await.ok()??;
    Some(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX))
}

/// Waits for the change and reads until a reading shows it. `None` when there was none.
fn read(pool: &PgPool, change: &Change, waits: oneshot::Sender<()>) -> Option<Duration> {
    // Whoever was to make the change has gone.
    waits.send(()).ok()?;
    let started = Instant::now();
    let (at, released) = loop {
        if let Some(change) = change.get() {
            break *change;
        }
        if started.elapsed() > OLDEST {
            return None;
        }
        std::thread::yield_now();
    };
    let mut first = true;
    loop {
        let begun = Instant::now();
        let seen = pool.statistics().total_releases;
        let end = Instant::now();
        if seen >= released {
            return Some(if first { end - begun } else { end - at });
        }
        if at.elapsed() > OLDEST {
            return Some(at.elapsed());
        }
        first = false;
    }
}
