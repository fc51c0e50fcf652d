//! What a pool does when the network swallows its connections without a word.
//!
//! ```sh
//! cargo run --example half_open -- ours     # the pool of this project
//! cargo run --example half_open -- sqlx     # `sqlx::PgPool`, with the same sizes and limits
//! ```
//!
//! A firewall that forgets its state, a host that loses power: such connections are half-open. What is
//! sent over them vanishes, and neither FIN nor RST ever comes back. New connections work.
//!
//! The example starts a PostgreSQL of its own, puts a proxy in front of it that can do this to all
//! connections there are, and then:
//!
//! 1. four workers lease a connection each, run a statement, and compute for a second;
//! 2. the proxy swallows the four connections;
//! 3. the workers, who have noticed nothing, give their connections back;
//! 4. twenty queries are asked, one every 250 ms, each with a limit of 5 s for everything.
//!
//! Sizes and limits are the same for both, all else is as it comes. What a pool cannot help is left out: a
//! statement that runs at the moment of the cut is lost, and so is one on a connection that ours hands
//! on unchecked because it answered within the last half second.
//!
//! It ends with 0 if the pool does what the last line says, and with 1 otherwise. It needs the PostgreSQL
//! that `ci/setup` installs.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use codebase_mcp::config::Environment;
use codebase_mcp::pool::{Config, PgPool, Postgres};
use codebase_mcp::postgres::{self, Cluster, Keeper};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::task::TaskTracker;

const CONNECTIONS: u32 = 4;
const QUERIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(250);
/// Of a query with all that it has to wait for, and of an acquire.
const LIMIT: Duration = Duration::from_secs(5);
/// For how long a worker computes between its statement and giving its connection back.
const COMPUTING: Duration = Duration::from_secs(1);
/// The program starts itself with this argument, as the keeper that stops PostgreSQL after the last use.
const KEEP: &str = "keep-cluster";

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<Option<&str>> = arguments.iter().map(|argument| argument.to_str()).collect();
    let ended = match words.as_slice() {
        [Some("ours")] => demonstrate(Which::Ours),
        [Some("sqlx")] => demonstrate(Which::Sqlx),
        [Some(KEEP), Some(folder)] => keep(Path::new(folder)),
        _ => Err("say which pool: `ours` or `sqlx`".into()),
    };
    match ended {
        Ok(as_claimed) => ExitCode::from(u8::from(!as_claimed)),
        Err(error) => {
            println!("half_open: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Which pool is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Ours,
    Sqlx,
}

/// A pool of either kind, of the same size and with the same limits.
#[derive(Debug, Clone)]
enum AnyPool {
    Ours(PgPool),
    Sqlx(sqlx::PgPool),
}

/// A connection in somebody's hands. Dropping it gives it back.
enum AnyLease {
    Ours(codebase_mcp::pool::PgLease),
    Sqlx(sqlx::pool::PoolConnection<sqlx::Postgres>),
}

impl AnyPool {
    /// A pool whose connections are all open.
    async fn open(which: Which, options: PgConnectOptions) -> Outcome<Self> {
        match which {
            Which::Ours => {
                let config = Config {
                    min_size: CONNECTIONS,
                    max_size: CONNECTIONS,
                    acquire_timeout: LIMIT,
                    ..Config::default()
                };
                let connector = Postgres::new(options, "half open", config.command_timeout);
                let pool = PgPool::new("half open", config, connector)?;
                pool.ready().await?;
                Ok(Self::Ours(pool))
            }
            Which::Sqlx => {
                let pool = PgPoolOptions::new()
                    .min_connections(CONNECTIONS)
                    .max_connections(CONNECTIONS)
                    .acquire_timeout(LIMIT);
                Ok(Self::Sqlx(pool.connect_with(options).await?))
            }
        }
    }

    async fn acquire(&self) -> Outcome<AnyLease> {
        match self {
            Self::Ours(pool) => Ok(AnyLease::Ours(pool.acquire().await?)),
            Self::Sqlx(pool) => Ok(AnyLease::Sqlx(pool.acquire().await?)),
        }
    }
}

impl AnyLease {
    async fn query(&mut self) -> Outcome<()> {
        let query = sqlx::query("SELECT 1");
        match self {
            Self::Ours(lease) => query.execute(lease).await?,
            Self::Sqlx(connection) => query.execute(&mut **connection).await?,
        };
        Ok(())
    }
}

/// How the twenty queries went.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    failed: usize,
    /// From the cut to the first answer.
    first_answer: Option<Duration>,
    /// From the cut to the end of the last query, answered or not.
    took: Duration,
    last_error: Option<String>,
}

impl Tally {
    fn healed(&self) -> bool {
        self.failed == 0 && self.answered == QUERIES
    }

    fn dead(&self) -> bool {
        self.answered == 0 && self.failed == QUERIES
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after_cut = |after| format!("{after:.1?} after the cut");
        let first = self.first_answer.map_or("never".to_owned(), after_cut);
        writeln!(f, "  queries asked   {QUERIES}")?;
        writeln!(f, "  answered        {}", self.answered)?;
        writeln!(f, "  failed          {}", self.failed)?;
        writeln!(f, "  first answer    {first}")?;
        writeln!(f, "  watched for     {:.1?}", self.took)?;
        write!(f, "  last error      {}", self.last_error.as_deref().unwrap_or("none"))
    }
}

/// Shows one pool; whether it did what is claimed of it.
#[tokio::main]
async fn demonstrate(which: Which) -> Outcome<bool> {
    let folder = tempfile::Builder::new().prefix("cbm").tempdir()?;
    // PostgreSQL runs as another user when root runs this, so the folder must be open.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let cluster = start(&folder.path().join("cluster")).await?;
    let proxy = Proxy::start(&cluster).await?;
    let pool = AnyPool::open(which, proxy.options(&cluster)).await?;

    let tally = ask(&pool, &proxy).await?;
    println!("{which:?}: {CONNECTIONS} connections became half-open while they were lent\n{tally}");
    let as_claimed = match which {
        Which::Ours => tally.healed(),
        Which::Sqlx => tally.dead(),
    };
    println!("{}", verdict(which, as_claimed, &tally));
    drop(cluster);
    wait_for_the_end(folder.path()).await;
    Ok(as_claimed)
}

fn verdict(which: Which, as_claimed: bool, tally: &Tally) -> String {
    match (which, as_claimed) {
        (Which::Ours, true) => {
            "verdict: healed: no query failed; dead connections were found and replaced".to_owned()
        }
        (Which::Sqlx, true) => {
            "verdict: dead: each release waits without a limit for its ping, and keeps its place"
                .to_owned()
        }
        (_, false) => format!(
            "verdict: not as claimed: {} answered and {} failed",
            tally.answered, tally.failed
        ),
    }
}

/// Cuts the connections while they are lent, and asks twenty queries.
async fn ask(pool: &AnyPool, proxy: &Proxy) -> Outcome<Tally> {
    let mut leases = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut lease = pool.acquire().await?;
        lease.query().await?;
        leases.push(lease);
    }
    sleep(COMPUTING).await;
    proxy.swallow_all();
    drop(leases);

    let cut = Instant::now();
    let queries = TaskTracker::new();
    let mut ticks = interval(PAUSE);
    let mut running = Vec::new();
    for _ in 0..QUERIES {
        ticks.tick().await;
        let pool = pool.clone();
        running.push(queries.spawn(async move {
            let query = async { pool.acquire().await?.query().await };
            let outcome = timeout(LIMIT, query).await;
            (outcome.unwrap_or_else(|_| Err("the query took too long".into())), cut.elapsed())
        }));
    }
    let mut tally = Tally::default();
    for query in running {
        match query.await? {
            (Ok(()), after) => {
                tally.answered += 1;
                tally.first_answer =
                    Some(tally.first_answer.map_or(after, |first| first.min(after)));
            }
            (Err(error), _) => {
                tally.failed += 1;
                tally.last_error = Some(error.to_string());
            }
        }
    }
    tally.took = cut.elapsed();
    Ok(tally)
}

