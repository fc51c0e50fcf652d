//! Table `code_chunks` of a project, and the nearest-neighbor query over it.

use pgvector::HalfVector;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::ContentHash;

/// A piece of a file, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRow {
    /// The file it belongs to.
    pub file_id: i64,
    /// Its position in the file, from 0.
    pub ordinal: i32,
    /// Its text.
    pub content: String,
    /// The hash of what is embedded of it.
    pub content_hash: ContentHash,
    /// Its first line, from 1.
    pub start_line: i32,
    /// Its last line.
    pub end_line: i32,
    /// What it is, as a stable label.
    pub kind: &'static str,
    /// The definition it is, or lies in.
    pub symbol: Option<String>,
}

/// Removes the chunks of `files`.
pub async fn delete_of(on: impl PgExecutor<'_>, files: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM code_chunks WHERE file_id = ANY($1)")
        .bind(files)
        .execute(on)
        .await
        .map(drop)
}

/// Writes chunks.
pub async fn insert(on: impl PgExecutor<'_>, chunks: &[ChunkRow]) -> Result<(), sqlx::Error> {
    let files: Vec<i64> = chunks.iter().map(|chunk| chunk.file_id).collect();
    let ordinals: Vec<i32> = chunks.iter().map(|chunk| chunk.ordinal).collect();
    let contents: Vec<&str> = chunks.iter().map(|chunk| chunk.content.as_str()).collect();
    let hashes: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.content_hash.as_slice()).collect();
    let starts: Vec<i32> = chunks.iter().map(|chunk| chunk.start_line).collect();
    let ends: Vec<i32> = chunks.iter().map(|chunk| chunk.end_line).collect();
    let kinds: Vec<&str> = chunks.iter().map(|chunk| chunk.kind).collect();
    let symbols: Vec<Option<&str>> = chunks.iter().map(|chunk| chunk.symbol.as_deref()).collect();
    sqlx::query(
        "INSERT INTO code_chunks (file_id, ordinal, content, content_hash, start_line, end_line,
                                  kind, symbol)
         SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::bytea[], $5::int[],
                              $6::int[], $7::text[], $8::text[])",
    )
    .bind(files)
    .bind(ordinals)
    .bind(contents)
    .bind(hashes)
    .bind(starts)
    .bind(ends)
    .bind(kinds)
    .bind(symbols)
    .execute(on)
    .await
    .map(drop)
}

/// What a search is limited to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// One repository.
    pub repository_id: Option<Uuid>,
    /// Files with this extension, without its dot; compared without regard to case.
    pub file_type: Option<String>,
    /// Files below this folder, relative to the repository's root, without slashes at its ends.
    pub directory: Option<String>,
}

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Neighbor {
    /// Its id.
    pub chunk_id: Uuid,
    /// Its file.
    pub file_id: i64,
    /// The repository.
    pub repository_id: Uuid,
    /// The repository's root.
    pub repository_path: String,
    /// The file's path below the root.
    pub relative_path: String,
    /// Its position in the file.
    pub ordinal: i32,
    /// Its text.
    pub content: String,
    /// Its first line.
    pub start_line: i32,
    /// Its last line.
    pub end_line: i32,
    /// What it is.
    pub kind: String,
    /// The definition it is, or lies in.
    pub symbol: Option<String>,
    /// The file's language.
    pub language: Option<String>,
    /// Cosine distance to the query, 0 to 2.
    pub distance: f64,
}

/// The chunks nearest to `query` by cosine distance, nearest first. Filters apply before the limit, and
/// the scan is exact.
pub async fn nearest(
    on: impl PgExecutor<'_>,
    model_id: i32,
    query: &HalfVector,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<Neighbor>, sqlx::Error> {
    sqlx::query_as(
        "SELECT c.id AS chunk_id, c.file_id, r.id AS repository_id, r.path AS repository_path,
                f.relative_path, c.ordinal,
                c.content, c.start_line, c.end_line, c.kind, c.symbol, f.language,
                e.vector <=> $2 AS distance
         FROM embeddings e
         JOIN code_chunks c ON c.content_hash = e.content_hash
         JOIN code_files f ON f.id = c.file_id
         JOIN repositories r ON r.id = f.repository_id
         WHERE e.model_id = $1 AND e.vector IS NOT NULL AND f.deleted_at IS NULL
           AND ($3::uuid IS NULL OR r.id = $3)
           AND ($4::text IS NULL OR lower(f.relative_path) LIKE '%.' || $4)
           AND ($5::text IS NULL OR starts_with(f.relative_path, $5 || '/'))
         ORDER BY distance, c.id
         LIMIT $6",
    )
    .bind(model_id)
    .bind(query)
    .bind(filter.repository_id)
    .bind(filter.file_type.as_deref().map(escaped_like))
    .bind(filter.directory.as_deref())
    .bind(limit)
    .fetch_all(on)
    .await
}

/// Lower-cases a literal for use in a LIKE pattern and takes the meaning from its wildcards.
fn escaped_like(literal: &str) -> String {
    let mut escaped = String::with_capacity(literal.len());
    for character in literal.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The neighbors of a chunk in its file: the chunk before and the chunk after, as the index holds them.
pub async fn around(
    on: impl PgExecutor<'_>,
    hits: &[Neighbor],
) -> Result<Vec<(i64, i32, String)>, sqlx::Error> {
    let files: Vec<i64> = hits.iter().map(|hit| hit.file_id).collect();
    let ordinals: Vec<i32> = hits.iter().map(|hit| hit.ordinal).collect();
    sqlx::query_as(
        "SELECT DISTINCT c.file_id, c.ordinal, c.content
         FROM unnest($1::bigint[], $2::int[]) AS hit (file_id, ordinal)
         JOIN code_chunks c ON c.file_id = hit.file_id
          AND c.ordinal IN (hit.ordinal - 1, hit.ordinal + 1)",
    )
    .bind(files)
    .bind(ordinals)
    .fetch_all(on)
    .await
}
