//! A toxic on a connection: how far it is, what it waits for, and what it does to bytes.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use crate::proxy::link::stage::Flow;
use crate::proxy::pg::Event;
use crate::proxy::toxic::{Fault, Toxic};
use crate::proxy::wire::Trigger;

/// A toxic on this connection.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) toxic: Arc<Toxic>,
    pub(super) name: Arc<str>,
    pub(super) rng: ChaCha8Rng,
    pub(super) state: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// This connection is not struck.
    Spared,
    /// Its trigger has not come; so many queries have.
    Waiting { queries: u64 },
    /// It was struck.
    Active,
}

impl Applied {
    /// Whether a connection that it strikes can feel it: the log of decisions proves faults, and nothing proves none.
    pub(super) fn is_felt(&self) -> bool {
        !matches!(self.toxic.fault, Fault::Noop)
    }

    /// Counts an event; whether it is the one that this toxic waits for.
    pub(super) fn meets(&mut self, event: Event) -> bool {
        let Progress::Waiting { queries } = &mut self.state else { return false };
        match (self.toxic.view.on, event) {
            (None, Event::Opening)
            | (Some(Trigger::Startup), Event::Startup)
            | (Some(Trigger::Ready), Event::Ready { .. })
            | (Some(Trigger::InTransaction), Event::Ready { in_transaction: true })
            | (Some(Trigger::Commit), Event::Commit { .. })
            | (Some(Trigger::CancelRequest), Event::Cancel) => true,
            (Some(Trigger::Query(n)), Event::Query { .. }) => {
                *queries += 1;
                *queries == n
            }
            _ => false,
        }
    }
}

/// What a toxic does to the bytes of a direction.
pub(super) fn flow(fault: &Fault) -> Option<Flow> {
    Some(match *fault {
        Fault::Noop => Flow::Pass,
        Fault::Latency { latency, jitter } => Flow::Delay { latency, jitter },
        Fault::Bandwidth { rate } => Flow::Rate { kilobytes: rate },
        Fault::SlowClose { delay } => Flow::DelayEnd { delay },
        Fault::Timeout { limit } => Flow::Silence { limit },
        Fault::ResetPeer { after } => Flow::ResetAfter { after },
        Fault::Slicer { average, variation, delay } => Flow::Slice { average, variation, delay },
        Fault::LimitData { bytes } | Fault::Cut { bytes: Some(bytes), .. } => {
            Flow::Limit { left: Some(bytes) }
        }
        Fault::Blackhole { hold: true } => Flow::Hold,
        Fault::Blackhole { hold: false } => Flow::Swallow,
        Fault::Cut { bytes: None, .. }
        | Fault::Reset
        | Fault::AcceptDelay { .. }
        | Fault::AcceptSilence
        | Fault::Refuse { .. }
        | Fault::PgError { .. } => return None,
    })
}
