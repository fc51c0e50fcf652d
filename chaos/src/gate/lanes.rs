//! The three lanes of a benchmark: screened against stored times, proven in turn with the baseline where that is
//! needed, and counted.

use std::collections::BTreeMap;

use super::error::GateError;
use super::instructions::{Growth, Instructions};
use super::model::{Presence, Row};
use super::objective;
use super::program::{Benchmark, Program};
use super::proof::{Proof, Round, Rules};
use super::run::{Gate, Readings};
use super::screen::Screening;
use super::side::Side;
use super::step::Step;

impl Gate<'_> {
    /// Reads every benchmark once, and counts its instructions.
    pub(super) fn read(&mut self, benchmarks: &[Benchmark]) -> Result<Readings, GateError> {
        let of = benchmarks.len();
        let mut readings = BTreeMap::new();
        for (at, benchmark) in (1..).zip(benchmarks) {
            (self.tell)(&Step::Reading { benchmark: &benchmark.name, at, of });
            let reading = self.program.read(benchmark)?;
            let counted = match &self.counter {
                Some(counter) => Some(counter.count(&self.program, &benchmark.name)?),
                None => None,
            };
            readings.insert(benchmark.name.clone(), (reading, counted));
        }
        if self.counter.is_none() && of > 0 {
            self.skip("instructions", "valgrind is not installed; `ci/setup` installs it");
        }
        Ok(readings)
    }

    /// Holds these readings against one side.
    pub(super) fn benchmarks(
        &mut self,
        side: &Side,
        benchmarks: &[Benchmark],
        readings: &Readings,
    ) -> Result<Vec<Row>, GateError> {
        // What stored times do not know, the baseline's build did not have; without any it is asked.
        let known = match side.stored {
            Some(_) => Vec::new(),
            None => self.base_names(side)?,
        };
        let mut rows = Vec::new();
        for benchmark in benchmarks {
            let name = &benchmark.name;
            let stored = side.stored.as_ref().and_then(|it| it.benchmarks.get(name));
            let is_known = stored.is_some() || known.contains(name);
            let presence = if is_known { Presence::Both } else { Presence::New };
            let mut row = Row::new(name, side.kind, side.limit, presence);
            if let (Presence::Both, Some((reading, counted))) = (presence, readings.get(name)) {
                let screening = stored.map(|it| Screening::of(it, reading, side.limit));
                row.screening = Some(screening.unwrap_or(Screening::UNKNOWN));
                row.instructions = self.instructions(side, name, *counted)?;
            }
            rows.push(row.judged());
        }
        self.prove(side, &mut rows)?;
        Ok(rows)
    }

    /// The benchmarks of the side's own build.
    fn base_names(&self, side: &Side) -> Result<Vec<String>, GateError> {
        let listed = Program::plain(&self.base(side)?.benches).list()?;
        Ok(listed.into_iter().map(|benchmark| benchmark.name).collect())
    }

    /// What the baseline has and this build has not. The anchor is not asked: what was accepted since to be gone, is.
    pub(super) fn gone(
        &self,
        sides: &[Side],
        benchmarks: &[Benchmark],
    ) -> Result<Vec<Row>, GateError> {
        let Some(side) = sides.first() else { return Ok(Vec::new()) };
        let mut names = match &side.stored {
            Some(stored) => stored.benchmarks.keys().cloned().collect(),
            None => self.base_names(side)?,
        };
        names.retain(|name| benchmarks.iter().all(|benchmark| benchmark.name != *name));
        let objectives =
            side.stored.iter().filter_map(|it| it.objectives.get(self.scenarios.provider));
        let is_there = |name: &str| {
            let mut all = self.scenarios.all.iter();
            all.any(|scenario| objective::names(scenario).any(|objective| objective == name))
        };
        let objectives = objectives.flat_map(|it| it.keys()).filter(|name| !is_there(name));
        names.extend(objectives.cloned());
        names.retain(|name| self.is_wanted(name, benchmarks));
        Ok(names.iter().map(|name| Row::new(name, side.kind, side.limit, Presence::Gone)).collect())
    }

    fn instructions(
        &self,
        side: &Side,
        benchmark: &str,
        head: Option<f64>,
    ) -> Result<Option<Instructions>, GateError> {
        let (Some(head), Some(counter)) = (head, &self.counter) else { return Ok(None) };
        if let Some(stored) = side.instructions(benchmark) {
            let instructions = Instructions::of(stored, head, side.limit);
            // Another C library or another valgrind counts otherwise, so a stored count does not convict either.
            if instructions.growth != Growth::BeyondLimit {
                return Ok(Some(instructions));
            }
        }
        (self.tell)(&Step::Counting { benchmark });
        let base = counter.count(&Program::plain(&self.base(side)?.benches), benchmark)?;
        Ok(Some(Instructions::of(base, head, side.limit)))
    }

    fn prove(&self, side: &Side, rows: &mut [Row]) -> Result<(), GateError> {
        let suspects = rows.iter().filter(|row| row.is_suspect()).count();
        if suspects == 0 {
            return Ok(());
        }
        let base = Program::plain(&self.base(side)?.benches);
        let rules = Rules::benchmark(side.limit, suspects);
        for row in rows.iter_mut().filter(|row| row.is_suspect()) {
            let name = row.name.clone();
            let round = |at| self.round(&base, &name, at);
            row.proof = Some(self.rounds(&name, rules, round)?);
            *row = row.clone().judged();
        }
        Ok(())
    }

    /// As many rounds as it takes.
    fn rounds(
        &self,
        name: &str,
        rules: Rules,
        round: impl Fn(usize) -> Result<Round, GateError>,
    ) -> Result<Proof, GateError> {
        let mut rounds = Vec::new();
        let mut look = rules.first_look();
        loop {
            (self.tell)(&Step::Proving { name, rounds: look });
            while rounds.len() < look {
                rounds.push(round(rounds.len())?);
            }
            let proof = Proof::of(&rounds, rules);
            match proof.next_look(rules) {
                Some(next) => look = next,
                None => return Ok(proof),
            }
        }
    }

    /// Every arm once, in an order that turns round from round to round.
    fn round(&self, base: &Program, benchmark: &str, at: usize) -> Result<Round, GateError> {
        if at.is_multiple_of(2) {
            let base_figures = base.sample(benchmark)?;
            let head = self.program.sample(benchmark)?;
            let control = base.sample(benchmark)?;
            Ok(Round { base: base_figures, control, head })
        } else {
            let control = base.sample(benchmark)?;
            let head = self.program.sample(benchmark)?;
            Ok(Round { base: base.sample(benchmark)?, control, head })
        }
    }
}
