//! Loads on the real server.

use std::time::Duration;

use chaos::load::mcp::CallError;
use chaos::load::{Target, follow};
use chaos::record::{Epoch, Outcome, Source, UNHEALTHY};
use chaos::schema::{Load, Op};
use rustix::process::Signal;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{Home, PATIENCE, at_rate, carry_out, failures, load, times};

fn search() -> Op {
    Op::Search { query: "fire timers in order".to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_indexed_searched_watched_and_left() {
    let home = Home::new();
    let server = home.start(&[]).await;
    let status = server.index(&home.repository()).await.unwrap();
    assert_eq!(status["files_indexed"], 2, "{status}");
    let found = server.call_search("fire timers in order").await.unwrap();
    assert_eq!(found["results"][0]["file_path"], "timer.rs", "{found}");
    assert_eq!(server.health().await.unwrap().1["database"]["status"], "connected");

    let target = Target::Server(server.clone());
    let stop = CancellationToken::new();
    let (searches, looks) = (load(search(), at_rate(40.0)), load(Op::Health, at_rate(100.0)));
    let lists = load(Op::ListTools, times(5, 50));
    let loads = async {
        let loads = tokio::join!(
            carry_out(&searches, &target, server.epoch()),
            carry_out(&looks, &target, server.epoch()),
            carry_out(&lists, &target, server.epoch()),
        );
        stop.cancel();
        loads
    };
    let (loads, sampled) =
        tokio::join!(loads, follow(&target, server.epoch(), |_| (), stop.clone()));
    for record in [&loads.0, &loads.1, &loads.2] {
        assert!(failures(record).is_empty(), "{record:?}");
        assert!(record.samples.len() >= 15 && !record.capped, "{record:?}");
    }
    assert_eq!(loads.2.samples.len(), 50);
    let told = loads.1.samples.iter().map(|sample| sample.value.unwrap());
    assert!(told.into_iter().all(|value| value < UNHEALTHY), "{:?}", loads.1);

    assert!(sampled.gauges.len() >= 5, "{sampled:?}");
    let last = &sampled.gauges.last().unwrap().values;
    assert!(last["pools"] >= 2.0 && last["size"] >= 1.0 && last["acquisitions"] >= 1.0, "{last:?}");
    assert!(last["server.rss_mib"] > 5.0 && last["server.open_files"] > 3.0, "{last:?}");
    assert_eq!((last["healthy"], last["excess"], last["live_leaks"]), (1.0, 0.0, 0.0));
    assert!(sampled.events.iter().any(|event| event.name == "pool.health.green"), "{sampled:?}");

    let (exit, took) = server.leave(PATIENCE).await.unwrap();
    assert_eq!(exit.code, Some(0), "{exit}");
    assert!(took < PATIENCE);
    let events = server.events();
    let moved = events.iter().find(|event| event.name == "pool.phase.changed").unwrap();
    assert_eq!((moved.source, &moved.fields["to"]), (Source::Server, &"HEALTHY".into()));
    assert_eq!((server.violations().count, server.panics()), (0, 0), "{:?}", server.violations());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_servers_are_started_and_leave() {
    let home = Home::new();
    let server = home.start(&[]).await;
    // Nobody else has to make the database.
    server.call_search("anything").await.unwrap();
    let load = load(Op::Start, times(2, 4));
    let record = carry_out(&load, &Target::Server(server.clone()), server.epoch()).await;
    assert_eq!(failures(&record), Vec::<&Outcome>::new());
    assert_eq!(record.samples.len(), 4);
    server.leave(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_the_caller_gives_up_leave_the_server_in_order() {
    // A database that takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgres://nobody@127.0.0.1:{port}/none?sslmode=disable");
    let home = Home::new();
    let external = [
        ("CODEBASE_MCP__DATABASE__MODE", "external"),
        ("CODEBASE_MCP__DATABASE__URL", url.as_str()),
    ];
    let server = home.start(&external).await;
    let searches = load(search(), times(3, 6));
    let searches = Load { timeout: Duration::from_millis(300), ..searches };
    let record = carry_out(&searches, &Target::Server(server.clone()), server.epoch()).await;
    let outcomes: Vec<_> = record.samples.iter().map(|one| &one.outcome).collect();
    assert_eq!(outcomes, [&Outcome::TimedOut; 6]);
    assert!(record.samples.iter().all(|one| one.latency >= Duration::from_millis(300)));

    server.list_tools().await.unwrap();
    server.signal(Signal::TERM).unwrap();
    let exit = server.wait_exit(PATIENCE).await.unwrap();
    assert_eq!((exit.code, server.violations().count), (Some(0), 0), "{:?}", server.violations());
    assert_eq!(server.list_tools().await, Err(CallError::Gone));
}

#[tokio::test]
async fn a_server_that_has_ended_is_not_looked_at() {
    let home = Home::new();
    let silent = ("CODEBASE_MCP__DATABASE__MODE", "external");
    let nowhere = ("CODEBASE_MCP__DATABASE__URL", "postgres://nobody@127.0.0.1:1/none");
    let server = home.start(&[silent, nowhere]).await;
    server.signal(Signal::KILL).unwrap();
    server.wait_exit(PATIENCE).await.unwrap();
    let stop = CancellationToken::new();
    let target = Target::Server(server);
    let looking = follow(&target, Epoch::now(), |_| (), stop.clone());
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.cancel();
    };
    let (sampled, ()) = tokio::join!(looking, stopping);
    assert!(sampled.gauges.is_empty() && sampled.unseen.is_empty(), "{sampled:?}");
}
