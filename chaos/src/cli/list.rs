//! `scenarios list`

use super::CliError;
use super::files::Files;
use super::output::{FAINT, STRONG, say, styled};
use crate::schema::{Overrides, Scenario};

/// Which scenarios.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only those with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// The same as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// What goes to stdout
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Human,
    /// One JSON object with the scenarios
    Json,
}

pub(super) fn run(arguments: &Arguments, files: &Files) -> Result<u8, CliError> {
    let mut scenarios = files.all(&Overrides::default())?;
    if let Some(tag) = &arguments.tag {
        scenarios.retain(|scenario| scenario.tags.contains(tag));
    }
    if arguments.json || arguments.format == Format::Json {
        let all: Vec<_> = scenarios.iter().map(as_json).collect();
        say(format_args!("{:#}", serde_json::json!({ "scenarios": all })))?;
        return Ok(0);
    }
    let width = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    for Scenario { name, summary, criteria, tags, .. } in &scenarios {
        let padding = " ".repeat(width - name.len());
        say(format_args!("{}{padding}  {summary}", styled(STRONG, name)))?;
        let details = [tags.join(", "), criteria.join(" ")].join("  ");
        let details = details.trim();
        if !details.is_empty() {
            say(styled(FAINT, format_args!("{}  {details}", " ".repeat(width))))?;
        }
    }
    Ok(0)
}

fn as_json(scenario: &Scenario) -> serde_json::Value {
    // Of those that are drawn, each run has another value.
    let mut params = scenario.params.clone();
    params.extend(scenario.ranges.clone());
    serde_json::json!({
        "name": scenario.name,
        "summary": scenario.summary,
        "criteria": scenario.criteria,
        "tags": scenario.tags,
        "params": params,
        "seconds": scenario.length().as_secs_f64(),
    })
}
