//! The loads of a scenario: each operation and each model with the keys that belong to it.

use std::time::Duration;

use super::super::amount::{Time, Unit};
use super::super::error::Wrong;
use super::super::place::Step;
use super::super::raw::{self, ModelName, OpName};
use super::super::{Arrivals, Load, Model, Op, Target, metric};
use super::Check;
use crate::record::Phase;

/// When a caller gives up, unless the load says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many requests of an open load may be under way, unless it says otherwise.
const MAX_IN_FLIGHT: usize = 500;
/// The most workers and requests under way that a file may ask for: far above what one machine can do,
/// and below what exhausts it.
const MAX_PARALLEL: usize = 10_000;
/// The highest rate that a file may ask for, requests a second: the pacer wakes to some ten microseconds, and closer
/// to each other than twice that requests would come in heaps.
const MAX_RATE: f64 = 50_000.0;

pub(super) fn loads(
    check: &mut Check<'_>,
    raw: &[raw::Load],
    target: Option<&Target>,
) -> Vec<Load> {
    let mut loads: Vec<Load> = Vec::new();
    for (number, raw) in raw.iter().enumerate() {
        let here = [Step::Key("load"), Step::Item(number)];
        let reserved = metric::RESERVED.contains(&raw.id.as_str());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let why = if loads.iter().any(|load| load.id == raw.id) {
            Some("is the name of another load")
        } else if reserved {
            Some("is what other metrics begin with")
        } else if raw.id.is_empty() || !raw.id.chars().all(plain) {
            Some("has other characters than a-z, 0-9 and _")
        } else {
            None
        };
        if let Some(why) = why {
            let name = raw.id.clone();
            check.wrong(&[here[0], here[1], Step::Key("id")], Wrong::Name { name, why });
        }
        let (Some(op), Some(model)) = (op(check, &here, raw), model(check, &here, raw)) else {
            continue;
        };
        if let Some(target) = target
            && op.is_of_pool() != matches!(target, Target::Pool { .. })
        {
            let needed = if op.is_of_pool() { "pool" } else { "server" };
            let rule = format!("`{}` needs an environment with a `{needed}`", op.as_str());
            check.rule(&[here[0], here[1], Step::Key("op")], rule);
        }
        let timeout = raw.timeout.map_or(TIMEOUT, |Time(timeout)| timeout);
        if timeout.is_zero() {
            let rule = "`timeout` is longer than 0s, as nothing is answered at once";
            check.rule(&[here[0], here[1], Step::Key("timeout")], rule);
        }
        let all = || Phase::ALL.into_iter().filter(|phase| *phase != Phase::Drain).collect();
        let during = raw.during.clone().unwrap_or_else(all);
        loads.push(Load { id: raw.id.clone(), op, model, timeout, during });
    }
    loads
}

fn op(check: &mut Check<'_>, here: &[Step<'_>; 2], raw: &raw::Load) -> Option<Op> {
    let given = [
        ("query", raw.query.is_some(), &[OpName::Search][..]),
        ("hold", raw.hold.is_some(), &[OpName::PoolQuery]),
        ("within", raw.within.is_some(), &[OpName::PoolCancel, OpName::PoolPanic]),
    ];
    for (key, is_given, of) in given {
        if is_given && !of.contains(&raw.op) {
            let rule = format!("`{key}` does not belong to this operation; remove it");
            check.rule(&[here[0], here[1], Step::Key(key)], rule);
        }
    }
    Some(match raw.op {
        OpName::Search => {
            let Some(query) = &raw.query else {
                check.rule(here, "`search` needs a `query`");
                return None;
            };
            Op::Search { query: query.clone() }
        }
        OpName::Health => Op::Health,
        OpName::ListTools => Op::ListTools,
        OpName::Start => Op::Start,
        OpName::PoolAcquire => Op::PoolAcquire,
        OpName::PoolQuery => {
            let hold = raw
                .hold
                .map_or((Duration::ZERO, Duration::ZERO), |raw::Range(from, to)| (from.0, to.0));
            Op::PoolQuery { hold }
        }
        OpName::PoolCancel | OpName::PoolPanic => {
            let Some(Time(within)) = raw.within else {
                check.rule(here, "this operation needs `within`, the latest instant of its end");
                return None;
            };
            if raw.op == OpName::PoolPanic {
                Op::PoolPanic { within }
            } else {
                Op::PoolCancel { within }
            }
        }
        OpName::PoolHealth => Op::PoolHealth,
        OpName::PoolSnapshot => Op::PoolSnapshot,
        OpName::PoolOpen => Op::PoolOpen,
    })
}

fn model(check: &mut Check<'_>, here: &[Step<'_>; 2], raw: &raw::Load) -> Option<Model> {
    let of_open = [
        ("rate", raw.rate.is_some()),
        ("arrivals", raw.arrivals.is_some()),
        ("max_in_flight", raw.max_in_flight.is_some()),
    ];
    let of_closed = [
        ("workers", raw.workers.is_some()),
        ("think", raw.think.is_some()),
        ("count", raw.count.is_some()),
    ];
    let (foreign, other) = match raw.model {
        ModelName::Open => (of_closed, "a closed"),
        ModelName::Closed => (of_open, "an open"),
    };
    for (key, _) in foreign.into_iter().filter(|(_, given)| *given) {
        let rule = format!("`{key}` is of {other} load; remove it or change `model`");
        check.rule(&[here[0], here[1], Step::Key(key)], rule);
    }
    match raw.model {
        ModelName::Open => {
            let Some(rate) = raw.rate else {
                check.rule(here, "an open load needs a `rate`, such as 200/s");
                return None;
            };
            let rate = match rate.of(Unit::Rate) {
                Ok(rate) if rate > 0.0 && rate <= MAX_RATE => rate,
                Ok(_) => {
                    let rule = format!("a rate is above 0/s and at most {MAX_RATE}/s");
                    check.rule(&[here[0], here[1], Step::Key("rate")], rule);
                    return None;
                }
                Err(error) => {
                    check.wrong(&[here[0], here[1], Step::Key("rate")], error);
                    return None;
                }
            };
            let max_in_flight = raw.max_in_flight.unwrap_or(MAX_IN_FLIGHT);
            bounded(check, here, "max_in_flight", max_in_flight);
            let arrivals = raw.arrivals.unwrap_or(Arrivals::Poisson);
            Some(Model::Open { rate, arrivals, max_in_flight })
        }
        ModelName::Closed => {
            let Some(workers) = raw.workers else {
                check.rule(here, "a closed load needs `workers`");
                return None;
            };
            bounded(check, here, "workers", workers);
            if raw.count == Some(0) {
                let rule = "`count` is at least 1; leave it out for as many as there is time for";
                check.rule(&[here[0], here[1], Step::Key("count")], rule);
            }
            let think = raw.think.map_or(Duration::ZERO, |Time(think)| think);
            Some(Model::Closed { workers, think, count: raw.count })
        }
    }
}

fn bounded(check: &mut Check<'_>, here: &[Step<'_>; 2], key: &str, value: usize) {
    if value == 0 || value > MAX_PARALLEL {
        let rule = format!("`{key}` is from 1 to {MAX_PARALLEL}, not {value}");
        check.rule(&[here[0], here[1], Step::Key(key)], rule);
    }
}
