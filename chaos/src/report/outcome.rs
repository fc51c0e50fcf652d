//! The verdict of several runs, what it means for the caller, and what clean runs show.

use std::fmt;

use super::model::{Report, Verdict};
use super::number;

/// Exit code: an assertion failed.
pub(crate) const FAILED: u8 = 1;
/// Exit code: nothing can be said.
pub(crate) const INCONCLUSIVE: u8 = 2;
/// Exit code: something that is needed is missing here.
pub(crate) const UNAVAILABLE: u8 = 5;
/// Exit code: the runner could not do its work, `EX_SOFTWARE` of BSD.
pub(crate) const INTERNAL: u8 = 70;

impl Verdict {
    /// All verdicts, the best first.
    pub const ALL: [Self; 5] =
        [Self::Pass, Self::Skipped, Self::Inconclusive, Self::Fail, Self::Error];

    /// The word, as in `report.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Skipped => "skipped",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
            Self::Error => "error",
        }
    }
}

/// The worst of several verdicts. Of none at all nothing can be said, which is
/// [`Verdict::Inconclusive`]: an empty suite is no pass.
pub fn fold(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    verdicts.into_iter().max().unwrap_or(Verdict::Inconclusive)
}

/// The exit code of a command that made these reports: 0 if all passed, 1 if a promise is broken, 2 if
/// nothing can be said, 5 if something was skipped, 70 if the runner failed. The worst report decides.
/// With `allow_skip` what was skipped counts as passed.
pub fn exit_code(reports: &[Report], allow_skip: bool) -> u8 {
    match fold(reports.iter().map(|report| report.verdict)) {
        Verdict::Pass => 0,
        Verdict::Skipped if allow_skip => 0,
        Verdict::Skipped => UNAVAILABLE,
        Verdict::Inconclusive => INCONCLUSIVE,
        Verdict::Fail => FAILED,
        Verdict::Error => INTERNAL,
    }
}

/// Several runs of the same scenario. Shown, it says what they prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeats {
    /// The scenario's name.
    pub scenario: String,
    /// How many runs could be judged: those that passed and those that failed.
    pub judged: u64,
    /// How many of them passed.
    pub clean: u64,
    /// How many runs there were.
    pub runs: u64,
}

/// The scenarios that ran more than once, in the order of their first run.
pub fn repeats(reports: &[Report]) -> Vec<Repeats> {
    let mut found: Vec<Repeats> = Vec::new();
    for report in reports.iter().filter(|report| !report.is_of_runs()) {
        let passed = u64::from(report.verdict == Verdict::Pass);
        let judged = u64::from(matches!(report.verdict, Verdict::Pass | Verdict::Fail));
        match found.iter_mut().find(|repeats| repeats.scenario == report.scenario) {
            Some(repeats) => {
                repeats.runs += 1;
                repeats.judged += judged;
                repeats.clean += passed;
            }
            None => found.push(Repeats {
                scenario: report.scenario.clone(),
                judged,
                clean: passed,
                runs: 1,
            }),
        }
    }
    found.retain(|repeats| repeats.runs > 1);
    found
}

impl Repeats {
    /// The failure rate, from 0 to 1, that clean runs exclude with 95 % confidence, about `3 / n`.
    /// `None` if a run failed or none could be judged.
    pub fn failure_rate_below(&self) -> Option<f64> {
        // The rate r at which n clean runs in a row have a chance of 5 %: (1 - r)^n = 0.05.
        let all_clean = self.judged > 0 && self.clean == self.judged;
        all_clean.then(|| 1.0 - 0.05_f64.powf(1.0 / number::float(self.judged)))
    }
}

impl fmt::Display for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, judged, clean, runs } = self;
        write!(f, "{scenario}: {clean} of {runs} runs passed")?;
        if *judged < *runs {
            write!(f, ", {} could not be judged", runs - judged)?;
        }
        if let Some(rate) = self.failure_rate_below() {
            let percent = rate * 100.0;
            let digits = usize::from(percent < 9.95);
            write!(f, "; at 95 % confidence it fails in less than {percent:.digits$} % of runs")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn ended(verdict: Verdict) -> Report {
        Report { verdict, ..sample::report() }
    }

    #[test]
    fn the_worst_report_makes_the_exit_code() {
        use Verdict::{Error, Fail, Inconclusive, Pass, Skipped};
        let table: [(&[Verdict], u8, u8); 10] = [
            (&[], 2, 2),
            (&[Pass], 0, 0),
            (&[Pass, Pass], 0, 0),
            (&[Skipped], 5, 0),
            (&[Pass, Skipped], 5, 0),
            (&[Skipped, Inconclusive], 2, 2),
            (&[Fail, Inconclusive, Pass], 1, 1),
            (&[Skipped, Fail], 1, 1),
            (&[Error], 70, 70),
            (&[Fail, Error, Pass, Skipped], 70, 70),
        ];
        for (verdicts, strict, lenient) in table {
            let reports: Vec<_> = verdicts.iter().map(|&verdict| ended(verdict)).collect();
            assert_eq!(exit_code(&reports, false), strict, "{verdicts:?}");
            assert_eq!(exit_code(&reports, true), lenient, "{verdicts:?} with skips allowed");
        }
    }

    #[test]
    fn verdicts_have_the_words_of_the_json() {
        for verdict in Verdict::ALL {
            let json = serde_json::to_value(verdict).unwrap();
            assert_eq!(json, verdict.as_str());
        }
    }

    #[test]
    fn repeats_say_what_they_show() {
        let said = |verdicts: &[Verdict]| -> Vec<String> {
            let reports: Vec<_> = verdicts.iter().map(|&verdict| ended(verdict)).collect();
            repeats(&reports).iter().map(ToString::to_string).collect()
        };
        assert!(said(&[Verdict::Pass]).is_empty(), "one run is no repeat");
        let clean = said(&[Verdict::Pass; 59]);
        assert_eq!(
            clean,
            [
                "outage-recovery: 59 of 59 runs passed; at 95 % confidence it fails in less than 5.0 % of runs"
            ]
        );
        let mixed = said(&[Verdict::Pass, Verdict::Fail, Verdict::Error]);
        assert_eq!(mixed, ["outage-recovery: 1 of 3 runs passed, 1 could not be judged"]);
        assert_eq!(
            said(&[Verdict::Error, Verdict::Skipped]),
            ["outage-recovery: 0 of 2 runs passed, 2 could not be judged"]
        );
    }
}
