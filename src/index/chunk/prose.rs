//! Cuts a text without a grammar: Markdown at headings, everything at paragraphs, then at lines.

use std::ops::Range;

use crate::index::ChunkKind;
use crate::index::chunk::lines::Lines;
use crate::index::chunk::scopes::{Definition, Piece, Scope, Scopes};

/// Lines between paragraphs, also in comments of many languages.
const EMPTY_LINES: [&str; 8] = ["", "///", "//!", "//", "*", "#", "--", ";;"];

/// A Markdown heading.
#[derive(Debug, Clone, Copy)]
struct Heading<'t> {
    line: usize,
    /// The number of `#`, 1 to 6.
    level: usize,
    title: &'t str,
}

/// Cuts a text of which nothing is known.
pub(super) fn plain(lines: &Lines<'_>, max_bytes: usize) -> (Vec<Piece>, Scopes) {
    let mut pieces = Vec::new();
    paragraphs(lines, lines.all(), Scopes::TEXT, max_bytes, &mut pieces);
    (pieces, Scopes::new(ChunkKind::Text))
}

/// Cuts Markdown. A section that fits stays whole, with the sections in it.
pub(super) fn sections(lines: &Lines<'_>, max_bytes: usize) -> (Vec<Piece>, Scopes) {
    let headings = headings(lines);
    let mut pieces = Vec::new();
    let mut scopes = Scopes::new(ChunkKind::Text);
    let mut outer: Vec<(usize, Scope)> = Vec::new();
    let line_of = |next: Option<&Heading<'_>>| next.map_or(lines.all().end, |next| next.line);

    let preamble = 0..line_of(headings.first());
    paragraphs(lines, preamble, Scopes::TEXT, max_bytes, &mut pieces);
    let mut rest = headings.as_slice();
    while let Some((heading, after)) = rest.split_first() {
        while outer.pop_if(|(level, _)| *level >= heading.level).is_some() {}
        let container = outer.last().map_or(Scopes::TEXT, |(_, scope)| *scope);
        let definition =
            Definition::new(ChunkKind::Text, scopes.get(container), " > ", heading.title);
        let scope = scopes.add(container, definition);

        let inside = after.iter().take_while(|next| next.level > heading.level).count();
        let whole = heading.line..line_of(after.get(inside));
        if lines.bytes(whole.clone()).len() <= max_bytes {
            pieces.push(Piece { lines: whole, container, scope });
            rest = after.get(inside..).unwrap_or_default();
        } else {
            paragraphs(lines, heading.line..line_of(after.first()), scope, max_bytes, &mut pieces);
            outer.push((heading.level, scope));
            rest = after;
        }
    }
    (pieces, scopes)
}

/// Cuts `region` at blank lines and after empty lines of comments, and a paragraph that does not fit
/// into lines.
pub(super) fn paragraphs(
    lines: &Lines<'_>,
    region: Range<usize>,
    container: Scope,
    max_bytes: usize,
    pieces: &mut Vec<Piece>,
) {
    let mut region = lines.trim(region);
    while !region.is_empty() {
        let is_border = |line: &usize| EMPTY_LINES.contains(&lines.get(*line).trim_start());
        let end = region.clone().find(is_border).map_or(region.end, |border| border + 1);
        let paragraph = lines.trim(region.start..end);
        if lines.bytes(paragraph.clone()).len() <= max_bytes {
            pieces.push(Piece { lines: paragraph, container, scope: container });
        } else {
            pieces.extend(paragraph.map(|line| Piece {
                lines: line..line + 1,
                container,
                scope: container,
            }));
        }
        region = lines.trim(end..region.end);
    }
}

/// Finds lines such as `## Title`, but not in fenced code.
fn headings<'t>(lines: &Lines<'t>) -> Vec<Heading<'t>> {
    let mut fence: Option<&str> = None;
    let mut found = Vec::new();
    for line in lines.all() {
        let text = lines.get(line).trim_start();
        match fence {
            Some(mark) if text.starts_with(mark) => fence = None,
            Some(_) => {}
            None => {
                fence = ["```", "~~~"].into_iter().find(|mark| text.starts_with(mark));
                let title = lines.get(line).trim_start_matches('#');
                let level = lines.get(line).len() - title.len();
                if (1..=6).contains(&level) && title.starts_with([' ', '\t']) {
                    let title = title.trim().trim_end_matches('#').trim_end();
                    found.push(Heading { line, level, title });
                }
            }
        }
    }
    found
}
