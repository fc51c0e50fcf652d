//! Records made by hand, and what must be said about them.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::record::{
    Event, FaultRecord, Gauges, LoadRecord, Lost, Outcome, Sample, Source, Span, UNHEALTHY,
};
use crate::schema::Overrides;

const MILLI: Duration = Duration::from_millis(1);

fn seconds(from: u64, to: u64) -> Span {
    Span { from: Duration::from_secs(from), to: Duration::from_secs(to) }
}

/// A load of 100 requests a second over 40 s. From 10 s to 20 s a fault is in force.
fn record(answer: impl Fn(Duration) -> (Duration, Outcome)) -> Record {
    let samples = (0..4000).map(|number| {
        let due = MILLI * 10 * number;
        let (latency, outcome) = answer(due);
        Sample { due, latency, outcome, value: None }
    });
    let load =
        LoadRecord { id: "reads".to_owned(), samples: samples.collect(), ..LoadRecord::default() };
    Record {
        phases: vec![
            (Phase::Warmup, seconds(0, 2)),
            (Phase::Steady, seconds(2, 10)),
            (Phase::Fault, seconds(10, 20)),
            (Phase::Recovery, seconds(20, 40)),
        ],
        faults: vec![FaultRecord {
            id: "cut".to_owned(),
            kind: "proxy.refuse".to_owned(),
            span: seconds(10, 20),
        }],
        loads: vec![load],
        gauges: Vec::new(),
        events: vec![Event {
            at_s: 10.5,
            source: Source::Proxy,
            name: "proxy.connection_cut".to_owned(),
            fields: serde_json::Map::new(),
        }],
        facts: BTreeMap::new(),
        lost: Lost::default(),
    }
}

fn ok(latency: Duration) -> (Duration, Outcome) {
    (latency, Outcome::Ok)
}

fn failed() -> (Duration, Outcome) {
    (MILLI * 3, Outcome::Failed { code: "DATABASE_ERROR".to_owned() })
}

/// Everything fails from 10 s until `back`.
fn outage(back: Duration) -> Record {
    record(move |due| {
        let broken = Duration::from_secs(10) <= due && due < back;
        if broken { failed() } else { ok(MILLI * 5) }
    })
}

fn scenario(expect: &str) -> Scenario {
    scenario_of("op: search, query: q", expect)
}

