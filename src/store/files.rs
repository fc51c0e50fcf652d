//! Table `code_files` of a project: the ledger of what was walked.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::ContentHash;

/// What became of one walked file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// The path below the repository's root, with forward slashes.
    pub relative_path: String,
    /// Its size.
    pub size_bytes: Option<i64>,
    /// When the file system says it was changed.
    pub modified_at: Option<DateTime<Utc>>,
    /// Indexed, skipped or failed.
    pub outcome: FileOutcome,
}

/// Indexed, skipped or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileOutcome {
    /// Its chunks are in the index.
    Indexed {
        /// The hash of the bytes that were indexed.
        content_hash: ContentHash,
        /// The language it was read as.
        language: &'static str,
    },
    /// A rule says that it does not belong into the index.
    Skipped {
        /// The rule's stable label.
        rule: &'static str,
        /// The rule with its values, for people.
        detail: String,
    },
    /// It could not be read; the next run tries again.
    Failed {
        /// The cause's stable label.
        cause: &'static str,
        /// The cause with its values, for people.
        detail: String,
    },
}

impl FileOutcome {
    fn label(&self) -> &'static str {
        match self {
            Self::Indexed { .. } => "indexed",
            Self::Skipped { .. } => "skipped",
            Self::Failed { .. } => "failed",
        }
    }

    fn reason(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Indexed { .. } => None,
            Self::Skipped { rule: label, detail } | Self::Failed { cause: label, detail } => {
                Some((label, detail))
            }
        }
    }

    fn indexed(&self) -> Option<(&ContentHash, &'static str)> {
        match self {
            Self::Indexed { content_hash, language } => Some((content_hash, language)),
            Self::Skipped { .. } | Self::Failed { .. } => None,
        }
    }
}

/// The indexed files of a repository by path, with the hash of what is indexed.
pub async fn indexed_hashes(
    on: impl PgExecutor<'_>,
    repository_id: Uuid,
) -> Result<HashMap<String, ContentHash>, sqlx::Error> {
    let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT relative_path, content_hash FROM code_files
         WHERE repository_id = $1 AND outcome = 'indexed' AND deleted_at IS NULL",
    )
    .bind(repository_id)
    .fetch_all(on)
    .await?;
    Ok(rows.into_iter().filter_map(|(path, hash)| Some((path, hash.try_into().ok()?))).collect())
}

/// Writes what became of `files` and returns their ids by path. A file that was deleted before is back.
pub async fn upsert(
    on: impl PgExecutor<'_>,
    repository_id: Uuid,
    files: &[FileRow],
) -> Result<HashMap<String, i64>, sqlx::Error> {
    let paths: Vec<&str> = files.iter().map(|file| file.relative_path.as_str()).collect();
    let outcomes: Vec<&str> = files.iter().map(|file| file.outcome.label()).collect();
    let reasons: Vec<Option<&str>> =
        files.iter().map(|file| file.outcome.reason().map(|(label, _)| label)).collect();
    let details: Vec<Option<&str>> =
        files.iter().map(|file| file.outcome.reason().map(|(_, detail)| detail)).collect();
    let hashes: Vec<Option<&[u8]>> =
        files.iter().map(|file| file.outcome.indexed().map(|(hash, _)| hash.as_slice())).collect();
    let languages: Vec<Option<&str>> =
        files.iter().map(|file| file.outcome.indexed().map(|(_, language)| language)).collect();
    let sizes: Vec<Option<i64>> = files.iter().map(|file| file.size_bytes).collect();
    let modified: Vec<Option<DateTime<Utc>>> = files.iter().map(|file| file.modified_at).collect();
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "INSERT INTO code_files (repository_id, relative_path, outcome, reason, detail,
                                 content_hash, language, size_bytes, modified_at)
         SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[],
                                  $6::bytea[], $7::text[], $8::bigint[], $9::timestamptz[])
         ON CONFLICT (repository_id, relative_path) DO UPDATE SET
             outcome = EXCLUDED.outcome, reason = EXCLUDED.reason, detail = EXCLUDED.detail,
             content_hash = EXCLUDED.content_hash, language = EXCLUDED.language,
             size_bytes = EXCLUDED.size_bytes, modified_at = EXCLUDED.modified_at,
             indexed_at = now(), deleted_at = NULL
         RETURNING relative_path, id",
    )
    .bind(repository_id)
    .bind(paths)
    .bind(outcomes)
    .bind(reasons)
    .bind(details)
    .bind(hashes)
    .bind(languages)
    .bind(sizes)
    .bind(modified)
    .fetch_all(on)
    .await?;
    Ok(rows.into_iter().collect())
}

