//! The counting, step by step and against chance.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

const LIMITS: Limits =
    Limits { min_size: 1, max_size: 3, max_waiting: 4, max_parallel_connects: 2 };

type Numbers = State<u32, &'static str>;

fn outage(retry_at: Instant) -> Outage {
    let cause = OpenError::TimedOut { limit: Duration::from_secs(1) };
    Outage { cause: Arc::new(cause), attempts: 1, retry_at }
}

/// A state with `count` connections in use.
fn in_use(count: u32) -> Numbers {
    let mut state = Numbers::new(LIMITS);
    for id in 0..count {
        state.opening += 1;
        assert!(matches!(state.opened(id), Freed::Kept));
    }
    for _ in 0..count {
        state.take().unwrap().unwrap();
    }
    state
}

#[test]
fn the_last_connection_back_is_the_first_out() {
    let mut state = in_use(2);
    assert!(matches!(state.released(10), Freed::Kept));
    assert!(matches!(state.released(20), Freed::Kept));
    assert_eq!(state.take().unwrap(), Some(20));
}

#[test]
fn a_returned_connection_goes_to_the_first_in_line() {
    let mut state = in_use(1);
    assert!(matches!(state.wait("first"), Ok(Wait::InLine(_))));
    assert!(matches!(state.wait("second"), Ok(Wait::InLine(_))));
    assert!(matches!(state.released(7), Freed::Serve("first", 7)));
    assert_eq!((state.gauges().in_use, state.gauges().waiting), (1, 1));
}

#[test]
fn a_new_connection_serves_the_line_too() {
    let mut state = Numbers::new(LIMITS);
    assert!(matches!(state.wait("first"), Ok(Wait::InLine(_))));
    assert_eq!(state.dial(Instant::now()), Dial::Open(OpenReason::Waiters));
    assert!(matches!(state.opened(1), Freed::Serve("first", 1)));
}

#[test]
fn leaving_the_line_keeps_the_order_of_the_others() {
    let mut state = in_use(1);
    let tickets: Vec<Ticket> = ["a", "b", "c"]
        .into_iter()
        .map(|name| match state.wait(name) {
            Ok(Wait::InLine(ticket)) => ticket,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(state.leave(tickets[1]));
    assert!(!state.leave(tickets[1]), "leaving twice changes nothing");
    assert_eq!(state.gauges().waiting, 2);
    assert!(matches!(state.released(1), Freed::Serve("a", 1)));
    assert!(matches!(state.released(1), Freed::Serve("c", 1)));
    assert!(!state.leave(tickets[2]), "a waiter that was served is in no line");
}

#[test]
fn gaps_never_outgrow_the_line() {
    let mut line = Line::new();
    let first = line.join(0);
    for id in 1..10_000 {
        let ticket = line.join(id);
        assert!(line.leave(ticket));
        assert!(line.places.len() <= 2 * line.len() + 33);
    }
    assert!(line.leave(first));
    assert_eq!(line.next(), None);
}

#[test]
fn dials_what_is_missing_and_no_more() {
    let now = Instant::now();
    let mut state = Numbers::new(LIMITS);
    assert_eq!(state.dial(now), Dial::Open(OpenReason::MinSize));
    assert_eq!(state.dial(now), Dial::Rest, "one on its way is enough for min_size");
    for name in ["a", "b", "c", "d"] {
        assert!(matches!(state.wait(name), Ok(Wait::InLine(_))));
    }
    assert_eq!(state.dial(now), Dial::Open(OpenReason::Waiters));
    assert_eq!(state.dial(now), Dial::Rest, "two at once is the limit");
    assert!(matches!(state.opened(1), Freed::Serve("a", 1)));
    assert_eq!(state.dial(now), Dial::Open(OpenReason::Waiters));
    assert!(matches!(state.opened(2), Freed::Serve("b", 2)));
    assert_eq!(state.dial(now), Dial::Rest, "max_size is reached");
    assert!(matches!(state.wait("e"), Ok(Wait::InLine(_))));
    assert!(matches!(state.wait("f"), Ok(Wait::InLine(_))));
    assert!(matches!(state.wait("g"), Err(Refusal::QueueFull { limit: 4 })));
}

#[test]
fn an_outage_fails_the_line_only_when_nobody_could_serve_it() {
    let now = Instant::now();
    let mut state = in_use(1);
    assert!(matches!(state.wait("a"), Ok(Wait::InLine(_))));
    assert_eq!(state.dial(now), Dial::Open(OpenReason::Waiters));
    assert!(state.open_failed(outage(now + Duration::from_secs(1))).is_empty());
    assert!(matches!(state.released(1), Freed::Serve("a", 1)));

    state.discarded();
    state.closed();
    assert!(matches!(state.wait("b"), Err(Refusal::Outage(_))));
    assert_eq!(state.dial(now), Dial::At(now + Duration::from_secs(1)));
    let later = now + Duration::from_secs(1);
    assert_eq!(state.dial(later), Dial::Open(OpenReason::MinSize));
    assert_eq!(state.dial(later), Dial::Rest, "one attempt stands for all");
    assert!(matches!(state.opened(2), Freed::Kept));
    assert_eq!(state.take().unwrap(), Some(2), "the outage is over");
}

#[test]
fn shutdown_turns_everybody_away_and_closes_what_returns() {
    let mut state = in_use(2);
    assert!(matches!(state.released(1), Freed::Kept));
    let (waiters, idle) = state.begin_shutdown();
    assert_eq!((waiters.len(), idle), (0, vec![1]));
    assert!(matches!(state.take(), Err(Refusal::Closed)));
    assert!(matches!(state.wait("late"), Err(Refusal::Closed)));
    assert!(matches!(state.released(2), Freed::Close(2)));
    assert_eq!(state.gauges().closing, 2);
    state.closed();
    state.closed();
    assert!(state.is_empty());
    assert_eq!(state.dial(Instant::now()), Dial::Rest);
}

/// One step of a random run. Steps that do not apply are passed over.
#[derive(Debug, Clone, Copy)]
enum Step {
    Take,
    Wait,
    Leave(usize),
    Release,
    Discard,
    Closed,
    Dial,
    Opened,
    Failed,
    Abandoned,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Take),
        Just(Step::Wait),
        (0..8_usize).prop_map(Step::Leave),
        Just(Step::Release),
        Just(Step::Discard),
        Just(Step::Closed),
        Just(Step::Dial),
        Just(Step::Opened),
        Just(Step::Failed),
        Just(Step::Abandoned),
    ]
}

