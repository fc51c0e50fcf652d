//! The one shape of errors, and the only place where errors of the parts become codes.
//!
//! Messages go to an assistant and its user: they name values and what to do, never a host, a user or a
//! statement. The full error is logged here, once.

use rmcp::model::CallToolResult;
use serde_json::{Value, json};
use sqlx::error::DatabaseError;

use crate::index::RootError;
use crate::jobs::JobError;
use crate::pool::{AcquireError, public_statement_error};
use crate::project::ProjectError;
use crate::search::{QueryError, SearchError};

/// What kind of error it is, as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// An argument is missing, unknown or out of bounds.
    Validation,
    /// The database is still starting or not available yet.
    NotReady,
    /// The database was reached and failed, or no connection became free.
    Database,
    /// There is no such project.
    ProjectNotFound,
    /// There is no such job.
    JobNotFound,
    /// Too many jobs wait.
    QueueFull,
    /// Indexing failed.
    Indexing,
    /// The index cannot be searched with this model.
    Embedding,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Validation,
        Self::NotReady,
        Self::Database,
        Self::ProjectNotFound,
        Self::JobNotFound,
        Self::QueueFull,
        Self::Indexing,
        Self::Embedding,
    ];

    /// The stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validation => "VALIDATION_ERROR",
            Self::NotReady => "NOT_READY",
            Self::Database => "DATABASE_ERROR",
            Self::ProjectNotFound => "PROJECT_NOT_FOUND",
            Self::JobNotFound => "JOB_NOT_FOUND",
            Self::QueueFull => "QUEUE_FULL",
            Self::Indexing => "INDEXING_ERROR",
            Self::Embedding => "EMBEDDING_ERROR",
        }
    }
}

/// An error as an assistant sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolError {
    code: Code,
    message: String,
    suggestion: String,
    details: Value,
}

impl ToolError {
    pub(super) fn new(
        code: Code,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) -> Self {
        Self { code, message: message.into(), suggestion: suggestion.into(), details: json!({}) }
    }

    pub(super) fn with_details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    pub(super) fn coded(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    pub(super) fn shutting_down() -> Self {
        Self::new(Code::NotReady, "the server is shutting down", "start it again")
    }

    /// An argument that does not fit.
    pub(super) fn invalid(error: &impl ToString) -> Self {
        Self::advised(&error.to_string(), "correct the argument")
    }

    /// An error of the form "what is wrong; what to do", or `advice` where it does not say what to do.
    pub(super) fn advised(text: &str, advice: &str) -> Self {
        let (message, suggestion) = split_advice(text).unwrap_or((text, advice));
        Self::new(Code::Validation, message, suggestion)
    }

    pub(super) fn into_result(self) -> CallToolResult {
        CallToolResult::structured_error(json!({
            "code": self.code.as_str(),
            "message": self.message,
            "suggestion": self.suggestion,
            "details": self.details,
        }))
    }
}

/// Splits at the first semicolon that is in no quoted value.
fn split_advice(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            '\\' if quoted && !escaped => escaped = true,
            '"' if !escaped => quoted = !quoted,
            ';' if !quoted => return text.get(..at).zip(text.get(at + 1..).map(str::trim_start)),
            _ => escaped = false,
        }
    }
    None
}

impl From<QueryError> for ToolError {
    fn from(error: QueryError) -> Self {
        Self::invalid(&error)
    }
}

impl From<RootError> for ToolError {
    fn from(error: RootError) -> Self {
        Self::invalid(&error)
    }
}

impl From<ProjectError> for ToolError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::NotFound { .. } => Self::invalid(&error).coded(Code::ProjectNotFound),
            ProjectError::Acquire(error) => error.into(),
            ProjectError::Database(error) => error.into(),
            ProjectError::DatabaseName { .. }
            | ProjectError::Closing
            | ProjectError::Migrate(_)
            | ProjectError::Pool(_) => {
                tracing::error!(error = %error, "a project could not be opened");
                Self::new(
                    Code::Database,
                    "the project's database could not be opened",
                    "`codebase-mcp doctor` says what is wrong with it",
                )
            }
        }
    }
}

impl From<JobError> for ToolError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::QueueFull { .. } => Self::invalid(&error).coded(Code::QueueFull),
            JobError::NotFound { id } => Self::new(
                Code::JobNotFound,
                format!("there is no job with the id {id}"),
                "use the job_id that start_indexing_background returned",
            ),
            JobError::ShuttingDown => Self::shutting_down(),
            JobError::Acquire(error) => error.into(),
            JobError::Database(error) => error.into(),
        }
    }
}

impl From<SearchError> for ToolError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::NoKnownWord { .. } | SearchError::UnknownRepository { .. } => {
                Self::invalid(&error)
            }
            SearchError::ModelMismatch { .. } => Self::invalid(&error).coded(Code::Embedding),
            SearchError::Acquire(error) => error.into(),
            SearchError::Database(error) => error.into(),
        }
    }
}

impl From<AcquireError> for ToolError {
    fn from(error: AcquireError) -> Self {
        tracing::warn!(error = %error, "no database connection for a request");
        match error {
            AcquireError::TimedOut { waited, snapshot, .. } => Self::new(
                Code::Database,
                format!("no database connection became free within {} ms", waited.as_millis()),
                "raise pool.max_size, or run fewer requests at once",
            )
            .with_details(json!({ "error_type": "PoolTimeoutError", "pool_statistics": snapshot })),
            AcquireError::QueueFull { limit, snapshot } => Self::new(
                Code::Database,
                format!("{limit} requests wait for a database connection already"),
                "retry later",
            )
            .with_details(json!({ "error_type": "PoolTimeoutError", "pool_statistics": snapshot })),
            AcquireError::Validation { snapshot, .. } => Self::new(
                Code::Database,
                "every database connection failed its check".to_owned(),
                "try again; the server replaces its connections by itself",
            )
            .with_details(json!({
                "error_type": "ConnectionValidationError",
                "pool_statistics": snapshot,
            })),
            AcquireError::Unavailable(outage) => Self::new(
                Code::Database,
                format!("the database is not available: {}", outage.cause.public_cause()),
                "check that PostgreSQL runs and can be reached; the server reconnects by itself",
            )
            .with_details(json!({
                "error_type": "PoolInitializationError",
                "retry_after_seconds": outage.retry_after.as_secs_f64(),
                "attempts": outage.attempts,
                "pool_statistics": outage.snapshot,
            })),
            AcquireError::Closed { .. } => Self::shutting_down(),
        }
    }
}

impl From<sqlx::Error> for ToolError {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(error = %error, "a database statement failed");
        let state = error.as_database_error().and_then(DatabaseError::code);
        let message = public_statement_error(&error);
        Self::new(Code::Database, message, "retry; the server's log has the whole error")
            .with_details(json!({ "sqlstate": state }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_begins_behind_what_is_quoted() {
        for (text, expected) in [
            ("it is wrong; mend it", Some(("it is wrong", "mend it"))),
            (r#""a; b" is wrong; mend it"#, Some((r#""a; b" is wrong"#, "mend it"))),
            (
                r#""a\"; b" is wrong; mend it; soon"#,
                Some((r#""a\"; b" is wrong"#, "mend it; soon")),
            ),
            ("it is wrong", None),
            ("", None),
            ("\"", None),
        ] {
            assert_eq!(split_advice(text), expected, "{text}");
        }
    }
}
