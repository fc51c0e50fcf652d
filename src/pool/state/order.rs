//! What the state asks the shell to do once the lock is released.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::pool::error::OpenError;
use crate::pool::phase::{HealthReason, Phase};
use crate::pool::reason::{CloseReason, OpenReason};
use crate::pool::slot::{Cut, Particulars, Slot, Tether};

/// A time during which the database could not be reached.
#[derive(Debug, Clone)]
pub(in crate::pool) struct Outage {
    pub(in crate::pool) cause: Arc<OpenError>,
    pub(in crate::pool) attempts: u32,
    pub(in crate::pool) since: Instant,
    /// When the last attempt failed.
    pub(in crate::pool) failed_at: Instant,
    pub(in crate::pool) retry_at: Instant,
}

/// The permission to open one connection, which is counted as opening. Only the state gives it, and every one
/// comes back as opened, failed or abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) struct Attempt {
    pub(in crate::pool) reason: OpenReason,
    pub(in crate::pool) began: Instant,
    /// How long its statements may be without an answer, by the configuration of that moment.
    pub(in crate::pool) patience: Duration,
}

/// Why an acquire is turned away.
#[derive(Debug, Clone)]
pub(in crate::pool) enum Refusal {
    Closed,
    QueueFull {
        limit: u32,
    },
    Outage(Arc<Outage>),
    /// The acquire that began at `started` has reached its limit.
    TimedOut {
        started: Instant,
    },
}

/// How long an acquire may take.
#[derive(Debug, Clone, Copy)]
pub(in crate::pool) struct Patience {
    pub(in crate::pool) started: Instant,
    /// `acquire_timeout` of the configuration, when it is `None`.
    pub(in crate::pool) limit: Option<Duration>,
}

/// What the dialer is to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::pool) enum Dial {
    Open(Attempt),
    /// Look again at this instant.
    At(Instant),
    /// Nothing, until something changes.
    Rest,
}

/// In which condition a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Fitness {
    /// Ready for the next borrower.
    Fit,
    /// Its check was dropped half-way.
    Unproven,
    /// A transaction is open, or the session was changed.
    Soiled,
    /// Not to be used again.
    Unfit(CloseReason),
}

/// What a connection outside the idle stack goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Care {
    /// Is it alive and clean?
    Probe,
    /// Make it like new, then probe.
    Reset,
}

/// A waiter and the connection that it gets, counted as in use already.
pub(in crate::pool) type Served<T, W> = Option<(W, Box<Slot<T>>)>;

/// To be done after the lock is released. Whatever is counted is counted already.
#[derive(Debug)]
#[must_use]
pub(in crate::pool) enum Order<T, S, W> {
    /// Counted as closing.
    Close(Box<Slot<T>>, CloseReason),
    /// Counted as checking.
    Care(Box<Slot<T>>, Care),
    /// Its holder came back with a connection that the pool had taken back and counts no more.
    Forget(Box<Slot<T>>),
    /// End the session of a lease that was taken back; counted as closing.
    Terminate(S),
    Cut(Arc<Tether>, Cut),
    /// Another connection is wanted.
    Dial,
    /// A waiter has an earlier deadline than all before.
    Arm,
    Refuse(W, Refusal),
    Tell(Event),
}

/// A change that is worth a line in the log.
#[derive(Debug)]
pub(in crate::pool) enum Event {
    Moved { from: Phase, to: Phase, reason: HealthReason, usable: u32, max_size: u32 },
    Suspected { connections: usize },
    ClockLeapt { by: Duration },
    Leaked(Leak),
    LeakReturned { id: u64, location: &'static Location<'static>, held: Duration },
    Reclaimed { id: u64, location: &'static Location<'static>, held: Duration },
    Silent { id: u64, location: &'static Location<'static>, silence: Duration },
    LongWait { waiting: u32, first: Duration },
    Resized { min_size: u32, max_size: u32, from: u32, why: Resize },
}

/// Why the bounds of a pool changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Resize {
    Asked,
    HighUtilisation,
    LowUtilisation,
}

/// A lease that is held for too long.
#[derive(Debug)]
pub(in crate::pool) struct Leak {
    pub(in crate::pool) id: u64,
    pub(in crate::pool) location: &'static Location<'static>,
    pub(in crate::pool) held: Duration,
    pub(in crate::pool) warning: u32,
    pub(in crate::pool) particulars: Option<Arc<Particulars>>,
}

/// A lease that somebody holds, or held until it was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The number that names the connection in logs.
    pub connection: u64,
    /// Where the lease was acquired.
    pub location: &'static Location<'static>,
    /// How long it had been held.
    pub held: Duration,
}
