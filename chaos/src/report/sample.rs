//! Reports for tests: a run of `outage-recovery` that is calculated from a seed.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::model::{Assertion, Environment, Group, Member, Report, SCHEMA, Verdict};
use super::summary::summarise;
use crate::record::{
    Event, FaultRecord, Gauges, LoadRecord, Lost, Outcome, Phase, Record, Sample, Source, Span,
};
use crate::schema::{Arrivals, Load, Model, Op};

const SEED: u64 = 42;
/// When the outage begins and ends.
const OUTAGE: (f64, f64) = (13.0, 23.0);
/// When the load ends.
const LOAD_END: f64 = 38.0;

fn time(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn span(from: f64, to: f64) -> Span {
    Span { from: time(from), to: time(to) }
}

/// Mostly near `usual` with a tail of some tens of it.
fn latency_ms(random: &mut ChaCha8Rng, usual: f64) -> f64 {
    let luck: f64 = random.random_range(0.000_05..1.0);
    usual * (0.7 + 0.25 * luck.recip().powf(0.45))
}

fn search(random: &mut ChaCha8Rng, due: f64, recovered: f64) -> (f64, Outcome) {
    let (from, to) = OUTAGE;
    let no_database = || Outcome::Failed { code: "DATABASE_UNAVAILABLE".to_owned() };
    if due < from {
        (latency_ms(random, 3.1), Outcome::Ok)
    } else if due < from + 0.4 {
        // In flight when the connections broke, or waiting for one until the limit.
        let code = "POOL_TIMEOUT".to_owned();
        (2_000.0 + latency_ms(random, 4.0), Outcome::Failed { code })
    } else if due < to {
        (latency_ms(random, 0.6), no_database())
    } else if due < recovered {
        if random.random_bool((due - to) / (recovered - to)) {
            (latency_ms(random, 24.0), Outcome::Ok)
        } else {
            (latency_ms(random, 0.6), no_database())
        }
    } else {
        let warm = 3.1 + 4.0 * (-(due - recovered)).exp();
        (latency_ms(random, warm), Outcome::Ok)
    }
}

fn reads(random: &mut ChaCha8Rng, recovered: f64) -> LoadRecord {
    let mut load = LoadRecord { id: "reads".to_owned(), ..LoadRecord::default() };
    let mut due = 0.0;
    while due < LOAD_END {
        let (ms, outcome) = search(random, due, recovered);
        let dropped = (OUTAGE.0 + 0.3..OUTAGE.0 + 0.4).contains(&due);
        let outcome = if dropped { Outcome::Dropped } else { outcome };
        let latency = time(ms / 1_000.0);
        load.samples.push(Sample { due: time(due), latency, outcome, value: None });
        load.pacer_lag.push(time(latency_ms(random, 0.08) / 1_000.0));
        due += -(1.0 - random.random_range(0.0..1.0_f64)).ln() / 200.0;
    }
    load
}

fn health(random: &mut ChaCha8Rng) -> LoadRecord {
    let mut load = LoadRecord { id: "health".to_owned(), ..LoadRecord::default() };
    for turn in 0..1_900 {
        let due = f64::from(turn) / 50.0;
        load.samples.push(Sample {
            due: time(due),
            latency: time(latency_ms(random, 0.35) / 1_000.0),
            outcome: Outcome::Ok,
            value: None,
        });
        load.pacer_lag.push(time(latency_ms(random, 0.08) / 1_000.0));
    }
    load
}

fn gauges(recovered: f64) -> Vec<Gauges> {
    let look = |turn: u32| {
        let at = f64::from(turn) / 20.0;
        let wave = f64::from(turn % 7);
        let (size, idle, waiting) = if at < 0.4 {
            (at * 10.0, 0.0, 3.0)
        } else if (OUTAGE.0..OUTAGE.0 + 0.4).contains(&at) {
            (10.0 - (at - OUTAGE.0) * 25.0, 0.0, (at - OUTAGE.0) * 180.0)
        } else if (OUTAGE.0 + 0.4..OUTAGE.1).contains(&at) {
            (0.0, 0.0, 0.0)
        } else if (OUTAGE.1..recovered).contains(&at) {
            (10.0 * (at - OUTAGE.1) / (recovered - OUTAGE.1), 0.0, 6.0 - wave)
        } else {
            let busy = if at < LOAD_END { 1.0 + wave / 2.0 } else { 0.0 };
            (10.0, 10.0 - busy, 0.0)
        };
        let values = [("size", size), ("idle", idle), ("waiting", waiting)];
        let values = values.map(|(name, value)| (name.to_owned(), value.round()));
        Gauges { at: time(at), values: BTreeMap::from(values) }
    };
    (0..800).map(look).collect()
}

fn events(recovered: f64) -> Vec<Event> {
    let event = |at_s: f64, source, name: &str, fields: serde_json::Value| Event {
        at_s,
        source,
        name: name.to_owned(),
        fields: fields.as_object().cloned().unwrap_or_default(),
    };
    let fault = |name: &str| serde_json::json!({ "fault": name });
    let mut events = vec![
        event(OUTAGE.0, Source::Runner, "fault.begun", fault("refuse")),
        event(OUTAGE.0, Source::Runner, "fault.begun", fault("cut")),
    ];
    events.extend((0..10_u32).map(|connection| {
        let fields = serde_json::json!({ "connection": connection, "by": "cut" });
        event(OUTAGE.0 + 0.001, Source::Proxy, "proxy.connection_cut", fields)
    }));
    let phase = |from: &str, to: &str| serde_json::json!({ "from": from, "to": to });
    events.extend([
        event(OUTAGE.0 + 0.41, Source::Server, "pool.phase.changed", phase("serving", "down")),
        event(OUTAGE.0 + 0.5, Source::Runner, "fault.undone", fault("cut")),
        event(OUTAGE.1, Source::Runner, "fault.undone", fault("refuse")),
        event(recovered - 0.1, Source::Server, "pool.phase.changed", phase("down", "serving")),
        event(recovered, Source::Server, "pool.reconnected", serde_json::json!({ "size": 10 })),
    ]);
    events
}

fn record_of(recovered: f64) -> Record {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let fault =
        |id: &str, kind: &str, span| FaultRecord { id: id.to_owned(), kind: kind.to_owned(), span };
    Record {
        phases: vec![
            (Phase::Warmup, span(0.0, 3.0)),
            (Phase::Steady, span(3.0, OUTAGE.0)),
            (Phase::Fault, span(OUTAGE.0, OUTAGE.1)),
            (Phase::Recovery, span(OUTAGE.1, LOAD_END)),
            (Phase::Drain, span(LOAD_END, 40.0)),
        ],
        faults: vec![
            fault("refuse", "proxy.refuse", span(OUTAGE.0, OUTAGE.1)),
            fault("cut", "proxy.cut", span(OUTAGE.0, OUTAGE.0 + 0.5)),
        ],
        loads: vec![reads(&mut random, recovered), health(&mut random)],
        gauges: gauges(recovered),
        events: events(recovered),
        facts: BTreeMap::from([
            ("postgres.sessions".to_owned(), 10.0),
            ("server.panics".to_owned(), 0.0),
            ("server.rss_peak_mib".to_owned(), 61.4),
        ]),
        lost: Lost::default(),
    }
}

/// The raw record of [`report`].
pub(crate) fn record() -> Record {
    record_of(OUTAGE.1 + 1.2)
}

/// The loads of the scenario.
pub(super) fn loads() -> Vec<Load> {
    let load = |id: &str, op, rate, arrivals| Load {
        id: id.to_owned(),
        op,
        model: Model::Open { rate, arrivals, max_in_flight: 500 },
        timeout: time(2.0),
        during: Phase::ALL[..4].to_vec(),
    };
    let query = "where are connections opened".to_owned();
    vec![
        load("reads", Op::Search { query }, 200.0, Arrivals::Poisson),
        load("health", Op::Health, 50.0, Arrivals::Constant),
    ]
}

fn assertion(group: Group, text: &str, actual: &str, samples: u64) -> Assertion {
    Assertion {
        group,
        text: text.to_owned(),
        verdict: Verdict::Pass,
        actual: Some(actual.to_owned()),
        samples: Some(samples),
        because: None,
        note: None,
    }
}

fn assertions() -> Vec<Assertion> {
    use Group::{Always, Budget, DuringFault, Eventually, Sometimes, SteadyState};
    let mut assertions = vec![
        assertion(SteadyState, "reads.success_rate >= 99.9% in steady", "100%", 2_059),
        assertion(SteadyState, "reads.latency.p95 < 10ms in steady", "5.03ms", 2_059),
        assertion(Always, "pool.size <= 10", "10", 800),
        assertion(Always, "server.panics == 0", "0", 1),
        assertion(DuringFault, "reads.failed.latency.p99 < 2100ms", "2s", 1_981),
        assertion(DuringFault, "health.latency.p99 < 10ms", "725µs", 500),
        assertion(Eventually, "recovery.time < 30s", "1.2s", 74),
        assertion(Eventually, "pool.leaked == 0 in drain", "0", 40),
        assertion(Sometimes, "proxy.connection_cut occurs at least 5 times", "10", 10),
        assertion(Budget, "the run takes at most 90s", "41.2s", 1),
    ];
    assertions[4].note = Some("fail fast, never hang".to_owned());
    assertions[1].because = Some("with 95 % confidence p95 is at most 5.31ms".to_owned());
    assertions
}

fn report_of(record: &Record, run: &str) -> Report {
    let summary = summarise(record, &loads());
    Report {
        schema: SCHEMA.to_owned(),
        scenario: "outage-recovery".to_owned(),
        summary: "Server heals by itself after a 10 s database outage".to_owned(),
        criteria: vec!["SC-004".to_owned(), "SC-007".to_owned()],
        run: run.to_owned(),
        started_at: "2026-11-21T14:03:07Z".to_owned(),
        wall_s: 41.2,
        seed: SEED,
        drawn: BTreeMap::new(),
        rerun: "scenarios run outage-recovery --seed 42 --provider container".to_owned(),
        environment: Environment {
            server: "codebase-mcp 0.1.0 (1f4afcb)".to_owned(),
            build: "release".to_owned(),
            postgres: "PostgreSQL 17.6".to_owned(),
            provider: "container".to_owned(),
            proxy: "bundled".to_owned(),
            os: "Debian GNU/Linux 12, Linux 6.1.0".to_owned(),
            cpu: "AMD EPYC 7B13".to_owned(),
            cpus: 2,
            memory_mib: 7_954,
            load_average: "0.42".to_owned(),
        },
        verdict: Verdict::Pass,
        reason: None,
        assertions: assertions(),
        phases: summary.phases,
        faults: summary.faults,
        loads: summary.loads,
        pool: summary.pool,
        event_counts: summary.event_counts,
        events: summary.events,
        facts: summary.facts,
        measured: BTreeMap::new(),
        objectives: BTreeMap::new(),
        runs: Vec::new(),
    }
}

/// A run in which everything holds.
pub(crate) fn report() -> Report {
    // Properties ask for it a thousand times.
    static REPORT: LazyLock<Report> =
        LazyLock::new(|| report_of(&record(), "20261121-140307-outage-recovery"));
    REPORT.clone()
}

/// A run that recovers late, and whose fault was hardly felt.
pub(super) fn failed() -> Report {
    let mut report = report_of(&record_of(OUTAGE.1 + 11.0), "20261121-151200-outage-recovery");
    report.facts.insert("server.rss_peak_mib".to_owned(), 88.25);
    report.facts.insert("server.exit_code".to_owned(), 0.0);
    "7.31".clone_into(&mut report.environment.load_average);
    let late = &mut report.assertions[6];
    late.verdict = Verdict::Fail;
    late.actual = None;
    late.samples = None;
    late.because = Some("not recovered when the run ended, 15s after the last fault".to_owned());
    let vague = &mut report.assertions[5];
    vague.verdict = Verdict::Inconclusive;
    vague.actual = Some("809µs".to_owned());
    vague.because = Some("p99 needs at least 1,000 samples <there are 500>".to_owned());
    report.verdict = Verdict::Fail;
    report
}

/// A run that never began.
pub(super) fn skipped() -> Report {
    let nothing = Record::default();
    Report {
        scenario: "outage-crash".to_owned(),
        summary: "Server heals by itself after PostgreSQL was killed".to_owned(),
        rerun: "scenarios run outage-crash --seed 42".to_owned(),
        environment: Environment::default(),
        wall_s: 0.1,
        verdict: Verdict::Skipped,
        reason: Some("it needs a PostgreSQL that can be killed; neither Docker nor the programs of PostgreSQL are here".to_owned()),
        assertions: Vec::new(),
        ..report_of(&nothing, "20261121-150000-outage-crash")
    }
}

/// A run that the runner could not finish.
pub(super) fn broken() -> Report {
    Report {
        scenario: "half-open-idle".to_owned(),
        rerun: "scenarios run half-open-idle --seed 42".to_owned(),
        verdict: Verdict::Error,
        reason: Some("the fault proxy cannot listen on 127.0.0.1:5433: address in use".to_owned()),
        assertions: Vec::new(),
        loads: Vec::new(),
        ..report()
    }
}

/// Two runs as one, of which the promise over runs does not hold.
pub(super) fn together() -> Report {
    let member = |seed, outage: &str, time| Member {
        run: format!("20261121-outage-recovery-{seed}"),
        seed,
        drawn: [("outage".to_owned(), outage.to_owned())].into(),
        verdict: if seed == 42 { Verdict::Pass } else { Verdict::Fail },
        measured: [("reads.recovery_time".to_owned(), time)].into(),
    };
    let (text, actual) =
        ("p50 over all runs: reads.recovery_time < 1s", "median 1.25s, maximum ∞ of 2 runs");
    let because = "it is 1.25s; beyond the limit are seed 42 (1.25s), seed 7 (∞)";
    let promise = assertion(Group::Repeat, text, actual, 0);
    Report {
        rerun: "scenarios run outage-recovery --seed 42 --repeat 2".to_owned(),
        wall_s: 0.0,
        verdict: Verdict::Fail,
        assertions: vec![Assertion {
            verdict: Verdict::Fail,
            samples: None,
            because: Some(because.to_owned()),
            ..promise
        }],
        runs: vec![member(42, "1.5s", Some(1.25)), member(7, "59.25s", None)],
        ..report_of(&Record::default(), "20261121-outage-recovery-42-runs")
    }
}

/// One of each kind.
pub(super) fn all() -> Vec<Report> {
    vec![report(), failed(), skipped(), broken()]
}

/// Leaves a few of the many figures, so that a snapshot can be read.
pub(super) fn shorten(report: &mut Report) {
    report.pool.truncate(2);
    report.events.truncate(3);
    for load in &mut report.loads {
        load.seconds.truncate(2);
        for spectrum in &mut load.spectra {
            spectrum.points.truncate(2);
        }
    }
}
