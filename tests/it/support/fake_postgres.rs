//! A PostgreSQL server made of nothing but its protocol, for the faults that a real one does not show on
//! demand: it falls silent, breaks off in the middle of a message, resets, refuses, is a standby.
//!
//! It lives in the runtime of its test. What it is asked in SQL it answers from a short list, always with
//! one row; what it has not been told to do, it does well.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use super::backend::{Backend, client_gone};
use super::wire::TLS_REQUEST;

/// What the pool's check of a connection has in it, and no other statement.
pub(crate) const PROBE: &str = "statement_timestamp()";

/// When a connection's fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Before anything was read from it.
    Accepted,
    /// In answer to the client's wish for TLS, which is declined otherwise.
    Tls,
    /// In answer to the first message of SCRAM, which is asked for only by this.
    Scram,
    /// In answer to the start-up message.
    StartUp,
    /// In answer to a statement that contains this text.
    Statement(&'static str),
}

/// What a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Says nothing from now on and leaves the connection open.
    Silence,
    /// Goes on as usual after this time.
    Delay(Duration),
    /// Says that the statement failed, with this SQLSTATE, and goes on.
    Fail(&'static str),
    /// Says that the session is over, with this SQLSTATE, and closes it.
    End(&'static str),
    /// Breaks off in the middle of a message and closes.
    HalfMessage,
    /// Says what is no message.
    Garbage,
    /// Resets the connection.
    Reset,
}

pub(super) type Script = Vec<(When, Act)>;

/// The server. Its sessions are numbered from 0 in the order in which they were accepted.
#[derive(Debug)]
pub(crate) struct FakePostgres {
    shared: Arc<Shared>,
    listener: AbortHandle,
}

#[derive(Debug)]
pub(super) struct Shared {
    port: u16,
    tasks: TaskTracker,
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// What the next connections do, one script each.
    pub(super) scripts: VecDeque<Script>,
    /// What every connection does beside its script.
    pub(super) always: Script,
    pub(super) standby: bool,
    clients_ask_for_tls: bool,
    pub(super) sessions: Vec<Session>,
    pub(super) peak: usize,
    pub(super) peak_starting: usize,
}

/// What is known about a connection, open or not.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) open: bool,
    pub(super) started: bool,
    pub(super) received: Vec<String>,
    pub(super) orders: UnboundedSender<Act>,
}

impl State {
    pub(super) fn open(&self) -> usize {
        self.sessions.iter().filter(|session| session.open).count()
    }

    pub(super) fn starting(&self) -> usize {
        self.sessions.iter().filter(|session| session.open && !session.started).count()
    }
}

impl FakePostgres {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            port: listener.local_addr().unwrap().port(),
            tasks: TaskTracker::new(),
            state: Mutex::default(),
        });
        let listener = listen(&shared, listener);
        Self { shared, listener }
    }

    /// As [`options`](Self::options), but with a request for encryption before each start-up. What only knocks is
    /// then a connection too.
    pub(crate) fn options_with_tls(&self) -> PgConnectOptions {
        self.shared.state.lock().clients_ask_for_tls = true;
        self.options().ssl_mode(PgSslMode::Prefer)
    }

    /// How to connect.
    pub(crate) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .ssl_mode(PgSslMode::Disable)
            .host("127.0.0.1")
            .port(self.shared.port)
            .username("somebody")
            .database("postgres")
    }

    /// Refuses connections from now on; those that are open stay so.
    pub(crate) async fn stop_listening(&self) {
        self.listener.abort();
        while !self.listener.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Takes connections again.
    pub(crate) async fn listen_again(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.shared.port)).await.unwrap();
        self.listener = listen(&self.shared, listener);
    }

    /// What the next new connection does; may be called for several in advance.
    pub(crate) fn next(&self, script: impl IntoIterator<Item = (When, Act)>) {
        self.shared.state.lock().scripts.push_back(script.into_iter().collect());
    }

    /// What every connection does from now on, instead of what was said here before.
    pub(crate) fn always(&self, script: impl IntoIterator<Item = (When, Act)>) {
        self.shared.state.lock().always = script.into_iter().collect();
    }

    /// What one open session does now, unasked.
    pub(crate) fn now(&self, session: usize, act: Act) {
        // One that has ended cannot do anything any more.
        self.shared.state.lock().sessions[session].orders.send(act).unwrap_or_default();
    }

    /// What all open sessions do now, unasked.
    pub(crate) fn now_all(&self, act: Act) {
        (0..self.ever()).for_each(|session| self.now(session, act));
    }

    /// Whether it is a standby from now on, as an old primary is after a failover.
    pub(crate) fn set_standby(&self, standby: bool) {
        self.shared.state.lock().standby = standby;
    }

    /// Connections open at this instant.
    pub(crate) fn open(&self) -> usize {
        self.shared.state.lock().open()
    }

    /// Connections accepted since the start.
    pub(crate) fn ever(&self) -> usize {
        self.shared.state.lock().sessions.len()
    }

    /// The most connections open at once.
    pub(crate) fn peak(&self) -> usize {
        self.shared.state.lock().peak
    }

    /// The most connections that were in their start-up at once.
    pub(crate) fn peak_starting(&self) -> usize {
        self.shared.state.lock().peak_starting
    }

    /// Whether a session's connection is open.
    pub(crate) fn is_open(&self, session: usize) -> bool {
        self.shared.state.lock().sessions[session].open
    }

    /// The statements of one session, in order.
    pub(crate) fn received(&self, session: usize) -> Vec<String> {
        self.shared.state.lock().sessions[session].received.clone()
    }
}

fn listen(shared: &Arc<Shared>, listener: TcpListener) -> AbortHandle {
    let weak = Arc::downgrade(shared);
    let accepting = async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Some(shared) = weak.upgrade() else { return };
            // Or an answer of several messages waits for the kernel's own clock.
            stream.set_nodelay(true).unwrap();
            if is_knock(&shared, &stream).await {
                let silent =
                    shared.state.lock().always.iter().any(|(when, _)| *when == When::Accepted);
                shared.tasks.spawn(answer_knock(stream, silent));
                continue;
            }
            shared.tasks.spawn(Backend::new(&shared, stream).run());
        }
    };
    shared.tasks.spawn(accepting).abort_handle()
}

/// Whether a client only asks whether anybody is there: with the request for encryption, which clients of this
/// server do not make otherwise unless the test says so.
async fn is_knock(shared: &Shared, stream: &TcpStream) -> bool {
    let mut head = [0; 8];
    while stream.peek(&mut head).await.is_ok_and(|count| (1..head.len()).contains(&count)) {
        tokio::task::yield_now().await;
    }
    let asks = head[4..] == TLS_REQUEST.to_be_bytes();
    asks && !shared.state.lock().clients_ask_for_tls
}

/// Says that there is no encryption, or nothing. A client that is gone already did not want to know.
async fn answer_knock(mut stream: TcpStream, silent: bool) {
    if !silent {
        stream.write_all(b"N").await.unwrap_or_default();
    }
    client_gone(&mut stream).await;
}
