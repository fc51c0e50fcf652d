//! The pool and a server that cannot be reached, refuses, or is the wrong one.

use std::time::Duration;

use codebase_mcp::pool::{
    AcquireError, Config, Health, HealthReason, PgPool, Phase, StartError, Unavailable, Validation,
};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::support::{Act, Clock, FakePostgres, Load, Log, When, fixed, one, open_pool, soon};

/// What an exchange with the fake server takes at most on a clock that moves by milliseconds.
const EXCHANGE: Duration = Duration::from_millis(50);
/// The first back-off step with the most that chance adds.
const FIRST_STEP: Duration = Duration::from_millis(1100);

fn unavailable(error: AcquireError) -> Unavailable {
    if let AcquireError::Unavailable(unavailable) = error {
        return unavailable;
    }
    panic!("{error}");
}

/// Asks until there is an answer, as a client does that was told when to ask again.
async fn persevere(pool: &PgPool) -> u32 {
    for refusals in 0.. {
        match pool.acquire().await {
            Ok(mut lease) => {
                one(&mut lease).await.unwrap();
                return refusals;
            }
            Err(error) => {
                let wait = unavailable(error).retry_after;
                sleep(wait.max(Duration::from_millis(1))).await;
            }
        }
    }
    unreachable!("the loop has no end")
}

#[tokio::test]
async fn one_dial_that_hangs_holds_up_nobody_and_ends_at_its_own_limit() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    server.next([(When::Accepted, Act::Silence)]);
    let pool = open_pool(fixed(2), server.options());
    for _ in 0..10 {
        let (lease, took) = clock.time(pool.acquire()).await;
        assert!(took <= EXCHANGE, "{took:?}");
        one(&mut lease.unwrap()).await.unwrap();
    }
    assert!(server.is_open(0), "the dial still hangs");
    assert_eq!(pool.snapshot().opening, 1);
    clock.pass(Config::default().connect_timeout + EXCHANGE).await;
    soon("the dial has ended", || !server.is_open(0)).await;
    assert_eq!(pool.statistics().open_failed, 1);
    let (lease, took) = clock.time(pool.acquire()).await;
    assert!(took <= EXCHANGE, "{took:?}");
    drop(lease.unwrap());
    clock.pass(FIRST_STEP).await;
    soon("there are two", || pool.snapshot().idle == 2).await;
    assert_eq!((server.open(), server.ever()), (2, 3));
}

#[tokio::test]
async fn a_server_that_starts_up_and_one_that_is_full_are_tried_again() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    server.next([(When::StartUp, Act::End("57P03"))]);
    server.next([(When::StartUp, Act::End("53300"))]);
    let pool = open_pool(fixed(1), server.options());
    let (started, took) = clock.time(pool.ready()).await;
    started.unwrap();
    // One step after the first failure, two after the second.
    assert!(took <= 3 * FIRST_STEP + EXCHANGE, "{took:?}");
    assert_eq!(server.ever(), 3);
    assert_eq!(pool.statistics().open_failed, 2);
}

/// The next attempt of a long outage is up to 16 seconds away, and nobody has to wait for it.
#[tokio::test]
async fn a_database_that_answers_again_is_found_within_two_seconds() {
    let clock = Clock::stopped();
    let mut server = FakePostgres::start().await;
    let pool = open_pool(fixed(1), server.options());
    pool.ready().await.unwrap();
    server.stop_listening().await;
    server.now_all(Act::Reset);
    clock.pass(Duration::from_secs(40)).await;
    soon("the outage is long", || pool.statistics().open_failed >= 5).await;
    server.listen_again().await;
    clock.pass(Duration::from_millis(2100)).await;
    soon("it is connected", || pool.snapshot().idle == 1).await;
    assert_eq!(server.ever(), 2, "one more session, whatever was asked before");
}

