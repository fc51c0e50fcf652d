//! A series as inline SVG: a dot for each run, a line for each level, and a mark where it changes. It is as
//! wide as a column of the page, or a phone.

use plotters::element::{Circle, PathElement, Text};
use plotters::prelude::{IntoDrawingArea, SVGBackend};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::series::{Change, Run, Series, Statistic};
use crate::report::html::chart::{
    Area, DrawError, Ink, LINE, UNIT, label, multiples, nice, styled, unsigned, width,
};
use crate::report::html::escape::Escaped;
use crate::report::number;

/// The size of a drawing in pixels: what its labels need on each side, and the plot.
const LEFT: i32 = 60;
const PLOT: (i32, i32) = (352, 120);
const RIGHT: i32 = 12;
const TOP: i32 = LINE + 4;
const BOTTOM: i32 = 2 * LINE + 4;
/// Between the frame and the first and last run, in pixels.
const INSET: i32 = 8;
/// About so many labels are on the vertical axis.
const Y_LABELS: f64 = 6.0;
/// The least part of the mean that the vertical axis spans, so that a noise of 2 % looks as small as it is.
const LEAST_SPAN: f64 = 0.2;
/// Between labels on the horizontal axis, in pixels.
const GAP: i32 = 10;
/// Of more runs than these the dots are smaller.
const MANY_RUNS: usize = 150;

/// The drawing, or a sentence about why there is none.
pub(super) fn svg(series: &Series, name: &str, runs: &[Run]) -> String {
    let Some(plot) = Plot::of(series, runs) else {
        return "<p class=\"faint\">Nothing was measured.</p>\n".to_owned();
    };
    let mut svg = String::new();
    let size = (LEFT + PLOT.0 + RIGHT, TOP + PLOT.1 + BOTTOM);
    let drawn = {
        let size = (unsigned(size.0 * UNIT), unsigned(size.1 * UNIT));
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        plot.draw(&root).and_then(|()| root.present())
    };
    match drawn {
        Ok(()) => styled(&svg, "plot", &plot.told(name)),
        Err(error) => format!("<p class=\"faint\">No drawing: {}.</p>\n", Escaped(error)),
    }
}

struct Plot<'a> {
    series: &'a Series,
    runs: &'a [Run],
    /// The values at the bottom and at the top.
    range: (f64, f64),
    /// What is from one label to the next.
    step: f64,
}

impl<'a> Plot<'a> {
    fn of(series: &'a Series, runs: &'a [Run]) -> Option<Self> {
        let values = || series.points.iter().map(|(_, value)| *value);
        let (least, most) = (values().min_by(f64::total_cmp)?, values().max_by(f64::total_cmp)?);
        let span = (1.16 * (most - least)).max(LEAST_SPAN * f64::midpoint(least, most));
        // Where all is zero there still is an axis.
        let span = if span > 0.0 { span } else { 1.0 };
        let from = (f64::midpoint(least, most) - span / 2.0).max(0.0);
        let range = (from, from + span);
        Some(Self { series, runs, range, step: nice(span / Y_LABELS, f64::ceil) })
    }

    /// What a person is told who cannot see it.
    fn told(&self, name: &str) -> String {
        let statistic = &self.series.statistic;
        let mut text = format!("{} of {name} from run to run", statistic.name());
        for change in &self.series.changes {
            text.push_str("; since ");
            text.push_str(&change.run.date());
            text.push(' ');
            text.push_str(&change.phrase(statistic));
        }
        text
    }

