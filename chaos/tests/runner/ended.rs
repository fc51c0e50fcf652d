//! What comes of a run: its exit code, its folder, its report in every format.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::{Project, QUICK, has_engine};

/// Nobody feels this fault.
const UNFELT: &str = r"schema: resilience/v1
name: unfelt
summary: A fault without effect
environment: { pool: {} }
phases: { warmup: 200ms, steady: 1s, fault: auto, recovery: 500ms }
load:
  - { id: reads, op: pool.query, model: open, rate: 50/s, timeout: 5s }
faults:
  - { id: nothing, for: 500ms, kind: proxy.noop }
expect:
  always: [{ metric: pool.excess, eq: 0 }]
  sometimes: [{ event: proxy.connection_cut }]
";

#[tokio::test]
async fn runs_that_pass_are_told_in_json_shown_again_and_compared() {
    let project = Project::with(&[("quick", QUICK)]);
    let arguments = ["quick", "--provider", "process", "--repeat", "2", "--format", "json"];
    let ended = project.run(&arguments).await;
    assert_eq!(ended.code, Some(0));
    let reports: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|report| report["verdict"] == "pass"));
    assert_eq!(reports[0]["seed"], 7);
    assert_ne!(reports[0]["seed"], reports[1]["seed"]);
    assert_eq!(project.left(), [""; 0]);

    let runs = project.runs();
    assert_eq!(runs.len(), 2);
    let [first, second] = [&runs[0], &runs[1]].map(|run| run.to_str().unwrap());
    let shown = project.scenarios(&["report", first]).await;
    assert_eq!(shown.code, Some(0));
    assert!(shown.stdout.contains("PASS quick"), "{}", shown.stdout);
    assert!(shown.stdout.contains("pool.excess = 0"), "{}", shown.stdout);
    let compared = project.scenarios(&["compare", first, second]).await;
    assert_eq!(compared.code, Some(0));
    assert!(compared.stdout.contains("of which 0 are worse"), "{}", compared.stdout);
    assert!(compared.stdout.contains("reads"), "{}", compared.stdout);
}

#[tokio::test]
async fn a_broken_promise_ends_with_1_and_is_a_failure_of_junit() {
    let project = Project::with(&[]);
    let broken = QUICK.replace("pool.excess, eq: 0", "pool.excess, gt: 5");
    let file = project.path("quick.yaml");
    std::fs::write(&file, broken).unwrap();
    let file = file.to_str().unwrap();
    let ended = project.run(&[file, "--provider", "process", "--format", "junit"]).await;
    assert_eq!(ended.code, Some(1));
    let report = quick_junit::Report::deserialize_from_str(&ended.stdout).unwrap();
    assert!(report.tests > 0);
    assert_eq!((report.failures, report.errors), (1, 0));
    let report = std::fs::read(project.runs()[0].join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let again = report["rerun"].as_str().unwrap();
    assert!(again.contains(file), "{again}");
}

#[tokio::test]
async fn a_fault_that_nobody_felt_proves_nothing() {
    let project = Project::with(&[("unfelt", UNFELT)]);
    let ended = project.run(&["unfelt", "--provider", "process"]).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stdout.contains("INCONCLUSIVE unfelt"), "{}", ended.stdout);
    assert_eq!(project.left(), [""; 0]);
}

/// A start that fails leaves nothing, whatever was there by then.
#[tokio::test]
async fn a_server_that_does_not_start_leaves_nothing() {
    let text = QUICK.replace("pool: { config: { pool.max_size: '${size}' } }", "server: {}");
    let text = text.replace("op: pool.query", "op: health").replace("name: quick", "name: server");
    let project = Project::with(&[("server", &text)]);
    let ended =
        project.run(&["server", "--provider", "process", "--server", "/nonexistent/server"]).await;
    assert_eq!(ended.code, Some(70));
    assert!(ended.stdout.contains("ERROR server"), "{}", ended.stdout);
    assert!(ended.stdout.contains("No such file"), "{}", ended.stdout);
    assert_eq!(project.left(), [""; 0]);

    let ended = project.run(&["server", "--provider", "process", "--server", "/bin/false"]).await;
    assert_eq!(ended.code, Some(70));
    assert_eq!(project.left(), [""; 0]);
}

#[tokio::test]
async fn settings_that_postgresql_refuses_leave_nothing() {
    let text = QUICK
        .replace("environment:\n", "environment:\n  postgres: { settings: { work_mem: much } }\n");
    let project = Project::with(&[("quick", &text)]);
    for provider in ["process", "container"] {
        if provider == "container" && !has_engine(&project).await {
            continue;
        }
        let ended = project.run(&["quick", "--provider", provider]).await;
        assert_eq!(ended.code, Some(70));
        assert!(ended.stdout.contains("work_mem"), "{}", ended.stdout);
        assert_eq!(project.left(), [""; 0]);
    }
}

#[tokio::test]
async fn a_url_without_a_server_is_skipped_and_the_command_says_it_again() {
    let project = Project::with(&[("quick", QUICK)]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://u:secret@{closed}/postgres");
    let ended = project.run(&["quick", "--provider", "url", "--url", &url]).await;
    assert_eq!(ended.code, Some(5));
    assert!(ended.stdout.contains(&format!("at {closed}; start it")), "{}", ended.stdout);
    let again = format!(
        "-- quick --url 'postgres://u:***@{closed}/postgres' --seed 7 --provider url  # *** stands"
    );
    assert!(ended.stdout.contains(&again), "{}", ended.stdout);
    assert!(project.runs()[0].join("report.json").is_file());
    for entry in std::fs::read_dir(&project.runs()[0]).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("secret"), "{text}");
    }
    assert_eq!(project.left(), [""; 0]);
}

#[tokio::test]
async fn what_is_missing_here_is_skipped() {
    let project = Project::with(&[("quick", QUICK)]);
    for (allowed, code) in [(&[][..], 5), (&["--allow-skip"], 0)] {
        let arguments = [&["quick", "--provider", "container"], allowed].concat();
        let nowhere = HashMap::from([("DOCKER_HOST", "tcp://127.0.0.1:1")]);
        let ended = project.run_with(&arguments, &nowhere).await;
        assert_eq!(ended.code, Some(code));
        assert!(ended.stdout.contains("SKIPPED quick"), "{}", ended.stdout);
        assert!(ended.stdout.contains("no container engine answers"), "{}", ended.stdout);
        assert!(
            ended.stdout.contains("-- quick --seed 7 --provider container"),
            "{}",
            ended.stdout
        );
        assert!(ended.stdout.contains("1 skipped"), "{}", ended.stdout);
        assert_eq!(project.left(), [""; 0]);
    }
    for run in project.runs() {
        for file in ["events.ndjson", "samples.ndjson"] {
            assert_eq!(std::fs::read_to_string(run.join(file)).unwrap(), "", "{file}");
        }
        assert!(!run.join("postgres.log").exists());
    }
}
