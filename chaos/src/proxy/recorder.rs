//! What the fault proxy did: the log of its decisions, and counters for each phase and proxy.

use std::collections::{BTreeMap, VecDeque};
use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::error::ProxyError;

/// Decisions that are kept; the oldest go first. A run of minutes makes thousands, each of some
/// hundred bytes.
pub const DECISIONS_KEPT: usize = 65_536;

/// Phases that can be begun; a run has five, and a fault proxy may serve many runs.
pub const PHASES_LIMIT: usize = 1_000;

/// The name of the phase before anybody has begun one.
pub const FIRST_PHASE: &str = "start";

/// One thing that the fault proxy decided or saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// Its number, from 0 without gaps.
    pub number: u64,
    /// When, in microseconds since the fault proxy began, by a clock that is never set back.
    pub at_us: u64,
    /// When, in microseconds of Unix time: the beginning's, and `at_us` added.
    pub unix_us: i64,
    /// The proxy.
    pub proxy: String,
    /// The connection, from 1 in the order of acceptance; none for what concerns the whole proxy.
    pub connection: Option<u64>,
    /// What.
    pub what: DecisionKind,
    /// The toxic that is the cause, if one is.
    pub toxic: Option<String>,
    /// More for people.
    pub detail: Option<String>,
}

/// What was decided or seen.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    /// A proxy was created.
    ProxyCreated,
    /// A proxy was deleted.
    ProxyDeleted,
    /// A proxy listens, from now on or again.
    ListenerOpened,
    /// A proxy does not listen any more: connections are refused.
    ListenerClosed,
    /// Accepting failed; the listener pauses and goes on.
    AcceptFailed,
    /// A connection was accepted.
    ConnectionAccepted,
    /// The server could not be reached, so the client was reset.
    UpstreamFailed,
    /// A connection ended by itself or with its proxy.
    ConnectionClosed,
    /// A toxic closed a connection with a FIN.
    ConnectionCut,
    /// A toxic closed a connection with an RST.
    ConnectionReset,
    /// Nothing passes through a connection any more.
    ConnectionBlackholed,
    /// What a toxic did to a connection has ended, and the connection goes on.
    ConnectionHealed,
    /// A toxic was added.
    ToxicAdded,
    /// A toxic was changed.
    ToxicUpdated,
    /// A toxic was removed.
    ToxicRemoved,
    /// A toxic strikes a connection, from now on. One without any effect does not.
    ToxicEngaged,
    /// An error was sent to a client in the server's name.
    ErrorInjected,
    /// A connection speaks no PostgreSQL that can be read, so its triggers never come.
    ProtocolOpaque,
}

impl DecisionKind {
    /// All kinds.
    pub const ALL: [Self; 18] = [
        Self::ProxyCreated,
        Self::ProxyDeleted,
        Self::ListenerOpened,
        Self::ListenerClosed,
        Self::AcceptFailed,
        Self::ConnectionAccepted,
        Self::UpstreamFailed,
        Self::ConnectionClosed,
        Self::ConnectionCut,
        Self::ConnectionReset,
        Self::ConnectionBlackholed,
        Self::ConnectionHealed,
        Self::ToxicAdded,
        Self::ToxicUpdated,
        Self::ToxicRemoved,
        Self::ToxicEngaged,
        Self::ErrorInjected,
        Self::ProtocolOpaque,
    ];

    /// The name, as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProxyCreated => "proxy_created",
            Self::ProxyDeleted => "proxy_deleted",
            Self::ListenerOpened => "listener_opened",
            Self::ListenerClosed => "listener_closed",
            Self::AcceptFailed => "accept_failed",
            Self::ConnectionAccepted => "connection_accepted",
            Self::UpstreamFailed => "upstream_failed",
            Self::ConnectionClosed => "connection_closed",
            Self::ConnectionCut => "connection_cut",
            Self::ConnectionReset => "connection_reset",
            Self::ConnectionBlackholed => "connection_blackholed",
            Self::ConnectionHealed => "connection_healed",
            Self::ToxicAdded => "toxic_added",
            Self::ToxicUpdated => "toxic_updated",
            Self::ToxicRemoved => "toxic_removed",
            Self::ToxicEngaged => "toxic_engaged",
            Self::ErrorInjected => "error_injected",
            Self::ProtocolOpaque => "protocol_opaque",
        }
    }
}

