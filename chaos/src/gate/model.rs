//! What the gate found: `report.json`, and all that the other formats know.

use serde::{Deserialize, Serialize};

use super::baseline::Kind;
use super::instructions::{Growth, Instructions};
use super::proof::{Outcome, Proof};
use super::screen::Screening;

/// The version of this model, in its field `schema`.
pub const SCHEMA: &str = "gate-report/v1";

/// How a comparison ended. The worst decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is not slower beyond the limit.
    Pass,
    /// Nothing can be said.
    Inconclusive,
    /// It is slower beyond the limit.
    Regression,
}

/// One run of the gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// [`SCHEMA`].
    pub schema: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// How long it took, builds included.
    pub wall_s: f64,
    /// The commit that was checked out.
    pub revision: String,
    /// Whether the work tree differed from it.
    pub changed: bool,
    /// The class of the machine.
    pub class: String,
    /// What was compared with.
    pub against: Vec<Against>,
    /// The slowdown that was injected, if there was one.
    pub slowdown: Option<Slowdown>,
    /// Every comparison.
    pub rows: Vec<Row>,
    /// What was not checked, and why.
    pub skipped: Vec<Skipped>,
    /// What the screen measured, for [`super::trend`].
    pub measurements: Vec<Measurement>,
    /// How it ended.
    pub verdict: Verdict,
}

/// A revision that was compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Against {
    /// Of which baseline it is; `None` if it was named on the command line.
    pub kind: Option<Kind>,
    /// Its commit.
    pub revision: String,
    /// Whether there are stored times of this class of machine.
    pub stored: bool,
}

/// A slowdown that was injected into the build in question.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slowdown {
    /// How many times as long `pool/acquire/1` was to take.
    pub wanted: f64,
    /// How many times as long it then took.
    pub measured: f64,
    /// How many steps of work it took.
    pub steps: u32,
}

/// A benchmark or an objective, held against one baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Against which baseline; `None` for a revision that was named on the command line.
    pub against: Option<Kind>,
    /// The ratio beyond which it is a regression.
    pub limit: f64,
    /// On which sides it is.
    pub presence: Presence,
    /// Why it could not be measured, if it could not.
    pub unmeasured: Option<String>,
    /// What the screen says.
    pub screening: Option<Screening>,
    /// What the proof says, if there was one.
    pub proof: Option<Proof>,
    /// What the counts of instructions say, if there are any.
    pub instructions: Option<Instructions>,
    /// How it ended.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub because: String,
}

/// On which sides of the comparison something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// On both.
    Both,
    /// Only in the build in question.
    New,
    /// Only in the baseline.
    Gone,
}

/// Something that was not checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// What.
    pub what: String,
    /// Why, and what would help.
    pub reason: String,
}

/// What the screen measured of a benchmark or an objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Its name.
    pub benchmark: String,
    /// The unit of the times: always `ns`.
    pub unit: String,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub median: f64,
    /// The tenth percentile.
    pub p10: f64,
    /// Instructions of an iteration, if they were counted.
    pub instructions: Option<f64>,
}

impl Row {
    /// A row in which nothing is known yet.
    pub fn new(name: &str, against: Option<Kind>, limit: f64, presence: Presence) -> Self {
        let row = Self {
            name: name.to_owned(),
            against,
            limit,
            presence,
            unmeasured: None,
            screening: None,
            proof: None,
            instructions: None,
            verdict: Verdict::Inconclusive,
            because: String::new(),
        };
        row.judged()
    }

    /// Whether the screen wants it proven.
    pub fn is_suspect(&self) -> bool {
        self.screening.is_some_and(|screening| screening.finding.is_suspect())
    }

    /// Whether there is something to say of it although it passed.
    pub fn has_remark(&self) -> bool {
        let blind = self.proof.is_some_and(|proof| proof.blind_to_tail);
        blind || self.instructions.is_some_and(|counts| counts.growth == Growth::Notable)
    }

    /// With the verdict that follows from the rest.
    #[must_use]
    pub fn judged(mut self) -> Self {
        (self.verdict, self.because) = self.judge();
        self
    }

    fn judge(&self) -> (Verdict, String) {
        let limit = percent(self.limit);
        match self.presence {
            Presence::New => {
                let because = "it is new; the next baseline that is accepted has it";
                return (Verdict::Pass, because.to_owned());
            }
            Presence::Gone => {
                let because = "the baseline has it and this build has not; if that is meant, accept a new baseline";
                return (Verdict::Inconclusive, because.to_owned());
            }
            Presence::Both => {}
        }
        if let Some(reason) = &self.unmeasured {
            return (Verdict::Inconclusive, reason.clone());
        }
        let (mut verdict, mut because) = match (&self.proof, &self.screening) {
            (Some(proof), _) => proven(proof, &limit),
            (None, Some(screening)) if !screening.finding.is_suspect() => {
                (Verdict::Pass, "the screen finds it no slower".to_owned())
            }
            (None, _) => (Verdict::Inconclusive, "it was not measured".to_owned()),
        };
        if let Some(counts) = self.instructions.filter(|it| it.growth != Growth::None) {
            let more = format!("{} instructions", percent(counts.ratio()));
            if counts.growth == Growth::BeyondLimit {
                verdict = Verdict::Regression;
                because = format!("{more}, and {limit} are allowed; as for times, {because}");
            } else {
                because = format!("{because}; {more}");
            }
        }
        (verdict, because)
    }
}

