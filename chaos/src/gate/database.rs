//! The lanes of an objective: screened against stored times, and proven by scenarios that run in turn with the
//! server of the baseline and with that of the build in question.

use std::collections::BTreeMap;
use std::path::Path;

use super::baseline::StoredObjective;
use super::error::GateError;
use super::model::{Presence, Row};
use super::objective::{self, Observation, Observed};
use super::proof::{Proof, Round, Rules};
use super::run::Gate;
use super::side::Side;
use super::step::Step;
use crate::schema::Scenario;

/// The values of one round, by objective: baseline, baseline again, build in question.
type Values = [BTreeMap<String, f64>; 3];

impl Gate<'_> {
    /// Runs a scenario and holds its objectives against every side that has stored times of them.
    pub(super) fn objectives(
        &mut self,
        scenario: &Scenario,
        sides: &[Side],
    ) -> Result<Vec<Row>, GateError> {
        if !self.wants(scenario) {
            return Ok(Vec::new());
        }
        let provider = self.scenarios.provider;
        let stored: Vec<_> = sides
            .iter()
            .filter_map(|side| Some((side, side.stored.as_ref()?.objectives.get(provider)?)))
            .collect();
        if stored.is_empty() {
            let reason = format!(
                "there are no stored times of this class of machine with PostgreSQL by {provider}; \
                 `scenarios baseline accept` makes them"
            );
            self.skip(&scenario.name, &reason);
            return Ok(Vec::new());
        }
        let observed = match self.observe(scenario, &self.server)? {
            Observation::Values(observed) => observed,
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
            let mut own = self.screened(side, scenario, stored, &observed);
            self.prove_objectives(side, scenario, &mut own)?;
            rows.extend(own);
        }
        Ok(rows)
    }

    fn wants(&self, scenario: &Scenario) -> bool {
        let names = scenario.objectives.iter().map(ToString::to_string);
        names.into_iter().any(|it| objective::name(&scenario.name, &it).contains(self.filter))
    }

    fn observe(&self, scenario: &Scenario, server: &Path) -> Result<Observation, GateError> {
        (self.tell)(&Step::Running { scenario: &scenario.name });
        objective::observe(scenario, server, &self.program, self.scenarios.run)
    }

    fn screened(
        &self,
        side: &Side,
        scenario: &Scenario,
        stored: &BTreeMap<String, StoredObjective>,
        observed: &Observed,
    ) -> Vec<Row> {
        let row = |name: &String| {
            let (stored, value) = (stored.get(name), observed.values.get(name));
            let presence = match (stored, value) {
                (Some(_), Some(_)) => Presence::Both,
                (Some(_), None) => Presence::Gone,
                (None, _) => Presence::New,
            };
            let mut row = Row::new(name, side.kind, side.limit, presence);
            if let (Some(stored), Some(&value)) = (stored, value) {
                row.screening = Some(objective::screen(stored, value, observed.calibration));
            }
            row.judged()
        };
        let prefix = objective::name(&scenario.name, "");
        let mut names: Vec<&String> = stored.keys().filter(|it| it.starts_with(&prefix)).collect();
        names.extend(observed.values.keys().filter(|name| !stored.contains_key(*name)));
        names.into_iter().filter(|name| name.contains(self.filter)).map(row).collect()
    }

    /// Proves all suspects at once: a run has the values of all of them.
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
        let mut rounds: Vec<Values> = Vec::new();
        let mut look = Some(rules.first_look());
        while let Some(until) = look.take() {
            (self.tell)(&Step::Proving { name: &scenario.name, rounds: until });
            while rounds.len() < until {
                match self.objective_round(scenario, &base, rounds.len())? {
                    Ok(values) => rounds.push(values),
                    Err(reason) => {
                        for row in suspects {
                            row.unmeasured = Some(reason.clone());
                            *row = row.clone().judged();
                        }
                        return Ok(());
                    }
                }
            }
            for row in &mut suspects {
                let proof = Proof::of(&of(&rounds, &row.name), rules);
                look = look.max(proof.next_look(rules));
                row.proof = Some(proof);
                **row = row.clone().judged();
            }
        }
        Ok(())
    }

    /// Every arm once, in an order that turns round from round to round; or why a run has no values.
    fn objective_round(
        &self,
        scenario: &Scenario,
        base: &Path,
        at: usize,
    ) -> Result<Result<Values, String>, GateError> {
        let mut values: Values = Default::default();
        let forth = [(0, base), (2, self.server.as_path()), (1, base)];
        let mut order = forth;
        if at % 2 == 1 {
            order.reverse();
        }
        for (arm, server) in order {
            match self.observe(scenario, server)? {
                Observation::Values(observed) => {
                    if let Some(slot) = values.get_mut(arm) {
                        *slot = observed.values;
                    }
                }
                Observation::Skipped(reason) | Observation::Failed(reason) => {
                    return Ok(Err(reason));
                }
            }
        }
        Ok(Ok(values))
    }
}

/// The rounds in which all arms have a value of this objective.
fn of(rounds: &[Values], name: &str) -> Vec<Round> {
    let round = |[base, control, head]: &Values| {
        Some(objective::round(*base.get(name)?, *control.get(name)?, *head.get(name)?))
    };
    rounds.iter().filter_map(round).collect()
}
