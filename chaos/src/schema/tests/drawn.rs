//! Parameters that are ranges, and the runs that draw them.

use std::collections::BTreeSet;

use super::*;
use crate::seed;

/// A scenario that draws the length of its outage, and how long connections are kept.
const DRAWN: &str = r#"schema: resilience/v1
name: good
summary: It goes on
seed: 7
params: { outage: 1s..60s, held: 5ms..20ms }
environment: { pool: {} }
phases: { steady: 2s, fault: auto, recovery: 20s }
load:
  - { id: reads, op: pool.query, hold: "${held}", model: open, rate: 100/s }
faults:
  - { id: cut, for: "${outage}", kind: proxy.refuse }
expect:
  sometimes:
    - { event: proxy.connection_cut }
budget: { wall: 90s }
"#;

fn drawn(seed: Option<u64>, set: &[(&str, &str)]) -> Scenario {
    let params = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let overrides = Overrides { params: params.collect(), seed, ..Overrides::default() };
    read(DRAWN, &overrides).unwrap()
}

#[test]
fn each_run_draws_anew_and_the_same_again_when_it_runs_alone() {
    let scenario = drawn(None, &[]);
    let mut outages = BTreeSet::new();
    for number in 0..20 {
        let run = scenario.of_run(number).unwrap();
        assert_eq!(run.seed, seed::of_run(7, number));
        let alone = drawn(Some(run.seed), &[]).of_run(0).unwrap();
        assert_eq!((run.params.clone(), &run.text), (alone.params, &alone.text));
        let outage = &run.drawn()["outage"];
        let length: Amount = outage.parse().unwrap();
        assert_eq!(run.faults[0].lasts, Duration::from_secs_f64(length.value));
        assert!(run.text.contains(&format!("params: {{ outage: {outage}, held: ")), "{}", run.text);
        outages.insert(outage.clone());
    }
    assert_eq!(outages.len(), 20);
}

#[test]
fn the_command_line_fixes_what_is_drawn() {
    let scenario = drawn(None, &[("outage", "5s")]);
    for number in 0..3 {
        let run = scenario.of_run(number).unwrap();
        assert_eq!(run.faults[0].lasts, Duration::from_secs(5));
        assert_eq!(run.drawn().keys().collect::<Vec<_>>(), ["held"]);
    }
}

#[test]
fn a_parameter_is_drawn_also_where_a_range_could_stand() {
    let Op::PoolQuery { hold: (from, to) } = drawn(None, &[]).loads[0].op else {
        panic!("a query")
    };
    assert_eq!(from, to);
    assert!((Duration::from_millis(5)..=Duration::from_millis(20)).contains(&from));
    // Two parameters make a range of requests.
    let text = DRAWN.replace("${held}", "${held}..1s");
    let scenario = read(&text, &Overrides::default()).unwrap();
    let Op::PoolQuery { hold } = scenario.loads[0].op else { panic!("a query") };
    assert_eq!(hold, (from, Duration::from_secs(1)));
}

#[test]
fn both_ends_are_checked() {
    let told = |from: &str, to: &str| {
        let text = DRAWN.replace(from, to);
        assert_ne!(text, DRAWN, "{from}");
        read(&text, &Overrides::default()).unwrap_err().to_string()
    };
    let long = told("wall: 90s", "wall: 80s");
    assert!(long.contains("the budget is 80s, and the phases alone take 82s"), "{long}");
    let long = told("fault: auto", "fault: 59s");
    assert!(long.contains("ends before its last fault"), "{long}");
    let zero = told("pool: {}", "pool: { config: { pool.max_size: \"${held}\" } }");
    assert!(zero.contains("5ms"), "{zero}");
    let other = told("held: 5ms..20ms", "held: 5ms..20");
    assert!(other.starts_with("good.yaml:5:34: `5ms..20` begins with a time"), "{other}");
    let many =
        told("held: 5ms..20ms", "held: 5ms, a: 1..2, b: 1..2, c: 1..2, d: 1..2, e: 1..2, f: 1..2");
    assert!(many.contains("7 parameters are ranges, and 6 may be"), "{many}");
}
