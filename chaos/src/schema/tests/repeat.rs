//! Promises over the runs of a repeat.

use super::*;

/// The good scenario with these runs and this promise over them.
fn with(runs: u32, promise: &str) -> Result<Scenario, SchemaErrors> {
    let text = format!("{GOOD}repeat: {{ runs: {runs}, expect: [{{ {promise} }}] }}\n");
    read(&text, &Overrides::default())
}

const GOOD_PROMISE: &str = "metric: reads.recovery_time, quantile: p95, lt: 10s";

#[test]
fn a_promise_over_runs_is_read() {
    let scenario = with(20, GOOD_PROMISE).unwrap();
    let told: Vec<_> = scenario.over_runs.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["p95 over all runs: reads.recovery_time < 10s"]);
    assert_eq!((scenario.runs, scenario.own_runs), (20, 20));
    for (quantile, needed) in
        [("p50", 2), ("p90", 10), ("p95", 20), ("p99", 100), ("p999", 1000), ("max", 1)]
    {
        let promise = GOOD_PROMISE.replace("p95", quantile);
        assert_eq!(with(needed, &promise).unwrap().over_runs[0].needed(), u64::from(needed));
        assert_eq!(with(needed - 1, &promise).is_err(), needed > 0, "{quantile}");
    }
}

#[test]
fn what_no_runs_can_show_is_refused() {
    for (runs, promise, told) in [
        (19, GOOD_PROMISE, "29:30: p95 over runs needs 20 of them, and `runs` is 19"),
        (
            20,
            "metric: reads.recovery_time, quantile: p95, lt: 10s, le: 9s",
            "exactly one of `lt` and `le`",
        ),
        (20, "metric: reads.recovery_time, quantile: p95, gt: 10s", "unknown field `gt`"),
        (20, "metric: reads.recovery_time, quantile: p59, lt: 10s", "did you mean `p50`?"),
        (
            20,
            "metric: reads.recovery_tim, quantile: p95, lt: 10s",
            "did you mean `reads.recovery_time`?",
        ),
        (
            20,
            "metric: reads.recovery_time, quantile: p95, lt: 10%",
            "a time with us, ms, s, m or h is wanted here",
        ),
        (
            20,
            "metric: reads.latency.p95, quantile: p95, lt: 10s",
            "name a metric that is one value",
        ),
        (
            20,
            "metric: pool.leaked, quantile: p95, lt: 1",
            "is looked at in the phase `drain`, and there is none",
        ),
    ] {
        let error = with(runs, promise).unwrap_err().to_string();
        assert!(error.contains(told), "{promise}: {error}");
    }
}
