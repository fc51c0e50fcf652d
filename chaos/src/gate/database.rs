//! The lanes of an objective: screened against stored times, and proven by scenarios that run in turn with the
//! server of the baseline and with that of the build in question.

use std::collections::BTreeMap;
use std::path::Path;

use super::baseline::StoredObjective;
use super::error::GateError;
use super::model::{Presence, Row};
use super::objective::{self, Observation};
use super::proof::{Proof, Round, Rules};
use super::run::Gate;
use super::side::Side;
use super::step::Step;
use crate::schema::Scenario;

/// The values of a run, by objective, in seconds.
type Values = BTreeMap<String, f64>;

/// One round: baseline, baseline again, build in question.
type Turn = [Values; 3];

impl Gate<'_> {
    /// Runs a scenario and holds its objectives against every side that has stored times of them.
    pub(super) fn objectives(
        &mut self,
        scenario: &Scenario,
        sides: &[Side],
    ) -> Result<Vec<Row>, GateError> {
        if !objective::names(scenario).any(|name| name.contains(self.filter)) {
            return Ok(Vec::new());
        }
        let provider = self.scenarios.provider;
        let stored: Vec<_> = sides
            .iter()
            .filter_map(|side| Some((side, side.stored.as_ref()?.objectives.get(provider)?)))
            .collect();
        if stored.is_empty() {
            let reason = format!(
                "nothing says how long it took this class of machine with PostgreSQL by {provider}"
            );
            self.skip(&scenario.name, &reason);
            return Ok(Vec::new());
        }
        let values = match self.observe(scenario, &self.server)? {
            Observation::Values(values) => values,
            Observation::Skipped(reason) => {
                self.skip(&scenario.name, &reason);
                return Ok(Vec::new());
            }
            Observation::Failed(reason) => {
                let row = Row::new(&scenario.name, None, 1.0, Presence::Both);
                return Ok(vec![Row { unmeasured: Some(reason), ..row }.judged()]);
            }
        };
        let mut rows = Vec::new();
        for (side, stored) in stored {
            let mut own = self.screened(side, stored, &values);
            self.prove_objectives(side, scenario, &mut own)?;
            rows.extend(own);
        }
        self.observed.extend(values);
        Ok(rows)
    }

    fn observe(&self, scenario: &Scenario, server: &Path) -> Result<Observation, GateError> {
        (self.tell)(&Step::Running { scenario: &scenario.name });
        objective::observe(scenario, server, self.scenarios.run)
    }

    fn screened(
        &self,
        side: &Side,
        stored: &BTreeMap<String, StoredObjective>,
        values: &Values,
    ) -> Vec<Row> {
        let row = |(name, &seconds): (&String, &f64)| {
            let stored = stored.get(name);
            let presence = if stored.is_some() { Presence::Both } else { Presence::New };
            let mut row = Row::new(name, side.kind, side.limit, presence);
            row.screening = stored.map(|stored| objective::screen(stored, seconds));
            row.judged()
        };
        values.iter().filter(|(name, _)| name.contains(self.filter)).map(row).collect()
    }

    fn prove_objectives(
        &self,
        side: &Side,
        scenario: &Scenario,
        rows: &mut [Row],
    ) -> Result<(), GateError> {
        let mut suspects: Vec<&mut Row> = rows.iter_mut().filter(|row| row.is_suspect()).collect();
        if suspects.is_empty() {
            return Ok(());
        }
        let base = self.base(side)?.server;
        let rules = Rules::objective(side.limit, suspects.len());
        let observe = |server: &Path| self.observe(scenario, server);
        prove(&mut suspects, rules, |at| turn(at, &base, &self.server, observe))
    }
}

/// Proves all suspects at once: a round has the values of all of them. `round` makes the one with this number, or
/// says why it has no values.
fn prove(
    suspects: &mut [&mut Row],
    rules: Rules,
    mut round: impl FnMut(usize) -> Result<Result<Turn, String>, GateError>,
) -> Result<(), GateError> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut look = Some(rules.first_look());
    while let Some(until) = look.take() {
        while turns.len() < until {
            match round(turns.len())? {
                Ok(turn) => turns.push(turn),
                Err(reason) => {
                    for row in suspects {
                        row.unmeasured = Some(reason.clone());
                        **row = row.clone().judged();
                    }
                    return Ok(());
                }
            }
        }
        for row in suspects.iter_mut() {
            match rounds(&turns, &row.name) {
                Some(rounds) => {
                    let proof = Proof::of(&rounds, rules);
                    look = look.max(proof.next_look(rules));
                    row.proof = Some(proof);
                }
                None => row.unmeasured = Some("a server of the baseline has no value".to_owned()),
            }
            **row = row.clone().judged();
        }
    }
    Ok(())
}