/// The paths of all files of a repository that are not deleted.
pub async fn paths(
    on: impl PgExecutor<'_>,
    repository_id: Uuid,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT relative_path FROM code_files WHERE repository_id = $1 AND deleted_at IS NULL",
    )
    .bind(repository_id)
    .fetch_all(on)
    .await
}

/// Marks files that are gone from the disk as deleted and removes their chunks, but for those that were
/// indexed after `began`: somebody has seen them since.
pub async fn delete(
    on: impl PgExecutor<'_>,
    repository_id: Uuid,
    paths: &[String],
    began: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH gone AS (
             UPDATE code_files SET deleted_at = now()
             WHERE repository_id = $1 AND relative_path = ANY($2) AND indexed_at < $3
             RETURNING id
         )
         DELETE FROM code_chunks USING gone WHERE file_id = gone.id",
    )
    .bind(repository_id)
    .bind(paths)
    .bind(began)
    .execute(on)
    .await
    .map(drop)
}

/// How much of a project is in the index. The three add up to what was walked.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    sqlx::FromRow,
    serde::Serialize,
    schemars::JsonSchema,
)]
pub struct Coverage {
    /// Files whose chunks are in the index.
    pub indexed: i64,
    /// Files that a rule keeps out.
    pub skipped: i64,
    /// Files that could not be read.
    pub failed: i64,
}

/// The coverage of one repository, or of all.
pub async fn coverage(
    on: impl PgExecutor<'_>,
    repository_id: Option<Uuid>,
) -> Result<Coverage, sqlx::Error> {
    sqlx::query_as(
        "SELECT count(*) FILTER (WHERE outcome = 'indexed') AS indexed,
                count(*) FILTER (WHERE outcome = 'skipped') AS skipped,
                count(*) FILTER (WHERE outcome = 'failed') AS failed
         FROM code_files
         WHERE deleted_at IS NULL AND ($1::uuid IS NULL OR repository_id = $1)",
    )
    .bind(repository_id)
    .fetch_one(on)
    .await
}

/// A file that is not in the index, and why.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize, schemars::JsonSchema)]
pub struct LeftOut {
    /// The path below the repository's root.
    pub relative_path: String,
    /// `skipped` or `failed`.
    pub outcome: String,
    /// The rule or the cause, as a stable label.
    pub reason: String,
    /// The rule or the cause with its values.
    pub detail: String,
}

/// Up to `limit` files of a repository that are not in the index, failed ones first.
pub async fn left_out(
    on: impl PgExecutor<'_>,
    repository_path: &str,
    limit: i64,
) -> Result<Vec<LeftOut>, sqlx::Error> {
    sqlx::query_as(
        "SELECT f.relative_path, f.outcome, f.reason, coalesce(f.detail, '') AS detail
         FROM code_files f JOIN repositories r ON r.id = f.repository_id
         WHERE r.path = $1 AND f.deleted_at IS NULL AND f.outcome <> 'indexed'
         ORDER BY f.outcome, f.relative_path LIMIT $2",
    )
    .bind(repository_path)
    .bind(limit)
    .fetch_all(on)
    .await
}
