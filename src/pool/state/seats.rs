//! The table of open connections: which of them is lent, to whom, since when.

use std::sync::Arc;

use tokio::time::Instant;

use crate::pool::slot::{Borrower, Holder, Slot, Tether};

/// One open connection.
#[derive(Debug)]
pub(in crate::pool) struct Seat<S> {
    pub(in crate::pool) id: u64,
    pub(in crate::pool) session: S,
    pub(in crate::pool) tether: Arc<Tether>,
    pub(in crate::pool) holder: Option<Holder>,
}

/// The seats by number. A freed number is used again, so the table stays as small as the pool.
#[derive(Debug)]
pub(super) struct Seats<S> {
    table: Vec<Option<Seat<S>>>,
    free: Vec<usize>,
}

impl<S> Seats<S> {
    pub(super) fn new() -> Self {
        Self { table: Vec::new(), free: Vec::new() }
    }

    pub(super) fn add(&mut self, id: u64, session: S, tether: Arc<Tether>) -> usize {
        let seat = Some(Seat { id, session, tether, holder: None });
        if let Some(number) = self.free.pop()
            && let Some(place) = self.table.get_mut(number)
        {
            *place = seat;
            return number;
        }
        self.table.push(seat);
        self.table.len() - 1
    }

    pub(super) fn lend<T>(&mut self, slot: &Slot<T>, borrower: Borrower, since: Instant) {
        if let Some(seat) = self.of(slot) {
            seat.holder = Some(Holder { borrower, since, warnings: 0, silent: false });
        }
    }

    /// Ends the lease of a connection. `None` when it had been taken back from its holder.
    pub(super) fn vacate<T>(&mut self, slot: &Slot<T>) -> Option<Holder> {
        self.of(slot)?.holder.take()
    }

    pub(super) fn remove<T>(&mut self, slot: &Slot<T>) {
        if self.of(slot).is_some() {
            self.clear(slot.seat);
        }
    }

    /// Removes every seat that is lent and that `which` picks.
    pub(super) fn take_back(&mut self, mut which: impl FnMut(&Seat<S>) -> bool) -> Vec<Seat<S>> {
        let mut taken = Vec::new();
        for number in 0..self.table.len() {
            let lent = self.table.get(number).and_then(Option::as_ref);
            if lent.is_some_and(|seat| seat.holder.is_some() && which(seat)) {
                taken.extend(self.clear(number));
            }
        }
        taken
    }

    pub(super) fn lent(&self) -> impl Iterator<Item = (&Seat<S>, &Holder)> {
        self.table.iter().flatten().filter_map(|seat| Some((seat, seat.holder.as_ref()?)))
    }

    pub(super) fn lent_mut(&mut self) -> impl Iterator<Item = (u64, &Arc<Tether>, &mut Holder)> {
        let seats = self.table.iter_mut().flatten();
        seats.filter_map(|seat| Some((seat.id, &seat.tether, seat.holder.as_mut()?)))
    }

    /// The seat of a connection, unless it is another's by now.
    fn of<T>(&mut self, slot: &Slot<T>) -> Option<&mut Seat<S>> {
        self.table.get_mut(slot.seat)?.as_mut().filter(|seat| seat.id == slot.id)
    }

    fn clear(&mut self, number: usize) -> Option<Seat<S>> {
        let seat = self.table.get_mut(number)?.take();
        self.free.push(number);
        seat
    }
}
