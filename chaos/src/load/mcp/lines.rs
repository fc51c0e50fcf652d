//! Lines of a stream, none of them longer than a bound.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// The longest line that is read, in bytes: far more than 50 search results need.
pub(super) const LONGEST: usize = 8 * 1024 * 1024;

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    /// Only its beginning.
    TooLong(&'a [u8]),
    /// The stream ended within it.
    Torn(&'a [u8]),
}

/// Reads a stream line by line.
#[derive(Debug)]
pub(super) struct Lines<R> {
    stream: R,
    longest: usize,
    line: Vec<u8>,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(stream: R, longest: usize) -> Self {
        Self { stream, longest, line: Vec::new() }
    }

    /// The next line; `None` at the end. What is beyond the longest line is skipped. A dropped future loses a
    /// part of a line.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut cut = false;
        loop {
            let some = self.stream.fill_buf().await?;
            if some.is_empty() {
                let torn = !self.line.is_empty() || cut;
                return Ok(torn.then_some(Line::Torn(&self.line)));
            }
            let end = some.iter().position(|byte| *byte == b'\n');
            let (part, _) = some.split_at(end.unwrap_or(some.len()));
            let used = part.len() + usize::from(end.is_some());
            let room = self.longest - self.line.len();
            cut |= part.len() > room;
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            self.stream.consume(used);
            if end.is_some() {
                let line = &self.line;
                return Ok(Some(if cut { Line::TooLong(line) } else { Line::Whole(line) }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    #[tokio::test]
    async fn lines_are_bounded_and_a_torn_one_is_told() {
        for buffer in [1, 3, 64] {
            let text = b"one\n\nlonger than that\nsixsix\ntorn".as_slice();
            let mut lines = Lines::new(BufReader::with_capacity(buffer, text), 6);
            for line in [
                Line::Whole(b"one"),
                Line::Whole(b""),
                Line::TooLong(b"longer"),
                Line::Whole(b"sixsix"),
                Line::Torn(b"torn"),
            ] {
                assert_eq!(lines.next().await.unwrap(), Some(line));
            }
            assert_eq!(lines.next().await.unwrap(), None);
        }
    }
}
