//! The phases, and what they are decided from.

use super::*;

/// What the server refuses by its word.
fn refused() -> Arc<OpenError> {
    Arc::new(OpenError::Failed(sqlx::Error::Configuration("refused".into())))
}

#[test]
fn an_outage_of_the_whole_pool_goes_through_recovering_to_healthy() {
    let mut bench = Bench::in_use(Config { min_size: 2, ..config() }, 2);
    assert_eq!(bench.state.phase(), Phase::Healthy);
    bench.give_back(Fitness::Unfit(CloseReason::Broken));
    assert_eq!(bench.state.phase(), Phase::Degraded, "one of two");
    bench.give_back(Fitness::Unfit(CloseReason::Broken));
    assert_eq!(bench.state.phase(), Phase::Unhealthy);
    bench.state.closed();
    bench.state.closed();
    let attempt = bench.permission(OpenReason::MinSize);
    assert_eq!(bench.state.phase(), Phase::Recovering);
    bench.now = bench.fail_to_open(attempt).retry_at;
    assert_eq!(bench.state.phase(), Phase::Unhealthy);
    for (id, expected) in [(7, Phase::Recovering), (8, Phase::Healthy)] {
        let attempt = bench.permission(OpenReason::MinSize);
        bench.opened(attempt, id);
        assert_eq!(bench.state.phase(), expected);
    }
}

#[test]
fn a_pool_that_cannot_start_is_unhealthy_after_three_attempts() {
    let mut bench = Bench::new(config());
    for expected in [Phase::Initializing, Phase::Initializing, Phase::Unhealthy] {
        let attempt = bench.permission(OpenReason::MinSize);
        bench.now = bench.fail_to_open(attempt).retry_at;
        assert_eq!(bench.state.phase(), expected);
    }
    assert!(bench.state.start_failed());
}

/// A pool with `min_size` 2 whose one idle connection does not answer its probe, while two others are lent.
fn with_an_unanswered_probe(max_size: u32) -> Bench {
    let mut bench = Bench::in_use(Config { min_size: 2, max_size, ..config() }, 4);
    bench.give_back(Fitness::Fit);
    bench.pass(Duration::from_millis(100));
    bench.give_back(Fitness::Unfit(CloseReason::Broken));
    let cared = bench.orders().into_iter().find_map(|order| {
        let Order::Care(slot, Care::Probe) = order else { return None };
        Some(slot)
    });
    let began = bench.now;
    bench.pass(Duration::from_secs(1));
    let served =
        bench.state.cared(cared.unwrap(), Err(CloseReason::CheckTimedOut), began, bench.now);
    bench.keep(served);
    assert_eq!(bench.state.phase(), Phase::Degraded);
    assert_eq!(bench.state.gauges().in_use, 2);
    bench
}

#[test]
fn leases_do_not_keep_a_pool_healthy_whose_database_has_gone_silent() {
    let mut bench = with_an_unanswered_probe(6);
    let attempt = bench.permission(OpenReason::Probe);
    bench.pass(Duration::from_millis(499));
    bench.state.assess(bench.now);
    assert_eq!(bench.state.phase(), Phase::Degraded, "an answer may be on its way");
    bench.pass(Duration::from_millis(1));
    bench.state.assess(bench.now);
    assert_eq!(bench.state.phase(), Phase::Unhealthy);
    bench.now = bench.fail_to_open(attempt).retry_at;
    let attempt = bench.permission(OpenReason::Probe);
    assert_eq!(bench.state.phase(), Phase::Unhealthy, "trying is no recovery");
    bench.pass(Duration::from_secs(1));
    bench.opened(attempt, 7);
    assert_eq!(bench.state.phase(), Phase::Healthy);
}

#[test]
fn an_answer_after_the_check_began_vouches_for_the_leases() {
    let mut bench = with_an_unanswered_probe(6);
    let attempt = bench.permission(OpenReason::Probe);
    bench.opened(attempt, 7);
    bench.pass(Duration::from_secs(1));
    bench.state.assess(bench.now);
    assert_ne!(bench.state.phase(), Phase::Unhealthy);
}

#[test]
fn a_full_pool_that_cannot_ask_is_not_called_silent() {
    let mut bench = with_an_unanswered_probe(4);
    assert!(matches!(bench.dial(), Dial::Rest), "the lost ones still have their places");
    bench.pass(Duration::from_secs(1));
    bench.state.assess(bench.now);
    assert_eq!(bench.state.phase(), Phase::Degraded);
}

#[test]
fn a_server_that_refuses_is_not_silent() {
    let mut bench = with_an_unanswered_probe(6);
    let attempt = bench.permission(OpenReason::Probe);
    bench.state.open_failed(attempt, refused(), 0.5, bench.now);
    bench.pass(Duration::from_secs(1));
    bench.state.assess(bench.now);
    assert_eq!(bench.state.phase(), Phase::Degraded);
}

#[test]
fn a_moment_without_the_minimum_is_not_unhealthy() {
    let mut bench = Bench::in_use(config(), 1);
    bench.give_back(Fitness::Unfit(CloseReason::Abandoned));
    bench.state.assess(bench.now);
    assert_eq!(bench.state.phase(), Phase::Healthy, "its replacement is a millisecond away");
    bench.pass(Duration::from_millis(500));
    bench.state.assess(bench.now);
    assert_eq!(bench.state.phase(), Phase::Unhealthy);
}
