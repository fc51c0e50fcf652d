//! `scenarios gate` and `scenarios baseline`

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use codebase_mcp::config::Environment;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::files::{self, Files};
use super::output::{note, say};
use super::{CliError, REGRESSION, run::stop_on_signals};
use crate::gate::baseline::{Baseline, BaselineError, Kind, Shelf};
use crate::gate::model::{GateReport, Verdict};
use crate::gate::{GateError, Options, Scenarios, Step, accept, run, text};
use crate::report::model::Report;
use crate::report::outcome::INCONCLUSIVE;
use crate::run::{Live, log};
use crate::schema::{Overrides, Scenario};
use crate::stack::{Choice, Provider};

/// The report for programs.
const REPORT: &str = "report.json";
/// The report for the summary of a workflow.
const SUMMARY: &str = "report.md";

/// What is compared with what.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only the benchmark of this name; if there is none, what has this in its name, such as pool/acquire
    #[arg(default_value = "")]
    filter: String,
    /// Compare with this revision instead of the baselines'; there are no stored times of it
    #[arg(long, value_name = "REVISION")]
    base: Option<String>,
    /// Make an acquire slower by so many percent, to see the gate fail
    #[arg(long, value_name = "PERCENT", value_parser = slowdown)]
    slowdown: Option<f64>,
    /// What goes to stdout
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Where report.json and report.md go; the default is target/gate in the project
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// Where builds are, and who provides PostgreSQL.
#[derive(Debug, clap::Args)]
struct Place {
    /// Who provides PostgreSQL for the objectives of scenarios
    #[arg(long, value_enum, default_value = "process")]
    provider: ProviderName,
    /// Where builds are kept; the default is gate in the user's cache folder
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// Baselines are compared with by `gate`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum BaselineCommand {
    /// Measure this commit and store it as the baseline of this class of machine
    Accept(AcceptArguments),
    /// Show the stored baselines
    Show,
}

