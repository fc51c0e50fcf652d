//! An axis as plotters wants it: places on a straight line, and which of them have labels.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use super::Scale;

/// A scale with room for so many labels.
pub(super) struct Coordinate {
    range: (f64, f64),
    labels: Vec<f64>,
    light_lines: Vec<f64>,
}

impl Coordinate {
    /// The scale with about `most` labels at most.
    pub(super) fn new(scale: Scale, most: usize) -> Self {
        let (labels, light_lines) = (scale.ticks(most), scale.light_lines());
        Self { range: scale.range(), labels, light_lines }
    }
}

impl Ranged for Coordinate {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "no drawing is that large")]
    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let (from, to) = self.range;
        let part = (value - from) / (to - from);
        limit.0 + (part * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Asked for light points, plotters wants those alone.
        let points =
            if hint.weight().allow_light_points() { &self.light_lines } else { &self.labels };
        points.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.0..self.range.1
    }
}
