//! The pool and a server that falls silent or talks nonsense.

use std::time::Duration;

use codebase_mcp::pool::{Config, PgPool, Validation};
use tokio::time::timeout;

use crate::support::{Act, Clock, FakePostgres, PROBE, When, fixed, one, open_pool, soon};

/// What an exchange with the fake server takes at most on a clock that moves by milliseconds.
const EXCHANGE: Duration = Duration::from_millis(50);

/// The pool's counts say what the server sees.
async fn exact(pool: &PgPool, server: &FakePostgres) {
    soon("the pool counts what is open", || pool.snapshot().total() as usize == server.open())
        .await;
}

async fn filled(server: &FakePostgres, pool: &PgPool, size: usize) {
    soon("the pool is filled", || pool.snapshot().idle as usize == size).await;
    assert_eq!(server.open(), size);
}

#[tokio::test]
async fn a_statement_abandoned_to_a_silent_server_gives_its_place_back_within_the_cleanup_limit() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let config = fixed(1);
    let limit = config.cleanup_timeout;
    let pool = open_pool(config, server.options());
    let mut lease = pool.acquire().await.unwrap();
    server.now(0, Act::Silence);
    let (answer, _) = clock.time(timeout(Duration::from_millis(100), one(&mut lease))).await;
    answer.unwrap_err();
    drop(lease);
    let (lease, took) = clock.time(pool.acquire()).await;
    assert_eq!(one(&mut lease.unwrap()).await.unwrap(), 1);
    assert!(took <= limit + EXCHANGE, "{took:?}");
    exact(&pool, &server).await;
}

/// Nothing can be ended through a second connection when that one is not answered either.
#[tokio::test]
async fn a_place_comes_back_even_if_the_whole_server_is_silent() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let config = Config { cleanup_timeout: Duration::from_millis(400), ..fixed(1) };
    let limit = config.cleanup_timeout;
    let pool = open_pool(config, server.options());
    let mut lease = pool.acquire().await.unwrap();
    server.now_all(Act::Silence);
    server.always([(When::Accepted, Act::Silence)]);
    let (answer, _) = clock.time(timeout(Duration::from_millis(100), one(&mut lease))).await;
    answer.unwrap_err();
    drop(lease);
    clock.pass(limit + EXCHANGE).await;
    assert_eq!(pool.snapshot().closing, 0, "{:?}", pool.snapshot());
    server.always([]);
    // The attempt that hangs ends at its limit, and the next one comes after one back-off step.
    let patience = Config::default().connect_timeout + Duration::from_secs(2);
    clock.pass(patience).await;
    let (lease, took) = clock.time(pool.acquire()).await;
    assert!(took <= EXCHANGE, "{took:?}");
    drop(lease.unwrap());
    exact(&pool, &server).await;
}

/// Clean-ups do not queue up behind each other: each has its own limit.
#[tokio::test]
async fn places_that_are_given_up_one_after_the_other_come_back_one_after_the_other() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let config = fixed(3);
    let limit = config.cleanup_timeout;
    let pool = open_pool(config, server.options());
    filled(&server, &pool, 3).await;
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(pool.acquire().await.unwrap());
    }
    server.now_all(Act::Silence);
    server.always([(When::Accepted, Act::Silence)]);
    for lease in &mut leases {
        clock.time(timeout(Duration::from_millis(10), one(lease))).await.0.unwrap_err();
    }
    let pause = limit / 4;
    for lease in leases {
        drop(lease);
        clock.pass(pause).await;
    }
    assert_eq!(pool.snapshot().closing, 3);
    for left in [2, 1, 0] {
        clock.pass(pause + EXCHANGE).await;
        assert_eq!(pool.snapshot().closing, left, "{:?}", pool.snapshot());
    }
}

#[tokio::test]
async fn ten_silently_dead_connections_cost_the_first_acquire_one_check_and_one_connect() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let pool = open_pool(fixed(10), server.options());
    filled(&server, &pool, 10).await;
    clock.pass(Validation::default().bypass_window + EXCHANGE).await;
    server.now_all(Act::Silence);
    let (lease, took) = clock.time(pool.acquire()).await;
    let mut lease = lease.unwrap();
    assert_eq!(one(&mut lease).await.unwrap(), 1);
    let check = Validation::default().timeout;
    assert!(took <= check + EXCHANGE, "{took:?} for a check of {check:?} and a connect");

    // The others are found in the background, all at once and not one after the other.
    clock.pass(check + Config::default().cleanup_timeout + EXCHANGE).await;
    let left = (0..10).filter(|&session| server.is_open(session)).count();
    assert_eq!(left, 0, "dead connections are still open");
    soon("there are ten again", || pool.snapshot().total() == 10).await;
    exact(&pool, &server).await;
}

/// Every acquire of a burst meets a dead connection; none of them may pay for more than its own.
#[tokio::test]
async fn a_burst_on_silently_dead_connections_is_served_after_one_check() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let pool = open_pool(fixed(10), server.options());
    filled(&server, &pool, 10).await;
    clock.pass(Validation::default().bypass_window + EXCHANGE).await;
    server.now_all(Act::Silence);
    let query = async || one(&mut pool.acquire().await.unwrap()).await.unwrap();
    let burst = futures_util::future::join_all((0..30).map(|_| query()));
    let (answers, took) = clock.time(burst).await;
    assert_eq!(answers, [1; 30]);
    // The next connect may wait for the clean-up of a dead connection, which counts against the size.
    let limit = Validation::default().timeout + Config::default().cleanup_timeout + 4 * EXCHANGE;
    assert!(took <= limit, "{took:?}");
}