/// Nothing gets better by itself: the cause is told at once, and the server is not pestered.
#[tokio::test]
async fn a_wrong_password_and_an_unknown_database_fail_at_once_with_their_cause() {
    let clock = Clock::moving_by(Duration::from_millis(10));
    for state in ["28P01", "28000", "3D000"] {
        let server = FakePostgres::start().await;
        server.always([(When::StartUp, Act::End(state))]);
        let pool = open_pool(fixed(4), server.options());
        let (started, took) = clock.time(pool.ready()).await;
        let error = started.unwrap_err();
        assert!(matches!(error, StartError::Initialization { .. }), "{error}");
        assert!(error.to_string().contains(state), "{error}");
        assert!(took <= EXCHANGE, "{state}: {took:?}");
        let (outcome, took) = clock.time(pool.acquire()).await;
        let error = unavailable(outcome.unwrap_err());
        assert!(error.to_string().contains(state), "{error}");
        assert!(took <= EXCHANGE, "{state}: {took:?}");
        clock.pass(Duration::from_mins(1)).await;
        // The dials that were under way at the first failure, then 1, 2, 4, 8, 16, 16 seconds.
        assert!(server.ever() <= 9, "{} attempts", server.ever());
        server.always([]);
        let (refusals, took) = clock.time(persevere(&pool)).await;
        assert!(took <= 17 * FIRST_STEP, "{took:?} and {refusals} refusals");
    }
}

#[tokio::test]
async fn an_acquire_that_fails_in_an_outage_tells_the_real_cause() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    server.stop_listening().await;
    let pool = open_pool(fixed(2), server.options());
    let (outcome, took) = clock.time(pool.acquire()).await;
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
    assert!(took <= EXCHANGE, "{took:?}");
}

/// One connection works and is held. The others are waited for in vain, and a mere timeout would send the
/// reader to look for whoever holds connections for too long.
#[tokio::test]
async fn an_acquire_that_times_out_in_an_outage_tells_the_real_cause_too() {
    let clock = Clock::moving_by(Duration::from_millis(5));
    let server = FakePostgres::start().await;
    let config = Config { acquire_timeout: Duration::from_secs(3), max_size: 4, ..fixed(1) };
    let pool = open_pool(config, server.options());
    let _held = pool.acquire().await.unwrap();
    server.always([(When::StartUp, Act::End("53300"))]);
    for _ in 0..2 {
        let error = clock.time(pool.acquire()).await.0.unwrap_err();
        assert!(error.to_string().contains("53300"), "{error}");
    }
}

#[tokio::test]
async fn in_an_outage_healthy_idle_connections_are_served_and_others_fail_at_once() {
    let clock = Clock::moving_by(Duration::from_millis(5));
    let server = FakePostgres::start().await;
    let pool = open_pool(fixed(3), server.options());
    soon("the pool is filled", || pool.snapshot().idle == 3).await;
    server.always([(When::StartUp, Act::End("57P03"))]);
    // Outside of the bypass window, so that it is found.
    clock.pass(Validation::default().bypass_window + EXCHANGE).await;
    server.now(0, Act::End("57P01"));
    clock.pass(Duration::from_secs(10)).await;
    soon("the outage is noticed", || pool.statistics().retry_after_ms.is_some()).await;
    for _ in 0..20 {
        let (lease, took) = clock.time(pool.acquire()).await;
        assert!(took <= EXCHANGE, "{took:?}");
        one(&mut lease.unwrap()).await.unwrap();
        clock.pass(Validation::default().bypass_window + EXCHANGE).await;
    }
    assert_eq!(pool.snapshot().idle, 2);

    server.now_all(Act::End("57P01"));
    soon("all sessions have ended", || server.open() == 0).await;
    clock.pass(Validation::default().bypass_window + EXCHANGE).await;
    for _ in 0..3 {
        let (outcome, took) = clock.time(pool.acquire()).await;
        let error = unavailable(outcome.unwrap_err());
        assert!(error.to_string().contains("57P03"), "{error}");
        assert!(error.retry_after > Duration::ZERO, "{error}");
        assert!(took <= EXCHANGE, "{took:?}");
    }
    assert_eq!(pool.health().0, Health::Unhealthy);
}

