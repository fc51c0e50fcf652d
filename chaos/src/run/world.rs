//! What a scenario runs against: PostgreSQL, the fault proxy before it, and the server or the pool that has the
//! proxy for its database.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use codebase_mcp::config::Environment as Variables;
use rustix::process::Signal;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::front::Front;
use super::{Options, repository, sessions};
use crate::journal::Journal;
use crate::load::mcp::{Program, Server};
use crate::load::{Subject, Target};
use crate::record::Epoch;
use crate::report::model::Environment;
use crate::schema::{self, Need, Scenario, ServerStart};
use crate::stack::{Databases, Place, Postgres, Provider, StackError, Wanted};

/// How long a server may take to make its databases and to index the repository.
const INDEXED: Duration = Duration::from_mins(2);
/// How long a server may take to answer the handshake, for which it needs nothing but itself.
const GREETS: Duration = Duration::from_secs(20);
/// How long a server may take to leave at the end: what it promises, and a little more.
const LEAVES: Duration = Duration::from_secs(45);
/// The same after an interrupt.
const LEAVES_HURRIED: Duration = Duration::from_secs(5);
/// How long the kernel may take to end a server that was killed.
const DIES: Duration = Duration::from_secs(5);

/// Everything that a run has started. Dropping it ends all of it, the server without a goodbye.
#[derive(Debug)]
pub(super) struct World {
    /// The server or the pool; `None` before it is started.
    pub(super) target: Option<Target>,
    pub(super) front: Front,
    pub(super) postgres: Postgres,
    /// Whose sessions are counted and terminated.
    pub(super) whose: sessions::Whose,
    /// The databases that the server makes where somebody else runs PostgreSQL; elsewhere they go with it.
    databases: Option<Databases>,
    /// What the server's own times count from.
    pub(super) epoch: Epoch,
    /// The folder of the server and of what it indexes.
    home: Place,
}

/// Why a world could not be set up.
#[derive(Debug)]
pub(super) enum SetUpError {
    /// Something that is needed is not there.
    Missing(String),
    /// The run was told to stop.
    Interrupted,
    /// It did not work.
    Failed(String),
}

impl SetUpError {
    fn failed(what: &str) -> impl Fn(&dyn std::fmt::Display) -> Self {
        move |error| Self::Failed(format!("{what}: {error}"))
    }
}

