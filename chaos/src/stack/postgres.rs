//! One PostgreSQL, whoever runs it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, sleep, timeout};

use super::choose;
use super::cluster::Cluster;
use super::container::Container;
use super::{Action, Choice, Provider, StackError, State, Wanted, steps};
use crate::journal::Journal;

/// The superuser that the runner makes, and the database it uses.
pub(super) const SUPERUSER: &str = "postgres";
/// How long a server of our own may take until it takes connections: recovery after a crash on a
/// busy machine takes some seconds, and a bulk load before it some more.
const READY: Duration = Duration::from_mins(1);
/// How long a server that somebody else runs may take, while it says that it is starting.
const READY_ELSEWHERE: Duration = Duration::from_secs(10);
/// How long one try to connect may take. A port may take connections and say nothing.
pub(super) const TRY: Duration = Duration::from_secs(3);
/// The SQLSTATE of a server that is starting.
const CANNOT_CONNECT_NOW: &str = "57P03";
/// Between two tries: short beside a start, long beside the cost of a try.
const RETRY: Duration = Duration::from_millis(50);
/// The most of a log that is read, in bytes: about ten thousand lines.
pub(super) const LOG_BYTES: usize = 1 << 20;
/// The most of a log that goes into an error, in lines.
const LOG_LINES: usize = 30;

/// A PostgreSQL with pgvector.
///
/// Dropping it removes what was made for it, as well as that can be done without waiting for long;
/// [`Postgres::remove`] says whether it worked.
///
/// # Cancel safety
///
/// A step whose future was dropped may have been done or not, and the state is then not known to
/// match. Removing the server is still right, by any way.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    state: State,
    /// Straight to the server, as superuser.
    options: PgConnectOptions,
    address: SocketAddr,
}

/// Who runs it.
#[derive(Debug)]
pub(super) enum Server {
    Url,
    Container(Box<Container>),
    Process(Box<Cluster>),
}

impl Postgres {
    /// Starts a PostgreSQL for the run `run` and waits until it takes connections: at most a minute,
    /// plus what making it takes.
    ///
    /// # Errors
    ///
    /// The provider cannot be used here, or the server does not come up. Nothing is left then.
    ///
    /// # Cancel safety
    ///
    /// What was made when the future is dropped is removed, or still in the journal.
    pub async fn start_new(
        choice: Choice,
        wanted: &Wanted,
        run: &str,
        journal: &Journal,
    ) -> Result<Self, StackError> {
        let provider = choose::decide(choice, wanted).await?;
        wanted.check()?;
        match provider {
            Provider::Url => Self::elsewhere(wanted).await,
            Provider::Container => {
                let (container, address, password) =
                    Container::create(wanted, run, journal).await?;
                Self::ours(Server::Container(Box::new(container)), address, &password).await
            }
            Provider::Process => {
                let (cluster, address, password) = Cluster::create(wanted, journal).await?;
                Self::ours(Server::Process(Box::new(cluster)), address, &password).await
            }
        }
    }

    async fn ours(server: Server, address: SocketAddr, password: &str) -> Result<Self, StackError> {
        let options = PgConnectOptions::new_without_pgpass()
            .ssl_mode(PgSslMode::Disable)
            .username(SUPERUSER)
            .password(password)
            .database(SUPERUSER);
        let mut postgres =
            Self { server, state: State::Running, options: at(options, address), address };
        postgres.until_ready(READY).await?;
        Ok(postgres)
    }

    async fn elsewhere(wanted: &Wanted) -> Result<Self, StackError> {
        let url = wanted.url.as_deref().ok_or(StackError::NoUrl)?;
        let (options, address) = choose::locate(url).await?;
        let named = match options.get_host().parse::<IpAddr>() {
            Ok(_) => address.to_string(),
            Err(_name) => format!("{}:{}", options.get_host(), address.port()),
        };
        let postgres = Self { server: Server::Url, state: State::Running, options, address };
        postgres.until_met(named).await?;
        for (name, wanted) in &wanted.settings {
            let question = "SELECT current_setting($1)";
            let found = postgres.ask(question, Some(name)).await?;
            if found != *wanted {
                let (address, name, wanted) = (address.to_string(), name.clone(), wanted.clone());
                return Err(StackError::Setting { address, name, found, wanted });
            }
        }
        Ok(postgres)
    }

    /// Who runs it.
    pub fn provider(&self) -> Provider {
        match self.server {
            Server::Url => Provider::Url,
            Server::Container(_) => Provider::Container,
            Server::Process(_) => Provider::Process,
        }
    }

    /// What the server does, as far as the steps taken here tell.
    pub fn state(&self) -> State {
        self.state
    }

    /// Where the server takes connections. A start may change it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How a superuser connects, straight to the server. A start may change it.
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// How a superuser connects through a proxy at `address`.
    pub fn options_via(&self, address: SocketAddr) -> PgConnectOptions {
        at(self.options(), address)
    }

    /// The URL with which a superuser connects through a proxy at `address`. It holds the password.
    pub fn url_via(&self, address: SocketAddr) -> String {
        // A URL has brackets around an address of the newer kind, the resolver wants none.
        let host = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        self.options().host(&host).port(address.port()).to_url_lossy().to_string()
    }

    /// The version that the server names, such as `17.5`.
    pub async fn version(&self) -> Result<String, StackError> {
        self.ask("SELECT current_setting('server_version')", None).await
    }

    /// Ends the server gently: sessions get an error that says so, everything is written. Bounded.
    pub async fn stop(&mut self) -> Result<(), StackError> {
        self.act(Action::Stop).await
    }

