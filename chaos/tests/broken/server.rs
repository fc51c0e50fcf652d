//! Scenarios of a whole server.

use crate::support::{Shortened, assert_breaks, assert_holds};

#[test]
fn start_without_db_sees_calls_that_wait_for_the_database() {
    let phases = "{ fault: auto, recovery: 2s, drain: 1s }";
    let scenario = Shortened::new("start-without-db", phases);
    let waiting = ["silence=4s", "outage=1s", "config.server.startup_wait=1m"];
    assert_breaks(&scenario.run(&waiting), &["reads.failed.latency.max < 2s"]);
}

#[test]
fn outage_recovery_sees_callers_that_hang_and_health_that_stays_green() {
    let phases = "{ warmup: 1s, steady: 5s, fault: auto, recovery: 5s, drain: 1s }";
    let scenario = Shortened::new("outage-recovery", phases);
    // No setting makes callers wait for a database that refuses them: only one that is silent does.
    let silent = scenario.with("use: refused", "kind: proxy.blackhole");
    let promises = ["reads.failed.latency.max < 2.50s", "pool.time_to_red < 1s"];
    assert_breaks(&silent.run(&["outage=6s"]), &promises);
}

#[test]
fn outage_recovery_sees_a_server_that_does_not_heal() {
    let phases = "{ warmup: 1s, steady: 5s, fault: auto, recovery: 5s, drain: 1s }";
    let scenario = Shortened::new("outage-recovery", phases);
    // The one connection is dead, and nobody gives up on its statement.
    let dead = "kind: proxy.blackhole, with: { scope: existing, heal: keep_dead }";
    let waiting = [
        "outage=1s",
        "config.pool.min_size=1",
        "config.pool.max_size=1",
        "config.pool.shutdown_timeout=1s",
        "config.pool.command_timeout=5m",
    ];
    let promises = ["reads.recovery_time < 10s", "pool.leaked = 0 in drain"];
    assert_breaks(&scenario.with("use: refused", dead).run(&waiting), &promises);
}

#[test]
fn outage_hang_sees_a_call_that_does_not_end_by_itself() {
    let phases = "{ warmup: 1s, steady: 7s, fault: auto, recovery: 3s, drain: 1s }";
    let scenario = Shortened::new("outage-hang", phases);
    let endless = scenario.run(&["outage=14s", "config.pool.command_timeout=5m"]);
    assert_breaks(&endless, &["reads.timed_out = 0"]);
}

#[test]
fn shutdown_inflight_sees_a_server_that_waits_for_endless_calls() {
    let phases = "{ warmup: 1s, steady: 4s, fault: auto, recovery: 1s, drain: 2s }";
    let scenario = Shortened::new("shutdown-inflight", phases);
    let waiting = ["endless=9s", "limit=5s", "config.pool.shutdown_timeout=5m"];
    assert_breaks(&scenario.run(&waiting), &["server.exit_time < 5s"]);
}

#[test]
fn log_events_sees_a_server_that_says_too_little() {
    let phases = "{ warmup: 1s, steady: 3s, fault: auto, recovery: 4s, drain: 1s }";
    let scenario = Shortened::new("log-events", phases);
    let quiet = scenario.run(&["config.telemetry.log=warn,codebase_mcp=info"]);
    let promises = ["pool.acquired ≥ 500 in steady", "pool.connection.opened ≥ 2"];
    assert_breaks(&quiet, &promises);
}

#[test]
fn outage_recovery_sees_health_that_is_told_well_through_the_outage() {
    let phases = "{ warmup: 1s, steady: 5s, fault: auto, recovery: 5s, drain: 1s }";
    let scenario = Shortened::new("outage-recovery", phases);
    // The server itself, but for this word of its answers.
    let liar = scenario.wrapped("s/unhealthy/healthy/g");
    let told = liar.run(&["outage=3s"]);
    assert_breaks(&told, &["health.time_to_red < 1s"]);
    // It is what it says that is wrong, and not what it knows.
    assert_holds(&told, &["pool.time_to_red < 1s", "health.success_rate ≥ 99.90%"]);
}
