//! What the types of a file cannot say: that names are known, that keys go together, that something is
//! proven at all.

mod baseline;
mod config;
mod load;
mod promise;
mod repeat;
mod timeline;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use self::config::{settings, variables};
use self::load::loads;
use self::promise::{Scope, occurrences, promises};
use self::timeline::{phases, timeline};
use super::amount::{Amount, Time, Unit};
use super::error::{Problem, SchemaErrors, Wrong, advised};
use super::fault::{KindError, Part};
use super::params::{Misplaced, Params, Values};
use super::place::{Position, Step, locate, told};
use super::raw;
use super::scalar::Mapping;
use super::{Fault, FaultFile, FaultKind, Need, Overrides, Scenario, Source, Target, events};
use crate::record::Phase;
use crate::report::model::Verdict;

impl Problem {
    /// A problem of the file as a whole.
    pub(super) fn whole(fault: Wrong) -> Self {
        Self { position: None, excerpt: String::new(), fault }
    }
}

impl SchemaErrors {
    pub(super) fn one(path: &Path, problem: Problem) -> Self {
        Self { path: path.to_owned(), problems: vec![problem] }
    }
}

/// Collects what is wrong with one file.
struct Check<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, path: &[Step<'_>], fault: impl Into<Wrong>) {
        let problem = at(self.text, locate(self.text, path), fault.into());
        self.problems.push(problem);
    }

    fn rule(&mut self, path: &[Step<'_>], rule: impl Into<String>) {
        self.wrong(path, Wrong::Rule { rule: rule.into() });
    }

    /// What is wrong with the fault at `path`, whose kind is named by `kind`.
    fn fault(&mut self, path: &[Step<'_>], kind: &str, error: &KindError) {
        let message = advised(&error.message);
        let with = Step::Key("with");
        let below: &[Step<'_>] = match &error.part {
            Part::Kind => &[Step::Key(kind)],
            Part::With => &[with],
            Part::Name(name) => &[with, Step::Name(name)],
            Part::Value(name) => &[with, Step::Key(name)],
        };
        self.wrong(&[path, below].concat(), Wrong::FaultKind { message });
    }
}

fn at(text: &str, position: Option<Position>, fault: Wrong) -> Problem {
    let line = position.and_then(|position| text.lines().nth(position.line.saturating_sub(1)));
    Problem { position, excerpt: line.unwrap_or_default().to_owned(), fault }
}

/// Parses strictly; an error has its place and the nearest known name.
fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, SchemaErrors> {
    serde_yaml::from_str(text).map_err(|error| {
        let (position, said) = told(&error);
        SchemaErrors::one(path, at(text, position, Wrong::Shape { message: advised(&said) }))
    })
}

fn check_criteria(check: &mut Check<'_>, criteria: &[String]) {
    for (number, criterion) in criteria.iter().enumerate() {
        let digits = criterion.strip_prefix("SC-").unwrap_or_default();
        if digits.len() != 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            let rule =
                format!("`{criterion}` is no criterion: `SC-` and three digits, such as SC-004");
            check.rule(&[Step::Key("criteria"), Step::Item(number)], rule);
        }
    }
}

fn check_name(check: &mut Check<'_>, path: &Path, name: &str) {
    let file = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if name != file {
        let (name, file) = (name.to_owned(), file.to_owned());
        check.wrong(&[Step::Key("name")], Wrong::OtherName { name, file });
    }
}

pub(super) fn fault_file(path: &Path, text: &str) -> Result<FaultFile, SchemaErrors> {
    let raw: raw::FaultFile = parse(path, text)?;
    let mut check = Check { text, problems: Vec::new() };
    let raw::FaultFile { schema: raw::FaultVersion::V1, name, summary, kind, with, blast } = raw;
    check_name(&mut check, path, &name);
    if let Err(error) = FaultKind::read(&kind, &with) {
        check.fault(&[], "kind", &error);
    }
    finish(path, check, FaultFile { name, summary, kind, blast, with })
}

fn finish<T>(path: &Path, check: Check<'_>, value: T) -> Result<T, SchemaErrors> {
    if check.problems.is_empty() {
        return Ok(value);
    }
    let mut problems = check.problems;
    problems.sort_by_key(|problem| problem.position.map(|place| (place.line, place.column)));
    Err(SchemaErrors { path: path.to_owned(), problems })
}

pub(super) fn scenario(
    path: &Path,
    text: &str,
    faults: &Path,
    overrides: &Overrides,
) -> Result<Scenario, SchemaErrors> {
    let misplaced =
        |(position, fault): Misplaced| SchemaErrors::one(path, at(text, position, fault));
    let Some(params) = Params::read(text, overrides).map_err(misplaced)? else {
        return filled(path, text, faults, overrides);
    };
    let read = |values: &Values| {
        let text = params.fill(text, values).map_err(misplaced)?;
        filled(path, &text, faults, overrides)
    };
    // Whatever is drawn later lies between them.
    for corner in params.corners() {
        read(&corner)?;
    }
    let values = params.drawn();
    let scenario = read(&values)?;
    let source = Source {
        path: path.to_owned(),
        text: text.to_owned(),
        faults: faults.to_owned(),
        overrides: overrides.clone(),
    };
    Ok(Scenario { params: values, ranges: params.ranges(), source: source.into(), ..scenario })
}

