//! Odd callers, odd servers, odd moments: what the pool makes of them.

use std::task::Waker;

use tokio::time::{Instant, sleep};

use super::*;

fn soil(lease: &mut Lease<Scripted>) {
    let (_, mut track) = lease.parts();
    track.usage().soiled();
    track.sent();
    track.answered();
}

#[tokio::test(start_paused = true)]
async fn a_demoted_server_is_left_although_every_lease_needs_a_reset() {
    let connector = Scripted::default();
    let pool = warm(config(1, 1), &connector).await;
    connector.0.lock().read_only = true;
    let start = Instant::now();
    while start.elapsed() < secs(60) {
        let Ok(mut lease) = pool.acquire().await else { return };
        sleep(ms(100)).await;
        soil(&mut lease);
        drop(lease);
    }
    panic!("60 s of traffic on a demoted server; closed: {:?}", pool.statistics().closed);
}

#[tokio::test(start_paused = true)]
async fn the_mean_acquire_time_has_the_check_in_it_once() {
    let connector = Scripted::default();
    let pool = warm(config(1, 1), &connector).await;
    connector.script(|s| &mut s.check, (0..500).map(|_| Act::After(ms(100))));
    for _ in 0..20 {
        sleep(ms(700)).await;
        let start = Instant::now();
        drop(pool.acquire().await.unwrap());
        let took = start.elapsed();
        assert!(took >= ms(99), "{took:?}");
    }
    let s = pool.statistics();
    assert!(
        s.avg_acquisition_time_ms > 90.0,
        "each took 100 ms or more, avg is {} p50 {}",
        s.avg_acquisition_time_ms,
        s.wait.p50_ms
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_failed_its_check_was_never_acquired() {
    let connector = Scripted::default();
    let pool = warm(config(2, 2), &connector).await;
    sleep(ms(700)).await;
    connector.script(|s| &mut s.check, [Act::Fail]);
    drop(pool.acquire().await.unwrap());
    let s = pool.statistics();
    assert_eq!((s.total_acquisitions, s.total_releases), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pool_whose_acquires_time_out_is_not_healthy() {
    let connector = Scripted::default();
    let leaks = Leaks { enabled: false, ..Leaks::default() };
    let pool = warm(Config { acquire_timeout: secs(5), leaks, ..config(1, 1) }, &connector).await;
    let _held = pool.acquire().await.unwrap();
    for _ in 0..20 {
        assert!(pool.acquire().await.is_err());
    }
    let s = pool.statistics();
    assert_ne!(
        s.health,
        Health::Healthy,
        "timed out {}, peak wait {} ms, {:?}",
        s.timed_out,
        s.peak_wait_time_ms,
        pool.health()
    );
}

#[tokio::test(start_paused = true)]
async fn a_limit_without_end_is_cut_to_the_longest_allowed() {
    let pool = warm(config(1, 1), &Scripted::default()).await;
    let held = pool.acquire().await.unwrap();
    let options = AcquireOptions { timeout: Some(Duration::MAX), leak_after: None };
    let waiter = spawn({
        let pool = pool.clone();
        async move { pool.acquire_with(options).await }
    });
    settled().await;
    drop(held);
    waiter.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leak_threshold_of_zero_is_off_for_one_acquire_too() {
    let pool = warm(config(1, 1), &Scripted::default()).await;
    let options = AcquireOptions { timeout: None, leak_after: Some(Duration::ZERO) };
    let _held = pool.acquire_with(options).await.unwrap();
    sleep(secs(5)).await;
    assert_eq!(pool.statistics().leaks, 0);
}

#[tokio::test(start_paused = true)]
async fn leaks_that_are_not_looked_for_are_not_found() {
    let leaks = Leaks { enabled: false, ..Leaks::default() };
    let pool = warm(Config { leaks, ..config(1, 1) }, &Scripted::default()).await;
    let options = AcquireOptions { timeout: None, leak_after: Some(secs(1)) };
    let _held = pool.acquire_with(options).await.unwrap();
    sleep(secs(5)).await;
    assert_eq!(pool.statistics().leaks, 0);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_stays_one_short_is_not_unhealthy() {
    let mut acts = vec![Act::Ok; 9];
    acts.extend(vec![Act::Refuse("53300"); 1000]);
    let pool = pool(config(10, 10), &Scripted::opening(acts));
    drop(pool.ready().await);
    let mut unhealthy = 0;
    for _ in 0..600 {
        sleep(ms(100)).await;
        if pool.health().0 == Health::Unhealthy {
            unhealthy += 1;
        }
    }
    assert_eq!(unhealthy, 0, "of 600 looks: {:?}", pool.snapshot());
}

#[tokio::test(start_paused = true)]
async fn who_was_served_in_vain_is_the_next_to_be_served() {
    let connector = Scripted::default();
    let pool = warm(config(1, 1), &connector).await;
    sleep(ms(700)).await;
    connector.script(|s| &mut s.check, [Act::Never]);
    let first = spawn({
        let pool = pool.clone();
        async move {
            let l = pool.acquire().await;
            (Instant::now(), l.map(drop).is_ok())
        }
    });
    settled().await;
    let second = spawn({
        let pool = pool.clone();
        async move {
            let lease = pool.acquire().await.unwrap();
            let at = Instant::now();
            sleep(secs(25)).await;
            drop(lease);
            at
        }
    });
    let (second, first) = (second.await.unwrap(), first.await.unwrap());
    assert!(first.1 && first.0 <= second, "served {:?} after the second", first.0 - second);
}

#[tokio::test(start_paused = true)]
async fn a_dead_database_is_found_while_every_connection_is_lent() {
    let connector = Scripted::default();
    let pool = warm(config(2, 10), &connector).await;
    let _a = pool.acquire().await.unwrap();
    let _b = pool.acquire().await.unwrap();
    connector.0.lock().otherwise = Some(Act::Fail);
    sleep(secs(25)).await;
    assert_ne!(pool.health().0, Health::Healthy, "{:?}", pool.snapshot());
}

#[tokio::test(start_paused = true)]
async fn leaks_switched_off_are_forgotten() {
    let pool = warm(config(1, 1), &Scripted::default()).await;
    let _held = pool.acquire().await.unwrap();
    sleep(secs(40)).await;
    assert_eq!(pool.health().1, HealthReason::Leak);
    let leaks = Leaks { enabled: false, ..Leaks::default() };
    pool.reconfigure(Config { leaks, ..config(1, 1) }).unwrap();
    sleep(secs(5)).await;
    assert_eq!((pool.health().0, pool.statistics().live_leaks), (Health::Healthy, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slow_acquire_degrades_for_a_minute() {
    let connector = Scripted::default();
    let pool = warm(config(1, 1), &connector).await;
    // A step of peaks begins with a harmless wait.
    let held = pool.acquire().await.unwrap();
    let waiter = acquiring(&pool);
    settled().await;
    drop(held);
    drop(waiter.await.unwrap().unwrap());
    sleep(ms(4000)).await;
    let held = pool.acquire().await.unwrap();
    let waiter = acquiring(&pool);
    sleep(ms(900)).await;
    drop(held);
    drop(waiter.await.unwrap().unwrap());
    sleep(secs(58)).await;
    assert_eq!(pool.health().1, HealthReason::SlowAcquire);
}

#[tokio::test(start_paused = true)]
async fn another_setting_leaves_the_adapted_size_alone() {
    let adaptive = Adaptive { enabled: true, max_size: 100, cooldown: secs(5) };
    let config = Config { adaptive, ..config(1, 4) };
    let pool = warm(config.clone(), &Scripted::default()).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.acquire().await.unwrap());
    }
    sleep(secs(7)).await;
    let grown = pool.snapshot().max_size;
    assert!(grown > 4);
    pool.reconfigure(Config { max_waiting: 9_000, ..config }).unwrap();
    assert_eq!(pool.snapshot().max_size, grown);
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_handles_comes_to_its_end_with_its_last_lease() {
    let connector = Scripted::default();
    let pool = warm(config(1, 1), &connector).await;
    let lease = pool.acquire().await.unwrap();
    drop(pool);
    settled().await;
    let (shared, slot) = lease.into_parts().unwrap();
    drop(Lease::new(std::sync::Arc::clone(&shared), slot));
    settled().await;
    assert_eq!(shared.snapshot().phase, Phase::Terminated);
}

#[tokio::test(start_paused = true)]
async fn a_dead_session_that_a_reset_finds_puts_the_others_in_doubt() {
    let connector = Scripted::default();
    let pool = warm(config(2, 2), &connector).await;
    sleep(ms(100)).await;
    let mut lease = pool.acquire().await.unwrap();
    connector.script(|s| &mut s.reset, [Act::Fail]);
    soil(&mut lease);
    drop(lease);
    settled().await;
    sleep(ms(600)).await;
    let checked = connector.look(|s| s.checked);
    assert!(
        checked > 0 && pool.health().1 == HealthReason::RecentError,
        "{checked} checked, {:?} {:?} last error {:?}",
        pool.health(),
        pool.statistics().closed,
        pool.statistics().last_error
    );
}

#[tokio::test(start_paused = true)]
async fn an_impatient_caller_costs_no_connection() {
    let connector = Scripted::default();
    let pool = warm(config(4, 4), &connector).await;
    connector.0.lock().otherwise = Some(Act::After(ms(5)));
    let mut unhealthy = 0;
    for _ in 0..20 {
        sleep(ms(700)).await;
        let options = AcquireOptions { timeout: Some(ms(2)), leak_after: None };
        drop(pool.acquire_with(options).await);
        if pool.health().0 != Health::Healthy {
            unhealthy += 1;
        }
    }
    let s = pool.statistics();
    assert!(
        s.closed.is_empty(),
        "closed {:?}, opened {}, not healthy {unhealthy} of 20, {:?}",
        s.closed,
        s.opened,
        pool.health()
    );
}

#[tokio::test(start_paused = true)]
async fn a_threshold_of_zero_reclaims_nothing() {
    let leaks = Leaks { reclaim: true, ..Leaks::default() };
    let connector = Scripted::default();
    let pool = warm(Config { leaks, ..config(1, 1) }, &connector).await;
    let options = AcquireOptions { timeout: None, leak_after: Some(Duration::ZERO) };
    let _held = pool.acquire_with(options).await.unwrap();
    sleep(ms(1600)).await;
    assert!(pool.statistics().closed.is_empty(), "{:?}", pool.statistics().closed);
}

#[tokio::test(start_paused = true)]
async fn deadlines_that_meet_checks_cost_no_connection() {
    let connector = Scripted::default();
    let pool = warm(Config { acquire_timeout: ms(1001), ..config(2, 2) }, &connector).await;
    connector.0.lock().otherwise = Some(Act::After(ms(3)));
    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    sleep(ms(10)).await;
    let waiters: Vec<_> = (0..100).map(|_| acquiring(&pool)).collect();
    sleep(ms(1000)).await;
    drop(held);
    for w in waiters {
        drop(w.await.unwrap());
    }
    let s = pool.statistics();
    assert!(s.closed.is_empty(), "{:?} {:?}", s.closed, pool.health());
}

#[tokio::test(start_paused = true)]
async fn a_connection_keeps_the_limit_that_it_was_opened_with() {
    // The server's limit of a connection is set when its connect begins.
    let connector = Scripted::opening([Act::After(secs(2))]);
    let pool = pool(Config { command_timeout: secs(60), ..config(1, 1) }, &connector);
    sleep(ms(500)).await;
    pool.reconfigure(Config { command_timeout: secs(1), ..config(1, 1) }).unwrap();
    let mut lease = pool.acquire().await.unwrap();
    let (_, mut track) = lease.parts();
    track.sent();
    sleep(secs(10)).await;
    let cut = track.poll_cut(Waker::noop());
    assert!(cut.is_none(), "the server lets the statement run for 60 s, the pool cut it: {cut:?}");
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_degrades_before_it_ends() {
    let connector = Scripted::default();
    let pool = warm(config(1, 4), &connector).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.acquire().await.unwrap());
    }
    let _waiter = acquiring(&pool);
    sleep(secs(9)).await;
    assert_eq!(pool.health().1, HealthReason::SlowAcquire, "the first in line waits for 9 s");
}
