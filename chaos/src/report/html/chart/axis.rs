//! Axes: where a value is placed, and where labels stand.

use crate::report::number;

/// The steps of a time axis, in seconds.
const TIME_STEPS: [f64; 12] =
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
/// Of labels on a logarithmic axis there are so many before those between the powers of ten are left out.
const FEW_DECADES: usize = 3;
/// The shortest latency that is drawn, in milliseconds: what a recorder can tell apart.
const SHORTEST_MS: f64 = 0.001;

/// The scale of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report::html) enum Scale {
    /// Seconds since the run began.
    Time {
        /// The first.
        from: f64,
        /// The last.
        to: f64,
    },
    /// Milliseconds by their logarithm.
    Latency {
        /// The least.
        from: f64,
        /// The most.
        to: f64,
    },
    /// A count from zero.
    Count {
        /// The most.
        to: f64,
    },
    /// Quantiles by their nines: the logarithm of what is above them.
    Nines {
        /// The highest quantile.
        to: f64,
    },
}

impl Scale {
    /// The axis for latencies of these milliseconds.
    pub(in crate::report::html) fn latency(values: impl IntoIterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::INFINITY, SHORTEST_MS);
        for value in values {
            least = least.min(value.max(SHORTEST_MS));
            most = most.max(value);
        }
        let from = nice(least.min(most) / 1.15, f64::floor).max(SHORTEST_MS);
        Self::Latency { from, to: nice(most * 1.15, f64::ceil).max(from * 5.0) }
    }

    /// The axis for counts up to this.
    pub(in crate::report::html) fn count(most: f64) -> Self {
        // A little room, so that what is drawn at the most does not touch the frame.
        Self::Count { to: (most * 1.08).max(1.0) }
    }

    /// Where a value stands.
    pub(super) fn place(self, value: f64) -> f64 {
        match self {
            Self::Time { .. } | Self::Count { .. } => value,
            Self::Latency { .. } => value.max(SHORTEST_MS).log10(),
            Self::Nines { to } => -(1.0 - value.min(to)).log10(),
        }
    }

    /// The places of its ends.
    pub(super) fn range(self) -> (f64, f64) {
        match self {
            Self::Time { from, to } => (from, to.max(from + 1.0)),
            Self::Latency { from, to } => (self.place(from), self.place(to)),
            Self::Count { to } => (0.0, to),
            Self::Nines { to } => (0.0, self.place(to).max(0.5) * 1.03),
        }
    }

    /// The places of its labels, about `most` at most.
    pub(super) fn ticks(self, most: usize) -> Vec<f64> {
        let (from, to) = self.range();
        let few = number::float(u64::try_from(most.max(1)).unwrap_or(u64::MAX));
        match self {
            Self::Time { .. } => {
                let fits = |step: &f64| (to - from) / step <= few;
                let hours = || ((to - from) / 3_600.0 / few).ceil() * 3_600.0;
                let step = TIME_STEPS.into_iter().find(fits).unwrap_or_else(hours);
                multiples(step, from, to)
            }
            Self::Count { .. } => multiples(nice(to / few, f64::ceil).max(1.0), from, to),
            Self::Latency { .. } => {
                let decades = multiples(1.0, from, to);
                if decades.len() > FEW_DECADES {
                    return decades;
                }
                let between = (decade(from)..=decade(to)).flat_map(|power| {
                    [1.0, 2.0, 5.0].map(|digit: f64| f64::from(power) + digit.log10())
                });
                between.filter(|place| inside(*place, from, to)).collect()
            }
            Self::Nines { .. } => {
                let nines = multiples(1.0, 1.0, to);
                [self.place(0.5)]
                    .into_iter()
                    .chain(nines)
                    .filter(|p| inside(*p, from, to))
                    .collect()
            }
        }
    }

    /// The places of lines between the labels.
    pub(super) fn light_lines(self) -> Vec<f64> {
        let (from, to) = self.range();
        match self {
            Self::Latency { .. } => (decade(from)..=decade(to))
                .flat_map(|power| {
                    (2..10).map(move |digit| f64::from(power) + f64::from(digit).log10())
                })
                .filter(|place| inside(*place, from, to))
                .collect(),
            Self::Time { .. } | Self::Count { .. } | Self::Nines { .. } => Vec::new(),
        }
    }

    /// What stands at a place.
    pub(super) fn label(self, place: f64) -> String {
        match self {
            Self::Time { .. } | Self::Count { .. } => number::plain(place),
            Self::Latency { .. } => milliseconds(10_f64.powf(place)),
            Self::Nines { .. } => {
                // Rounded to what a float can tell, or 90 % would have a tail of nines.
                let percent = (1.0 - 10_f64.powf(-place)) * 100.0;
                format!("{} %", (percent * 1e9).round() / 1e9)
            }
        }
    }
}

