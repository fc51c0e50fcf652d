//! Whatever goes wrong at whatever await, and wherever the caller gives up: the counts are exact afterwards.

use futures_util::poll;
use tokio::time::{Instant, sleep, timeout};

use super::*;

const ACTS: [Act; 4] = [Act::Ok, Act::Fail, Act::After(ms(20)), Act::Never];
/// Drops the acquire after so many polls; the last one lets it run to its end.
const PATIENCE: [usize; 4] = [0, 1, 2, usize::MAX];

/// What the next call of each kind does.
#[derive(Debug, Clone, Copy)]
struct Plan {
    open: Act,
    check: Act,
    reset: Act,
    close: Act,
    terminate: Act,
}

fn plans() -> impl Iterator<Item = Plan> {
    let number = ACTS.len();
    (0..number.pow(5)).map(move |index| {
        let act = |place: u32| ACTS[index / number.pow(place) % number];
        let (open, check, reset) = (act(0), act(1), act(2));
        Plan { open, check, reset, close: act(3), terminate: act(4) }
    })
}

/// Polls `acquire` up to `polls` times, with the pool's tasks running in between.
async fn with_patience<T>(acquire: impl Future<Output = T>, polls: usize) -> Option<T> {
    if polls == usize::MAX {
        return Some(acquire.await);
    }
    let mut acquire = Box::pin(acquire);
    for _ in 0..polls {
        if let std::task::Poll::Ready(outcome) = poll!(acquire.as_mut()) {
            return Some(outcome);
        }
        settled().await;
    }
    None
}

/// An acquire of a connection that needs its check, a use that needs a reset, an abandoned statement, and a
/// farewell, under one plan.
async fn live_through(plan: Plan, polls: usize) {
    let connector = Scripted::default();
    let config = Config { acquire_timeout: secs(3), probe_interval: secs(60), ..config(1, 2) };
    let pool = warm(config, &connector).await;
    sleep(secs(1)).await;
    {
        let mut script = connector.0.lock();
        script.open.push_back(plan.open);
        script.check.push_back(plan.check);
        script.reset.push_back(plan.reset);
        script.close.push_back(plan.close);
        script.terminate.push_back(plan.terminate);
    }
    if let Some(Ok(mut lease)) = with_patience(pool.acquire(), polls).await {
        lease.usage().soiled();
    }
    // A second borrower meets what the first one left, and abandons a statement.
    if let Some(Ok(mut lease)) = with_patience(pool.acquire(), polls).await {
        lease.parts().1.sent();
    }
    sleep(secs(120)).await;
    let alive = connector.look(|script| script.alive.len());
    let [idle, others @ ..] = counts(&pool);
    assert_eq!((idle as usize, others), (alive, [0; 5]), "{plan:?}, {polls} polls");
    let statistics = pool.statistics();
    assert_eq!(statistics.total_acquisitions, statistics.total_releases, "{plan:?}, {polls}");
    let working = timeout(secs(30), pool.acquire()).await;
    assert!(matches!(working, Ok(Ok(_))), "{plan:?}, {polls} polls: {working:?}");
    drop(working);
    let most = connector.look(|script| script.most_alive);
    assert!(most <= 2, "{most} alive at once: {plan:?}, {polls} polls");
    pool.shutdown().await;
    settled().await;
    assert_eq!(connector.look(|script| script.alive.len()), 0, "{plan:?}, {polls} polls");
}

#[tokio::test(start_paused = true)]
async fn every_await_with_every_outcome_and_every_patience_leaves_exact_counts() {
    let mut lived = 0;
    for plan in plans() {
        for polls in PATIENCE {
            live_through(plan, polls).await;
            lived += 1;
        }
    }
    assert_eq!(lived, 4096);
}

#[tokio::test(start_paused = true)]
async fn an_acquire_dropped_between_hand_over_and_poll_gives_its_connection_back() {
    let connector = Scripted::default();
    let pool = warm(config(1, 1), &connector).await;
    let held = pool.acquire().await.unwrap();
    let mut acquire = Box::pin(pool.acquire());
    assert!(poll!(acquire.as_mut()).is_pending());
    drop(held);
    assert_eq!(counts(&pool), [0, 1, 0, 0, 0, 0], "handed over, and not looked at");
    drop(acquire);
    assert_eq!(counts(&pool), [1, 0, 0, 0, 0, 0]);
    assert_eq!(connector.look(|script| script.opened), 1, "cancelling opens nothing anew");
}

