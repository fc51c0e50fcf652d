//! Reads and chunks what a walk found, batch by batch.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::source::{Source, Unreadable, read};
use super::{Chunker, Config, FailCause, Root, SkipRule, Walked};
use crate::store::ContentHash;
use crate::store::files::{FileOutcome, FileRow};

/// A batch is closed when its texts reach this size, whatever the number of its files. Bytes.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A batch is closed when so many unchanged files were seen, so that progress shows on a repository that has
/// not changed.
const REPORTED_UNCHANGED: u64 = 500;

/// Files that are written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What became of each file, with its chunks.
    pub(super) files: Vec<(FileRow, Vec<Prepared>)>,
    /// Files seen meanwhile that are in the index as they are.
    pub(super) unchanged: u64,
}

/// A chunk, ready to be embedded and written.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) content: String,
    /// The hash of what is embedded.
    pub(super) content_hash: ContentHash,
    pub(super) start_line: i32,
    pub(super) end_line: i32,
    pub(super) kind: &'static str,
    pub(super) symbol: Option<String>,
}

/// Sends everything in `walked` that is not in `known` as it is. Blocks the thread; ends early when
/// `stop` is cancelled or nobody receives any more.
pub(super) fn prepare(
    root: &Root,
    walked: &[Walked],
    known: &HashMap<String, ContentHash>,
    config: &Config,
    stop: &CancellationToken,
    batches: &mpsc::Sender<Batch>,
) {
    let mut chunker = Chunker::default();
    let mut batch = Batch::default();
    let mut bytes = 0;
    for walked in walked {
        if stop.is_cancelled() {
            return;
        }
        let (size_bytes, modified_at) = match walked {
            Walked::Candidate { size, modified, .. } => {
                (i64::try_from(*size).ok(), Some(*modified))
            }
            Walked::Skipped { .. } | Walked::Failed { .. } => (None, None),
        };
        let relative_path = walked.relative().to_owned();
        let Some((outcome, chunks)) = look(root, walked, known, config, &mut chunker) else {
            batch.unchanged += 1;
            if batch.unchanged >= REPORTED_UNCHANGED {
                bytes = 0;
                if batches.blocking_send(std::mem::take(&mut batch)).is_err() {
                    return;
                }
            }
            continue;
        };
        bytes += chunks.iter().map(|chunk| chunk.content.len()).sum::<usize>();
        let modified_at = modified_at.map(DateTime::<Utc>::from);
        batch.files.push((FileRow { relative_path, size_bytes, modified_at, outcome }, chunks));
        if batch.files.len() >= config.batch_size || bytes >= BATCH_BYTES {
            bytes = 0;
            if batches.blocking_send(std::mem::take(&mut batch)).is_err() {
                return;
            }
        }
    }
    // When nobody receives any more, the other side has its own error to tell.
    drop(batches.blocking_send(batch));
}

/// What becomes of one walked file, or `None` when it is in the index as it is.
fn look(
    root: &Root,
    walked: &Walked,
    known: &HashMap<String, ContentHash>,
    config: &Config,
    chunker: &mut Chunker,
) -> Option<(FileOutcome, Vec<Prepared>)> {
    let relative = match walked {
        Walked::Skipped { rule, .. } => return Some((skipped(rule), Vec::new())),
        Walked::Failed { cause, .. } => return Some((failed(cause), Vec::new())),
        Walked::Candidate { relative, .. } => relative,
    };
    match read(root, relative, config) {
        Err(Unreadable::Skip(rule)) => Some((skipped(&rule), Vec::new())),
        Err(Unreadable::Fail(cause)) => Some((failed(&cause), Vec::new())),
        Ok(source) if known.get(relative) == Some(&source.hash) => None,
        Ok(source) => {
            let outcome = FileOutcome::Indexed {
                content_hash: source.hash,
                language: source.language.name(),
            };
            Some((outcome, chunked(&source, config, chunker)))
        }
    }
}

fn chunked(source: &Source, config: &Config, chunker: &mut Chunker) -> Vec<Prepared> {
    let line = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    chunker
        .chunk(&source.text, source.language, config.max_chunk_size)
        .into_iter()
        .filter_map(|chunk| {
            let content = source.text.get(chunk.start..chunk.end)?.to_owned();
            let embedded = embedded_text(chunk.symbol.as_deref(), &content);
            Some(Prepared {
                content_hash: *blake3::hash(embedded.as_bytes()).as_bytes(),
                content,
                start_line: line(chunk.start_line),
                end_line: line(chunk.end_line),
                kind: chunk.kind.label(),
                symbol: chunk.symbol,
            })
        })
        .collect()
}

/// What is embedded of a chunk: its text below the name of the definition that it belongs to, which the
/// text of a later part of a long definition would not mention. The file's path is left out, so that a
/// rename embeds nothing again.
pub(super) fn embedded_text(symbol: Option<&str>, content: &str) -> String {
    match symbol {
        Some(symbol) => format!("{symbol}\n{content}"),
        None => content.to_owned(),
    }
}

fn skipped(rule: &SkipRule) -> FileOutcome {
    FileOutcome::Skipped { rule: rule.label(), detail: rule.to_string() }
}

fn failed(cause: &FailCause) -> FileOutcome {
    let detail = match std::error::Error::source(cause) {
        Some(source) => format!("{cause}: {source}"),
        None => cause.to_string(),
    };
    FileOutcome::Failed { cause: cause.label(), detail }
}