    fn title(&self) -> &'static str {
        self.series.statistic.name()
    }

    /// Where a run is; halves are between two.
    fn x(&self, run: f64) -> i32 {
        let last = self.runs.len().saturating_sub(1);
        let room = f64::from((PLOT.0 - 2 * INSET) * UNIT);
        let part = if last == 0 { 0.5 } else { run / last as f64 };
        (LEFT + INSET) * UNIT + units(room * part)
    }

    fn y(&self, value: f64) -> i32 {
        let (from, to) = self.range;
        let part = (value - from) / (to - from);
        (TOP + PLOT.1) * UNIT - units(f64::from(PLOT.1 * UNIT) * part)
    }

    fn draw(&self, root: &Area<'_>) -> Result<(), DrawError> {
        let title = label(Ink::Faint).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(self.title(), (0, LINE * UNIT / 2), title))?;
        self.draw_axes(root)?;
        self.draw_levels(root)?;
        let radius = if self.runs.len() > MANY_RUNS { UNIT } else { 2 * UNIT };
        for (run, value) in &self.series.points {
            let at = (self.x(*run as f64), self.y(*value));
            root.draw(&Circle::new(at, radius, Ink::Four.color().filled()))?;
        }
        self.draw_changes(root)
    }

    /// The lines of the vertical axis with their values, and the days of the horizontal one.
    fn draw_axes(&self, root: &Area<'_>) -> Result<(), DrawError> {
        let (left, right) = (LEFT * UNIT, (LEFT + PLOT.0) * UNIT);
        let grid = Ink::Grid.color().stroke_width(unsigned(UNIT));
        let style = label(Ink::Faint).pos(Pos::new(HPos::Right, VPos::Center));
        for value in multiples(self.step, self.range.0, self.range.1) {
            let y = self.y(value);
            root.draw(&PathElement::new([(left, y), (right, y)], grid))?;
            let text = axis_label(&self.series.statistic, value, self.range.1, self.step);
            root.draw(&Text::new(text, (left - 6 * UNIT, y), style.clone()))?;
        }
        let bottom = (TOP + PLOT.1) * UNIT;
        let frame = Ink::Frame.color().stroke_width(unsigned(UNIT));
        root.draw(&PathElement::new([(left, bottom), (right, bottom)], frame))?;
        for (x, middle, run) in self.days() {
            root.draw(&PathElement::new([(x, bottom), (x, bottom + 4 * UNIT)], frame))?;
            let lines = [(Ink::Text, run.date()), (Ink::Faint, run.short().to_owned())];
            let mut y = bottom + (LINE - 4) * UNIT;
            for (ink, text) in lines {
                let style = label(ink).pos(Pos::new(HPos::Center, VPos::Center));
                root.draw(&Text::new(text, (middle, y), style))?;
                y += (LINE - 3) * UNIT;
            }
        }
        Ok(())
    }

    /// The runs that have a label, with where they are and where the label's middle is. Changes come first, the
    /// last one before all others; then the last and the first run, and what there is room for between.
    fn days(&self) -> Vec<(i32, i32, &Run)> {
        let last = self.runs.len().saturating_sub(1);
        let changes = self.series.changes.iter().rev().map(|change| change.position);
        let between = [last / 2, last / 4, last - last / 4];
        let mut days: Vec<(i32, i32, &Run)> = Vec::new();
        for position in changes.chain([last, 0]).chain(between) {
            let Some(run) = self.runs.get(position) else { continue };
            let x = self.x(position as f64);
            let half = width(&run.date()).max(width(run.short())) / 2;
            let middle = within(0, x, half);
            let is_free =
                |(_, other, _): &(i32, i32, &Run)| (middle - other).abs() >= 2 * half + GAP * UNIT;
            if days.iter().all(is_free) {
                days.push((x, middle, run));
            }
        }
        days
    }

    /// Where each level begins and ends, in runs, and its mean.
    fn levels(&self) -> Vec<(f64, f64, f64)> {
        let Series { points, changes, .. } = self.series;
        let mut levels = Vec::new();
        let mut from = points.first().map_or(0.0, |(run, _)| *run as f64);
        for change in changes {
            let to = change.position as f64 - 0.5;
            levels.push((from, to, change.point.before));
            from = to;
        }
        let mean = || points.iter().map(|(_, value)| value).sum::<f64>() / points.len() as f64;
        let newest = changes.last().map_or_else(mean, |change| change.point.after);
        let to = points.last().map_or(0.0, |(run, _)| *run as f64);
        levels.push((from, to, newest));
        levels
    }

    fn draw_levels(&self, root: &Area<'_>) -> Result<(), DrawError> {
        let style = Ink::One.color().stroke_width(unsigned(2 * UNIT));
        for (from, to, mean) in self.levels() {
            let y = self.y(mean);
            root.draw(&PathElement::new([(self.x(from), y), (self.x(to), y)], style))?;
        }
        Ok(())
    }

    /// A line through the plot with the size of the change above it, where that is free. The last change
    /// comes first.
    fn draw_changes(&self, root: &Area<'_>) -> Result<(), DrawError> {
        let (top, bottom) = (TOP * UNIT, (TOP + PLOT.1) * UNIT);
        let mut taken: Vec<(i32, i32)> = Vec::new();
        for change in self.series.changes.iter().rev() {
            let ink = if change.is_worse() { Ink::Worse } else { Ink::Better };
            let x = self.x(change.position as f64 - 0.5);
            let line = ink.color().stroke_width(unsigned(UNIT));
            root.draw(&PathElement::new([(x, top), (x, bottom)], line))?;
            let text = sized(change);
            // The triangle is wider than a letter.
            let half = i32::midpoint(width(&text), GAP * UNIT);
            let middle = within(width(self.title()) + GAP * UNIT, x, half);
            if taken.iter().all(|(other, its)| (middle - other).abs() > half + its) {
                let style = label(ink).pos(Pos::new(HPos::Center, VPos::Center));
                root.draw(&Text::new(text, (middle, top - LINE * UNIT / 2), style))?;
                taken.push((middle, half));
            }
        }
        Ok(())
    }
}

