//! The counting, step by step, on a clock that the test holds.

mod health;
mod model;
mod upkeep;

use std::panic::Location;
use std::time::Duration;

use super::*;
use crate::pool::config::{Leaks, STATEMENT_GRACE};
use crate::pool::error::OpenError;
use crate::pool::reason::OpenReason;

type Numbers = State<u32, u32, &'static str>;

const PATIENCE: Duration = Duration::from_secs(65);

type Lent = Box<Slot<u32>>;

/// A state whose clock the test holds, with the connections that are out.
struct Bench {
    state: Numbers,
    now: Instant,
    leased: Vec<Lent>,
}

fn config() -> Config {
    Config { min_size: 1, max_size: 3, max_waiting: 4, ..Config::default() }
}

fn borrower() -> Borrower {
    Borrower { location: Location::caller(), particulars: None }
}

fn broken() -> Arc<OpenError> {
    Arc::new(OpenError::TimedOut { limit: Duration::from_secs(1) })
}

impl Bench {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        let state = State::new(config, Arc::new(Counters::new()), now);
        Self { state, now, leased: Vec::new() }
    }

    /// With `count` connections in use.
    fn in_use(config: Config, count: u32) -> Self {
        let mut bench = Self::new(config);
        for id in 0..count {
            bench.open(id);
        }
        for _ in 0..count {
            bench.take();
        }
        bench
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn open(&mut self, id: u32) -> Option<&'static str> {
        let attempt = Attempt { reason: OpenReason::MinSize, began: self.now, patience: PATIENCE };
        self.state.attempts.push(attempt);
        self.opened(attempt, id)
    }

    fn opened(&mut self, attempt: Attempt, id: u32) -> Option<&'static str> {
        let served = self.state.opened(attempt, id, id, 0.0, self.now);
        self.keep(served)
    }

    fn take(&mut self) -> bool {
        let taken = self.state.take(borrower(), self.now).unwrap();
        let found = taken.is_some();
        self.leased.extend(taken);
        found
    }

    fn wait(&mut self, name: &'static str) -> Ticket {
        match self.state.wait(name, borrower(), self.patience(), self.now) {
            Ok(Wait::InLine { ticket, .. }) => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn patience(&self) -> Patience {
        Patience { started: self.now, limit: None }
    }

    /// Gives the lease back that was taken last.
    fn give_back(&mut self, fitness: Fitness) -> Option<&'static str> {
        let slot = self.leased.pop().unwrap();
        let served = self.state.returned(slot, fitness, self.now);
        self.keep(served)
    }

    fn keep(&mut self, served: Served<u32, &'static str>) -> Option<&'static str> {
        self.state.assert_invariants();
        let (waiter, slot) = served?;
        self.leased.push(slot);
        Some(waiter)
    }

    fn orders(&mut self) -> Vec<Order<u32, u32, &'static str>> {
        self.state.take_orders()
    }

    /// What is to be closed, and why.
    fn closes(&mut self) -> Vec<(u32, CloseReason)> {
        let orders = self.orders().into_iter();
        orders
            .filter_map(|order| {
                let Order::Close(slot, reason) = order else { return None };
                Some((slot.connection, reason))
            })
            .collect()
    }

    fn dial(&mut self) -> Dial {
        self.state.dial(self.now)
    }

    /// The permission to open a connection for `reason`.
    fn permission(&mut self, reason: OpenReason) -> Attempt {
        let Dial::Open(attempt) = self.dial() else { panic!("no permission") };
        assert_eq!(attempt.reason, reason);
        attempt
    }

    fn fail_to_open(&mut self, attempt: Attempt) -> Arc<Outage> {
        self.state.open_failed(attempt, broken(), 0.5, self.now)
    }
}

#[test]
fn the_last_connection_back_is_the_first_out() {
    let mut bench = Bench::in_use(config(), 2);
    bench.give_back(Fitness::Fit);
    let last = bench.leased[0].id;
    bench.pass(Duration::from_millis(1));
    bench.give_back(Fitness::Fit);
    bench.take();
    assert_eq!(bench.leased[0].id, last);
}

#[test]
fn a_returned_connection_goes_to_the_first_in_line() {
    let mut bench = Bench::in_use(config(), 1);
    bench.wait("first");
    bench.wait("second");
    assert_eq!(bench.give_back(Fitness::Fit), Some("first"));
    let gauges = bench.state.gauges();
    assert_eq!((gauges.in_use, gauges.waiting), (1, 1));
}

