//! The looks at the pools, thinned to what a drawing can show.

use super::MAX_POOL_POINTS;
use crate::record::Gauges;
use crate::report::model::PoolPoint;
use crate::report::number;

/// What is drawn of the pools.
const VALUES: [fn(&PoolPoint) -> u32; 3] =
    [|point| point.size, |point| point.idle, |point| point.waiting];

/// The most points of one stretch of time: the least and the most of each value.
const POINTS_PER_STRETCH: usize = 2 * VALUES.len();

/// The points of the pools by time. If there are more than [`MAX_POOL_POINTS`], the run is cut into
/// stretches of the same number of looks, of which every extreme stays.
pub(super) fn points(gauges: &[Gauges]) -> Vec<PoolPoint> {
    let mut points: Vec<_> = gauges.iter().filter_map(point).collect();
    points.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    if points.len() <= MAX_POOL_POINTS {
        return points;
    }
    let stretch = points.len().div_ceil(MAX_POOL_POINTS / POINTS_PER_STRETCH);
    points.chunks(stretch).flat_map(extremes).collect()
}

/// Where each value is least and most, by time, each look once.
fn extremes(points: &[PoolPoint]) -> Vec<PoolPoint> {
    let mut kept: Vec<_> = VALUES
        .iter()
        .flat_map(|value| {
            let numbered = || points.iter().enumerate();
            let least = numbered().min_by_key(|(_, point)| value(point));
            // Of equals the first, as for the least: a value that stays costs one point, not two.
            let most = numbered().rev().max_by_key(|(_, point)| value(point));
            least.into_iter().chain(most)
        })
        .collect();
    kept.sort_by_key(|(position, _)| *position);
    kept.dedup_by_key(|(position, _)| *position);
    kept.into_iter().map(|(_, point)| *point).collect()
}

/// `None` if the look saw none of the values.
fn point(gauges: &Gauges) -> Option<PoolPoint> {
    let value = |name| gauges.values.get(name).copied();
    let (size, idle, waiting) = (value("size"), value("idle"), value("waiting"));
    let seen = size.or(idle).or(waiting);
    let whole = |value: Option<f64>| {
        u32::try_from(number::whole(value.unwrap_or_default())).unwrap_or(u32::MAX)
    };
    seen.map(|_| PoolPoint {
        at_s: gauges.at.as_secs_f64(),
        size: whole(size),
        idle: whole(idle),
        waiting: whole(waiting),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn gauges(at_ms: u64, values: &[(&str, f64)]) -> Gauges {
        let values = values.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        Gauges { at: Duration::from_millis(at_ms), values }
    }

    #[test]
    fn a_look_that_saw_nothing_is_no_point() {
        let looks = [gauges(0, &[]), gauges(50, &[("phase", 2.0)]), gauges(100, &[("size", 9.6)])];
        assert_eq!(points(&looks), [PoolPoint { at_s: 0.1, size: 10, idle: 0, waiting: 0 }]);
        let odd = Gauges {
            at: Duration::ZERO,
            values: BTreeMap::from([("size".to_owned(), f64::NAN), ("idle".to_owned(), -3.0)]),
        };
        assert_eq!(points(&[odd]), [PoolPoint { at_s: 0.0, size: 0, idle: 0, waiting: 0 }]);
    }

    proptest! {
        #[test]
        fn thinning_keeps_the_bound_and_the_extremes(
            values in prop::collection::vec((0_u32..20, 0_u32..20, 0_u32..500), 0..5_000)
        ) {
            let looks: Vec<_> = (0..).zip(&values)
                .map(|(i, &(size, idle, waiting))| gauges(i * 50, &[
                    ("size", f64::from(size)), ("idle", f64::from(idle)), ("waiting", f64::from(waiting)),
                ]))
                .collect();
            let points = points(&looks);
            prop_assert!(points.len() <= MAX_POOL_POINTS);
            prop_assert!(points.windows(2).all(|pair| pair[0].at_s < pair[1].at_s));
            prop_assert_eq!(points.iter().map(|p| p.size).max(), values.iter().map(|v| v.0).max());
            prop_assert_eq!(points.iter().map(|p| p.idle).min(), values.iter().map(|v| v.1).min());
            prop_assert_eq!(points.iter().map(|p| p.waiting).max(), values.iter().map(|v| v.2).max());
        }
    }
}
