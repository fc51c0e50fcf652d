//! A query that has been checked.

use uuid::Uuid;

use crate::store::chunks::Filter;

/// The longest query, in characters.
const MAX_TEXT: usize = 500;
/// The longest file type, in characters.
const MAX_FILE_TYPE: usize = 20;
/// The most results of one query.
const MAX_LIMIT: u32 = 50;

/// What is asked, and what the answer is limited to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    text: String,
    limit: u32,
    filter: Filter,
}

/// Why a query was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Nothing but white space.
    #[error("the query is blank; say what the code should do")]
    Blank,
    /// Too long.
    #[error(
        "the query has {length} characters, at most {MAX_TEXT} are allowed; ask one thing at a time"
    )]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// A limit out of bounds.
    #[error("limit is {limit}, it must be between 1 and {MAX_LIMIT}")]
    Limit {
        /// What was asked for.
        limit: i64,
    },
    /// Not a file extension.
    #[error(
        "file_type is {file_type:?}, it must be an extension of 1 to {MAX_FILE_TYPE} characters without its dot, such as \"rs\""
    )]
    FileType {
        /// What was asked for.
        file_type: String,
    },
    /// Not a folder of a repository.
    #[error(
        "directory is {directory:?}, it must be a folder relative to the repository's root, such as \"src/net\""
    )]
    Directory {
        /// What was asked for.
        directory: String,
    },
    /// Not an id.
    #[error(
        "repository_id is {repository_id:?}, it must be a UUID; leave it out to search all repositories"
    )]
    Repository {
        /// What was asked for.
        repository_id: String,
    },
}

impl Query {
    /// The default number of results.
    pub const DEFAULT_LIMIT: i64 = 10;

    /// Checks the text (1 to 500 characters once trimmed) and the limit (1 to 50).
    pub fn new(text: &str, limit: i64) -> Result<Self, QueryError> {
        let text = text.trim();
        let length = text.chars().count();
        if text.is_empty() {
            return Err(QueryError::Blank);
        }
        if length > MAX_TEXT {
            return Err(QueryError::TooLong { length });
        }
        let allowed = u32::try_from(limit).ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        let limit = allowed.ok_or(QueryError::Limit { limit })?;
        Ok(Self { text: text.to_owned(), limit, filter: Filter::default() })
    }

    /// Limits the answer to files with this extension.
    pub fn of_type(mut self, file_type: &str) -> Result<Self, QueryError> {
        let length = file_type.chars().count();
        let extension = (1..=MAX_FILE_TYPE).contains(&length)
            && !file_type.starts_with('.')
            && !file_type.contains(['/', '\\', '\0'])
            && !file_type.contains(char::is_whitespace);
        if !extension {
            return Err(QueryError::FileType { file_type: file_type.to_owned() });
        }
        self.filter.file_type = Some(file_type.to_owned());
        Ok(self)
    }

    /// Limits the answer to files below this folder.
    pub fn below(mut self, directory: &str) -> Result<Self, QueryError> {
        let relative = directory.trim_start_matches("./").trim_end_matches('/');
        let inside = !relative.is_empty()
            && !relative.contains('\0')
            && relative.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !inside {
            return Err(QueryError::Directory { directory: directory.to_owned() });
        }
        self.filter.directory = Some(relative.to_owned());
        Ok(self)
    }

    /// Limits the answer to one repository, by its id as text.
    pub fn in_repository(self, repository_id: &str) -> Result<Self, QueryError> {
        let id = Uuid::parse_str(repository_id).map_err(|_malformed| QueryError::Repository {
            repository_id: repository_id.to_owned(),
        })?;
        Ok(self.within(id))
    }

    /// Limits the answer to one repository.
    #[must_use]
    pub fn within(mut self, repository: Uuid) -> Self {
        self.filter.repository_id = Some(repository);
        self
    }

    /// The question, trimmed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The most hits wanted.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// What the answer is limited to.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_limit_at_their_bounds() {
        let long = "x".repeat(MAX_TEXT);
        for (text, limit, expected) in [
            ("  where are timers driven \n", 10, Ok("where are timers driven")),
            (long.as_str(), 1, Ok(long.as_str())),
            ("", 10, Err(QueryError::Blank)),
            (" \t\n ", 10, Err(QueryError::Blank)),
            (&format!("{long}x"), 10, Err(QueryError::TooLong { length: 501 })),
            ("a", 0, Err(QueryError::Limit { limit: 0 })),
            ("a", 50, Ok("a")),
            ("a", 51, Err(QueryError::Limit { limit: 51 })),
            ("a", -1, Err(QueryError::Limit { limit: -1 })),
            ("a", i64::MAX, Err(QueryError::Limit { limit: i64::MAX })),
        ] {
            let query = Query::new(text, limit);
            assert_eq!(query.as_ref().map(Query::text), expected.as_ref().copied(), "{text:?}");
        }
    }

    #[test]
    fn filters_are_normalized_or_refused() {
        let query = || Query::new("a", 1).unwrap();
        for (directory, expected) in
            [("src", "src"), ("./src/net/", "src/net"), ("src_old", "src_old"), ("a%b", "a%b")]
        {
            let filtered = query().below(directory).unwrap();
            assert_eq!(filtered.filter().directory.as_deref(), Some(expected));
        }
        for directory in ["", "/", "./", "a\0b", "..", "a/../b", "/etc", "a//b"] {
            assert!(query().below(directory).is_err(), "{directory}");
        }
        for (file_type, accepted) in [
            ("rs", true),
            ("RS", true),
            ("", false),
            (".rs", false),
            ("a/b", false),
            ("a b", false),
        ] {
            assert_eq!(query().of_type(file_type).is_ok(), accepted, "{file_type}");
        }
        assert!(query().of_type(&"x".repeat(20)).is_ok());
        assert!(query().of_type(&"x".repeat(21)).is_err());
        assert!(query().in_repository("not-a-uuid").is_err());
    }

    #[test]
    fn refusals_say_what_to_do() {
        insta::assert_snapshot!(Query::new(" ", 10).unwrap_err(), @"the query is blank; say what the code should do");
        insta::assert_snapshot!(Query::new("a", 51).unwrap_err(), @"limit is 51, it must be between 1 and 50");
    }
}
