//! Table `repositories` of a project.

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
