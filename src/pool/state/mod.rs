//! The counting: idle connections, waiters, and what is on its way.
//!
//! Nothing here waits, reads a clock, opens a socket or wakes a task. A method takes what it needs to know,
//! changes the counts, and leaves [`Order`]s for what is to be done; the shell carries them out after letting
//! go of the lock. A connection is counted in exactly one place: `idle`, `in_use`, `attempts`,
//! `checking` or `closing`.

mod dialing;
mod health;
mod order;
mod seats;
mod size;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use order::Held;
pub(super) use order::{
    Attempt, Care, Dial, Event, Fitness, Leak, Order, Outage, Patience, Refusal, Resize, Served,
};
pub(super) use seats::Seat;

use super::config::Config;
use super::counters::{Counters, Times};
use super::gauges::Gauges;
use super::line::{Line, Ticket};
use super::phase::{HealthReason, Phase};
use super::reason::CloseReason;
use super::slot::{Borrower, Cut, Slot};
use health::Condition;
use seats::Seats;
use size::Utilisation;
use upkeep::Upkeep;

/// Connections `T` of sessions `S`, waiters `W`, and the counts of everything else.
#[derive(Debug)]
pub(super) struct State<T, S, W> {
    config: Box<Config>,
    counters: Arc<Counters>,
    condition: Condition,
    /// The one that came back last is at the end.
    idle: Vec<Box<Slot<T>>>,
    line: Line<Waiting<W>>,
    /// When the next look at deadlines is due; at the latest at the earliest of them.
    alarm: Option<Instant>,
    seats: Seats<S>,
    in_use: u32,
    checking: u32,
    closing: u32,
    /// Connections being opened.
    attempts: Vec<Attempt>,
    outage: Option<Arc<Outage>>,
    /// When the database last answered.
    alive_at: Instant,
    /// A connection that was proven before this must be proven again.
    suspect_before: Instant,
    replacement: Replacement,
    times: Times,
    /// What an acquire that is served at once took when it was last measured.
    immediate: Duration,
    upkeep: Box<Upkeep>,
    utilisation: Box<Utilisation>,
    orders: Vec<Order<T, S, W>>,
}

#[derive(Debug)]
struct Waiting<W> {
    waiter: W,
    borrower: Borrower,
    /// When its acquire began.
    started: Instant,
    deadline: Instant,
}

/// How far the connection is that shall take the place of one that is due for retirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replacement {
    None,
    Wanted,
    Opening,
    Ready,
}

/// How [`State::wait`] ended.
#[derive(Debug)]
pub(super) enum Wait<T> {
    Idle(Box<Slot<T>>),
    InLine {
        ticket: Ticket,
        /// Whether there is room for another connection.
        room: bool,
    },
}

