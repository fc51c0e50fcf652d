//! What people see of pools, as text.

use super::super::samples::{busy_pool, dead_pool, now, pool, server};
use super::*;

fn trends() -> Trends {
    let mut trends = Trends::default();
    // Ten seconds of a load that comes and goes.
    let mut acquired = 0;
    for (second, load) in (0_u32..).zip([0, 4, 90, 260, 1204, 900, 420, 80, 0, 310]) {
        acquired += load;
        let pools = ["registry", "project default"].map(|name| Statistics {
            uptime_seconds: second.into(),
            total_acquisitions: acquired,
            ..pool(name)
        });
        trends.add(&[server(4711, pools.into())]);
    }
    trends
}

fn text(lines: &[Line]) -> String {
    lines.iter().map(|line| line.plain() + "\n").collect()
}

/// Compares with the snapshot of this name.
fn check(name: &str, text: impl std::fmt::Display) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, text);
    });
}

fn unready(state: State, error: Option<&str>) -> Server {
    let Server::Answered(mut status) = server(4712, Vec::new()) else { unreachable!() };
    status.state = state;
    status.client = None;
    status.error = error.map(str::to_owned);
    Server::Answered(status)
}

fn silent() -> Server {
    Server::Silent { pid: 4713, error: "it did not answer within 2 s".to_owned() }
}

#[test]
fn a_server_with_two_pools() {
    let servers = [server(4711, vec![pool("registry"), busy_pool("project default")])];
    let scene = Scene { servers: &servers, trends: &trends(), now: now() };
    check("full", text(&scene.lines(Detail::Full, 80)));
    check("rows", text(&scene.lines(Detail::Row, 80)));
    check("log", text(&scene.log()));
}

#[test]
fn a_single_look_has_totals_instead_of_rates() {
    let servers = [server(4711, vec![pool("registry")])];
    let scene = Scene { servers: &servers, trends: &Trends::default(), now: now() };
    check("status", text(&scene.lines(Detail::Full, 80)));
    check("status_wide", text(&scene.lines(Detail::Full, 100)));
}

#[test]
fn an_outage_and_servers_that_are_not_ready() {
    let trying = Statistics { retry_after_ms: Some(0.0), ..dead_pool("project default") };
    let servers = [
        server(4711, vec![dead_pool("registry"), trying]),
        unready(State::Starting, None),
        unready(State::Failed, Some("PostgreSQL is missing; run `ci/setup`")),
        silent(),
    ];
    let scene = Scene { servers: &servers, trends: &Trends::default(), now: now() };
    check("trouble", text(&scene.lines(Detail::Full, 80)));
    check("trouble_rows", text(&scene.lines(Detail::Row, 80)));
    check("trouble_log", text(&scene.log()));
    assert_eq!(scene.counts(), "4 servers, 2 pools");
}

#[test]
fn nobody_is_there() {
    let scene = Scene { servers: &[], trends: &Trends::default(), now: now() };
    assert_eq!(scene.lines(Detail::Full, 80), []);
    assert_eq!(text(&scene.log()), "2026-03-01T12:00:00Z no server runs\n");
}

/// The styles as a terminal gets them, with the escape character written as `ESC`.
#[test]
fn phases_and_connections_have_colors() {
    let servers = [server(4711, vec![busy_pool("registry"), dead_pool("project default")])];
    let scene = Scene { servers: &servers, trends: &Trends::default(), now: now() };
    let lines = scene.lines(Detail::Full, 80);
    let styled: Vec<String> = lines.iter().map(ToString::to_string).collect();
    check("styled", styled.join("\n").replace('\u{1b}', "ESC"));
}

#[test]
fn everything_but_errors_fits_in_the_width() {
    let long = Statistics {
        name: "project ".to_owned() + &"long".repeat(30),
        total_acquisitions: u64::MAX,
        ..busy_pool("")
    };
    let mut servers = vec![server(u32::MAX, vec![pool("registry"), long]), silent()];
    if let Server::Answered(status) = &mut servers[0]
        && let Some(client) = &mut status.client
    {
        client.name = "client".repeat(16);
    }
    let scene = Scene { servers: &servers, trends: &trends(), now: now() };
    for width in [80, 81, 100] {
        for line in [Detail::Full, Detail::Row].map(|detail| scene.lines(detail, width)).concat() {
            let text = line.plain();
            let error = text.contains("last error") || text.contains("18,446,744,073,709,551,615");
            assert!(error || line.width() <= width, "{width}: {text}");
        }
    }
}
