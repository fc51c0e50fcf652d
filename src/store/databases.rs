//! Databases of the server.

use sqlx::{AssertSqlSafe, PgExecutor};

/// Names of PostgreSQL databases that this program makes: lower-case letters, digits and underscores, so
/// that quoting has nothing to escape. At most 63 bytes, PostgreSQL's limit for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseName(String);

impl DatabaseName {
    /// Accepts a name of one to 63 lower-case letters, digits and underscores that begins with a letter.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let fits = name.len() <= 63 && name.bytes().all(allowed);
        (fits && name.starts_with(|first: char| first.is_ascii_lowercase())).then_some(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the database exists.
pub async fn exists(on: impl PgExecutor<'_>, name: &DatabaseName) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
        .bind(name.as_str())
        .fetch_one(on)
        .await
}

/// Creates the database; one that exists already, or that somebody else creates at this moment, is fine.
pub async fn create(on: impl PgExecutor<'_>, name: &DatabaseName) -> Result<(), sqlx::Error> {
    // The template is the one that no session may be connected to; text is UTF-8 whatever the server's
    // default is.
    let sql = format!(r#"CREATE DATABASE "{}" TEMPLATE template0 ENCODING 'UTF8'"#, name.as_str());
    match sqlx::raw_sql(AssertSqlSafe(sql)).execute(on).await {
        Err(error) if is_duplicate(&error) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// The versions of the server and of the pgvector that it offers.
pub async fn versions(on: impl PgExecutor<'_>) -> Result<(String, Option<String>), sqlx::Error> {
    sqlx::query_as(
        "SELECT current_setting('server_version'),
                (SELECT default_version FROM pg_available_extensions WHERE name = 'vector')",
    )
    .fetch_one(on)
    .await
}

/// `duplicate_database`, or the unique violation that two simultaneous creations end in.
fn is_duplicate(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("42P04" | "23505"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_need_no_quoting_are_accepted() {
        for good in ["a", "codebase_mcp_registry", "cb_proj_default_00000000", &"x".repeat(63)] {
            assert!(DatabaseName::new(good).is_some(), "{good}");
        }
        for bad in ["", "A", "1a", "_a", "a-b", "a\"b", "a;b", "ä", "a b", &"x".repeat(64)] {
            assert!(DatabaseName::new(bad).is_none(), "{bad}");
        }
    }
}