/// Whoever was told when to ask again, and does, takes part in the attempt of that moment.
#[tokio::test]
async fn an_acquire_at_the_time_it_was_told_to_come_back_is_not_turned_away_again() {
    let clock = Clock::stopped();
    for _ in 0..10 {
        let mut server = FakePostgres::start().await;
        server.stop_listening().await;
        let pool = open_pool(fixed(1), server.options());
        let outage = unavailable(pool.acquire().await.unwrap_err());
        server.listen_again().await;
        clock.pass(outage.retry_after).await;
        pool.acquire().await.unwrap();

        server.stop_listening().await;
        server.now_all(Act::End("57P01"));
        soon("the session has ended", || server.open() == 0).await;
        clock.pass(Validation::default().bypass_window + EXCHANGE).await;
        clock.time(pool.acquire()).await.0.unwrap_err();
        server.listen_again().await;
        pool.reconnect_now();
        pool.acquire().await.unwrap();
    }
}

/// A hundred tasks ask all the time while the server is away for ten minutes.
#[tokio::test]
async fn ten_minutes_of_outage_under_load_cost_one_attempt_per_back_off_step() {
    let clock = Clock::moving_by(Duration::from_millis(20));
    let log = Log::capture();
    let mut server = FakePostgres::start().await;
    let pool = open_pool(fixed(2), server.options());
    soon("the pool is filled", || pool.snapshot().phase == Phase::Healthy).await;
    server.stop_listening().await;
    server.now_all(Act::End("57P01"));
    soon("all sessions have ended", || server.open() == 0).await;

    let load = Load::start(&pool, 100, Duration::ZERO, Duration::from_millis(500));
    clock.pass(Duration::from_mins(10)).await;
    let attempts = pool.statistics().open_failed;
    // 1 + 2 + 4 + 8 seconds, then every 16 s, a tenth less by chance; and the dials of the first moment.
    assert!((35..=48).contains(&attempts), "{attempts} attempts");
    let ((), took) = clock.time(load.stop()).await;
    assert!(took <= Duration::from_secs(31), "{took:?}");

    server.listen_again().await;
    let (_, took) = clock.time(persevere(&pool)).await;
    assert!(took <= 17 * FIRST_STEP, "{took:?}");
    soon("the pool is filled again", || pool.snapshot().idle == 2).await;
    // An error degrades for a minute.
    clock.pass(Duration::from_secs(90)).await;
    assert!(log.tells_a_recovery(), "{:?}", log.phases());
    assert_eq!(pool.health(), (Health::Healthy, HealthReason::Ok));
    assert_eq!((server.open(), server.peak()), (2, 2));
}

#[tokio::test]
async fn a_thousand_clients_at_the_return_of_the_server_are_no_connect_storm() {
    let clock = Clock::moving_by(Duration::from_millis(5));
    let mut server = FakePostgres::start().await;
    server.stop_listening().await;
    let config = Config { min_size: 2, max_size: 10, ..Config::default() };
    let parallel = config.max_parallel_connects as usize;
    let pool = open_pool(config, server.options());
    soon("the outage is noticed", || pool.statistics().open_failed > 0).await;
    let herd = TaskTracker::new();
    for _ in 0..1000 {
        let pool = pool.clone();
        herd.spawn(async move { persevere(&pool).await });
    }
    clock.pass(Duration::from_secs(5)).await;
    server.always([(When::StartUp, Act::Delay(Duration::from_millis(100)))]);
    server.listen_again().await;
    herd.close();
    let ((), took) = clock.time(herd.wait()).await;
    assert!(took <= Duration::from_secs(20), "{took:?}");
    assert!(server.peak_starting() <= parallel, "{} at once", server.peak_starting());
    assert!(server.peak() <= 10, "{} open", server.peak());
    assert!(server.ever() <= 10, "{} opened", server.ever());
}

