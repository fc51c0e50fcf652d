//! Loads on a pool in this process, with a real PostgreSQL.

use std::collections::BTreeSet;
use std::time::Duration;

use chaos::load::{Subject, Target, follow};
use chaos::record::{Epoch, Outcome, UNHEALTHY};
use chaos::schema::{Load, Op};
use codebase_mcp::pool::{Config, Leaks};
use codebase_mcp::postgres::Cluster;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::{Home, PATIENCE, at_rate, carry_out, failures, load, times};

const MILLI: Duration = Duration::from_millis(1);

struct Fixture {
    subject: Subject,
    target: Target,
    _cluster: Cluster,
    // Dropped last: it waits for the cluster's end.
    _home: Home,
}

impl Fixture {
    async fn new(config: Config) -> Self {
        let home = Home::new();
        let cluster = home.attach().await;
        let options = cluster.endpoint().options("postgres");
        let subject = Subject::new("load test", config, options).unwrap();
        subject.pool().ready().await.unwrap();
        let target = Target::Pool(subject.clone());
        Self { subject, target, _cluster: cluster, _home: home }
    }
}

fn small(max_size: u32) -> Config {
    Config { min_size: 2, max_size, ..Config::default() }
}

fn query() -> Op {
    Op::PoolQuery { hold: (5 * MILLI, 20 * MILLI) }
}

