//! What can go wrong on the way to a project's database.

use crate::pool::AcquireError;
use crate::store::MigrateError;

/// Why a project could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// A project was named that does not exist.
    #[error(
        "there is no project with the id or name {project:?}; leave project_id out to use the default project"
    )]
    NotFound {
        /// What was asked for.
        project: String,
    },
    /// The registry holds a database name that this program would never make.
    #[error(
        "project {project:?} is registered with an invalid database name; repair or delete its row in the table projects"
    )]
    DatabaseName {
        /// The project.
        project: String,
    },
    /// No connection.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The schema could not be brought up to date.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A statement failed.
    #[error("a statement on the registry failed: {0}")]
    Database(#[from] sqlx::Error),
}
