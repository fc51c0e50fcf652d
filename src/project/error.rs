//! What can go wrong on the way to a project's database.

use crate::pool::{AcquireError, ConfigError, public_statement_error};
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
    /// The server stops.
    #[error("the server is stopping; ask again when it runs again")]
    Closing,
    /// A pool cannot be made.
    #[error(transparent)]
    Pool(#[from] ConfigError),
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

impl ProjectError {
    /// The error for clients, who are not to learn where the database is and who connects to it.
    pub fn public(&self) -> String {
        match self {
            Self::Acquire(error) => error.public(),
            Self::Database(error) => public_statement_error(error),
            Self::NotFound { .. } | Self::DatabaseName { .. } | Self::Closing | Self::Pool(_) => {
                self.to_string()
            }
            Self::Migrate(
                MigrateError::Failed { .. }
                | MigrateError::Denied { .. }
                | MigrateError::Database(_),
            ) => {
                "the project's schema could not be brought up to date; the log says why".to_owned()
            }
            Self::Migrate(error) => error.to_string(),
        }
    }
}
