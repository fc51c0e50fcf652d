//! Scenario files that are right and wrong in every way.

mod baseline;
mod bounds;
mod drawn;
mod manual;
mod proof;
mod repeat;

use super::*;

/// A scenario without anything wrong.
const GOOD: &str = r#"schema: resilience/v1
name: good
summary: It goes on
criteria: [SC-004]
seed: 7
params: { outage: 10s }
environment:
  server: { config: { pool.max_size: 5 } }
phases: { warmup: 1s, steady: 2s, fault: auto, recovery: 20s }
load:
  - { id: reads, op: search, query: "how", model: open, rate: 100/s, timeout: 2s }
  - { id: health, op: health, model: closed, workers: 2, count: 500 }
steady_state:
  - { metric: reads.success_rate, ge: 99.9%, min_samples: 100 }
faults:
  - { id: late, at: 2s, for: 1s, use: half-open, with: { heal: close } }
  - { id: cut, for: "${outage}", kind: proxy.refuse }
  - { id: resets, at: 1s, for: 5s, every: 500ms, kind: proxy.reset }
expect:
  always:
    - { metric: pool.excess, eq: 0 }
  during_fault:
    - { metric: reads.failed.latency.p99, lt: 2100ms, note: fail fast }
  eventually:
    - { metric: reads.recovery_time, lt: 30s }
  sometimes:
    - { event: proxy.connection_cut, min: 2 }
budget: { wall: 90s }
"#;

const FAULT: &str = "schema: fault/v1
name: half-open
summary: A firewall forgets its connections
kind: proxy.blackhole
with: { scope: existing, heal: keep_dead }
blast: every open connection
";

fn read(text: &str, overrides: &Overrides) -> Result<Scenario, SchemaErrors> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("half-open.yaml"), FAULT).unwrap();
    let errors = match check::scenario(Path::new("good.yaml"), text, folder.path(), overrides) {
        Err(mut errors) => {
            for problem in &mut errors.problems {
                if let Wrong::UnknownFault { folder, .. } = &mut problem.fault {
                    *folder = "chaos/faults".into();
                }
            }
            errors
        }
        Ok(scenario) => return Ok(scenario),
    };
    Err(errors)
}