#[test]
fn a_new_connection_serves_the_line_too() {
    let mut bench = Bench::new(config());
    bench.wait("first");
    let attempt = bench.permission(OpenReason::Waiters);
    assert_eq!(bench.opened(attempt, 1), Some("first"));
}

#[test]
fn dials_what_is_missing_and_no_more() {
    let mut bench = Bench::new(config());
    let first = bench.permission(OpenReason::MinSize);
    assert_eq!(bench.dial(), Dial::Rest, "one on its way is enough for min_size");
    for name in ["a", "b", "c", "d"] {
        bench.wait(name);
    }
    let second = bench.permission(OpenReason::Waiters);
    assert_eq!(bench.dial(), Dial::Rest, "two at once is the limit");
    let full = bench.state.wait("e", borrower(), bench.patience(), bench.now);
    assert!(matches!(full, Err(Refusal::QueueFull { limit: 4 })));
    assert_eq!(bench.opened(first, 1), Some("a"));
    assert_eq!(bench.opened(second, 2), Some("b"));
    bench.permission(OpenReason::Waiters);
    assert_eq!(bench.dial(), Dial::Rest, "max_size is reached");
}

#[test]
fn an_attempt_that_hangs_is_not_counted_on() {
    let mut bench = Bench::new(config());
    bench.wait("a");
    bench.permission(OpenReason::Waiters);
    bench.pass(Duration::from_millis(999));
    assert_eq!(bench.dial(), Dial::Rest);
    bench.pass(Duration::from_millis(1));
    bench.permission(OpenReason::Waiters);
    assert_eq!(bench.dial(), Dial::Rest, "the second is young");
}

#[test]
fn attempts_that_were_under_way_together_are_one_failure() {
    let mut bench = Bench::new(config());
    bench.wait("a");
    bench.wait("b");
    let (first, second) =
        (bench.permission(OpenReason::Waiters), bench.permission(OpenReason::Waiters));
    bench.pass(Duration::from_millis(5));
    let one = bench.fail_to_open(first);
    let two = bench.fail_to_open(second);
    assert_eq!((one.attempts, two.attempts, one.retry_at), (1, 1, two.retry_at));
}

#[test]
fn two_pools_that_lost_the_same_database_do_not_come_back_in_step() {
    let retry = |fraction| {
        let mut bench = Bench::new(config());
        let attempt = bench.permission(OpenReason::MinSize);
        let outage = bench.state.open_failed(attempt, broken(), fraction, bench.now);
        outage.retry_at - bench.now
    };
    let early = Duration::from_millis(900);
    assert_eq!([retry(0.0), retry(1.0)], [early, Duration::from_millis(1100)]);
}

#[test]
fn a_connection_that_reached_nobody_counts_as_neither_lent_nor_returned() {
    let mut bench = Bench::in_use(config(), 1);
    bench.wait("gone");
    bench.wait("next");
    assert_eq!(bench.give_back(Fitness::Fit), Some("gone"));
    let slot = bench.leased.pop().unwrap();
    let served = bench.state.undelivered(slot, bench.now);
    assert_eq!(bench.keep(served), Some("next"));
    let counters = Arc::clone(&bench.state.counters);
    assert_eq!((counters.acquired.get(), counters.released.get()), (2, 1));
    assert_eq!(bench.state.gauges().in_use, 1);
}

#[test]
fn a_wait_of_more_than_a_tenth_of_a_second_is_slow() {
    for (wait, phase, reason) in
        [(100, Phase::Healthy, HealthReason::Ok), (101, Phase::Degraded, HealthReason::SlowAcquire)]
    {
        let mut bench = Bench::in_use(config(), 1);
        bench.wait("a");
        bench.pass(Duration::from_millis(wait));
        bench.give_back(Fitness::Fit);
        bench.state.assess(bench.now);
        let gauges = bench.state.gauges();
        assert_eq!((gauges.phase, gauges.reason), (phase, reason), "{wait} ms");
    }
}

#[test]
fn surplus_connects_are_not_begun_when_a_return_served_the_line() {
    let mut bench = Bench::in_use(config(), 1);
    bench.wait("a");
    assert_eq!(bench.give_back(Fitness::Fit), Some("a"));
    assert_eq!(bench.dial(), Dial::Rest);
}