/// `▲ +10.4 %`, so that it is not told by colour alone.
pub(super) fn sized(change: &Change) -> String {
    let sign = if change.is_worse() { '▲' } else { '▼' };
    format!("{sign} {}", change.percent().replace('-', "−"))
}

/// The middle of a text that is `half` as wide to both sides, so that it stays right of something and within the
/// drawing.
fn within(left: i32, middle: i32, half: i32) -> i32 {
    middle.min((LEFT + PLOT.0 + RIGHT) * UNIT - half).max(left + half)
}

/// A value on the vertical axis, in the unit of the highest and as exact as the step.
fn axis_label(statistic: &Statistic, value: f64, highest: f64, step: f64) -> String {
    let scaled = |units: &[(&str, f64)]| {
        let fits = |(_, size): &&(&str, f64)| highest >= *size;
        let smallest = units.first().copied().unwrap_or(("", 1.0));
        let (unit, size) = units.iter().rev().find(fits).copied().unwrap_or(smallest);
        let decimals = (-((step / size).log10() + 1e-9).floor()).max(0.0);
        let decimals = usize::try_from(number::whole(decimals)).unwrap_or(0);
        format!("{:.decimals$} {unit}", value / size).trim_end().to_owned()
    };
    match statistic {
        Statistic::P10 { unit } if unit == "ns" => {
            scaled(&[("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)])
        }
        Statistic::P10 { unit } => format!("{} {unit}", number::plain(value)),
        Statistic::Instructions => scaled(&[("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9)]),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "no drawing is that large")]
fn units(length: f64) -> i32 {
    length.round() as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::detect::ChangePoint;
    use super::*;

    fn runs(count: usize) -> Vec<Run> {
        let first: chrono::DateTime<chrono::Utc> = "2026-09-24T03:00:11Z".parse().unwrap();
        let nights = (0..).map(|night| first + chrono::Duration::days(night)).take(count);
        nights.map(|at| Run { at, revision: format!("{:040x}", at.timestamp()) }).collect()
    }

    fn series(values: &[f64], cuts: &[usize], runs: &[Run]) -> Series {
        let change = |&position: &usize| Change {
            run: runs[position].clone(),
            position,
            point: ChangePoint { at: position, before: 100.0, after: 110.0, p: 0.0 },
        };
        Series {
            statistic: Statistic::P10 { unit: "ns".to_owned() },
            points: values.iter().copied().enumerate().collect(),
            changes: cuts.iter().map(change).collect(),
        }
    }

    #[test]
    fn axes_read_well() {
        let labels = |statistic: &Statistic, values: &[f64]| {
            let runs = runs(values.len());
            let series = Series { statistic: statistic.clone(), ..series(values, &[], &runs) };
            let Plot { range, step, .. } = Plot::of(&series, &runs).unwrap();
            let values = multiples(step, range.0, range.1).into_iter();
            let labels = values.map(|value| axis_label(statistic, value, range.1, step));
            labels.collect::<Vec<_>>().join(", ")
        };
        let time = Statistic::P10 { unit: "ns".to_owned() };
        for (values, text) in [
            (&[8.4][..], "8.0 ns, 8.5 ns, 9.0 ns"),
            (&[480.0, 560.0], "480 ns, 500 ns, 520 ns, 540 ns, 560 ns"),
            (&[950.0, 1_050.0], "0.90 µs, 0.95 µs, 1.00 µs, 1.05 µs, 1.10 µs"),
            (&[0.0], "0.0 ns, 0.2 ns, 0.4 ns, 0.6 ns, 0.8 ns, 1.0 ns"),
        ] {
            assert_eq!(labels(&time, values), text);
        }
        let other = Statistic::P10 { unit: "rows".to_owned() };
        assert_eq!(
            labels(&other, &[1_000.0]),
            "900 rows, 950 rows, 1,000 rows, 1,050 rows, 1,100 rows"
        );
        let counts = labels(&Statistic::Instructions, &[171e6, 135e6]);
        assert_eq!(counts, "140 M, 150 M, 160 M, 170 M");
    }

    #[test]
    fn what_is_drawn_is_told() {
        let runs = runs(20);
        let series = series(&[100.0; 20], &[10], &runs);
        let text = svg(&series, "a<b", &runs);
        let told = "aria-label=\"p10 of a&lt;b from run to run; since 2026-10-04 10.0 % slower\"";
        assert!(text.contains(told), "{text}");
        for label in ["2026-09-24", "2026-10-04", "2026-10-13", "▲ +10.0 %", "100 ns"] {
            assert!(text.contains(&format!(">\n{label}\n<")), "{label}: {text}");
        }
        let nothing = Series { points: Vec::new(), changes: Vec::new(), ..series };
        assert_eq!(svg(&nothing, "a", &runs), "<p class=\"faint\">Nothing was measured.</p>\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn labels_keep_off_each_other(count in 1_usize..400, cuts in prop::collection::btree_set(1_usize..400, 0..6)) {
            let runs = runs(count);
            let cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < count).collect();
            let values = vec![100.0; count];
            let series = series(&values, &cuts, &runs);
            let plot = Plot::of(&series, &runs).unwrap();
            let mut middles: Vec<i32> = plot.days().iter().map(|(_, middle, _)| *middle).collect();
            middles.sort_unstable();
            let half = width("2026-11-22") / 2;
            prop_assert!(middles[0] >= half);
            prop_assert!(middles[middles.len() - 1] + half <= (LEFT + PLOT.0 + RIGHT) * UNIT);
            prop_assert!(middles.windows(2).all(|pair| pair[1] - pair[0] >= 2 * half + GAP * UNIT));
            prop_assert_eq!(plot.days()[0].2, &runs[cuts.last().copied().unwrap_or(count - 1)]);
            for (from, to, _) in plot.levels() {
                prop_assert!(plot.x(from) <= plot.x(to));
            }
        }
    }
}
