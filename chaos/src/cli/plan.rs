//! `scenarios plan`: what a run would do, and when, without starting anything.

use std::fmt::Write;
use std::time::Duration;

use super::CliError;
use super::files::Files;
use super::output::say;
use super::run::Changes;
use crate::report::model::Group;
use crate::run::{Step, timeline};
use crate::schema::{Amount, Model, Op, Scenario, Target, Unit};

/// Which scenario.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Its name, or the path of its file
    name: String,
    #[command(flatten)]
    changes: Changes,
}

pub(super) fn run(arguments: &Arguments, files: &Files) -> Result<u8, CliError> {
    let scenario = files.open(&arguments.name, &arguments.changes.overrides()?)?;
    say(describe(&scenario).trim_end())?;
    Ok(0)
}

fn shown(time: Duration) -> String {
    Amount::new(time.as_secs_f64(), Unit::Time).to_string()
}

/// The whole plan as text.
fn describe(scenario: &Scenario) -> String {
    let mut text = format!("{}: {}\nseed {}", scenario.name, scenario.summary, scenario.seed);
    for (name, value) in &scenario.params {
        put(&mut text, format_args!(", {name} {value}"));
        if let Some(range) = scenario.ranges.get(name) {
            put(&mut text, format_args!(" of {range}"));
        }
    }
    let (against, config) = match &scenario.target {
        Target::Server { config, .. } => ("a server process", config),
        Target::Pool { config } => ("a pool in the runner", config),
    };
    put(&mut text, format_args!("\n\nagainst {against}\n"));
    for (path, value) in config {
        put(&mut text, format_args!("  {path}: {value}\n"));
    }
    text.push_str("\nload\n");
    for load in &scenario.loads {
        let phases = scenario.phases.iter().filter(|(phase, _)| load.during.contains(phase));
        let during: Vec<_> = phases.map(|(phase, _)| phase.as_str()).collect();
        let (id, op, model) = (&load.id, operation(&load.op), model(&load.model));
        let limit = shown(load.timeout);
        put(
            &mut text,
            format_args!(
                "  {id}: {op}, {model}, gives up after {limit}, in {}\n",
                during.join(", ")
            ),
        );
    }
    text.push_str("\ntimeline\n");
    for due in timeline(scenario) {
        let at = format!("{:>7.1} s", due.at.as_secs_f64());
        put(&mut text, format_args!("{at}  {}\n", step(scenario, due.step)));
    }
    text.push_str("\npromises\n");
    for promise in &scenario.promises {
        put(&mut text, format_args!("  {}: {promise}\n", promise.group.as_str()));
    }
    for occurrence in &scenario.occurrences {
        put(&mut text, format_args!("  {}: {occurrence}\n", occurrence.group.as_str()));
    }
    for over in &scenario.over_runs {
        put(&mut text, format_args!("  {}: {over}\n", Group::Repeat.as_str()));
    }
    if let Some(budget) = scenario.budget {
        put(&mut text, format_args!("  budget: {} in all\n", shown(budget)));
    }
    if !scenario.objectives.is_empty() {
        text.push_str("\nbaseline\n");
    }
    for objective in &scenario.objectives {
        put(&mut text, format_args!("  {objective}\n"));
    }
    text
}

/// Writing to a text never fails.
fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).unwrap_or_default();
}

fn operation(op: &Op) -> String {
    match op {
        Op::Search { query } => format!("search for \"{query}\""),
        Op::PoolQuery { hold: (from, to) } if !to.is_zero() => {
            format!("pool.query, kept for {} to {}", shown(*from), shown(*to))
        }
        Op::PoolCancel { within } | Op::PoolPanic { within } => {
            format!("{} within {}", op.as_str(), shown(*within))
        }
        Op::PoolQuery { .. }
        | Op::Health
        | Op::ListTools
        | Op::Start
        | Op::PoolAcquire
        | Op::PoolHealth
        | Op::PoolSnapshot
        | Op::PoolOpen => op.as_str().to_owned(),
    }
}

fn model(model: &Model) -> String {
    match model {
        Model::Open { rate, max_in_flight, .. } => {
            format!("{rate}/s whatever the answers do, {max_in_flight} at once at most")
        }
        Model::Closed { workers, count: Some(count), .. } => {
            format!("{count} in all by {workers} workers")
        }
        Model::Closed { workers, count: None, .. } => format!("by {workers} workers"),
    }
}

fn step(scenario: &Scenario, step: Step) -> String {
    let named = |number: usize, what: &str| match scenario.faults.get(number) {
        Some(fault) => {
            let undo =
                if what == "undo" { format!(": {}", fault.kind.undo()) } else { String::new() };
            format!("    {what} {} ({}){undo}", fault.id, fault.kind_name)
        }
        None => String::new(),
    };
    match step {
        Step::Phase(phase) => phase.as_str().to_owned(),
        Step::Begin(number) => named(number, "begin"),
        Step::Strike(number) => named(number, "strike"),
        Step::Undo(number) => named(number, "undo"),
        Step::End => "end".to_owned(),
    }
}
