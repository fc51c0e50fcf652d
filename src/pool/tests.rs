//! The asynchronous shell, against a scripted connector and a paused clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::error::CheckError;
use super::*;

/// What the next call of the connector does. An empty script succeeds at once.
#[derive(Debug, Clone, Copy)]
enum Act {
    Fail,
    Never,
    After(Duration),
}

#[derive(Debug, Default)]
struct Script {
    open: VecDeque<Act>,
    check: VecDeque<Act>,
    opened: u32,
    checked: u32,
    closed: u32,
}

#[derive(Debug, Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    fn opening(acts: impl IntoIterator<Item = Act>) -> Self {
        let script = Script { open: acts.into_iter().collect(), ..Script::default() };
        Self(Arc::new(Mutex::new(script)))
    }

    async fn play(act: Option<Act>) -> Result<(), sqlx::Error> {
        match act {
            None => Ok(()),
            Some(Act::After(delay)) => {
                sleep(delay).await;
                Ok(())
            }
            Some(Act::Never) => std::future::pending().await,
            Some(Act::Fail) => Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into())),
        }
    }
}

impl Connect for Scripted {
    type Connection = u32;

    async fn open(&self) -> Result<u32, sqlx::Error> {
        let act = self.0.lock().open.pop_front();
        Self::play(act).await?;
        let mut script = self.0.lock();
        script.opened += 1;
        Ok(script.opened)
    }

    async fn check(&self, _connection: &mut u32) -> Result<(), CheckError> {
        let act = {
            let mut script = self.0.lock();
            script.checked += 1;
            script.check.pop_front()
        };
        Self::play(act).await.map_err(CheckError::Failed)
    }

    async fn close(&self, _connection: u32) {
        self.0.lock().closed += 1;
    }
}

fn config(min_size: u32, max_size: u32) -> Config {
    Config { min_size, max_size, ..Config::default() }
}

/// Lets the pool's tasks run until they all wait for something.
async fn settled() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

fn counts(pool: &Pool<Scripted>) -> (u32, u32, u32, u32, u32) {
    let Snapshot { idle, in_use, opening, closing, waiting, .. } = pool.snapshot();
    (idle, in_use, opening, closing, waiting)
}