/// The scenario in which `from` is replaced by `to`.
fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replacen(from, to, 1);
    match read(&text, &Overrides::default()) {
        Ok(_) => String::new(),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn a_good_scenario_is_read() {
    let scenario = read(GOOD, &Overrides::default()).unwrap();
    assert_eq!(scenario.length(), Duration::from_secs(33));
    assert_eq!(
        scenario.phases,
        [
            (Phase::Warmup, Duration::from_secs(1)),
            (Phase::Steady, Duration::from_secs(2)),
            (Phase::Fault, Duration::from_secs(10)),
            (Phase::Recovery, Duration::from_secs(20)),
        ]
    );
    let faults: Vec<_> = scenario.faults.iter().map(|fault| fault.id.as_str()).collect();
    assert_eq!(faults, ["cut", "resets", "late"]);
    assert_eq!(
        scenario.faults[2].kind,
        FaultKind::Blackhole { scope: Scope::Existing, heal: Heal::Close }
    );
    assert_eq!(scenario.needs(), [Need::ExtendedProxy]);
    let promises: Vec<_> = scenario.promises.iter().map(ToString::to_string).collect();
    let told = [
        "reads.success_rate ≥ 99.90%",
        "pool.excess = 0",
        "reads.failed.latency.p99 < 2.10s",
        "reads.recovery_time < 30s",
    ];
    assert_eq!(promises, told);
    assert_eq!(scenario.occurrences[0].to_string(), "proxy.connection_cut ≥ 2");
}

#[test]
fn the_command_line_comes_before_the_file() {
    let one = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
    let overrides = Overrides {
        params: one("outage", "3s"),
        config: one("pool.max_size", "7"),
        seed: Some(9),
        runs: Some(4),
    };
    let scenario = read(GOOD, &overrides).unwrap();
    assert_eq!(scenario.faults[0].lasts, Duration::from_secs(3));
    assert_eq!((scenario.seed, scenario.runs), (9, 4));
    let Target::Server { config, .. } = scenario.target else { panic!("a server") };
    assert_eq!(config["pool.max_size"], "7");
}

#[test]
fn what_is_wrong_is_shown_where_it_is_with_what_may_be_meant() {
    let cases = [
        ("seed: 7", "sead: 7"),
        ("rate: 100/s", "rate: 100ms"),
        ("rate: 100/s", "rate: 100/s, workers: 3"),
        ("op: search, query: \"how\"", "op: serch"),
        ("op: search, query: \"how\"", "op: search"),
        ("op: health", "op: pool.health"),
        ("id: health", "id: pool"),
        ("id: health", "id: reads"),
        ("reads.success_rate", "reads.sucess_rate"),
        ("ge: 99.9%", "ge: 99.9"),
        ("eq: 0", "eq: 0, lt: 1"),
        ("recovery: 20s", "recovery: 20"),
        ("kind: proxy.refuse", "kind: proxy.refused"),
        ("use: half-open", "use: halfopen"),
        ("heal: close", "heel: close"),
        ("for: \"${outage}\"", "for: \"${outtage}\""),
        ("for: \"${outage}\"", "at: 1s"),
        ("for: 5s, every", "every"),
        ("fault: auto", "fault: 2s"),
        ("event: proxy.connection_cut, min: 2", "event: proxy.connection_cot"),
        ("event: proxy.connection_cut, min: 2", "event: proxy.connection_cut, min: 0"),
        ("pool.max_size: 5", "pool.max_sise: 5"),
        ("pool.max_size: 5", "pool.max_size: 501"),
        ("min_samples: 100", "in: recovery"),
        ("metric: pool.excess, eq: 0", "metric: pool.leaked, eq: 0"),
        ("lt: 30s", "lt: 30s, in: fault"),
        ("metric: pool.excess, eq: 0", "metric: pool.excess, eq: 0, in: drain"),
        ("metric: pool.excess, eq: 0", "metric: server.panics, eq: 0, in: steady"),
        ("name: good", "name: bad"),
        ("  server: {", "  pool: {}\n  server: {"),
        ("faults:\n", "faults: [\n"),
        ("ge: 99.9%", "ge: 950%"),
        ("ge: 99.9%", "le: 100%"),
        ("ge: 99.9%", "ge: 0%"),
        ("metric: pool.excess, eq: 0", "metric: pool.excess, ge: 0"),
        ("metric: pool.excess, eq: 0", "metric: reads.latency.max_to_median, lt: 1x"),
        ("steady: 2s", "steady: 0s"),
        ("for: 1s", "for: 0s"),
        ("rate: 100/s", "rate: 1000000/s"),
        ("timeout: 2s", "timeout: 0s"),
        ("count: 500", "count: 0"),
        ("[SC-004]", "[SC-004, '']"),
        ("[SC-004]", "[SC-4]"),
        ("warmup: 1s", "warmup: 2"),
        ("fault: auto", "fault: always"),
        (
            "for: 1s, use: half-open, with: { heal: close }",
            "for: 1s, kind: proxy.latency, with: { dealy: 5ms }",
        ),
        (
            "for: 1s, use: half-open, with: { heal: close }",
            "for: 1s, kind: proxy.latency, with: { delay: 5 }",
        ),
        (
            "for: 1s, use: half-open, with: { heal: close }",
            "for: 1s, kind: proxy.latency, with: { delay: [] }",
        ),
        ("for: 1s, use: half-open, with: { heal: close }", "for: 1s, kind: proxy.latency"),
        ("pool.max_size: 5", "pool.max_size: 5, pool.min_size: 9"),
        ("pool.max_size: 5", "pool.max_size: 1.5"),
        ("pool.max_size: 5", "weather: fine"),
    ];
    insta::assert_snapshot!(told_of(&cases));
}

/// What is said about each change.
fn told_of(cases: &[(&str, &str)]) -> String {
    let mut told = String::new();
    for (from, to) in cases {
        let error = changed(from, to);
        assert!(!error.is_empty(), "{from} -> {to} is accepted");
        told.extend([from, "  ->  ", to, "\n", &error, "\n\n"]);
    }
    told
}

/// A fault that cannot be read is there all the same.
#[test]
fn a_wrong_fault_is_the_only_problem() {
    let (before, rest) = GOOD.split_once("faults:\n").unwrap();
    let (_, after) = rest.split_once("expect:\n").unwrap();
    for fault in ["kind: proxy.refused, for: 1s", "use: none, for: 1s", "kind: proxy.refuse"] {
        let text = format!("{before}faults:\n  - {{ id: cut, {fault} }}\nexpect:\n{after}");
        let errors = read(&text, &Overrides::default()).unwrap_err();
        assert_eq!(errors.problems.len(), 1, "{errors}");
    }
}

#[test]
fn a_wrong_setting_of_the_command_line_is_told_of_the_option() {
    for (path, value, told) in [
        ("pool.max_sze", "5", "`pool.max_sze` is no setting; did you mean `pool.max_size`?"),
        ("pool.max_size", "501", "pool.max_size is 501, more than 500"),
        ("pool.min_size", "9", "pool.min_size (9, set here) is more than pool.max_size"),
    ] {
        let config = [(path.to_owned(), value.to_owned())].into();
        let errors = read(GOOD, &Overrides { config, ..Overrides::default() }).unwrap_err();
        let told = format!("good.yaml: `--set config.{path}={value}`: {told}");
        assert!(errors.to_string().starts_with(&told), "{errors}");
        assert_eq!(errors.problems.len(), 1);
    }
}

#[test]
fn a_budget_has_room_for_the_phases() {
    let told = changed("wall: 90s", "wall: 32s");
    let rule = "good.yaml:28:17: the budget is 32s, and the phases alone take 33s\n";
    assert!(told.starts_with(rule), "{told}");
    assert_eq!(changed("wall: 90s", "wall: 33s"), "");
}

#[test]
fn only_answers_about_health_tell_it() {
    for time in ["time_to_red", "time_to_green"] {
        let told = changed("reads.recovery_time", &format!("reads.{time}"));
        let rule = format!(
            "good.yaml:25:7: `reads.{time}` is what answers say of the health of pools; name a load of `health` or `pool.health`\n"
        );
        assert!(told.starts_with(&rule), "{told}");
        assert_eq!(changed("reads.recovery_time", &format!("health.{time}")), "");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let text = GOOD.replace("rate: 100/s", "rate: 0/s").replace("eq: 0", "eq: 0ms");
    let errors = read(&text, &Overrides::default()).unwrap_err();
    let lines: Vec<_> =
        errors.problems.iter().map(|problem| problem.position.unwrap().line).collect();
    assert_eq!(lines, [11, 21]);
}

/// Where the scenarios and faults of this project are.
fn shipped(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

#[test]
fn the_shipped_files_are_right_and_match_their_json_schemas() {
    let faults = shipped("faults");
    let scenarios = yaml_files(&shipped("../scenarios")).unwrap();
    assert!(scenarios.len() > 20);
    for path in &scenarios {
        let scenario = Scenario::open(path, &faults, &Overrides::default());
        let scenario = scenario.unwrap_or_else(|errors| panic!("{errors}"));
        assert!(scenario.runs > 0);
    }
    for path in yaml_files(&faults).unwrap() {
        FaultFile::open(&path).unwrap_or_else(|errors| panic!("{errors}"));
        matches_schema(&path, &fault_schema(), "../schema/fault.v1.json");
    }
    for path in &scenarios {
        matches_schema(path, &scenario_schema(), "../chaos/schema/scenario.v1.json");
    }
}

fn matches_schema(path: &Path, schema: &serde_json::Value, line: &str) {
    let text = fs::read_to_string(path).unwrap();
    let first = text.lines().next().unwrap();
    assert_eq!(first, format!("# yaml-language-server: $schema={line}"), "{}", path.display());
    let value: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    if let Err(error) = jsonschema::validate(schema, &value) {
        panic!("{}: {} at {}", path.display(), error, error.instance_path());
    }
}

#[test]
fn the_json_schemas_in_the_tree_are_current() {
    for (name, schema) in [("scenario", scenario_schema()), ("fault", fault_schema())] {
        let file = shipped("schema").join(format!("{name}.v1.json"));
        let fresh = format!("{schema:#}\n");
        let kept = fs::read_to_string(&file).unwrap_or_default();
        let how = "run `cargo run --bin scenarios -- schema --out chaos/schema`";
        assert!(kept == fresh, "{} is not current; {how}", file.display());
    }
}
