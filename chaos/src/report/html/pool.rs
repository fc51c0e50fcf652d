//! What the page says about the pools: connections and requests that wait for one, over time.

use super::chart::{Backdrop, Chart, Ink, Layer, Scale, Shape};
use super::figure::{Figure, Swatch};
use super::table::Table;
use crate::report::model::PoolPoint;
use crate::report::number;

/// What is drawn of a look at the pools.
type Value = fn(&PoolPoint) -> u32;

/// Connections over time, and below them who waits for one: there may be a hundred times as many of them.
pub(super) fn over_time<'a>(
    points: &[PoolPoint],
    backdrop: &'a Backdrop,
    time: Scale,
) -> Figure<'a> {
    let chart = |what: &str, title, highest: Value, layers| Chart {
        label: format!("{what} over time"),
        x: time,
        y: Scale::count(f64::from(points.iter().map(highest).max().unwrap_or_default())),
        titles: ("seconds since the run began", title),
        backdrop: Some(backdrop),
        layers,
    };
    let line = |ink, value| Layer { ink, shape: Shape::Line(steps(points, value)) };
    let area = |ink, value| {
        let mut outline = steps(points, value);
        let ends = [outline.last().copied(), outline.first().copied()];
        outline.extend(ends.into_iter().flatten().map(|(at, _)| (at, 0.0)));
        Layer { ink, shape: Shape::Area(outline) }
    };
    let mut table = Table::new(["second", "size", "idle", "waiting"]);
    table.rows.extend(points.iter().map(|PoolPoint { at_s, size, idle, waiting }| {
        let counts = [size, idle, waiting].map(|count| number::count(u64::from(*count)));
        [format!("{at_s:.2}")].into_iter().chain(counts).collect()
    }));
    let charts = || {
        let connections =
            vec![area(Ink::Two, |point| point.idle), line(Ink::One, |point| point.size)];
        let waiting = vec![line(Ink::Three, |point| point.waiting)];
        let what = "Connections of the pools, all and idle ones,";
        vec![
            chart(what, "connections", |point| point.size.max(point.idle), connections),
            chart("Requests waiting", "requests waiting", |point| point.waiting, waiting),
        ]
    };
    let legend = [
        (Ink::One, Swatch::Line, "size"),
        (Ink::Two, Swatch::Area, "idle"),
        (Ink::Three, Swatch::Line, "waiting"),
    ];
    Figure {
        title: "Connections and requests that wait for one",
        remark: "Summed over all pools of the server. A pool that is idle again has its size in idle connections.",
        legend: legend.map(|(ink, swatch, name)| (ink, swatch, name.to_owned())).into(),
        charts: if points.is_empty() { Vec::new() } else { charts() },
        table,
    }
}

/// A value that stays until the next look at it.
fn steps(points: &[PoolPoint], value: Value) -> Vec<(f64, f64)> {
    let mut line = Vec::new();
    let mut level = None;
    for point in points {
        let now = value(point);
        // A level is drawn by its ends alone.
        if level != Some(now) {
            line.extend(level.map(|before| (point.at_s, f64::from(before))));
            line.push((point.at_s, f64::from(now)));
            level = Some(now);
        }
    }
    line.extend(points.last().map(|last| (last.at_s, f64::from(value(last)))));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_drawn_by_their_ends() {
        let point = |at_s, size| PoolPoint { at_s, size, idle: 0, waiting: 0 };
        let points = [point(0.0, 1), point(1.0, 1), point(2.0, 3), point(3.0, 3)];
        let line = steps(&points, |point| point.size);
        assert_eq!(line, [(0.0, 1.0), (2.0, 1.0), (2.0, 3.0), (3.0, 3.0)]);
        assert!(steps(&[], |point| point.size).is_empty());
    }
}
