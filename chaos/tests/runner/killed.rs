//! A runner that is killed calls no destructor; `recover` undoes what it has begun.

use chaos::journal::Undo;

use crate::support::{FROZEN, Project, REFUSED, containers, has_engine, is_open, until};

/// Kills a runner with PostgreSQL frozen.
async fn frozen(provider: &str) {
    let project = Project::with(&[("frozen", FROZEN)]);
    let mut runner = project.start(&["frozen", "--provider", provider]);
    until("PostgreSQL is frozen", async || project.is_frozen().await).await;
    let proxy = project.proxy().unwrap();
    assert!(is_open(proxy).await);

    // While its runner lives, it is nobody else's.
    let meanwhile = project.recover().await;
    assert_eq!(meanwhile.code, Some(0));
    assert!(meanwhile.stdout.contains("1 running"), "{}", meanwhile.stdout);
    assert!(meanwhile.stdout.contains("nothing to undo"), "{}", meanwhile.stdout);
    assert!(project.is_frozen().await && is_open(proxy).await);
    assert!(runner.try_wait().unwrap().is_none());

    runner.kill().await.unwrap();
    // Stopped processes whose group its death leaves an orphan are let go on by the system, and stay.
    let left = [project.workers("cmcp-pg-").len(), project.containers().await.len()];
    assert_ne!(left, [0, 0]);
    recovered(&project, 2).await;
    assert!(!is_open(proxy).await);
}

/// Kills a runner whose fault proxy refuses connections.
async fn refused(provider: &str) {
    let project = Project::with(&[("refused", REFUSED)]);
    let mut runner = project.start(&["refused", "--provider", provider]);
    until("the server runs", async || project.proxy().is_some()).await;
    let proxy = project.proxy().unwrap();
    assert!(is_open(proxy).await);
    until("the proxy refuses", async || !is_open(proxy).await).await;
    runner.kill().await.unwrap();
    assert_ne!(project.left(), [""; 0]);
    recovered(&project, 2).await;
    assert!(!is_open(proxy).await);
}

/// Recovers, which undoes so many things, and finds nothing left.
async fn recovered(project: &Project, count: usize) {
    let open = project.open();
    assert_eq!(open.len(), count, "{open:?}");
    let recovered = project.recover().await;
    assert_eq!(recovered.code, Some(0));
    let said = format!("{count} undone, 0 failed");
    assert!(recovered.stdout.contains(&said), "{}", recovered.stdout);
    assert_eq!(project.left(), [""; 0]);
    for undo in open {
        if let Undo::Containers { run } = undo {
            assert_eq!(containers(&run).await, [""; 0]);
        }
    }
    let again = project.recover().await;
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), "nothing to undo\n"));
}

#[tokio::test]
async fn with_a_frozen_process() {
    frozen("process").await;
}

#[tokio::test]
async fn with_a_frozen_container() {
    if has_engine(&Project::new()).await {
        frozen("container").await;
    }
}

#[tokio::test]
async fn with_a_proxy_that_refuses_before_a_process() {
    refused("process").await;
}

#[tokio::test]
async fn with_a_proxy_that_refuses_before_a_container() {
    if has_engine(&Project::new()).await {
        refused("container").await;
    }
}

/// While PostgreSQL is made, there is no server yet, only what makes it.
async fn setting_up(provider: &str) {
    let project = Project::with(&[("frozen", FROZEN)]);
    let mut runner = project.start(&["frozen", "--provider", provider]);
    until("PostgreSQL is begun", async || project.open().len() == 2).await;
    runner.kill().await.unwrap();
    recovered(&project, 2).await;
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
