//! What is compared with a baseline.

use super::*;

/// The good scenario with these objectives.
fn with(objectives: &str) -> Result<Scenario, SchemaErrors> {
    read(&format!("{GOOD}baseline: [{objectives}]\n"), &Overrides::default())
}

#[test]
fn objectives_are_read() {
    let scenario = with(
        "{ metric: reads.latency.p50, in: steady, min_samples: 50 }, { metric: reads.latency.p50 }, \
         { metric: reads.recovery_time }, { metric: server.start_time }",
    )
    .unwrap();
    let told: Vec<_> = scenario.objectives.iter().map(ToString::to_string).collect();
    let expected = [
        "reads.latency.p50 in steady",
        "reads.latency.p50",
        "reads.recovery_time",
        "server.start_time",
    ];
    assert_eq!(told, expected);
    let least: Vec<_> = scenario.objectives.iter().map(|one| one.min_samples).collect();
    assert_eq!(least, [50, 1, 1, 1]);
    assert_eq!(read(GOOD, &Overrides::default()).unwrap().objectives, []);
}

#[test]
fn what_has_no_baseline_is_refused() {
    let no_time = |metric: &str, column: u32| {
        format!(
            "29:{column}: `{metric}` is no time, and only times, of which less is better, have a baseline; \
             name one, such as `LOAD.latency.p50`"
        )
    };
    for (objectives, told) in [
        ("{ metric: reads.rate }", no_time("reads.rate", 22).as_str()),
        ("{ metric: server.rss, in: steady }", &no_time("server.rss", 22)),
        ("{ metric: reads.latency.max_to_median }", &no_time("reads.latency.max_to_median", 22)),
        (
            "{ metric: reads.latency.p50 }, { metric: reads.latency.p50, min_samples: 9 }",
            "29:43: `reads.latency.p50` is in the baseline already; remove one",
        ),
        ("{ metric: reads.latency.p59 }", "29:22: there is no metric `reads.latency.p59`"),
        ("{ metric: reads.latency.p50, lt: 5ms }", "unknown field `lt`"),
        ("{ metric: reads.latency.p50, in: drain }", "29:12: the scenario has no phase `drain`"),
        (
            "{ metric: server.start_time, in: steady }",
            "29:12: `server.start_time` belongs to no phase but the one it implies; remove `in`",
        ),
        ("{ metric: reads.time_to_red }", "name a load of `health` or `pool.health`"),
    ] {
        let error = with(objectives).unwrap_err().to_string();
        assert!(error.contains(told), "{objectives}: {error}");
    }
}

/// What is wrong with the metric is told once.
#[test]
fn a_wrong_objective_is_one_problem() {
    let errors = with("{ metric: reads.rate, in: drain }").unwrap_err();
    assert_eq!(errors.problems.len(), 1, "{errors}");
}
