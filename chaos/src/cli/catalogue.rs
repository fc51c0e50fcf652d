//! `scenarios catalogue`: the table of all scenarios, with how they last ended.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::CliError;
use super::files::Files;
use super::output::say;
use crate::report::json;
use crate::report::model::Report;
use crate::schema::{Need, Overrides, Scenario};

/// Where from, where to.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Write the file instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where runs left their folders; the default is target/scenarios in the project
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, files: &Files) -> Result<u8, CliError> {
    let scenarios = files.all(&Overrides::default())?;
    let runs = arguments.runs.clone().unwrap_or_else(|| files.runs());
    let text = catalogue(&scenarios, &last_reports(&runs)?);
    match &arguments.out {
        Some(path) => fs::write(path, text)?,
        None => say(text.trim_end())?,
    }
    Ok(0)
}

/// The last report of each scenario, as its file has it, on each provider.
type Last = BTreeMap<(String, String), Report>;

fn last_reports(runs: &Path) -> Result<Last, CliError> {
    let mut last = Last::new();
    if !runs.is_dir() {
        return Ok(last);
    }
    for entry in fs::read_dir(runs)? {
        // A folder of a run that was killed has no report.
        let Ok(report) = json::read(&entry?.path()) else { continue };
        let key = (report.scenario.clone(), report.environment.provider.clone());
        if report.is_changed() {
            continue;
        }
        let newer = last.get(&key).is_none_or(|other| other.started_at < report.started_at);
        if newer {
            last.insert(key, report);
        }
    }
    Ok(last)
}

fn catalogue(scenarios: &[Scenario], last: &Last) -> String {
    let mut text = String::from(
        "<!-- Written by `cargo run --bin scenarios -- catalogue --out scenarios/README.md`. -->\n\
         # Scenarios\n\n\
         `cargo run --bin scenarios -- NAME` runs one of them; [docs/scenarios.md](../docs/scenarios.md) says how\n\
         to read what comes of it, and how to write another one. The last column is how it ended when this table\n\
         was written, by provider; runs with `--set` or `--server` do not count.\n\n\
         | Scenario | What it proves | Faults | Criteria | Runs on | Last verdict |\n\
         |---|---|---|---|---|---|\n",
    );
    for scenario in scenarios {
        text.push_str(&row(scenario, last));
    }
    text
}

fn row(scenario: &Scenario, last: &Last) -> String {
    let Scenario { name, summary, .. } = scenario;
    let mut kinds: Vec<&str> = Vec::new();
    for fault in &scenario.faults {
        if !kinds.contains(&fault.kind_name.as_str()) {
            kinds.push(&fault.kind_name);
        }
    }
    let faults = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
    let criteria = scenario.criteria.join(", ");
    let providers = providers(scenario).join(", ");
    let verdicts: Vec<String> = last
        .iter()
        .filter(|((scenario, _), _)| scenario == name)
        .map(|((_, provider), report)| format!("{} on {provider}", report.verdict.as_str()))
        .collect();
    let verdicts = if verdicts.is_empty() { "not run".to_owned() } else { verdicts.join(", ") };
    format!(
        "| [{name}]({name}.yaml) | {summary} | {faults} | {criteria} | {providers} | {verdicts} |\n"
    )
}

/// Who can provide PostgreSQL for it.
fn providers(scenario: &Scenario) -> Vec<&'static str> {
    if scenario.needs().contains(&Need::PostgresControl) {
        vec!["container", "process"]
    } else {
        vec!["container", "process", "url"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::evidence;
    use crate::report::model::Verdict;
    use crate::report::sample;

    #[test]
    fn what_the_command_line_changed_is_no_last_verdict() {
        let runs = tempfile::tempdir().unwrap();
        let leave = |day: u8, arguments: &str, verdict| {
            let report = Report {
                started_at: format!("2026-11-0{day}T10:00:00.000Z"),
                rerun: format!(
                    "cargo run --bin scenarios -- outage-recovery{arguments} --seed 42 --provider container"
                ),
                verdict,
                ..sample::report()
            };
            evidence::write_report(&runs.path().join(day.to_string()), &report).unwrap();
        };
        let last = || {
            let last = last_reports(runs.path()).unwrap();
            last.into_values().map(|report| report.verdict).collect::<Vec<_>>()
        };
        leave(3, " --set outage=60s", Verdict::Fail);
        leave(4, " --server /tmp/another", Verdict::Fail);
        assert_eq!(last(), []);
        leave(1, "", Verdict::Fail);
        leave(2, "", Verdict::Pass);
        assert_eq!(last(), [Verdict::Pass]);
    }

    #[test]
    fn the_catalogue_in_the_tree_has_every_scenario_as_it_is() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let files = Files { root: root.clone() };
        let scenarios = files.all(&Overrides::default()).unwrap();
        let kept = fs::read_to_string(root.join("scenarios/README.md")).unwrap();
        let fresh = catalogue(&scenarios, &Last::new());
        // How they last ended is what differs.
        let without_verdicts = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.rsplitn(3, '|').last().unwrap().to_owned()).collect()
        };
        let how = "run `cargo run --bin scenarios -- catalogue --out scenarios/README.md`";
        assert_eq!(without_verdicts(&kept), without_verdicts(&fresh), "not current; {how}");
    }
}
