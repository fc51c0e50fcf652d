//! What happens when in a run: phases and faults as one list of steps, worked out before anything starts.

use std::time::Duration;

use crate::record::Phase;
use crate::schema::{Fault, Scenario};

/// One thing to do. The number of a fault is its place in the scenario's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The phase begins.
    Phase(Phase),
    /// The fault begins and stays in force.
    Begin(usize),
    /// The fault happens at this instant and leaves nothing to undo.
    Strike(usize),
    /// The fault is undone.
    Undo(usize),
    /// Everything is over.
    End,
}

/// A step and when it is due, counted from the beginning of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When.
    pub at: Duration,
    /// What.
    pub step: Step,
}

/// The steps of a scenario in their order. Of those that are due at the same instant, faults are undone
/// before a phase begins, and begin after it: what the recovery phase measures has no fault in it.
pub fn timeline(scenario: &Scenario) -> Vec<Due> {
    let mut steps = Vec::new();
    let mut at = Duration::ZERO;
    for (phase, length) in &scenario.phases {
        steps.push(Due { at, step: Step::Phase(*phase) });
        if *phase == Phase::Fault {
            for (number, fault) in scenario.faults.iter().enumerate() {
                steps.extend(of_fault(at, number, fault));
            }
        }
        at += *length;
    }
    steps.push(Due { at, step: Step::End });
    steps.sort_by_key(|due| (due.at, rank(due.step)));
    steps
}

fn of_fault(start: Duration, number: usize, fault: &Fault) -> Vec<Due> {
    let from = start + fault.at;
    let to = from + fault.lasts;
    if !fault.kind.is_instant() {
        return vec![
            Due { at: from, step: Step::Begin(number) },
            Due { at: to, step: Step::Undo(number) },
        ];
    }
    let Some(every) = fault.every else {
        return vec![Due { at: from, step: Step::Strike(number) }];
    };
    let times = (0u32..).map(|count| from + every * count).take_while(|at| *at < to);
    times.map(|at| Due { at, step: Step::Strike(number) }).collect()
}

fn rank(step: Step) -> u8 {
    match step {
        Step::Undo(_) => 0,
        Step::Phase(_) => 1,
        Step::Begin(_) | Step::Strike(_) => 2,
        Step::End => 3,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::schema::{Overrides, read};

    #[test]
    fn phases_and_faults_are_put_in_order() {
        let text = r"schema: resilience/v1
name: test
summary: a test
environment: { server: {} }
phases: { warmup: 1s, steady: 2s, fault: auto, recovery: 5s }
faults:
  - { id: late, at: 1s, for: 2s, kind: proxy.refuse }
  - { id: resets, for: 2s, every: 800ms, kind: proxy.reset }
expect:
  sometimes: [{ event: proxy.connection_reset }]
";
        let scenario =
            read(Path::new("test.yaml"), text, Path::new("."), &Overrides::default()).unwrap();
        let shown: Vec<_> =
            timeline(&scenario).into_iter().map(|due| (due.at.as_millis(), due.step)).collect();
        assert_eq!(
            shown,
            [
                (0, Step::Phase(Phase::Warmup)),
                (1000, Step::Phase(Phase::Steady)),
                (3000, Step::Phase(Phase::Fault)),
                (3000, Step::Strike(0)),
                (3800, Step::Strike(0)),
                (4000, Step::Begin(1)),
                (4600, Step::Strike(0)),
                // Undone before the recovery is measured.
                (6000, Step::Undo(1)),
                (6000, Step::Phase(Phase::Recovery)),
                (11000, Step::End),
            ]
        );
    }
}