#[tokio::test(start_paused = true)]
async fn an_acquire_dropped_during_its_check_leaves_a_connection_that_is_checked_again() {
    let connector = Scripted::default();
    let pool = warm(Config { probe_interval: secs(60), ..config(1, 1) }, &connector).await;
    sleep(secs(1)).await;
    for act in [Act::After(ms(10)), Act::Never] {
        connector.script(|script| &mut script.check, [act, Act::Ok]);
        let mut acquire = Box::pin(pool.acquire());
        assert!(poll!(acquire.as_mut()).is_pending());
        drop(acquire);
        assert_eq!(counts(&pool), [0, 0, 0, 1, 0, 0], "in doubt, so not idle");
        settled().await;
        assert_eq!(counts(&pool), [1, 0, 0, 0, 0, 0], "proven, so not lost");
        sleep(secs(1)).await;
    }
    assert_eq!(connector.look(|script| (script.opened, script.checked)), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn an_acquire_dropped_during_the_connect_leaves_it_to_the_pool() {
    let connector = Scripted::opening([Act::After(ms(5))]);
    let pool = pool(config(1, 1), &connector);
    settled().await;
    for _ in 0..100 {
        let mut acquire = Box::pin(pool.acquire());
        assert!(poll!(acquire.as_mut()).is_pending());
        drop(acquire);
    }
    sleep(ms(6)).await;
    assert_eq!(counts(&pool), [1, 0, 0, 0, 0, 0]);
    assert_eq!(connector.look(|script| script.attempts.len()), 1);
}

/// Two thousand deadlines fall in the very instant in which connections come back.
#[tokio::test(start_paused = true)]
async fn deadlines_that_meet_returns_start_no_storm_of_connects() {
    let connector = Scripted::default();
    let config = Config { acquire_timeout: ms(100), ..config(4, 4) };
    let pool = warm(config, &connector).await;
    for _ in 0..20 {
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(pool.acquire().await.unwrap());
        }
        let waiting: Vec<_> = (0..100).map(|_| acquiring(&pool)).collect();
        settled().await;
        sleep(ms(100)).await;
        drop(held);
        let mut served = 0;
        for waiter in waiting {
            match waiter.await.unwrap() {
                Ok(_lease) => served += 1,
                Err(error) => assert!(matches!(error, AcquireError::TimedOut { .. }), "{error}"),
            }
        }
        assert!(served <= 100);
        settled().await;
        assert_eq!(counts(&pool), [4, 0, 0, 0, 0, 0]);
    }
    assert_eq!(connector.look(|script| (script.opened, script.alive.len())), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_holding_loses_nothing() {
    let pool = warm(config(1, 1), &Scripted::default()).await;
    let lease = pool.acquire().await.unwrap();
    let task = spawn(async move {
        let _lease = lease;
        panic!("on purpose");
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(counts(&pool), [1, 0, 0, 0, 0, 0]);
}

#[test]
fn a_lease_may_end_outside_its_runtime_and_after_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connector = Scripted::default();
    let (pool, leases) = runtime.block_on(async {
        let pool = warm(config(4, 4), &connector).await;
        let mut leases = Vec::new();
        for _ in 0..4 {
            leases.push(pool.acquire().await.unwrap());
        }
        (pool, leases)
    });
    let [clean, mut soiled, mut abandoned, late] = <[Lease<_>; 4]>::try_from(leases).unwrap();
    std::thread::spawn(move || drop(clean)).join().unwrap();
    let elsewhere = tokio::runtime::Builder::new_current_thread().build().unwrap();
    soiled.usage().soiled();
    elsewhere.block_on(async move { drop(soiled) });
    runtime.block_on(settled());
    assert_eq!(counts(&pool), [2, 2, 0, 0, 0, 0], "reset by the pool's own runtime");
    drop(runtime);
    abandoned.parts().1.sent();
    drop(abandoned);
    drop(late);
    assert_eq!(counts(&pool), [0; 6]);
    assert_eq!(connector.look(|script| script.alive.len()), 0);
    let refused = elsewhere.block_on(pool.acquire()).unwrap_err();
    assert!(matches!(refused, AcquireError::Closed { .. }), "a pool ends with its runtime");
}

/// The limit of an acquire holds in every phase, whatever hangs.
#[tokio::test(start_paused = true)]
async fn the_deadline_holds_while_waiting_connecting_checking_and_closing() {
    let limit = ms(700);
    let quiet = Config { acquire_timeout: limit, probe_interval: secs(60), ..config(1, 1) };
    let in_time = async |pool: &Pool<Scripted>, phase: &str| {
        let started = Instant::now();
        let outcome = pool.acquire().await;
        assert!(started.elapsed() <= limit + ms(1), "{phase}: {:?}", started.elapsed());
        outcome
    };
    let connector = Scripted::opening([Act::Never]);
    let connecting = pool(quiet.clone(), &connector);
    assert!(in_time(&connecting, "connecting").await.is_err());

    let connector = Scripted::default();
    let pool = warm(quiet, &connector).await;
    let held = pool.acquire().await.unwrap();
    assert!(in_time(&pool, "waiting").await.is_err());
    connector.script(|script| &mut script.terminate, [Act::Never]);
    let mut held = held;
    held.parts().1.sent();
    drop(held);
    assert!(in_time(&pool, "closing").await.is_err());
    sleep(secs(3)).await;
    connector.script(|script| &mut script.check, [Act::Never]);
    let error = in_time(&pool, "checking").await.unwrap_err();
    assert!(matches!(error, AcquireError::TimedOut { .. }), "{error}");
    assert_eq!(counts(&pool), [0, 0, 0, 1, 0, 0], "the check goes on without its caller");
}