impl<T, S, W> State<T, S, W> {
    pub(super) fn new(config: Config, counters: Arc<Counters>, now: Instant) -> Self {
        Self {
            idle: Vec::with_capacity(config.max_size as usize),
            condition: Condition::new(),
            line: Line::new(),
            alarm: None,
            seats: Seats::new(),
            in_use: 0,
            checking: 0,
            closing: 0,
            attempts: Vec::new(),
            outage: None,
            alive_at: now,
            suspect_before: now,
            replacement: Replacement::None,
            times: Times::default(),
            immediate: Duration::ZERO,
            upkeep: Box::new(Upkeep::new(now)),
            utilisation: Box::new(Utilisation::new(config.max_size, now)),
            orders: Vec::new(),
            config: Box::new(config),
            counters,
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn phase(&self) -> Phase {
        self.condition.phase()
    }

    pub(super) fn outage(&self) -> Option<&Outage> {
        self.outage.as_deref()
    }

    pub(super) fn gauges(&self) -> Gauges {
        Gauges {
            phase: self.condition.phase(),
            reason: self.condition.reason(),
            idle: self.idle(),
            in_use: self.in_use,
            opening: self.opening(),
            checking: self.checking,
            closing: self.closing,
            waiting: self.line.len(),
        }
    }

    /// What is to be done after the lock is released.
    pub(super) fn take_orders(&mut self) -> Vec<Order<T, S, W>> {
        std::mem::take(&mut self.orders)
    }

    /// Takes the connection that came back last, so that the others grow old and can be let go.
    pub(super) fn take(
        &mut self,
        borrower: Borrower,
        now: Instant,
    ) -> Result<Option<Box<Slot<T>>>, Refusal> {
        if !self.phase().admits() {
            return Err(Refusal::Closed);
        }
        let Some(mut slot) = self.idle.pop() else { return Ok(None) };
        self.lend(&mut slot, borrower, now);
        if !slot.in_doubt {
            self.times.waited(&self.counters, self.immediate);
        }
        Ok(Some(slot))
    }

    /// Brings the histograms of the counters up to date. Returns the mean of the latest acquire times.
    pub(super) fn settle(&mut self) -> Duration {
        self.times.settle(&self.counters);
        self.times.mean_wait()
    }

    /// How long an acquire took that was served at once.
    pub(super) fn measured(&mut self, immediate: Duration) {
        self.immediate = immediate;
    }

    /// Joins the end of the line, unless a connection is idle after all or waiting is in vain.
    pub(super) fn wait(
        &mut self,
        waiter: W,
        borrower: Borrower,
        patience: Patience,
        now: Instant,
    ) -> Result<Wait<T>, Refusal> {
        if let Some(slot) = self.take(borrower.clone(), now)? {
            return Ok(Wait::Idle(slot));
        }
        let limit = self.config.max_waiting;
        if self.line.len() >= limit {
            return Err(Refusal::QueueFull { limit });
        }
        if let Some(outage) = &self.outage
            && !self.somebody_could_serve(outage)
            && !self.is_half_open(now)
        {
            return Err(Refusal::Outage(Arc::clone(outage)));
        }
        let Patience { started, limit } = patience;
        let deadline = started + limit.unwrap_or(self.config.acquire_timeout);
        if self.alarm.is_none_or(|alarm| deadline < alarm) {
            self.alarm = Some(deadline);
            self.orders.push(Order::Arm);
        }
        let waiting = Waiting { waiter, borrower, started, deadline };
        // One who joins later than the acquire began has been served before, in vain.
        let ticket =
            if now > started { self.line.rejoin(waiting) } else { self.line.join(waiting) };
        Ok(Wait::InLine { ticket, room: self.total() < self.config.max_size })
    }

    /// Turns those away whose limit is reached. Returns when to look again; a new waiter with an earlier deadline
    /// leaves an [`Order::Arm`].
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        for Waiting { waiter, started, .. } in self.line.extract(|waiting| waiting.deadline <= now)
        {
            self.gave_up(now.saturating_duration_since(started), now);
            self.orders.push(Order::Refuse(waiter, Refusal::TimedOut { started }));
        }
        self.alarm = self.line.iter().map(|waiting| waiting.deadline).min();
        self.alarm
    }

    /// Leaves the line. False when the waiter had been served already.
    pub(super) fn leave(&mut self, ticket: Ticket) -> bool {
        self.line.leave(ticket)
    }

    /// An acquire gave up at its limit.
    pub(super) fn gave_up(&mut self, waited: Duration, now: Instant) {
        self.counters.timed_out.add(1);
        self.waited(waited, now);
    }

    /// A connection failed the check of its borrower, who never had it.
    pub(super) fn rejected(&mut self, slot: Box<Slot<T>>, reason: CloseReason, now: Instant) {
        let Some(holder) = self.seats.vacate(&slot) else {
            self.orders.push(Order::Forget(slot));
            return;
        };
        self.counters.acquired.add(u64::MAX);
        self.in_use -= 1;
        self.dismiss(slot, reason);
        if reason == CloseReason::CheckTimedOut {
            self.unanswered(holder.since, now);
        }
        if reason.implicates_others() {
            self.failed(now, now);
        }
    }

    /// A lease ended.
    pub(super) fn returned(
        &mut self,
        mut slot: Box<Slot<T>>,
        fitness: Fitness,
        now: Instant,
    ) -> Served<T, W> {
        let Some(holder) = self.seats.vacate(&slot) else {
            self.orders.push(Order::Forget(slot));
            return None;
        };
        let held = now.saturating_duration_since(holder.since);
        slot.idle_since = now;
        if fitness == Fitness::Unproven {
            // Its borrower gave up during the check, and never had it.
            self.counters.acquired.add(u64::MAX);
        } else {
            self.counters.released.add(1);
            self.times.used(&self.counters, held);
        }
        if holder.warnings > 0 {
            let (id, location) = (slot.id, holder.borrower.location);
            self.orders.push(Order::Tell(Event::LeakReturned { id, location, held }));
            self.count_leaks();
        }
        self.in_use -= 1;
        self.alive_at = self.alive_at.max(slot.proven_at);
        match fitness {
            Fitness::Fit | Fitness::Unproven | Fitness::Soiled if holder.silent => {
                self.dismiss(slot, CloseReason::Silent);
            }
            Fitness::Fit => return self.offer(slot, now, now),
            Fitness::Unproven => self.care(slot, Care::Probe),
            Fitness::Soiled => self.care(slot, Care::Reset),
            Fitness::Unfit(reason) => {
                self.dismiss(slot, reason);
                if reason.implicates_others() {
                    self.failed(now, now);
                }
            }
        }
        None
    }

    /// A waiter was gone when its connection was handed over.
    pub(super) fn undelivered(&mut self, slot: Box<Slot<T>>, now: Instant) -> Served<T, W> {
        if self.seats.vacate(&slot).is_none() {
            self.orders.push(Order::Forget(slot));
            return None;
        }
        self.counters.acquired.add(u64::MAX);
        self.in_use -= 1;
        self.offer(slot, now, now)
    }

    /// The care for a connection ended; it began at `began`.
    pub(super) fn cared(
        &mut self,
        mut slot: Box<Slot<T>>,
        outcome: Result<(), CloseReason>,
        began: Instant,
        now: Instant,
    ) -> Served<T, W> {
        self.checking -= 1;
        match outcome {
            Ok(()) => {
                slot.proven_at = now;
                slot.checked_at = now;
                self.alive_at = now;
                // Being checked is no use: it goes on being idle since it was put down.
                let since = slot.idle_since;
                let served = self.offer(slot, since, now);
                self.assess(now);
                served
            }
            Err(reason) => {
                self.dismiss(slot, reason);
                if reason == CloseReason::CheckTimedOut {
                    self.unanswered(began, now);
                }
                if reason.implicates_others() {
                    self.failed(began, now);
                }
                None
            }
        }
    }

    /// The care for a connection was dropped with its runtime.
    pub(super) fn care_abandoned(&mut self) {
        self.checking -= 1;
    }

    /// A closing connection is gone.
    pub(super) fn closed(&mut self) {
        self.closing -= 1;
        self.lower_ceiling();
    }

    /// Refuses acquires from now on, turns the line away and closes what is idle.
    pub(super) fn begin_shutdown(&mut self) {
        if !self.phase().admits() {
            return;
        }
        self.enter(Phase::ShuttingDown, HealthReason::Ok);
        for waiting in self.line.drain() {
            self.orders.push(Order::Refuse(waiting.waiter, Refusal::Closed));
        }
        for slot in std::mem::take(&mut self.idle) {
            self.dismiss(slot, CloseReason::Shutdown);
        }
    }

    /// Takes every lease back from its holder.
    pub(super) fn force(&mut self, now: Instant) -> Vec<Held> {
        let seats = self.seats.take_back(|_| true);
        let forced = seats.iter().filter_map(|seat| {
            let holder = seat.holder.as_ref()?;
            let held = now.saturating_duration_since(holder.since);
            Some(Held { connection: seat.id, location: holder.borrower.location, held })
        });
        let forced = forced.collect();
        self.taken_back(seats, Cut::Shutdown, CloseReason::Shutdown);
        forced
    }

    /// Ends a pool that is shutting down when its last connection has gone.
    pub(super) fn end_when_empty(&mut self) {
        if self.phase() == Phase::ShuttingDown && self.total() == 0 {
            self.terminate();
        }
    }

    /// Ends the pool, whatever is left of it.
    pub(super) fn terminate(&mut self) {
        if self.phase() != Phase::Terminated {
            self.enter(Phase::Terminated, HealthReason::Ok);
        }
    }

    /// All connections, wherever they are.
    pub(super) fn total(&self) -> u32 {
        self.idle() + self.in_use + self.opening() + self.checking + self.closing
    }

    /// Connections that can serve, now or when their check is done.
    fn usable(&self) -> u32 {
        self.idle() + self.in_use + self.checking
    }

    fn idle(&self) -> u32 {
        u32::try_from(self.idle.len()).unwrap_or(u32::MAX)
    }

    fn lend(&mut self, slot: &mut Slot<T>, borrower: Borrower, now: Instant) {
        slot.in_doubt = now > slot.proven_at + self.config.validation.bypass_window;
        self.in_use += 1;
        self.counters.acquired.add(1);
        self.counters.observe_in_use(self.in_use);
        self.seats.lend(slot, borrower, now);
    }

    /// A connection that is counted nowhere is free: serves the next in line, keeps it, or lets it go.
    fn offer(&mut self, mut slot: Box<Slot<T>>, since: Instant, now: Instant) -> Served<T, W> {
        if !self.phase().admits() {
            self.dismiss(slot, CloseReason::Shutdown);
        } else if self.total() - self.closing >= self.config.max_size {
            // Those that are closing make room by themselves.
            self.dismiss(slot, CloseReason::Shrunk);
        } else if slot.proven_at < self.suspect_before {
            self.care(slot, Care::Probe);
        } else if let Some(reason) = self.retirement(&slot, now) {
            self.dismiss(slot, reason);
        } else if self.needs_check(&slot, now) {
            self.care(slot, Care::Probe);
        } else if let Some(Waiting { waiter, borrower, started, .. }) = self.line.next() {
            self.lend(&mut slot, borrower, now);
            // The check that follows is part of the wait.
            if !slot.in_doubt {
                self.waited(now.saturating_duration_since(started), now);
            }
            return Some((waiter, slot));
        } else {
            slot.idle_since = since;
            // Most come back just now and go on top; one that was checked goes back to its place.
            let above = self.idle.iter().rev().take_while(|other| other.idle_since > since);
            self.idle.insert(self.idle.len() - above.count(), slot);
        }
        None
    }

    fn care(&mut self, slot: Box<Slot<T>>, care: Care) {
        self.checking += 1;
        self.orders.push(Order::Care(slot, care));
    }

    /// Lets a connection go that is counted nowhere.
    fn dismiss(&mut self, slot: Box<Slot<T>>, reason: CloseReason) {
        self.seats.remove(&slot);
        self.closing += 1;
        self.counters.count_closed(reason);
        self.orders.push(Order::Close(slot, reason));
    }

    /// Cuts leases whose seats were removed, and has their sessions ended.
    fn taken_back(&mut self, seats: Vec<Seat<S>>, cut: Cut, reason: CloseReason) {
        for Seat { session, tether, .. } in seats {
            self.in_use -= 1;
            self.closing += 1;
            self.counters.count_closed(reason);
            self.orders.push(Order::Cut(tether, cut));
            self.orders.push(Order::Terminate(session));
        }
        self.count_leaks();
    }

    /// The module's invariants, checked in debug builds after every change.
    pub(super) fn assert_invariants(&self) {
        debug_assert!(self.idle.is_empty() || self.line.is_empty(), "idle while somebody waits");
        debug_assert!(
            self.total() <= self.utilisation.allowed(self.config.max_size),
            "more connections than max_size and the debt of a shrink"
        );
        debug_assert_eq!(self.seats.lent().count(), self.in_use as usize, "leases and holders");
    }
}

#[cfg(test)]
mod tests;
