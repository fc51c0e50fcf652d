//! What happened in a run, in one sentence made of its figures.

use super::model::{FaultSpan, LoadReport, PhaseFigures, Report, Verdict};
use super::{claim, number, text};
use crate::record::Phase;

/// The most faults that are named.
const MOST_FAULTS: usize = 3;

/// One sentence about the run: how it was before, while and after the faults were in force, for the load
/// that suffered most.
pub(super) fn tell(report: &Report) -> String {
    let reason = |otherwise: &str| {
        let reason = report.reason.as_deref().unwrap_or(otherwise);
        text::one_line(reason).trim_end_matches('.').to_owned()
    };
    if report.is_of_runs() {
        return of_runs(report);
    }
    // Of equals the first, which scenarios name first for a reason.
    let Some(load) = report.loads.iter().rev().max_by_key(|load| suffering(load)) else {
        return match report.verdict {
            Verdict::Skipped => format!("It did not run: {}.", reason("no reason is given")),
            Verdict::Error => format!("The runner gave up: {}.", reason("no reason is given")),
            Verdict::Pass | Verdict::Inconclusive | Verdict::Fail => match faults(&report.faults) {
                Some(faults) => format!("Without any load, {faults}."),
                None => "There was neither a load nor a fault.".to_owned(),
            },
        };
    };
    let who = |parts: &[String]| if parts.is_empty() { load.id.as_str() } else { "it" };
    let mut parts = Vec::new();
    if let Some(steady) = of(load, Phase::Steady) {
        parts.push(format!("undisturbed, {}", answered(&load.id, steady)));
    }
    match (faults(&report.faults), of(load, Phase::Fault)) {
        (Some(faults), Some(figures)) => {
            parts.push(format!("while {faults}, {}", answered(who(&parts), figures)));
        }
        (Some(faults), None) => parts.push(format!("without requests, {faults}")),
        (None, _) => parts.push("no fault was carried out".to_owned()),
    }
    if let Some(recovery) = of(load, Phase::Recovery) {
        parts.push(format!("afterwards {}", answered(who(&parts), recovery)));
    }
    if let Some(time) = recovery_time(report) {
        parts.push(format!("recovery took {time}"));
    }
    format!("{}.", capitalised(&parts.join("; ")))
}

/// How the runs of a repeat ended.
fn of_runs(report: &Report) -> String {
    let ended = Verdict::ALL.into_iter().filter_map(|verdict| {
        let count = report.runs.iter().filter(|run| run.verdict == verdict).count();
        (count > 0).then(|| format!("{count} {}", verdict.as_str()))
    });
    let ended: Vec<_> = ended.collect();
    format!("All runs together; one by one, they ended {}.", ended.join(", "))
}

/// Whether the run never came to make requests, so that its story is its reason.
pub(super) fn is_reason(report: &Report) -> bool {
    report.loads.is_empty() && matches!(report.verdict, Verdict::Skipped | Verdict::Error)
}

fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    [first, letters.as_str().to_owned()].concat()
}

/// Requests that did not succeed while faults were in force; for a run without such, all in all.
fn suffering(load: &LoadReport) -> u64 {
    let lost = |figures: &PhaseFigures| figures.failed + figures.dropped;
    match of(load, Phase::Fault) {
        Some(figures) => lost(figures),
        None => load.phases.iter().map(lost).sum(),
    }
}

fn of(load: &LoadReport, phase: Phase) -> Option<&PhaseFigures> {
    load.phases.iter().find(|figures| figures.phase == phase)
}

/// `reads answered 2,000 of 2,000 requests (100 %, p95 4.1 ms)`.
fn answered(who: &str, figures: &PhaseFigures) -> String {
    let PhaseFigures { phase: _, ok, failed, dropped, latency, failed_latency } = figures;
    let all = ok + failed + dropped;
    let mut remarks = vec![number::share(*ok, all)];
    let usual = latency.filter(|_| claim::supports(*ok, 0.95));
    remarks.extend(usual.map(|latency| format!("p95 {}", number::latency(latency.p95))));
    let failures = failed_latency.filter(|_| failed * 20 >= all);
    remarks.extend(
        failures.map(|latency| format!("failures within {}", number::latency(latency.max))),
    );
    let of_all = number::counted(all, "request");
    format!("{who} answered {} of {of_all} ({})", number::count(*ok), remarks.join(", "))
}

/// `cut and refuse were in force for 10.0 s`.
fn faults(faults: &[FaultSpan]) -> Option<String> {
    let from = faults.iter().map(|fault| fault.from_s).min_by(f64::total_cmp)?;
    let to = faults.iter().map(|fault| fault.to_s).max_by(f64::total_cmp)?;
    let mut names: Vec<&str> = Vec::new();
    for fault in faults {
        if !names.contains(&fault.id.as_str()) {
            names.push(&fault.id);
        }
    }
    let more = names.len().saturating_sub(MOST_FAULTS);
    names.truncate(MOST_FAULTS);
    let were = if names.len() == 1 { "was" } else { "were" };
    let others = format!("{more} more");
    if more > 0 {
        names.push(&others);
    }
    Some(format!("{} {were} in force for {}", text::list(&names), number::seconds(to - from)))
}

/// What the promise about the time of recovery has measured.
fn recovery_time(report: &Report) -> Option<&str> {
    let promise = report.assertions.iter().find(|it| it.text.starts_with("recovery.time"))?;
    promise.actual.as_deref()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn runs_are_told_in_a_sentence() {
        let told: Vec<_> = sample::all().iter().map(tell).collect();
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("story", told.join("\n"));
        });
    }

    #[test]
    fn the_load_that_suffered_most_is_told_of() {
        let mut report = sample::report();
        report.loads.reverse();
        assert!(tell(&report).starts_with("Undisturbed, reads answered"), "{}", tell(&report));
        for load in &mut report.loads {
            load.phases.retain(|figures| figures.phase == Phase::Steady);
        }
        report.faults.clear();
        assert_eq!(
            tell(&report),
            "Undisturbed, health answered 500 of 500 requests (100 %, p95 596 µs); no fault was carried out; recovery took 1.2s."
        );
    }

    #[test]
    fn of_all_runs_it_is_told_how_they_ended() {
        let told = "All runs together; one by one, they ended 1 pass, 1 fail.";
        assert_eq!(tell(&sample::together()), told);
    }

    #[test]
    fn many_faults_are_not_all_named() {
        let span = |id: &str| FaultSpan {
            id: id.to_owned(),
            kind: "proxy.cut".to_owned(),
            from_s: 1.0,
            to_s: 2.5,
        };
        let spans: Vec<_> = ["a", "b", "a", "c", "d", "e"].map(span).into();
        assert_eq!(faults(&spans).unwrap(), "a, b, c and 2 more were in force for 1.5 s");
        assert_eq!(faults(&spans[..1]).unwrap(), "a was in force for 1.5 s");
        assert_eq!(faults(&[]), None);
    }
}
