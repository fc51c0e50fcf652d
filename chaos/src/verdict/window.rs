//! Which part of a record a promise looks at.

use crate::record::{Phase, Record, Sample, Span};

/// The phases that count: all but warm-up.
pub(super) const MEASURED: [Phase; 4] =
    [Phase::Steady, Phase::Fault, Phase::Recovery, Phase::Drain];

/// The spans of `phase`, or else of all of `others`, as far as they took place.
pub(super) fn spans(record: &Record, phase: Option<Phase>, others: &[Phase]) -> Vec<Span> {
    let wanted = match &phase {
        Some(phase) => std::slice::from_ref(phase),
        None => others,
    };
    wanted.iter().filter_map(|phase| record.phase(*phase)).collect()
}

/// The samples that were due in one of the spans.
pub(super) fn samples<'a>(
    samples: &'a [Sample],
    spans: &'a [Span],
) -> impl Iterator<Item = &'a Sample> {
    samples.iter().filter(|sample| spans.iter().any(|span| span.contains(sample.due)))
}
