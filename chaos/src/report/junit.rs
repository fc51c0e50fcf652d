//! `junit.xml`: a scenario is a suite, an assertion is a case.

use std::time::Duration;

use chrono::DateTime;
use quick_junit::{
    NonSuccessKind, Report as Document, SerializeError, TestCase, TestCaseStatus, TestSuite,
};

use super::model::{Assertion, Report, Verdict};
use super::{number, outcome};

/// The name of the file in the folder of a run.
pub const FILE: &str = "junit.xml";

/// The reports as one document. A broken promise is a failure; what is inconclusive or could not be run is
/// an error; what was skipped says why. Characters that XML cannot hold are replaced.
///
/// # Errors
///
/// None that is known; the library that writes the document may refuse it.
pub fn to_text(reports: &[Report]) -> Result<String, SerializeError> {
    let mut document = Document::new("scenarios");
    let suites = reports.iter().enumerate().map(|(position, report)| {
        let same = |other: &&Report| {
            other.scenario == report.scenario && other.is_of_runs() == report.is_of_runs()
        };
        let runs = reports.iter().filter(same).count();
        let run = reports.iter().take(position + 1).filter(same).count();
        let name = match runs {
            1 => report.scenario.clone(),
            runs => format!("{} ({run} of {runs})", report.scenario),
        };
        suite(&name, report)
    });
    document.add_test_suites(suites);
    document.set_time(time(reports.iter().map(|report| report.wall_s).sum()));
    document.to_string()
}

fn suite(name: &str, report: &Report) -> TestSuite {
    let mut suite = TestSuite::new(valid(name));
    suite.set_time(time(report.wall_s));
    if let Ok(started) = DateTime::parse_from_rfc3339(&report.started_at) {
        suite.set_timestamp(started);
    }
    let environment = &report.environment;
    for (name, value) in [
        ("run", report.run.as_str()),
        ("seed", &report.seed.to_string()),
        ("rerun", &report.rerun),
        ("criteria", &report.criteria.join(", ")),
        ("server", &environment.server),
        ("postgres", &environment.postgres),
        ("provider", &environment.provider),
        ("proxy", &environment.proxy),
    ] {
        suite.add_property((name, valid(value).as_str()));
    }
    suite.add_test_cases(report.assertions.iter().map(|assertion| case(report, assertion)));
    // What the assertions do not say: that there are none, and why it did not come to them.
    let said = outcome::fold(report.assertions.iter().map(|assertion| assertion.verdict));
    if report.assertions.is_empty() || report.verdict > said {
        let reason = report.reason.as_deref();
        let status = status(report.verdict, reason, reason.unwrap_or_default());
        let mut whole = TestCase::new("the run as a whole", status);
        whole.set_classname(valid(&report.scenario));
        whole.set_time(time(report.wall_s));
        suite.add_test_case(whole);
    }
    suite
}

fn case(report: &Report, assertion: &Assertion) -> TestCase {
    let details = details(report, assertion);
    let mut case = if report.verdict == Verdict::Pass {
        // A run that passes may have to have promises that do not hold.
        let mut case = TestCase::new(valid(&assertion.text), TestCaseStatus::success());
        if assertion.verdict != Verdict::Pass {
            case.set_system_out(valid(&details));
        }
        case
    } else {
        let status = status(assertion.verdict, assertion.because.as_deref(), &details);
        TestCase::new(valid(&assertion.text), status)
    };
    case.set_classname(valid(&format!("{}.{}", report.scenario, assertion.group.as_str())));
    case
}

fn status(verdict: Verdict, because: Option<&str>, details: &str) -> TestCaseStatus {
    let mut status = match verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Skipped => TestCaseStatus::skipped(),
        Verdict::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Inconclusive | Verdict::Error => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
    };
    status.set_message(valid(because.unwrap_or("no reason is given")));
    status.set_type(verdict.as_str());
    if !details.is_empty() {
        status.set_description(valid(details));
    }
    status
}

/// Everything that is known about a promise that was not kept, line by line.
fn details(report: &Report, assertion: &Assertion) -> String {
    let mut lines = vec![format!("promise: {}", assertion.text)];
    lines.extend(assertion.actual.as_ref().map(|actual| format!("measured: {actual}")));
    lines.extend(assertion.samples.map(|samples| format!("samples: {}", number::count(samples))));
    lines.extend(assertion.because.as_ref().map(|because| format!("because: {because}")));
    lines.extend(assertion.note.as_ref().map(|note| format!("note: {note}")));
    lines.push(format!("seed: {}", report.seed));
    lines.push(format!("again: {}", report.rerun));
    lines.join("\n")
}

fn time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// The text with a replacement character for each one that XML 1.0 has no place for.
fn valid(text: &str) -> String {
    let fits = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{1_0000}'..);
    text.chars().map(|c| if fits(c) { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample;
    use super::*;

    #[test]
    fn the_document_reads_like_this() {
        let text = to_text(&sample::all()).unwrap();
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("junit.xml", text);
        });
    }

    #[test]
    fn runs_of_the_same_scenario_have_names_of_their_own() {
        let text = to_text(&[sample::report(), sample::report()]).unwrap();
        for name in ["outage-recovery (1 of 2)", "outage-recovery (2 of 2)"] {
            assert_eq!(text.matches(&format!("<testsuite name=\"{name}\"")).count(), 1, "{name}");
        }
    }

    #[test]
    fn a_run_that_passes_has_neither_failures_nor_errors() {
        let mut report = sample::report();
        report.verdict = Verdict::Pass;
        report.assertions[0].verdict = Verdict::Inconclusive;
        let text = to_text(&[report]).unwrap();
        assert!(text.contains("failures=\"0\" errors=\"0\""), "{text}");
        assert!(text.contains("<system-out>promise: "), "{text}");
    }

    #[test]
    fn all_runs_together_have_the_name_of_the_scenario() {
        let text = to_text(&[sample::report(), sample::report(), sample::together()]).unwrap();
        for name in ["outage-recovery (1 of 2)", "outage-recovery (2 of 2)", "outage-recovery"] {
            assert_eq!(text.matches(&format!("<testsuite name=\"{name}\"")).count(), 1, "{name}");
        }
        assert!(text.contains("classname=\"outage-recovery.repeat\""), "{text}");
    }

    proptest! {
        #[test]
        fn any_text_makes_a_well_formed_document(
            texts in prop::collection::vec("(\\PC|[\\x00-\\x1f<>&'\"\u{fffe}\u{ffff}]|]]>|\\x1b\\[31m){0,30}", 7),
            verdict in prop::sample::select(Verdict::ALL.to_vec()),
        ) {
            let mut report = sample::report();
            let mut texts = texts.into_iter();
            let mut text = || texts.next().unwrap_or_default();
            (report.scenario, report.rerun, report.reason) = (text(), text(), Some(text()));
            report.verdict = verdict;
            for assertion in &mut report.assertions {
                assertion.verdict = verdict;
            }
            let first = report.assertions.first_mut().unwrap();
            (first.text, first.actual) = (text(), Some(text()));
            (first.because, first.note) = (Some(text()), Some(text()));
            let written = to_text(std::slice::from_ref(&report)).unwrap();
            let read = Document::deserialize_from_str(&written);
            prop_assert!(read.is_ok(), "{:?} in {written}", read.err());
            let cases: usize = read.unwrap().test_suites.iter().map(|s| s.test_cases.len()).sum();
            prop_assert!(cases >= report.assertions.len());
        }
    }
}