impl World {
    /// Starts everything, but for a server that is to start with the faults in force.
    ///
    /// # Cancel safety
    /// What a dropped future has started is undone, or still in the journal.
    pub(super) async fn set_up(
        scenario: &Scenario,
        options: &Options,
        run: &str,
        journal: &Journal,
        stop: &CancellationToken,
    ) -> Result<Self, SetUpError> {
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(SetUpError::Interrupted),
            world = Self::start(scenario, options, run, journal, stop) => world,
        }
    }

    async fn start(
        scenario: &Scenario,
        options: &Options,
        run: &str,
        journal: &Journal,
        stop: &CancellationToken,
    ) -> Result<Self, SetUpError> {
        // From here on, what was made undoes itself when a later step fails.
        let home = Place::make("run", 0o700, journal);
        let home = home.map_err(|error| SetUpError::Failed(error.whole()))?;
        let data = Variables::of_process().data_folder().ok_or_else(|| {
            SetUpError::Missing("there is no data folder; set HOME or XDG_DATA_HOME".to_owned())
        })?;
        let mut wanted = Wanted::new(&data);
        wanted.settings.clone_from(&scenario.postgres);
        wanted.url.clone_from(&options.url);
        let postgres = Postgres::start_new(options.choice, &wanted, run, journal).await;
        let postgres = postgres.map_err(|error| unavailable(&error))?;
        if postgres.provider() == Provider::Url && scenario.needs().contains(&Need::PostgresControl)
        {
            let what =
                "a fault stops PostgreSQL itself, which the provider `url` cannot; choose another";
            return Err(SetUpError::Missing(what.to_owned()));
        }
        let databases = match (postgres.provider(), &scenario.target) {
            (Provider::Url, schema::Target::Server { .. }) => {
                let claimed = Databases::claim(&postgres, journal).await;
                Some(claimed.map_err(|error| unavailable(&error))?)
            }
            (Provider::Url, schema::Target::Pool { .. })
            | (Provider::Container | Provider::Process, _) => None,
        };
        let front = Front::start(scenario.seed, postgres.address()).await;
        let front = front.map_err(SetUpError::Failed)?;
        let whose = sessions::Whose::of(&scenario.target, run);
        let epoch = Epoch::now();
        let mut world = Self { target: None, front, postgres, whose, databases, epoch, home };
        if !matches!(
            scenario.target,
            schema::Target::Server { start: ServerStart::DuringFault, .. }
        ) {
            let started = world.start_target(scenario, options).await;
            if let Err(error) = started {
                world.take_down(stop).await;
                return Err(error);
            }
        }
        Ok(world)
    }

    /// Starts the server or the pool of the scenario, before the load; a server also indexes a repository.
    async fn start_target(
        &mut self,
        scenario: &Scenario,
        options: &Options,
    ) -> Result<(), SetUpError> {
        match &scenario.target {
            schema::Target::Server { config, .. } => {
                let server = self.start_server(config, options)?;
                match timeout(GREETS, server.initialize()).await {
                    Ok(Ok(_info)) => self.index(&server).await?,
                    Ok(Err(error)) => return Err(with_log(&server, &error)),
                    Err(_elapsed) => return Err(with_log(&server, &silent())),
                }
            }
            schema::Target::Pool { config } => {
                let config = schema::settings(config);
                let config = config.map_err(|error| SetUpError::failed("the pool")(&error))?.pool;
                let options = self.postgres.options_via(self.front.address);
                let subject = Subject::new(self.whose.name(), config, options);
                let subject = subject.map_err(|error| SetUpError::failed("the pool")(&error))?;
                let ready = subject.pool().ready().await;
                ready.map_err(|error| SetUpError::failed("the pool")(&error))?;
                self.target = Some(Target::Pool(subject));
            }
        }
        Ok(())
    }

    /// Starts the server of the scenario, which nobody has spoken to yet.
    pub(super) fn start_server(
        &mut self,
        config: &BTreeMap<String, String>,
        options: &Options,
    ) -> Result<Server, SetUpError> {
        let program = self.program(config, options.server.as_deref());
        let program = program.map_err(|error| SetUpError::failed("the server")(&error))?;
        let server = Server::spawn(&program, self.epoch);
        let server = server.map_err(|error| SetUpError::failed("the server")(&error))?;
        // From here on it is taken down with the rest.
        self.target = Some(Target::Server(server.clone()));
        Ok(server)
    }

    async fn index(&self, server: &Server) -> Result<(), SetUpError> {
        let repository = repository::write(self.home.path());
        let repository = repository.map_err(|error| SetUpError::failed("a repository")(&error))?;
        match timeout(INDEXED, server.index(&repository)).await {
            Ok(Ok(_status)) => Ok(()),
            Ok(Err(error)) => Err(with_log(server, &error)),
            Err(_elapsed) => Err(with_log(server, &"indexing took more than two minutes")),
        }
    }

    /// How the server is started: with the proxy for its database, and nothing else of our environment.
    fn program(
        &self,
        config: &BTreeMap<String, String>,
        server: Option<&Path>,
    ) -> std::io::Result<Program> {
        let home = self.home.path();
        let (mark, place) = self.home.mark();
        let own = [
            (mark, place.as_os_str().to_owned()),
            ("HOME", home.as_os_str().to_owned()),
            ("XDG_DATA_HOME", home.join("data").into_os_string()),
            ("DATABASE_URL", OsString::from(self.postgres.url_via(self.front.address))),
            ("CODEBASE_MCP__TELEMETRY__FORMAT", "json".into()),
            ("CODEBASE_MCP__TELEMETRY__LOG", "warn,codebase_mcp=debug".into()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let theirs = schema::variables(config).into_iter();
        let env = own.chain(theirs.map(|(name, value)| (name, value.into()))).collect();
        match server {
            Some(path) => Ok(Program {
                path: path.to_owned(),
                name: None,
                args: vec!["serve".into()],
                env,
                dir: home.to_owned(),
            }),
            None => Program::this(env, home),
        }
    }

    /// Says where it runs.
    pub(super) async fn describe(&self, environment: &mut Environment) {
        self.postgres.provider().as_str().clone_into(&mut environment.provider);
        "bundled".clone_into(&mut environment.proxy);
        environment.postgres = match self.postgres.version().await {
            Ok(version) => version,
            Err(error) => format!("unknown: {error}"),
        };
    }

    /// What server and PostgreSQL have logged.
    pub(super) async fn logs(&self) -> Vec<(&'static str, String)> {
        let mut logs = vec![("postgres.log", self.postgres.log().await)];
        if let Some(Target::Server(server)) = &self.target {
            logs.push(("server.log", server.log().text));
        }
        logs
    }

    /// Leaves everything as it is, for a look at it; the journal knows it. Says where it is.
    pub(super) fn leave(self) -> String {
        let url = self.postgres.url_via(self.postgres.address());
        let text =
            format!("PostgreSQL: {url}\nfolder of the server: {}\n", self.home.path().display());
        std::mem::forget(self);
        text
    }

    /// Ends everything and removes it, in a hurry once `stop` is cancelled. What cannot be removed is still in the
    /// journal.
    pub(super) async fn take_down(self, stop: &CancellationToken) {
        let Self { target, front, postgres, whose: _, databases, epoch: _, home } = self;
        match &target {
            Some(Target::Server(server)) => end(server, stop).await,
            Some(Target::Pool(subject)) => {
                subject.pool().shutdown().await;
            }
            None => {}
        }
        drop(target);
        front.shut_down().await;
        let dropped = match databases {
            Some(databases) => databases.remove().await,
            None => Ok(()),
        };
        for removed in [dropped, postgres.remove().await, home.remove().await] {
            if let Err(error) = removed {
                // Whoever settles the journal tries again, and tells it.
                tracing::debug!(%error, "left to the journal");
            }
        }
    }
}

/// Lets a server leave. One that does not, or that never spoke and so understands no goodbye, is killed.
async fn end(server: &Server, stop: &CancellationToken) {
    let leaves = async { server.start_time().is_some() && server.leave(LEAVES).await.is_some() };
    let hurried = async {
        stop.cancelled().await;
        sleep(LEAVES_HURRIED).await;
    };
    let left = tokio::select! {
        left = leaves => left,
        () = hurried => false,
    };
    tracing::debug!(left, "the server was asked to leave");
    if !left && server.signal(Signal::KILL).is_ok() {
        server.wait_exit(DIES).await;
    }
}

fn unavailable(error: &StackError) -> SetUpError {
    if error.is_missing() {
        SetUpError::Missing(error.whole())
    } else {
        SetUpError::Failed(error.whole())
    }
}

/// Says of a server that does not answer the handshake what it owes.
fn silent() -> String {
    let limit = GREETS.as_secs();
    format!(
        "it did not answer `initialize` within {limit} s; a handshake waits for nothing, also not for the database. \
         Check what it does when it starts, and that a program given with --server speaks MCP over stdin and stdout"
    )
}

/// An error of the server with the end of its log, which mostly says why.
fn with_log(server: &Server, error: &dyn std::fmt::Display) -> SetUpError {
    const LINES: usize = 5;
    let log = server.log().text;
    let lines: Vec<&str> = log.lines().collect();
    let end = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n  ");
    SetUpError::Failed(format!("the server: {error}; the end of its log:\n  {end}"))
}
