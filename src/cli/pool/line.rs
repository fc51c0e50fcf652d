//! Lines of styled text that know how wide they are.

use std::fmt;

use anstyle::Style;

/// A line without its end. Each character counts as one column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    spans: Vec<(Style, String)>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds text as it is.
    pub(super) fn text(self, text: impl fmt::Display) -> Self {
        self.styled(Style::new(), text)
    }

    /// Adds text in a style. What a terminal would take for a command becomes a blank.
    pub(super) fn styled(mut self, style: Style, text: impl fmt::Display) -> Self {
        let text = text.to_string().replace(char::is_control, " ");
        if !text.is_empty() {
            self.spans.push((style, text));
        }
        self
    }

    /// Adds another line.
    pub(super) fn then(mut self, other: Self) -> Self {
        self.spans.extend(other.spans);
        self
    }

    /// Lines with commas between them, unless there are none.
    pub(super) fn joined(lines: impl IntoIterator<Item = Self>) -> Option<Self> {
        lines.into_iter().reduce(|one, other| one.text(", ").then(other))
    }

    /// Adds blanks up to a column, one at least.
    pub(super) fn column(self, column: usize) -> Self {
        let blanks = column.saturating_sub(self.width()).max(1);
        self.text(" ".repeat(blanks))
    }

    /// Adds another line so that it ends at a column.
    pub(super) fn right(self, column: usize, other: Self) -> Self {
        let start = column.saturating_sub(other.width());
        self.column(start).then(other)
    }

    /// Columns.
    pub(super) fn width(&self) -> usize {
        self.spans.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// The beginning of the line that fits in `width` columns, with a mark where it was cut.
    pub(super) fn clipped(self, width: usize) -> Self {
        if self.width() <= width {
            return self;
        }
        let Some(mut room) = width.checked_sub(1) else { return Self::new() };
        let mut clipped = Self::new();
        for (style, text) in self.spans {
            let text: String = text.chars().take(room).collect();
            room -= text.chars().count();
            clipped = clipped.styled(style, text);
        }
        clipped.text("…")
    }

    /// The text alone.
    pub(super) fn plain(&self) -> String {
        let text: String = self.spans.iter().map(|(_, text)| text.as_str()).collect();
        text.trim_end().to_owned()
    }
}

/// With the codes that a terminal shows styles for.
impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spans.iter().try_for_each(|(style, text)| write!(formatter, "{style}{text}{style:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_it_gets_too_long() {
        let line = || Line::new().text("abc").styled(Style::new().bold(), "dëf");
        let clipped = |width| line().clipped(width).plain();
        assert_eq!([7, 6, 5, 4, 1, 0].map(clipped), ["abcdëf", "abcdëf", "abcd…", "abc…", "…", ""]);
    }

    #[test]
    fn columns_are_kept_where_there_is_room() {
        let line = Line::new().text("ab").column(4).text("c").right(9, Line::new().text("xyz"));
        assert_eq!(line.plain(), "ab  c xyz");
        assert_eq!(Line::new().text("abc").column(2).text("d").plain(), "abc d");
    }

    #[test]
    fn nothing_in_a_text_commands_the_terminal() {
        let line = Line::new().text("a\u{1b}[2Jb\n\u{9b}c");
        assert_eq!(line.to_string(), "a [2Jb  c");
    }
}
