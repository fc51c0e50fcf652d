//! The server's direction: when a connection is ready, and errors in the server's name.

use std::collections::VecDeque;

use tokio_util::bytes::Bytes;

use super::{Body, Cursor, Event, Piece, Stage, Talk, head_of};

/// Reads what the server sends, and puts errors between its messages.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Back {
    cursor: Cursor,
    pending: VecDeque<Piece>,
    /// The message whose body is being read.
    body: Option<Body>,
    /// An error was sent that ends the connection; nothing follows it.
    finished: bool,
}

impl Back {
    /// Gives the gate bytes; [`next`](Self::next) then says what becomes of them.
    pub(in crate::proxy) fn feed(&mut self, bytes: Bytes) {
        self.cursor.feed(bytes);
    }

    /// The next piece, which may come without new bytes when an error waits. Act on it before asking for the
    /// one after it.
    pub(in crate::proxy) fn next(&mut self, talk: &mut Talk) -> Option<Piece> {
        while self.pending.is_empty() && self.step(talk) {}
        self.pending.pop_front()
    }

    /// What is held back, at the end of the stream.
    pub(in crate::proxy) fn finish(&mut self) -> Option<Bytes> {
        if self.finished { None } else { self.cursor.end() }
    }

    /// Reads on; `false` if there is nothing more to read.
    fn step(&mut self, talk: &mut Talk) -> bool {
        if self.finished {
            let dropped = self.cursor.end().map(|bytes| Piece::Dropped(bytes.len()));
            self.pending.extend(dropped);
            return false;
        }
        if talk.opaque() {
            self.pending.extend(self.cursor.end().map(Piece::Pass));
            return false;
        }
        let read = if self.body.is_some() {
            self.body(talk)
        } else if let Some(frame) = talk.fatal.take() {
            self.pending.extend(self.cursor.piece(false));
            self.pending.extend([Piece::Pass(frame), Piece::Finish]);
            self.finished = true;
            true
        } else {
            self.head(talk)
        };
        if !read {
            let dropped = self.body.as_ref().is_some_and(|body| body.dropped);
            self.pending.extend(self.cursor.piece(dropped));
        }
        read
    }

    fn head(&mut self, talk: &mut Talk) -> bool {
        let rest = self.cursor.rest();
        let Some(first) = rest.first() else { return false };
        match (talk.stage, *first) {
            (Stage::Negotiating, b'N') => {
                talk.stage = Stage::Fresh;
                self.cursor.at += 1;
                return true;
            }
            // A server that is too old to know the question.
            (Stage::Negotiating, b'E') => talk.stage = Stage::Starting,
            (Stage::Negotiating | Stage::Fresh | Stage::Opaque, _) => {
                talk.stage = Stage::Opaque;
                return true;
            }
            (Stage::Starting | Stage::Started, _) => {}
        }
        let (tag, length) = match head_of(rest) {
            None => return false,
            Some((tag, Some(length))) if tag.is_ascii_graphic() => (tag, length),
            Some(_) => {
                talk.stage = Stage::Opaque;
                return true;
            }
        };
        let answer = talk.answered + 1;
        let dropped = talk.replaced.front().is_some_and(|replaced| replaced.answer == answer);
        if dropped {
            self.pending.extend(self.cursor.piece(false));
        }
        self.cursor.at += 5;
        self.body = Some(Body::new(tag, length, dropped));
        true
    }

    fn body(&mut self, talk: &mut Talk) -> bool {
        let Some(body) = self.body.take_if(|body| body.read(&mut self.cursor)) else {
            return false;
        };
        match body.tag {
            b'R' if body.captured.starts_with(&[0; 4]) => {
                talk.stage = Stage::Started;
                self.pending.extend(self.cursor.piece(body.dropped));
                self.pending.push_back(Piece::After(Event::Startup));
            }
            b'Z' => self.ready(talk, &body),
            _ if body.dropped => self.pending.extend(self.cursor.piece(true)),
            _ => {}
        }
        true
    }

    fn ready(&mut self, talk: &mut Talk, body: &Body) {
        let status = body.captured.first().copied().unwrap_or(b'I');
        talk.answered += 1;
        talk.in_transaction = status != b'I';
        self.pending.extend(self.cursor.piece(body.dropped));
        if let Some(replaced) = talk.replaced.pop_front_if(|_| body.dropped) {
            // An error leaves a transaction that can only be rolled back, as far as the client knows.
            let status = if status == b'T' { b'E' } else { status };
            let ready = Bytes::copy_from_slice(&[b'Z', 0, 0, 0, 5, status]);
            self.pending.extend([Piece::Pass(replaced.frame), Piece::Pass(ready)]);
        }
        let event = Event::Ready { in_transaction: talk.in_transaction };
        self.pending.push_back(Piece::After(event));
    }
}