/// Every arm once, in an order that turns round from round to round.
fn turn(
    at: usize,
    base: &Path,
    head: &Path,
    observe: impl Fn(&Path) -> Result<Observation, GateError>,
) -> Result<Result<Turn, String>, GateError> {
    let mut turn = Turn::default();
    let mut order = [(0, base), (2, head), (1, base)];
    if at % 2 == 1 {
        order.reverse();
    }
    for (arm, server) in order {
        match (observe(server)?, turn.get_mut(arm)) {
            (Observation::Values(values), Some(slot)) => *slot = values,
            (Observation::Values(_), None) => {}
            (Observation::Skipped(reason) | Observation::Failed(reason), _) => {
                return Ok(Err(reason));
            }
        }
    }
    Ok(Ok(turn))
}

/// The rounds of this objective; `None` if an arm has no value of it.
fn rounds(turns: &[Turn], name: &str) -> Option<Vec<Round>> {
    let round = |[base, control, head]: &Turn| {
        Some(objective::round(*base.get(name)?, *control.get(name)?, *head.get(name)?))
    };
    turns.iter().map(round).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::baseline::Kind;
    use super::super::model::Verdict;
    use super::super::screen::{Finding, Screening};
    use super::*;

    const NAME: &str = "s: a";

    fn values(seconds: f64) -> Values {
        [(NAME.to_owned(), seconds)].into()
    }

    /// What becomes of a suspect if servers take this long.
    fn proven(base: f64, head: f64) -> (Row, usize) {
        let screening = Screening { ratio: Some(1.6), sigma: None, finding: Finding::Slower };
        let row = Row::new(NAME, Some(Kind::Rolling), 1.1, Presence::Both);
        let mut row = Row { screening: Some(screening), ..row };
        let runs = RefCell::new(Vec::new());
        let observe = |server: &Path| {
            let mut runs = runs.borrow_mut();
            runs.push(server.to_owned());
            // No two runs are the same.
            let noise = 1.0 + 0.001 * (runs.len() % 7) as f64;
            let seconds = if server == Path::new("head") { head } else { base };
            Ok(Observation::Values(values(seconds * noise)))
        };
        let rules = Rules::objective(1.1, 1);
        let (base, head) = (Path::new("base"), Path::new("head"));
        prove(&mut [&mut row], rules, |at| turn(at, base, head, observe)).unwrap();
        let runs = runs.into_inner();
        assert_eq!(runs.iter().filter(|server| *server == head).count() * 3, runs.len());
        (row, runs.len() / 3)
    }

    #[test]
    fn a_server_that_takes_longer_is_a_regression_and_a_faster_one_is_none() {
        let (row, rounds) = proven(0.010, 0.016);
        assert_eq!((row.verdict, rounds), (Verdict::Regression, 9), "{}", row.because);
        let (row, rounds) = proven(0.016, 0.010);
        assert_eq!((row.verdict, rounds), (Verdict::Pass, 9), "{}", row.because);
        assert_eq!(proven(0.010, 0.0102).0.verdict, Verdict::Pass);
    }

    #[test]
    fn a_run_without_a_value_ends_it_and_is_no_pass() {
        let mut row = Row::new(NAME, None, 1.1, Presence::Both);
        let rules = Rules::objective(1.1, 1);
        let failed = |_| Ok(Err("the scenario ended fail".to_owned()));
        prove(&mut [&mut row], rules, failed).unwrap();
        assert_eq!(row.verdict, Verdict::Inconclusive);
        assert_eq!(row.because, "the scenario ended fail");

        let lacking = |_| Ok(Ok([values(1.0), values(1.0), Values::new()]));
        let mut row = Row::new(NAME, None, 1.1, Presence::Both);
        prove(&mut [&mut row], rules, lacking).unwrap();
        assert_eq!(row.verdict, Verdict::Inconclusive);
    }
}
