//! What a load has done so far, for whoever shows it meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of a load. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    ok: AtomicU64,
    failed: AtomicU64,
}

/// What was counted at one instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that did not, in any way.
    pub failed: u64,
}

/// A request under way. Dropped, it has failed.
#[derive(Debug)]
pub(super) struct Pending {
    tally: Tally,
    ok: bool,
}

impl Tally {
    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let Inner { ok, failed } = &*self.0;
        Counts { ok: ok.load(Ordering::Relaxed), failed: failed.load(Ordering::Relaxed) }
    }

    /// Counts a request when it ends.
    pub(super) fn request(&self) -> Pending {
        Pending { tally: self.clone(), ok: false }
    }
}

impl Pending {
    /// The request has ended.
    pub(super) fn ended(mut self, ok: bool) {
        self.ok = ok;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Inner { ok, failed } = &*self.tally.0;
        let counter = if self.ok { ok } else { failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_dropped_has_failed() {
        let tally = Tally::default();
        tally.request().ended(true);
        tally.request().ended(false);
        drop(tally.request());
        assert_eq!(tally.counts(), Counts { ok: 1, failed: 2 });
    }
}
