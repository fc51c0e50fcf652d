//! Opening connections: when, why, and what a failure means for those who wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Attempt, Dial, Order, Outage, Refusal, Replacement, Served, State};
use crate::pool::backoff;
use crate::pool::config::STATEMENT_GRACE;
use crate::pool::error::{ErrorClass, OpenError};
use crate::pool::reason::OpenReason;
use crate::pool::slot::{Slot, Tether};
use crate::pool::usage::Usage;

/// By how much a connection's lifetime may be shortened, so that they do not all end together.
const LIFETIME_JITTER: f64 = 0.2;

/// An attempt that takes longer than this is no longer counted on, and another is made beside it.
const HOPE: Duration = Duration::from_secs(1);

impl<T, S, W> State<T, S, W> {
    /// Decides whether the dialer opens a connection now.
    ///
    /// Waiters count only as far as no connection is on its way to them, and during an outage one
    /// attempt at a time stands for all of them.
    pub(in crate::pool) fn dial(&mut self, now: Instant) -> Dial {
        if !self.phase().admits() || self.total() >= self.config.max_size {
            return Dial::Rest;
        }
        let parallel = if self.outage.is_some() { 1 } else { self.config.max_parallel_connects };
        if self.opening() >= parallel {
            return Dial::Rest;
        }
        let reason = if self.line.len() > self.promising(now) {
            OpenReason::Waiters
        } else if self.usable() + self.opening() < self.config.min_size {
            OpenReason::MinSize
        } else if self.is_in_the_dark(now) {
            OpenReason::Probe
        } else if self.replacement == Replacement::Wanted {
            OpenReason::Replacement
        } else {
            return Dial::Rest;
        };
        if let Some(outage) = &self.outage
            && outage.retry_at > now
        {
            return Dial::At(outage.retry_at);
        }
        if reason == OpenReason::Replacement {
            self.replacement = Replacement::Opening;
        }
        let attempt = Attempt { reason, began: now, patience: self.patience() };
        self.attempts.push(attempt);
        self.attempting(now);
        Dial::Open(attempt)
    }

    /// A connection was opened: the outage, if any, is over. `fraction` in `0.0..1.0` draws its lifetime.
    pub(in crate::pool) fn opened(
        &mut self,
        attempt: Attempt,
        connection: T,
        session: S,
        fraction: f64,
        now: Instant,
    ) -> Served<T, W> {
        self.attempt_over(attempt);
        if attempt.reason == OpenReason::Replacement {
            self.replacement = Replacement::Ready;
        }
        self.admitted(connection, session, attempt.patience, fraction, now)
    }

    /// A connection that was opened to end a lost session takes that one's place.
    pub(in crate::pool) fn adopted(
        &mut self,
        connection: T,
        session: S,
        fraction: f64,
        now: Instant,
    ) -> Served<T, W> {
        self.closing -= 1;
        let patience = self.patience();
        self.admitted(connection, session, patience, fraction, now)
    }

    /// How long a statement may be without an answer on a connection that is opened now.
    fn patience(&self) -> Duration {
        self.config.command_timeout + STATEMENT_GRACE
    }

    fn admitted(
        &mut self,
        connection: T,
        session: S,
        patience: Duration,
        fraction: f64,
        now: Instant,
    ) -> Served<T, W> {
        self.counters.opened.add(1);
        let id = self.counters.opened.get();
        let tether = Arc::new(Tether::new(now, patience));
        let lifetime = self.config.max_lifetime.mul_f64(1.0 - LIFETIME_JITTER * fraction);
        let slot = Box::new(Slot {
            connection,
            id,
            seat: self.seats.add(id, session, Arc::clone(&tether)),
            expires_at: now + lifetime,
            proven_at: now,
            checked_at: now,
            in_doubt: false,
            idle_since: now,
            statements: 0,
            usage: Usage::new(),
            tether,
        });
        self.outage = None;
        self.alive_at = now;
        let served = self.offer(slot, now, now);
        self.assess(now);
        served
    }

    /// When the outage began, if there is one.
    pub(in crate::pool) fn outage_since(&self) -> Option<Instant> {
        self.outage.as_ref().map(|outage| outage.since)
    }

