//! Tables of figures.

use super::escape::{Escaped, put};
use crate::report::number;

/// The most rows of a table below a drawing; a browser lays them out even while they are folded away.
const MAX_ROWS: usize = 1_000;

/// Figures under a header. The first column names the row.
pub(crate) struct Table {
    /// The header.
    pub(crate) head: Vec<String>,
    /// The rows, each as long as the header.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this header and no rows yet.
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { head: head.map(str::to_owned).into(), rows: Vec::new() }
    }

    /// The table as HTML.
    pub(crate) fn html(&self) -> String {
        let mut text = "<div class=\"scroll\"><table class=\"figures\">\n<thead><tr>".to_owned();
        for cell in &self.head {
            put(&mut text, format_args!("<th scope=\"col\">{}</th>", Escaped(cell)));
        }
        text.push_str("</tr></thead>\n<tbody>\n");
        for row in self.rows.iter().take(MAX_ROWS) {
            text.push_str("<tr>");
            for (position, cell) in row.iter().enumerate() {
                let cell = Escaped(cell);
                match position {
                    0 => put(&mut text, format_args!("<th scope=\"row\">{cell}</th>")),
                    _ => put(&mut text, format_args!("<td>{cell}</td>")),
                }
            }
            text.push_str("</tr>\n");
        }
        text.push_str("</tbody>\n</table></div>\n");
        let more = u64::try_from(self.rows.len().saturating_sub(MAX_ROWS)).unwrap_or(u64::MAX);
        if more > 0 {
            let rows = number::counted(more, "more row");
            put(&mut text, format_args!("<p class=\"faint\">{rows} in report.json.</p>\n"));
        }
        text
    }

    /// The table, folded away under a title.
    pub(crate) fn folded(&self, title: &str) -> String {
        let (title, table) = (Escaped(title), self.html());
        format!("<details>\n<summary>{title}</summary>\n{table}</details>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_table_says_what_it_leaves_out() {
        let mut table = Table::new(["<a>", "b"]);
        table.rows = vec![vec!["1".to_owned(), "2 & 3".to_owned()]; MAX_ROWS + 1];
        let text = table.html();
        assert_eq!(
            text.matches("<tr><th scope=\"row\">1</th><td>2 &amp; 3</td></tr>").count(),
            MAX_ROWS
        );
        assert!(text.contains("<th scope=\"col\">&lt;a&gt;</th>"));
        assert!(text.contains("1 more row in report.json."));
    }
}
