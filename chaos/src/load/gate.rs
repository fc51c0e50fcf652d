//! Whether requests are to be made now: the phases of the run, and its end.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::record::Phase;

/// Open while requests are to be made. Each worker has a clone.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    phases: watch::Receiver<Phase>,
    during: Arc<[Phase]>,
    stop: CancellationToken,
}

impl Gate {
    pub(super) fn new(
        phases: watch::Receiver<Phase>,
        during: &[Phase],
        stop: CancellationToken,
    ) -> Self {
        Self { phases, during: during.into(), stop }
    }

    /// Whether it is open now.
    pub(super) fn is_open(&self) -> bool {
        !self.is_shut() && self.during.contains(&self.phases.borrow())
    }

    /// Waits until it is open; false when it will never be again.
    pub(super) async fn opened(&mut self) -> bool {
        if self.is_shut() {
            return false;
        }
        let Self { phases, during, stop } = self;
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            opened = phases.wait_for(|phase| during.contains(phase)) => opened.is_ok(),
        }
    }

    /// Waits until it is not open, be it for a while or for ever.
    pub(super) async fn closed(&mut self) {
        let Self { phases, during, stop } = self;
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            // Whoever says the phases being gone is an end, too.
            _ = phases.wait_for(|phase| !during.contains(phase)) => {}
        }
    }

    /// Waits until it is not open and never will be again.
    pub(super) async fn shut(&mut self) {
        let Self { phases, stop, .. } = self;
        tokio::select! {
            () = stop.cancelled() => {}
            // No phase is the one that is waited for, so only the end of all phases ends it.
            _ = phases.wait_for(|_phase| false) => {}
        }
    }

    fn is_shut(&self) -> bool {
        self.stop.is_cancelled() || self.phases.has_changed().is_err()
    }
}