/// A part of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decisions {
    /// The decisions in their order.
    pub decisions: Vec<Decision>,
    /// What to ask for next time.
    pub next: u64,
    /// How many of those that were asked for are no longer kept.
    pub lost: u64,
}

/// What went through a proxy during a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections whose server could not be reached.
    pub upstream_failed: u64,
    /// Connections that ended by themselves or with their proxy.
    pub closed: u64,
    /// Connections that a toxic closed with a FIN.
    pub cut: u64,
    /// Connections that a toxic closed with an RST.
    pub reset: u64,
    /// Connections through which nothing passed from some moment on.
    pub blackholed: u64,
    /// Errors sent in the server's name.
    pub errors_injected: u64,
    /// Bytes delivered to the server.
    pub bytes_up: u64,
    /// Bytes delivered to the client.
    pub bytes_down: u64,
    /// Bytes from the client that were dropped.
    pub swallowed_up: u64,
    /// Bytes from the server that were dropped.
    pub swallowed_down: u64,
}

/// The counters of one phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseCounters {
    /// Its name; several phases may have the same.
    pub name: String,
    /// When it began, in microseconds since the fault proxy began.
    pub began_us: u64,
    /// By the name of the proxy; one that did nothing is absent.
    pub proxies: BTreeMap<String, Counts>,
}

/// All counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// The phases in their order; the last one is under way.
    pub phases: Vec<PhaseCounters>,
}

/// Keeps log and counters.
#[derive(Debug)]
pub(super) struct Recorder {
    began: Instant,
    began_unix_us: i64,
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    log: VecDeque<Decision>,
    next: u64,
    phases: Vec<PhaseCounters>,
}

/// A decision before it has a number and a time.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) what: DecisionKind,
    pub(super) toxic: Option<String>,
    pub(super) detail: Option<String>,
}

impl Note {
    pub(super) fn new(what: DecisionKind) -> Self {
        Self { what, toxic: None, detail: None }
    }

    pub(super) fn by(self, toxic: &str) -> Self {
        Self { toxic: Some(toxic.to_owned()), ..self }
    }

    pub(super) fn detail(self, detail: String) -> Self {
        Self { detail: Some(detail), ..self }
    }
}

impl Recorder {
    pub(super) fn new() -> Self {
        let first =
            PhaseCounters { name: FIRST_PHASE.to_owned(), began_us: 0, proxies: BTreeMap::new() };
        Self {
            began: Instant::now(),
            began_unix_us: chrono::Utc::now().timestamp_micros(),
            book: Mutex::new(Book { log: VecDeque::new(), next: 0, phases: vec![first] }),
        }
    }