fn scenario_of(op: &str, expect: &str) -> Scenario {
    let text = format!(
        "schema: resilience/v1\nname: test\nsummary: a test\nenvironment: {{ server: {{}} }}\n\
         phases: {{ warmup: 2s, steady: 8s, fault: auto, recovery: 20s, drain: 2s }}\n\
         load:\n  - {{ id: reads, {op}, model: open, rate: 100/s }}\n\
         faults:\n  - {{ id: cut, for: 10s, kind: proxy.refuse }}\n{expect}\n"
    );
    let path = Path::new("test.yaml");
    crate::schema::read(path, &text, Path::new("."), &Overrides::default())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

const BITES: &str = "  sometimes: [{ event: proxy.connection_cut }]";

fn judged(promise: &str, record: &Record) -> Assertion {
    let scenario = scenario(&format!("expect:\n  eventually: [{{ {promise} }}]\n{BITES}"));
    judge(&scenario, record, Duration::ZERO).remove(0)
}

#[test]
fn recovery_counts_to_the_beginning_of_lasting_service() {
    let record = outage(Duration::from_secs(23));
    let assertion = judged("metric: reads.recovery_time, lt: 5s", &record);
    assert_eq!(assertion.verdict, Verdict::Pass, "{assertion:?}");
    assert_eq!(assertion.actual.as_deref(), Some("3s"));
}

#[test]
fn one_late_failure_starts_the_count_again() {
    let late = Duration::from_millis(23_500);
    let mut record = outage(Duration::from_secs(23));
    for sample in &mut record.loads[0].samples {
        if sample.due == late {
            sample.outcome = Outcome::TimedOut;
        }
    }
    // The bucket from 23.4 s to 23.6 s is bad.
    let assertion = judged("metric: reads.recovery_time, lt: 5s", &record);
    assert_eq!(assertion.actual.as_deref(), Some("3.60s"));
}

#[test]
fn service_that_is_back_but_slow_has_not_recovered() {
    let slow = record(|due| ok(if due < Duration::from_secs(10) { MILLI } else { MILLI * 51 }));
    let assertion = judged("metric: reads.recovery_time, lt: 30s", &slow);
    assert_eq!(assertion.verdict, Verdict::Fail);
    let because = assertion.because.unwrap();
    assert_eq!(because, "not recovered when the run ended, 20.0 s after the last fault");
}

#[test]
fn a_steady_phase_with_a_long_tail_does_not_stretch_what_is_usual() {
    // One request in fifty took a second before the outage, and every one takes half a second after it.
    let usual =
        |due: Duration| if due.as_millis().is_multiple_of(500) { MILLI * 1000 } else { MILLI * 5 };
    let steady = Duration::from_secs(10);
    let tailed = record(|due| ok(if due < steady { usual(due) } else { MILLI * 500 }));
    let assertion = judged("metric: reads.recovery_time, lt: 30s", &tailed);
    assert_eq!(assertion.verdict, Verdict::Fail);
}

#[test]
fn without_a_steady_phase_service_is_judged_by_its_successes() {
    let mut slow = record(|_| ok(MILLI * 400));
    slow.phases.retain(|(phase, _)| *phase != Phase::Steady);
    let assertion = judged("metric: reads.recovery_time, lt: 1s", &slow);
    assert_eq!(assertion.verdict, Verdict::Pass);
}

#[test]
fn a_machine_that_is_late_itself_cannot_tell_a_recovery() {
    let mut slow = record(|due| ok(if due < Duration::from_secs(10) { MILLI } else { MILLI * 60 }));
    let promise = "metric: reads.recovery_time, lt: 5s";
    slow.loads[0].pacer_lag = vec![MILLI * 40; 4000];
    assert_eq!(judged(promise, &slow).verdict, Verdict::Fail);
    slow.loads[0].pacer_lag = vec![MILLI * 55; 4000];
    assert_eq!(judged(promise, &slow).verdict, Verdict::Inconclusive);
}

#[test]
fn a_run_that_ended_before_the_recovery_fails() {
    let assertion = judged("metric: reads.recovery_time, lt: 60s", &outage(Duration::MAX));
    assert_eq!(assertion.verdict, Verdict::Fail);
    assert_eq!(assertion.actual, None);
}

#[test]
fn no_data_is_a_failure() {
    let mut empty = outage(Duration::from_secs(20));
    empty.loads[0].samples.retain(|sample| sample.due < Duration::from_secs(20));
    for promise in [
        "metric: reads.failed, eq: 0",
        "metric: reads.success_rate, ge: 1%",
        "metric: reads.latency.p95, lt: 10s",
        "metric: reads.recovery_time, lt: 60s",
        "metric: pool.leaked, eq: 0",
        "metric: pool.size, le: 10",
        "metric: pool.time_to_red, lt: 10s",
    ] {
        let assertion = judged(promise, &empty);
        assert_eq!((assertion.verdict, assertion.actual), (Verdict::Fail, None), "{promise}");
        assert!(assertion.because.is_some(), "{promise}");
    }
}

#[test]
fn what_is_missing_in_the_record_lets_no_promise_hold() {
    let whole = record(|_| ok(MILLI * 5));
    let promise = "metric: reads.failed, eq: 0, in: steady";
    assert_eq!(judged(promise, &whole).verdict, Verdict::Pass);
    let mut capped = whole.clone();
    capped.loads[0].capped = true;
    assert_eq!(judged(promise, &capped).verdict, Verdict::Inconclusive);
    let broken = "metric: reads.failed, ge: 1, in: steady";
    assert_eq!(judged(broken, &capped).verdict, Verdict::Fail);

    let promise = "metric: pool.excess, eq: 0, in: recovery";
    let mut looked = whole;
    let values = BTreeMap::from([("excess".to_owned(), 0.0)]);
    looked.gauges.push(Gauges { at: Duration::from_secs(21), values });
    // Nine of the twenty seconds, and what lies elsewhere counts for nothing.
    looked.lost.looks = vec![seconds(4, 19), seconds(22, 31)];
    assert_eq!(judged(promise, &looked).verdict, Verdict::Pass);
    looked.lost.looks.push(seconds(35, 37));
    let assertion = judged(promise, &looked);
    assert_eq!(assertion.verdict, Verdict::Inconclusive);
    assert_eq!(assertion.because.unwrap(), "nothing could be seen for 11s of 20s");
}

#[test]
fn events_that_were_not_kept_are_no_proof_of_their_absence() {
    let mut full = outage(Duration::from_secs(20));
    full.lost.events = 3;
    for (event, verdict) in [
        ("event: proxy.connection_cut, min: 1", Verdict::Pass),
        ("event: proxy.connection_cut, min: 1, max: 1", Verdict::Inconclusive),
        ("event: proxy.connection_cut, min: 2", Verdict::Inconclusive),
        ("event: proxy.connection_cut, max: 0", Verdict::Fail),
    ] {
        let occurs = scenario(&format!("expect:\n  occurs: [{{ {event} }}]\n{BITES}"));
        assert_eq!(judge(&occurs, &full, MILLI)[0].verdict, verdict, "{event}");
    }
}

#[test]
fn only_a_fault_that_was_not_felt_is_the_inconclusive_end_that_a_scenario_names() {
    let felt = outage(Duration::from_secs(20));
    let mut unfelt = felt.clone();
    unfelt.events.clear();
    let text = |promise: &str| {
        format!("expect:\n  verdict: inconclusive\n  eventually: [{{ {promise} }}]\n{BITES}")
    };
    let holds = "metric: reads.ok, ge: 1, in: steady";
    let too_few = "metric: reads.ok, ge: 1, in: steady, min_samples: 1000000";
    for (promise, record, wanted) in [
        (holds, &unfelt, Verdict::Pass),
        (holds, &felt, Verdict::Fail),
        (too_few, &unfelt, Verdict::Inconclusive),
        (too_few, &felt, Verdict::Inconclusive),
    ] {
        let scenario = scenario(&text(promise));
        let assertions = judge(&scenario, record, MILLI);
        assert_eq!(verdict(&scenario, &assertions).0, wanted, "{promise}");
    }
}

#[test]
fn quantiles_need_samples_and_certainty() {
    // 800 requests in the steady phase, 5 ms each, but every twentieth takes 20 ms.
    let mixed =
        record(|due| ok(if due.as_millis().is_multiple_of(200) { MILLI * 20 } else { MILLI * 5 }));
    for (promise, verdict) in [
        ("metric: reads.latency.p90, lt: 10ms, in: steady", Verdict::Pass),
        ("metric: reads.latency.p95, lt: 21ms, in: steady", Verdict::Pass),
        // Right at the border the interval spans both values.
        ("metric: reads.latency.p95, lt: 10ms, in: steady", Verdict::Inconclusive),
        ("metric: reads.latency.p95, lt: 5ms, in: steady", Verdict::Fail),
        ("metric: reads.latency.p99, lt: 30ms, in: steady", Verdict::Inconclusive),
        ("metric: reads.latency.max, le: 20ms, in: steady", Verdict::Pass),
        ("metric: reads.ok, ge: 800, in: steady, min_samples: 801", Verdict::Inconclusive),
    ] {
        let assertion = judged(promise, &mixed);
        assert_eq!(assertion.verdict, verdict, "{promise}: {assertion:?}");
    }
}

#[test]
fn a_machine_that_cannot_make_the_load_is_no_failure_of_the_server() {
    let promise = "metric: reads.latency.p95, lt: 10ms, in: steady";
    let mut slow = record(|_| ok(MILLI * 12));
    assert_eq!(judged(promise, &slow).verdict, Verdict::Fail);
    slow.loads[0].pacer_lag = vec![MILLI * 2; 4000];
    let assertion = judged(promise, &slow);
    assert_eq!(assertion.verdict, Verdict::Inconclusive);
    assert!(assertion.because.unwrap().contains("sent 2ms late or more"));
    // Two milliseconds explain nothing about fifty.
    let mut slower = record(|_| ok(MILLI * 50));
    slower.loads[0].pacer_lag = vec![MILLI * 2; 4000];
    assert_eq!(judged(promise, &slower).verdict, Verdict::Fail);
}

#[test]
fn a_machine_that_makes_callers_give_up_is_no_failure_of_the_server() {
    let promise = "metric: reads.success_rate, ge: 99%, in: fault";
    let some = |due: Duration, outcome| {
        if due.as_millis().is_multiple_of(50) { outcome } else { Outcome::Ok }
    };
    let lag = |mut record: Record, lag| {
        record.loads[0].pacer_lag = vec![lag; 4000];
        record
    };
    // A request gives up after ten seconds.
    let gave_up = || record(|due| (MILLI, some(due, Outcome::TimedOut)));
    assert_eq!(judged(promise, &lag(gave_up(), MILLI * 1100)).verdict, Verdict::Inconclusive);
    assert_eq!(judged(promise, &lag(gave_up(), MILLI * 900)).verdict, Verdict::Fail);
    // What the server refused is no fault of the machine.
    let refused = record(|due| (MILLI, some(due, failed().1)));
    assert_eq!(judged(promise, &lag(refused, MILLI * 1100)).verdict, Verdict::Fail);
}

#[test]
fn without_a_steady_state_nothing_is_said() {
    let expect = "steady_state: [{ metric: reads.success_rate, ge: 99% }]\nexpect:\n  eventually: [{ metric: reads.recovery_time, lt: 5s }]\n";
    let scenario = scenario(&format!("{expect}{BITES}"));
    let healthy = judge(&scenario, &outage(Duration::from_secs(20)), Duration::ZERO);
    assert_eq!(verdict(&scenario, &healthy), (Verdict::Pass, None));
    // It is looked at before and after.
    assert_eq!(healthy.iter().filter(|one| one.group == Group::SteadyState).count(), 2);

    let sick = judge(&scenario, &record(|_| failed()), Duration::ZERO);
    let (verdict, reason) = verdict(&scenario, &sick);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(reason.unwrap().starts_with("there was no steady state before the faults"));
}

#[test]
fn what_no_busy_machine_excuses_fails_also_without_a_steady_state() {
    let expect = "steady_state: [{ metric: reads.success_rate, ge: 99% }]\nexpect:\n  always: [{ metric: server.crashes, eq: 0 }]\n";
    let scenario = scenario(&format!("{expect}{BITES}"));
    let mut record = record(|_| failed());
    record.facts.insert("server.crashes".to_owned(), 1.0);
    assert_eq!(verdict(&scenario, &judge(&scenario, &record, Duration::ZERO)).0, Verdict::Fail);
}

#[test]
fn a_fault_that_nobody_felt_is_inconclusive() {
    let scenario = scenario(&format!("expect:\n{BITES}"));
    let mut untouched = outage(Duration::from_secs(20));
    let judged = |record: &Record| verdict(&scenario, &judge(&scenario, record, Duration::ZERO)).0;
    assert_eq!(judged(&untouched), Verdict::Pass);
    // In the warm-up it does not count.
    untouched.events[0].at_s = 1.0;
    assert_eq!(judged(&untouched), Verdict::Inconclusive);
}

#[test]
fn an_event_may_be_asked_for_by_its_fields() {
    let mut record = outage(Duration::from_secs(20));
    let fields = [("reason".to_owned(), "age".into()), ("statements".to_owned(), 3.into())];
    record.events[0].fields = fields.into_iter().collect();
    record.events[0].name = "pool.connection.closed".to_owned();
    for (fields, verdict) in [
        ("reason: age, statements: 3", Verdict::Pass),
        ("reason: abandoned", Verdict::Inconclusive),
        ("statements: 3, pool: p", Verdict::Inconclusive),
    ] {
        let wanted = format!("{{ event: pool.connection.closed, where: {{ {fields} }} }}");
        let scenario = scenario(&format!("expect:\n  sometimes: [{wanted}]"));
        let assertions = judge(&scenario, &record, Duration::ZERO);
        assert_eq!(assertions[0].verdict, verdict, "{fields}");
    }
}

#[test]
fn an_event_may_be_owed() {
    let mut record = outage(Duration::from_secs(20));
    let scenario =
        scenario(&format!("expect:\n  occurs: [{{ event: pool.phase.changed }}]\n{BITES}"));
    assert_eq!(judge(&scenario, &record, Duration::ZERO)[0].verdict, Verdict::Fail);
    record.events.push(Event { name: "pool.phase.changed".to_owned(), ..record.events[0].clone() });
    assert_eq!(judge(&scenario, &record, Duration::ZERO)[0].verdict, Verdict::Pass);
}

#[test]
fn the_speed_of_failing_is_unknown_where_nothing_failed() {
    let promise = "metric: reads.failed.latency.max, in: fault, lt: 1s";
    let felt = outage(Duration::from_secs(20));
    assert_eq!(judged(promise, &felt.clone()).verdict, Verdict::Pass);
    let unfelt = judged(promise, &record(|_| ok(MILLI)));
    assert_eq!(unfelt.verdict, Verdict::Inconclusive);
}

#[test]
fn a_scenario_may_have_to_end_inconclusive() {
    let scenario = scenario(&format!("expect:\n  verdict: inconclusive\n{BITES}"));
    let mut record = outage(Duration::from_secs(20));
    let (passed, reason) = verdict(&scenario, &judge(&scenario, &record, Duration::ZERO));
    assert_eq!(passed, Verdict::Fail);
    assert_eq!(reason.unwrap(), "it must end inconclusive, and ended passed");
    record.events.clear();
    let (inconclusive, _) = verdict(&scenario, &judge(&scenario, &record, Duration::ZERO));
    assert_eq!(inconclusive, Verdict::Pass);
}

#[test]
fn gauges_are_held_at_their_worst() {
    let mut record = outage(Duration::from_secs(20));
    let look = |at: u64, size: f64, red: f64| Gauges {
        at: Duration::from_secs(at),
        values: [("size".to_owned(), size), ("healthy".to_owned(), 1.0 - red)].into(),
    };
    record.gauges = vec![
        look(1, 99.0, 0.0),
        look(5, 9.0, 0.0),
        look(11, 10.0, 1.0),
        look(19, 0.0, 1.0),
        look(22, 2.0, 0.0),
    ];
    for (promise, verdict, actual) in [
        ("metric: pool.size, le: 10, in: fault", Verdict::Pass, "10"),
        ("metric: pool.size, lt: 10, in: fault", Verdict::Fail, "10"),
        ("metric: pool.size, ge: 1, in: fault", Verdict::Fail, "0"),
        ("metric: pool.time_to_red, le: 1s", Verdict::Pass, "1s"),
        ("metric: pool.time_to_green, lt: 2s", Verdict::Fail, "2s"),
    ] {
        let assertion = judged(promise, &record);
        assert_eq!(
            (assertion.verdict, assertion.actual.as_deref()),
            (verdict, Some(actual)),
            "{promise}"
        );
    }
}

/// The looks at the pools have seen the outage; the answers say this from `from` to `to`, in milliseconds, and else that
/// all is well.
fn telling(value: u64, from: u64, to: u64) -> Record {
    let mut record = record(|_| ok(MILLI * 5));
    let span = Span { from: Duration::from_millis(from), to: Duration::from_millis(to) };
    for sample in &mut record.loads[0].samples {
        sample.value = Some(if span.contains(sample.due) { value } else { 0 });
    }
    let look = |(at, healthy)| Gauges {
        at: Duration::from_secs(at),
        values: [("healthy".to_owned(), healthy)].into(),
    };
    record.gauges = [(5, 1.0), (11, 0.0), (19, 0.0), (21, 1.0)].map(look).into();
    record
}

#[test]
fn what_answers_say_of_health_is_held_and_not_what_was_seen() {
    let (red, green) = ("metric: reads.time_to_red, lt: 2s", "metric: reads.time_to_green, lt: 2s");
    let of = |promise: &str, record: &Record| {
        let text = format!("expect:\n  eventually: [{{ {promise} }}]\n{BITES}");
        let scenario = scenario_of("op: health", &text);
        let assertion = judge(&scenario, record, Duration::ZERO).remove(0);
        (assertion.verdict, assertion.actual)
    };
    let passed = |actual: &str| (Verdict::Pass, Some(actual.to_owned()));
    let honest = telling(UNHEALTHY, 10_500, 20_500);
    assert_eq!(of(red, &honest), passed("505ms"));
    assert_eq!(of(green, &honest), passed("505ms"));
    // Degraded is no word for what cannot serve.
    for lie in [telling(0, 0, 0), telling(1, 10_500, 20_500)] {
        assert_eq!(of(red, &lie), (Verdict::Fail, None));
        assert_eq!(of("metric: pool.time_to_red, lt: 2s", &lie), passed("1s"));
    }
    let stuck = telling(UNHEALTHY, 10_500, 60_000);
    assert_eq!(of(green, &stuck), (Verdict::Fail, None));
    assert_eq!(of("metric: pool.time_to_green, lt: 2s", &stuck), passed("1s"));
    // What failed has said nothing.
    let mut failing = honest.clone();
    for sample in &mut failing.loads[0].samples {
        if sample.value == Some(UNHEALTHY) {
            (sample.value, sample.outcome) = (None, failed().1);
        }
    }
    assert_eq!(of(red, &failing), (Verdict::Fail, None));
}

#[test]
fn the_budget_is_held() {
    let scenario = scenario(&format!("budget: {{ wall: 60s }}\nexpect:\n{BITES}"));
    let record = outage(Duration::from_secs(20));
    for (wall, verdict) in [(60, Verdict::Pass), (61, Verdict::Fail)] {
        let assertions = judge(&scenario, &record, Duration::from_secs(wall));
        assert_eq!(assertions.last().unwrap().verdict, verdict);
    }
}

#[test]
fn a_request_that_the_fault_overtakes_does_not_count_before_it() {
    let overtaken = record(|due| {
        let last = Duration::from_millis(9_980) <= due && due < Duration::from_secs(10);
        if last { (MILLI * 30, Outcome::Failed { code: "io".to_owned() }) } else { ok(MILLI * 5) }
    });
    let gate = "steady_state: [{ metric: reads.success_rate, ge: 99.9%, min_samples: 500 }]";
    let scenario = scenario(&format!("{gate}\nexpect:\n{BITES}"));
    let assertions = judge(&scenario, &overtaken, Duration::ZERO);
    assert_eq!(assertions[0].verdict, Verdict::Pass, "{:?}", assertions[0]);
    assert_eq!(assertions[0].samples, Some(798));
}

#[test]
fn too_little_after_the_faults_does_not_hide_what_they_broke() {
    let gate = "steady_state: [{ metric: reads.success_rate, ge: 99.9%, min_samples: 500 }]";
    let always = "always: [{ metric: server.panics, eq: 0 }]";
    let scenario = scenario(&format!("{gate}\nexpect:\n  {always}\n{BITES}"));
    let mut record = outage(Duration::from_secs(20));
    record.facts.insert("server.panics".to_owned(), 1.0);
    record.loads[0].samples.retain(|sample| sample.due < Duration::from_secs(22));
    let assertions = judge(&scenario, &record, Duration::ZERO);
    assert_eq!(assertions[1].text, "reads.success_rate ≥ 99.90% in recovery");
    assert_eq!(assertions[1].verdict, Verdict::Inconclusive);
    assert_eq!(verdict(&scenario, &assertions).0, Verdict::Fail);
}
