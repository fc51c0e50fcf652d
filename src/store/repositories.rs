//! Table `repositories` of a project.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// Registers the repository at `path` (absolute, resolved) and returns its id.
pub async fn ensure(on: impl PgExecutor<'_>, path: &str, name: &str) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO repositories (path, name) VALUES ($1, $2)
         ON CONFLICT (path) DO UPDATE SET name = EXCLUDED.name
         RETURNING id",
    )
    .bind(path)
    .bind(name)
    .fetch_one(on)
    .await
}

/// The database's clock, by which `indexed_at` is set.
pub async fn now(on: impl PgExecutor<'_>) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("SELECT now()").fetch_one(on).await
}

/// Whether there is a repository with this id.
pub async fn exists(on: impl PgExecutor<'_>, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM repositories WHERE id = $1)")
        .bind(id)
        .fetch_one(on)
        .await
}

/// The id of the repository at `path`, if it was ever indexed.
pub async fn find(on: impl PgExecutor<'_>, path: &str) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM repositories WHERE path = $1")
        .bind(path)
        .fetch_optional(on)
        .await
}

/// Notes that a whole walk of the repository is in the index.
pub async fn mark_indexed(on: impl PgExecutor<'_>, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE repositories SET last_indexed_at = now() WHERE id = $1")
        .bind(id)
        .execute(on)
        .await
        .map(drop)
}
