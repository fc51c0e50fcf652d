//! Connections told what arrived and when, without socket and clock.

use super::*;
use crate::proxy::pg::error_response;
use crate::proxy::wire::{Scope, ToxicKind, ToxicSpec};

const UP: Stream = Stream::Upstream;
const DOWN: Stream = Stream::Downstream;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn connection() -> Core {
    let mut core = Core::new(7, "p".into(), 1, Duration::ZERO);
    core.on_connected();
    core
}

fn toxic(spec: ToxicSpec) -> Arc<Toxic> {
    Arc::new(Toxic::new(9, 2, spec).unwrap())
}

/// Writes everything that may be written.
fn written(core: &mut Core, stream: Stream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(bytes) = core.front(stream).cloned() {
        all.extend(&bytes);
        core.on_written(stream, bytes.len());
    }
    all
}

fn send(core: &mut Core, now: Duration, stream: Stream, bytes: &[u8]) -> Vec<u8> {
    core.on_bytes(now, stream, Bytes::copy_from_slice(bytes));
    core.settle(now);
    let mut all = written(core, stream);
    core.settle(now);
    all.extend(written(core, stream));
    all
}

fn kinds(core: &mut Core) -> Vec<DecisionKind> {
    core.take_news().0.into_iter().map(|note| note.what).collect()
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    message.extend(body);
    message
}

fn startup() -> Vec<u8> {
    let mut startup = 18_u32.to_be_bytes().to_vec();
    startup.extend(196_608_u32.to_be_bytes());
    startup.extend(b"user\0me\0\0\0");
    startup
}

/// A connection that speaks PostgreSQL's protocol and is idle.
fn idle() -> Core {
    let mut core = connection();
    let now = Duration::ZERO;
    let startup = startup();
    assert_eq!(send(&mut core, now, UP, &startup), startup);
    let answer = [message(b'R', &[0; 4]), message(b'Z', b"I")].concat();
    assert_eq!(send(&mut core, now, DOWN, &answer), answer);
    assert!(core.talk.idle());
    drop(core.take_news());
    core
}

#[test]
fn a_dead_connection_stays_dead_after_the_fault_is_undone() {
    let mut core = connection();
    let spec = ToxicSpec {
        scope: Some(Scope::Existing),
        heal: Some(Heal::KeepDead),
        ..ToxicSpec::new(ToxicKind::Blackhole)
    };
    core.attach(millis(1), &toxic(spec), false);
    assert_eq!(send(&mut core, millis(2), UP, b"lost"), b"");
    core.detach(millis(3), 9);
    assert_eq!(send(&mut core, millis(4), UP, b"lost"), b"");
    assert_eq!(send(&mut core, millis(4), DOWN, b"lost"), b"");
    core.attach(millis(5), &toxic(ToxicSpec::new(ToxicKind::Reset)), false);
    core.on_end(millis(5), UP, true);
    core.settle(millis(5));
    assert_eq!(core.plan().verdict, None, "the server never learns of the client's end");
    let (_, counts) = core.take_news();
    assert_eq!((counts.swallowed_up, counts.swallowed_down), (8, 4));
    core.on_end(millis(6), DOWN, false);
    assert!(core.plan().verdict.is_some(), "nobody is left to be told");
}

#[test]
fn a_blackhole_that_is_to_be_resumed_keeps_every_byte_and_the_end() {
    let mut core = connection();
    core.attach(millis(1), &toxic(ToxicSpec::new(ToxicKind::Blackhole)), false);
    assert_eq!(send(&mut core, millis(2), UP, b"late"), b"");
    core.on_end(millis(2), UP, false);
    core.settle(millis(2));
    assert!(!core.plan().up.end);
    core.detach(millis(9), 9);
    core.settle(millis(9));
    assert_eq!(written(&mut core, UP), b"late");
    core.settle(millis(9));
    assert!(core.plan().up.end);
}

#[test]
fn an_idle_connection_is_reset_at_once_even_if_the_toxic_goes_at_once() {
    let mut core = connection();
    core.attach(millis(1), &toxic(ToxicSpec::new(ToxicKind::Reset)), false);
    core.detach(millis(1), 9);
    core.settle(millis(1));
    let verdict = core.plan().verdict.unwrap();
    assert!(verdict.reset);
    assert_eq!(verdict.what, DecisionKind::ConnectionReset);
}

#[test]
fn removing_a_timeout_closes_and_removing_latency_lets_bytes_go() {
    let mut core = connection();
    core.attach(millis(0), &toxic(ToxicSpec::new(ToxicKind::Timeout)), false);
    core.detach(millis(1), 9);
    assert!(core.plan().verdict.is_some_and(|verdict| !verdict.reset));

    let mut core = connection();
    let latency = ToxicSpec::new(ToxicKind::Latency).with("latency", 3_600_000);
    core.attach(millis(0), &toxic(latency), false);
    assert_eq!(send(&mut core, millis(1), DOWN, b"late"), b"");
    assert_eq!(send(&mut core, millis(1), UP, b"other way"), b"other way");
    core.detach(millis(2), 9);
    core.settle(millis(2));
    assert_eq!(written(&mut core, DOWN), b"late");
}

#[test]
fn a_cut_comes_in_time_whatever_is_sent() {
    let mut core = connection();
    core.attach(millis(10), &toxic(ToxicSpec::new(ToxicKind::Cut).with("after", 100)), false);
    for now in (20..110).step_by(10) {
        assert_eq!(send(&mut core, millis(now), UP, b"x"), b"x");
    }
    assert_eq!(core.plan().wake, Some(millis(110)));
    core.settle(millis(110));
    assert!(core.plan().verdict.is_some_and(|verdict| !verdict.reset));
}

