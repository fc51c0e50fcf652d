//! The counting: idle connections, waiters and what is on its way.
//!
//! Nothing here waits, reads a clock, opens a socket or wakes a task. Each method takes what it needs to
//! know and returns what is to be done; the caller does it after letting go of the lock.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::error::OpenError;
use super::reason::OpenReason;
use super::stats::{Gauges, Phase};

/// Bounds that the state keeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) min_size: u32,
    pub(super) max_size: u32,
    pub(super) max_waiting: u32,
    pub(super) max_parallel_connects: u32,
}

/// A time during which the database did not answer.
#[derive(Debug, Clone)]
pub(super) struct Outage {
    pub(super) cause: Arc<OpenError>,
    pub(super) attempts: u32,
    pub(super) retry_at: Instant,
}

/// The ticket of a waiter, for leaving the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Why an acquire is turned away before it waits.
#[derive(Debug)]
pub(super) enum Refusal {
    Closed,
    QueueFull { limit: u32 },
    Outage(Outage),
}

/// What to do with a connection that has just become free. A `Serve` stays counted as in use.
#[derive(Debug)]
#[must_use]
pub(super) enum Freed<C, W> {
    Serve(W, C),
    Kept,
    Close(C),
}

/// What the dialer is to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Dial {
    /// Open one, already counted as opening.
    Open(OpenReason),
    /// Look again at this instant.
    At(Instant),
    /// Nothing, until something changes.
    Rest,
}

/// Idle connections `C` and waiters `W`, with the counts of everything else.
#[derive(Debug)]
pub(super) struct State<C, W> {
    limits: Limits,
    phase: Phase,
    idle: Vec<C>,
    line: Line<W>,
    in_use: u32,
    opening: u32,
    closing: u32,
    outage: Option<Outage>,
}