/// `500 µs`, `1 ms`, `20 ms`, `5 s`.
fn milliseconds(ms: f64) -> String {
    if ms < 0.99 {
        format!("{:.0} µs", ms * 1_000.0)
    } else if ms < 990.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.0} s", ms / 1_000.0)
    }
}

/// The next number of 1, 2 and 5 times a power of ten, below or above.
pub(crate) fn nice(value: f64, direction: fn(f64) -> f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let digit = value / power;
    let up = direction(0.5) > 0.5;
    let digits = [1.0, 2.0, 5.0, 10.0];
    // A value that is such a number already may miss it by its last bit.
    let chosen = if up {
        digits.into_iter().find(|nice| digit <= nice * (1.0 + 1e-9))
    } else {
        digits.into_iter().rev().find(|nice| digit >= nice * (1.0 - 1e-9))
    };
    chosen.unwrap_or(1.0) * power
}

/// The multiples of a step from one value to another.
pub(crate) fn multiples(step: f64, from: f64, to: f64) -> Vec<f64> {
    let first = (from / step - 1e-9).ceil();
    let steps = number::whole(((to / step + 1e-9).floor() - first).max(-1.0) + 1.0);
    (0..steps).map(|turn| (first + number::float(turn)) * step).collect()
}

fn inside(place: f64, from: f64, to: f64) -> bool {
    from - 1e-9 <= place && place <= to + 1e-9
}

/// The power of ten below a place on a logarithmic axis.
#[expect(clippy::cast_possible_truncation, reason = "a latency has fewer than 20 digits")]
fn decade(place: f64) -> i32 {
    (place + 1e-9).floor() as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(scale: Scale, most: usize) -> String {
        let labels: Vec<_> = scale.ticks(most).into_iter().map(|at| scale.label(at)).collect();
        labels.join(" ")
    }

    #[test]
    fn labels_are_round() {
        let time = Scale::Time { from: 0.0, to: 40.0 };
        assert_eq!(labels(time, 12), "0 5 10 15 20 25 30 35 40");
        assert_eq!(labels(time, 5), "0 10 20 30 40");
        assert_eq!(
            labels(Scale::Time { from: 0.0, to: 36_000.0 }, 12),
            "0 3,600 7,200 10,800 14,400 18,000 21,600 25,200 28,800 32,400 36,000"
        );
        assert_eq!(labels(Scale::count(10.0), 6), "0 2 4 6 8 10");
        assert_eq!(labels(Scale::count(0.0), 6), "0 1");
        assert_eq!(labels(Scale::count(1_234.0), 6), "0 500 1,000");
        assert_eq!(labels(Scale::latency([0.4, 2_000.0]), 6), "1 ms 10 ms 100 ms 1 s");
        assert_eq!(labels(Scale::latency([2.5, 12.0]), 6), "2 ms 5 ms 10 ms 20 ms");
        assert_eq!(labels(Scale::latency([]), 6), "1 µs 2 µs 5 µs");
        assert_eq!(labels(Scale::Nines { to: 0.9995 }, 6), "50 % 90 % 99 % 99.9 %");
    }

    proptest! {
        #[test]
        fn every_value_is_within_its_axis(values in prop::collection::vec(0.0_f64..70_000.0, 1..20)) {
            let scale = Scale::latency(values.iter().copied());
            let (from, to) = scale.range();
            prop_assert!(from < to);
            for value in &values {
                prop_assert!(inside(scale.place(*value), from, to), "{value} in {scale:?}");
            }
            for most in [values[0], values[0] / 1_000.0] {
                let count = Scale::count(most).ticks(6).len();
                prop_assert!((2..=13).contains(&count), "{count} labels up to {most}");
            }
        }
    }
}
