//! `scenarios run`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use codebase_mcp::config::{DatabaseUrl, Environment};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::files::{self, Files};
use super::output::{note, say};
use super::progress::Progress;
use super::{CliError, INTERNAL, INTERRUPTED};
use crate::journal;
use crate::report::model::{Report, Verdict};
use crate::report::{github, junit, outcome, terminal};
use crate::run::{KEPT, Options, log};
use crate::schema::{Overrides, Scenario};
use crate::stack::{self, Choice, Provider};

/// Which scenarios, against what, and what comes of it.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Arguments {
    /// Names of scenarios, or paths of their files
    #[arg(required_unless_present_any = ["all", "tag"])]
    names: Vec<String>,
    /// All scenarios
    #[arg(long, conflicts_with_all = ["names", "tag"])]
    all: bool,
    /// All scenarios with this tag
    #[arg(long, value_name = "TAG", conflicts_with = "names")]
    tag: Option<String>,
    #[command(flatten)]
    changes: Changes,
    /// How often each scenario runs, up to 10000 times; the runs have different seeds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: Option<u32>,
    /// Who provides PostgreSQL; auto takes a container where an engine and an image are there
    #[arg(long, value_enum, default_value = "auto")]
    provider: ProviderName,
    /// The PostgreSQL server for the provider `url`, which must let its user create databases
    #[arg(long, value_name = "URL", required_if_eq("provider", "url"))]
    url: Option<String>,
    /// The server program; without it, the one that is built into this runner
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// What goes to stdout
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Where each run leaves its folder; the default is target/scenarios in the project
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Run again what ended inconclusive, at most N times; the last of these runs counts
    #[arg(long, value_name = "N", default_value_t = 0)]
    retry_inconclusive: u32,
    /// Where the journal of what must be undone is kept; the default is in the data folder
    #[arg(long, value_name = "DIR")]
    journals: Option<PathBuf>,
    /// Leave PostgreSQL and the server's folder as they are at the end, for a look at them; `scenarios
    /// recover` removes them
    #[arg(long)]
    keep: bool,
    /// What cannot run here counts as passed
    #[arg(long)]
    allow_skip: bool,
    /// Stop after the first run that is not a pass
    #[arg(long)]
    fail_fast: bool,
    /// Show what passed as well
    #[arg(long, short)]
    verbose: bool,
}

impl Arguments {
    /// The arguments that say against what the scenarios run, for the command that repeats a run, and what must
    /// still be put into it.
    fn against(&self) -> Result<(String, Option<&'static str>), CliError> {
        let environment = Environment::of_process();
        let variable = environment.variables.get("DATABASE_URL").and_then(|url| url.to_str());
        let (mut words, mut remark) = (String::new(), None);
        if let Some(url) = &self.url {
            let (url, missing) = shown(url, variable)?;
            words.extend([" --url ", &url]);
            remark = missing;
        }
        if let Some(server) = &self.server {
            words.extend([" --server ", &quoted(&server.to_string_lossy())]);
        }
        Ok((words, remark))
    }
}