#[tokio::test(start_paused = true)]
async fn opens_min_size_without_being_asked() {
    let pool = Pool::new(config(2, 10), Scripted::default());
    settled().await;
    assert_eq!(counts(&pool), (2, 0, 0, 0, 0));
    assert_eq!(pool.snapshot().health(), (Health::Healthy, HealthReason::Ok));
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_order_of_arrival() {
    let pool = Pool::new(config(1, 1), Scripted::default());
    let held = pool.acquire().await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let tasks = TaskTracker::new();
    for number in 0..50 {
        let (pool, order) = (pool.clone(), Arc::clone(&order));
        tasks.spawn(async move {
            let lease = pool.acquire().await.unwrap();
            order.lock().push(number);
            drop(lease);
        });
        settled().await;
    }
    assert_eq!(pool.snapshot().waiting, 50);
    drop(held);
    tasks.close();
    tasks.wait().await;
    assert_eq!(*order.lock(), (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_hundred_at_once_share_ten_connections() {
    let pool = Pool::new(config(2, 10), Scripted::default());
    let start = Arc::new(Barrier::new(100));
    let tasks = TaskTracker::new();
    let workers: Vec<_> = (0..100)
        .map(|_| {
            let (pool, start) = (pool.clone(), Arc::clone(&start));
            tasks.spawn(async move {
                start.wait().await;
                let lease = pool.acquire().await.unwrap();
                tokio::task::yield_now().await;
                drop(lease);
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let snapshot = pool.snapshot();
    assert!(snapshot.peak_in_use <= 10, "{snapshot:?}");
    assert_eq!((snapshot.acquired, snapshot.released), (100, 100));
    assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn gives_up_at_the_limit_and_says_what_it_saw() {
    let limit = Duration::from_millis(250);
    let pool = Pool::new(Config { acquire_timeout: limit, ..config(1, 1) }, Scripted::default());
    let _held = pool.acquire().await.unwrap();
    let started = Instant::now();
    let error = pool.acquire().await.unwrap_err();
    assert_eq!(started.elapsed(), limit);
    insta::assert_snapshot!(error, @"no connection became free within 250 ms (1 in use, 0 idle, 0 opening, 0 closing of 1; 0 waiting); raise pool.max_size or shorten the work that holds connections");
    assert_eq!(pool.snapshot().timed_out, 1);
    assert_eq!(pool.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn an_acquire_dropped_at_any_poll_loses_nothing() {
    let connector = Scripted::opening([Act::After(Duration::from_millis(5))]);
    let pool = Pool::new(Config { max_size: 1, ..config(1, 1) }, connector.clone());
    settled().await;
    for _ in 0..100 {
        let mut acquire = Box::pin(pool.acquire());
        assert!(futures_util::poll!(acquire.as_mut()).is_pending());
        drop(acquire);
    }
    sleep(Duration::from_millis(6)).await;
    settled().await;
    assert_eq!(counts(&pool), (1, 0, 0, 0, 0));

    // Handed over, and dropped before it was looked at.
    let held = pool.acquire().await.unwrap();
    let mut acquire = Box::pin(pool.acquire());
    assert!(futures_util::poll!(acquire.as_mut()).is_pending());
    drop(held);
    assert_eq!(counts(&pool), (0, 1, 0, 0, 0));
    drop(acquire);
    assert_eq!(counts(&pool), (1, 0, 0, 0, 0));
    assert_eq!(connector.0.lock().opened, 1, "cancelling opens nothing anew");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_checked_only_after_the_bypass_window() {
    let connector = Scripted::default();
    let pool = Pool::new(config(1, 1), connector.clone());
    drop(pool.acquire().await.unwrap());
    sleep(Duration::from_millis(500)).await;
    drop(pool.acquire().await.unwrap());
    assert_eq!(connector.0.lock().checked, 0);
    sleep(Duration::from_millis(501)).await;
    drop(pool.acquire().await.unwrap());
    assert_eq!(connector.0.lock().checked, 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_its_check_is_replaced_unseen() {
    for act in [Act::Fail, Act::Never] {
        let connector = Scripted::default();
        let pool = Pool::new(config(1, 1), connector.clone());
        settled().await;
        sleep(Duration::from_secs(1)).await;
        connector.0.lock().check.push_back(act);
        let lease = pool.acquire().await.unwrap();
        assert_eq!(lease.id(), 2, "{act:?}");
        assert_eq!(counts(&pool), (0, 1, 0, 0, 0), "{act:?}");
        assert!(pool.snapshot().last_error.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_dropped_half_way_closes_the_connection() {
    let connector = Scripted::default();
    let pool = Pool::new(config(1, 1), connector.clone());
    settled().await;
    sleep(Duration::from_secs(1)).await;
    connector.0.lock().check.push_back(Act::Never);
    let mut acquire = Box::pin(pool.acquire());
    assert!(futures_util::poll!(acquire.as_mut()).is_pending());
    drop(acquire);
    settled().await;
    assert_eq!(counts(&pool), (1, 0, 0, 0, 0));
    assert_eq!(connector.0.lock().opened, 2, "the suspect was replaced, not reused");
}

#[tokio::test(start_paused = true)]
async fn an_untracked_connection_is_not_reused() {
    let pool = Pool::new(config(1, 1), Scripted::default());
    let mut lease = pool.acquire().await.unwrap();
    *lease.untracked() = 99;
    drop(lease);
    assert_eq!(pool.acquire().await.unwrap().id(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_outage_fails_fast_with_its_cause_and_heals_by_itself() {
    let pool = Pool::new(config(1, 4), Scripted::opening([Act::Fail, Act::Fail, Act::Fail]));
    let AcquireError::Unavailable(first) = pool.acquire().await.unwrap_err() else {
        panic!("the first failure must reach the waiter")
    };
    assert!((900..=1100).contains(&first.retry_after.as_millis()), "{first:?}");
    let started = Instant::now();
    assert!(matches!(pool.acquire().await, Err(AcquireError::Unavailable(_))));
    assert_eq!(started.elapsed(), Duration::ZERO, "no waiting while the outage is known");
    assert_eq!(pool.snapshot().health().0, Health::Unhealthy);
    // Attempts at 1, 3 and 7 s, within ten percent: the fourth succeeds.
    sleep(Duration::from_millis(7_800)).await;
    assert!(pool.acquire().await.is_ok());
    assert_eq!(pool.snapshot().open_failed, 3);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_told_so_reconnects_at_once() {
    let pool = Pool::new(config(1, 4), Scripted::opening([Act::Fail, Act::Fail]));
    settled().await;
    for expected in [2, 2] {
        pool.reconnect_now();
        settled().await;
        assert_eq!(pool.snapshot().open_failed, expected);
    }
    assert_eq!(counts(&pool), (1, 0, 0, 0, 0), "the third attempt succeeded, without any wait");
}

#[tokio::test(start_paused = true)]
async fn a_hung_attempt_ends_at_the_connect_limit() {
    let pool = Pool::new(config(1, 1), Scripted::opening([Act::Never]));
    let started = Instant::now();
    let error = pool.acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::Unavailable(_)), "{error}");
    assert_eq!(started.elapsed(), Config::default().connect_timeout);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_leases_and_turns_waiters_away() {
    let connector = Scripted::default();
    let pool = Pool::new(config(1, 1), connector.clone());
    let lease = pool.acquire().await.unwrap();
    let tasks = TaskTracker::new();
    let waiter = tasks.spawn(pool.acquire());
    settled().await;
    let ending = tasks.spawn({
        let pool = pool.clone();
        async move { pool.shutdown().await }
    });
    settled().await;
    assert!(matches!(waiter.await.unwrap(), Err(AcquireError::Closed)));
    assert!(matches!(pool.acquire().await, Err(AcquireError::Closed)));
    sleep(Duration::from_secs(5)).await;
    drop(lease);
    let report = ending.await.unwrap();
    assert_eq!(report, ShutdownReport { abandoned: 0, elapsed: Duration::from_secs(5) });
    assert_eq!(connector.0.lock().closed, 1);
    assert_eq!(pool.snapshot().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_at_its_limit_and_counts_who_is_still_out() {
    let pool = Pool::new(config(1, 2), Scripted::default());
    let lease = pool.acquire().await.unwrap();
    let report = pool.shutdown().await;
    assert_eq!(report.abandoned, 1);
    assert_eq!(report.elapsed, Config::default().shutdown_timeout);
    drop(lease);
    settled().await;
    assert_eq!(pool.snapshot().total(), 0, "a late lease is closed, not kept");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_closes_everything() {
    let connector = Scripted::default();
    let pool = Pool::new(config(2, 4), connector.clone());
    settled().await;
    let lease = pool.acquire().await.unwrap();
    let handle = pool.clone();
    let waiting = pool.acquire();
    drop(pool);
    settled().await;
    assert_eq!(connector.0.lock().closed, 0, "another handle is left");
    drop(handle);
    settled().await;
    assert_eq!(connector.0.lock().closed, 1, "what is idle is closed");
    assert!(matches!(waiting.await, Err(AcquireError::Closed)));
    drop(lease);
    settled().await;
    assert_eq!(connector.0.lock().closed, 2, "the lease closes its own");
}

#[test]
fn a_lease_may_outlive_its_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pool = runtime.block_on(async { Pool::new(config(1, 2), Scripted::default()) });
    let (clean, mut dirty) =
        runtime.block_on(async { (pool.acquire().await.unwrap(), pool.acquire().await.unwrap()) });
    *dirty.untracked() = 0;
    drop(runtime);
    drop(clean);
    drop(dirty);
    assert_eq!(counts(&pool), (1, 0, 0, 0, 0));
}
