//! What the passing of time asks for: probing, retiring, finding leaks and silence.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::health::LONG;
use super::{Care, CloseReason, Cut, Event, Leak, Order, Replacement, Slot, State};
use crate::pool::slot::Borrower;

/// The least time between two retirements.
const RETIREMENT: Duration = Duration::from_secs(1);
/// How long the numbers of a histogram are fresh.
const ROTATION: Duration = Duration::from_mins(1);
/// When the wall clock runs ahead of the monotonic one by more than this between two ticks, the machine was
/// asleep, and the other side may have forgotten our connections.
const LEAP: Duration = Duration::from_secs(5);

/// When what is due next.
#[derive(Debug)]
pub(super) struct Upkeep {
    probe_at: Instant,
    retire_at: Instant,
    rotate_at: Instant,
    clocks: Option<(Instant, DateTime<Utc>)>,
    /// Whether the present long wait was reported.
    long_wait_told: bool,
}

impl Upkeep {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            probe_at: now,
            retire_at: now,
            rotate_at: now + ROTATION,
            clocks: None,
            long_wait_told: false,
        }
    }
}

impl<T, S, W> State<T, S, W> {
    /// Does what is due. `wall` is the time of day, for finding out that the machine was asleep.
    pub(in crate::pool) fn tick(&mut self, now: Instant, wall: DateTime<Utc>) {
        if !self.phase().admits() {
            return;
        }
        self.compare_clocks(now, wall);
        self.report_leaks(now);
        self.cut_silent(now);
        self.report_long_wait(now);
        self.retire_idle(now);
        self.probe_coldest(now);
        self.adapt(now);
        if now >= self.upkeep.rotate_at {
            self.upkeep.rotate_at = now + ROTATION;
            self.settle();
            self.counters.waits.rotate();
            self.counters.uses.rotate();
        }
        if self.waits_in_vain(now) || self.is_in_the_dark(now) {
            self.orders.push(Order::Dial);
        }
        self.assess(now);
    }

    /// Why a free connection, counted nowhere, is to be retired now, if it is.
    ///
    /// One a second at most. While everything is busy its replacement is opened first, unless there is no
    /// room for one.
    pub(super) fn retirement(&mut self, slot: &Slot<T>, now: Instant) -> Option<CloseReason> {
        let reason = due(slot, self.config.max_queries, now)?;
        if now < self.upkeep.retire_at {
            return None;
        }
        let spare = !self.idle.is_empty() && self.usable() >= self.config.min_size;
        let no_room = self.total() + 1 >= self.config.max_size;
        if spare || no_room || self.replacement == Replacement::Ready {
            self.retired(now);
            return Some(reason);
        }
        if self.replacement == Replacement::None {
            self.replacement = Replacement::Wanted;
            self.orders.push(Order::Dial);
        }
        None
    }

    /// The number of leases that are held for too long has changed.
    pub(super) fn count_leaks(&self) {
        let live = self.seats.lent().filter(|(_, holder)| holder.warnings > 0).count();
        self.counters.live_leaks.set(live as u64);
    }

    fn retired(&mut self, now: Instant) {
        self.upkeep.retire_at = now + RETIREMENT;
        self.replacement = Replacement::None;
    }

    /// Retires one idle connection: the longest idle beyond `min_size`, or else one that is due.
    fn retire_idle(&mut self, now: Instant) {
        if now < self.upkeep.retire_at {
            return;
        }
        let max_idle = self.config.max_idle_time;
        let idle_too_long =
            |slot: &Slot<T>| now.saturating_duration_since(slot.idle_since) >= max_idle;
        if self.usable() > self.config.min_size
            && self.idle.first().is_some_and(|slot| idle_too_long(slot))
        {
            let slot = self.idle.remove(0);
            self.retired(now);
            self.dismiss(slot, CloseReason::IdleTime);
            return;
        }
        let limit = self.config.max_queries;
        let due = self.idle.iter().position(|slot| due(slot, limit, now).is_some());
        if let Some(slot) = due.map(|index| self.idle.remove(index)) {
            let since = slot.idle_since;
            // It goes back among the idle ones while its replacement is being opened. Nobody waits while
            // a connection is idle, so nobody is served.
            let served = self.offer(slot, since, now);
            debug_assert!(served.is_none(), "somebody waited while a connection was idle");
        }
    }

    /// Checks the idle connection that was checked longest ago, so that a dead or demoted server is found
    /// without traffic, and a demoted one also with it.
    fn probe_coldest(&mut self, now: Instant) {
        if now < self.upkeep.probe_at {
            return;
        }
        let interval = self.config.probe_interval;
        let ages = self.idle.iter().enumerate().map(|(index, slot)| (slot.checked_at, index));
        if let Some((checked_at, index)) = ages.min()
            && now.saturating_duration_since(checked_at) >= interval
        {
            self.upkeep.probe_at = now + interval;
            let slot = self.idle.remove(index);
            self.care(slot, Care::Probe);
        }
    }

