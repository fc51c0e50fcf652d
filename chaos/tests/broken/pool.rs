//! Scenarios of a pool without a server.

use crate::support::{Shortened, assert_breaks, assert_passes};

#[test]
fn concurrent_acquire_sees_a_line_that_turns_callers_away() {
    let scenario = Shortened::new("concurrent-acquire", "{ steady: 2s, recovery: 6s, drain: 2s }");
    assert_passes(&scenario.run(&[]));
    let turned_away = scenario.run(&["config.pool.max_waiting=50"]);
    assert_breaks(&turned_away, &["tasks.ok = 100 in steady"]);
}

#[test]
fn pool_exhaustion_sees_callers_that_are_not_told_in_time() {
    let phases = r#"{ warmup: 1s, steady: 3s, fault: "${held}", recovery: 2s, drain: 2s }"#;
    let scenario = Shortened::new("pool-exhaustion", phases);
    assert_passes(&scenario.run(&["held=5s"]));
    let patient = scenario.run(&["held=5s", "config.pool.acquire_timeout=1m"]);
    assert_breaks(&patient, &["reads.errors.pool_timeout ≥ 600"]);
}

#[test]
fn leak_cancel_sees_a_pool_that_turns_callers_away() {
    let scenario = Shortened::new("leak-cancel", "{ warmup: 1s, steady: 2s, drain: 2s }");
    let turned_away = scenario.run(&["config.pool.max_waiting=1"]);
    assert_breaks(&turned_away, &["cancelled.ok = 5000 in steady"]);
}

#[test]
fn leak_detection_sees_leaks_that_nobody_looks_for() {
    let scenario = Shortened::new("leak-detection", "{ steady: 7s, drain: 2s }");
    assert_passes(&scenario.run(&[]));
    let blind = scenario.run(&["config.pool.leaks.enabled=false"]);
    assert_breaks(&blind, &["pool.leaks = 4 in drain"]);
}

#[test]
fn leak_detection_sees_connections_that_are_taken_away() {
    let scenario = Shortened::new("leak-detection", "{ steady: 7s, drain: 2s }");
    let robbed = scenario.run(&["config.pool.leaks.reclaim=true"]);
    assert_breaks(&robbed, &["keepers.ok = 4 in steady"]);
}

#[test]
fn leak_detection_sees_connections_that_do_not_come_back() {
    let scenario = Shortened::new("leak-detection", "{ steady: 4s, drain: 2s }");
    let kept = scenario.with("hold: 3s", "hold: 9s").run(&[]);
    assert_breaks(&kept, &["pool.leaked = 0 in drain", "pool.live_leaks = 0 in drain"]);
}

#[test]
fn half_open_idle_sees_silent_connections_that_are_used_unchecked() {
    let phases = r#"{ warmup: 1s, steady: 3s, fault: "${quiet}", recovery: 5s, drain: 2s }"#;
    let scenario = Shortened::new("half-open-idle", phases);
    assert_passes(&scenario.run(&["quiet=2s"]));
    let trusting = scenario.run(&["quiet=2s", "config.pool.validation.bypass_window=1m"]);
    assert_breaks(&trusting, &["reads.first_success < 1s"]);
}

#[test]
fn half_open_inflight_sees_a_silent_statement_that_is_waited_for() {
    let phases = "{ warmup: 1s, steady: 3s, fault: auto, recovery: 8s, drain: 2s }";
    let scenario = Shortened::new("half-open-inflight", phases);
    assert_passes(&scenario.run(&["patience=10s"]));
    let patient = scenario.run(&["patience=10s", "config.pool.command_timeout=1m"]);
    assert_breaks(&patient, &["patient.timed_out = 0", "patient.failed.latency.max < 8s"]);
}

#[test]
fn pool_init_sees_connections_that_are_opened_one_after_the_other() {
    let scenario = Shortened::new("pool-init", "{ steady: 1s, fault: auto, recovery: 1s }");
    let one_by_one = ["slow=8s", "config.pool.min_size=10", "config.pool.max_parallel_connects=1"];
    assert_breaks(&scenario.run(&one_by_one), &["opens.latency.max < 2s"]);
}

#[test]
fn vacuity_check_sees_a_fault_that_bites() {
    let phases = "{ warmup: 1s, steady: 2s, fault: auto, recovery: 2s, drain: 1s }";
    let scenario = Shortened::new("vacuity-check", phases);
    assert_passes(&scenario.run(&[]));
    let biting = scenario.with("kind: proxy.noop", "kind: proxy.refuse").run(&[]);
    // The guard is the verdict that the file names.
    assert_breaks(&biting, &[]);
    assert_eq!(biting.reason.as_deref(), Some("it must end inconclusive, and ended passed"));
}

#[test]
fn health_speed_sees_health_that_stays_green() {
    let phases = "{ warmup: 1s, steady: 2s, fault: auto, recovery: 1s }";
    let scenario = Shortened::new("health-speed", phases).with("for: 6s", "for: 2s");
    // What falls silent is noticed by the next probe, and not before.
    let silent = scenario.with("use: refused", "kind: proxy.blackhole");
    assert_breaks(&silent.run(&[]), &["pool.time_to_red < 1s"]);
}