/// Takes TCP connections, and passes what they say to PostgreSQL's Unix socket and back.
struct Proxy {
    port: u16,
    /// Tells the connections there are that they are cut.
    cut: watch::Sender<()>,
}

impl Proxy {
    async fn start(cluster: &Cluster) -> Outcome<Self> {
        let endpoint = cluster.endpoint();
        let socket = endpoint.socket_dir.join(format!(".s.PGSQL.{}", endpoint.port));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let sender = watch::Sender::new(());
        let (connections, cut) = (TaskTracker::new(), sender.subscribe());
        connections.clone().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut cut = cut.clone();
                // Earlier cuts are none of its business.
                cut.mark_unchanged();
                let Ok(server) = UnixStream::connect(&socket).await else { continue };
                let (client, server) = (client.into_split(), server.into_split());
                connections.spawn(pass(client.0, server.1, cut.clone()));
                connections.spawn(pass(server.0, client.1, cut));
            }
        });
        Ok(Self { port, cut: sender })
    }

    /// How to connect through the proxy.
    fn options(&self, cluster: &Cluster) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .ssl_mode(PgSslMode::Disable)
            .host("127.0.0.1")
            .port(self.port)
            .username(&cluster.endpoint().user)
            .database("postgres")
    }

    /// Makes all connections that are open half-open. Later ones work.
    fn swallow_all(&self) {
        self.cut.send_replace(());
    }
}

/// Passes bytes on until the connection is cut, and from then on swallows them. Both ends stay open.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut cut: watch::Receiver<()>,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = tokio::select! {
            biased;
            cut = cut.changed() => {
                drop(cut);
                break;
            }
            count = from.read(&mut bytes) => count?,
        };
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(bytes.get(..count).unwrap_or_default()).await?;
    }
    while from.read(&mut bytes).await? > 0 {}
    // Not even the end of the one side is told to the other.
    std::future::pending().await
}

/// A PostgreSQL in `folder` that stops when the last share in it is dropped.
async fn start(folder: &Path) -> Outcome<Cluster> {
    let program = std::env::current_exe()?;
    let args = vec![OsString::from(KEEP), folder.into()];
    Ok(Cluster::attach(&settings(folder)?, &Keeper { program, args }).await?)
}

fn settings(folder: &Path) -> Outcome<postgres::Config> {
    let data = Environment::of_process().data_folder().ok_or("no home folder")?;
    let mut settings = postgres::Config::new(data.join("postgresql"), folder.to_owned());
    settings.stop_after = Duration::ZERO;
    Ok(settings)
}

fn keep(folder: &Path) -> Outcome<bool> {
    postgres::keep(&settings(folder)?)?;
    Ok(true)
}

/// Waits until PostgreSQL has stopped, so that its folder can be removed.
async fn wait_for_the_end(folder: &Path) {
    let pid_file: PathBuf = folder.join("cluster/pgdata/postmaster.pid");
    let stopped = async {
        while pid_file.exists() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    // A folder that is still in use stays behind; the system clears it away some day.
    drop(timeout(Duration::from_secs(20), stopped).await);
}