    /// Whether a connection that is never idle at a tick has gone without a check for too long: its statements
    /// prove that it works, not that its server may still write.
    pub(super) fn needs_check(&self, slot: &Slot<T>, now: Instant) -> bool {
        self.config.validation.require_primary
            && now >= slot.checked_at + self.config.probe_interval
    }

    fn compare_clocks(&mut self, now: Instant, wall: DateTime<Utc>) {
        let Some((last, last_wall)) = self.upkeep.clocks.replace((now, wall)) else { return };
        let passed = now.saturating_duration_since(last);
        // A clock that was set back says nothing about our connections.
        let by = (wall - last_wall).to_std().unwrap_or_default().saturating_sub(passed);
        if by > LEAP {
            self.orders.push(Order::Tell(Event::ClockLeapt { by }));
            self.suspect(now);
        }
    }

    /// Reports leases that are held for longer than their threshold, again each time that has doubled, and
    /// takes them back after the second report when that is allowed.
    fn report_leaks(&mut self, now: Instant) {
        if !self.config.leaks.enabled {
            return;
        }
        let default = self.config.leaks.after();
        let mut reports = Vec::new();
        for (id, _, holder) in self.seats.lent_mut() {
            let Borrower { location, particulars } = &holder.borrower;
            let own = particulars.as_ref().and_then(|particulars| particulars.leak_after);
            let threshold = own.or(default).filter(|threshold| !threshold.is_zero());
            let Some(threshold) = threshold else { continue };
            let held = now.saturating_duration_since(holder.since);
            if held < threshold.saturating_mul(1 << holder.warnings.min(31)) {
                continue;
            }
            holder.warnings += 1;
            let (location, particulars) = (*location, particulars.clone());
            reports.push(Leak { id, location, held, warning: holder.warnings, particulars });
        }
        if !reports.is_empty() {
            let new = reports.iter().filter(|leak| leak.warning == 1).count();
            self.counters.leaks.add(new as u64);
            self.count_leaks();
        }
        self.orders.extend(reports.into_iter().map(|leak| Order::Tell(Event::Leaked(leak))));
        if self.config.leaks.reclaim {
            self.reclaim(now);
        }
    }

    fn reclaim(&mut self, now: Instant) {
        let lost = |holder: &super::super::slot::Holder| holder.warnings >= 2;
        let seats = self.seats.take_back(|seat| seat.holder.as_ref().is_some_and(lost));
        for seat in &seats {
            let Some(holder) = &seat.holder else { continue };
            let held = now.saturating_duration_since(holder.since);
            let (id, location) = (seat.id, holder.borrower.location);
            self.orders.push(Order::Tell(Event::Reclaimed { id, location, held }));
        }
        self.taken_back(seats, Cut::Reclaimed, CloseReason::Reclaimed);
    }

    /// Cuts statements that the server should have ended by itself: the connection is dead.
    fn cut_silent(&mut self, now: Instant) {
        for (id, tether, holder) in self.seats.lent_mut() {
            let Some(silence) = tether.silence(now) else { continue };
            let location = holder.borrower.location;
            self.orders.push(Order::Cut(tether.clone(), Cut::Silent));
            self.orders.push(Order::Tell(Event::Silent { id, location, silence }));
            holder.silent = true;
        }
    }

    fn report_long_wait(&mut self, now: Instant) {
        let first = self.line.first().map(|first| now.saturating_duration_since(first.started));
        let long = first.filter(|wait| *wait > LONG);
        if let Some(first) = long
            && !self.upkeep.long_wait_told
        {
            let waiting = self.line.len();
            self.orders.push(Order::Tell(Event::LongWait { waiting, first }));
        }
        self.upkeep.long_wait_told = long.is_some();
    }

    /// For how long the first in line has waited.
    pub(in crate::pool) fn head_wait(&self, now: Instant) -> Duration {
        let first = self.line.first();
        first.map_or(Duration::ZERO, |first| now.saturating_duration_since(first.started))
    }

    /// The leases that are held longest, the longest first.
    pub(in crate::pool) fn longest_held(&self, now: Instant, most: usize) -> Vec<super::Held> {
        let mut held: Vec<_> = self
            .seats
            .lent()
            .map(|(seat, holder)| super::Held {
                connection: seat.id,
                location: holder.borrower.location,
                held: now.saturating_duration_since(holder.since),
            })
            .collect();
        held.sort_by_key(|lease| std::cmp::Reverse(lease.held));
        held.truncate(most);
        held
    }
}

/// Why a connection is due for retirement, if it is.
fn due<T>(slot: &Slot<T>, max_queries: u32, now: Instant) -> Option<CloseReason> {
    if now >= slot.expires_at {
        Some(CloseReason::Lifetime)
    } else if slot.statements >= u64::from(max_queries) {
        Some(CloseReason::Queries)
    } else {
        None
    }
}