#[test]
fn a_failed_attempt_fails_the_line_only_when_nobody_could_serve_it() {
    let mut bench = Bench::in_use(config(), 1);
    bench.wait("a");
    let attempt = bench.permission(OpenReason::Waiters);
    let outage = bench.fail_to_open(attempt);
    assert!(!bench.orders().iter().any(|order| matches!(order, Order::Refuse(..))));
    assert_eq!(bench.dial(), Dial::At(outage.retry_at));

    // The lease that could serve is still out at the second failure, and nothing has answered since.
    bench.now = outage.retry_at;
    let attempt = bench.permission(OpenReason::Waiters);
    assert_eq!(bench.dial(), Dial::Rest, "one attempt stands for all");
    bench.fail_to_open(attempt);
    let refused = bench.orders().into_iter().find_map(|order| {
        let Order::Refuse(name, Refusal::Outage(outage)) = order else { return None };
        Some((name, outage.attempts))
    });
    assert_eq!(refused, Some(("a", 2)));
    let late = bench.state.wait("b", borrower(), bench.patience(), bench.now);
    assert!(matches!(late, Err(Refusal::Outage(_))), "the breaker is open");
}

#[test]
fn a_session_that_answered_keeps_the_line_through_an_outage() {
    let mut bench = Bench::in_use(config(), 2);
    bench.wait("a");
    bench.wait("b");
    let attempt = bench.permission(OpenReason::Waiters);
    bench.now = bench.fail_to_open(attempt).retry_at;
    bench.leased[1].proven_at = bench.now;
    assert_eq!(bench.give_back(Fitness::Fit), Some("a"));
    let attempt = bench.permission(OpenReason::Waiters);
    bench.fail_to_open(attempt);
    assert_eq!(bench.state.gauges().waiting, 1, "the database serves those who are inside");
}

#[test]
fn an_opened_connection_ends_the_outage_and_the_count_of_failures() {
    let mut bench = Bench::new(config());
    for expected in [1, 2, 4, 8, 16, 16] {
        let attempt = bench.permission(OpenReason::MinSize);
        let outage = bench.fail_to_open(attempt);
        assert_eq!(outage.retry_at - bench.now, Duration::from_secs(expected));
        bench.now = outage.retry_at;
    }
    let attempt = bench.permission(OpenReason::MinSize);
    assert!(bench.opened(attempt, 1).is_none() && bench.state.outage().is_none());
    bench.take();
    bench.give_back(Fitness::Unfit(CloseReason::Broken));
    bench.state.closed();
    let attempt = bench.permission(OpenReason::MinSize);
    assert_eq!(bench.fail_to_open(attempt).attempts, 1);
}

#[test]
fn a_bad_connection_puts_the_older_idle_ones_in_doubt() {
    let mut bench = Bench::in_use(config(), 3);
    bench.give_back(Fitness::Fit);
    bench.give_back(Fitness::Fit);
    bench.pass(Duration::from_millis(100));
    bench.give_back(Fitness::Unfit(CloseReason::CheckTimedOut));
    let gauges = bench.state.gauges();
    assert_eq!((gauges.idle, gauges.checking, gauges.closing), (0, 2, 1));
    let cared = bench.orders().into_iter().filter_map(|order| {
        let Order::Care(slot, Care::Probe) = order else { return None };
        Some(slot)
    });
    let cared: Vec<_> = cared.collect();
    assert_eq!(cared.len(), 2);
    let began = bench.now;
    bench.pass(Duration::from_millis(1));
    for (slot, outcome) in cared.into_iter().zip([Ok(()), Err(CloseReason::CheckFailed)]) {
        let served = bench.state.cared(slot, outcome, began, bench.now);
        bench.keep(served);
    }
    // The one that passed after the other's check had begun is not doubted again.
    let gauges = bench.state.gauges();
    assert_eq!((gauges.idle, gauges.checking, gauges.closing), (1, 0, 2));
}

#[test]
fn a_lease_that_was_lent_before_the_doubt_is_probed_when_it_returns() {
    let mut bench = Bench::in_use(config(), 2);
    bench.pass(Duration::from_millis(100));
    bench.give_back(Fitness::Unfit(CloseReason::Broken));
    bench.give_back(Fitness::Fit);
    let gauges = bench.state.gauges();
    assert_eq!((gauges.idle, gauges.checking), (0, 1));
}

