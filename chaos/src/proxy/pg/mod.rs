//! PostgreSQL's protocol as far as triggers need it: where messages begin and end, when a connection is
//! ready, and which answer belongs to which query. What is encrypted or not PostgreSQL passes unread.

mod back;
mod front;

use std::collections::VecDeque;

use tokio_util::bytes::{BufMut, Bytes, BytesMut};

use super::wire::Severity;

pub(super) use back::Back;
pub(super) use front::Front;

/// Bytes of a message's body that are looked at; a COMMIT and the names in front of it are shorter.
const CAPTURED: usize = 128;

/// Something that triggers wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The client's first message with user and database is about to be forwarded.
    Opening,
    /// The client is authenticated.
    Startup,
    /// The server is ready for a query; `in_transaction` if one is open.
    Ready { in_transaction: bool },
    /// A COMMIT was forwarded. `answer` is the number of the `ReadyForQuery` that answers it.
    Commit { answer: u64 },
    /// A request to cancel is about to be forwarded.
    Cancel,
    /// A query is about to be forwarded.
    Query { answer: u64 },
}

/// What a gate makes of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// To be forwarded.
    Pass(Bytes),
    /// Dropped, so many bytes.
    Dropped(usize),
    /// Happens now, before what follows is forwarded.
    Before(Event),
    /// Happens when everything so far is forwarded.
    After(Event),
    /// The connection ends after what was passed so far.
    Finish,
}

/// What both directions of a connection know together.
#[derive(Debug, Default)]
pub(super) struct Talk {
    stage: Stage,
    /// How many messages were sent that a `ReadyForQuery` answers, the start-up included.
    asked: u64,
    /// How many `ReadyForQuery` came.
    answered: u64,
    in_transaction: bool,
    /// Answers to be replaced by an error, in their order.
    replaced: VecDeque<Replacement>,
    /// An error that ends the connection, to be sent at the next border of messages.
    fatal: Option<Bytes>,
}

#[derive(Debug)]
struct Replacement {
    answer: u64,
    frame: Bytes,
    /// Whether the query itself is to be kept from the server.
    unasked: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// The client has sent nothing that is complete.
    #[default]
    Fresh,
    /// The client has asked for encryption; the answer is one byte.
    Negotiating,
    /// The client has sent its start-up message.
    Starting,
    /// The client is authenticated.
    Started,
    /// Nothing can be known.
    Opaque,
}

impl Talk {
    /// Whether messages cannot be told from each other.
    pub(super) fn opaque(&self) -> bool {
        self.stage == Stage::Opaque
    }

    /// Whether the client is authenticated.
    pub(super) fn started(&self) -> bool {
        self.stage == Stage::Started
    }

    /// Whether every query is answered.
    pub(super) fn idle(&self) -> bool {
        self.started() && self.asked == self.answered
    }

    /// Whether a transaction is open, as the server last said.
    pub(super) fn in_transaction(&self) -> bool {
        self.started() && self.in_transaction
    }

    /// Sends an error that ends the connection, after the message that is under way.
    pub(super) fn inject_fatal(&mut self, frame: Bytes) {
        self.fatal.get_or_insert(frame);
    }

    /// Replaces the answer to a query. After a [`Event::Query`] the server never sees the query.
    pub(super) fn replace(&mut self, event: Event, frame: Bytes) {
        let (answer, unasked) = match event {
            Event::Query { answer } => (answer, true),
            Event::Commit { answer } => (answer, false),
            Event::Opening | Event::Startup | Event::Ready { .. } | Event::Cancel => return,
        };
        if self.replaced.iter().all(|replacement| replacement.answer != answer) {
            self.replaced.push_back(Replacement { answer, frame, unasked });
        }
    }

    fn unasked(&self) -> bool {
        self.replaced
            .iter()
            .any(|replacement| replacement.unasked && replacement.answer == self.asked + 1)
    }
}

/// An `ErrorResponse` as a server sends it.
pub(super) fn error_response(severity: Severity, state: &str, message: &str) -> Bytes {
    let severity = match severity {
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    let mut body = BytesMut::new();
    for (field, value) in [(b'S', severity), (b'V', severity), (b'C', state), (b'M', message)] {
        body.put_u8(field);
        body.put_slice(value.as_bytes());
        body.put_u8(0);
    }
    body.put_u8(0);
    let mut frame = BytesMut::new();
    frame.put_u8(b'E');
    // The length counts itself. A message is far shorter than 4 GiB: a request's body is bounded.
    frame.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
    frame.put(body);
    frame.freeze()
}

/// Type and length of the body of a typed message, once its head is complete. An impossible length is
/// `None`.
fn head_of(rest: &[u8]) -> Option<(u8, Option<usize>)> {
    let (tag, rest) = rest.split_first()?;
    let (length, _) = rest.split_first_chunk()?;
    let length = u32::from_be_bytes(*length).checked_sub(4);
    Some((*tag, length.and_then(|length| usize::try_from(length).ok())))
}

/// A message whose head was read.
#[derive(Debug)]
struct Body {
    tag: u8,
    left: usize,
    /// Its beginning.
    captured: Vec<u8>,
    /// Whether it is not to be forwarded.
    dropped: bool,
}

impl Body {
    fn new(tag: u8, left: usize, dropped: bool) -> Self {
        Self { tag, left, captured: Vec::new(), dropped }
    }

    /// Reads what there is of it; whether it is complete.
    fn read(&mut self, cursor: &mut Cursor) -> bool {
        let rest = cursor.rest();
        let taken = rest.len().min(self.left);
        let wanted = taken.min(CAPTURED.saturating_sub(self.captured.len()));
        self.captured.extend_from_slice(rest.get(..wanted).unwrap_or_default());
        cursor.at += taken;
        self.left -= taken;
        self.left == 0
    }
}

/// A chunk that is being taken apart: what lies between `from` and `at` was read and not passed on yet.
#[derive(Debug, Default)]
struct Cursor {
    chunk: Bytes,
    from: usize,
    at: usize,
}

impl Cursor {
    /// Begins a chunk behind what was held back of the one before.
    fn feed(&mut self, bytes: Bytes) {
        let held = self.chunk.slice(self.from..);
        *self = if held.is_empty() {
            Self { chunk: bytes, from: 0, at: 0 }
        } else {
            let at = self.at - self.from;
            let mut joined = BytesMut::with_capacity(held.len() + bytes.len());
            joined.put(held);
            joined.put(bytes);
            Self { chunk: joined.freeze(), from: 0, at }
        };
    }

    fn rest(&self) -> &[u8] {
        self.chunk.get(self.at..).unwrap_or_default()
    }

    /// Takes what was read up to now.
    fn piece(&mut self, dropped: bool) -> Option<Piece> {
        let taken = self.chunk.slice(self.from..self.at);
        self.from = self.at;
        match (taken.len(), dropped) {
            (0, _) => None,
            (length, true) => Some(Piece::Dropped(length)),
            (_, false) => Some(Piece::Pass(taken)),
        }
    }

    /// Takes everything.
    fn end(&mut self) -> Option<Bytes> {
        let rest = self.chunk.slice(self.from..);
        *self = Self::default();
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests;
