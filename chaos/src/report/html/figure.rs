//! A drawing with all that belongs to it: title, remark, legend, and its figures as a table.

use super::chart::{Chart, Ink};
use super::escape::{Escaped, put};
use super::table::Table;

/// A drawing and what belongs to it.
pub(super) struct Figure<'a> {
    /// What it shows.
    pub(super) title: &'a str,
    /// How to read it, in a sentence.
    pub(super) remark: &'a str,
    /// What the inks mean.
    pub(super) legend: Vec<(Ink, Swatch, String)>,
    /// The drawings, one below the other.
    pub(super) charts: Vec<Chart<'a>>,
    /// What they show, in figures.
    pub(super) table: Table,
}

/// How something is shown in the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Swatch {
    /// As a piece of line.
    Line,
    /// As a piece of area.
    Area,
}

impl Figure<'_> {
    /// The figure as HTML; nothing without drawings.
    pub(super) fn html(&self) -> String {
        if self.charts.is_empty() {
            return String::new();
        }
        let (title, remark) = (Escaped(self.title), Escaped(self.remark));
        let mut text =
            format!("<figure>\n<figcaption><h3>{title}</h3>\n<p class=\"faint\">{remark}</p>\n");
        text.push_str("<ul class=\"legend\">");
        for (ink, swatch, meaning) in &self.legend {
            let name = ink.name();
            let mark = match swatch {
                Swatch::Line => {
                    format!("<path class=\"s-{name}\" d=\"M0 60H280\" stroke-width=\"24\"/>")
                }
                Swatch::Area => {
                    format!("<rect class=\"f-{name}\" width=\"280\" height=\"120\"/>")
                }
            };
            put(
                &mut text,
                format_args!(
                    "<li><svg class=\"swatch\" viewBox=\"0 0 280 120\" aria-hidden=\"true\">{mark}</svg>{}</li>",
                    Escaped(meaning)
                ),
            );
        }
        text.push_str("</ul></figcaption>\n");
        for chart in &self.charts {
            text.push_str(&chart.svg());
        }
        text.push_str(&self.table.folded("The same in figures"));
        text.push_str("</figure>\n");
        text
    }
}
