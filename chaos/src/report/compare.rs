//! Two runs side by side: which promises changed their verdict, and how much slower or faster it is.

use std::collections::BTreeSet;
use std::fmt;

use super::model::{Assertion, Environment, Latency, PhaseFigures, Report, Verdict};
use super::{claim, number, table};
use crate::record::Phase;

/// What is different between two runs. Shown, it is a text of tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The scenario, run and verdict of the first one.
    pub before: Side,
    /// Those of the second one.
    pub after: Side,
    /// What else is not the same and may explain the rest: seed, machine, versions.
    pub circumstances: Vec<Change>,
    /// The promises of both, in the order of the second run.
    pub promises: Vec<PromiseChange>,
    /// Latencies of successes, by load and phase that both have.
    pub latencies: Vec<LatencyChange>,
    /// Facts that differ or that only one of them has.
    pub facts: Vec<Change>,
}

/// One of two runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The scenario.
    pub scenario: String,
    /// The run's name.
    pub run: String,
    /// How it ended.
    pub verdict: Verdict,
}

/// Something that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub name: String,
    /// In the first run; `None` if it has none.
    pub before: Option<String>,
    /// In the second run; `None` if it has none.
    pub after: Option<String>,
    /// How the second stands to the first, such as `1.25x`, where that means something.
    pub ratio: Option<String>,
}

/// A promise and what became of it in both runs; `None` in a run that has no such promise.
#[derive(Debug, Clone, PartialEq)]
pub struct PromiseChange {
    /// The promise as it was written.
    pub text: String,
    /// In the first run.
    pub before: Option<(Verdict, Option<String>)>,
    /// In the second run.
    pub after: Option<(Verdict, Option<String>)>,
}

/// Latencies of a load in a phase, in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyChange {
    /// The load.
    pub load: String,
    /// The phase.
    pub phase: Phase,
    /// In the first run.
    pub before: Latency,
    /// In the second run.
    pub after: Latency,
    /// How many samples the run with fewer of them has.
    pub samples: u64,
}

/// Compares two runs, the older one first. Scenarios need not be the same.
pub fn compare(before: &Report, after: &Report) -> Comparison {
    let side = |report: &Report| Side {
        scenario: report.scenario.clone(),
        run: report.run.clone(),
        verdict: report.verdict,
    };
    Comparison {
        before: side(before),
        after: side(after),
        circumstances: circumstances(before, after),
        promises: promises(&before.assertions, &after.assertions),
        latencies: latencies(before, after),
        facts: facts(before, after),
    }
}

fn circumstances(before: &Report, after: &Report) -> Vec<Change> {
    let named = |report: &Report| {
        let Environment {
            server,
            build,
            postgres,
            provider,
            proxy,
            os,
            cpu,
            cpus,
            memory_mib,
            load_average,
        } = report.environment.clone();
        [
            ("scenario", report.scenario.clone()),
            ("seed", report.seed.to_string()),
            ("drawn", report.draws()),
            ("server", server),
            ("build", build),
            ("postgres", postgres),
            ("provider", provider),
            ("proxy", proxy),
            ("os", os),
            ("cpu", cpu),
            ("cpus", cpus.to_string()),
            ("memory", format!("{memory_mib} MiB")),
            ("load average", load_average),
            ("command", report.rerun.clone()),
        ]
    };
    let pairs = named(before).into_iter().zip(named(after));
    let changed = pairs.filter(|((_, before), (_, after))| before != after);
    let change = |((name, before), (_, after)): ((&str, String), (&str, String))| Change {
        name: name.to_owned(),
        before: Some(before),
        after: Some(after),
        ratio: None,
    };
    changed.map(change).collect()
}

/// Promises are the same if group and text are; of equal ones the first belongs to the first.
fn promises(before: &[Assertion], after: &[Assertion]) -> Vec<PromiseChange> {
    let ended = |assertion: &Assertion| (assertion.verdict, assertion.actual.clone());
    let mut left: Vec<&Assertion> = before.iter().collect();
    let mut changes: Vec<_> = after
        .iter()
        .map(|now| {
            let same = |old: &&Assertion| old.group == now.group && old.text == now.text;
            let old = left.iter().position(same).map(|position| left.remove(position));
            PromiseChange {
                text: now.text.clone(),
                before: old.map(ended),
                after: Some(ended(now)),
            }
        })
        .collect();
    changes.extend(left.into_iter().map(|old| PromiseChange {
        text: old.text.clone(),
        before: Some(ended(old)),
        after: None,
    }));
    changes
}

fn latencies(before: &Report, after: &Report) -> Vec<LatencyChange> {
    let mut changes = Vec::new();
    for load in &after.loads {
        let Some(old_load) = before.loads.iter().find(|old| old.id == load.id) else { continue };
        for now in &load.phases {
            let same = |old: &&PhaseFigures| old.phase == now.phase;
            let old = old_load.phases.iter().find(same);
            changes.extend(old.and_then(|old| {
                Some(LatencyChange {
                    load: load.id.clone(),
                    phase: now.phase,
                    before: old.latency?,
                    after: now.latency?,
                    samples: old.ok.min(now.ok),
                })
            }));
        }
    }
    changes
}

fn facts(before: &Report, after: &Report) -> Vec<Change> {
    let metrics: BTreeSet<&String> = before.facts.keys().chain(after.facts.keys()).collect();
    let changes = metrics.into_iter().filter_map(|metric| {
        let (old, now) = (before.facts.get(metric).copied(), after.facts.get(metric).copied());
        let both = old.zip(now);
        (old != now).then(|| Change {
            name: metric.clone(),
            before: old.map(number::plain),
            after: now.map(number::plain),
            ratio: both.and_then(|(old, now)| ratio(old, now)),
        })
    });
    changes.collect()
}

