//! From a folder to its index: scan, read, chunk, embed, write.
//!
//! One blocking task walks, reads and chunks; this side embeds what is new and writes. Between them stand
//! at most [`QUEUED_BATCHES`] batches, so memory is bounded by the batch and not by the repository. A
//! batch is one transaction that writes files, chunks and vectors together: a crash repeats at most one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use pgvector::HalfVector;
use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::prepare::{Batch, Prepared, embedded_text, prepare};
use super::scan::{Scan, Walked, scan};
use super::{Config, Root};
use crate::embed::StaticModel;
use crate::pool::{AcquireError, PgLease, PgPool};
use crate::store::chunks::ChunkRow;
use crate::store::embeddings::ModelKey;
use crate::store::files::FileRow;
use crate::store::{ContentHash, chunks, embeddings, files, repositories};

/// How many prepared batches may wait to be written.
const QUEUED_BATCHES: usize = 2;
/// How many chunks are embedded at once when a change of model left them without vectors.
const BACKFILL: i64 = 2_000;

/// How far an index run is. At the end, indexed, unchanged, skipped and failed add up to scanned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Files found by the walk.
    pub scanned: u64,
    /// Files whose chunks were written.
    pub indexed: u64,
    /// Files that were in the index already as they are.
    pub unchanged: u64,
    /// Files that a rule keeps out.
    pub skipped: u64,
    /// Files that could not be read.
    pub failed: u64,
    /// Chunks written.
    pub chunks: u64,
}

/// What an index run is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Walking the folder.
    #[default]
    Scanning,
    /// Reading, embedding and writing.
    Indexing,
    /// Removing what is gone and completing vectors.
    Finishing,
}

impl Phase {
    /// The stable label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scanning => "scanning",
            Self::Indexing => "indexing",
            Self::Finishing => "finishing",
        }
    }
}

/// Why an index run ended early. What was written stays, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The walk found nothing.
    #[error(
        "there is nothing to index in {path}: the walk found no file; check the path and its ignore files (.gitignore, .mcpignore)"
    )]
    Empty {
        /// The folder.
        path: String,
    },
    /// The process is shutting down.
    #[error("indexing was stopped; run it again, it goes on where it ended")]
    Stopped,
    /// No connection.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// A statement failed.
    #[error("writing the index failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A task of the run died.
    #[error("a task of the index run died, which is a bug: {0}")]
    Task(#[from] JoinError),
}

/// An index run of one repository.
#[derive(Debug)]
pub struct Indexer {
    /// The pool of the project's database.
    pub pool: PgPool,
    /// Makes the vectors.
    pub model: Arc<StaticModel>,
    /// Bounds.
    pub config: Config,
    /// Cancelled to end the run after the batch that is being written.
    pub stop: CancellationToken,
}

impl Indexer {
    /// Brings the index of `root` up to date, or rewrites it when `force` is set, reporting to
    /// `progress` after every step.
    ///
    /// # Cancel safety
    /// A dropped future leaves whole batches written.
    pub async fn run(
        &self,
        root: Root,
        force: Force,
        progress: impl Fn(Progress) + Send,
    ) -> Result<Progress, IndexError> {
        let mut report = Progress::default();
        progress(report);
        let began = repositories::now(&mut self.pool.acquire().await?).await?;
        let scan = Arc::new(self.walk(&root).await?);

        let mut lease = self.pool.acquire().await?;
        if scan.files.is_empty() && repositories::find(&mut lease, root.as_str()).await?.is_none() {
            return Err(IndexError::Empty { path: root.as_str().to_owned() });
        }
        let name = root.path().file_name().and_then(|name| name.to_str()).unwrap_or("/");
        let repository = repositories::ensure(&mut lease, root.as_str(), name).await?;
        let identity = self.model.identity();
        let key = ModelKey::new(
            &identity.name,
            &identity.version,
            identity.dimension,
            &identity.weights_hash,
        );
        let model_id = embeddings::ensure_model(&mut lease, key).await?;
        let known = match force {
            Force::Everything => HashMap::new(),
            Force::Changed => files::indexed_hashes(&mut lease, repository).await?,
        };
        drop(lease);

        report.scanned = scan.files.len() as u64;
        report.phase = Phase::Indexing;
        progress(report);

        let (sender, mut batches) = mpsc::channel(QUEUED_BATCHES);
        let preparing = {
            let (scan, config, stop) = (Arc::clone(&scan), self.config.clone(), self.stop.clone());
            spawn_blocking(move || prepare(&root, &scan.files, &known, &config, &stop, &sender))
        };
        while let Some(batch) = batches.recv().await {
            report.unchanged += batch.unchanged;
            if !batch.files.is_empty() {
                self.write(repository, model_id, batch, &mut report).await?;
            }
            progress(report);
        }
        preparing.await?;
        if self.stop.is_cancelled() {
            return Err(IndexError::Stopped);
        }
        report.phase = Phase::Finishing;
        progress(report);
        self.finish(repository, model_id, &scan, began).await?;
        Ok(report)
    }