fn codes(record: &chaos::record::LoadRecord) -> BTreeSet<String> {
    let code = |outcome: &Outcome| {
        if let Outcome::Failed { code } = outcome { code.clone() } else { format!("{outcome:?}") }
    };
    record.samples.iter().map(|sample| code(&sample.outcome)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_workers_share_ten_connections() {
    let fixture = Fixture::new(small(10)).await;
    let stop = CancellationToken::new();
    let epoch = Epoch::now();
    let queries = load(query(), times(100, 100));
    let working = async {
        let record = carry_out(&queries, &fixture.target, epoch).await;
        sleep(200 * MILLI).await;
        stop.cancel();
        record
    };
    let (record, sampled) =
        tokio::join!(working, follow(&fixture.target, epoch, |_| (), stop.clone()));
    assert_eq!((record.samples.len(), failures(&record).len()), (100, 0), "{record:?}");
    let sessions: BTreeSet<_> = record.samples.iter().map(|one| one.value.unwrap()).collect();
    assert!((1..=10).contains(&sessions.len()), "{sessions:?}");
    let last = &sampled.gauges.last().unwrap().values;
    assert_eq!((last["in_use"], last["waiting"], last["excess"]), (0.0, 0.0, 0.0));
    assert_eq!((last["acquisitions"], last["releases"], last["max_size"]), (100.0, 100.0, 10.0));
    assert_eq!(sampled.unseen, []);
    fixture.subject.pool().shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_and_panicking_requests_end_properly_and_leave_nothing() {
    let fixture = Fixture::new(small(5)).await;
    for op in [Op::PoolCancel { within: 50 * MILLI }, Op::PoolPanic { within: 50 * MILLI }] {
        let load = load(op, times(20, 200));
        let record = carry_out(&load, &fixture.target, Epoch::now()).await;
        assert_eq!((record.samples.len(), failures(&record).len()), (200, 0), "{record:?}");
    }
    let at_rest = async {
        while {
            let now = fixture.subject.pool().snapshot();
            now.total() != now.idle || now.idle < 2
        } {
            sleep(20 * MILLI).await;
        }
    };
    timeout(PATIENCE, at_rest).await.unwrap();
    let statistics = fixture.subject.pool().statistics();
    assert_eq!(statistics.total_acquisitions, statistics.total_releases, "{statistics:?}");
    assert_eq!(fixture.subject.capacity(PATIENCE).await, 5);
    let lease = fixture.subject.pool().acquire().await.unwrap();
    assert_eq!(fixture.subject.capacity(50 * MILLI).await, 4);
    drop(lease);
    fixture.subject.pool().shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_read_while_others_change_them() {
    let fixture = Fixture::new(small(6)).await;
    let epoch = Epoch::now();
    let snapshots = load(Op::PoolSnapshot, at_rate(50.0));
    let acquires = load(Op::PoolAcquire, at_rate(500.0));
    let cancels = load(Op::PoolCancel { within: 20 * MILLI }, at_rate(20.0));
    let healths = load(Op::PoolHealth, at_rate(1000.0));
    let (snapshots, acquires, cancels, healths) = tokio::join!(
        carry_out(&snapshots, &fixture.target, epoch),
        carry_out(&acquires, &fixture.target, epoch),
        carry_out(&cancels, &fixture.target, epoch),
        carry_out(&healths, &fixture.target, epoch),
    );
    for record in [&snapshots, &acquires, &cancels, &healths] {
        assert!(failures(record).is_empty(), "{record:?}");
    }
    let ages: Vec<u64> = snapshots.samples.iter().filter_map(|sample| sample.value).collect();
    assert!(ages.len() >= 10, "{snapshots:?}");
    // What a reader gives up on is half a second old.
    assert!(ages.iter().all(|age| (1..500_000_000).contains(age)), "{ages:?}");
    fixture.subject.pool().shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_age_is_not_told_where_it_cannot_be_known() {
    let leaks = Leaks { reclaim: true, ..Config::default().leaks };
    let fixture = Fixture::new(Config { leaks, ..small(2) }).await;
    let snapshots = load(Op::PoolSnapshot, times(1, 3));
    let record = carry_out(&snapshots, &fixture.target, Epoch::now()).await;
    assert!(record.samples.iter().all(|one| one.outcome.is_ok() && one.value.is_none()));
    assert_eq!(record.samples.len(), 3);
    fixture.subject.pool().shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_pools_are_opened_and_shut_down() {
    let fixture = Fixture::new(small(3)).await;
    let opens = load(Op::PoolOpen, times(2, 6));
    let record = carry_out(&opens, &fixture.target, Epoch::now()).await;
    assert_eq!((record.samples.len(), failures(&record).len()), (6, 0), "{record:?}");
    assert!(fixture.subject.pool().statistics().opened <= 3, "the subject has no part in it");
    fixture.subject.pool().shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_codes() {
    let config = Config { acquire_timeout: 50 * MILLI, max_waiting: 1, ..small(2) };
    let fixture = Fixture::new(config).await;
    let of = async |op: Op, count| {
        carry_out(&load(op, times(1, count)), &fixture.target, Epoch::now()).await
    };
    let held = [
        fixture.subject.pool().acquire().await.unwrap(),
        fixture.subject.pool().acquire().await.unwrap(),
    ];
    assert_eq!(codes(&of(query(), 2).await), BTreeSet::from(["pool_timeout".to_owned()]));
    let many = load(Op::PoolAcquire, times(10, 10));
    let many = carry_out(&many, &fixture.target, Epoch::now()).await;
    assert!(codes(&many).contains("pool_queue_full"), "{many:?}");
    let snapshot = of(Op::PoolSnapshot, 1).await;
    assert_eq!((&snapshot.samples[0].outcome, snapshot.samples[0].value), (&Outcome::Ok, None));
    drop(held);
    let foreign = of(Op::ListTools, 1).await;
    assert!(matches!(foreign.samples[0].outcome, Outcome::Malformed { .. }), "{foreign:?}");
    fixture.subject.pool().shutdown().await;
    assert_eq!(codes(&of(query(), 2).await), BTreeSet::from(["pool_closed".to_owned()]));
}

/// The limit of the load is the caller's, and a pool that opens nothing keeps to it.
#[tokio::test]
async fn a_database_that_says_nothing_times_out() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port);
    let subject = Subject::new("load test", small(2), options).unwrap();
    let target = Target::Pool(subject.clone());
    for op in [Op::PoolAcquire, Op::PoolOpen] {
        let one = Load { timeout: 200 * MILLI, ..load(op, times(1, 1)) };
        let record = carry_out(&one, &target, Epoch::now()).await;
        assert_eq!(codes(&record), BTreeSet::from(["TimedOut".to_owned()]));
    }
    subject.pool().shutdown().await;
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port);
    let subject = Subject::new("load test", small(2), options).unwrap();
    assert!(subject.pool().ready().await.is_err());
    let target = Target::Pool(subject.clone());
    let acquires = load(Op::PoolAcquire, times(1, 3));
    let record = carry_out(&acquires, &target, Epoch::now()).await;
    assert_eq!(codes(&record), BTreeSet::from(["pool_unavailable".to_owned()]));
    let healths = load(Op::PoolHealth, times(1, 3));
    let record = carry_out(&healths, &target, Epoch::now()).await;
    assert!(record.samples.iter().all(|one| one.value == Some(UNHEALTHY)), "{record:?}");
    let opens = load(Op::PoolOpen, times(1, 1));
    let record = carry_out(&opens, &target, Epoch::now()).await;
    assert_eq!(codes(&record), BTreeSet::from(["pool_initialization".to_owned()]));
    subject.pool().shutdown().await;
}
