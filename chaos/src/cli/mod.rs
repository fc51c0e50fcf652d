//! The command line of `scenarios`: one file per subcommand. A bare name stands for `run`.
//!
//! Results go to stdout, what happens meanwhile to stderr.

mod catalogue;
mod compare;
mod doctor;
mod files;
mod gate;
mod list;
mod output;
mod plan;
mod progress;
mod proxy;
mod recover;
mod report;
mod run;
mod schema;
mod trend;
mod validate;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::files::Files;
use crate::report::outcome::{INCONCLUSIVE, INTERNAL, UNAVAILABLE};

/// Exit code: it is slower than it was.
const REGRESSION: u8 = 3;
/// Exit code: a scenario or an argument is wrong.
const INVALID: u8 = 4;
/// Exit code: ended by a signal after everything was undone, as a shell reports SIGINT.
const INTERRUPTED: u8 = 130;

/// Proves what codebase-mcp does when its database misbehaves.
#[derive(Debug, Parser)]
#[command(name = "scenarios", version, max_term_width = 100, arg_required_else_help = true)]
struct Arguments {
    /// The folder that has `scenarios` and `chaos/faults` in it; without it the working folder, or the
    /// nearest one above it that has them
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios and judge them
    Run(run::Arguments),
    /// List the scenarios
    List(list::Arguments),
    /// Check scenario and fault files without starting anything
    Validate(validate::Arguments),
    /// Show what a run would do, and when
    Plan(plan::Arguments),
    /// Say what can run here and how to get what is missing
    Doctor,
    /// Undo what killed runners have left behind
    Recover(recover::Arguments),
    /// Print the JSON Schemas of scenario and fault files
    Schema(schema::Arguments),
    /// Show a run again, from its folder
    Report(report::Arguments),
    /// Compare two runs
    Compare(compare::Arguments),
    /// Write the catalogue of scenarios
    Catalogue(catalogue::Arguments),
    /// Say whether this build is slower than the one before it
    Gate(gate::Arguments),
    /// What the gate compares with
    #[command(subcommand)]
    Baseline(gate::BaselineCommand),
    /// Keep what the gate has measured, and show what changed from night to night
    Trend(trend::Arguments),
    /// The fault proxy on its own
    #[command(subcommand)]
    Proxy(proxy::Command),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// A scenario, a fault or an argument is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Something that is needed is not there.
    #[error("{0}")]
    Unavailable(String),
    /// The runner could not do its work.
    #[error("{0}")]
    Internal(String),
    /// The machine was too busy.
    #[error("{0}")]
    Inconclusive(String),
    /// A signal ended it, after everything was undone.
    #[error("interrupted; everything was undone")]
    Interrupted,
    /// stdout was closed, or a file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl CliError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid(_) => INVALID,
            Self::Unavailable(_) => UNAVAILABLE,
            Self::Interrupted => INTERRUPTED,
            Self::Inconclusive(_) => INCONCLUSIVE,
            // A reader that has seen enough, as in `… | head`, is no failure.
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Internal(_) | Self::Io(_) => INTERNAL,
        }
    }
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let arguments = with_run(std::env::args_os().collect());
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { INVALID } else { 0 };
            // With the stream gone there is nobody left to tell.
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    let code = dispatch(arguments).unwrap_or_else(|error| {
        let code = error.exit_code();
        if code != 0 {
            output::error(&error);
        }
        code
    });
    ExitCode::from(code)
}

fn dispatch(arguments: Arguments) -> Result<u8, CliError> {
    let Arguments { root, command } = arguments;
    let files = || Files::find(root.as_deref());
    match command {
        Command::Run(arguments) => block_on(run::run(&arguments, &files()?)),
        Command::List(arguments) => list::run(&arguments, &files()?),
        Command::Validate(arguments) => validate::run(&arguments, &files()?),
        Command::Plan(arguments) => plan::run(&arguments, &files()?),
        Command::Doctor => block_on(doctor::run()),
        Command::Recover(arguments) => block_on(recover::run(&arguments)),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Catalogue(arguments) => catalogue::run(&arguments, &files()?),
        Command::Gate(arguments) => gate::gate(&arguments, &files()?),
        Command::Baseline(command) => gate::baseline(&command, &files()?),
        Command::Trend(arguments) => trend::run(&arguments, &files()?),
        Command::Proxy(command) => block_on(proxy::run(&command)),
    }
}