#[test]
fn a_soiled_lease_is_reset_before_the_next_borrower() {
    let mut bench = Bench::in_use(config(), 1);
    bench.wait("a");
    assert_eq!(bench.give_back(Fitness::Soiled), None);
    let Some(Order::Care(slot, Care::Reset)) = bench.orders().pop() else { panic!("no reset") };
    let served = bench.state.cared(slot, Ok(()), bench.now, bench.now);
    assert_eq!(bench.keep(served), Some("a"));
}

#[test]
fn shutdown_turns_everybody_away_and_closes_what_returns() {
    let mut bench = Bench::in_use(config(), 2);
    bench.give_back(Fitness::Fit);
    bench.state.begin_shutdown();
    assert_eq!(bench.closes(), [(0, CloseReason::Shutdown)]);
    assert!(matches!(bench.state.take(borrower(), bench.now), Err(Refusal::Closed)));
    let late = bench.state.wait("late", borrower(), bench.patience(), bench.now);
    assert!(matches!(late, Err(Refusal::Closed)));
    bench.give_back(Fitness::Fit);
    assert_eq!(bench.state.gauges().closing, 2);
    bench.state.closed();
    bench.state.closed();
    assert_eq!(bench.state.total(), 0);
    assert_eq!(bench.dial(), Dial::Rest);
}

#[test]
fn force_takes_leases_back_and_forgets_them() {
    let mut bench = Bench::in_use(config(), 2);
    bench.state.begin_shutdown();
    bench.pass(Duration::from_secs(30));
    let forced = bench.state.force(bench.now);
    assert_eq!(forced.iter().map(|held| held.held.as_secs()).collect::<Vec<_>>(), [30, 30]);
    let gauges = bench.state.gauges();
    assert_eq!((gauges.in_use, gauges.closing), (0, 2));
    let orders = bench.orders();
    assert_eq!(orders.iter().filter(|order| matches!(order, Order::Terminate(_))).count(), 2);
    assert_eq!(orders.iter().filter(|order| matches!(order, Order::Cut(..))).count(), 2);
    bench.give_back(Fitness::Fit);
    assert!(matches!(bench.orders()[..], [Order::Forget(_)]), "a late return changes no count");
    assert_eq!(bench.state.gauges().closing, 2);
}

#[test]
fn a_smaller_max_size_is_reached_as_leases_return() {
    let mut bench = Bench::in_use(config(), 3);
    bench.give_back(Fitness::Fit);
    bench.state.resize(1, 1, bench.now);
    assert_eq!(bench.closes(), [(0, CloseReason::Shrunk)], "what is idle goes at once");
    bench.wait("a");
    assert_eq!(bench.give_back(Fitness::Fit), None, "a lease beyond the bound serves nobody");
    assert_eq!(bench.closes(), [(1, CloseReason::Shrunk)]);
    bench.state.closed();
    bench.state.closed();
    assert_eq!(bench.give_back(Fitness::Fit), Some("a"), "the last one stays");
}

#[test]
fn growing_again_before_the_leases_return_adds_no_more_than_the_difference() {
    let mut bench = Bench::in_use(Config { max_size: 10, ..config() }, 10);
    bench.state.resize(1, 2, bench.now);
    bench.state.resize(1, 10, bench.now);
    for name in ["a", "b"] {
        bench.wait(name);
    }
    assert_eq!(bench.dial(), Dial::Rest, "ten are out already");
    assert_eq!(bench.give_back(Fitness::Fit), Some("a"));
    assert_eq!(bench.state.total(), 10);
}

#[test]
fn an_unfilled_pool_shrinks_without_debt() {
    let mut bench = Bench::new(Config { max_size: 10, ..config() });
    bench.state.resize(1, 2, bench.now);
    for name in ["a", "b", "c", "d"] {
        bench.wait(name);
    }
    bench.permission(OpenReason::Waiters);
    bench.permission(OpenReason::Waiters);
    assert_eq!(bench.dial(), Dial::Rest);
}

#[test]
fn every_borrower_is_a_holder_until_the_lease_ends() {
    let mut bench = Bench::in_use(config(), 2);
    bench.pass(Duration::from_secs(2));
    let held = bench.state.longest_held(bench.now, 1);
    assert_eq!(held.len(), 1, "no more than asked for");
    assert_eq!(held[0].held, Duration::from_secs(2));
    bench.give_back(Fitness::Fit);
    assert_eq!(bench.state.longest_held(bench.now, 9).len(), 1);
}
