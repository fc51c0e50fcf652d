//! Streams of messages, cut at every possible place.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A typed message.
fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    message.extend(body);
    message
}

/// A first message.
fn first(code: u32, body: &[u8]) -> Vec<u8> {
    let mut message = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
    message.extend(code.to_be_bytes());
    message.extend(body);
    message
}

fn startup() -> Vec<u8> {
    first(196_608, b"user\0me\0\0")
}

#[derive(Default)]
struct Wire {
    talk: Talk,
    front: Front,
    back: Back,
    /// What was forwarded, and at which byte of it each event came.
    sent: Vec<u8>,
    received: Vec<u8>,
    events: Vec<(Event, usize)>,
    /// Replaces the answer to the query of this number.
    fail: Option<(u64, Bytes)>,
    finished: bool,
}

impl Wire {
    fn client(&mut self, bytes: &[u8]) {
        self.front.feed(Bytes::copy_from_slice(bytes));
        while let Some(piece) = self.front.next(&mut self.talk) {
            match piece {
                Piece::Pass(bytes) => self.sent.extend(&bytes),
                Piece::Dropped(_) => {}
                Piece::Before(event) | Piece::After(event) => {
                    self.events.push((event, self.sent.len()));
                    if let (Event::Query { answer }, Some((failing, frame))) = (event, &self.fail)
                        && answer == *failing
                    {
                        self.talk.replace(event, frame.clone());
                    }
                }
                Piece::Finish => panic!("the client's direction never finishes"),
            }
        }
    }

    fn server(&mut self, bytes: &[u8]) {
        self.back.feed(Bytes::copy_from_slice(bytes));
        while let Some(piece) = self.back.next(&mut self.talk) {
            match piece {
                Piece::Pass(bytes) => self.received.extend(&bytes),
                Piece::Dropped(_) => {}
                Piece::Before(event) | Piece::After(event) => {
                    self.events.push((event, self.received.len()));
                }
                Piece::Finish => self.finished = true,
            }
        }
    }

    /// A connection that is ready.
    fn ready() -> Self {
        let mut wire = Self::default();
        wire.client(&startup());
        wire.server(&message(b'R', &[0; 4]));
        wire.server(&message(b'Z', b"I"));
        wire.events.clear();
        wire.sent.clear();
        wire.received.clear();
        wire
    }
}

/// Cuts `bytes` into chunks of these sizes, again and again.
fn chunks(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*size).min(rest.len()));
        chunks.push(chunk.to_vec());
        rest = after;
    }
    chunks
}

proptest! {
    #[test]
    fn nothing_is_lost_and_events_come_at_the_same_byte_however_chunks_are_cut(
        sizes in vec(1_usize..40, 1..20),
        bodies in vec((prop::sample::select(b"QPBESpd".to_vec()), vec(any::<u8>(), 0..200)), 0..20),
    ) {
        let mut bytes = startup();
        for (tag, body) in &bodies {
            bytes.extend(message(*tag, body));
        }
        let mut whole = Wire::default();
        whole.client(&bytes);
        let mut cut = Wire::default();
        for chunk in chunks(&bytes, &sizes) {
            cut.client(&chunk);
        }
        prop_assert_eq!(&whole.sent, &bytes);
        prop_assert_eq!(&cut.sent, &bytes);
        prop_assert_eq!(whole.events, cut.events);
    }

    #[test]
    fn what_is_not_postgresql_passes_at_once(bytes in vec(any::<u8>(), 1..200), sizes in vec(1_usize..9, 1..9)) {
        prop_assume!(bytes[0] != 0);
        let mut wire = Wire::default();
        let mut sent = 0;
        for chunk in chunks(&bytes, &sizes) {
            sent += chunk.len();
            wire.client(&chunk);
            prop_assert_eq!(wire.sent.len(), sent, "held back");
        }
        wire.server(&bytes);
        prop_assert_eq!(&wire.sent, &bytes);
        prop_assert_eq!(&wire.received, &bytes);
        prop_assert!(wire.talk.opaque());
    }

    #[test]
    fn an_error_replaces_one_answer_and_the_query_is_never_asked(sizes in vec(1_usize..40, 1..9)) {
        let mut wire = Wire::ready();
        let frame = error_response(Severity::Error, "40001", "again");
        wire.fail = Some((3, frame.clone()));
        let begin = message(b'Q', b"BEGIN\0");
        let query: Vec<u8> = [message(b'P', b"\0SELECT 1\0\0\0"), message(b'B', b"\0\0\0\0\0\0\0\0"),
            message(b'E', b"\0\0\0\0\0"), message(b'S', b"")].concat();
        for chunk in chunks(&[begin.clone(), query].concat(), &sizes) {
            wire.client(&chunk);
        }
        let asked = [begin, message(b'P', b"\0SELECT 1\0\0\0"), message(b'B', b"\0\0\0\0\0\0\0\0"),
            message(b'S', b"")].concat();
        prop_assert_eq!(&wire.sent, &asked);
        let begun = [message(b'C', b"BEGIN\0"), message(b'Z', b"T")].concat();
        let answers = [begun.clone(), message(b'1', b""), message(b'2', b""), message(b'Z', b"T"),
            message(b'N', b"later\0")].concat();
        for chunk in chunks(&answers, &sizes) {
            wire.server(&chunk);
        }
        let expected = [begun, frame.to_vec(), message(b'Z', b"E"), message(b'N', b"later\0")].concat();
        prop_assert_eq!(&wire.received, &expected);
        prop_assert!(!wire.finished);
    }
}

