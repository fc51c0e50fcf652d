//! The client's direction: start-up, queries and COMMIT.

use std::collections::{BTreeSet, VecDeque};

use tokio_util::bytes::Bytes;

use super::{Body, Cursor, Event, Piece, Stage, Talk, head_of};

/// Prepared statements that are known to be a COMMIT; a client has one or none.
const COMMITS_KNOWN: usize = 32;

/// The longest start-up message of the protocol.
const STARTUP_LIMIT: usize = 10_000;

/// Codes in place of the version in a first message.
const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// The message that only asks for a `ReadyForQuery`.
const SYNC: &[u8] = &[b'S', 0, 0, 0, 4];

/// Reads what the client sends. The incomplete head of a message is held back, so that a trigger can come
/// before any of it is forwarded.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Front {
    cursor: Cursor,
    pending: VecDeque<Piece>,
    /// The message whose body is being read.
    body: Option<Body>,
    /// Whether the message that begins at the cursor was announced.
    announced: bool,
    /// Messages are dropped up to the next Sync.
    skipping: bool,
    /// Whether the batch that the next Sync ends has a COMMIT.
    batch_commits: bool,
    commits: BTreeSet<Vec<u8>>,
}

impl Front {
    /// Gives the gate bytes; [`next`](Self::next) then says what becomes of them.
    pub(in crate::proxy) fn feed(&mut self, bytes: Bytes) {
        self.cursor.feed(bytes);
    }

    /// The next piece. Act on it before asking for the one after it.
    pub(in crate::proxy) fn next(&mut self, talk: &mut Talk) -> Option<Piece> {
        while self.pending.is_empty() && self.step(talk) {}
        self.pending.pop_front()
    }

    /// What is held back, at the end of the stream.
    pub(in crate::proxy) fn finish(&mut self) -> Option<Bytes> {
        self.cursor.end()
    }

    /// Reads on; `false` if there is nothing more to read.
    fn step(&mut self, talk: &mut Talk) -> bool {
        if talk.opaque() {
            self.pending.extend(self.cursor.end().map(Piece::Pass));
            return false;
        }
        let read = if self.body.is_some() {
            self.body(talk)
        } else if matches!(talk.stage, Stage::Fresh | Stage::Negotiating) {
            self.first(talk)
        } else {
            self.head(talk)
        };
        if !read {
            let dropped = self.body.as_ref().is_some_and(|body| body.dropped);
            self.pending.extend(self.cursor.piece(dropped));
        }
        read
    }

    /// A first message, which has no type.
    fn first(&mut self, talk: &mut Talk) -> bool {
        let rest = self.cursor.rest();
        // No length up to the limit begins otherwise, and what is not PostgreSQL must not wait.
        if rest.first().is_some_and(|byte| *byte != 0) || rest.get(1).is_some_and(|byte| *byte != 0)
        {
            talk.stage = Stage::Opaque;
            return true;
        }
        let Some((length, code)) = first_head(rest) else { return false };
        let event = match code {
            _ if !(8..=STARTUP_LIMIT).contains(&length) => None,
            SSL | GSS => {
                talk.stage = Stage::Negotiating;
                self.begin(8, Body::new(0, length - 8, false));
                return true;
            }
            CANCEL => Some(Event::Cancel),
            _ if code >> 16 == 3 => Some(Event::Opening),
            _ => None,
        };
        let Some(event) = event else {
            talk.stage = Stage::Opaque;
            return true;
        };
        if self.announce(event) {
            return true;
        }
        if event == Event::Opening {
            talk.stage = Stage::Starting;
            talk.asked = 1;
        }
        self.begin(8, Body::new(0, length - 8, false));
        true
    }

    /// The head of a typed message.
    fn head(&mut self, talk: &mut Talk) -> bool {
        let (tag, length) = match head_of(self.cursor.rest()) {
            None => return false,
            Some((tag, Some(length))) if tag.is_ascii_alphabetic() => (tag, length),
            Some(_) => {
                talk.stage = Stage::Opaque;
                return true;
            }
        };
        let query = matches!(tag, b'Q' | b'E') && !self.skipping;
        if query && self.announce(Event::Query { answer: talk.asked + 1 }) {
            return true;
        }
        let unasked = query && talk.unasked();
        self.skipping = (self.skipping && tag != b'S') || (unasked && tag == b'E');
        let dropped = unasked || self.skipping;
        if dropped {
            self.pending.extend(self.cursor.piece(false));
        }
        if unasked && tag == b'Q' {
            self.pending.push_back(Piece::Pass(Bytes::from_static(SYNC)));
        }
        if matches!(tag, b'Q' | b'F') && !self.skipping || tag == b'S' {
            talk.asked += 1;
        }
        self.begin(5, Body::new(tag, length, dropped));
        true
    }

    /// Says what comes before the message at the cursor, once.
    fn announce(&mut self, event: Event) -> bool {
        self.announced = !self.announced;
        if self.announced {
            self.pending.extend(self.cursor.piece(false));
            self.pending.push_back(Piece::Before(event));
        }
        self.announced
    }

    fn begin(&mut self, head: usize, body: Body) {
        self.cursor.at += head;
        self.body = Some(body);
    }

    fn body(&mut self, talk: &Talk) -> bool {
        let Some(body) = self.body.take_if(|body| body.read(&mut self.cursor)) else {
            return false;
        };
        if body.dropped {
            self.pending.extend(self.cursor.piece(true));
            return true;
        }
        let commits = match body.tag {
            b'Q' => is_commit(&body.captured),
            b'S' => std::mem::take(&mut self.batch_commits),
            b'P' => {
                self.parsed(&body.captured);
                false
            }
            b'B' => {
                let statement = body.captured.split(|byte| *byte == 0).nth(1).unwrap_or_default();
                self.batch_commits |= self.commits.contains(statement);
                false
            }
            _ => false,
        };
        if commits {
            self.pending.extend(self.cursor.piece(false));
            self.pending.push_back(Piece::After(Event::Commit { answer: talk.asked }));
        }
        true
    }

    /// Remembers which prepared statements are a COMMIT.
    fn parsed(&mut self, captured: &[u8]) {
        let mut parts = captured.splitn(2, |byte| *byte == 0);
        let (name, text) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if !is_commit(text) {
            self.commits.remove(name);
        } else if self.commits.len() < COMMITS_KNOWN {
            self.commits.insert(name.to_owned());
        }
    }
}

/// Length and code of a first message.
fn first_head(rest: &[u8]) -> Option<(usize, u32)> {
    let (length, rest) = rest.split_first_chunk()?;
    let (code, _) = rest.split_first_chunk()?;
    Some((usize::try_from(u32::from_be_bytes(*length)).ok()?, u32::from_be_bytes(*code)))
}

/// Whether a statement's text, with whatever follows it, ends a transaction for good.
fn is_commit(text: &[u8]) -> bool {
    let word = text
        .trim_ascii_start()
        .split(|byte| !byte.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    word.eq_ignore_ascii_case(b"commit") || word.eq_ignore_ascii_case(b"end")
}
