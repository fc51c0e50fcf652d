//! A run of a scenario: set up, play, take down, judge.
//!
//! # What must stay true
//!
//! - Whatever ends a run, a finished timeline, an error, a signal, what was begun is undone. What a killed
//!   runner leaves is in its journal.
//! - Times are those at which things were done, not those at which they were planned: a fault ends when PostgreSQL
//!   answers again, and the recovery phase begins then.
//! - What is measured and what is promised meet in [`crate::verdict`] only.

mod environment;
mod facts;
mod faults;
mod front;
mod live;
pub mod log;
mod play;
mod repository;
mod sessions;
mod settle;
mod timeline;
mod together;
mod world;

use std::path::PathBuf;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use live::{Live, Stage, State};
pub use settle::settle;
pub use timeline::{Due, Step, timeline};
pub use together::together;

use self::world::{SetUpError, World};
use crate::journal::Journal;
use crate::record::Record;
use crate::report::model::{Environment, Report, SCHEMA, Verdict};
use crate::report::{evidence, summary};
use crate::schema::Scenario;
use crate::stack::Choice;
use crate::verdict;

/// The file of a run's folder that says where what was kept is.
pub const KEPT: &str = "kept.txt";

/// What does not belong to the scenario: where and with what it runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who provides PostgreSQL.
    pub choice: Choice,
    /// The server of the provider `url`.
    pub url: Option<String>,
    /// The server program; the one that is built into this process if there is none.
    pub server: Option<PathBuf>,
    /// Where each run leaves its folder.
    pub out: PathBuf,
    /// Where journals are.
    pub journals: PathBuf,
    /// Leave everything as it is at the end.
    pub keep: bool,
    /// What the pool says in this process.
    pub log: log::Capture,
    /// The scenario and what is changed about it, as words of the command line.
    pub words: String,
    /// What must still be put into the words, for people.
    pub remark: Option<&'static str>,
}

/// Why a run came to no end.
#[derive(Debug, thiserror::Error)]
enum RunError {
    /// Something that is needed is not there.
    #[error("{0}")]
    Skipped(String),
    /// It was told to stop.
    #[error("interrupted")]
    Interrupted,
    /// The runner could not do its work.
    #[error("{0}")]
    Failed(String),
}

impl From<SetUpError> for RunError {
    fn from(error: SetUpError) -> Self {
        match error {
            SetUpError::Missing(what) => Self::Skipped(what),
            SetUpError::Interrupted => Self::Interrupted,
            SetUpError::Failed(what) => Self::Failed(what),
        }
    }
}

/// Runs a scenario once and says how it ended. Never fails: what goes wrong is in the report. It leaves a folder
/// with the report and everything behind it in `options.out`.
///
/// # Cancel safety
/// Cancel `stop` to end early; a dropped future leaves to the journal what it could not undo.
pub async fn run(
    scenario: &Scenario,
    options: &Options,
    live: &Live,
    stop: &CancellationToken,
) -> Report {
    let started = Instant::now();
    let began_at = chrono::Utc::now();
    let (name, seed) = (&scenario.name, scenario.seed);
    let name = format!("{name}-{}-{seed}", began_at.format("%Y%m%dT%H%M%S%3f"));
    let mut environment = environment::here();
    let finished = carry_out(scenario, options, &name, &mut environment, live, stop).await;
    let wall = started.elapsed();
    let mut report = empty(scenario, options, &name, environment);
    report.started_at = began_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    report.wall_s = wall.as_secs_f64();
    summarise(&mut report, scenario, &finished.record);
    match &finished.failed {
        None => {
            report.assertions = verdict::judge(scenario, &finished.record, wall);
            (report.verdict, report.reason) = verdict::verdict(scenario, &report.assertions);
            report.measured = verdict::measured(scenario, &finished.record);
            report.objectives = verdict::objectives(scenario, &finished.record);
        }
        Some(RunError::Skipped(why)) => {
            (report.verdict, report.reason) = (Verdict::Skipped, Some(why.clone()));
        }
        Some(error @ (RunError::Interrupted | RunError::Failed(_))) => {
            (report.verdict, report.reason) = (Verdict::Error, Some(error.to_string()));
        }
    }
    if let Err(error) = keep(&options.out.join(&name), scenario, &report, &finished) {
        report.verdict = Verdict::Error;
        report.reason = Some(format!("the evidence could not be written: {error}"));
    }
    report
}