/// What is changed about a scenario.
#[derive(Debug, clap::Args)]
pub(super) struct Changes {
    /// The seed of everything random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Another value for a parameter, or for a setting of the server or pool as config.PATH=VALUE
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl Changes {
    /// What the scenarios are read with.
    pub(super) fn overrides(&self) -> Result<Overrides, CliError> {
        let (mut params, mut config) = (BTreeMap::new(), BTreeMap::new());
        for pair in &self.set {
            let Some((name, value)) = pair.split_once('=') else {
                let example = "--set outage=20s or --set config.pool.max_size=5";
                return Err(CliError::Invalid(format!(
                    "`--set {pair}` has no `=`; write {example}"
                )));
            };
            match name.strip_prefix("config.") {
                Some(path) => config.insert(path.to_owned(), value.to_owned()),
                None => params.insert(name.to_owned(), value.to_owned()),
            };
        }
        Ok(Overrides { params, config, seed: self.seed, runs: None })
    }

    /// The arguments that say the same but for the seed, for the command that repeats a run.
    fn arguments(&self) -> String {
        self.set.iter().flat_map(|pair| [" --set ".to_owned(), quoted(pair)]).collect()
    }
}

/// How the URL stands in the command that repeats a run, which everybody may read, and what must still be put
/// into it: a URL with a password is named by the variable that has it, or shown without.
fn shown(url: &str, variable: Option<&str>) -> Result<(String, Option<&'static str>), CliError> {
    let wrong = |error: &dyn std::fmt::Display| CliError::Invalid(format!("--url: {error}"));
    let masked = DatabaseUrl::from_str(url).map_err(|error| wrong(&error))?.to_string();
    stack::read_url(url).map_err(|error| wrong(&error))?;
    Ok(if masked == url {
        (quoted(url), None)
    } else if variable == Some(url) {
        ("\"$DATABASE_URL\"".to_owned(), None)
    } else {
        (quoted(&masked), Some("*** stands for the password, which is not shown"))
    })
}

/// Refuses a folder for runs in which nothing can be written, before anything is run for it.
fn check_out(folder: &Path) -> Result<(), CliError> {
    let made = fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    made.map(drop).map_err(|error| {
        let folder = folder.display();
        CliError::Invalid(format!(
            "runs cannot be written to {folder}: {error}; name another folder with --out"
        ))
    })
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "=._:/%-".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ProviderName {
    Auto,
    Url,
    Container,
    Process,
}

impl ProviderName {
    fn choice(self) -> Choice {
        match self {
            Self::Auto => Choice::Auto,
            Self::Url => Choice::Only(Provider::Url),
            Self::Container => Choice::Only(Provider::Container),
            Self::Process => Choice::Only(Provider::Process),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Human,
    /// A JSON array of the reports
    Json,
    /// One file in the format of `JUnit`
    Junit,
    /// For people, with annotations of GitHub workflows
    Github,
}

pub(super) async fn run(arguments: &Arguments, files: &Files) -> Result<u8, CliError> {
    let mut overrides = arguments.changes.overrides()?;
    overrides.runs = arguments.repeat;
    let scenarios = chosen(arguments, files, &overrides)?;
    let (against, remark) = arguments.against()?;
    let out = arguments.out.clone().unwrap_or_else(|| files.runs());
    check_out(&out)?;
    let mut options = Options {
        choice: arguments.provider.choice(),
        url: arguments.url.clone(),
        server: arguments.server.clone(),
        out,
        journals: files::journals(arguments.journals.as_deref())?,
        keep: arguments.keep,
        log: log::install(),
        words: String::new(),
        remark,
    };
    let stop = stop_on_signals()?;
    let mut reports: Vec<Report> = Vec::new();
    'all: for (word, scenario) in &scenarios {
        options.words = format!("{}{}{against}", quoted(word), arguments.changes.arguments());
        let before = reports.len();
        for number in 0..scenario.runs {
            let scenario =
                scenario.of_run(number).map_err(|errors| CliError::Invalid(errors.to_string()))?;
            let report = tried(arguments, &options, &scenario, number, &stop).await?;
            let passed = matches!(report.verdict, Verdict::Pass | Verdict::Skipped);
            let last = report.run.clone();
            reports.push(report);
            if stop.is_cancelled() {
                return Ok(interrupted(&options, &last));
            }
            if arguments.fail_fast && !passed {
                break 'all;
            }
        }
        let runs = reports.get(before..).unwrap_or_default();
        if let Some(report) = crate::run::together(scenario, &options, runs) {
            show(arguments, &options, &report)?;
            reports.push(report);
        }
    }
    conclude(arguments, &reports)?;
    Ok(outcome::exit_code(&reports, arguments.allow_skip))
}

/// Says what is left of an interrupted run, and gives the exit code.
fn interrupted(options: &Options, run: &str) -> u8 {
    let left = journal::path_of(&options.journals, run).exists();
    note(match (left, options.keep) {
        (false, _) => "interrupted; everything was undone",
        (true, true) => "interrupted; what was kept is removed by `scenarios recover`",
        (true, false) => "interrupted; what could not be undone is left to `scenarios recover`",
    });
    if left && !options.keep { INTERNAL } else { INTERRUPTED }
}

/// The scenarios to run, each with the word that names it on the command line.
fn chosen(
    arguments: &Arguments,
    files: &Files,
    overrides: &Overrides,
) -> Result<Vec<(String, Scenario)>, CliError> {
    if !arguments.names.is_empty() {
        let open = |name: &String| Ok((name.clone(), files.open(name, overrides)?));
        return arguments.names.iter().map(open).collect();
    }
    let mut all = files.all(overrides)?;
    if let Some(tag) = &arguments.tag {
        all.retain(|scenario| scenario.tags.contains(tag));
        if all.is_empty() {
            let advice = "`scenarios list` shows all tags";
            return Err(CliError::Invalid(format!("no scenario has the tag `{tag}`; {advice}")));
        }
    }
    Ok(all.into_iter().map(|scenario| (scenario.name.clone(), scenario)).collect())
}

/// One run, and further ones as long as nothing can be said and there are tries left.
async fn tried(
    arguments: &Arguments,
    options: &Options,
    scenario: &Scenario,
    number: u32,
    stop: &CancellationToken,
) -> Result<Report, CliError> {
    let mut report = one(arguments, options, scenario, number, stop).await?;
    for _ in 0..arguments.retry_inconclusive {
        if report.verdict != Verdict::Inconclusive || stop.is_cancelled() {
            break;
        }
        report = one(arguments, options, scenario, number, stop).await?;
    }
    Ok(report)
}

async fn one(
    arguments: &Arguments,
    options: &Options,
    scenario: &Scenario,
    number: u32,
    stop: &CancellationToken,
) -> Result<Report, CliError> {
    let progress = Progress::start(scenario, number);
    let report = crate::run::run(scenario, options, &progress.live(), stop).await;
    progress.finish();
    show(arguments, options, &report)?;
    let kept = options.out.join(&report.run).join(KEPT);
    if kept.is_file() {
        let end = "`scenarios recover` removes it";
        note(format_args!("kept; {} says where it is, and {end}", kept.display()));
    }
    Ok(report)
}

/// Says to people how it ended.
fn show(arguments: &Arguments, options: &Options, report: &Report) -> Result<(), CliError> {
    if matches!(arguments.format, Format::Human | Format::Github) {
        let page = options.out.join(&report.run).join("report.html");
        let page = page.is_file().then_some(page.as_path());
        say(terminal::run(report, page, arguments.verbose).trim_end())?;
    }
    Ok(())
}

fn conclude(arguments: &Arguments, reports: &[Report]) -> Result<(), CliError> {
    let internal = |error: &dyn std::fmt::Display| CliError::Internal(error.to_string());
    match arguments.format {
        Format::Human => say(terminal::conclusion(reports).trim_end())?,
        Format::Github => {
            say(github::annotations(reports).trim_end())?;
            say(terminal::conclusion(reports).trim_end())?;
        }
        Format::Json => {
            say(serde_json::to_string_pretty(reports).map_err(|error| internal(&error))?)?;
        }
        Format::Junit => say(junit::to_text(reports).map_err(|error| internal(&error))?)?,
    }
    Ok(())
}

/// A token that SIGINT, SIGTERM and SIGHUP cancel. The run then ends early and undoes what it began.
pub(super) fn stop_on_signals() -> Result<CancellationToken, CliError> {
    let stop = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut received, stop) = (signal(kind)?, stop.clone());
        TaskTracker::new().spawn(async move {
            while received.recv().await.is_some() {
                if !stop.is_cancelled() {
                    note("stopping, and undoing what was begun");
                }
                stop.cancel();
            }
        });
    }
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_without_its_password() {
        let (plain, secret) = ("postgres://u@h:1/d", "postgres://u:secret@h:1/d");
        let of = |url, variable| shown(url, variable).unwrap();
        assert_eq!(of(plain, Some(plain)), ("'postgres://u@h:1/d'".to_owned(), None));
        assert_eq!(of(secret, Some(secret)), ("\"$DATABASE_URL\"".to_owned(), None));
        for variable in [None, Some(plain)] {
            let (url, remark) = of(secret, variable);
            assert_eq!(url, "'postgres://u:***@h:1/d'");
            assert!(remark.unwrap().contains("password"));
        }
        for wrong in ["u:secret@h", "postgres://u:secret@%2Frun/d", "postgres://u:secret@h:port/d"]
        {
            let error = shown(wrong, None).unwrap_err();
            assert_eq!(error.exit_code(), super::super::INVALID);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
