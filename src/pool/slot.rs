//! A connection with what the pool knows about it, and the tether by which the pool can take it back.

use std::backtrace::Backtrace;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::usage::Usage;

/// A connection that is open, wherever it is: idle, lent, or on its way out.
#[derive(Debug)]
pub(super) struct Slot<T> {
    pub(super) connection: T,
    /// Names the connection in logs; unique within a pool.
    pub(super) id: u64,
    /// Its place in the table of seats.
    pub(super) seat: usize,
    /// When it is old enough to be replaced. Drawn once.
    pub(super) expires_at: Instant,
    /// When it was last known to work.
    pub(super) proven_at: Instant,
    /// When it was last checked, or opened.
    pub(super) checked_at: Instant,
    /// Whether its present borrower must check it first, because it was proven too long ago.
    pub(super) in_doubt: bool,
    /// When it was last put among the idle ones.
    pub(super) idle_since: Instant,
    /// Statements that it ran.
    pub(super) statements: u64,
    /// What its present or last borrower did with it.
    pub(super) usage: Usage,
    pub(super) tether: Arc<Tether>,
}

/// Who asks for a connection.
#[derive(Debug, Clone)]
pub(super) struct Borrower {
    pub(super) location: &'static Location<'static>,
    /// Most have none, so it takes a word in the line and not five.
    pub(super) particulars: Option<Arc<Particulars>>,
}

/// What sets an acquire apart.
#[derive(Debug, Default)]
pub(super) struct Particulars {
    /// After how long the lease counts as leaked; the configuration decides when it is `None`.
    pub(super) leak_after: Option<Duration>,
    pub(super) trace: Option<Backtrace>,
}

/// Who has a connection, since when.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) borrower: Borrower,
    pub(super) since: Instant,
    /// How often the lease was reported.
    pub(super) warnings: u32,
    /// Whether its statement was given up on. The cut may arrive after the lease has ended.
    pub(super) silent: bool,
}

/// What pool and lease of a connection share while it is lent: whether a statement is running, and whether
/// the pool has taken the connection back.
#[derive(Debug)]
pub(super) struct Tether {
    opened_at: Instant,
    /// How long a statement may be without its whole answer.
    patience: Duration,
    cut: AtomicU8,
    /// When the running statement was sent, in milliseconds after `opened_at`, plus one; 0 while none runs.
    sent: AtomicU64,
    /// Wakes the task that waits for an answer.
    waker: AtomicWaker,
}

/// Why the pool took a connection back from its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The pool shut down and the lease had not come back in time.
    Shutdown,
    /// The lease was held for too long, and the configuration allows to take it back.
    Reclaimed,
    /// A statement got no answer in time.
    Silent,
}

impl Cut {
    /// What the holder is told by the statement that fails.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Shutdown => "the pool shut down and took the connection back",
            Self::Reclaimed => "the pool took the connection back because it was held for too long",
            Self::Silent => "the server gave no answer within the statement's limit",
        }
    }
}

impl Tether {
    pub(super) fn new(opened_at: Instant, patience: Duration) -> Self {
        let (cut, sent) = (AtomicU8::new(0), AtomicU64::new(0));
        Self { opened_at, patience, cut, sent, waker: AtomicWaker::new() }
    }

    /// Takes the connection back: the running statement and all later ones fail.
    pub(super) fn cut(&self, cut: Cut) {
        let code = match cut {
            Cut::Shutdown => 1,
            Cut::Reclaimed => 2,
            Cut::Silent => 3,
        };
        self.cut.store(code, Ordering::Release);
        self.waker.wake();
    }

    fn is_cut(&self) -> Option<Cut> {
        match self.cut.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Cut::Shutdown),
            2 => Some(Cut::Reclaimed),
            _ => Some(Cut::Silent),
        }
    }

    /// Whether the connection was taken back; if not, the task is woken when it is.
    pub(super) fn poll_cut(&self, waker: &Waker) -> Option<Cut> {
        // Registered before the look, so that a cut in between is not missed.
        self.waker.register(waker);
        self.is_cut()
    }

    /// A statement is being sent.
    pub(super) fn sent(&self, now: Instant) {
        let millis = now.saturating_duration_since(self.opened_at).as_millis();
        self.sent.store(u64::try_from(millis).map_or(u64::MAX, |at| at + 1), Ordering::Relaxed);
    }

    /// Whether an answer is being waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.sent.load(Ordering::Relaxed) != 0
    }

    /// Nothing is being waited for any more.
    pub(super) fn answered(&self) {
        self.sent.store(0, Ordering::Relaxed);
    }

    /// For how long a statement has been without its whole answer, if that is too long. Says so once for a
    /// statement, and not of one that was answered meanwhile.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        let sent = self.sent.load(Ordering::Relaxed);
        let sent_at = self.opened_at + Duration::from_millis(sent.checked_sub(1)?);
        let silence = now.saturating_duration_since(sent_at);
        let claimed = silence > self.patience
            && self.sent.compare_exchange(sent, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        claimed.then_some(silence)
    }
}
