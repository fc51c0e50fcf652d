//! A connector that does as it is told, and keeps the ground truth.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::pool::{CheckError, Connect, OpenError};

/// What the next call does. An empty script succeeds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Ok,
    Fail,
    /// The server refuses with this SQLSTATE.
    Refuse(&'static str),
    Never,
    After(Duration),
}

/// What was asked of the connector, and what it will do.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) open: VecDeque<Act>,
    pub(super) check: VecDeque<Act>,
    pub(super) reset: VecDeque<Act>,
    pub(super) close: VecDeque<Act>,
    pub(super) terminate: VecDeque<Act>,
    /// What calls do for which the script has nothing.
    pub(super) otherwise: Option<Act>,
    pub(super) read_only: bool,
    /// When each attempt to connect began.
    pub(super) attempts: Vec<Instant>,
    pub(super) opened: u32,
    pub(super) checked: u32,
    pub(super) resets: u32,
    /// Connections that said goodbye.
    pub(super) goodbyes: u32,
    /// Sessions that were to be ended.
    pub(super) terminated: Vec<u32>,
    /// Attempts to connect that are under way, and the most there ever were.
    pub(super) opening: u32,
    pub(super) most_opening: u32,
    /// Connections that exist.
    pub(super) alive: BTreeSet<u32>,
    pub(super) most_alive: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Scripted(pub(super) Arc<Mutex<Script>>);

/// A connection that is missed when it is gone.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: u32,
    script: Arc<Mutex<Script>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        assert!(self.script.lock().alive.remove(&self.id), "{} closed twice", self.id);
    }
}

impl Scripted {
    pub(super) fn opening(acts: impl IntoIterator<Item = Act>) -> Self {
        let connector = Self::default();
        connector.0.lock().open = acts.into_iter().collect();
        connector
    }

    /// Has the next calls of `part` do `acts`.
    pub(super) fn script(
        &self,
        part: impl FnOnce(&mut Script) -> &mut VecDeque<Act>,
        acts: impl IntoIterator<Item = Act>,
    ) {
        part(&mut self.0.lock()).extend(acts);
    }

    pub(super) fn look<T>(&self, read: impl FnOnce(&Script) -> T) -> T {
        read(&self.0.lock())
    }

    async fn play(
        &self,
        part: impl FnOnce(&mut Script) -> &mut VecDeque<Act>,
    ) -> Result<(), sqlx::Error> {
        let act = {
            let mut script = self.0.lock();
            let next = part(&mut script).pop_front();
            next.or(script.otherwise).unwrap_or(Act::Ok)
        };
        match act {
            Act::Ok => Ok(()),
            Act::After(delay) => {
                sleep(delay).await;
                Ok(())
            }
            Act::Never => std::future::pending().await,
            Act::Fail => Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into())),
            Act::Refuse(state) => Err(sqlx::Error::Database(Box::new(Refused(state)))),
        }
    }
}

impl Connect for Scripted {
    type Connection = Link;
    type Session = u32;

    async fn open(&self) -> Result<Link, sqlx::Error> {
        let attempt = Attempt::new(self);
        self.play(|script| &mut script.open).await?;
        drop(attempt);
        let mut script = self.0.lock();
        script.opened += 1;
        let id = script.opened;
        script.alive.insert(id);
        script.most_alive = script.most_alive.max(script.alive.len());
        Ok(Link { id, script: Arc::clone(&self.0) })
    }

    fn session(&self, connection: &Link) -> u32 {
        connection.id
    }

    fn is_read_only(&self, _connection: &Link) -> bool {
        self.0.lock().read_only
    }

    async fn check(&self, _connection: &mut Link) -> Result<(), CheckError> {
        self.0.lock().checked += 1;
        self.play(|script| &mut script.check).await.map_err(CheckError::Failed)
    }

    async fn reset(&self, _connection: &mut Link) -> Result<(), CheckError> {
        self.0.lock().resets += 1;
        self.play(|script| &mut script.reset).await.map_err(CheckError::Failed)
    }

    async fn close(&self, connection: Link) {
        // A goodbye that fails is none.
        if self.play(|script| &mut script.close).await.is_ok() {
            self.0.lock().goodbyes += 1;
        }
        drop(connection);
    }

    async fn terminate(&self, _through: &mut Link, sessions: &[u32]) -> Result<(), sqlx::Error> {
        self.0.lock().terminated.extend(sessions);
        self.play(|script| &mut script.terminate).await
    }
}

/// Counts an attempt to connect while it is under way.
struct Attempt(Arc<Mutex<Script>>);

impl Attempt {
    fn new(connector: &Scripted) -> Self {
        let mut script = connector.0.lock();
        script.attempts.push(Instant::now());
        script.opening += 1;
        script.most_opening = script.most_opening.max(script.opening);
        Self(Arc::clone(&connector.0))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.lock().opening -= 1;
    }
}

/// A server that refuses a connection with this SQLSTATE.
pub(super) fn refusal(state: &'static str) -> OpenError {
    OpenError::Failed(sqlx::Error::Database(Box::new(Refused(state))))
}

/// An error message of a server, as far as the pool looks at it.
#[derive(Debug, thiserror::Error)]
#[error("refused with {0}")]
struct Refused(&'static str);

impl sqlx::error::DatabaseError for Refused {
    fn message(&self) -> &'static str {
        "refused"
    }

    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some(self.0.into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> sqlx::error::ErrorKind {
        sqlx::error::ErrorKind::Other
    }
}