fn block_on(future: impl Future<Output = Result<u8, CliError>>) -> Result<u8, CliError> {
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(future);
    // What still runs is a thread that waits for nothing.
    runtime.shutdown_background();
    outcome
}

/// Puts `run` before the first argument that names no subcommand and is no flag of all of them.
fn with_run(mut arguments: Vec<OsString>) -> Vec<OsString> {
    use clap::CommandFactory;

    let command = Arguments::command();
    let mut at = 1;
    while let Some(argument) = arguments.get(at).and_then(|argument| argument.to_str()) {
        if argument == "--root" {
            at += 2;
        } else if argument.starts_with("--root=") {
            at += 1;
        } else {
            break;
        }
    }
    if let Some(argument) = arguments.get(at).and_then(|argument| argument.to_str()) {
        let known = command.find_subcommand(argument).is_some();
        let other = matches!(argument, "help" | "-h" | "--help" | "-V" | "--version");
        if !known && !other {
            arguments.insert(at, "run".into());
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_stands_for_run() {
        let of = |line: &str| {
            let arguments = with_run(line.split_whitespace().map(OsString::from).collect());
            let words: Vec<_> = arguments.iter().map(|word| word.to_str().unwrap()).collect();
            words.join(" ")
        };
        for (given, meant) in [
            ("scenarios outage-recovery", "scenarios run outage-recovery"),
            ("scenarios --all", "scenarios run --all"),
            ("scenarios --root /tmp outage", "scenarios --root /tmp run outage"),
            ("scenarios list", "scenarios list"),
            ("scenarios --help", "scenarios --help"),
            ("scenarios", "scenarios"),
        ] {
            assert_eq!(of(given), meant);
        }
    }

    #[test]
    fn the_manual_has_every_exit_code_command_and_option() {
        use clap::CommandFactory;

        use crate::manual::{first_column, manual, quoted};
        use crate::report::outcome::FAILED;
        use crate::stack::Provider;

        let manual = manual();
        let codes =
            [0, FAILED, INCONCLUSIVE, REGRESSION, INVALID, UNAVAILABLE, INTERNAL, INTERRUPTED];
        assert_eq!(first_column(&manual, "Code"), codes.iter().map(u8::to_string).collect());

        let documented = first_column(&manual, "Command");
        let all = Arguments::command();
        let mut names: Vec<&str> = all.get_subcommands().map(clap::Command::get_name).collect();
        names.sort_unstable();
        let first_words = documented.iter().map(|name| name.split(' ').next().unwrap());
        assert_eq!(first_words.collect::<Vec<_>>(), names);

        for command in std::iter::once(&all).chain(all.get_subcommands()) {
            for option in command.get_arguments().filter_map(clap::Arg::get_long) {
                let told = quoted(&manual).any(|text| {
                    text.split([' ', ',']).any(|word| word.strip_prefix("--") == Some(option))
                });
                assert!(told, "{} --{option}", command.get_name());
            }
        }
        let of_run = first_column(&manual, "Option of `run`");
        let run = all.find_subcommand("run").unwrap();
        for option in run.get_arguments().filter_map(clap::Arg::get_long) {
            let told =
                of_run.iter().any(|name| name.split(' ').next() == Some(&format!("--{option}")));
            assert!(told, "--{option}");
        }
        let values = run.get_arguments().flat_map(clap::Arg::get_possible_values);
        for value in values.filter(|value| !["true", "false"].contains(&value.get_name())) {
            assert!(quoted(&manual).any(|word| word == value.get_name()), "{}", value.get_name());
        }
        let providers: Vec<_> = Provider::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(first_column(&manual, "Provider"), providers.into_iter().collect());
    }
}
