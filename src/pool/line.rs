//! The line of waiters: first come, first served.

use std::collections::VecDeque;

/// A place in a [`Line`], for leaving it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(i64);

/// The waiters in order of arrival. Leaving from the middle leaves a gap, so that it costs a search and
/// not a move of everybody behind; gaps are swept out before they outnumber the waiters.
#[derive(Debug)]
pub(super) struct Line<W> {
    places: VecDeque<(Ticket, Option<W>)>,
    present: usize,
    next: i64,
    /// The ticket before the first, for those who come back.
    before: i64,
}

impl<W> Line<W> {
    pub(super) fn new() -> Self {
        Self { places: VecDeque::new(), present: 0, next: 0, before: -1 }
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.present).unwrap_or(u32::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.present == 0
    }

    pub(super) fn join(&mut self, waiter: W) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.present += 1;
        self.places.push_back((ticket, Some(waiter)));
        ticket
    }

    /// Joins at the head: this waiter had been served, with a connection that turned out to be unfit.
    pub(super) fn rejoin(&mut self, waiter: W) -> Ticket {
        let ticket = Ticket(self.before);
        self.before -= 1;
        self.present += 1;
        self.places.push_front((ticket, Some(waiter)));
        ticket
    }

    /// The waiter that has waited longest.
    pub(super) fn first(&self) -> Option<&W> {
        self.places.iter().find_map(|(_, waiter)| waiter.as_ref())
    }

    pub(super) fn next(&mut self) -> Option<W> {
        while let Some((_, place)) = self.places.pop_front() {
            if let Some(waiter) = place {
                self.present -= 1;
                return Some(waiter);
            }
        }
        None
    }

    /// False when the waiter had been served already.
    pub(super) fn leave(&mut self, ticket: Ticket) -> bool {
        let found = self.places.binary_search_by_key(&ticket, |(held, _)| *held);
        let place = found.ok().and_then(|index| self.places.get_mut(index));
        if place.and_then(|(_, waiter)| waiter.take()).is_none() {
            return false;
        }
        self.present -= 1;
        if self.places.len() > 2 * self.present + 32 {
            self.places.retain(|(_, waiter)| waiter.is_some());
        }
        true
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &W> {
        self.places.iter().filter_map(|(_, waiter)| waiter.as_ref())
    }

    /// Takes those out that `which` picks, in order.
    pub(super) fn extract(&mut self, mut which: impl FnMut(&W) -> bool) -> Vec<W> {
        let mut taken = Vec::new();
        for (_, place) in &mut self.places {
            if place.as_ref().is_some_and(&mut which) {
                taken.extend(place.take());
            }
        }
        if !taken.is_empty() {
            self.present -= taken.len();
            self.places.retain(|(_, waiter)| waiter.is_some());
        }
        taken
    }

    pub(super) fn drain(&mut self) -> Vec<W> {
        self.present = 0;
        self.places.drain(..).filter_map(|(_, waiter)| waiter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_keeps_the_order_of_the_others() {
        let mut line = Line::new();
        let tickets: Vec<Ticket> = ["a", "b", "c"].map(|name| line.join(name)).into();
        assert!(line.leave(tickets[1]));
        assert!(!line.leave(tickets[1]), "leaving twice changes nothing");
        assert_eq!((line.len(), line.first()), (2, Some(&"a")));
        assert_eq!((line.next(), line.next(), line.next()), (Some("a"), Some("c"), None));
        assert!(!line.leave(tickets[2]), "a waiter that was served is in no line");
    }

    #[test]
    fn one_who_comes_back_is_the_next() {
        let mut line = Line::new();
        let first = line.join("first");
        let back = line.rejoin("back");
        assert_eq!(line.first(), Some(&"back"));
        assert!(line.leave(first));
        assert!(line.leave(back));
        line.rejoin("again");
        assert_eq!((line.next(), line.next()), (Some("again"), None));
    }

    #[test]
    fn extracting_keeps_the_order_on_both_sides() {
        let mut line = Line::new();
        let tickets: Vec<Ticket> = (0..6).map(|number| line.join(number)).collect();
        assert!(line.leave(tickets[0]));
        assert_eq!(line.extract(|number| number % 2 == 1), [1, 3, 5]);
        assert!(!line.leave(tickets[3]));
        assert_eq!(line.iter().copied().collect::<Vec<_>>(), [2, 4]);
        assert_eq!(
            (line.len(), line.next(), line.next(), line.next()),
            (2, Some(2), Some(4), None)
        );
    }

    #[test]
    fn gaps_never_outgrow_the_line() {
        let mut line = Line::new();
        let first = line.join(0);
        for id in 1..10_000 {
            let ticket = line.join(id);
            assert!(line.leave(ticket));
            assert!(line.places.len() <= 2 * line.present + 33);
        }
        assert!(line.leave(first));
        assert_eq!(line.next(), None);
    }
}
