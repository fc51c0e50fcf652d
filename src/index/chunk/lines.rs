//! The lines of a text. Only `\n` ends a line, as it does for the parsers.

use std::ops::Range;

/// Where each line starts, and where its last character that is not whitespace ends.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    text: &'t str,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    start: usize,
    /// Equal to `start` in a blank line.
    end: usize,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut start = 0;
        let lines = text
            .split_inclusive('\n')
            .map(|line| {
                let end = start + line.trim_end().len();
                let this = Line { start, end };
                start += line.len();
                this
            })
            .collect();
        Self { text, lines }
    }

    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// All lines.
    pub(super) fn all(&self) -> Range<usize> {
        0..self.lines.len()
    }

    /// The text of a line without whitespace at its end.
    pub(super) fn get(&self, line: usize) -> &'t str {
        let Line { start, end } = self.line(line);
        self.text.get(start..end).expect("lines lie on character borders")
    }

    /// Whether the line has nothing but whitespace, or does not exist.
    pub(super) fn is_blank(&self, line: usize) -> bool {
        let Line { start, end } = self.line(line);
        start == end
    }

    /// `range` without blank lines at both ends; empty if all are blank.
    pub(super) fn trim(&self, mut range: Range<usize>) -> Range<usize> {
        while !range.is_empty() && self.is_blank(range.start) {
            range.start += 1;
        }
        while !range.is_empty() && self.is_blank(range.end - 1) {
            range.end -= 1;
        }
        range
    }

    /// The bytes of `range` without blank lines at both ends.
    pub(super) fn bytes(&self, range: Range<usize>) -> Range<usize> {
        let range = self.trim(range);
        match range.end.checked_sub(1) {
            Some(last) if !range.is_empty() => self.line(range.start).start..self.line(last).end,
            _ => 0..0,
        }
    }

    fn line(&self, line: usize) -> Line {
        let end = self.text.len();
        self.lines.get(line).copied().unwrap_or(Line { start: end, end })
    }
}
