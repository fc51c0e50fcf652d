//! From a raw record to the figures of a report.

mod events;
mod load;
mod pool;

use std::collections::BTreeMap;

use super::model::{FaultSpan, LoadReport, PhaseSpan, PoolPoint};
use crate::record::{Event, Record};
use crate::schema::Load;

/// The part of a report that is made of measurements alone. Its fields are those of
/// [`Report`](super::model::Report).
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// When which phase was.
    pub phases: Vec<PhaseSpan>,
    /// When which fault was in force.
    pub faults: Vec<FaultSpan>,
    /// What the loads did.
    pub loads: Vec<LoadReport>,
    /// The pools over time, at most [`MAX_POOL_POINTS`] of them.
    pub pool: Vec<PoolPoint>,
    /// How often what happened.
    pub event_counts: BTreeMap<String, u64>,
    /// The turning points, at most [`MAX_EVENTS`](super::model::MAX_EVENTS).
    pub events: Vec<Event>,
    /// What was found once. A value that is no number is left out, for JSON has none for it.
    pub facts: BTreeMap<String, f64>,
}

/// The most points of the pools in a report: about what a drawing of it can show.
pub const MAX_POOL_POINTS: usize = 600;

/// Condenses a record. `loads` are those of the scenario, which know what the requests were; a load of the
/// record that is not among them is called `unknown`.
pub fn summarise(record: &Record, loads: &[Load]) -> Summary {
    let phases = record.phases.iter().map(|&(phase, span)| PhaseSpan {
        phase,
        from_s: span.from.as_secs_f64(),
        to_s: span.to.as_secs_f64(),
    });
    let faults = record.faults.iter().map(|fault| FaultSpan {
        id: fault.id.clone(),
        kind: fault.kind.clone(),
        from_s: fault.span.from.as_secs_f64(),
        to_s: fault.span.to.as_secs_f64(),
    });
    let reports = record.loads.iter().map(|measured| {
        load::report(measured, loads.iter().find(|load| load.id == measured.id), &record.phases)
    });
    let facts = record.facts.iter().filter(|(_, value)| value.is_finite());
    Summary {
        phases: phases.collect(),
        faults: faults.collect(),
        loads: reports.collect(),
        pool: pool::points(&record.gauges),
        event_counts: events::counts(&record.events),
        events: events::turning_points(&record.events),
        facts: facts.map(|(metric, value)| (metric.clone(), *value)).collect(),
    }
}
