//! Shutdown, by all its ways.

use std::task::Waker;

use tokio::time::{Instant, sleep, timeout};

use super::*;

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_leases_and_turns_waiters_away() {
    let connector = Scripted::default();
    let pool = warm(config(1, 1), &connector).await;
    let lease = pool.acquire().await.unwrap();
    let waiter = acquiring(&pool);
    settled().await;
    let ending = spawn({
        let pool = pool.clone();
        async move { pool.shutdown().await }
    });
    settled().await;
    assert!(matches!(waiter.await.unwrap(), Err(AcquireError::Closed { .. })));
    assert!(matches!(pool.acquire().await, Err(AcquireError::Closed { .. })));
    assert_eq!(pool.snapshot().phase, Phase::ShuttingDown);
    sleep(secs(5)).await;
    drop(lease);
    let report = ending.await.unwrap();
    assert_eq!(report, ShutdownReport { forced: vec![], abandoned: 0, elapsed: secs(5) });
    assert_eq!(connector.look(|script| (script.goodbyes, script.alive.len())), (1, 0));
    assert_eq!(pool.snapshot().phase, Phase::Terminated);
}

#[tokio::test(start_paused = true)]
async fn at_the_limit_leases_are_taken_back_their_sessions_ended_and_their_holders_named() {
    let connector = Scripted::default();
    let pool = warm(config(1, 2), &connector).await;
    let mut lease = pool.acquire().await.unwrap();
    let report = pool.shutdown().await;
    assert_eq!(report.elapsed, secs(25), "the rest of the limit is for taking back");
    assert_eq!((report.forced.len(), report.abandoned), (1, 0));
    assert!(report.forced[0].location.file().ends_with("ending.rs"));
    assert_eq!(connector.look(|script| script.terminated.clone()), [1]);
    assert_eq!(counts(&pool), [0; 6]);
    let told = lease.parts().1.poll_cut(Waker::noop());
    assert!(told.is_some(), "the holder's next statement fails");
    drop(lease);
    assert_eq!(counts(&pool), [0; 6], "a late lease changes no count");
    assert_eq!(connector.look(|script| script.alive.len()), 0);
}

#[tokio::test(start_paused = true)]
async fn two_who_shut_down_at_once_hear_of_the_same_end() {
    let pool = warm(config(1, 1), &Scripted::default()).await;
    let _stuck = pool.acquire().await.unwrap();
    let (first, second) = tokio::join!(pool.shutdown(), pool.shutdown());
    assert_eq!((first.elapsed, second.elapsed), (secs(25), secs(25)));
    assert_eq!(first.forced.len() + second.forced.len(), 1);
}

/// A backend that hangs in its reset, or that no longer answers, would go on working.
#[tokio::test(start_paused = true)]
async fn a_session_that_failed_its_reset_or_its_check_is_ended_on_the_server() {
    let connector = Scripted::default();
    let pool = warm(config(1, 1), &connector).await;
    connector.script(|script| &mut script.reset, [Act::Refuse("57014")]);
    let mut lease = pool.acquire().await.unwrap();
    lease.usage().soiled();
    drop(lease);
    settled().await;
    assert_eq!(connector.look(|script| script.terminated.clone()), [1]);
    let closed = pool.statistics().closed;
    assert_eq!(closed.get("reset_failed"), Some(&1), "{closed:?}");

    connector.script(|script| &mut script.check, [Act::Never]);
    sleep(secs(60)).await;
    let closed = pool.statistics().closed;
    assert_eq!(closed.get("check_timed_out"), Some(&1), "{closed:?}");
    assert_eq!(connector.look(|script| script.terminated.len()), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_holds_no_shutdown_up_for_long() {
    let connector = Scripted::default();
    let pool = warm(config(2, 2), &connector).await;
    let _stuck = pool.acquire().await.unwrap();
    connector.0.lock().otherwise = Some(Act::Never);
    let started = Instant::now();
    let report = pool.shutdown().await;
    assert_eq!(report.forced.len(), 1);
    assert!(started.elapsed() <= Config::default().shutdown_timeout);
    assert_eq!(counts(&pool), [0; 6]);
}

#[tokio::test(start_paused = true)]
async fn shutdown_amid_acquires_dials_checks_and_resets_leaves_nothing() {
    let connector = Scripted::default();
    let quick = Config { probe_interval: secs(60), ..config(4, 10) };
    let pool = warm(quick, &connector).await;
    sleep(secs(1)).await;
    let slow = [Act::After(ms(300)), Act::Never, Act::After(ms(10)), Act::Never];
    connector.script(|script| &mut script.check, slow);
    connector.script(|script| &mut script.open, slow);
    connector.script(|script| &mut script.reset, slow);
    connector.script(|script| &mut script.terminate, slow);
    connector.script(|script| &mut script.close, slow);
    let acquires: Vec<_> = (0..20)
        .map(|number| {
            let pool = pool.clone();
            spawn(async move {
                let mut lease = pool.acquire().await?;
                sleep(ms(number)).await;
                if number % 2 == 0 {
                    lease.usage().soiled();
                } else {
                    lease.parts().1.sent();
                }
                Ok::<_, AcquireError>(())
            })
        })
        .collect();
    sleep(ms(30)).await;
    let report = timeout(secs(40), pool.shutdown()).await.expect("no deadlock");
    assert!(report.elapsed < secs(10), "{report:?}");
    for acquire in acquires {
        let outcome = acquire.await.unwrap();
        assert!(matches!(outcome, Ok(()) | Err(AcquireError::Closed { .. })), "{outcome:?}");
    }
    assert_eq!(counts(&pool), [0; 6]);
    assert_eq!(connector.look(|script| script.alive.len()), 0);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_twice_at_once_and_half_way_comes_to_the_same_end() {
    let pool = warm(config(2, 2), &Scripted::default()).await;
    let lease = pool.acquire().await.unwrap();
    assert!(timeout(secs(1), pool.shutdown()).await.is_err(), "dropped half-way");
    assert_eq!(pool.snapshot().phase, Phase::ShuttingDown);
    let (first, second) = (spawn(shut(pool.clone())), spawn(shut(pool.clone())));
    sleep(secs(2)).await;
    drop(lease);
    for report in [first.await.unwrap(), second.await.unwrap(), pool.shutdown().await] {
        assert_eq!((report.forced.len(), report.abandoned), (0, 0));
    }
    assert_eq!((pool.snapshot().phase, counts(&pool)), (Phase::Terminated, [0; 6]));
}

async fn shut(pool: Pool<Scripted>) -> ShutdownReport {
    pool.shutdown().await
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_closes_everything() {
    let connector = Scripted::default();
    let pool = warm(config(2, 4), &connector).await;
    let lease = pool.acquire().await.unwrap();
    let handle = pool.clone();
    drop(pool);
    settled().await;
    assert_eq!(connector.look(|script| script.goodbyes), 0, "another handle is left");
    drop(handle);
    settled().await;
    assert_eq!(connector.look(|script| script.goodbyes), 1, "what is idle is closed");
    drop(lease);
    settled().await;
    assert_eq!(connector.look(|script| script.goodbyes), 2, "the lease closes its own");
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_shut_down_while_it_starts_says_so() {
    let pool = pool(config(1, 1), &Scripted::opening([Act::Never]));
    let starting = spawn({
        let pool = pool.clone();
        async move { pool.ready().await }
    });
    settled().await;
    pool.shutdown().await;
    assert!(matches!(starting.await.unwrap(), Err(StartError::Closed { .. })));
    assert_eq!(counts(&pool), [0; 6], "the attempt to connect was given up");
}
