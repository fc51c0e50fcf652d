//! The phase of the pool: the one place where it changes, and what it is decided from.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Care, Event, Order, Outage, State};
use crate::pool::error::ErrorClass;
use crate::pool::phase::{Health, HealthReason, Phase, Signals};

/// How long an error, or a slow acquire, keeps a pool from being called healthy.
const RECENT: Duration = Duration::from_mins(1);
/// An acquire that waits longer than this is slow.
const SLOW: Duration = Duration::from_millis(100);
/// A first in line that waits longer than this is a broken rule of its own.
pub(super) const LONG: Duration = Duration::from_secs(10);
/// How long a connection may be missing while it is being replaced.
const REPLACING: Duration = Duration::from_millis(500);
/// After so many failures the pool has failed to start.
pub(in crate::pool) const START_ATTEMPTS: u32 = 3;

/// The phase, and the memory that its rules need.
#[derive(Debug)]
pub(super) struct Condition {
    phase: Phase,
    reason: HealthReason,
    /// Whether connections were lost, and `min_size` has not been reached again since.
    mending: bool,
    /// The last error since the pool was last made whole.
    failed_at: Option<Instant>,
    /// Since when too few connections are usable.
    short_since: Option<Instant>,
    /// The last check that nobody answered, if nothing had been heard since it began.
    unanswered: Option<Unanswered>,
    /// Whether the database says nothing any more, as of the last assessment.
    silent: bool,
    peaks: Peaks,
}

/// A check without an answer.
#[derive(Debug, Clone, Copy)]
struct Unanswered {
    began: Instant,
    /// When it was over.
    noticed: Instant,
}

impl Condition {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Initializing,
            reason: HealthReason::NoConnections,
            mending: true,
            failed_at: None,
            short_since: None,
            unanswered: None,
            silent: false,
            peaks: Peaks::default(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn reason(&self) -> HealthReason {
        self.reason
    }
}

impl<T, S, W> State<T, S, W> {
    /// Opening, checking or using a connection failed; what was proven before `before` is in doubt. The idle
    /// ones are probed at once, all of them.
    pub(super) fn failed(&mut self, before: Instant, now: Instant) {
        self.condition.failed_at = Some(now);
        self.suspect(before);
        self.assess(now);
    }

    /// A check of a connection that began at `began` ended without an answer.
    pub(super) fn unanswered(&mut self, began: Instant, now: Instant) {
        if self.alive_at < began && !self.is_unheard() {
            self.condition.unanswered = Some(Unanswered { began, noticed: now });
        }
    }

    /// Whether a check had no answer, and neither another connection nor a new one has been heard of since it began.
    pub(super) fn is_unheard(&self) -> bool {
        self.condition.unanswered.is_some_and(|check| self.alive_at < check.began)
    }

    /// Whether the database says nothing any more: it was asked by a new connection too, and that had no answer, not
    /// even that it is refused. What is lent may then be as dead, though nobody can ask it.
    fn is_silent(&self, now: Instant) -> bool {
        let old = |check: Unanswered| now.saturating_duration_since(check.noticed) >= REPLACING;
        let answered = |outage: &Arc<Outage>| outage.cause.class() != ErrorClass::Transient;
        // A full pool asks when a place is free.
        let asked = self.opening() > 0 || self.outage.is_some();
        self.is_unheard()
            && self.condition.unanswered.is_some_and(old)
            && asked
            && !self.outage.as_ref().is_some_and(answered)
    }

    /// Connections that can serve, as far as is known.
    fn serving(&self) -> u32 {
        self.usable() - if self.condition.silent { self.in_use } else { 0 }
    }

    /// Has every idle connection probed that was proven before `before`.
    pub(super) fn suspect(&mut self, before: Instant) {
        self.suspect_before = self.suspect_before.max(before);
        let doubted = self.idle.extract_if(.., |slot| slot.proven_at < before);
        let doubted: Vec<_> = doubted.collect();
        if !doubted.is_empty() {
            let connections = doubted.len();
            self.orders.push(Order::Tell(Event::Suspected { connections }));
        }
        for slot in doubted {
            self.care(slot, Care::Probe);
        }
    }

    /// A waiter was served after `wait`.
    pub(in crate::pool) fn waited(&mut self, wait: Duration, now: Instant) {
        self.times.waited(&self.counters, wait);
        if wait > SLOW {
            self.condition.peaks.record(wait, now);
            if self.condition.phase == Phase::Healthy {
                self.assess(now);
            }
        }
    }

    /// The dialer is about to connect.
    pub(super) fn attempting(&mut self, now: Instant) {
        // Where nothing answers, beginning to connect is no recovery yet.
        if self.condition.phase == Phase::Unhealthy && !self.condition.silent {
            let (_, reason) = self.signals(now).verdict();
            self.enter(Phase::Recovering, reason);
        }
    }

