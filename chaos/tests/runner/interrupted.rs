//! A runner that is told to stop undoes everything before it ends.

use chaos::journal::Undo;
use rustix::process::Signal;

use crate::support::{FROZEN, Project, containers, has_engine, is_open, send, until};

async fn in_mid_fault(provider: &str, signal: Signal) {
    let project = Project::with(&[("frozen", FROZEN)]);
    let runner = project.start(&["frozen", "--provider", provider]);
    until("PostgreSQL is frozen", async || project.is_frozen().await).await;
    let proxy = project.proxy().unwrap();
    let begun = project.open();
    send(runner.id().unwrap(), signal);
    let ended = Project::ended(runner).await;
    assert_eq!(ended.code, Some(130));
    assert!(ended.stderr.contains("interrupted; everything was undone"), "{}", ended.stderr);
    nothing_left(&project, begun).await;
    assert!(!is_open(proxy).await);
    // What was measured by then is kept.
    let [run] = &project.runs()[..] else { panic!("one run") };
    let events = std::fs::read_to_string(run.join("events.ndjson")).unwrap();
    assert!(events.contains("runner.fault_begun"), "{events}");
    assert!(run.join("samples.ndjson").is_file() && run.join("postgres.log").is_file());
}

async fn nothing_left(project: &Project, begun: Vec<Undo>) {
    assert_eq!(project.left(), [""; 0]);
    for undo in begun {
        if let Undo::Containers { run } = undo {
            assert_eq!(containers(&run).await, [""; 0]);
        }
    }
}

#[tokio::test]
async fn with_a_frozen_process() {
    in_mid_fault("process", Signal::INT).await;
}

#[tokio::test]
async fn with_a_frozen_container() {
    if has_engine(&Project::new()).await {
        in_mid_fault("container", Signal::TERM).await;
    }
}

async fn setting_up(provider: &str) {
    let project = Project::with(&[("frozen", FROZEN)]);
    let runner = project.start(&["frozen", "--provider", provider]);
    until("PostgreSQL is begun", async || project.open().len() == 2).await;
    let begun = project.open();
    send(runner.id().unwrap(), Signal::INT);
    let ended = Project::ended(runner).await;
    assert_eq!(ended.code, Some(130));
    nothing_left(&project, begun).await;
}

#[tokio::test]
async fn while_it_sets_up_a_process() {
    setting_up("process").await;
}

#[tokio::test]
async fn while_it_sets_up_a_container() {
    if has_engine(&Project::new()).await {
        setting_up("container").await;
    }
}
