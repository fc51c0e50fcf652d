//! Applies `migrations/` and refuses what it does not understand.

use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError as SqlxMigrateError, Migrator};

use crate::pool::PgLease;

static REGISTRY: Migrator = sqlx::migrate!("migrations/registry");
static PROJECT: Migrator = sqlx::migrate!("migrations/project");

/// The oldest PostgreSQL that works, as `server_version_num`.
const OLDEST_SERVER: i32 = 140_000;
/// The oldest pgvector that works: the first with `halfvec`.
const OLDEST_PGVECTOR: (u32, u32) = (0, 7);

/// Which set of tables a database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Projects and jobs.
    Registry,
    /// One project's index.
    Project,
}

/// Why a database could not be brought to this program's schema.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The server is too old.
    #[error("the server is PostgreSQL {found}; codebase-mcp needs 14 or newer")]
    OldServer {
        /// The server's version.
        found: String,
    },
    /// The server has no pgvector that works.
    #[error(
        "the server {}; install pgvector {}.{} or newer (the package is usually called postgresql-NN-pgvector)",
        match found {
            Some(version) => format!("has pgvector {version}"),
            None => "has no pgvector".to_owned(),
        },
        OLDEST_PGVECTOR.0,
        OLDEST_PGVECTOR.1
    )]
    NoPgvector {
        /// The version that the server offers.
        found: Option<String>,
    },
    /// A newer codebase-mcp has used the database.
    #[error(
        "database {database} has schema version {version}, which this codebase-mcp does not know; run the newer codebase-mcp that made it"
    )]
    NewerSchema {
        /// The database.
        database: String,
        /// The version that is applied there and unknown here.
        version: i64,
    },
    /// A migration that was applied differs from the one in this program.
    #[error(
        "migration {version} of database {database} is not the one this codebase-mcp carries; use the release that made the database, or drop the database and index again"
    )]
    Diverged {
        /// The database.
        database: String,
        /// The migration.
        version: i64,
    },
    /// The user of the connection lacks a right.
    #[error(
        "the database user may not set up database {database} ({source}); let an administrator run CREATE EXTENSION vector in it, or grant the right"
    )]
    Denied {
        /// The database.
        database: String,
        /// What the server says.
        #[source]
        source: SqlxMigrateError,
    },
    /// A migration failed; it was rolled back.
    #[error("migrating database {database} failed: {source}")]
    Failed {
        /// The database.
        database: String,
        /// What the driver says.
        #[source]
        source: SqlxMigrateError,
    },
    /// The server could not be asked.
    #[error("asking the server for its version failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// Brings the database of `lease` to this program's schema, under an advisory lock, so that several
/// processes can start at once.
///
/// # Cancel safety
/// Each migration is one transaction; a dropped future leaves whole migrations applied.
pub async fn migrate(mut lease: PgLease, schema: Schema) -> Result<(), MigrateError> {
    let migrator = match schema {
        Schema::Registry => &REGISTRY,
        Schema::Project => &PROJECT,
    };
    check_server(&mut lease).await?;
    if schema == Schema::Project {
        check_pgvector(&mut lease).await?;
    }
    let database: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(&mut lease).await?;
    // The migrator needs the driver's own connection; the pool closes it afterwards.
    let Err(source) = migrator.run_direct(None, &mut **lease.untracked(), false).await else {
        return Ok(());
    };
    Err(if let SqlxMigrateError::VersionMissing(version) = source {
        MigrateError::NewerSchema { database, version }
    } else if let SqlxMigrateError::VersionMismatch(version) = source {
        MigrateError::Diverged { database, version }
    } else if is_denied(&source) {
        MigrateError::Denied { database, source }
    } else {
        MigrateError::Failed { database, source }
    })
}

/// SQLSTATE `insufficient_privilege`.
fn is_denied(error: &SqlxMigrateError) -> bool {
    let (SqlxMigrateError::ExecuteMigration(error, _) | SqlxMigrateError::Execute(error)) = error
    else {
        return false;
    };
    error.as_database_error().and_then(DatabaseError::code).as_deref() == Some("42501")
}

async fn check_server(lease: &mut PgLease) -> Result<(), MigrateError> {
    let (number, found): (i32, String) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version')",
    )
    .fetch_one(lease)
    .await?;
    if number < OLDEST_SERVER { Err(MigrateError::OldServer { found }) } else { Ok(()) }
}

async fn check_pgvector(lease: &mut PgLease) -> Result<(), MigrateError> {
    let found: Option<String> = sqlx::query_scalar(
        "SELECT coalesce(installed_version, default_version)
         FROM pg_available_extensions WHERE name = 'vector'",
    )
    .fetch_optional(lease)
    .await?;
    if found.as_deref().and_then(major_minor).is_some_and(|version| version >= OLDEST_PGVECTOR) {
        Ok(())
    } else {
        Err(MigrateError::NoPgvector { found })
    }
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
