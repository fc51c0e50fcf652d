//! What a run says about what is compared with a baseline.

use std::collections::BTreeMap;

use super::measure::look_up;
use super::missing;
use crate::record::Record;
use crate::report::model::Group;
use crate::schema::{Objective, Scenario};

/// What a run has measured of every objective, in seconds, by the objective's text, such as `reads.latency.p50 in
/// steady`; `None` where there was too little to measure it, by the same rules by which a promise is inconclusive.
pub fn objectives(scenario: &Scenario, record: &Record) -> BTreeMap<String, Option<f64>> {
    let value = |objective: &Objective| {
        let Objective { metric, phase, min_samples } = objective;
        // Like a promise that holds always: in all phases but warm-up, unless it names one.
        let group = Group::Always;
        let measured = look_up(record, metric, group, *phase, |value| value);
        let unknown = measured.too_few(*min_samples).is_some()
            || missing(record, metric, group, *phase).is_some();
        measured.value().filter(|_| !unknown)
    };
    scenario.objectives.iter().map(|objective| (objective.to_string(), value(objective))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::record::{LoadRecord, Outcome, Phase, Sample, Span};
    use crate::schema::{Overrides, read};

    const TEXT: &str = "schema: resilience/v1
name: test
summary: a test
environment: { server: {} }
phases: { warmup: 1s, steady: 9s }
load:
  - { id: reads, op: search, query: how, model: closed, workers: 1 }
expect:
  always: [{ metric: reads.failed, eq: 0 }]
baseline:
  - { metric: reads.latency.p50, in: steady }
  - { metric: reads.latency.p90, in: steady }
  - { metric: reads.latency.max, in: steady, min_samples: 60 }
  - { metric: reads.latency.max }
  - { metric: reads.failed.latency.max }
  - { metric: server.start_time }
";

    fn scenario() -> Scenario {
        read(Path::new("test.yaml"), TEXT, Path::new("."), &Overrides::default()).unwrap()
    }

    /// A slow request in the warm-up, and so many in the steady phase, the last of which takes as many milliseconds.
    fn record(requests: u64) -> Record {
        let sample = |due_ms, took_ms| Sample {
            due: Duration::from_millis(due_ms),
            latency: Duration::from_millis(took_ms),
            outcome: Outcome::Ok,
            value: None,
        };
        let steady = (1..=requests).map(|number| sample(1000 + 10 * number, number));
        let span = |from, to| Span { from: Duration::from_secs(from), to: Duration::from_secs(to) };
        Record {
            phases: vec![(Phase::Warmup, span(0, 1)), (Phase::Steady, span(1, 10))],
            loads: vec![LoadRecord {
                id: "reads".to_owned(),
                samples: std::iter::once(sample(500, 9000)).chain(steady).collect(),
                ..LoadRecord::default()
            }],
            facts: [("server.start_time".to_owned(), 0.25)].into(),
            ..Record::default()
        }
    }

    fn values(record: &Record) -> Vec<(String, Option<f64>)> {
        objectives(&scenario(), record).into_iter().collect()
    }

    fn expected(values: [Option<f64>; 6]) -> Vec<(String, Option<f64>)> {
        let names = [
            "reads.failed.latency.max",
            "reads.latency.max",
            "reads.latency.max in steady",
            "reads.latency.p50 in steady",
            "reads.latency.p90 in steady",
            "server.start_time",
        ];
        names.map(str::to_owned).into_iter().zip(values).collect()
    }

    #[test]
    fn values_are_seconds_by_the_text_of_the_objective() {
        let all = [None, Some(0.1), Some(0.1), Some(0.05), Some(0.09), Some(0.25)];
        assert_eq!(values(&record(100)), expected(all));
    }

    #[test]
    fn too_little_data_is_no_value() {
        // The p90 wants 100 samples, the p50 wants 20, the maximum as many as the scenario says.
        let some = [None, Some(0.099), Some(0.099), Some(0.05), None, Some(0.25)];
        assert_eq!(values(&record(99)), expected(some));
        let few = [None, Some(0.019), None, None, None, Some(0.25)];
        assert_eq!(values(&record(19)), expected(few));
        assert_eq!(values(&Record::default()), expected([None; 6]));
    }

    #[test]
    fn a_load_that_stopped_early_has_no_value() {
        let mut record = record(100);
        record.loads[0].capped = true;
        assert_eq!(values(&record), expected([None, None, None, None, None, Some(0.25)]));
    }
}
