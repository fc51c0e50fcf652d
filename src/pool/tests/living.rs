//! Outages, recovery, ageing, and the sizes of a pool over time.

use std::task::Waker;

use tokio::time::{Instant, sleep};

use super::*;

/// A reset between two leases is no time without use, and neither is a long lease.
#[tokio::test(start_paused = true)]
async fn connections_in_use_are_not_closed_as_idle() {
    let connector = Scripted::default();
    let pool = warm(config(1, 2), &connector).await;
    let lease = pool.acquire().await.unwrap();
    let other = pool.acquire().await.unwrap();
    sleep(secs(61)).await;
    drop((lease, other));
    sleep(secs(3)).await;
    for _ in 0..600 {
        let mut leases = Vec::new();
        for _ in 0..2 {
            leases.push(pool.acquire().await.unwrap());
        }
        for lease in &mut leases {
            lease.usage().soiled();
        }
        sleep(ms(100)).await;
        drop(leases);
        sleep(ms(100)).await;
    }
    let statistics = pool.statistics();
    assert_eq!((statistics.opened, statistics.closed.len()), (2, 0), "{:?}", statistics.closed);
}

#[tokio::test(start_paused = true)]
async fn a_size_set_by_hand_wins_over_what_the_load_made_of_it() {
    let adaptive = Adaptive { enabled: true, max_size: 100, cooldown: secs(1) };
    let pool = warm(Config { adaptive, ..config(2, 10) }, &Scripted::default()).await;
    sleep(secs(10)).await;
    assert!(pool.snapshot().max_size < 10);
    pool.resize(2, 10).unwrap();
    assert_eq!(pool.snapshot().max_size, 10);
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_broke_or_was_dropped_leaves_nothing_to_be_silent() {
    let pool = warm(config(2, 2), &Scripted::default()).await;
    let (mut broken, mut dropped) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    let mut track = broken.parts().1;
    track.sent();
    track.broke();
    drop(track);
    dropped.parts().1.sent();
    sleep(secs(70)).await;
    for lease in [&mut broken, &mut dropped] {
        assert!(lease.parts().1.poll_cut(Waker::noop()).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_acquire_that_ends_during_its_check_was_no_lease() {
    let connector = Scripted::default();
    let pool = warm(config(1, 1), &connector).await;
    sleep(ms(900)).await;
    connector.script(|script| &mut script.check, [Act::Never]);
    let options = AcquireOptions { timeout: Some(ms(5)), leak_after: None };
    pool.acquire_with(options).await.unwrap_err();
    let statistics = pool.statistics();
    let counted = (statistics.total_acquisitions, statistics.total_releases, statistics.timed_out);
    assert_eq!(counted, (0, 0, 1));
    assert_eq!(statistics.usage, Percentiles::default());
}

#[tokio::test(start_paused = true)]
async fn an_outage_fails_fast_with_its_cause_and_heals_by_itself() {
    let connector = Scripted::opening([Act::Fail; 3]);
    let pool = pool(config(1, 4), &connector);
    let AcquireError::Unavailable(first) = pool.acquire().await.unwrap_err() else {
        panic!("the first failure must reach the waiter")
    };
    assert!((900..=1100).contains(&first.retry_after.as_millis()), "{first:?}");
    assert!(first.to_string().contains("refused"), "{first}");
    let started = Instant::now();
    assert!(matches!(pool.acquire().await, Err(AcquireError::Unavailable(_))));
    assert_eq!(started.elapsed(), Duration::ZERO, "no waiting while the outage is known");
    assert_eq!(pool.health().0, Health::Unhealthy);
    // Attempts at 1, 3 and 7 s, within ten percent: the fourth succeeds.
    sleep(ms(7_800)).await;
    assert!(pool.acquire().await.is_ok());
    assert_eq!(pool.statistics().open_failed, 3);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_told_so_reconnects_at_once() {
    let pool = pool(config(1, 4), &Scripted::opening([Act::Fail, Act::Fail]));
    settled().await;
    for _ in 0..2 {
        pool.reconnect_now();
        settled().await;
    }
    assert_eq!(pool.statistics().open_failed, 2);
    assert_eq!(counts(&pool), [1, 0, 0, 0, 0, 0], "the third attempt succeeded, without any wait");
}

#[tokio::test(start_paused = true)]
async fn a_hung_attempt_ends_at_its_own_limit_and_holds_up_nobody() {
    let connector = Scripted::opening([Act::Never]);
    let pool = pool(Config { max_parallel_connects: 3, ..config(1, 4) }, &connector);
    settled().await;
    // The second dial goes through beside the one that hangs, and a third one after a second.
    let first = acquiring(&pool);
    let second = acquiring(&pool);
    let started = Instant::now();
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap());
    assert!(started.elapsed() <= ms(1500), "{:?} behind one that hangs", started.elapsed());
    drop((first, second));
    assert_eq!(pool.snapshot().opening, 1);
    sleep(Config::default().connect_timeout).await;
    settled().await;
    assert_eq!(pool.statistics().open_failed, 1);
}

#[tokio::test(start_paused = true)]
async fn while_the_breaker_is_open_idle_connections_serve_and_the_rest_fail_at_once() {
    let connector = Scripted::default();
    let pool = warm(config(2, 4), &connector).await;
    connector.script(|script| &mut script.open, [Act::Fail; 100]);
    let busy = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    // Two failures in a row without a sign of life.
    let refused = pool.acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Unavailable(_)), "{refused}");
    let started = Instant::now();
    let refused = pool.acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::Unavailable(_)), "{refused}");
    let [first, second] = busy;
    drop(first);
    settled().await;
    let served = pool.acquire().await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    // The one that came back was probed and has answered, so its holder is worth waiting for.
    let waiting = acquiring(&pool);
    settled().await;
    assert_eq!(pool.snapshot().waiting, 1);
    drop((served, second));
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_fails_the_start_at_once_and_a_server_that_starts_up_does_not() {
    for (state, attempts) in [("28P01", 1), ("3D000", 1), ("57P03", 3), ("53300", 3)] {
        let connector = Scripted::opening([Act::Refuse(state); 3]);
        let pool = pool(config(1, 1), &connector);
        let error = pool.ready().await.unwrap_err();
        let StartError::Initialization { attempts: made, .. } = error else { panic!("{error}") };
        assert_eq!(made, attempts, "{state}");
        assert!(error.to_string().contains(state), "{error}");
        sleep(secs(30)).await;
        assert!(pool.acquire().await.is_ok(), "{state}: it goes on trying");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_server_does_not_turn_those_away_who_can_be_served() {
    let connector = Scripted::default();
    let pool = warm(config(2, 10), &connector).await;
    connector.script(|script| &mut script.open, [Act::Refuse("53300"); 100]);
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let pool = pool.clone();
            spawn(async move {
                let mut lease = pool.acquire().await?;
                sleep(ms(300)).await;
                let (_, mut track) = lease.parts();
                track.sent();
                track.answered();
                Ok::<_, AcquireError>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(connector.look(|script| script.opened), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_database_is_found_within_five_seconds_without_traffic() {
    for act in [Act::Fail, Act::Never] {
        let connector = Scripted::default();
        let pool = warm(config(2, 10), &connector).await;
        sleep(secs(7)).await;
        connector.0.lock().otherwise = Some(act);
        let died = Instant::now();
        while pool.health().0 != Health::Unhealthy {
            sleep(ms(100)).await;
            assert!(died.elapsed() <= secs(5), "{act:?}: {:?}", pool.snapshot());
        }
        // And found again within one step of the back-off when it returns.
        connector.0.lock().otherwise = None;
        let returned = Instant::now();
        while pool.health().0 != Health::Healthy {
            sleep(ms(100)).await;
            assert!(returned.elapsed() <= secs(30), "{act:?}: {:?}", pool.snapshot());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_down_under_load_cost_few_attempts_and_no_restart() {
    let connector = Scripted::default();
    let pool = warm(config(2, 10), &connector).await;
    connector.0.lock().otherwise = Some(Act::Fail);
    let down = Instant::now();
    let mut failed = 0_u32;
    while down.elapsed() < Duration::from_mins(10) {
        if let Ok(mut lease) = pool.acquire().await {
            lease.parts().1.broke();
        } else {
            failed += 1;
        }
        sleep(ms(50)).await;
    }
    assert!(failed > 10_000, "{failed}");
    let attempts = connector.look(|script| script.attempts.len());
    // 1, 2, 4, 8 s and then every 16 s, within ten percent.
    assert!((35..=50).contains(&attempts), "{attempts} attempts in ten minutes");
    assert_eq!(pool.snapshot().phase, Phase::Unhealthy);
    connector.0.lock().otherwise = None;
    sleep(secs(18)).await;
    assert_eq!(pool.health(), (Health::Healthy, HealthReason::Ok));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_waiters_at_the_moment_of_return_start_no_herd() {
    let connector = Scripted::opening([Act::Fail]);
    let pool = pool(Config { acquire_timeout: secs(60), ..config(2, 20) }, &connector);
    settled().await;
    connector.0.lock().otherwise = Some(Act::After(ms(30)));
    sleep(ms(1200)).await;
    let waiting: Vec<_> = (0..1000)
        .map(|_| {
            let pool = pool.clone();
            spawn(async move {
                let lease = pool.acquire().await.unwrap();
                sleep(ms(5)).await;
                drop(lease);
            })
        })
        .collect();
    for waiter in waiting {
        waiter.await.unwrap();
    }
    let (opening, alive) = connector.look(|script| (script.most_opening, script.most_alive));
    assert!(opening <= 2 && alive <= 20, "{opening} at once, {alive} alive");
}

#[tokio::test(start_paused = true)]
async fn all_idle_ones_silently_dead_cost_one_limit_and_one_connect() {
    let connector = Scripted::default();
    let pool = warm(Config { probe_interval: secs(60), ..config(10, 20) }, &connector).await;
    sleep(secs(1)).await;
    connector.script(|script| &mut script.check, [Act::Never; 10]);
    connector.script(|script| &mut script.open, [Act::After(ms(40)); 10]);
    let started = Instant::now();
    let lease = pool.acquire().await.unwrap();
    assert_eq!(started.elapsed(), Config::default().validation.timeout + ms(40));
    drop(lease);
    sleep(secs(4)).await;
    let first_dead = connector.look(|script| script.alive.first().copied());
    assert!(first_dead > Some(10), "the rest were culled: {first_dead:?}");
    assert_eq!(pool.snapshot().idle, 10);
}

#[tokio::test(start_paused = true)]
async fn a_demoted_server_is_left_within_a_round_of_probes() {
    let connector = Scripted::default();
    let pool = warm(config(3, 3), &connector).await;
    connector.0.lock().read_only = true;
    sleep(secs(5)).await;
    assert_eq!(pool.snapshot().idle, 0);
    assert!(pool.acquire().await.unwrap_err().to_string().contains("only reads"));
    connector.0.lock().read_only = false;
    sleep(secs(20)).await;
    assert!(pool.acquire().await.is_ok());

    let validation = Validation { require_primary: false, ..Validation::default() };
    let relaxed = warm(Config { validation, ..config(1, 1) }, &connector).await;
    connector.0.lock().read_only = true;
    sleep(secs(5)).await;
    assert!(relaxed.acquire().await.is_ok(), "a standby will do where that is allowed");
}

#[tokio::test(start_paused = true)]
async fn connections_born_together_are_replaced_one_by_one_before_they_go() {
    let connector = Scripted::default();
    let lifetime = Duration::from_mins(2);
    let _pool = warm(Config { max_lifetime: lifetime, ..config(20, 30) }, &connector).await;
    let mut least = 20;
    let ages = Instant::now();
    while ages.elapsed() < lifetime + secs(25) {
        least = least.min(connector.look(|script| script.alive.len()));
        sleep(ms(100)).await;
    }
    assert!(least >= 20, "{least} at the worst moment");
    let oldest = connector.look(|script| script.alive.first().copied());
    assert!(oldest > Some(20), "all of the first twenty are gone: {oldest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_never_idle_still_honours_age_and_statements() {
    let connector = Scripted::default();
    let config = Config { max_queries: 1000, ..config(1, 1) };
    let pool = warm(config, &connector).await;
    for _ in 0..3000 {
        let mut lease = pool.acquire().await.unwrap();
        sleep(ms(1)).await;
        let mut track = lease.parts().1;
        track.sent();
        track.answered();
        drop(track);
        drop(lease);
    }
    assert_eq!(pool.statistics().closed.get("queries"), Some(&3));
}

#[tokio::test(start_paused = true)]
async fn after_a_peak_the_pool_shrinks_to_its_minimum_also_after_a_restart() {
    let connector = Scripted::default();
    let pool = warm(config(2, 10), &connector).await;
    for restart in [false, true] {
        let peak: Vec<_> = (0..10).map(|_| acquiring(&pool)).collect();
        let mut leases = Vec::new();
        for lease in peak {
            leases.push(lease.await.unwrap().unwrap());
        }
        if restart {
            for lease in &mut leases {
                lease.parts().1.broke();
            }
        }
        drop(leases);
        // Some load on one connection, which keeps the others idle.
        for _ in 0..700 {
            drop(pool.acquire().await.unwrap());
            sleep(ms(100)).await;
        }
        assert_eq!(pool.snapshot().idle, 2, "{:?}", pool.snapshot());
    }
}

#[tokio::test(start_paused = true)]
async fn the_minimum_is_restored_after_one_connect() {
    let connector = Scripted::default();
    let pool = warm(config(5, 10), &connector).await;
    let mut leases = Vec::new();
    for _ in 0..5 {
        leases.push(pool.acquire().await.unwrap());
    }
    connector.0.lock().otherwise = Some(Act::After(ms(50)));
    for lease in &mut leases {
        lease.parts().1.broke();
    }
    drop(leases);
    // Two at a time.
    sleep(ms(151)).await;
    assert_eq!(counts(&pool), [5, 0, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_filler_never_overshoots_whatever_connects_do() {
    let acts = [Act::Ok, Act::Fail, Act::After(ms(3000)), Act::Ok, Act::After(ms(10))];
    let connector = Scripted::opening(acts.into_iter().cycle().take(200));
    let config = Config { max_parallel_connects: 32, ..config(8, 8) };
    let pool = pool(config, &connector);
    for _ in 0..200 {
        if let Ok(mut lease) = pool.acquire().await {
            lease.parts().1.broke();
        }
        sleep(ms(70)).await;
    }
    assert!(connector.look(|script| script.most_alive) <= 8);
    assert!(connector.look(|script| script.opened) > 8);
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_gets_no_answer_is_given_up() {
    let connector = Scripted::default();
    let pool = warm(config(1, 1), &connector).await;
    let mut lease = pool.acquire().await.unwrap();
    let (_, mut track) = lease.parts();
    track.sent();
    let silence = std::future::poll_fn(|cx| match track.poll_cut(cx.waker()) {
        Some(cut) => std::task::Poll::Ready(cut),
        None => std::task::Poll::Pending,
    });
    let started = Instant::now();
    assert_eq!(silence.await, slot::Cut::Silent);
    let limit = Config::default().command_timeout + STATEMENT_GRACE;
    assert!(started.elapsed() >= limit && started.elapsed() <= limit + secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_changed_configuration_is_in_force_at_once() {
    let connector = Scripted::default();
    let pool = warm(config(1, 1), &connector).await;
    let held = pool.acquire().await.unwrap();
    let waiting = acquiring(&pool);
    settled().await;
    pool.reconfigure(Config { acquire_timeout: ms(5), ..config(1, 2) }).unwrap();
    assert!(waiting.await.unwrap().is_ok(), "there is room for another");
    let third = pool.acquire().await.unwrap();
    let started = Instant::now();
    assert!(pool.acquire().await.is_err());
    assert_eq!(started.elapsed(), ms(5));
    drop((held, third));

    let wrong = pool.reconfigure(config(3, 2)).unwrap_err();
    assert!(wrong.to_string().contains("raise pool.max_size to 3"), "{wrong}");
    assert!(pool.resize(0, 2).is_err());
    assert_eq!((pool.snapshot().min_size, pool.snapshot().max_size), (1, 2), "nothing changed");
    pool.resize(4, 8).unwrap();
    settled().await;
    assert_eq!(pool.snapshot().idle, 4);
}