fn proven(proof: &Proof, limit: &str) -> (Verdict, String) {
    let Proof { rounds, p10, mean, control, blind_to_tail, outcome } = proof;
    let shown = percent(mean.ratio);
    match outcome {
        Outcome::Slower if mean.low > p10.low => {
            let low = percent(mean.low);
            (
                Verdict::Regression,
                format!("its mean is {shown}, surely above {low}; {limit} is allowed"),
            )
        }
        Outcome::Slower => {
            let (fast, low) = (percent(p10.ratio), percent(p10.low));
            let because = format!(
                "its mean is {shown}, its tenth percentile {fast}, surely above {low}; {limit} is allowed"
            );
            (Verdict::Regression, because)
        }
        Outcome::NotSlower => {
            let tail = if *blind_to_tail {
                "; the machine was too busy to see a slowdown of the slowest runs alone"
            } else {
                ""
            };
            let fast = percent(p10.ratio);
            (Verdict::Pass, format!("measured in turn with the baseline it is {fast}{tail}"))
        }
        Outcome::Noisy => {
            let because = format!(
                "the baseline measured against itself is {} after {rounds} rounds; the machine is too busy",
                range(control.low, control.high)
            );
            (Verdict::Inconclusive, because)
        }
        Outcome::Unproven => {
            let (what, points) = if p10.ratio > mean.ratio || *blind_to_tail {
                ("tenth percentile", p10)
            } else {
                ("mean", mean)
            };
            let because = format!(
                "after {rounds} rounds its {what} is {}, on both sides of {limit}",
                range(points.low, points.high)
            );
            (Verdict::Inconclusive, because)
        }
    }
}

/// A ratio as a change: `+12.3 %`.
pub(super) fn percent(ratio: f64) -> String {
    let change = (ratio - 1.0) * 100.0;
    // No `-0.0 %`.
    let change = if change.abs() < 0.05 { 0.0 } else { change };
    format!("{change:+.1} %")
}

/// `+1.2 % to +3.4 %`.
pub(super) fn range(low: f64, high: Option<f64>) -> String {
    match high {
        Some(high) => format!("{} to {}", percent(low), percent(high)),
        None => "anything".to_owned(),
    }
}

/// The worst of these rows; of none at all nothing can be said.
pub fn fold(rows: &[Row]) -> Verdict {
    rows.iter().map(|row| row.verdict).max().unwrap_or(Verdict::Inconclusive)
}

#[cfg(test)]
mod tests {
    use super::super::proof::Estimate;
    use super::super::screen::Finding;
    use super::*;

    const FINE: Screening =
        Screening { ratio: Some(1.0), sigma: Some(0.01), finding: Finding::Fine };
    const PROOF: Proof = Proof {
        rounds: 15,
        p10: Estimate { ratio: 1.2, low: 1.18, high: Some(1.22) },
        mean: Estimate { ratio: 1.21, low: 1.05, high: Some(1.4) },
        control: Estimate { ratio: 1.0, low: 0.99, high: Some(1.01) },
        blind_to_tail: true,
        outcome: Outcome::Slower,
    };

    fn judged(change: impl FnOnce(&mut Row)) -> (Verdict, String) {
        let mut row = Row::new("pool/health", Some(Kind::Rolling), 1.1, Presence::Both);
        change(&mut row);
        let row = row.judged();
        (row.verdict, row.because)
    }

    #[test]
    fn a_verdict_follows_from_what_was_found() {
        use Verdict::{Inconclusive, Pass, Regression};
        let with = |outcome| move |row: &mut Row| row.proof = Some(Proof { outcome, ..PROOF });
        let counted = |head: f64| {
            move |row: &mut Row| {
                row.screening = Some(FINE);
                row.instructions = Some(Instructions::of(100.0, head, 1.1));
            }
        };
        assert_eq!(judged(|_| {}).0, Inconclusive, "nothing was measured");
        assert_eq!(judged(|row| row.screening = Some(FINE)).0, Pass);
        assert_eq!(judged(|row| row.screening = Some(Screening::UNKNOWN)).0, Inconclusive);
        assert_eq!(judged(|row| row.presence = Presence::New).0, Pass);
        assert_eq!(judged(|row| row.presence = Presence::Gone).0, Inconclusive);
        assert_eq!(judged(with(Outcome::NotSlower)).0, Pass);
        assert_eq!(judged(with(Outcome::Noisy)).0, Inconclusive);
        assert_eq!(judged(with(Outcome::Unproven)).0, Inconclusive);
        let (verdict, because) = judged(with(Outcome::Slower));
        assert_eq!(verdict, Regression);
        assert_eq!(
            because,
            "its mean is +21.0 %, its tenth percentile +20.0 %, surely above +18.0 %; +10.0 % is allowed"
        );
        assert_eq!(judged(counted(105.0)).0, Pass);
        let (verdict, because) = judged(counted(111.0));
        assert_eq!(verdict, Regression);
        assert!(because.starts_with("+11.0 % instructions"), "{because}");
    }

    #[test]
    fn the_worst_row_decides_and_none_is_no_pass() {
        let row = |verdict| Row { verdict, ..Row::new("x", None, 1.1, Presence::New) };
        assert_eq!(fold(&[]), Verdict::Inconclusive);
        assert_eq!(fold(&[row(Verdict::Pass)]), Verdict::Pass);
        let rows = [row(Verdict::Regression), row(Verdict::Inconclusive), row(Verdict::Pass)];
        assert_eq!(fold(&rows), Verdict::Regression);
    }

    #[test]
    fn changes_read_well() {
        for (ratio, text) in
            [(1.0, "+0.0 %"), (0.9999, "+0.0 %"), (1.2, "+20.0 %"), (0.5, "-50.0 %")]
        {
            assert_eq!(percent(ratio), text);
        }
        assert_eq!(range(0.9, None), "anything");
    }
}
