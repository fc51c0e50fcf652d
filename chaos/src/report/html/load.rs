//! What the page says about a load: its figures by phase, and drawings of latency, throughput and spectrum.

use super::chart::{Backdrop, Chart, Ink, Layer, Points, Scale, Shape};
use super::figure::{Figure, Swatch};
use super::table::Table;
use crate::record::Phase;
use crate::report::model::{Latency, LoadReport, PhaseFigures, Second, Spectrum};
use crate::report::{claim, number};

/// The quantiles of the table below a spectrum, as far as they are supported.
const NAMED: [(f64, &str); 7] = [
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.95, "95 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (0.999_99, "99.999 %"),
];

/// A kind of line or area: its ink, its name, and what it shows.
type Kind<T, N> = (Ink, &'static str, fn(&T) -> N);

/// Latency over time, each line in its ink.
const QUANTILES: [Kind<Latency, f64>; 4] = [
    (Ink::One, "p50", |latency| latency.p50),
    (Ink::Two, "p95", |latency| latency.p95),
    (Ink::Three, "p99", |latency| latency.p99),
    // Last, for its dots do not hide a p99 that is the same.
    (Ink::Four, "max", |latency| latency.max),
];

/// Throughput over time, the lowest first.
const ENDS: [Kind<Second, u64>; 3] = [
    (Ink::One, "ok", |second| second.ok),
    (Ink::Three, "failed", |second| second.failed),
    (Ink::Four, "dropped", |second| second.dropped),
];

/// The figures of all phases.
pub(super) fn phases(load: &LoadReport) -> Table {
    let mut table = Table::new([
        "phase",
        "ok",
        "failed",
        "dropped",
        "success",
        "p50",
        "p95",
        "p99",
        "max",
        "failed p99",
        "failed max",
    ]);
    table.rows.extend(load.phases.iter().map(|figures| {
        let PhaseFigures { phase, ok, failed, dropped, latency, failed_latency } = figures;
        let of =
            |latency: &Option<Latency>, samples: u64, quantile: f64, value: fn(&Latency) -> f64| {
                let shown = |latency| {
                    let doubt = if claim::supports(samples, quantile) { "" } else { "~ " };
                    format!("{doubt}{}", number::latency(value(latency)))
                };
                latency.as_ref().map_or_else(|| "–".to_owned(), shown)
            };
        vec![
            phase.as_str().to_owned(),
            number::count(*ok),
            number::count(*failed),
            number::count(*dropped),
            number::share(*ok, ok + failed + dropped),
            of(latency, *ok, 0.5, |latency| latency.p50),
            of(latency, *ok, 0.95, |latency| latency.p95),
            of(latency, *ok, 0.99, |latency| latency.p99),
            of(latency, *ok, 0.0, |latency| latency.max),
            of(failed_latency, *failed, 0.99, |latency| latency.p99),
            of(failed_latency, *failed, 0.0, |latency| latency.max),
        ]
    }));
    table
}

/// Quantiles of the latency by second.
pub(super) fn latency<'a>(load: &LoadReport, backdrop: &'a Backdrop, time: Scale) -> Figure<'a> {
    let measured = || load.seconds.iter().filter_map(|second| Some((second, second.latency?)));
    let scale = Scale::latency(measured().flat_map(|(_, latency)| [latency.p50, latency.max]));
    let mut layers = Vec::new();
    for (ink, _, value) in QUANTILES {
        let points = measured().map(|(second, latency)| (second.at_s + 0.5, value(&latency)));
        layers.extend(unbroken(points).map(|line| Layer { ink, shape: Shape::Line(line) }));
    }
    let mut table = Table::new(["second", "p50", "p95", "p99", "max"]);
    table.rows.extend(measured().map(|(second, latency)| {
        let values = QUANTILES.iter().map(|(_, _, value)| number::latency(value(&latency)));
        [number::plain(second.at_s)].into_iter().chain(values).collect()
    }));
    let chart = Chart {
        label: format!("Latency of {} by second: p50, p95, p99 and the slowest", load.id),
        x: time,
        y: scale,
        titles: ("seconds since the run began", "latency, logarithmic"),
        backdrop: Some(backdrop),
        layers,
    };
    Figure {
        title: "Latency",
        remark: "Of all requests that were sent, failed ones too, by the second in which they were due; counted from when they were due.",
        legend: QUANTILES
            .iter()
            .map(|&(ink, name, _)| (ink, Swatch::Line, name.to_owned()))
            .collect(),
        charts: if measured().next().is_some() { vec![chart] } else { Vec::new() },
        table,
    }
}

/// How requests ended, by second, one upon the other.
pub(super) fn throughput<'a>(load: &LoadReport, backdrop: &'a Backdrop, time: Scale) -> Figure<'a> {
    let most = load.seconds.iter().map(|s| s.ok + s.failed + s.dropped).max().unwrap_or_default();
    let mut floor = vec![0; load.seconds.len()];
    let mut layers = Vec::new();
    for (ink, _, value) in ENDS {
        let below = floor.clone();
        for (height, second) in floor.iter_mut().zip(&load.seconds) {
            *height += value(second);
        }
        let bands = steps(&load.seconds, &below, &floor);
        layers.extend(bands.into_iter().map(|band| Layer { ink, shape: Shape::Area(band) }));
    }
    let mut table = Table::new(["second", "ok", "failed", "dropped"]);
    table.rows.extend(load.seconds.iter().map(|second| {
        let counts = ENDS.iter().map(|(_, _, value)| number::count(value(second)));
        [number::plain(second.at_s)].into_iter().chain(counts).collect()
    }));
    let chart = Chart {
        label: format!("Requests of {} by second: ok, failed and dropped", load.id),
        x: time,
        y: Scale::count(number::float(most)),
        titles: ("seconds since the run began", "requests per second"),
        backdrop: Some(backdrop),
        layers,
    };
    Figure {
        title: "Throughput",
        remark: "How requests ended, by the second in which they were due. Dropped ones were never sent.",
        legend: ENDS.iter().map(|&(ink, name, _)| (ink, Swatch::Area, name.to_owned())).collect(),
        charts: if load.seconds.is_empty() { Vec::new() } else { vec![chart] },
        table,
    }
}

