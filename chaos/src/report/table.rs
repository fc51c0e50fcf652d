//! A table in plain text.

use super::text;

/// Lays out rows under a header: every column as wide as its widest cell, two spaces between columns,
/// nothing at the end of lines. Empty without rows.
pub(super) fn lay_out<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut lines = vec![header.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| row.each_ref().map(|cell| text::one_line(cell))));
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let lines = lines.iter().map(|line| {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_needed() {
        let rows = [["ä".to_owned(), "1".to_owned()], ["long\nname".to_owned(), String::new()]];
        assert_eq!(
            lay_out(["x", "count"], &rows),
            "  x          count\n  ä          1\n  long name\n"
        );
        assert_eq!(lay_out(["x"], &[]), "");
    }
}