#[derive(Debug, clap::Args)]
pub(super) struct AcceptArguments {
    /// Store it as the anchor too, as for a release
    #[arg(long)]
    anchor: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ProviderName {
    Container,
    Process,
}

impl ProviderName {
    fn provider(self) -> Provider {
        match self {
            Self::Container => Provider::Container,
            Self::Process => Provider::Process,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Human,
    /// The report as JSON
    Json,
    /// A table in Markdown
    Markdown,
    /// For people, with annotations of GitHub workflows
    Github,
}

pub(super) fn gate(arguments: &Arguments, files: &Files) -> Result<u8, CliError> {
    let out = arguments.out.clone().unwrap_or_else(|| files.gate());
    let options = Options {
        root: files.root.clone(),
        cache: cache(&arguments.place)?,
        filter: arguments.filter.clone(),
        base: arguments.base.clone(),
        slowdown: arguments.slowdown,
    };
    // What an earlier run has left must not be taken for the verdict of one that fails.
    for name in [REPORT, SUMMARY] {
        drop(fs::remove_file(out.join(name)));
    }
    let report = with_scenarios(files, &arguments.place, |scenarios| {
        run(&options, scenarios, &tell()).map_err(CliError::from)
    })?;
    show(arguments.format, &report)?;
    keep(&out, &report)?;
    Ok(match report.verdict {
        Verdict::Pass => 0,
        Verdict::Inconclusive => INCONCLUSIVE,
        Verdict::Regression => REGRESSION,
    })
}

pub(super) fn baseline(command: &BaselineCommand, files: &Files) -> Result<u8, CliError> {
    match command {
        BaselineCommand::Accept(arguments) => accepted(arguments, files),
        BaselineCommand::Show => stored(files),
    }
}

fn accepted(arguments: &AcceptArguments, files: &Files) -> Result<u8, CliError> {
    let options =
        Options { root: files.root.clone(), cache: cache(&arguments.place)?, ..Options::default() };
    let accepted = with_scenarios(files, &arguments.place, |scenarios| {
        accept(&options, arguments.anchor, scenarios, &tell()).map_err(CliError::from)
    })?;
    say(text::accepted(&accepted))?;
    Ok(0)
}

fn stored(files: &Files) -> Result<u8, CliError> {
    let shelf = Shelf::of(&files.root);
    let wrong = |error: BaselineError| CliError::from(GateError::from(error));
    let mut any = false;
    for kind in Kind::ALL {
        let baselines: Vec<Baseline> = shelf.all(kind).map_err(wrong)?;
        for baseline in baselines {
            any = true;
            say(text::baseline(&baseline, kind))?;
        }
    }
    if !any {
        say("no baseline is stored; `scenarios baseline accept` makes one")?;
    }
    Ok(0)
}

/// Calls `work` with the scenarios that have objectives, and with who runs them.
fn with_scenarios<T>(
    files: &Files,
    place: &Place,
    work: impl FnOnce(Scenarios<'_>) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let mut all = files.all(&Overrides::default())?;
    all.retain(|scenario| !scenario.objectives.is_empty());
    let provider = place.provider.provider();
    let place = Runs {
        out: files.runs(),
        journals: files::journals(None)?,
        provider,
        runtime: Runtime::new()?,
        log: log::install(),
        stop: RefCell::new(None),
    };
    let run = |scenario: &Scenario, server: &Path| place.run(scenario, server);
    work(Scenarios { all: &all, provider: &provider.to_string(), run: &run })
}

/// How scenarios run.
struct Runs {
    out: PathBuf,
    journals: PathBuf,
    provider: Provider,
    runtime: Runtime,
    log: log::Capture,
    /// Cancelled by a signal. Made with the first scenario: until then there is nothing that a signal would have
    /// to wait for.
    stop: RefCell<Option<CancellationToken>>,
}

impl Runs {
    fn run(&self, scenario: &Scenario, server: &Path) -> Result<Report, GateError> {
        let options = crate::run::Options {
            choice: Choice::Only(self.provider),
            url: None,
            server: Some(server.to_owned()),
            out: self.out.clone(),
            journals: self.journals.clone(),
            keep: false,
            log: self.log.clone(),
            words: format!("{} --server {}", scenario.name, server.display()),
            remark: None,
        };
        self.runtime.block_on(async {
            let stop = self.stop()?;
            let report = crate::run::run(scenario, &options, &Live::default(), &stop).await;
            if stop.is_cancelled() { Err(GateError::Interrupted) } else { Ok(report) }
        })
    }

    fn stop(&self) -> Result<CancellationToken, GateError> {
        let mut stop = self.stop.borrow_mut();
        if let Some(stop) = &*stop {
            return Ok(stop.clone());
        }
        let made = stop_on_signals().map_err(|error| GateError::NoSignals(error.to_string()))?;
        Ok(stop.insert(made).clone())
    }
}

fn cache(place: &Place) -> Result<PathBuf, CliError> {
    if let Some(cache) = &place.cache {
        return Ok(std::path::absolute(cache)?);
    }
    let folder = Environment::of_process().cache_folder().ok_or_else(|| {
        let fix = "name one with --cache, or set HOME or XDG_CACHE_HOME to an absolute path";
        CliError::Unavailable(format!("there is no folder for builds; {fix}"))
    })?;
    Ok(folder.join("gate"))
}

/// Says on stderr what begins.
fn tell() -> impl Fn(&Step<'_>) {
    |step| note(step)
}

/// `20` or `20%` as a ratio.
fn slowdown(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    match number.parse::<f64>() {
        Ok(percent) if (0.0..=1000.0).contains(&percent) => Ok(1.0 + percent / 100.0),
        _ => Err("it is a number of percent from 0 to 1000, such as 20".to_owned()),
    }
}

/// Leaves the report for programs and for the summary of a workflow.
fn keep(folder: &Path, report: &GateReport) -> Result<(), CliError> {
    let json = serde_json::to_string_pretty(report)
        .map_err(|error| CliError::Internal(error.to_string()))?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join(REPORT), json + "\n")?;
    fs::write(folder.join(SUMMARY), text::markdown(report))?;
    Ok(())
}

fn show(format: Format, report: &GateReport) -> Result<(), CliError> {
    match format {
        Format::Human => say(text::terminal(report))?,
        Format::Github => {
            say(format_args!("{}{}", text::annotations(report), text::terminal(report)))?;
        }
        Format::Markdown => say(text::markdown(report).trim_end())?,
        Format::Json => {
            let json = serde_json::to_string_pretty(report);
            say(json.map_err(|error| CliError::Internal(error.to_string()))?)?;
        }
    }
    Ok(())
}

impl From<GateError> for CliError {
    fn from(error: GateError) -> Self {
        let text = error.to_string();
        match error {
            GateError::Interrupted => Self::Interrupted,
            GateError::NotStarted { .. }
            | GateError::NoBaseline { .. }
            | GateError::NoObjectives { .. }
            | GateError::UnknownRevision { .. } => Self::Unavailable(text),
            GateError::NoSlowdown(_) | GateError::Unsteady { .. } => Self::Inconclusive(text),
            GateError::NothingMatches { .. }
            | GateError::NotCommitted { .. }
            | GateError::Baseline(
                BaselineError::Malformed { .. } | BaselineError::OtherSchema { .. },
            ) => Self::Invalid(text),
            GateError::Baseline(BaselineError::Io { .. })
            | GateError::BuildFailed { .. }
            | GateError::CommandFailed { .. }
            | GateError::NotUnderstood { .. }
            | GateError::NoSignals(_)
            | GateError::Io { .. } => Self::Internal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slowdown_is_a_number_of_percent() {
        assert_eq!(slowdown("20"), Ok(1.2));
        assert_eq!(slowdown("5 %"), Ok(1.05));
        for wrong in ["", "-1", "NaN", "1001", "a fifth"] {
            assert!(slowdown(wrong).is_err(), "{wrong}");
        }
    }
}