    async fn walk(&self, root: &Root) -> Result<Scan, IndexError> {
        let (root, config, stop) = (root.clone(), self.config.clone(), self.stop.clone());
        spawn_blocking(move || scan(&root, &config, &|| stop.is_cancelled()))
            .await?
            .map_err(|_cancelled| IndexError::Stopped)
    }

    /// Writes one batch: files, chunks and the vectors that are new, in one transaction.
    async fn write(
        &self,
        repository: Uuid,
        model_id: i32,
        batch: Batch,
        report: &mut Progress,
    ) -> Result<(), IndexError> {
        let mut lease = self.pool.acquire().await?;
        let (rows, prepared): (Vec<FileRow>, Vec<Vec<Prepared>>) = batch.files.into_iter().unzip();
        let vectors = self.vectors(&mut lease, model_id, &prepared).await?;
        let mut tx = lease.begin().await?;
        let ids = files::upsert(&mut *tx, repository, &rows).await?;
        let file_ids: Vec<i64> = ids.values().copied().collect();
        chunks::delete_of(&mut *tx, &file_ids).await?;
        let chunks = chunk_rows(&rows, prepared, &ids);
        chunks::insert(&mut *tx, &chunks).await?;
        embeddings::insert(&mut *tx, model_id, &vectors).await?;
        tx.commit().await?;
        for row in &rows {
            match row.outcome {
                files::FileOutcome::Indexed { .. } => report.indexed += 1,
                files::FileOutcome::Skipped { .. } => report.skipped += 1,
                files::FileOutcome::Failed { .. } => report.failed += 1,
            }
        }
        report.chunks += chunks.len() as u64;
        Ok(())
    }

    /// The vectors of the contents that the model has not embedded before.
    async fn vectors(
        &self,
        lease: &mut PgLease,
        model_id: i32,
        prepared: &[Vec<Prepared>],
    ) -> Result<Vec<(ContentHash, Option<HalfVector>)>, IndexError> {
        let all: Vec<ContentHash> =
            prepared.iter().flatten().map(|chunk| chunk.content_hash).collect();
        let mut seen: HashSet<ContentHash> =
            embeddings::known(lease, model_id, &all).await?.into_iter().collect();
        let fresh: Vec<(ContentHash, String)> = prepared
            .iter()
            .flatten()
            .filter(|chunk| seen.insert(chunk.content_hash))
            .map(|chunk| {
                (chunk.content_hash, embedded_text(chunk.symbol.as_deref(), &chunk.content))
            })
            .collect();
        self.embed(fresh).await
    }

    async fn embed(
        &self,
        contents: Vec<(ContentHash, String)>,
    ) -> Result<Vec<(ContentHash, Option<HalfVector>)>, IndexError> {
        let model = Arc::clone(&self.model);
        let embed = move || {
            contents
                .into_iter()
                .map(|(hash, content)| {
                    let vector = model.embed(&content);
                    (hash, vector.map(|vector| HalfVector::from_f32_slice(&vector)))
                })
                .collect()
        };
        Ok(spawn_blocking(embed).await?)
    }

    /// Removes files that are gone, and embeds chunks that were written under another model.
    async fn finish(
        &self,
        repository: Uuid,
        model_id: i32,
        scan: &Scan,
        began: DateTime<Utc>,
    ) -> Result<(), IndexError> {
        let walked: HashSet<&str> = scan.files.iter().map(Walked::relative).collect();
        let mut lease = self.pool.acquire().await?;
        let mut gone = files::paths(&mut lease, repository).await?;
        // Where a folder could not be listed, the absence of a file proves nothing.
        gone.retain(|path| !walked.contains(path.as_str()) && scan.covers(path));
        files::delete(&mut lease, repository, &gone, began).await?;
        loop {
            let missing = embeddings::missing(&mut lease, model_id, BACKFILL).await?;
            if missing.is_empty() {
                break;
            }
            if self.stop.is_cancelled() {
                return Err(IndexError::Stopped);
            }
            let texts = missing
                .into_iter()
                .map(|chunk| {
                    let text = embedded_text(chunk.symbol.as_deref(), &chunk.content);
                    (chunk.content_hash, text)
                })
                .collect();
            let vectors = self.embed(texts).await?;
            embeddings::insert(&mut lease, model_id, &vectors).await?;
        }
        repositories::mark_indexed(&mut lease, repository).await?;
        Ok(())
    }
}

/// Which files are indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Those whose content has changed.
    Changed,
    /// All.
    Everything,
}

fn chunk_rows(
    rows: &[FileRow],
    prepared: Vec<Vec<Prepared>>,
    ids: &HashMap<String, i64>,
) -> Vec<ChunkRow> {
    let mut chunks = Vec::new();
    for (row, of_file) in rows.iter().zip(prepared) {
        let Some(&file_id) = ids.get(&row.relative_path) else { continue };
        for (ordinal, chunk) in (0..).zip(of_file) {
            chunks.push(ChunkRow {
                file_id,
                ordinal,
                content: chunk.content,
                content_hash: chunk.content_hash,
                start_line: chunk.start_line,
                end_line: chunk.end_line,
                kind: chunk.kind,
                symbol: chunk.symbol,
            });
        }
    }
    chunks
}
