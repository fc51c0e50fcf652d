//! A server that never answers the handshake keeps neither the timeline nor an interrupt waiting.

use rustix::process::Signal;

use crate::support::{FROZEN, Project, QUICK, send, until};

/// A server that starts while its database refuses connections.
const LATE: &str = r"schema: resilience/v1
name: late
summary: A server starts without its database
environment: { server: { start: during_fault } }
phases: { fault: auto, recovery: 1s, drain: 1s }
load:
  - { id: tools, op: list_tools, model: open, rate: 10/s, timeout: 500ms }
faults:
  - { id: outage, for: 1s, kind: proxy.refuse }
expect:
  always:
    - { metric: server.start_time, lt: 5s }
    - { metric: tools.success_rate, ge: 100% }
    - { metric: server.crashes, eq: 0 }
  sometimes: [{ event: proxy.listener_closed }]
";

#[tokio::test]
async fn one_that_starts_into_a_fault_sees_it_end_and_fails() {
    let project = Project::with(&[("late", LATE)]);
    let server = project.silent_server();
    let ended = project.run(&["late", "--provider", "process", "--server", &server]).await;
    assert_eq!(ended.code, Some(1));
    for told in [
        "FAIL         always        server.start_time < 5s",
        "the server never answered `initialize` properly",
        "FAIL         always        tools.success_rate ≥ 100%",
    ] {
        assert!(ended.stdout.contains(told), "{told}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("server.crashes"), "{}", ended.stdout);
    let [run] = &project.runs()[..] else { panic!("one run") };
    let events = std::fs::read_to_string(run.join("events.ndjson")).unwrap();
    assert!(events.contains("runner.fault_undone"), "{events}");
    let samples = std::fs::read_to_string(run.join("samples.ndjson")).unwrap();
    assert!(samples.lines().count() > 5, "{samples}");
    assert!(samples.lines().all(|line| line.contains("timed_out")), "{samples}");
    assert_eq!(project.left(), [""; 0]);
    assert!(project.workers("cmcp-").is_empty());
}

#[tokio::test]
async fn one_that_starts_into_a_fault_and_answers_passes() {
    let project = Project::with(&[("late", LATE)]);
    let ended = project.run(&["late", "--provider", "process", "--verbose"]).await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("PASS         always        server.start_time < 5s"));
    assert_eq!(project.left(), [""; 0]);
}

fn server_before_load() -> String {
    let text = QUICK.replace("pool: { config: { pool.max_size: '${size}' } }", "server: {}");
    text.replace("op: pool.query", "op: health").replace("name: quick", "name: server")
}

#[tokio::test]
async fn one_that_starts_before_the_load_is_given_up_with_advice() {
    let project = Project::with(&[("server", &server_before_load())]);
    let server = project.silent_server();
    let ended = project.run(&["server", "--provider", "process", "--server", &server]).await;
    assert_eq!(ended.code, Some(70));
    for told in ["ERROR server", "did not answer `initialize` within 20 s", "--server speaks MCP"] {
        assert!(ended.stdout.contains(told), "{told}: {}", ended.stdout);
    }
    assert_eq!(project.left(), [""; 0]);
    assert!(project.workers("cmcp-").is_empty());
}

/// Interrupts a run of `scenario` when `waits` holds and the server has been started.
async fn interrupted(scenario: (&str, &str), waits: impl AsyncFn(&Project) -> bool) {
    let project = Project::with(&[scenario]);
    let server = project.silent_server();
    let runner = project.start(&[scenario.0, "--provider", "process", "--server", &server]);
    until("the server waits", async || {
        waits(&project).await && !project.workers("cmcp-run-").is_empty()
    })
    .await;
    send(runner.id().unwrap(), Signal::INT);
    let ended = Project::ended(runner).await;
    assert_eq!(ended.code, Some(130));
    assert!(ended.stderr.contains("interrupted; everything was undone"), "{}", ended.stderr);
    assert_eq!(project.left(), [""; 0]);
    assert!(project.workers("cmcp-").is_empty());
}

#[tokio::test]
async fn an_interrupt_ends_a_run_whose_server_starts_into_a_fault() {
    let text = FROZEN.replace("server: {}", "server: { start: during_fault }");
    let text = text.replace("warmup: 200ms, steady: 300ms, ", "");
    interrupted(("frozen", &text), async |project| project.is_frozen().await).await;
}

#[tokio::test]
async fn an_interrupt_ends_a_run_whose_server_starts_before_the_load() {
    interrupted(("server", &server_before_load()), async |_project| true).await;
}