/// `1.25x`; `None` if there is nothing to divide by.
fn ratio(before: f64, after: f64) -> Option<String> {
    let ratio = after / before;
    (before != 0.0 && ratio.is_finite() && ratio >= 0.0).then(|| format!("{ratio:.2}x"))
}

impl PromiseChange {
    /// Whether the second run is worse, better, or the same (`None`). A promise that only one of them has
    /// is neither.
    fn worse(&self) -> Option<bool> {
        let ((before, _), (after, _)) = self.before.as_ref().zip(self.after.as_ref())?;
        (before != after).then_some(after > before)
    }

    fn row(&self) -> [String; 4] {
        let side = |side: &Option<(Verdict, Option<String>)>| match side {
            None => "-".to_owned(),
            Some((verdict, None)) => verdict.as_str().to_owned(),
            Some((verdict, Some(actual))) => format!("{} {actual}", verdict.as_str()),
        };
        let change = match (self.worse(), &self.before, &self.after) {
            (Some(true), ..) => "WORSE",
            (Some(false), ..) => "better",
            (None, None, _) => "new",
            (None, _, None) => "gone",
            (None, ..) => "",
        };
        [change.to_owned(), self.text.clone(), side(&self.before), side(&self.after)]
    }
}

impl LatencyChange {
    fn row(&self) -> [String; 6] {
        let of = |quantile: f64, before: f64, after: f64| {
            let sure = claim::supports(self.samples, quantile);
            let doubt = if sure { "" } else { "~" };
            let ratio = ratio(before, after).unwrap_or_else(|| "-".to_owned());
            let (before, after) = (number::latency(before), number::latency(after));
            format!("{doubt}{ratio} ({before} -> {after})")
        };
        [
            self.load.clone(),
            self.phase.as_str().to_owned(),
            of(0.5, self.before.p50, self.after.p50),
            of(0.95, self.before.p95, self.after.p95),
            of(0.99, self.before.p99, self.after.p99),
            number::count(self.samples),
        ]
    }
}

impl Change {
    fn row(&self) -> [String; 4] {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let ratio = self.ratio.clone().unwrap_or_default();
        [self.name.clone(), shown(&self.before), shown(&self.after), ratio]
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, circumstances, promises, latencies, facts } = self;
        for (name, side) in [("before", before), ("after", after)] {
            let Side { scenario, run, verdict } = side;
            writeln!(f, "{name:7} {:12} {scenario}  {run}", verdict.as_str())?;
        }
        if before.scenario != after.scenario {
            writeln!(
                f,
                "\nThese are different scenarios: what differs may be theirs, not the server's"
            )?;
        }
        let worse = promises.iter().filter(|promise| promise.worse() == Some(true)).count();
        let better = promises.iter().filter(|promise| promise.worse() == Some(false)).count();
        let all = promises.len();
        writeln!(f, "\nPromises: {all}, of which {worse} are worse and {better} better")?;
        let rows: Vec<_> = promises.iter().map(PromiseChange::row).collect();
        f.write_str(&table::lay_out(["", "promise", "before", "after"], &rows))?;
        if !latencies.is_empty() {
            writeln!(f, "\nLatency of successes, after / before (~: too few samples to rely on)")?;
            let rows: Vec<_> = latencies.iter().map(LatencyChange::row).collect();
            let header = ["load", "phase", "p50", "p95", "p99", "samples"];
            f.write_str(&table::lay_out(header, &rows))?;
        }
        for (title, changes) in [("Facts", facts), ("Circumstances", circumstances)] {
            if !changes.is_empty() {
                writeln!(f, "\n{title} that differ")?;
                let rows: Vec<_> = changes.iter().map(Change::row).collect();
                f.write_str(&table::lay_out(["", "before", "after", "ratio"], &rows))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn two_runs_read_like_this() {
        let text = compare(&sample::report(), &sample::failed()).to_string();
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("compare", text);
        });
    }

    #[test]
    fn a_run_does_not_differ_from_itself() {
        let report = sample::report();
        let same = compare(&report, &report);
        assert!(same.circumstances.is_empty() && same.facts.is_empty());
        assert!(same.promises.iter().all(|promise| promise.worse().is_none()));
        assert!(same.latencies.iter().all(|change| change.before == change.after));
    }

    #[test]
    fn different_scenarios_are_told() {
        let before = sample::report();
        let after = Report { scenario: "another".to_owned(), ..before.clone() };
        let line = "These are different scenarios";
        assert!(compare(&before, &after).to_string().contains(line));
        assert!(!compare(&before, &before).to_string().contains(line));
    }

    #[test]
    fn equal_promises_are_matched_one_to_one() {
        let mut before = sample::report();
        let twice = before.assertions[0].clone();
        before.assertions = vec![twice.clone(), twice.clone()];
        let mut after = before.clone();
        after.assertions.truncate(1);
        let changes: Vec<_> = compare(&before, &after)
            .promises
            .iter()
            .map(|p| (p.before.is_some(), p.after.is_some()))
            .collect();
        assert_eq!(changes, [(true, true), (true, false)]);
    }

    #[test]
    fn a_ratio_needs_something_to_divide_by() {
        assert_eq!(ratio(2.0, 3.0).as_deref(), Some("1.50x"));
        assert_eq!(ratio(0.0, 3.0), None);
        assert_eq!(ratio(-1.0, 3.0), None);
    }
}
