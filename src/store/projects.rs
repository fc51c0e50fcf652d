//! Table `projects` of the registry.

use sqlx::PgExecutor;
use uuid::Uuid;

use crate::pool::PgLease;

/// A registered project.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ProjectRow {
    /// Its id.
    pub id: Uuid,
    /// Its unique name.
    pub name: String,
    /// The database that holds its index.
    pub database_name: String,
}

/// The project with this id or this name; an id is tried first.
pub async fn find(
    on: impl PgExecutor<'_>,
    id_or_name: &str,
) -> Result<Option<ProjectRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, database_name FROM projects
         WHERE id::text = lower($1) OR name = $1
         ORDER BY (id::text = lower($1)) DESC LIMIT 1",
    )
    .bind(id_or_name)
    .fetch_optional(on)
    .await
}

/// Registers the project, unless one with its name, id or database exists. Returns the one that has its
/// name.
pub async fn register(on: &mut PgLease, project: &ProjectRow) -> Result<ProjectRow, sqlx::Error> {
    sqlx::query(
        "INSERT INTO projects (id, name, database_name) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
    )
    .bind(project.id)
    .bind(&project.name)
    .bind(&project.database_name)
    .execute(&mut *on)
    .await?;
    sqlx::query_as("SELECT id, name, database_name FROM projects WHERE name = $1")
        .bind(&project.name)
        .fetch_one(on)
        .await
}
