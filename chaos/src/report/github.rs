//! Annotations of a GitHub workflow: lines on stdout that the runner of the workflow shows beside the job.

use super::model::{Assertion, Report, Verdict};
use super::number;

/// One annotation for each report that did not pass, with all of its reasons. There is one for a report and
/// not one for each assertion, since GitHub shows only ten of a step.
pub fn annotations(reports: &[Report]) -> String {
    reports.iter().filter_map(annotation).collect()
}

fn annotation(report: &Report) -> Option<String> {
    let (level, ended) = match report.verdict {
        Verdict::Pass => return None,
        Verdict::Skipped => ("notice", "was skipped"),
        Verdict::Inconclusive => ("warning", "is inconclusive"),
        Verdict::Fail => ("error", "failed"),
        Verdict::Error => ("error", "could not be run"),
    };
    let reason = report.reason.iter().cloned();
    let assertions = report.assertions.iter().filter(|it| it.verdict != Verdict::Pass);
    let mut lines: Vec<_> = reason.chain(assertions.map(line)).collect();
    lines.push(format!("seed {}, again with: {}", report.seed, report.rerun));
    let which = if report.is_of_runs() { ", all runs together," } else { "" };
    let title = format!("{}{which} {ended}", report.scenario);
    Some(command(level, &title, &lines.join("\n")))
}

/// One command of this level: `error`, `warning` or `notice`.
pub(crate) fn command(level: &str, title: &str, message: &str) -> String {
    format!("::{level} title={}::{}\n", property(title), data(message))
}

/// `fail: reads.latency.p95 < 10ms in steady; measured 12.4ms over 2,000 samples; why`.
fn line(assertion: &Assertion) -> String {
    let mut line = format!("{}: {}", assertion.verdict.as_str(), assertion.text);
    if let Some(actual) = &assertion.actual {
        line.push_str("; measured ");
        line.push_str(actual);
    }
    if let Some(samples) = assertion.samples {
        line.push_str(" over ");
        line.push_str(&number::counted(samples, "sample"));
    }
    if let Some(because) = &assertion.because {
        line.push_str("; ");
        line.push_str(because);
    }
    line
}

/// The message of a command: everything but what would end it.
fn data(text: &str) -> String {
    escape(text, &['%', '\r', '\n'])
}

/// The value of a property, which a comma or a colon would end too.
fn property(text: &str) -> String {
    escape(text, &['%', '\r', '\n', ':', ','])
}

fn escape(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            escaped.push_str(&hexadecimal(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// `%0A` for a line feed.
fn hexadecimal(c: char) -> String {
    format!("%{:02X}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample;
    use super::*;

    #[test]
    fn what_did_not_pass_is_annotated() {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("github", annotations(&sample::all()));
        });
    }

    #[test]
    fn all_runs_together_are_annotated_as_such() {
        let text = annotations(&[sample::together()]);
        let title = "::error title=outage-recovery%2C all runs together%2C failed::";
        assert!(text.starts_with(title), "{text}");
        assert!(text.contains("seed 7 (∞)"), "{text}");
    }

    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(data("50 %, a: b\r\nc"), "50 %25, a: b%0D%0Ac");
        assert_eq!(property("50 %, a: b\r\nc"), "50 %25%2C a%3A b%0D%0Ac");
    }

    proptest! {
        #[test]
        fn no_text_makes_a_second_command(name in any::<String>(), reason in any::<String>()) {
            let report = Report {
                scenario: name,
                reason: Some(reason),
                verdict: Verdict::Error,
                ..sample::report()
            };
            let text = annotations(&[report]);
            prop_assert!(text.ends_with('\n'));
            prop_assert_eq!(text.matches(['\n', '\r']).count(), 1);
            let (head, _) = text.strip_prefix("::error title=").unwrap().split_once("::").unwrap();
            prop_assert!(!head.contains([',', ':']));
        }
    }
}
