//! Questions and their answers: the question's vector, its nearest chunks, and the lines around them.

mod query;
mod rank;

use std::collections::HashMap;

use pgvector::HalfVector;
use uuid::Uuid;

pub use query::{Query, QueryError};

use crate::embed::StaticModel;
use crate::pool::{AcquireError, PgPool};
use crate::store::chunks::{self, Neighbor};
use crate::store::embeddings::{self, ModelKey};
use crate::store::files::{self, Coverage};
use crate::store::repositories;

/// How many lines of the neighboring chunks are shown before and after a hit.
const CONTEXT_LINES: usize = 10;

/// How many candidates are ranked for each wanted hit.
const CANDIDATES: u32 = 4;

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The hits, best first.
    pub hits: Vec<Hit>,
    /// How much of what was walked the index holds.
    pub coverage: Coverage,
}

/// A chunk that answers the query.
#[derive(Debug, Clone, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct Hit {
    /// The chunk's id.
    pub chunk_id: Uuid,
    /// The repository, for `repository_id` of another query.
    pub repository_id: Uuid,
    /// The repository's root.
    pub repository_path: String,
    /// The file's path below the root.
    pub file_path: String,
    /// The chunk's text, as it was indexed.
    pub content: String,
    /// Its first line, from 1.
    pub start_line: i32,
    /// Its last line.
    pub end_line: i32,
    /// What it is, as a stable label.
    pub kind: String,
    /// The definition it is, or lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// The file's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Cosine similarity to the query: 1 - distance, clamped to 0..=1.
    pub similarity_score: f64,
    /// Up to ten lines before it, as they were indexed.
    pub context_before: String,
    /// Up to ten lines after it, as they were indexed.
    pub context_after: String,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The embedding model knows no word of the query.
    #[error(
        "the query {query:?} has no word that the embedding model knows; describe in English words or identifiers what the code does"
    )]
    NoKnownWord {
        /// The query.
        query: String,
    },
    /// There is no such repository.
    #[error(
        "there is no repository with the id {id}; use the repository_id of a hit, or leave it out"
    )]
    UnknownRepository {
        /// What was asked for.
        id: Uuid,
    },
    /// The index was built with another embedding model.
    #[error(
        "the index was built with another embedding model ({stored}); index the repositories again to search with {ours}"
    )]
    ModelMismatch {
        /// The models that the index has vectors of.
        stored: String,
        /// The model of this program.
        ours: String,
    },
    /// No connection.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// A statement failed.
    #[error("a search statement failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// Answers `query` from the index in `pool`'s database.
///
/// # Cancel safety
/// Nothing is changed; a statement that was under way ends with its connection.
pub async fn search(
    pool: &PgPool,
    model: &StaticModel,
    query: &Query,
) -> Result<Answer, SearchError> {
    let vector = model
        .embed(query.text())
        .ok_or_else(|| SearchError::NoKnownWord { query: query.text().to_owned() })?;
    let vector = HalfVector::from_f32_slice(&vector);
    let mut lease = pool.acquire().await?;
    if let Some(id) = query.filter().repository_id
        && !repositories::exists(&mut lease, id).await?
    {
        return Err(SearchError::UnknownRepository { id });
    }
    let coverage = files::coverage(&mut lease, query.filter().repository_id).await?;
    let identity = model.identity();
    let key = ModelKey::new(
        &identity.name,
        &identity.version,
        identity.dimension,
        &identity.weights_hash,
    );
    let neighbors = match embeddings::find_model(&mut lease, key).await? {
        Some(id) => {
            let wanted = query.limit() * CANDIDATES;
            let filter = query.filter();
            let near = chunks::nearest(&mut lease, id, &vector, filter, wanted.into()).await?;
            rank::rank(near, query.limit() as usize)
        }
        None if coverage.indexed == 0 => Vec::new(),
        None => {
            let stored = embeddings::models(&mut lease).await?.join(", ");
            let ours = format!("{} {}", key.name, key.version);
            return Err(SearchError::ModelMismatch { stored, ours });
        }
    };
    let around: HashMap<(i64, i32), String> = chunks::around(&mut lease, &neighbors)
        .await?
        .into_iter()
        .map(|(file, ordinal, content)| ((file, ordinal), content))
        .collect();
    let hits = neighbors.into_iter().map(|neighbor| hit(neighbor, &around)).collect();
    Ok(Answer { hits, coverage })
}

fn hit(neighbor: Neighbor, around: &HashMap<(i64, i32), String>) -> Hit {
    let content_at =
        |ordinal: i32| around.get(&(neighbor.file_id, ordinal)).map_or("", String::as_str);
    Hit {
        context_before: last_lines(content_at(neighbor.ordinal - 1)),
        context_after: first_lines(content_at(neighbor.ordinal + 1)),
        chunk_id: neighbor.chunk_id,
        repository_id: neighbor.repository_id,
        repository_path: neighbor.repository_path,
        file_path: neighbor.relative_path,
        content: neighbor.content,
        start_line: neighbor.start_line,
        end_line: neighbor.end_line,
        kind: neighbor.kind,
        symbol: neighbor.symbol,
        language: neighbor.language,
        similarity_score: (1.0 - neighbor.distance).clamp(0.0, 1.0),
    }
}

fn first_lines(text: &str) -> String {
    text.split_inclusive('\n').take(CONTEXT_LINES).collect()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines.into_iter().rev().take(CONTEXT_LINES).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_the_nearest_ten_lines() {
        let text = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";
        assert!(first_lines(text).ends_with("9\n10\n"));
        assert!(last_lines(text).starts_with("3\n4\n"));
        assert_eq!(last_lines("one"), "one");
        assert_eq!(first_lines(""), "");
    }
}