#[test]
fn a_commit_is_known_in_both_protocols_and_by_its_statement() {
    let simple = message(b'Q', b"  commit;\0");
    let mut wire = Wire::ready();
    wire.client(&simple);
    assert_eq!(
        wire.events,
        [(Event::Query { answer: 2 }, 0), (Event::Commit { answer: 2 }, simple.len())]
    );

    let mut wire = Wire::ready();
    wire.client(&message(b'P', b"s1\0COMMIT\0\0\0"));
    wire.client(&message(b'S', b""));
    wire.client(&message(b'P', b"s2\0SELECT 'commit'\0\0\0"));
    wire.client(&message(b'B', b"\0s2\0\0\0\0\0\0\0"));
    wire.client(&message(b'S', b""));
    assert!(wire.events.is_empty());
    wire.client(&message(b'B', b"\0s1\0\0\0\0\0\0\0"));
    wire.client(&message(b'E', b"\0\0\0\0\0"));
    wire.client(&message(b'S', b""));
    let events: Vec<_> = wire.events.iter().map(|(event, _)| *event).collect();
    assert_eq!(events, [Event::Query { answer: 4 }, Event::Commit { answer: 4 }]);
}

#[test]
fn a_start_up_after_a_refused_encryption_is_read_and_an_accepted_one_is_opaque() {
    let mut wire = Wire::default();
    wire.client(&first(80_877_103, b""));
    wire.server(b"N");
    wire.client(&startup());
    wire.server(&[message(b'R', &[0, 0, 0, 10]), message(b'R', &[0; 4])].concat());
    assert!(wire.talk.started() && !wire.talk.idle());
    wire.server(&message(b'Z', b"T"));
    assert!(wire.talk.idle() && wire.talk.in_transaction());

    let mut wire = Wire::default();
    wire.client(&first(80_877_103, b""));
    wire.server(b"S");
    assert!(wire.talk.opaque());
}

#[test]
fn a_request_to_cancel_is_announced_before_it_passes() {
    let mut wire = Wire::default();
    wire.client(&first(80_877_102, &[0; 8]));
    assert_eq!(wire.events, [(Event::Cancel, 0)]);
}

#[test]
fn a_fatal_error_comes_between_two_messages_and_ends_everything() {
    let mut wire = Wire::ready();
    let row = message(b'D', b"row");
    wire.server(&row[..6]);
    let frame = error_response(Severity::Fatal, "57P01", "bye");
    wire.talk.inject_fatal(frame.clone());
    wire.server(&row[6..]);
    wire.server(&row);
    assert_eq!(wire.received, [row, frame.to_vec()].concat());
    assert!(wire.finished);
}
