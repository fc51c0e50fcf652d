//! What happened: how often, and the turning points.

use std::collections::BTreeMap;

use crate::record::{Event, Source};
use crate::report::model::MAX_EVENTS;

/// How often what happened, by name.
pub(super) fn counts(events: &[Event]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(event.name.clone()).or_insert(0) += 1;
    }
    counts
}

/// At most [`MAX_EVENTS`] events by time. What the runner did comes first, then what happened seldom, for
/// that is where a run turns; of what does not fit, every n-th stays.
pub(super) fn turning_points(events: &[Event]) -> Vec<Event> {
    let mut by_name: BTreeMap<(bool, &str), Vec<usize>> = BTreeMap::new();
    for (position, event) in events.iter().enumerate() {
        let others = event.source != Source::Runner;
        by_name.entry((others, &event.name)).or_default().push(position);
    }
    let mut groups: Vec<_> = by_name.into_iter().collect();
    groups.sort_by_key(|((others, _), positions)| (*others, positions.len()));

    let mut kept = Vec::new();
    for (_, positions) in groups {
        let room = MAX_EVENTS - kept.len();
        if room == 0 {
            break;
        }
        let step = positions.len().div_ceil(room);
        kept.extend(positions.into_iter().step_by(step));
    }
    kept.sort_unstable();
    kept.into_iter().filter_map(|position| events.get(position).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(at_s: f64, source: Source, name: &str) -> Event {
        Event { at_s, source, name: name.to_owned(), fields: serde_json::Map::new() }
    }

    #[test]
    fn what_is_seldom_stays_and_what_is_frequent_is_thinned() {
        let mut events: Vec<_> = (0..3_000)
            .map(|i| event(f64::from(i), Source::Proxy, "proxy.connection_cut"))
            .collect();
        events.insert(1_500, event(1_499.5, Source::Server, "pool.phase.changed"));
        events.insert(2_000, event(1_999.5, Source::Runner, "fault.begun"));
        let points = turning_points(&events);
        assert!(points.len() <= MAX_EVENTS && points.len() > MAX_EVENTS / 2, "{}", points.len());
        for name in ["pool.phase.changed", "fault.begun"] {
            assert_eq!(points.iter().filter(|event| event.name == name).count(), 1, "{name}");
        }
        assert_eq!(counts(&events)["proxy.connection_cut"], 3_000);
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_the_order_stays(names in prop::collection::vec(0_u8..6, 0..2_000)) {
            let events: Vec<_> = (0_u32..).zip(&names)
                .map(|(i, name)| event(f64::from(i), Source::Server, &format!("e{name}")))
                .collect();
            let points = turning_points(&events);
            prop_assert!(points.len() <= MAX_EVENTS);
            prop_assert!(points.windows(2).all(|pair| pair[0].at_s < pair[1].at_s));
            if events.len() <= MAX_EVENTS {
                prop_assert_eq!(points, events);
            }
        }
    }
}
