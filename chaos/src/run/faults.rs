//! Carrying out faults, and undoing them.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rustix::io::Errno;
use rustix::process::Signal;
use sqlx::{Connection, PgConnection, Row};

use super::front::PROXY;
use super::sessions;
use super::world::World;
use crate::load::Target;
use crate::proxy::{self, ControlError, ToxicKind, ToxicSpec};
use crate::record::{Event, Source};
use crate::schema::{Fate, Fault, FaultKind, Heal, Scope};
use crate::stack::{REGISTRY, StackError};

/// A fault in force: what has to be done to undo it.
#[derive(Debug)]
pub(super) enum Active {
    /// Remove this toxic.
    Toxic(String),
    /// Start PostgreSQL again.
    Down,
    /// Let PostgreSQL go on.
    Frozen,
    /// End the transaction that holds the lock.
    Lock(Box<PgConnection>),
    /// Read what the server writes again.
    Stalled,
}

/// Why a fault could not be carried out or undone.
#[derive(Debug, thiserror::Error)]
pub(super) enum FaultError {
    /// The proxy refused.
    #[error(transparent)]
    Proxy(#[from] ControlError),
    /// PostgreSQL could not be stopped, started, frozen.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A statement of the runner failed.
    #[error("a statement of the runner failed: {0}")]
    Statement(#[from] sqlx::Error),
    /// The server could not be signalled.
    #[error("the server could not be signalled: {0}")]
    Signal(#[from] std::io::Error),
    /// There is nothing to do it to.
    #[error("there is no {0} to do it to")]
    Nothing(&'static str),
}

/// What came of beginning a fault.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// What has to be undone, if anything.
    pub(super) active: Option<Active>,
    /// What happened that nobody else tells.
    pub(super) events: Vec<Event>,
}

impl From<Active> for Begun {
    fn from(active: Active) -> Self {
        Self { active: Some(active), events: Vec::new() }
    }
}

/// Begins a fault, or lets it happen if it is one of an instant. What is drawn comes from `seed`.
pub(super) async fn begin(
    world: &mut World,
    fault: &Fault,
    seed: u64,
    now: Duration,
) -> Result<Begun, FaultError> {
    if let Some(toxic) = toxic(fault) {
        let name = toxic.name();
        world.front.control.add_toxic(PROXY, toxic).await?;
        if fault.kind.is_instant() {
            world.front.control.remove_toxic(PROXY, &name).await?;
            return Ok(Begun::default());
        }
        return Ok(Active::Toxic(name).into());
    }
    match &fault.kind {
        FaultKind::PostgresStop {} => {
            world.postgres.stop().await?;
            Ok(Active::Down.into())
        }
        FaultKind::PostgresKill {} => {
            world.postgres.kill().await?;
            Ok(Active::Down.into())
        }
        FaultKind::PostgresFreeze {} => {
            world.postgres.freeze().await?;
            Ok(Active::Frozen.into())
        }
        FaultKind::PostgresTerminate { share } => terminate(world, share.value, seed, now).await,
        FaultKind::PostgresLock {} => Ok(Active::Lock(Box::new(lock(world).await?)).into()),
        FaultKind::ServerTerminate {} => {
            // One that has ended by itself cannot be asked any more; what that means is for the verdict to say.
            match server(world)?.signal(Signal::TERM) {
                Err(error) if error.raw_os_error() != Some(Errno::SRCH.raw_os_error()) => {
                    Err(error.into())
                }
                Ok(()) | Err(_) => Ok(Begun::default()),
            }
        }
        FaultKind::ServerLeave {} => {
            server(world)?.close_stdin();
            Ok(Begun::default())
        }
        FaultKind::ServerStall {} => {
            server(world)?.read(false);
            Ok(Active::Stalled.into())
        }
        FaultKind::Latency { .. }
        | FaultKind::Bandwidth { .. }
        | FaultKind::Slice { .. }
        | FaultKind::Refuse { .. }
        | FaultKind::Blackhole { .. }
        | FaultKind::Reset {}
        | FaultKind::AcceptDelay { .. }
        | FaultKind::AcceptSilence {}
        | FaultKind::Error { .. }
        | FaultKind::Noop {} => Err(FaultError::Nothing("toxic")),
    }
}

/// Undoes a fault. When it returns, the world is as it was.
pub(super) async fn undo(world: &mut World, active: Active) -> Result<(), FaultError> {
    match active {
        Active::Toxic(name) => world.front.control.remove_toxic(PROXY, &name).await?,
        Active::Down => {
            world.postgres.start().await?;
            // A container that starts again may be somewhere else.
            let upstream = world.postgres.address().to_string();
            world.front.control.set_upstream(PROXY, &upstream).await?;
        }
        Active::Frozen => world.postgres.thaw().await?,
        Active::Lock(connection) => connection.close().await?,
        Active::Stalled => server(world)?.read(true),
    }
    Ok(())
}

fn server(world: &World) -> Result<&crate::load::mcp::Server, FaultError> {
    match &world.target {
        Some(Target::Server(server)) => Ok(server),
        Some(Target::Pool(_)) | None => Err(FaultError::Nothing("server")),
    }
}

/// Milliseconds for an attribute. The schema admits whole ones alone, and no more than fit.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// A number of things or bytes for an attribute. The schema admits of the latter what is said exactly, and no sign.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped, and never negative"
)]
fn whole(value: f64) -> u32 {
    value.min(f64::from(u32::MAX)) as u32
}

/// The toxic that a fault of the proxy is; `None` for the other faults.
fn toxic(fault: &Fault) -> Option<ToxicSpec> {
    let new = ToxicSpec::new;
    let mut toxic = match &fault.kind {
        FaultKind::Latency { delay, jitter } => new(ToxicKind::Latency)
            .with("latency", millis(delay.0))
            .with("jitter", millis(jitter.0)),
        FaultKind::Bandwidth { bytes } => {
            // Toxiproxy counts in kilobytes.
            new(ToxicKind::Bandwidth).with("rate", whole(bytes.value / 1000.0))
        }
        FaultKind::Slice { size, delay } => {
            let microseconds = u32::try_from(delay.0.as_micros()).unwrap_or(u32::MAX);
            new(ToxicKind::Slicer)
                .with("average_size", whole(size.value))
                .with("delay", microseconds)
        }
        FaultKind::Refuse { connections } => {
            let toxic = new(ToxicKind::Refuse);
            match connections {
                Fate::Keep => ToxicSpec { scope: Some(proxy::Scope::New), ..toxic },
                Fate::Close => toxic,
                Fate::Reset => toxic.with("reset", 1),
            }
        }
        FaultKind::Blackhole { scope, heal } => ToxicSpec {
            scope: Some(proxy_scope(*scope)),
            heal: Some(proxy_heal(*heal)),
            ..new(ToxicKind::Blackhole)
        },
        // Until it is removed again, a new connection would meet it too.
        FaultKind::Reset {} => {
            ToxicSpec { scope: Some(proxy::Scope::Existing), ..new(ToxicKind::Reset) }
        }
        FaultKind::AcceptDelay { delay } => {
            new(ToxicKind::AcceptDelay).with("delay", millis(delay.0))
        }
        FaultKind::AcceptSilence {} => new(ToxicKind::AcceptSilence),
        FaultKind::Error { sqlstate, message } => ToxicSpec {
            sqlstate: Some(sqlstate.clone()),
            message: Some(message.clone()),
            ..new(ToxicKind::PgError)
        },
        FaultKind::Noop {} => new(ToxicKind::Noop),
        FaultKind::PostgresStop {}
        | FaultKind::PostgresKill {}
        | FaultKind::PostgresFreeze {}
        | FaultKind::PostgresTerminate { .. }
        | FaultKind::PostgresLock {}
        | FaultKind::ServerTerminate {}
        | FaultKind::ServerLeave {}
        | FaultKind::ServerStall {} => return None,
    };
    toxic.name.clone_from(&fault.id);
    Some(toxic)
}

fn proxy_scope(scope: Scope) -> proxy::Scope {
    match scope {
        Scope::Existing => proxy::Scope::Existing,
        Scope::New => proxy::Scope::New,
        Scope::All => proxy::Scope::All,
    }
}

fn proxy_heal(heal: Heal) -> proxy::Heal {
    match heal {
        Heal::Resume => proxy::Heal::Resume,
        Heal::Close => proxy::Heal::Close,
        Heal::Reset => proxy::Heal::Reset,
        Heal::KeepDead => proxy::Heal::KeepDead,
    }
}

/// Terminates a share of the sessions of what is tested, at least one.
async fn terminate(
    world: &World,
    share: f64,
    seed: u64,
    now: Duration,
) -> Result<Begun, FaultError> {
    let mut connection = sessions::connect(&world.postgres.options()).await?;
    let choose = |mut pids: Vec<i32>| {
        pids.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let count = whole((pids.len() as f64 * share).ceil()) as usize;
        pids.truncate(count.max(1));
        pids
    };
    let terminated = sessions::terminate(&mut connection, &world.whose, choose).await?;
    connection.close().await?;
    let event = |pid: &i32| Event {
        at_s: now.as_secs_f64(),
        source: Source::Postgres,
        name: "postgres.session_terminated".to_owned(),
        fields: BTreeMap::from([("pid".to_owned(), (*pid).into())]).into_iter().collect(),
    };
    Ok(Begun { active: None, events: terminated.iter().map(event).collect() })
}

/// Takes an exclusive lock on the table that every search reads, in the database of the first project.
async fn lock(world: &World) -> Result<PgConnection, FaultError> {
    let options = world.postgres.options();
    let mut registry = sessions::connect(&options.clone().database(REGISTRY)).await?;
    let row = sqlx::query("SELECT database_name FROM projects ORDER BY created_at LIMIT 1");
    let row = row.fetch_optional(&mut registry).await?.ok_or(FaultError::Nothing("project"))?;
    registry.close().await?;
    let mut project = sessions::connect(&options.database(row.try_get(0)?)).await?;
    sqlx::raw_sql("BEGIN; LOCK TABLE code_chunks IN ACCESS EXCLUSIVE MODE")
        .execute(&mut project)
        .await?;
    Ok(project)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_spares_what_connects_while_it_is_taken_away() {
        let fault = Fault {
            id: "resets".to_owned(),
            kind: FaultKind::Reset {},
            kind_name: "proxy.reset".to_owned(),
            at: Duration::ZERO,
            lasts: Duration::ZERO,
            every: None,
            blast: None,
        };
        assert_eq!(toxic(&fault).unwrap().scope, Some(proxy::Scope::Existing));
    }
}