proptest! {
    /// Whatever happens in whatever order: the invariants hold, nobody is served out of turn, and no
    /// connection is lost or handed out twice.
    #[test]
    fn random_runs_keep_the_invariants(steps in prop::collection::vec(step(), 1..200)) {
        let now = Instant::now();
        let mut state: State<u32, u64> = State::new(LIMITS);
        let mut waiting: Vec<(Ticket, u64)> = Vec::new();
        let mut leased: Vec<u32> = Vec::new();
        let (mut opening, mut closing, mut names, mut arrivals) = (0, 0, 0, 0);
        for step in steps {
            let freed = match step {
                Step::Take => {
                    leased.extend(state.take().unwrap());
                    None
                }
                Step::Wait => {
                    arrivals += 1;
                    match state.wait(arrivals) {
                        Ok(Wait::Idle(connection)) => leased.push(connection),
                        Ok(Wait::InLine(ticket)) => waiting.push((ticket, arrivals)),
                        Err(_) => {}
                    }
                    None
                }
                Step::Leave(which) if which < waiting.len() => {
                    let (ticket, _) = waiting.remove(which);
                    prop_assert!(state.leave(ticket));
                    None
                }
                Step::Release => leased.pop().map(|connection| state.released(connection)),
                Step::Discard if leased.pop().is_some() => {
                    state.discarded();
                    closing += 1;
                    None
                }
                Step::Closed if closing > 0 => {
                    state.closed();
                    closing -= 1;
                    None
                }
                Step::Dial => {
                    opening += u32::from(matches!(state.dial(now), Dial::Open(_)));
                    None
                }
                Step::Opened if opening > 0 => {
                    opening -= 1;
                    names += 1;
                    Some(state.opened(names))
                }
                Step::Failed if opening > 0 => {
                    opening -= 1;
                    let failed = state.open_failed(outage(now));
                    prop_assert!(failed.is_empty() || leased.is_empty());
                    waiting.retain(|(_, arrival)| !failed.contains(arrival));
                    None
                }
                Step::Abandoned if opening > 0 => {
                    opening -= 1;
                    state.open_abandoned();
                    None
                }
                Step::Leave(_)
                | Step::Discard
                | Step::Closed
                | Step::Opened
                | Step::Failed
                | Step::Abandoned => None,
            };
            if let Some(Freed::Serve(arrival, connection)) = freed {
                prop_assert_eq!(waiting.remove(0).1, arrival);
                leased.push(connection);
            }
            state.assert_invariants();
            let gauges = state.gauges();
            prop_assert_eq!(gauges.in_use as usize, leased.len());
            prop_assert_eq!(gauges.waiting as usize, waiting.len());
            prop_assert_eq!((gauges.opening, gauges.closing), (opening, closing));
            let mut distinct = leased.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), leased.len());
        }
    }
}