/// What a run leaves.
struct Finished {
    /// What was measured, as far as it came.
    record: Record,
    /// Why it did not come to its end, if it did not.
    failed: Option<RunError>,
    /// Texts that are kept as they are, by file name.
    logs: Vec<(&'static str, String)>,
}

async fn carry_out(
    scenario: &Scenario,
    options: &Options,
    name: &str,
    environment: &mut Environment,
    live: &Live,
    stop: &CancellationToken,
) -> Finished {
    let ended =
        |error| Finished { record: Record::default(), failed: Some(error), logs: Vec::new() };
    let journal = match Journal::open(&options.journals, name) {
        Ok(journal) => journal,
        Err(error) => {
            let what = format!("the journal cannot be written: {error}");
            return ended(RunError::Failed(what));
        }
    };
    let mut world = match World::set_up(scenario, options, name, &journal, stop).await {
        Ok(world) => world,
        Err(error) => {
            let error = RunError::from(error);
            // What was begun by then has mostly undone itself.
            return ended(match settle::settle_own(journal).await {
                Ok(()) => error,
                Err(left) => RunError::Failed(format!("{error}; {left}")),
            });
        }
    };
    world.describe(environment).await;
    let (record, played) = play::play(scenario, &mut world, options, live, stop).await;
    let mut failed = played.err();
    live.change(|state| state.stage = Stage::TearingDown);
    let mut logs = world.logs().await;
    if options.keep {
        logs.push((KEPT, world.leave()));
    } else {
        world.take_down(stop).await;
        if let Err(left) = settle::settle_own(journal).await {
            failed = Some(RunError::Failed(left));
        }
    }
    Finished { record, failed, logs }
}

/// A report in which nothing has happened yet.
fn empty(scenario: &Scenario, options: &Options, name: &str, environment: Environment) -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        scenario: scenario.name.clone(),
        summary: scenario.summary.clone(),
        criteria: scenario.criteria.clone(),
        run: name.to_owned(),
        started_at: String::new(),
        wall_s: 0.0,
        seed: scenario.seed,
        drawn: scenario.drawn(),
        rerun: rerun(scenario, options, &environment, 1),
        environment,
        verdict: Verdict::Error,
        reason: None,
        assertions: Vec::new(),
        phases: Vec::new(),
        faults: Vec::new(),
        loads: Vec::new(),
        pool: Vec::new(),
        event_counts: std::collections::BTreeMap::new(),
        events: Vec::new(),
        facts: std::collections::BTreeMap::new(),
        measured: std::collections::BTreeMap::new(),
        objectives: std::collections::BTreeMap::new(),
        runs: Vec::new(),
    }
}

/// Fills in what the record says.
fn summarise(report: &mut Report, scenario: &Scenario, record: &Record) {
    let summary::Summary { phases, faults, loads, pool, event_counts, events, facts } =
        summary::summarise(record, &scenario.loads);
    (report.phases, report.faults, report.loads) = (phases, faults, loads);
    (report.pool, report.event_counts, report.events) = (pool, event_counts, events);
    report.facts = facts;
}

/// The command that runs the same again, so many times.
fn rerun(scenario: &Scenario, options: &Options, environment: &Environment, runs: u32) -> String {
    // Where none was found, the one that was asked for.
    let provider = match (environment.provider.as_str(), options.choice) {
        ("", Choice::Auto) => String::new(),
        ("", Choice::Only(provider)) => format!(" --provider {provider}"),
        (provider, _) => format!(" --provider {provider}"),
    };
    let repeat =
        if runs == scenario.own_runs { String::new() } else { format!(" --repeat {runs}") };
    let remark = options.remark.map(|remark| format!("  # {remark}")).unwrap_or_default();
    let (words, seed) = (&options.words, scenario.seed);
    format!("cargo run --bin scenarios -- {words} --seed {seed}{repeat}{provider}{remark}")
}

/// Writes the folder of a run.
fn keep(
    folder: &std::path::Path,
    scenario: &Scenario,
    report: &Report,
    finished: &Finished,
) -> Result<(), evidence::WriteError> {
    let Finished { record, logs, .. } = finished;
    evidence::write(folder, report, record)?;
    evidence::write_text(folder, "scenario.yaml", &scenario.text)?;
    for (name, text) in logs {
        evidence::write_text(folder, name, text)?;
    }
    Ok(())
}
