//! One connection of the fake server.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::fake_postgres::{Act, Script, Session, Shared, When};
use super::wire::{Answer, Fields, Inbox, Message, Row, START_UP, TLS_REQUEST, Value};

/// The process id of the first session. Large, so that the number means nothing else in a statement.
const FIRST_PID: i32 = 900_001;

/// The task of one connection.
pub(super) struct Backend {
    shared: Arc<Shared>,
    number: usize,
    stream: TcpStream,
    inbox: Inbox,
    orders: UnboundedReceiver<Act>,
    script: Script,
    in_transaction: bool,
    /// Prepared statements by name, with the types of their parameters.
    prepared: HashMap<String, (String, Vec<u32>)>,
    /// The statement of the portal, and the values bound to it.
    bound: (String, Vec<u8>),
    /// A statement has failed; what follows is skipped until the client's next `Sync`.
    failed: bool,
}

/// The connection is over.
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Backend {
    /// Counts the connection as open until it is dropped.
    pub(super) fn new(shared: &Arc<Shared>, stream: TcpStream) -> Self {
        let (sender, orders) = unbounded_channel();
        let mut state = shared.state.lock();
        let script = state.scripts.pop_front().unwrap_or_default();
        let number = state.sessions.len();
        let session = Session { open: true, started: false, received: Vec::new(), orders: sender };
        state.sessions.push(session);
        state.peak = state.peak.max(state.open());
        state.peak_starting = state.peak_starting.max(state.starting());
        Self {
            shared: Arc::clone(shared),
            number,
            stream,
            inbox: Inbox::default(),
            orders,
            script,
            in_transaction: false,
            prepared: HashMap::new(),
            bound: (String::new(), Vec::new()),
            failed: false,
        }
    }

    pub(super) async fn run(mut self) {
        let Err(Over) = self.serve().await;
    }

    async fn serve(&mut self) -> Result<Infallible, Over> {
        self.on(When::Accepted).await?;
        self.start_up().await?;
        self.shared.state.lock().sessions[self.number].started = true;
        loop {
            tokio::select! {
                // An order that was given before a statement was sent comes before its answer.
                biased;
                Some(act) = self.orders.recv() => self.act(act).await?,
                message = self.inbox.next(&mut self.stream, true) => {
                    self.answer(message?.ok_or(Over)?).await?;
                }
            }
        }
    }

    async fn start_up(&mut self) -> Result<(), Over> {
        loop {
            match Fields(&self.read(false).await?.body).int32() {
                TLS_REQUEST => {
                    self.on(When::Tls).await?;
                    self.stream.write_all(b"N").await?;
                }
                START_UP => break,
                // Nothing else is answered by a server either.
                _ => return Err(Over),
            }
        }
        if self.acts(When::Scram).next().is_some() {
            self.send(Answer::default().authentication(10, b"SCRAM-SHA-256\0\0")).await?;
            self.read(true).await?;
            self.on(When::Scram).await?;
        }
        self.on(When::StartUp).await?;
        let greeting = Answer::default()
            .authentication(0, &[])
            .parameter("server_version", "18.0")
            .parameter("client_encoding", "UTF8")
            .key(self.pid())
            .ready(false);
        self.send(greeting).await
    }

    async fn read(&mut self, typed: bool) -> Result<Message, Over> {
        self.inbox.next(&mut self.stream, typed).await?.ok_or(Over)
    }

    async fn send(&mut self, answer: Answer) -> Result<(), Over> {
        Ok(self.stream.write_all(&answer.0).await?)
    }

    fn pid(&self) -> i32 {
        FIRST_PID + i32::try_from(self.number).unwrap()
    }

    /// What is scripted for this moment.
    fn acts(&self, now: When) -> impl Iterator<Item = Act> + use<> {
        let always = self.shared.state.lock().always.clone();
        let both = self.script.clone().into_iter().chain(always);
        both.filter(move |(when, _)| *when == now).map(|(_, act)| act)
    }

    async fn on(&mut self, now: When) -> Result<(), Over> {
        for act in self.acts(now) {
            self.act(act).await?;
        }
        Ok(())
    }

    /// Does what is scripted for a statement; true if that was its answer.
    async fn on_statement(&mut self, sql: &str) -> Result<bool, Over> {
        self.shared.state.lock().sessions[self.number].received.push(sql.to_owned());
        let always = self.shared.state.lock().always.clone();
        let script = self.script.clone().into_iter().chain(always);
        for (when, act) in script {
            if let When::Statement(text) = when
                && sql.contains(text)
            {
                self.act(act).await?;
                if matches!(act, Act::Fail(_)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn act(&mut self, act: Act) -> Result<(), Over> {
        match act {
            Act::Delay(time) => {
                tokio::select! {
                    () = tokio::time::sleep(time) => return Ok(()),
                    () = told_to_end(&mut self.orders) => {}
                }
            }
            Act::Fail(state) => return self.send(Answer::default().error("ERROR", state)).await,
            // The client may still go, and an order may still end the session.
            Act::Silence => tokio::select! {
                () = told_to_end(&mut self.orders) => {}
                () = client_gone(&mut self.stream) => {}
            },
            Act::End(state) => self.send(Answer::default().error("FATAL", state)).await?,
            // The message is to have 96 bytes more.
            Act::HalfMessage => self.stream.write_all(&[b'T', 0, 0, 0, 100, 0, 1]).await?,
            Act::Garbage => self.stream.write_all(&[0xff; 64]).await?,
            Act::Reset => self.stream.set_zero_linger()?,
        }
        Err(Over)
    }

    async fn answer(&mut self, message: Message) -> Result<(), Over> {
        let mut fields = Fields(&message.body);
        let answer = Answer::default();
        let answer = match message.kind {
            b'X' => return Err(Over),
            b'Q' => {
                let text = fields.text();
                for sql in text.split(';').filter(|sql| !sql.trim().is_empty()) {
                    if self.on_statement(sql).await? {
                        break;
                    }
                    let answer = self.execute(sql, &[], false, true);
                    self.send(answer).await?;
                }
                answer.ready(self.in_transaction)
            }
            b'S' => {
                self.failed = false;
                answer.ready(self.in_transaction)
            }
            _ if self.failed => return Ok(()),
            b'P' => {
                let (name, sql) = (fields.text(), fields.text());
                let types = (0..fields.int16()).map(|_| fields.int32()).collect();
                self.prepared.insert(name, (sql, types));
                answer.message(b'1', &[])
            }
            b'D' => {
                let kind = fields.bytes(1)[0];
                let (sql, types) = match kind {
                    b'S' => self.prepared[&fields.text()].clone(),
                    _ => (self.bound.0.clone(), Vec::new()),
                };
                let answer = if kind == b'S' { answer.parameters(&types) } else { answer };
                answer.columns(&self.row(&sql, &[]), true)
            }
            b'B' => {
                let (_portal, name) = (fields.text(), fields.text());
                let sql = self.prepared[&name].0.clone();
                if self.on_statement(&sql).await? {
                    self.failed = true;
                    return Ok(());
                }
                self.bound = (sql, fields.0.to_vec());
                answer.message(b'2', &[])
            }
            b'E' => {
                let (sql, values) = self.bound.clone();
                self.execute(&sql, &values, true, false)
            }
            b'C' => answer.message(b'3', &[]),
            _ => answer,
        };
        self.send(answer).await
    }

    /// Runs a statement. Prepared ones are answered in binary, and their columns are told on their own.
    fn execute(&mut self, sql: &str, values: &[u8], binary: bool, columns: bool) -> Answer {
        let verb = sql.split_whitespace().next().unwrap_or_default().to_uppercase();
        match verb.as_str() {
            "BEGIN" => self.in_transaction = true,
            "COMMIT" | "ROLLBACK" => self.in_transaction = false,
            "SELECT" => {
                let row = self.row(sql, values);
                let answer = Answer::default();
                let answer = if columns { answer.columns(&row, binary) } else { answer };
                return answer.row(&row, binary).complete("SELECT 1");
            }
            _ => {}
        }
        Answer::default().complete(&verb)
    }

    /// The row that a query selects.
    fn row(&self, sql: &str, values: &[u8]) -> Row {
        let Some(list) = sql.trim().strip_prefix("SELECT ") else { return Row::new() };
        let (mut items, mut depth) = (vec![String::new()], 0);
        for word in list.split_inclusive([' ', ',', '(', ')']) {
            if depth == 0 && word.trim() == "FROM" {
                break;
            }
            depth += i32::from(word.ends_with('(')) - i32::from(word.ends_with(')'));
            match word.strip_suffix(',') {
                Some(last) if depth == 0 => {
                    items.last_mut().unwrap().push_str(last);
                    items.push(String::new());
                }
                _ => items.last_mut().unwrap().push_str(word),
            }
        }
        items.iter().map(|item| self.column(item.trim(), sql, values)).collect()
    }

    fn column(&self, item: &str, sql: &str, values: &[u8]) -> (String, Value) {
        let value = if item.contains("pg_terminate_backend") {
            Value::Int8(i64::from(self.terminate(sql, values)))
        } else if item.contains("statement_timestamp()") {
            Value::Bool(!self.in_transaction)
        } else if item.contains("pg_is_in_recovery()") {
            Value::Bool(self.shared.state.lock().standby)
        } else if item.contains("pg_backend_pid()") || item == "pid" {
            Value::Int4(self.pid())
        } else if item.contains("backend_start") {
            Value::Int8(i64::from(self.pid()))
        } else if let Ok(number) = item.parse() {
            Value::Int4(number)
        } else {
            Value::Text(format!("the fake server does not know {item}"))
        };
        let name = item.rsplit(' ').next().unwrap_or(item).split('(').next().unwrap_or(item);
        (name.to_owned(), value)
    }

    /// Ends the sessions whose process ids a statement names, in its text or in the values bound to it.
    fn terminate(&self, sql: &str, values: &[u8]) -> bool {
        let state = self.shared.state.lock();
        let mut found = false;
        for (session, pid) in state.sessions.iter().zip(FIRST_PID..) {
            let named = sql.contains(&pid.to_string())
                || values.windows(4).any(|bytes| bytes == pid.to_be_bytes());
            if named && session.open {
                found = true;
                session.orders.send(Act::End("57P01")).unwrap_or_default();
            }
        }
        found
    }
}

/// Waits for the order to end the session, and does nothing of what else is ordered.
async fn told_to_end(orders: &mut UnboundedReceiver<Act>) {
    while !matches!(orders.recv().await, Some(Act::End(_)) | None) {}
}

/// Reads whatever comes until the client closes the connection.
pub(super) async fn client_gone(stream: &mut TcpStream) {
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.state.lock().sessions[self.number].open = false;
    }
}
