//! What Toxiproxy cannot do, with real sockets.

use std::time::Duration;

use chaos::proxy::{
    DecisionKind, Heal, ProxyPatch, ProxySpec, Scope, Stream, ToxicKind, ToxicSpec,
};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::support::{GENEROUS, Reply, SILENCE, World, ask, dial, hear};

fn hi() -> Reply {
    Reply::Bytes(b"hi".to_vec())
}

#[tokio::test]
async fn after_a_half_open_fault_old_connections_are_dead_for_ever_and_new_ones_work() {
    let world = World::new().await;
    let address = world.proxied("p").await;
    let mut old = dial(address).await;
    assert_eq!(ask(&mut old, b"hi", GENEROUS).await, hi());
    let spec = ToxicSpec {
        scope: Some(Scope::Existing),
        heal: Some(Heal::KeepDead),
        ..ToxicSpec::new(ToxicKind::Blackhole)
    };
    let name = world.proxy.add_toxic("p", spec).await.unwrap().name;
    assert_eq!(ask(&mut old, b"hi", SILENCE).await, Reply::Silence);
    let mut during = dial(address).await;
    assert_eq!(ask(&mut during, b"hi", GENEROUS).await, hi());
    world.proxy.remove_toxic("p", &name).await.unwrap();
    assert_eq!(ask(&mut old, b"hi", SILENCE).await, Reply::Silence, "dead for ever");
    let mut new = dial(address).await;
    assert_eq!(ask(&mut new, b"hi", GENEROUS).await, hi());
    let counts = world.proxy.counters().phases[0].proxies["p"];
    assert_eq!((counts.blackholed, counts.swallowed_up), (1, 4));
}

#[tokio::test]
async fn idle_connections_are_reset_at_once_and_the_client_sees_it() {
    let world = World::new().await;
    let address = world.proxied("p").await;
    let mut idle = dial(address).await;
    assert_eq!(ask(&mut idle, b"hi", GENEROUS).await, hi());
    world.proxy.add_toxic("p", ToxicSpec::new(ToxicKind::Reset)).await.unwrap();
    assert_eq!(hear(&mut idle, GENEROUS).await, Reply::Reset);
}

#[tokio::test]
async fn a_closed_listener_refuses_and_opens_again_on_the_same_port() {
    let world = World::new().await;
    let address = world.proxied("p").await;
    let mut kept = dial(address).await;
    assert_eq!(ask(&mut kept, b"hi", GENEROUS).await, hi());
    let refuse = ToxicSpec::new(ToxicKind::Refuse);
    let refuse_new = ToxicSpec { scope: Some(Scope::New), ..refuse.clone() };
    let name = world.proxy.add_toxic("p", refuse_new).await.unwrap().name;
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(ask(&mut kept, b"hi", GENEROUS).await, hi());
    world.proxy.remove_toxic("p", &name).await.unwrap();
    let mut new = dial(address).await;
    assert_eq!(ask(&mut new, b"hi", GENEROUS).await, hi());
    world.proxy.add_toxic("p", refuse.with("reset", 1)).await.unwrap();
    assert_eq!(hear(&mut kept, GENEROUS).await, Reply::Reset);
}

#[tokio::test]
async fn silence_after_accept_ends_with_its_toxic_and_nothing_is_lost() {
    let world = World::new().await;
    let spec = ProxySpec {
        toxics: vec![ToxicSpec::new(ToxicKind::AcceptSilence)],
        ..ProxySpec::new("p", &world.echo.to_string())
    };
    let view = world.proxy.create(spec).await.unwrap();
    let mut client = dial(view.listen.parse().unwrap()).await;
    assert_eq!(ask(&mut client, b"hi", SILENCE).await, Reply::Silence);
    world.proxy.remove_toxic("p", &view.toxics[0].name).await.unwrap();
    assert_eq!(hear(&mut client, GENEROUS).await, hi());
}

#[tokio::test]
async fn a_server_that_refuses_resets_the_client_at_once() {
    let world = World::new().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let view = world.proxy.create(ProxySpec::new("p", &free.to_string())).await.unwrap();
    let mut client = dial(view.listen.parse().unwrap()).await;
    assert_eq!(hear(&mut client, GENEROUS).await, Reply::Reset);
    let decisions = world.proxy.decisions(0).decisions;
    assert!(decisions.iter().any(|decision| decision.what == DecisionKind::UpstreamFailed));
}

#[tokio::test]
async fn a_dial_that_hangs_holds_up_nobody_else() {
    let world = World::new().await;
    // A full queue that nobody accepts from: the kernel does not answer further clients.
    let silent = full_listener().await;
    let view = world.proxy.create(ProxySpec::new("p", &silent.address)).await.unwrap();
    let address = view.listen.parse().unwrap();
    let _waiting = [dial(address).await, dial(address).await, dial(address).await];
    let patch = ProxyPatch { upstream: Some(world.echo.to_string()), ..ProxyPatch::default() };
    timeout(GENEROUS, world.proxy.update("p", patch)).await.unwrap().unwrap();
    let mut client = dial(address).await;
    assert_eq!(ask(&mut client, b"hi", GENEROUS).await, hi());
}

/// A listener whose queue is full.
struct Full {
    address: String,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

async fn full_listener() -> Full {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(client)) = timeout(SILENCE, TcpStream::connect(address)).await {
        queued.push(client);
    }
    Full { address: address.to_string(), _listener: listener, _queued: queued }
}