/// All thousand wait in line while the server takes its time.
#[tokio::test]
async fn a_thousand_waiters_are_served_by_as_few_connects_as_will_do() {
    let clock = Clock::moving_by(Duration::from_millis(5));
    let server = FakePostgres::start().await;
    server.always([(When::StartUp, Act::Delay(Duration::from_secs(1)))]);
    let config = Config { min_size: 1, max_size: 50, ..Config::default() };
    let parallel = config.max_parallel_connects as usize;
    let pool = open_pool(config, server.options());
    let query = async || one(&mut pool.acquire().await.unwrap()).await.unwrap();
    let waiters = futures_util::future::join_all((0..1000).map(|_| query()));
    let (answers, took) = clock.time(waiters).await;
    assert_eq!(answers.len(), 1000);
    assert!(took <= Duration::from_secs(2), "{took:?}");
    assert!(server.peak_starting() <= parallel, "{} at once", server.peak_starting());
    // While the first ones served all the others, as many more were on their way.
    assert!(server.ever() <= 2 * parallel, "{} opened", server.ever());
}

#[tokio::test]
async fn connections_to_a_demoted_primary_are_replaced_within_one_probe_cycle() {
    let clock = Clock::moving_by(Duration::from_millis(5));
    let server = FakePostgres::start().await;
    let config = fixed(4);
    assert!(config.validation.require_primary, "which is the default");
    let cycle = config.probe_interval + config.validation.timeout;
    let pool = open_pool(config, server.options());
    soon("the pool is filled", || pool.snapshot().idle == 4).await;
    server.set_standby(true);
    clock.pass(cycle).await;
    let left = (0..4).filter(|&session| server.is_open(session)).count();
    assert_eq!(left, 0, "connections to a standby are still open");
    let (outcome, took) = clock.time(pool.acquire()).await;
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("require_primary"), "{error}");
    assert!(took <= EXCHANGE, "{took:?}");
    assert_eq!(server.open(), 0);

    server.set_standby(false);
    let (_, took) = clock.time(persevere(&pool)).await;
    assert!(took <= 17 * FIRST_STEP, "{took:?}");
    soon("the pool is filled again", || pool.snapshot().idle == 4).await;
}

/// The demotion comes between two statements of a busy pool, whose connections are hardly ever idle.
#[tokio::test]
async fn a_busy_pool_leaves_a_demoted_primary_too() {
    let clock = Clock::moving_by(Duration::from_millis(5));
    let server = FakePostgres::start().await;
    let config = fixed(2);
    let cycle = config.probe_interval + config.validation.timeout;
    let pool = open_pool(config, server.options());
    soon("the pool is filled", || pool.snapshot().idle == 2).await;
    let load = Load::start(&pool, 4, Duration::from_millis(10), Duration::ZERO);
    clock.pass(Duration::from_secs(1)).await;
    assert!(load.answered() > 100, "the pool is busy");
    server.set_standby(true);
    clock.pass(cycle).await;
    let left = (0..2).filter(|&session| server.is_open(session)).count();
    assert_eq!(left, 0, "connections to a standby are still in use");
    clock.time(load.stop()).await;
}

/// 25006: the first write after a failover. It says what no check has found yet.
#[tokio::test]
async fn a_write_that_a_standby_refuses_gives_the_connection_up() {
    let server = FakePostgres::start().await;
    let pool = open_pool(fixed(2), server.options());
    soon("the pool is filled", || pool.snapshot().idle == 2).await;
    server.always([(When::Statement("UPDATE"), Act::Fail("25006"))]);
    let mut lease = pool.acquire().await.unwrap();
    sqlx::raw_sql("UPDATE t SET a = 1").execute(&mut lease).await.unwrap_err();
    drop(lease);
    soon("one connection is replaced", || server.ever() >= 3 && server.open() == 2).await;
}

#[tokio::test]
async fn a_pool_that_may_read_from_a_standby_keeps_its_connections() {
    let clock = Clock::moving_by(Duration::from_millis(5));
    let server = FakePostgres::start().await;
    let validation = Validation { require_primary: false, ..Validation::default() };
    let pool = open_pool(Config { validation, ..fixed(2) }, server.options());
    soon("the pool is filled", || pool.snapshot().idle == 2).await;
    server.set_standby(true);
    clock.pass(Duration::from_secs(10)).await;
    one(&mut pool.acquire().await.unwrap()).await.unwrap();
    assert_eq!((server.open(), server.ever()), (2, 2));
}
