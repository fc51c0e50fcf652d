//! Joins neighboring pieces into chunks and names them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::index::chunk::lines::Lines;
use crate::index::chunk::scopes::{Definition, Piece, Scope, Scopes};
use crate::index::{Chunk, ChunkKind};

/// A definition with at least one part in so many of a full chunk stays alone.
const STANDS_ALONE: usize = 3;

/// A run of pieces on its way to become a chunk.
#[derive(Debug)]
struct Run {
    /// Indices into the pieces.
    pieces: Range<usize>,
    lines: Range<usize>,
    container: Scope,
    /// Whether it lies in a definition, before the first member.
    header: bool,
    /// Whether a definition in it is large enough to stay alone.
    alone: bool,
}

/// Joins `pieces` that have the same container, into chunks of about the same size. A large definition
/// stays alone, but takes in the header of its container.
pub(super) fn pack(
    lines: &Lines<'_>,
    scopes: &Scopes,
    pieces: &[Piece],
    max_bytes: usize,
) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut close = |run: Run| {
        let definition = name(lines, scopes, pieces.get(run.pieces).unwrap_or_default());
        chunks.extend(parts(lines, run.lines, max_bytes).map(|(bytes, lines)| Chunk {
            start: bytes.start,
            end: bytes.end,
            start_line: number(lines.start),
            end_line: number(lines.end - 1),
            kind: definition.kind,
            symbol: definition.symbol.clone(),
        }));
    };
    let mut header: Option<Run> = None;
    for stretch in runs(lines, scopes, pieces, max_bytes).chunk_by(Run::is_sibling) {
        for mut run in even(lines, stretch, max_bytes) {
            if let Some(header) = header.take() {
                let joined = header.followed_by(&run);
                let fits = lines.bytes(joined.lines.clone()).len() <= max_bytes;
                if fits && scopes.is_within(run.container, header.container) {
                    run = joined;
                } else {
                    close(header);
                }
            }
            if run.header {
                header = Some(run);
            } else {
                close(run);
            }
        }
    }
    header.into_iter().for_each(close);
    chunks
}

impl Run {
    /// Whether both may share a chunk wherever they lie in their container.
    fn is_sibling(&self, next: &Self) -> bool {
        self.container == next.container && !self.alone && !next.alone
    }

    fn followed_by(&self, next: &Self) -> Self {
        Self {
            pieces: self.pieces.start..next.pieces.end,
            lines: self.lines.start..next.lines.end,
            container: next.container,
            header: self.header && next.header,
            alone: self.alone || next.alone,
        }
    }
}

/// Joins all of `stretch`, into runs of about the same size that fit.
fn even(lines: &Lines<'_>, stretch: &[Run], max_bytes: usize) -> Vec<Run> {
    let size = |from: &Run, to: &Run| lines.bytes(from.lines.start..to.lines.end).len();
    let mut joined = Vec::new();
    let mut rest = stretch;
    while let (Some(first), Some(last)) = (rest.first(), rest.last()) {
        let total = size(first, last);
        let target = total.div_ceil(total.div_ceil(max_bytes).max(1));
        let mut taken = first.followed_by(first);
        for next in rest.iter().skip(1) {
            let (without, with) = (size(first, &taken), size(first, next));
            if with > max_bytes || with.abs_diff(target) > without.abs_diff(target) {
                break;
            }
            taken = taken.followed_by(next);
        }
        rest = rest.get(taken.pieces.len()..).unwrap_or_default();
        joined.push(taken);
    }
    joined
}

/// Makes a run of each piece.
fn runs(lines: &Lines<'_>, scopes: &Scopes, pieces: &[Piece], max_bytes: usize) -> Vec<Run> {
    // Definitions of which a member was seen.
    let mut begun = BTreeSet::from([Scopes::TEXT]);
    let run = |(i, piece): (usize, &Piece)| {
        let member = piece.scope != piece.container;
        let header = !member && !begun.contains(&piece.container);
        for outer in scopes.chain(piece.scope).skip(1) {
            if !begun.insert(outer) {
                break;
            }
        }
        let size = lines.bytes(piece.lines.clone()).len();
        Run {
            pieces: i..i + 1,
            lines: piece.lines.clone(),
            container: piece.container,
            header,
            alone: member && size >= max_bytes / STANDS_ALONE,
        }
    };
    pieces.iter().enumerate().map(run).collect()
}

/// Returns the innermost definition with more than half of the bytes of `pieces`, else the first one,
/// but a constant only if there is nothing else.
fn name<'s>(lines: &Lines<'_>, scopes: &'s Scopes, pieces: &[Piece]) -> &'s Definition {
    let mut total = 0;
    let mut shares: BTreeMap<Scope, usize> = BTreeMap::new();
    for piece in pieces {
        let size = lines.bytes(piece.lines.clone()).len();
        total += size;
        for scope in scopes.chain(piece.scope) {
            *shares.entry(scope).or_default() += size;
        }
    }
    // Definitions with more than half lie inside of each other, and the inner is the later one.
    let main = shares.iter().rev().find(|(_, share)| **share > total / 2).map(|(scope, _)| *scope);
    let first = || {
        let defined = pieces.iter().map(|piece| piece.scope).filter(|scope| *scope != Scopes::TEXT);
        defined.min_by_key(|scope| scopes.get(*scope).kind == ChunkKind::Constant)
    };
    scopes.get(main.or_else(first).unwrap_or(Scopes::TEXT))
}

/// Returns the bytes and lines of `range`, in several parts if it is a line that does not fit.
fn parts(
    lines: &Lines<'_>,
    range: Range<usize>,
    max_bytes: usize,
) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let range = lines.trim(range);
    let mut rest = lines.bytes(range.clone());
    if rest.len() > max_bytes {
        // Indentation must not become a part of its own.
        let line = lines.text().get(rest.clone()).unwrap_or_default();
        rest.start = rest.end - line.trim_start().len();
    }
    std::iter::from_fn(move || {
        let text = lines.text().get(rest.clone())?;
        if text.is_empty() {
            return None;
        }
        let part = rest.start..rest.start + cut(text, max_bytes);
        // Whitespace at the end of a part would begin the next one.
        let after = lines.text().get(part.end..rest.end)?.trim_start();
        rest.start = rest.end - after.len();
        Some((part, range.clone()))
    })
}

/// Returns the length of the first part of `text`: all of it, or up to the last space in the second
/// half of what fits, or what fits, but at least a character.
fn cut(text: &str, max_bytes: usize) -> usize {
    if text.len() <= max_bytes {
        return text.len();
    }
    let first = text.chars().next().map_or(0, char::len_utf8);
    let most = text.floor_char_boundary(max_bytes).max(first);
    let fits = text.get(..most).unwrap_or(text);
    match fits.rfind(char::is_whitespace) {
        Some(space) if space > most / 2 => fits.get(..space).unwrap_or(fits).trim_end().len(),
        _ => most,
    }
}

/// Counts from 1. A text of more than four billion lines is larger than any file that is read.
fn number(line: usize) -> u32 {
    u32::try_from(line + 1).unwrap_or(u32::MAX)
}