#[tokio::test]
async fn the_same_seed_strikes_the_same_connections() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let world = World::new().await;
        let address = world.proxied("p").await;
        let spec = ToxicSpec { toxicity: 0.5, ..ToxicSpec::new(ToxicKind::Latency) };
        world.proxy.add_toxic("p", spec).await.unwrap();
        for _ in 0..20 {
            assert_eq!(ask(&mut dial(address).await, b"hi", GENEROUS).await, hi());
        }
        let struck: Vec<_> = world
            .proxy
            .decisions(0)
            .decisions
            .into_iter()
            .filter(|decision| decision.what == DecisionKind::ToxicEngaged)
            .map(|decision| decision.connection.unwrap())
            .collect();
        runs.push(struck);
    }
    assert!(!runs[0].is_empty() && runs[0].len() < 20, "{runs:?}");
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn toxics_and_proxies_go_away_promptly_under_heavy_traffic() {
    let world = World::new().await;
    let address = world.proxied("p").await;
    let tasks = TaskTracker::new();
    for _ in 0..8 {
        let (mut reader, mut writer) = dial(address).await.into_split();
        tasks.spawn(async move {
            let chunk = vec![7; 64 * 1024];
            // It ends when the proxy is deleted.
            while writer.write_all(&chunk).await.is_ok() {}
        });
        tasks.spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
    }
    for kind in [ToxicKind::Latency, ToxicKind::Bandwidth, ToxicKind::Blackhole, ToxicKind::Noop] {
        for stream in [Stream::Upstream, Stream::Downstream] {
            let spec = ToxicSpec { stream, ..ToxicSpec::new(kind) };
            let name = world.proxy.add_toxic("p", spec).await.unwrap().name;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let removed = timeout(GENEROUS, world.proxy.remove_toxic("p", &name)).await;
            removed.expect("removal must not hang").unwrap();
        }
    }
    let before = world.proxy.counters().phases[0].proxies["p"].bytes_down;
    assert!(before > 0);
    timeout(GENEROUS, world.proxy.delete("p")).await.expect("deletion must not hang").unwrap();
    tasks.close();
    timeout(GENEROUS, tasks.wait()).await.expect("all connections must be closed");
}

#[tokio::test]
async fn a_cut_ends_a_connection_that_never_stops_talking() {
    let world = World::new().await;
    let address = world.proxied("p").await;
    let spec = ToxicSpec::new(ToxicKind::Cut).with("after", 200);
    world.proxy.add_toxic("p", spec).await.unwrap();
    let mut client = dial(address).await;
    let began = Instant::now();
    while ask(&mut client, b"hi", GENEROUS).await == hi() {
        assert!(began.elapsed() < GENEROUS);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_shutdown_closes_everything_and_nothing_follows_it() {
    let world = World::new().await;
    let address = world.proxied("p").await;
    let mut client = dial(address).await;
    assert_eq!(ask(&mut client, b"hi", GENEROUS).await, hi());
    timeout(GENEROUS, world.proxy.shutdown()).await.unwrap();
    assert_eq!(hear(&mut client, GENEROUS).await, Reply::End);
    assert!(TcpStream::connect(address).await.is_err());
    assert!(world.proxy.create(ProxySpec::new("q", "127.0.0.1:1")).await.is_err());
}

#[tokio::test]
async fn a_listener_that_is_taken_meanwhile_is_an_error_and_nothing_has_changed() {
    let world = World::new().await;
    let address = world.proxied("p").await;
    let refuse = ToxicSpec::new(ToxicKind::Refuse);
    let name = world.proxy.add_toxic("p", refuse).await.unwrap().name;
    let taken = TcpListener::bind(address).await.unwrap();
    let error = world.proxy.remove_toxic("p", &name).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert_eq!(world.proxy.view("p").await.unwrap().toxics.len(), 1);
    drop(taken);
    world.proxy.remove_toxic("p", &name).await.unwrap();
    assert_eq!(ask(&mut dial(address).await, b"hi", GENEROUS).await, hi());
}

#[tokio::test]
async fn counters_tell_phases_apart_and_a_slow_reader_holds_the_sender_back() {
    let world = World::new().await;
    let address = world.proxied("p").await;
    let mut client = dial(address).await;
    assert_eq!(ask(&mut client, b"hi", GENEROUS).await, hi());
    world.proxy.begin_phase("fault").unwrap();
    let stall = ToxicSpec { stream: Stream::Upstream, ..ToxicSpec::new(ToxicKind::Bandwidth) };
    world.proxy.add_toxic("p", stall.with("rate", 0)).await.unwrap();
    let chunk = vec![7; 1024 * 1024];
    let mut sent = 0;
    while let Ok(written) = timeout(SILENCE, client.write_all(&chunk)).await {
        written.unwrap();
        sent += chunk.len();
        assert!(sent < 256 * 1024 * 1024, "nothing holds the sender back");
    }
    let phases = world.proxy.counters().phases;
    assert_eq!(phases[0].proxies["p"].bytes_up, 2);
    assert_eq!(phases[1].name, "fault");
    assert!(phases[1].proxies.get("p").is_none_or(|counts| counts.bytes_up == 0));
}
