//! Who has given back a connection, counted outside of the pool.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the leases that were given back, each after its drop has returned. The pool counts its releases within
/// that drop, so its count is never behind this one, unless what it shows is old.
#[derive(Debug, Default)]
pub(super) struct Witness {
    released: AtomicU64,
}

/// Counts a release when it is dropped. To be made before the lease, so that it is dropped after it, also when the
/// future with both is dropped.
#[derive(Debug)]
pub(super) struct Release<'a> {
    witness: &'a Witness,
    due: bool,
}

impl Witness {
    pub(super) fn release(&self) -> Release<'_> {
        Release { witness: self, due: false }
    }

    /// How many leases were given back by now.
    pub(super) fn released(&self) -> u64 {
        self.released.load(Ordering::Acquire)
    }
}

impl Release<'_> {
    /// There is a lease that will be given back.
    pub(super) fn is_due(&mut self) {
        self.due = true;
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        if self.due {
            self.witness.released.fetch_add(1, Ordering::Release);
        }
    }
}