/// A connection that answers its check too late works, but nobody can know whose answer comes next.
#[tokio::test]
async fn a_connection_whose_check_timed_out_is_closed_and_never_lent() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let late = Validation::default().timeout + Duration::from_millis(500);
    server.next([(When::Statement(PROBE), Act::Delay(late))]);
    let pool = open_pool(fixed(1), server.options());
    filled(&server, &pool, 1).await;
    clock.pass(Validation::default().bypass_window + EXCHANGE).await;
    let mut lease = clock.time(pool.acquire()).await.0.unwrap();
    one(&mut lease).await.unwrap();
    drop(lease);
    clock.pass(late).await;
    for _ in 0..10 {
        one(&mut pool.acquire().await.unwrap()).await.unwrap();
    }
    assert!(!server.is_open(0));
    assert!(!server.received(0).iter().any(|sql| sql == "SELECT 1"), "{:?}", server.received(0));
    exact(&pool, &server).await;
}

/// Half a message and FIN, bytes that are no message, RST, and a session that the server ends.
#[tokio::test]
async fn a_broken_answer_is_an_error_and_costs_only_its_connection() {
    for act in [Act::HalfMessage, Act::Garbage, Act::Reset, Act::End("57P01"), Act::End("08P01")] {
        let server = FakePostgres::start().await;
        server.next([(When::Statement("SELECT 1"), act)]);
        let pool = open_pool(fixed(2), server.options());
        filled(&server, &pool, 2).await;
        let mut leases = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
        let mut answers = Vec::new();
        for lease in &mut leases {
            answers.push(one(lease).await.is_ok());
        }
        answers.sort_unstable();
        assert_eq!(answers, [false, true], "{act:?}");
        drop(leases);
        soon("the connection is replaced", || pool.statistics().opened == 3 && server.open() == 2)
            .await;
        assert!(!server.is_open(0), "{act:?}");
        for _ in 0..4 {
            one(&mut pool.acquire().await.unwrap()).await.unwrap();
        }
        exact(&pool, &server).await;
    }
}

#[tokio::test]
async fn a_broken_start_up_is_tried_again() {
    let broken = [
        (When::Accepted, Act::HalfMessage),
        (When::Accepted, Act::Garbage),
        (When::Accepted, Act::Reset),
        (When::Tls, Act::Garbage),
        (When::Tls, Act::Reset),
        (When::Scram, Act::HalfMessage),
        (When::Scram, Act::Garbage),
        (When::Scram, Act::Reset),
        (When::StartUp, Act::HalfMessage),
        (When::StartUp, Act::Garbage),
        (When::StartUp, Act::Reset),
    ];
    let clock = Clock::stopped();
    for script in broken {
        let server = FakePostgres::start().await;
        server.next([script]);
        let options = server.options_with_tls().password("secret");
        let pool = open_pool(fixed(1), options);
        soon("it has failed", || pool.statistics().open_failed == 1).await;
        assert_eq!(server.open(), 0, "{script:?}");
        clock.pass(Duration::from_millis(1150)).await;
        let (lease, took) = clock.time(pool.acquire()).await;
        assert!(took <= EXCHANGE, "{script:?}: {took:?}");
        one(&mut lease.unwrap()).await.unwrap();
        // A third one only asked whether anybody is there.
        assert!((2..=3).contains(&server.ever()), "{script:?}");
        exact(&pool, &server).await;
    }
}

/// 57P05: the server's own limit for idle sessions. The client gets a message that it has not asked for.
#[tokio::test]
async fn an_idle_session_that_the_server_ends_is_replaced_unseen() {
    let clock = Clock::stopped();
    for act in [Act::End("57P05"), Act::End("57P01"), Act::Reset, Act::Garbage, Act::HalfMessage] {
        let server = FakePostgres::start().await;
        let pool = open_pool(fixed(1), server.options());
        filled(&server, &pool, 1).await;
        clock.pass(Validation::default().bypass_window + EXCHANGE).await;
        server.now(0, act);
        soon("the session has ended", || !server.is_open(0)).await;
        let (lease, took) = clock.time(pool.acquire()).await;
        assert!(took <= EXCHANGE, "{act:?}: {took:?}");
        one(&mut lease.unwrap()).await.unwrap();
        exact(&pool, &server).await;
    }
}

/// Nobody asks for a connection, and yet a dead one is found.
#[tokio::test]
async fn a_dead_idle_connection_is_replaced_without_traffic() {
    let clock = Clock::stopped();
    let server = FakePostgres::start().await;
    let pool = open_pool(fixed(4), server.options());
    filled(&server, &pool, 4).await;
    server.now_all(Act::Silence);
    // One look at the oldest, one check of it, and then all the others are suspect.
    let validation = Validation::default().timeout;
    clock.pass(Config::default().probe_interval + 2 * validation + 2 * EXCHANGE).await;
    soon("new ones are open", || server.ever() >= 8).await;
    clock.pass(Config::default().cleanup_timeout + EXCHANGE).await;
    let left = (0..4).filter(|&session| server.is_open(session)).count();
    assert_eq!(left, 0, "dead connections are still open");
    exact(&pool, &server).await;
}