#[test]
fn the_server_is_not_dialled_before_an_accept_delay_is_over_or_undone() {
    let delay = ToxicSpec::new(ToxicKind::AcceptDelay).with("delay", 100);
    let mut core = Core::new(7, "p".into(), 1, Duration::ZERO);
    core.attach(millis(0), &toxic(delay), true);
    assert!(!core.plan().dial);
    core.settle(millis(100));
    assert!(core.plan().dial);

    let mut core = Core::new(7, "p".into(), 1, Duration::ZERO);
    core.attach(millis(0), &toxic(ToxicSpec::new(ToxicKind::AcceptSilence)), true);
    core.settle(millis(100_000));
    assert!(!core.plan().dial);
    core.detach(millis(100_000), 9);
    assert!(core.plan().dial);
}

#[test]
fn a_commit_reaches_the_server_and_its_reply_never_reaches_the_client() {
    let mut core = idle();
    let spec = ToxicSpec {
        on: Some(Trigger::Commit),
        heal: Some(Heal::KeepDead),
        ..ToxicSpec::new(ToxicKind::Blackhole)
    };
    core.attach(millis(0), &toxic(spec), false);
    let select = message(b'Q', b"SELECT 1\0");
    assert_eq!(send(&mut core, millis(1), UP, &select), select);
    let ready = message(b'Z', b"T");
    assert_eq!(send(&mut core, millis(1), DOWN, &ready), ready);
    let commit = message(b'Q', b"COMMIT\0");
    assert_eq!(send(&mut core, millis(2), UP, &commit), commit);
    assert_eq!(send(&mut core, millis(3), DOWN, &message(b'C', b"COMMIT\0")), b"");
    let expected = [DecisionKind::ToxicEngaged, DecisionKind::ConnectionBlackholed];
    assert_eq!(kinds(&mut core), expected);
}

#[test]
fn the_second_query_is_lost_before_it_reaches_the_server() {
    let mut core = idle();
    let on = Some(Trigger::Query(2));
    let spec = ToxicSpec { on, stream: UP, ..ToxicSpec::new(ToxicKind::Timeout) };
    core.attach(millis(0), &toxic(spec), false);
    let query = message(b'Q', b"SELECT 1\0");
    assert_eq!(send(&mut core, millis(1), UP, &[query.clone(), query.clone()].concat()), query);
}

#[test]
fn triggers_that_are_states_come_at_once_where_the_state_is_reached() {
    for (on, at_once) in
        [(Trigger::Startup, true), (Trigger::Ready, true), (Trigger::InTransaction, false)]
    {
        let mut core = idle();
        let spec = ToxicSpec { on: Some(on), ..ToxicSpec::new(ToxicKind::Reset) };
        core.attach(millis(0), &toxic(spec), false);
        assert_eq!(core.plan().verdict.is_some(), at_once, "{on:?}");
    }
}

#[test]
fn a_new_client_gets_a_fatal_error_and_the_server_never_hears_of_it() {
    let mut core = Core::new(7, "p".into(), 5, Duration::ZERO);
    let spec =
        ToxicSpec { sqlstate: Some("53300".to_owned()), ..ToxicSpec::new(ToxicKind::PgError) };
    core.attach(millis(0), &toxic(spec), true);
    assert_eq!(send(&mut core, millis(1), UP, &startup()), b"");
    core.settle(millis(1));
    let error = error_response(Severity::Fatal, "53300", "injected error 53300");
    assert_eq!(written(&mut core, DOWN), error);
    core.settle(millis(1));
    let verdict = core.plan().verdict.unwrap();
    assert_eq!((verdict.reset, verdict.what), (false, DecisionKind::ConnectionCut));
}

#[test]
fn a_commit_that_the_server_makes_is_reported_as_failed() {
    let mut core = idle();
    let spec = ToxicSpec {
        on: Some(Trigger::Commit),
        sqlstate: Some("40001".to_owned()),
        severity: Some(Severity::Error),
        ..ToxicSpec::new(ToxicKind::PgError)
    };
    core.attach(millis(0), &toxic(spec), false);
    let commit = message(b'Q', b"COMMIT\0");
    assert_eq!(send(&mut core, millis(1), UP, &commit), commit);
    let answer = [message(b'C', b"COMMIT\0"), message(b'Z', b"I")].concat();
    let error = error_response(Severity::Error, "40001", "injected error 40001");
    let expected = [error.to_vec(), message(b'Z', b"I")].concat();
    assert_eq!(send(&mut core, millis(2), DOWN, &answer), expected);
    assert_eq!(core.plan().verdict, None);
}

#[test]
fn a_trigger_on_what_cannot_be_read_is_reported() {
    let mut core = connection();
    let spec = ToxicSpec { on: Some(Trigger::Ready), ..ToxicSpec::new(ToxicKind::Reset) };
    core.attach(millis(0), &toxic(spec), false);
    assert_eq!(send(&mut core, millis(1), UP, b"GET / HTTP/1.1\r\n"), b"GET / HTTP/1.1\r\n");
    assert!(kinds(&mut core).contains(&DecisionKind::ProtocolOpaque));
}

#[test]
fn a_toxic_without_any_effect_tells_of_none() {
    for (kind, told) in [(ToxicKind::Latency, true), (ToxicKind::Noop, false)] {
        let mut core = connection();
        drop(core.take_news());
        core.attach(millis(0), &toxic(ToxicSpec::new(kind)), false);
        assert_eq!(send(&mut core, millis(1), UP, b"hi"), b"hi");
        core.detach(millis(2), 9);
        let kinds = kinds(&mut core);
        for what in [DecisionKind::ToxicEngaged, DecisionKind::ConnectionHealed] {
            assert_eq!(kinds.contains(&what), told, "{kind:?}: {kinds:?}");
        }
    }
}