    /// Brings the next attempt of an outage forward.
    pub(in crate::pool) fn retry_now(&mut self, now: Instant) {
        if let Some(outage) = &mut self.outage {
            let outage = Arc::make_mut(outage);
            outage.retry_at = outage.retry_at.min(now);
        }
    }

    /// Opening failed. `fraction` in `0.0..1.0` spreads the next attempt. Waiters are turned away when nobody
    /// is going to serve them.
    pub(in crate::pool) fn open_failed(
        &mut self,
        attempt: Attempt,
        cause: Arc<OpenError>,
        fraction: f64,
        now: Instant,
    ) -> Arc<Outage> {
        self.open_abandoned(attempt);
        self.counters.open_failed.add(1);
        let class = cause.class();
        let outage = match &self.outage {
            // One of several that were under way together: they are one failure.
            Some(outage) if attempt.began <= outage.failed_at => {
                Outage { cause, ..Outage::clone(outage) }
            }
            before => {
                let (since, attempts) = before
                    .as_ref()
                    .map_or((now, 1), |outage| (outage.since, outage.attempts.saturating_add(1)));
                // A server that says that it is starting is not spared by waiting longer.
                let failures = if class == ErrorClass::Starting { 1 } else { attempts };
                let retry_at = now + backoff::delay(failures, fraction);
                Outage { cause, attempts, since, failed_at: now, retry_at }
            }
        };
        let outage = Arc::new(outage);
        self.outage = Some(Arc::clone(&outage));
        if class == ErrorClass::Capacity {
            self.assess(now);
        } else {
            self.failed(now, now);
        }
        outage
    }

    /// Turns the line away when the outage leaves nobody who could serve it.
    pub(super) fn turn_away(&mut self, now: Instant) {
        let Some(outage) = self.outage.clone() else { return };
        if self.somebody_could_serve(&outage) || self.is_half_open(now) {
            return;
        }
        for waiting in self.line.drain() {
            let refusal = Refusal::Outage(Arc::clone(&outage));
            self.orders.push(Order::Refuse(waiting.waiter, refusal));
        }
    }

    /// An attempt to open was dropped unfinished.
    pub(in crate::pool) fn open_abandoned(&mut self, attempt: Attempt) {
        self.attempt_over(attempt);
        if attempt.reason == OpenReason::Replacement {
            self.replacement = Replacement::None;
        }
    }

    /// Connections being opened.
    pub(super) fn opening(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }

    /// Connections being opened that are likely to serve those who wait.
    fn promising(&self, now: Instant) -> u32 {
        let young = |attempt: &&Attempt| now.saturating_duration_since(attempt.began) < HOPE;
        u32::try_from(self.attempts.iter().filter(young).count()).unwrap_or(u32::MAX)
    }

    /// Whether an attempt is due, or has just begun, whose outcome is worth waiting for.
    pub(super) fn is_half_open(&self, now: Instant) -> bool {
        let due = self.outage.as_ref().is_some_and(|outage| outage.retry_at <= now);
        self.promising(now) > 0 || (due && self.opening() == 0)
    }

    /// Whether nothing has been heard from the database for a while, or since a check that nobody answered, and every
    /// connection is lent, so that none can be asked.
    pub(super) fn is_in_the_dark(&self, now: Instant) -> bool {
        let silence = now.saturating_duration_since(self.alive_at);
        let all_lent = self.in_use > 0 && self.idle.is_empty() && self.checking == 0;
        let long = silence >= self.config.probe_interval || self.is_unheard();
        all_lent && self.opening() == 0 && long
    }

    /// Whether somebody waits behind an attempt that takes too long.
    pub(super) fn waits_in_vain(&self, now: Instant) -> bool {
        self.opening() > 0 && self.line.len() > self.promising(now)
    }

    fn attempt_over(&mut self, attempt: Attempt) {
        if let Some(index) = self.attempts.iter().position(|other| *other == attempt) {
            self.attempts.swap_remove(index);
        }
    }

    /// Whether a waiter may be served in spite of the outage: by a lease that comes back. After the second
    /// failure that is believed only if a session has answered since the outage began, or if the server does
    /// answer and is merely full.
    pub(super) fn somebody_could_serve(&self, outage: &Outage) -> bool {
        let alive = self.alive_at > outage.since || outage.cause.class() == ErrorClass::Capacity;
        self.in_use + self.checking > 0 && (outage.attempts < 2 || alive)
    }
}