    /// The time since the beginning.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The instant of a time since the beginning.
    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.began + at
    }

    pub(super) fn note(&self, proxy: &str, connection: Option<u64>, note: Note) {
        let mut book = self.book();
        // Read under the lock: the log is in the order of its times.
        let at_us = micros(self.now());
        book.count(proxy, &Counts::of(note.what));
        let decision = Decision {
            number: book.next,
            at_us,
            unix_us: self.began_unix_us.saturating_add_unsigned(at_us),
            proxy: proxy.to_owned(),
            connection,
            what: note.what,
            toxic: note.toxic,
            detail: note.detail,
        };
        book.next += 1;
        if book.log.len() >= DECISIONS_KEPT {
            book.log.pop_front();
        }
        book.log.push_back(decision);
    }

    /// Adds to the counters of the phase that is under way.
    pub(super) fn count(&self, proxy: &str, counts: &Counts) {
        if *counts != Counts::default() {
            self.book().count(proxy, counts);
        }
    }

    /// The decisions from the number `since` on.
    pub(super) fn decisions(&self, since: u64) -> Decisions {
        let book = self.book();
        let first = book.log.front().map_or(book.next, |decision| decision.number);
        let decisions =
            book.log.iter().filter(|decision| decision.number >= since).cloned().collect();
        Decisions { decisions, next: book.next, lost: first.saturating_sub(since) }
    }

    pub(super) fn counters(&self) -> Counters {
        Counters { phases: self.book().phases.clone() }
    }

    pub(super) fn begin_phase(&self, name: &str) -> Result<(), ProxyError> {
        let mut book = self.book();
        if book.phases.len() >= PHASES_LIMIT {
            return Err(ProxyError::Full { what: "phases", limit: PHASES_LIMIT });
        }
        let began_us = micros(self.now());
        book.phases.push(PhaseCounters {
            name: name.to_owned(),
            began_us,
            proxies: BTreeMap::new(),
        });
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Each change is complete before anything could panic.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn count(&mut self, proxy: &str, counts: &Counts) {
        let Some(phase) = self.phases.last_mut() else { return };
        match phase.proxies.get_mut(proxy) {
            Some(sum) => *sum += *counts,
            None => drop(phase.proxies.insert(proxy.to_owned(), *counts)),
        }
    }
}

impl Counts {
    /// What a decision adds.
    fn of(what: DecisionKind) -> Self {
        let mut counts = Self::default();
        match what {
            DecisionKind::ConnectionAccepted => counts.accepted = 1,
            DecisionKind::UpstreamFailed => counts.upstream_failed = 1,
            DecisionKind::ConnectionClosed => counts.closed = 1,
            DecisionKind::ConnectionCut => counts.cut = 1,
            DecisionKind::ConnectionReset => counts.reset = 1,
            DecisionKind::ConnectionBlackholed => counts.blackholed = 1,
            DecisionKind::ErrorInjected => counts.errors_injected = 1,
            DecisionKind::ProxyCreated
            | DecisionKind::ProxyDeleted
            | DecisionKind::ListenerOpened
            | DecisionKind::ListenerClosed
            | DecisionKind::AcceptFailed
            | DecisionKind::ConnectionHealed
            | DecisionKind::ToxicAdded
            | DecisionKind::ToxicUpdated
            | DecisionKind::ToxicRemoved
            | DecisionKind::ToxicEngaged
            | DecisionKind::ProtocolOpaque => {}
        }
        counts
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.upstream_failed += other.upstream_failed;
        self.closed += other.closed;
        self.cut += other.cut;
        self.reset += other.reset;
        self.blackholed += other.blackholed;
        self.errors_injected += other.errors_injected;
        self.bytes_up += other.bytes_up;
        self.bytes_down += other.bytes_down;
        self.swallowed_up += other.swallowed_up;
        self.swallowed_down += other.swallowed_down;
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_bounded_and_says_what_is_lost() {
        let recorder = Recorder::new();
        for _ in 0..DECISIONS_KEPT + 3 {
            recorder.note("p", None, Note::new(DecisionKind::ConnectionAccepted));
        }
        let all = recorder.decisions(1);
        assert_eq!((all.decisions.len(), all.lost), (DECISIONS_KEPT, 2));
        assert_eq!(all.decisions[0].number, 3);
        assert!(recorder.decisions(all.next).decisions.is_empty());
    }

    #[test]
    fn each_phase_counts_for_itself() {
        let recorder = Recorder::new();
        recorder.count("p", &Counts { bytes_up: 3, ..Counts::default() });
        recorder.begin_phase("fault").unwrap();
        recorder.count("p", &Counts { bytes_up: 4, ..Counts::default() });
        recorder.count("p", &Counts { bytes_up: 1, ..Counts::default() });
        let up: Vec<_> =
            recorder.counters().phases.iter().map(|phase| phase.proxies["p"].bytes_up).collect();
        assert_eq!(up, [3, 5]);
    }
}
