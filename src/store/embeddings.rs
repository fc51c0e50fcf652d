//! Tables `embedding_models` and `embeddings` of a project.

use pgvector::HalfVector;
use sqlx::PgExecutor;

use super::ContentHash;

/// What makes vectors comparable: only those of the same model are.
#[derive(Debug, Clone, Copy)]
pub struct ModelKey<'a> {
    /// The model's name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Length of its vectors.
    pub dimension: i32,
    /// Hash of its weights, hexadecimal.
    pub weights_hash: &'a str,
}

impl<'a> ModelKey<'a> {
    /// The key of a model; a dimension beyond what a column holds is clamped and matches no model.
    pub fn new(name: &'a str, version: &'a str, dimension: usize, weights_hash: &'a str) -> Self {
        let dimension = i32::try_from(dimension).unwrap_or(i32::MAX);
        Self { name, version, dimension, weights_hash }
    }
}

/// The model's id in this database, if it has ever been used here.
pub async fn find_model(
    on: impl PgExecutor<'_>,
    model: ModelKey<'_>,
) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id FROM embedding_models
         WHERE name = $1 AND version = $2 AND dimension = $3 AND weights_hash = $4",
    )
    .bind(model.name)
    .bind(model.version)
    .bind(model.dimension)
    .bind(model.weights_hash)
    .fetch_optional(on)
    .await
}

/// The names and versions of all models that have been used here, newest first.
pub async fn models(on: impl PgExecutor<'_>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT name || ' ' || version FROM embedding_models ORDER BY id DESC")
        .fetch_all(on)
        .await
}

/// Registers the model and returns its id in this database.
pub async fn ensure_model(
    on: impl PgExecutor<'_>,
    model: ModelKey<'_>,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO embedding_models (name, version, dimension, weights_hash)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (name, version, dimension, weights_hash) DO UPDATE SET name = EXCLUDED.name
         RETURNING id",
    )
    .bind(model.name)
    .bind(model.version)
    .bind(model.dimension)
    .bind(model.weights_hash)
    .fetch_one(on)
    .await
}

/// Which of `hashes` the model has a vector for already.
pub async fn known(
    on: impl PgExecutor<'_>,
    model_id: i32,
    hashes: &[ContentHash],
) -> Result<Vec<ContentHash>, sqlx::Error> {
    let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 32]>::as_slice).collect();
    let known: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT content_hash FROM embeddings WHERE model_id = $1 AND content_hash = ANY($2)",
    )
    .bind(model_id)
    .bind(hashes)
    .fetch_all(on)
    .await?;
    Ok(known.iter().filter_map(|hash| hash.as_slice().try_into().ok()).collect())
}

/// Stores vectors; those that are there already stay.
pub async fn insert(
    on: impl PgExecutor<'_>,
    model_id: i32,
    vectors: &[(ContentHash, Option<HalfVector>)],
) -> Result<(), sqlx::Error> {
    let hashes: Vec<&[u8]> = vectors.iter().map(|(hash, _)| hash.as_slice()).collect();
    let vectors: Vec<Option<&HalfVector>> =
        vectors.iter().map(|(_, vector)| vector.as_ref()).collect();
    sqlx::query(
        "INSERT INTO embeddings (model_id, content_hash, vector)
         SELECT $1, hash, vector FROM unnest($2::bytea[], $3::halfvec[]) AS new (hash, vector)
         ON CONFLICT DO NOTHING",
    )
    .bind(model_id)
    .bind(hashes)
    .bind(vectors)
    .execute(on)
    .await
    .map(drop)
}

/// A chunk that the model has not embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The hash of what is to be embedded.
    pub content_hash: ContentHash,
    /// The definition that the chunk is, or lies in.
    pub symbol: Option<String>,
    /// Its text.
    pub content: String,
}

/// Up to `limit` chunks that the model has not embedded, one for each hash: none after an index run, all
/// after a change of model.
pub async fn missing(
    on: impl PgExecutor<'_>,
    model_id: i32,
    limit: i64,
) -> Result<Vec<Missing>, sqlx::Error> {
    let rows: Vec<(Vec<u8>, Option<String>, String)> = sqlx::query_as(
        "SELECT DISTINCT ON (c.content_hash) c.content_hash, c.symbol, c.content
         FROM code_chunks c
         WHERE NOT EXISTS (SELECT 1 FROM embeddings e
                           WHERE e.model_id = $1 AND e.content_hash = c.content_hash)
         ORDER BY c.content_hash
         LIMIT $2",
    )
    .bind(model_id)
    .bind(limit)
    .fetch_all(on)
    .await?;
    let missing = rows.into_iter().filter_map(|(hash, symbol, content)| {
        Some(Missing { content_hash: hash.try_into().ok()?, symbol, content })
    });
    Ok(missing.collect())
}
