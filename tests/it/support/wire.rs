//! The PostgreSQL protocol as a server sees it, as far as sqlx speaks it to the tests' fake server.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A client's request for TLS; it comes before the start-up message and is no version.
pub(super) const TLS_REQUEST: u32 = 80_877_103;
/// The version of the protocol in a start-up message.
pub(super) const START_UP: u32 = 196_608;

/// What a client has said. The messages before the session has no kind; theirs is 0.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
}

/// Cuts a client's bytes into messages.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// The next message; `typed` once the start-up message has been read. `None` when the client has
    /// gone. A dropped future loses nothing.
    pub(super) async fn next(
        &mut self,
        stream: &mut TcpStream,
        typed: bool,
    ) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = self.cut(typed) {
                return Ok(Some(message));
            }
            if stream.read_buf(&mut self.bytes).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn cut(&mut self, typed: bool) -> Option<Message> {
        let kind = usize::from(typed);
        let length = self.bytes.get(kind..kind + 4)?;
        let end = kind + u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let body = self.bytes.get(kind + 4..end)?.to_vec();
        let message = Message { kind: if typed { self.bytes[0] } else { 0 }, body };
        self.bytes.drain(..end);
        Some(message)
    }
}

/// Reads the fields of a message's body, which the client has written well.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        head
    }

    pub(super) fn text(&mut self) -> String {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap();
        let text = String::from_utf8(self.bytes(end).to_vec()).unwrap();
        self.bytes(1);
        text
    }

    pub(super) fn int16(&mut self) -> u16 {
        u16::from_be_bytes(self.bytes(2).try_into().unwrap())
    }

    pub(super) fn int32(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes(4).try_into().unwrap())
    }
}

/// The columns of an answer's only row, by name.
pub(super) type Row = Vec<(String, Value)>;

/// A value in a row.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Bool(bool),
    Int4(i32),
    Int8(i64),
    Text(String),
}

impl Value {
    fn type_id(&self) -> u32 {
        match self {
            Self::Bool(_) => 16,
            Self::Int8(_) => 20,
            Self::Int4(_) => 23,
            Self::Text(_) => 25,
        }
    }

    fn bytes(&self, binary: bool) -> Vec<u8> {
        match self {
            Self::Bool(value) if binary => vec![u8::from(*value)],
            Self::Int4(value) if binary => value.to_be_bytes().into(),
            Self::Int8(value) if binary => value.to_be_bytes().into(),
            Self::Bool(value) => if *value { "t" } else { "f" }.into(),
            Self::Int4(value) => value.to_string().into(),
            Self::Int8(value) => value.to_string().into(),
            Self::Text(value) => value.clone().into(),
        }
    }
}

/// Messages to a client, in the order in which they are added.
#[derive(Debug, Default)]
pub(super) struct Answer(pub(super) Vec<u8>);

impl Answer {
    pub(super) fn message(mut self, kind: u8, body: &[u8]) -> Self {
        self.0.push(kind);
        self.0.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        self.0.extend(body);
        self
    }

    /// Asks for a proof of who the client is; 0 says that nothing (more) is asked.
    pub(super) fn authentication(self, code: u32, details: &[u8]) -> Self {
        self.message(b'R', &[&code.to_be_bytes(), details].concat())
    }

    pub(super) fn parameter(self, name: &str, value: &str) -> Self {
        self.message(b'S', format!("{name}\0{value}\0").as_bytes())
    }

    pub(super) fn key(self, pid: i32) -> Self {
        self.message(b'K', &[pid.to_be_bytes(), [7; 4]].concat())
    }

    pub(super) fn ready(self, in_transaction: bool) -> Self {
        self.message(b'Z', if in_transaction { b"T" } else { b"I" })
    }

    pub(super) fn error(self, severity: &str, state: &str) -> Self {
        let text = format!("S{severity}\0V{severity}\0C{state}\0Mscripted failure {state}\0\0");
        self.message(b'E', text.as_bytes())
    }

    pub(super) fn complete(self, tag: &str) -> Self {
        self.message(b'C', format!("{tag}\0").as_bytes())
    }

    /// The types of a prepared statement's parameters.
    pub(super) fn parameters(self, types: &[u32]) -> Self {
        let mut body = count(types.len());
        for id in types {
            body.extend(id.to_be_bytes());
        }
        self.message(b't', &body)
    }

    /// The columns of a row; `n` (no data) without any.
    pub(super) fn columns(self, row: &Row, binary: bool) -> Self {
        if row.is_empty() {
            return self.message(b'n', &[]);
        }
        let mut body = count(row.len());
        for (name, value) in row {
            body.extend(format!("{name}\0").as_bytes());
            // No table, no column of one.
            body.extend([0; 6]);
            body.extend(value.type_id().to_be_bytes());
            // The width and the modifier of the type, which nobody asks for.
            body.extend([0xff; 6]);
            body.extend(u16::from(binary).to_be_bytes());
        }
        self.message(b'T', &body)
    }

    pub(super) fn row(self, row: &Row, binary: bool) -> Self {
        let mut body = count(row.len());
        for (_, value) in row {
            let bytes = value.bytes(binary);
            body.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
            body.extend(bytes);
        }
        self.message(b'D', &body)
    }
}

fn count(length: usize) -> Vec<u8> {
    u16::try_from(length).unwrap().to_be_bytes().into()
}