/// The scenario of a text without parameters.
fn filled(
    path: &Path,
    text: &str,
    faults: &Path,
    overrides: &Overrides,
) -> Result<Scenario, SchemaErrors> {
    let raw: raw::Scenario = parse(path, text)?;
    let raw::ScenarioVersion::V1 = raw.schema;
    let mut check = Check { text, problems: Vec::new() };
    check_name(&mut check, path, &raw.name);
    check_criteria(&mut check, &raw.criteria);
    let target = config::target(&mut check, &raw.environment, &overrides.config);
    let loads = loads(&mut check, &raw.load, target.as_ref());
    let faults = timeline(&mut check, &raw.faults, faults);
    // What is said about faults is about those that the file has, so that one that cannot be read is told once.
    let has_faults = !raw.faults.is_empty();
    let phases = phases(&mut check, &raw.phases, &faults, has_faults);
    in_budget(&mut check, raw.budget.as_ref(), &phases);
    let scope = Scope {
        phases: &phases,
        has_faults,
        has_server: raw.environment.server.is_some(),
        loads: &raw.load,
    };
    let promises = promises(&mut check, &raw, &scope);
    let occurrences = occurrences(&mut check, &raw.expect);
    proves_something(&mut check, &raw, target.as_ref(), &faults);
    let objectives = baseline::objectives(&mut check, &raw.baseline, &scope);
    let over_runs = repeat::over_runs(&mut check, &raw, &scope);
    let own_runs = raw.repeat.map_or(1, |repeat| repeat.runs);
    let runs = repeat::runs(&mut check, overrides.runs.unwrap_or(own_runs));
    let problems = std::mem::take(&mut check.problems);
    let Some(target) = target else { return Err(SchemaErrors { path: path.to_owned(), problems }) };
    let scenario = Scenario {
        name: raw.name,
        summary: raw.summary,
        criteria: raw.criteria,
        tags: raw.tags,
        seed: overrides.seed.unwrap_or(raw.seed),
        params: Values::new(),
        ranges: Values::new(),
        target,
        postgres: texts(&raw.environment.postgres.settings),
        phases,
        loads,
        faults,
        promises,
        occurrences,
        objectives,
        verdict: raw.expect.verdict.unwrap_or(Verdict::Pass),
        runs,
        own_runs,
        over_runs,
        budget: raw.budget.map(|raw::Budget { wall: Time(wall) }| wall),
        text: text.to_owned(),
        source: Arc::default(),
    };
    finish(path, Check { text, problems }, scenario)
}

/// A budget that is over before the timeline is cannot be kept.
fn in_budget(check: &mut Check<'_>, budget: Option<&raw::Budget>, phases: &[(Phase, Duration)]) {
    let Some(raw::Budget { wall: Time(wall) }) = budget else { return };
    let length: Duration = phases.iter().map(|(_, length)| *length).sum();
    if *wall < length {
        let [wall, length] =
            [*wall, length].map(|time| Amount::new(time.as_secs_f64(), Unit::Time));
        let rule = format!("the budget is {wall}, and the phases alone take {length}");
        check.rule(&[Step::Key("budget"), Step::Key("wall")], rule);
    }
}

fn texts(mapping: &Mapping) -> BTreeMap<String, String> {
    mapping.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
}

/// A scenario that cannot fail, or whose faults nobody has to feel, proves nothing.
fn proves_something(
    check: &mut Check<'_>,
    raw: &raw::Scenario,
    target: Option<&Target>,
    faults: &[Fault],
) {
    let raw::Expect { always, during_fault, eventually, occurs, sometimes, .. } = &raw.expect;
    let promises = always.len() + during_fault.len() + eventually.len();
    if promises + occurs.len() + sometimes.len() == 0 {
        check.rule(&[Step::Key("expect")], "nothing is promised, so nothing can fail");
    }
    proves_faults(check, raw, faults);
    if !during_fault.is_empty() && raw.faults.is_empty() && raw.phases.fault.is_none() {
        let rule = "there is no phase `fault` to look at";
        check.rule(&[Step::Key("expect"), Step::Key("during_fault")], rule);
    }
    let server_faults = faults.iter().any(|fault| {
        fault.kind.need() == Need::Server || matches!(fault.kind, FaultKind::PostgresLock {})
    });
    if server_faults && matches!(target, Some(Target::Pool { .. })) {
        let rule = "a fault of the server needs an environment with a `server`";
        check.rule(&[Step::Key("faults")], rule);
    }
}

/// Faults that nobody has to feel would pass with a broken proxy as well.
fn proves_faults(check: &mut Check<'_>, raw: &raw::Scenario, faults: &[Fault]) {
    let sometimes = &raw.expect.sometimes;
    let proves = |wanted: &raw::Occurrence| {
        wanted.least() > 0 && events::is_proof(&wanted.event, !wanted.fields.is_empty())
    };
    if raw.faults.is_empty() || sometimes.iter().any(proves) {
        return;
    }
    let none = "there are faults, and no `sometimes` proves that they are felt";
    let Some(first) = sometimes.first() else {
        check.rule(&[Step::Key("expect")], format!("{none}; name an event"));
        return;
    };
    let why = if first.least() == 0 {
        format!("`{}` holds also where it never occurs; give it a `min`", first.event)
    } else {
        format!("`{}` occurs also where no fault is felt", first.event)
    };
    let mut proofs: Vec<&str> = faults.iter().filter_map(|fault| fault.kind.proof()).collect();
    proofs.sort_unstable();
    proofs.dedup();
    let advice = if proofs.is_empty() {
        String::new()
    } else {
        format!("; what would prove it: `{}`", proofs.join("`, `"))
    };
    let here = [Step::Key("expect"), Step::Key("sometimes"), Step::Item(0), Step::Key("event")];
    check.rule(&here, format!("{none}: {why}{advice}"));
}