    /// Ends the server as a crash does, frozen or not; returns when nothing of it runs.
    pub async fn kill(&mut self) -> Result<(), StackError> {
        self.act(Action::Kill).await
    }

    /// Starts the server again, with the same data, and waits until it takes connections; at most a
    /// minute. The address may be another one.
    pub async fn start(&mut self) -> Result<(), StackError> {
        self.act(Action::Start).await
    }

    /// Lets the server do nothing at all. The system still takes connections for it, and says nothing.
    pub async fn freeze(&mut self) -> Result<(), StackError> {
        self.act(Action::Freeze).await
    }

    /// Lets a frozen server go on where it was.
    pub async fn thaw(&mut self) -> Result<(), StackError> {
        self.act(Action::Thaw).await
    }

    /// The server's log so far, at most the last mebibyte; where it cannot be had, why not.
    pub async fn log(&self) -> String {
        match &self.server {
            Server::Url => "(the log of a server given by its URL cannot be read)".to_owned(),
            Server::Container(container) => container.log().await,
            Server::Process(cluster) => cluster.log().await,
        }
    }

    /// Ends the server and removes what was made for it. One given by its URL is left alone.
    pub async fn remove(self) -> Result<(), StackError> {
        match self.server {
            Server::Url => Ok(()),
            Server::Container(container) => container.remove().await,
            Server::Process(cluster) => cluster.remove().await,
        }
    }

    async fn act(&mut self, action: Action) -> Result<(), StackError> {
        for &step in steps(self.state, action)? {
            self.step(step).await?;
            self.state = match step {
                Action::Stop | Action::Kill => State::Down,
                Action::Start | Action::Thaw => State::Running,
                Action::Freeze => State::Frozen,
            };
        }
        Ok(())
    }

    async fn step(&mut self, step: Action) -> Result<(), StackError> {
        self.hand_on(step).await?;
        if step != Action::Start {
            return Ok(());
        }
        let Err(error) = self.until_ready(READY).await else { return Ok(()) };
        // It counts as down, so it may not be half up.
        if let Err(error) = self.hand_on(Action::Kill).await {
            tracing::warn!(%error, "a PostgreSQL that does not come up cannot be killed either");
        }
        Err(error)
    }

    async fn hand_on(&mut self, step: Action) -> Result<(), StackError> {
        let moved = match &mut self.server {
            Server::Url => {
                let reason = "somebody else runs it; choose the provider `container` or `process`";
                return Err(StackError::Unsupported {
                    provider: Provider::Url,
                    action: step,
                    reason,
                });
            }
            Server::Container(container) => container.act(step).await?,
            Server::Process(cluster) => cluster.act(step).await?,
        };
        if let Some(address) = moved {
            self.address = address;
            self.options = at(self.options(), address);
        }
        Ok(())
    }

    /// Waits until a connection works and answers.
    async fn until_ready(&mut self, limit: Duration) -> Result<(), StackError> {
        let deadline = Instant::now() + limit;
        loop {
            let refusal = match timeout(TRY, self.greet()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => Some(Box::new(error)),
                Err(_elapsed) => None,
            };
            let ended = match &mut self.server {
                Server::Url => false,
                Server::Container(container) => container.has_ended().await?,
                Server::Process(cluster) => cluster.has_ended()?,
            };
            if ended {
                return Err(StackError::Ended { log: last_lines(&self.log().await) });
            }
            if Instant::now() >= deadline {
                let (address, log) = (self.address.to_string(), last_lines(&self.log().await));
                return Err(StackError::NotReady { address, waited: limit, log, source: refusal });
            }
            sleep(RETRY).await;
        }
    }

    /// Connects to a server that somebody else runs, known to people as `named`. It should be there: only one that
    /// says that it is starting is waited for.
    async fn until_met(&self, named: String) -> Result<(), StackError> {
        let deadline = Instant::now() + READY_ELSEWHERE;
        loop {
            let silent = |_elapsed| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
            let Err(error) = timeout(TRY, self.greet()).await.unwrap_or_else(silent) else {
                return Ok(());
            };
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
            if code.as_deref() != Some(CANNOT_CONNECT_NOW) || Instant::now() >= deadline {
                return Err(StackError::Unreachable { address: named, source: Box::new(error) });
            }
            sleep(RETRY).await;
        }
    }

    async fn greet(&self) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        sqlx::query("SELECT 1").execute(&mut connection).await?;
        connection.close().await
    }

    async fn ask(
        &self,
        question: &'static str,
        argument: Option<&str>,
    ) -> Result<String, StackError> {
        let answer = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            let query = sqlx::query_scalar(question);
            let query = match argument {
                Some(argument) => query.bind(argument),
                None => query,
            };
            let answer = query.fetch_one(&mut connection).await?;
            connection.close().await?;
            Ok(answer)
        };
        let late = || sqlx::Error::Io(io::ErrorKind::TimedOut.into());
        timeout(TRY, answer).await.unwrap_or_else(|_elapsed| Err(late())).map_err(|error| {
            let (address, source) = (self.address.to_string(), Box::new(error));
            StackError::Query { address, question, source }
        })
    }
}

/// The same with another address.
fn at(options: PgConnectOptions, address: SocketAddr) -> PgConnectOptions {
    options.host(&address.ip().to_string()).port(address.port())
}

/// The end of a log, for an error.
pub(super) fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.trim_end().lines().collect();
    let skipped = lines.len().saturating_sub(LOG_LINES);
    lines.into_iter().skip(skipped).collect::<Vec<_>>().join("\n")
}
