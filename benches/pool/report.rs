//! What was measured, and its tables. A table is Markdown whose columns are aligned, so that the same text
//! reads well in a terminal.

use std::fmt::{self, Write};

use crate::peers::{ALL, HELD, SQLX, SQLX_UNTESTED};

/// Samples of one quantity, pool by pool. Times are in nanoseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<(&'static str, Vec<f64>)>);

impl Samples {
    pub(crate) fn push(&mut self, peer: &'static str, sample: f64) {
        match self.0.iter_mut().find(|(name, _)| *name == peer) {
            Some((_, samples)) => samples.push(sample),
            None => self.0.push((peer, vec![sample])),
        }
    }

    pub(crate) fn of(&self, peer: &str) -> Option<&[f64]> {
        self.0.iter().find(|(name, _)| *name == peer).map(|(_, samples)| samples.as_slice())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &[f64])> {
        self.0.iter().map(|(peer, samples)| (*peer, samples.as_slice()))
    }

    /// The middle of the ratios of samples that were taken next to each other, so that what disturbs both
    /// of them cancels out.
    pub(crate) fn ratio(&self, peer: &str, other: &str) -> Option<f64> {
        let ratios: Vec<_> =
            self.of(peer)?.iter().zip(self.of(other)?).map(|(one, other)| one / other).collect();
        Some(median(&ratios))
    }
}

/// The middle sample; of an even number the upper of the two.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How far samples are from the median of theirs, as a part of it: half of them no farther than the first value,
/// nine in ten no farther than the second.
pub(crate) fn noise(rows: &[&Row]) -> (f64, f64) {
    let samples = rows.iter().flat_map(|row| row.samples.iter());
    let mut distances: Vec<_> = samples
        .flat_map(|(_, samples)| {
            let middle = median(samples);
            samples.iter().map(move |sample| (sample / middle - 1.0).abs())
        })
        .filter(|distance| distance.is_finite())
        .collect();
    distances.sort_by(f64::total_cmp);
    let at = |tenths: usize| distances.get(distances.len() * tenths / 10).copied().unwrap_or(0.0);
    (at(5), at(9))
}

/// How the values of a row are written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Percent,
    Ratio,
    Count,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Percent => "%",
            Self::Ratio | Self::Count => "",
        }
    }

    /// A value without its unit, with three digits that count.
    pub(crate) fn show(self, value: f64) -> String {
        let scaled = match self {
            Self::Nanoseconds | Self::Ratio | Self::Count => value,
            Self::Microseconds => value / 1e3,
            Self::Milliseconds => value / 1e6,
            Self::Percent => value * 100.0,
        };
        match scaled {
            scaled if scaled.fract() == 0.0 || scaled.abs() >= 100.0 => format!("{scaled:.0}"),
            scaled if scaled.abs() >= 10.0 => format!("{scaled:.1}"),
            scaled => format!("{scaled:.2}"),
        }
    }
}

/// One quantity.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: &'static str,
    label: &'static str,
    pub(crate) unit: Unit,
    pub(crate) samples: Samples,
}

impl Row {
    pub(crate) fn new(id: &'static str, label: &'static str, unit: Unit, samples: Samples) -> Self {
        Self { id, label, unit, samples }
    }

    /// This row's rates as parts of the rate of `peer`.
    pub(crate) fn relative_to(
        &self,
        peer: &'static str,
        id: &'static str,
        label: &'static str,
    ) -> Self {
        let mut parts = Samples::default();
        let reference = self.samples.of(peer).unwrap_or_default();
        for (name, samples) in self.samples.iter() {
            for (sample, reference) in samples.iter().zip(reference) {
                parts.push(name, reference / sample);
            }
        }
        Self::new(id, label, Unit::Percent, parts)
    }

    fn cells(&self) -> Vec<String> {
        let unit = self.unit.name();
        let label =
            if unit.is_empty() { self.label.to_owned() } else { format!("{}, {unit}", self.label) };
        let values = ALL.iter().map(|peer| match self.samples.of(peer) {
            Some(samples) => self.unit.show(median(samples)),
            None if matches!(*peer, SQLX | SQLX_UNTESTED) => "needs a server".to_owned(),
            None => "–".to_owned(),
        });
        [self.id.to_owned(), label].into_iter().chain(values).collect()
    }
}

/// Rows under one heading.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    pub(crate) rows: Vec<Row>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, text, rows } = self;
        writeln!(f, "## {title}\n\n{text}\n")?;
        let with_held = rows.iter().any(|row| row.samples.of(HELD).is_some());
        let head = ["", ""].into_iter().chain(ALL).map(str::to_owned).collect();
        let mut lines: Vec<Vec<String>> = vec![head];
        lines.extend(rows.iter().map(Row::cells));
        if !with_held {
            for line in &mut lines {
                line.pop();
            }
        }
        grid(f, &lines, 2)
    }
}

/// Writes lines of cells as a table whose columns are aligned, all but the first `left` of them to the right.
pub(crate) fn grid(f: &mut impl Write, lines: &[Vec<String>], left: usize) -> fmt::Result {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let widths =
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count());
        widths.max().unwrap_or_default().max(3)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            if column < left {
                write!(f, "| {cell:<width$} ")?;
            } else {
                write!(f, "| {cell:>width$} ")?;
            }
        }
        writeln!(f, "|")?;
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let (dashes, end) = ("-".repeat(width + 1), if column < left { "-" } else { ":" });
                write!(f, "|{dashes}{end}")?;
            }
            writeln!(f, "|")?;
        }
    }
    Ok(())
}
