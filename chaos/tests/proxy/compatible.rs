//! The crate `toxiproxy_rust` against this server, by itself and within the client.

use chaos::proxy::{
    Control, ControlError, Heal, ProxySpec, Scope, Severity, Stream, ToxicKind, ToxicSpec, Trigger,
};
use toxiproxy_rust::client::Client;
use toxiproxy_rust::proxy::ProxyPack;

use crate::support::{GENEROUS, Reply, World, ask, dial};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_crate_is_content_with_every_answer() {
    let world = World::new().await;
    let (api, echo) = (world.api, world.echo);
    let work = move || {
        let client = Client::new(api);
        assert!(client.is_running());
        assert!(client.version().unwrap().contains("2.12"));
        let pack = ProxyPack::new("p".to_owned(), "127.0.0.1:0".to_owned(), echo.to_string());
        let proxies = client.populate(vec![pack]).unwrap();
        assert_eq!(proxies[0].proxy_pack.name, "p");
        let proxy = client.find_proxy("p").unwrap();
        let down = || "downstream".to_owned();
        proxy
            .with_latency(down(), 10, 2, 0.25)
            .with_bandwidth(down(), 10, 1.0)
            .with_slow_close(down(), 10, 1.0)
            .with_timeout(down(), 10, 1.0)
            .with_slicer(down(), 10, 2, 3, 1.0)
            .with_limit_data(down(), 10, 1.0);
        let toxics = proxy.toxics().unwrap();
        let names: Vec<_> = toxics.iter().map(|toxic| toxic.r#type.as_str()).collect();
        let expected = ["latency", "bandwidth", "slow_close", "timeout", "slicer", "limit_data"];
        assert_eq!(names, expected);
        assert_eq!(toxics[0].name, "latency_downstream");
        assert_eq!(toxics[0].attributes["jitter"], 2);
        assert!((toxics[0].toxicity - 0.25).abs() < f32::EPSILON);
        proxy.disable().unwrap();
        assert!(!client.all().unwrap()["p"].proxy_pack.enabled);
        let proxy = client.find_and_reset_proxy("p").unwrap();
        assert!(proxy.toxics().unwrap().is_empty());
        client.reset().unwrap();
        proxy.delete().unwrap();
        assert!(client.all().unwrap().is_empty());
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test]
async fn the_client_says_everything_and_looks_at_what_came_of_it() {
    let world = World::new().await;
    let control = Control::connect(world.api).await.unwrap();
    assert!(control.is_ours());
    let view = control.create(ProxySpec::new("p", &world.echo.to_string())).await.unwrap();
    let again = control.create(ProxySpec::new("p", &world.echo.to_string())).await;
    assert!(matches!(again, Err(ControlError::Exists { .. })), "{again:?}");
    let address = view.listen.parse().unwrap();
    assert_eq!(ask(&mut dial(address).await, b"hi", GENEROUS).await, Reply::Bytes(b"hi".to_vec()));

    for kind in ToxicKind::ALL {
        let mut spec = ToxicSpec { stream: Stream::Upstream, ..ToxicSpec::new(kind) };
        match kind {
            ToxicKind::Slicer => spec = spec.with("average_size", 10),
            ToxicKind::Cut => spec = spec.with("bytes", 10),
            ToxicKind::PgError => {
                spec.sqlstate = Some("40001".to_owned());
                spec.severity = Some(Severity::Error);
                spec.on = Some(Trigger::Query(2));
            }
            ToxicKind::Blackhole => {
                spec.scope = Some(Scope::Fraction(0.5));
                spec.heal = Some(Heal::KeepDead);
            }
            ToxicKind::Latency
            | ToxicKind::Bandwidth
            | ToxicKind::SlowClose
            | ToxicKind::Timeout
            | ToxicKind::ResetPeer
            | ToxicKind::LimitData
            | ToxicKind::Noop
            | ToxicKind::Reset
            | ToxicKind::AcceptDelay
            | ToxicKind::AcceptSilence
            | ToxicKind::Refuse => {}
        }
        let toxic = control.add_toxic("p", spec.clone()).await.unwrap();
        assert_eq!((toxic.kind, toxic.stream), (kind, Stream::Upstream));
        let again = control.add_toxic("p", spec).await;
        assert!(matches!(again, Err(ControlError::Exists { .. })), "{again:?}");
        control.remove_toxic("p", &toxic.name).await.unwrap();
    }
    let impossible = control.add_toxic("p", ToxicSpec::new(ToxicKind::Slicer)).await;
    let reason = impossible.unwrap_err().to_string();
    assert!(reason.contains("400") && reason.contains("average_size"), "{reason}");

    control.begin_phase("fault").await.unwrap();
    control.set_enabled("p", false).await.unwrap();
    control.set_upstream("p", "127.0.0.1:1").await.unwrap();
    control.set_enabled("p", true).await.unwrap();
    let shown = control.view("p").await.unwrap();
    assert_eq!((shown.upstream.as_str(), shown.enabled), ("127.0.0.1:1", true));
    control.reset().await.unwrap();
    control.delete("p").await.unwrap();
    let unknown = control.delete("p").await;
    assert!(matches!(unknown, Err(ControlError::Refused { status: 404, .. })), "{unknown:?}");
    let counters = control.counters().await.unwrap();
    assert_eq!(counters.phases[1].name, "fault");
    assert_eq!(counters.phases[0].proxies["p"].bytes_up, 2);
    let decisions = control.decisions(0).await.unwrap();
    assert_eq!(decisions.next, u64::try_from(decisions.decisions.len()).unwrap());
}

#[tokio::test]
async fn toxics_given_at_creation_are_there_and_a_dead_server_is_named() {
    let world = World::new().await;
    let control = Control::connect(world.api).await.unwrap();
    let spec = ProxySpec {
        toxics: vec![ToxicSpec::new(ToxicKind::Reset)],
        ..ProxySpec::new("p", &world.echo.to_string())
    };
    let view = control.create(spec).await.unwrap();
    assert_eq!(view.toxics[0].name, "reset_downstream");
    let reply = ask(&mut dial(view.listen.parse().unwrap()).await, b"hi", GENEROUS).await;
    assert_eq!(reply, Reply::Reset);

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Control::connect(free).await.unwrap_err();
    assert!(error.to_string().contains(&free.to_string()), "{error}");
}
