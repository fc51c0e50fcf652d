//! What the passing of time asks for.

use chrono::{DateTime, Utc};

use super::*;
use crate::pool::config::Validation;
use crate::pool::slot::Particulars;

const WALL: DateTime<Utc> = DateTime::UNIX_EPOCH;

impl Bench {
    fn tick(&mut self) {
        self.state.tick(self.now, WALL);
        self.state.assert_invariants();
    }

    fn idle(config: Config, count: u32) -> Self {
        let mut bench = Self::in_use(config, count);
        for _ in 0..count {
            bench.give_back(Fitness::Fit);
            bench.pass(Duration::from_millis(1));
        }
        bench.orders();
        bench
    }

    fn events(&mut self) -> Vec<Event> {
        let orders = self.orders().into_iter();
        orders
            .filter_map(|order| {
                let Order::Tell(event) = order else { return None };
                Some(event)
            })
            .collect()
    }
}

impl Bench {
    /// The number of each warning about a lease.
    fn leaks(&mut self) -> Vec<u32> {
        let events = self.events().into_iter();
        events
            .filter_map(|event| {
                let Event::Leaked(leak) = event else { return None };
                Some(leak.warning)
            })
            .collect()
    }
}

fn quiet(min_size: u32, max_size: u32) -> Config {
    // Without probes, so that the orders are about one thing.
    let probe_interval = Duration::from_hours(1);
    Config { min_size, max_size, probe_interval, ..Config::default() }
}

#[test]
fn idle_connections_beyond_the_minimum_go_one_a_second_the_coldest_first() {
    let mut bench = Bench::idle(quiet(2, 5), 5);
    bench.pass(Duration::from_secs(59));
    bench.tick();
    assert_eq!(bench.closes(), []);
    let mut gone = Vec::new();
    for half_second in 0..10 {
        bench.pass(Duration::from_millis(500));
        bench.tick();
        gone.extend(bench.closes().into_iter().map(|(_, reason)| (half_second, reason)));
    }
    let idle = CloseReason::IdleTime;
    assert_eq!(gone, [(1, idle), (3, idle), (5, idle)]);
    assert_eq!(bench.state.gauges().idle, 2);
}

#[test]
fn an_expired_connection_is_replaced_before_it_is_retired() {
    let config = Config { max_lifetime: Duration::from_mins(1), ..quiet(1, 3) };
    let mut bench = Bench::in_use(config, 1);
    bench.pass(Duration::from_mins(1));
    bench.give_back(Fitness::Fit);
    assert_eq!(bench.state.gauges().idle, 1, "it serves until its replacement is there");
    let attempt = bench.permission(OpenReason::Replacement);
    assert_eq!(bench.dial(), Dial::Rest, "one replacement at a time");
    bench.opened(attempt, 9);
    bench.tick();
    assert_eq!(bench.closes(), [(0, CloseReason::Lifetime)]);
    assert_eq!(bench.state.gauges().idle, 1);
}

#[test]
fn a_busy_pool_without_room_retires_on_return() {
    let config = Config { max_lifetime: Duration::from_mins(1), ..quiet(1, 2) };
    let mut bench = Bench::in_use(config, 2);
    bench.wait("a");
    bench.pass(Duration::from_mins(1));
    assert_eq!(bench.give_back(Fitness::Fit), None);
    assert_eq!(bench.closes(), [(0, CloseReason::Lifetime)]);
    // The next one is due as well, and it is too early for it.
    assert_eq!(bench.give_back(Fitness::Fit), Some("a"));
    bench.pass(Duration::from_secs(1));
    bench.state.closed();
    assert_eq!(bench.dial(), Dial::Rest);
}

#[test]
fn a_connection_is_retired_after_its_statements() {
    let mut bench = Bench::in_use(Config { max_queries: 1000, ..quiet(1, 1) }, 1);
    bench.leased[0].statements = 999;
    bench.give_back(Fitness::Fit);
    assert_eq!(bench.closes(), []);
    bench.take();
    bench.leased[0].statements = 1000;
    bench.give_back(Fitness::Fit);
    assert_eq!(bench.closes(), [(0, CloseReason::Queries)]);
}