impl<C, W> State<C, W> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Running,
            idle: Vec::with_capacity(limits.max_size as usize),
            line: Line::new(),
            in_use: 0,
            opening: 0,
            closing: 0,
            outage: None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn gauges(&self) -> Gauges {
        Gauges {
            phase: self.phase,
            idle: clamp(self.idle.len()),
            in_use: self.in_use,
            opening: self.opening,
            closing: self.closing,
            waiting: clamp(self.line.len()),
        }
    }

    /// Takes the connection that came back last, so that the others grow old and can be let go.
    pub(super) fn take(&mut self) -> Result<Option<C>, Refusal> {
        if self.phase != Phase::Running {
            return Err(Refusal::Closed);
        }
        let taken = self.idle.pop();
        if taken.is_some() {
            self.in_use += 1;
        }
        Ok(taken)
    }

    /// Joins the end of the line, unless a connection is idle after all or waiting is in vain.
    pub(super) fn wait(&mut self, waiter: W) -> Result<Wait<C>, Refusal> {
        if let Some(connection) = self.take()? {
            return Ok(Wait::Idle(connection));
        }
        if clamp(self.line.len()) >= self.limits.max_waiting {
            return Err(Refusal::QueueFull { limit: self.limits.max_waiting });
        }
        match &self.outage {
            Some(outage) if self.in_use == 0 => Err(Refusal::Outage(outage.clone())),
            _ => Ok(Wait::InLine(self.line.join(waiter))),
        }
    }

    /// Leaves the line. False when the waiter had been served already.
    pub(super) fn leave(&mut self, ticket: Ticket) -> bool {
        self.line.leave(ticket)
    }

    /// A lease came back clean.
    pub(super) fn released(&mut self, connection: C) -> Freed<C, W> {
        if self.phase != Phase::Running {
            self.in_use -= 1;
            self.closing += 1;
            return Freed::Close(connection);
        }
        if let Some(waiter) = self.line.next() {
            return Freed::Serve(waiter, connection);
        }
        self.in_use -= 1;
        self.idle.push(connection);
        Freed::Kept
    }

    /// A connection in use is not to be used again and is about to be closed.
    pub(super) fn discarded(&mut self) {
        self.in_use -= 1;
        self.closing += 1;
    }

    /// A closing connection is gone.
    pub(super) fn closed(&mut self) {
        self.closing -= 1;
    }

    /// Decides whether the dialer opens a connection now.
    ///
    /// Waiters count only as far as no connection is on its way to them, and during an outage one
    /// attempt at a time stands for all of them.
    pub(super) fn dial(&mut self, now: Instant) -> Dial {
        if self.phase != Phase::Running || self.total() >= self.limits.max_size {
            return Dial::Rest;
        }
        let parallel = match &self.outage {
            Some(_) => 1,
            None => self.limits.max_parallel_connects,
        };
        if self.opening >= parallel {
            return Dial::Rest;
        }
        let reason = if clamp(self.line.len()) > self.opening {
            OpenReason::Waiters
        } else if self.total() - self.closing < self.limits.min_size {
            OpenReason::MinSize
        } else {
            return Dial::Rest;
        };
        match &self.outage {
            Some(outage) if outage.retry_at > now => Dial::At(outage.retry_at),
            _ => {
                self.opening += 1;
                Dial::Open(reason)
            }
        }
    }

    /// A connection was opened: the outage, if any, is over.
    pub(super) fn opened(&mut self, connection: C) -> Freed<C, W> {
        self.outage = None;
        self.opening -= 1;
        self.in_use += 1;
        self.released(connection)
    }

    /// Brings the next attempt of an outage forward.
    pub(super) fn retry_at(&mut self, now: Instant) {
        if let Some(outage) = &mut self.outage {
            outage.retry_at = outage.retry_at.min(now);
        }
    }

    /// How many attempts have failed in a row, counting one that fails now.
    pub(super) fn next_failure(&self) -> u32 {
        self.outage.as_ref().map_or(1, |outage| outage.attempts.saturating_add(1))
    }

    /// Opening failed. Returns the waiters that nobody is going to serve: all of them when no connection
    /// is in use, none otherwise.
    #[must_use]
    pub(super) fn open_failed(&mut self, outage: Outage) -> Vec<W> {
        self.opening -= 1;
        self.outage = Some(outage);
        if self.in_use == 0 { self.line.drain() } else { Vec::new() }
    }

    /// An attempt to open was dropped unfinished.
    pub(super) fn open_abandoned(&mut self) {
        self.opening -= 1;
    }

    /// Refuses acquires from now on. Returns the waiters to turn away and the connections to close.
    #[must_use]
    pub(super) fn begin_shutdown(&mut self) -> (Vec<W>, Vec<C>) {
        if self.phase != Phase::Running {
            return (Vec::new(), Vec::new());
        }
        self.phase = Phase::ShuttingDown;
        let idle = std::mem::take(&mut self.idle);
        self.closing += clamp(idle.len());
        (self.line.drain(), idle)
    }

    /// Ends the pool, whatever is still out.
    pub(super) fn terminate(&mut self) {
        self.phase = Phase::Terminated;
    }

    /// Whether nothing is open or on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.total() == 0
    }

    fn total(&self) -> u32 {
        clamp(self.idle.len()) + self.in_use + self.opening + self.closing
    }

    /// The module's invariants, checked in debug builds after every change.
    pub(super) fn assert_invariants(&self) {
        debug_assert!(self.idle.is_empty() || self.line.len() == 0, "idle while somebody waits");
        debug_assert!(self.total() <= self.limits.max_size, "more connections than max_size");
        debug_assert!(
            clamp(self.line.len()) <= self.limits.max_waiting,
            "more waiters than allowed"
        );
    }
}

/// How [`State::wait`] ended.
#[derive(Debug)]
pub(super) enum Wait<C> {
    Idle(C),
    InLine(Ticket),
}

fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The waiters in order of arrival. Leaving from the middle leaves a gap, so that it costs a search and
/// not a move of everybody behind; gaps are swept out before they outnumber the waiters.
#[derive(Debug)]
struct Line<W> {
    places: VecDeque<(Ticket, Option<W>)>,
    present: usize,
    next: u64,
}

impl<W> Line<W> {
    fn new() -> Self {
        Self { places: VecDeque::new(), present: 0, next: 0 }
    }

    fn len(&self) -> usize {
        self.present
    }

    fn join(&mut self, waiter: W) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.present += 1;
        self.places.push_back((ticket, Some(waiter)));
        ticket
    }

    fn next(&mut self) -> Option<W> {
        while let Some((_, place)) = self.places.pop_front() {
            if let Some(waiter) = place {
                self.present -= 1;
                return Some(waiter);
            }
        }
        None
    }

    fn leave(&mut self, ticket: Ticket) -> bool {
        let found = self.places.binary_search_by_key(&ticket, |(held, _)| *held);
        let place = found.ok().and_then(|index| self.places.get_mut(index));
        let Some((_, Some(_))) = place.as_deref() else { return false };
        if let Some((_, waiter)) = place {
            *waiter = None;
        }
        self.present -= 1;
        if self.places.len() > 2 * self.present + 32 {
            self.places.retain(|(_, waiter)| waiter.is_some());
        }
        true
    }

    fn drain(&mut self) -> Vec<W> {
        self.present = 0;
        self.places.drain(..).filter_map(|(_, waiter)| waiter).collect()
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