    /// Decides the phase anew. Called after everything that can change it, and once a tick for what
    /// changes by the passing of time.
    pub(super) fn assess(&mut self, now: Instant) {
        self.condition.silent = self.is_silent(now);
        let whole = self.serving() >= self.config.min_size;
        if whole && std::mem::take(&mut self.condition.mending) {
            // Made whole: what went wrong before is over.
            self.condition.failed_at = None;
            self.condition.peaks = Peaks::default();
        }
        let (health, reason) = self.signals(now).verdict();
        let implied = match health {
            Health::Healthy => Phase::Healthy,
            Health::Degraded => Phase::Degraded,
            Health::Unhealthy => Phase::Unhealthy,
        };
        let gave_up = self.outage.is_some() && self.opening() == 0;
        let next = match self.condition.phase {
            Phase::Initializing | Phase::Recovering if whole => Phase::Healthy,
            Phase::Initializing if self.start_failed() => implied,
            // The last attempt failed, and what there is must do.
            Phase::Recovering if gave_up => implied,
            // Its min_size was lowered meanwhile, or a connection that was in the making arrived.
            Phase::Unhealthy if whole => {
                self.enter(Phase::Recovering, reason);
                Phase::Healthy
            }
            Phase::Unhealthy if implied != Phase::Unhealthy => {
                self.enter(Phase::Recovering, reason);
                implied
            }
            Phase::Healthy | Phase::Degraded => implied,
            unchanged @ (Phase::Initializing
            | Phase::Unhealthy
            | Phase::Recovering
            | Phase::ShuttingDown
            | Phase::Terminated) => unchanged,
        };
        let reason = if next == Phase::Healthy { HealthReason::Ok } else { reason };
        self.enter(next, reason);
        self.turn_away(now);
    }

    /// The one place where the phase changes.
    pub(super) fn enter(&mut self, to: Phase, reason: HealthReason) {
        let from = std::mem::replace(&mut self.condition.phase, to);
        self.condition.reason = reason;
        if from == to {
            return;
        }
        debug_assert!(to.may_follow(from), "{from} must not become {to}");
        self.condition.mending |= to == Phase::Unhealthy;
        let (usable, max_size) = (self.serving(), self.config.max_size);
        self.orders.push(Order::Tell(Event::Moved { from, to, reason, usable, max_size }));
    }

    /// Whether the first connections could not be opened: three attempts failed, or one in a way that no
    /// further attempt mends.
    pub(in crate::pool) fn start_failed(&self) -> bool {
        self.outage.as_ref().is_some_and(|outage| {
            outage.attempts >= START_ATTEMPTS || outage.cause.class() == ErrorClass::Permanent
        })
    }

    fn signals(&mut self, now: Instant) -> Signals {
        let (usable, min_size) = (self.serving(), self.config.min_size);
        if usable * 10 >= min_size * 8 {
            self.condition.short_since = None;
        } else {
            self.condition.short_since.get_or_insert(now);
        }
        let age = |since: Instant| now.saturating_duration_since(since);
        let recent_error = self.condition.failed_at.is_some_and(|at| age(at) < RECENT);
        let outlasted = self.condition.short_since.is_some_and(|since| age(since) >= REPLACING);
        let waits = self.head_wait(now);
        let slowest = self.condition.peaks.highest(now).max(waits);
        let trouble = [
            (recent_error, HealthReason::RecentError),
            (waits > LONG, HealthReason::LongWait),
            (self.counters.live_leaks.get() > 0, HealthReason::Leak),
            (slowest > SLOW, HealthReason::SlowAcquire),
        ];
        let trouble = trouble.into_iter().find(|(broken, _)| *broken);
        Signals {
            usable,
            min_size,
            lasting: outlasted || recent_error || self.outage.is_some(),
            trouble: trouble.map(|(_, reason)| reason),
        }
    }
}

/// The longest slow wait of the last minute, in steps of a second.
#[derive(Debug, Default)]
struct Peaks {
    steps: Vec<(Instant, Duration)>,
}

impl Peaks {
    const STEP: Duration = Duration::from_secs(1);

    fn record(&mut self, wait: Duration, now: Instant) {
        match self.steps.last_mut() {
            Some((began, peak)) if now.saturating_duration_since(*began) < Self::STEP => {
                *peak = (*peak).max(wait);
            }
            _ => {
                self.steps.retain(|(began, _)| now.saturating_duration_since(*began) < RECENT);
                self.steps.push((now, wait));
            }
        }
    }

    fn highest(&self, now: Instant) -> Duration {
        let recent =
            self.steps.iter().filter(|(began, _)| now.saturating_duration_since(*began) < RECENT);
        recent.map(|(_, peak)| *peak).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_forgotten_after_a_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut peaks = Peaks::default();
        peaks.record(Duration::from_millis(300), at(0));
        for second in 1..=59 {
            peaks.record(Duration::from_millis(20), at(second));
        }
        assert_eq!(peaks.highest(at(59)), Duration::from_millis(300));
        assert_eq!(peaks.highest(at(60)), Duration::from_millis(20));
        assert!(peaks.steps.len() <= 61, "{}", peaks.steps.len());
        assert_eq!(peaks.highest(at(200)), Duration::ZERO);
    }
}