#[test]
fn lifetimes_are_drawn_once_and_spread_over_a_fifth() {
    let mut bench = Bench::new(quiet(100, 100));
    let lifetime = Config::default().max_lifetime;
    for id in 0..100 {
        let attempt = Attempt { reason: OpenReason::MinSize, began: bench.now, patience: PATIENCE };
        bench.state.attempts.push(attempt);
        let fraction = f64::from(id) / 100.0;
        let served = bench.state.opened(attempt, id, id, fraction, bench.now);
        bench.keep(served);
    }
    let drawn = |bench: &Bench| -> Vec<Instant> {
        let mut expiries: Vec<_> = bench.state.idle.iter().map(|slot| slot.expires_at).collect();
        expiries.sort();
        expiries
    };
    let before = drawn(&bench);
    assert!(before[0] >= bench.now + lifetime.mul_f64(0.8));
    assert!(before[99] <= bench.now + lifetime);
    assert!(before[99] - before[0] > lifetime.mul_f64(0.19));
    for _ in 0..10 {
        bench.take();
        bench.give_back(Fitness::Fit);
        bench.tick();
    }
    assert_eq!(drawn(&bench), before);
}

#[test]
fn a_hundred_born_together_end_one_a_second() {
    let mut bench = Bench::in_use(quiet(100, 100), 100);
    for _ in 0..100 {
        bench.give_back(Fitness::Fit);
    }
    bench.orders();
    bench.pass(Config::default().max_lifetime);
    let mut most = 0;
    for _ in 0..100 {
        bench.tick();
        most = most.max(bench.closes().len());
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(most, 1);
}

#[test]
fn one_idle_connection_is_probed_each_interval_in_turns() {
    let mut bench = Bench::idle(Config { min_size: 3, max_size: 3, ..Config::default() }, 3);
    let mut probed = Vec::new();
    for _ in 0..12 {
        bench.pass(Duration::from_millis(500));
        bench.tick();
        for order in bench.orders() {
            let Order::Care(slot, Care::Probe) = order else { continue };
            probed.push(slot.connection);
            let served = bench.state.cared(slot, Ok(()), bench.now, bench.now);
            bench.keep(served);
        }
    }
    probed.sort_unstable();
    assert_eq!(probed, [0, 1, 2], "each of the three once within six seconds");
}

#[test]
fn a_connection_that_is_never_idle_is_checked_for_its_servers_role() {
    for require_primary in [true, false] {
        let validation = Validation { require_primary, ..Validation::default() };
        let mut bench = Bench::in_use(Config { validation, ..config() }, 1);
        bench.pass(Config::default().probe_interval);
        bench.leased[0].proven_at = bench.now;
        bench.give_back(Fitness::Fit);
        assert_eq!(bench.state.gauges().checking, u32::from(require_primary));
    }
}

#[test]
fn a_probe_does_not_make_an_idle_connection_young() {
    let mut bench = Bench::idle(Config { min_size: 1, max_size: 2, ..Config::default() }, 2);
    let order: Vec<u32> = bench.state.idle.iter().map(|slot| slot.connection).collect();
    bench.pass(Duration::from_secs(10));
    bench.tick();
    let Some(Order::Care(slot, _)) = bench.orders().pop() else { panic!("no probe") };
    let served = bench.state.cared(slot, Ok(()), bench.now, bench.now);
    bench.keep(served);
    let after: Vec<u32> = bench.state.idle.iter().map(|slot| slot.connection).collect();
    assert_eq!(after, order);
}

#[test]
fn a_long_lease_is_reported_at_doubled_times_and_when_it_returns() {
    let mut bench = Bench::in_use(quiet(1, 1), 1);
    let mut reports = Vec::new();
    for second in 1..=130 {
        bench.pass(Duration::from_secs(1));
        bench.tick();
        reports.extend(bench.leaks().into_iter().map(|warning| (second, warning)));
    }
    assert_eq!(reports, [(30, 1), (60, 2), (120, 3)]);
    assert_eq!(bench.state.counters.leaks.get(), 1, "one lease, one leak");
    assert_eq!(bench.state.phase(), Phase::Degraded);
    bench.give_back(Fitness::Fit);
    let returned = bench.events().into_iter().any(|event| {
        matches!(event, Event::LeakReturned { held, .. } if held == Duration::from_secs(130))
    });
    assert!(returned);
    bench.tick();
    assert_eq!(bench.state.phase(), Phase::Healthy);
}

#[test]
fn a_threshold_of_zero_or_a_switch_reports_nothing() {
    for leaks in [
        Leaks { threshold: Duration::ZERO, ..Leaks::default() },
        Leaks { enabled: false, ..Leaks::default() },
    ] {
        let mut bench = Bench::in_use(Config { leaks, ..quiet(1, 1) }, 1);
        bench.pass(Duration::from_hours(2));
        bench.tick();
        assert!(bench.leaks().is_empty());
    }
}

#[test]
fn an_acquire_may_have_a_threshold_of_its_own() {
    let mut bench = Bench::in_use(quiet(1, 1), 1);
    bench.give_back(Fitness::Fit);
    let particulars = Particulars { leak_after: Some(Duration::from_mins(5)), trace: None };
    let patient = Borrower { particulars: Some(Arc::new(particulars)), ..borrower() };
    let taken = bench.state.take(patient, bench.now).unwrap().unwrap();
    bench.leased.push(taken);
    bench.pass(Duration::from_secs(299));
    bench.tick();
    assert!(bench.leaks().is_empty());
    bench.pass(Duration::from_secs(1));
    bench.tick();
    assert_eq!(bench.leaks(), [1]);
}

#[test]
fn a_lease_is_taken_back_only_where_that_is_allowed() {
    for reclaim in [false, true] {
        let leaks = Leaks { reclaim, ..Leaks::default() };
        let mut bench = Bench::in_use(Config { leaks, ..quiet(1, 1) }, 1);
        for _ in 0..61 {
            bench.pass(Duration::from_secs(1));
            bench.tick();
        }
        assert_eq!(bench.state.gauges().in_use, u32::from(!reclaim));
        let orders = bench.orders();
        assert_eq!(orders.iter().any(|order| matches!(order, Order::Terminate(0))), reclaim);
    }
}

#[test]
fn a_statement_without_an_answer_is_cut_when_the_server_should_have_ended_it() {
    let mut bench = Bench::in_use(quiet(1, 1), 1);
    bench.leased[0].tether.sent(bench.now);
    let limit = Config::default().command_timeout + STATEMENT_GRACE;
    bench.pass(limit);
    bench.tick();
    assert!(!bench.orders().iter().any(|order| matches!(order, Order::Cut(..))));
    bench.pass(Duration::from_millis(1));
    bench.tick();
    assert!(bench.orders().iter().any(|order| matches!(order, Order::Cut(_, Cut::Silent))));
    // The answer may have come between this decision and the cut, which then must not meet the next borrower.
    bench.give_back(Fitness::Fit);
    assert_eq!(bench.closes(), [(0, CloseReason::Silent)]);
}

#[test]
fn a_statement_that_follows_a_late_answer_is_not_cut_for_it() {
    let mut bench = Bench::in_use(quiet(1, 1), 1);
    let tether = Arc::clone(&bench.leased[0].tether);
    tether.sent(bench.now);
    bench.pass(Duration::from_mins(10));
    tether.answered();
    tether.sent(bench.now);
    bench.tick();
    assert!(!bench.orders().iter().any(|order| matches!(order, Order::Cut(..))));
}

#[test]
fn waking_from_sleep_puts_every_idle_connection_in_doubt() {
    let mut bench = Bench::idle(quiet(2, 2), 2);
    let minutes = |minutes| WALL + chrono::TimeDelta::minutes(minutes);
    bench.state.tick(bench.now, minutes(0));
    bench.pass(Duration::from_millis(500));
    bench.state.tick(bench.now, minutes(12));
    assert_eq!(bench.state.gauges().checking, 2, "twelve minutes passed that we did not see");
    let leapt = bench.events().into_iter().any(|event| matches!(event, Event::ClockLeapt { .. }));
    assert!(leapt);

    let mut bench = Bench::idle(quiet(2, 2), 2);
    bench.state.tick(bench.now, minutes(12));
    bench.pass(Duration::from_millis(500));
    bench.state.tick(bench.now, minutes(0));
    assert_eq!(bench.state.gauges().checking, 0, "a clock that is set back changes nothing");
}

#[test]
fn a_long_wait_is_told_once_and_degrades() {
    let mut bench = Bench::in_use(quiet(1, 1), 1);
    bench.wait("a");
    let mut told = 0;
    for _ in 0..25 {
        bench.pass(Duration::from_millis(500));
        bench.tick();
        told += bench.events().iter().filter(|e| matches!(e, Event::LongWait { .. })).count();
    }
    assert_eq!(told, 1);
    assert_eq!(bench.state.phase(), Phase::Degraded);
    assert_eq!(bench.give_back(Fitness::Fit), Some("a"));
}

#[test]
fn the_size_follows_the_load_when_asked_to() {
    let adaptive = crate::pool::config::Adaptive {
        enabled: true,
        max_size: 8,
        cooldown: Duration::from_secs(10),
    };
    let mut bench = Bench::in_use(Config { adaptive, ..quiet(1, 4) }, 4);
    let sizes = |bench: &mut Bench| {
        let mut sizes = Vec::new();
        for _ in 0..60 {
            bench.pass(Duration::from_secs(1));
            bench.tick();
            for event in bench.events() {
                if let Event::Resized { max_size, .. } = event {
                    sizes.push(max_size);
                }
            }
        }
        sizes
    };
    assert_eq!(sizes(&mut bench), [6], "four of six in use is no reason for more");
    for _ in 0..4 {
        bench.give_back(Fitness::Fit);
    }
    assert_eq!(sizes(&mut bench), [4, 2, 1]);
}
