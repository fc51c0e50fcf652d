//! Acquiring, waiting, checking.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep};

use super::*;

#[tokio::test(start_paused = true)]
async fn opens_min_size_without_being_asked() {
    let pool = warm(config(2, 10), &Scripted::default()).await;
    assert_eq!(counts(&pool), [2, 0, 0, 0, 0, 0]);
    assert_eq!(pool.health(), (Health::Healthy, HealthReason::Ok));
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_order_of_arrival() {
    let pool = warm(config(1, 1), &Scripted::default()).await;
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
    let pool = pool(config(2, 10), &Scripted::default());
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
    let statistics = pool.statistics();
    assert!(statistics.peak_active_connections <= 10, "{statistics:?}");
    assert_eq!((statistics.total_acquisitions, statistics.total_releases), (100, 100));
    assert_eq!((statistics.active_connections, statistics.waiting_requests), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn gives_up_at_the_limit_and_says_what_it_saw() {
    let config = Config { acquire_timeout: ms(250), ..config(1, 1) };
    let pool = warm(config, &Scripted::default()).await;
    let _held = pool.acquire().await.unwrap();
    let started = Instant::now();
    let error = pool.acquire().await.unwrap_err();
    assert_eq!(started.elapsed(), ms(250));
    assert!(matches!(error, AcquireError::TimedOut { .. }), "{error}");
    assert_eq!(pool.statistics().timed_out, 1);
    assert_eq!(pool.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn an_acquire_may_have_a_limit_of_its_own() {
    let pool = warm(config(1, 1), &Scripted::default()).await;
    let _held = pool.acquire().await.unwrap();
    let started = Instant::now();
    let options = AcquireOptions { timeout: Some(ms(7)), ..AcquireOptions::default() };
    assert!(pool.acquire_with(options).await.is_err());
    assert_eq!(started.elapsed(), ms(7));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_checked_only_after_the_bypass_window() {
    let connector = Scripted::default();
    let config = Config { probe_interval: secs(60), ..config(1, 1) };
    let pool = warm(config, &connector).await;
    drop(pool.acquire().await.unwrap());
    sleep(ms(500)).await;
    drop(pool.acquire().await.unwrap());
    assert_eq!(connector.look(|script| script.checked), 0);
    sleep(ms(501)).await;
    drop(pool.acquire().await.unwrap());
    assert_eq!(connector.look(|script| script.checked), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_its_check_is_replaced_unseen() {
    for act in [Act::Fail, Act::Never] {
        let connector = Scripted::default();
        let pool = warm(Config { probe_interval: secs(60), ..config(1, 1) }, &connector).await;
        sleep(secs(1)).await;
        connector.script(|script| &mut script.check, [act]);
        let lease = pool.acquire().await.unwrap();
        assert_eq!(lease.id(), 2, "{act:?}");
        assert_eq!(counts(&pool), [0, 1, 0, 0, 0, 0], "{act:?}");
        assert!(pool.statistics().last_error.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn an_untracked_connection_is_not_reused() {
    let pool = warm(config(1, 1), &Scripted::default()).await;
    let mut lease = pool.acquire().await.unwrap();
    assert_eq!(lease.untracked().id, 1);
    drop(lease);
    assert_eq!(pool.acquire().await.unwrap().id(), 2);
}