/// The outlines of what lies between two heights, a step for each second; one for each stretch of seconds
/// in which there is something.
fn steps(seconds: &[Second], below: &[u64], above: &[u64]) -> Vec<Points> {
    let mut outlines = Vec::new();
    let (mut up, mut down) = (Points::new(), Points::new());
    let mut close = |up: &mut Points, down: &mut Points| {
        up.extend(down.drain(..).rev());
        if !up.is_empty() {
            outlines.push(std::mem::take(up));
        }
    };
    for ((second, low), high) in seconds.iter().zip(below).zip(above) {
        let follows = up.last().is_some_and(|(end, _)| (end - second.at_s).abs() < 1e-6);
        if !follows || low == high {
            close(&mut up, &mut down);
        }
        if low < high {
            let (low, high) = (number::float(*low), number::float(*high));
            up.extend([(second.at_s, high), (second.at_s + 1.0, high)]);
            down.extend([(second.at_s, low), (second.at_s + 1.0, low)]);
        }
    }
    close(&mut up, &mut down);
    outlines
}

/// The percentile spectra of all phases.
pub(super) fn spectrum<'a>(load: &LoadReport) -> Figure<'a> {
    let spectra = || load.spectra.iter().filter(|spectrum| !spectrum.points.is_empty());
    let points = || spectra().flat_map(|spectrum| spectrum.points.iter().copied());
    let highest = points().map(|(quantile, _)| quantile).max_by(f64::total_cmp);
    let layers = spectra().map(|Spectrum { phase, points }| Layer {
        ink: ink(*phase),
        shape: Shape::Line(points.clone()),
    });
    let chart = highest.map(|highest| Chart {
        label: format!("Latency of {} by quantile, one line for each phase", load.id),
        x: Scale::Nines { to: highest },
        y: Scale::latency(points().map(|(_, latency)| latency)),
        titles: ("share of requests that were as fast", "latency, logarithmic"),
        backdrop: None,
        layers: layers.collect(),
    });
    let mut table = Table::new(["share"]);
    table.head.extend(spectra().map(|spectrum| spectrum.phase.as_str().to_owned()));
    for (quantile, name) in NAMED {
        let at = |spectrum: &Spectrum| {
            let same = |point: &&(f64, f64)| (point.0 - quantile).abs() < 1e-9;
            spectrum.points.iter().find(same).map(|point| number::latency(point.1))
        };
        let cells: Vec<_> = spectra().map(at).collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned()));
            table.rows.push([name.to_owned()].into_iter().chain(cells).collect());
        }
    }
    Figure {
        title: "Percentile spectrum",
        remark: "Latency of successes. Each line ends where its phase has too few requests to say more.",
        legend: spectra()
            .map(|spectrum| (ink(spectrum.phase), Swatch::Line, spectrum.phase.as_str().to_owned()))
            .collect(),
        charts: chart.into_iter().collect(),
        table,
    }
}

fn ink(phase: Phase) -> Ink {
    match phase {
        Phase::Warmup => Ink::Four,
        Phase::Steady => Ink::One,
        Phase::Fault => Ink::Three,
        Phase::Recovery => Ink::Two,
        Phase::Drain => Ink::Five,
    }
}

/// The stretches of points that are no more than a second apart: nothing is drawn where nothing was measured.
fn unbroken(points: impl Iterator<Item = (f64, f64)>) -> impl Iterator<Item = Points> {
    let mut lines: Vec<Points> = Vec::new();
    for point in points {
        let last = lines.last_mut();
        match last.filter(|line| line.last().is_some_and(|last| point.0 - last.0 < 1.5)) {
            Some(line) => line.push(point),
            None => lines.push(vec![point]),
        }
    }
    lines.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_where_nothing_was_measured() {
        let points = [0.5, 1.5, 4.5, 6.5, 7.5].map(|at| (at, 1.0));
        let lengths: Vec<_> = unbroken(points.into_iter()).map(|line| line.len()).collect();
        assert_eq!(lengths, [2, 1, 2]);
    }

    #[test]
    fn steps_enclose_what_lies_between_two_heights() {
        let second = |at_s| Second { at_s, ok: 0, failed: 0, dropped: 0, latency: None };
        let seconds = [0.0, 1.0, 2.0, 5.0].map(second);
        let outlines = steps(&seconds, &[1, 1, 1, 0], &[3, 2, 1, 4]);
        assert_eq!(
            outlines,
            [
                vec![
                    (0.0, 3.0),
                    (1.0, 3.0),
                    (1.0, 2.0),
                    (2.0, 2.0),
                    (2.0, 1.0),
                    (1.0, 1.0),
                    (1.0, 1.0),
                    (0.0, 1.0),
                ],
                vec![(5.0, 4.0), (6.0, 4.0), (6.0, 0.0), (5.0, 0.0)],
            ]
        );
    }
}
