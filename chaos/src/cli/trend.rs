//! `scenarios trend`

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use super::CliError;
use super::files::Files;
use super::output::{note, say};
use crate::gate::trend::history::{self, History, HistoryError};
use crate::gate::trend::run::{self, RunError};
use crate::gate::trend::series::Trend;
use crate::gate::trend::{page, terminal};
use crate::report::evidence;

/// Which files.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The report of the gate's last run; the default is target/gate/report.json in the project
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The history to append it to; the default is target/gate/history.csv in the project
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// The page to write; the default is target/gate/trend.html in the project
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

/// Finds changes, and ends with 0 whatever it finds: a trend says where to look, and holds nothing up.
pub(super) fn run(arguments: &Arguments, files: &Files) -> Result<u8, CliError> {
    let Arguments { report, history, page } = arguments;
    let or =
        |chosen: &Option<PathBuf>, name| chosen.clone().unwrap_or_else(|| files.gate().join(name));
    let (report, history) = (or(report, "report.json"), or(history, "history.csv"));
    let page = or(page, "trend.html");
    let rows = run::read(&report).map_err(|error| of_report(&error))?;
    let appended = history::append(&history, &rows).map_err(|error| of_history(&error))?;
    let History { rows: all, added, half_line } = appended;
    if let Some(half) = half_line {
        note(format_args!(
            "{} ended with half a line, as a writer leaves that is killed; it was taken out: {half:?}",
            history.display()
        ));
    }
    if added < rows.len() {
        let twice = rows.len() - added;
        note(format_args!("{twice} of {} measurements were in the history already", rows.len()));
    }
    let trend = Trend::of(&all);
    write(&page, &page::page(&trend))?;
    say(terminal::text(&trend).trim_end())?;
    say(format_args!("page {}", page.display()))?;
    Ok(0)
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Err(CliError::Invalid(format!("`{}` is no name for a page", path.display())));
    };
    let failed = |error: &dyn Display| CliError::Internal(error.to_string());
    fs::create_dir_all(folder).map_err(|error| {
        failed(&format_args!("cannot make the folder {}: {error}", folder.display()))
    })?;
    evidence::write_text(folder, name, text).map_err(|error| failed(&error))
}

fn of_report(error: &RunError) -> CliError {
    let text = error.to_string();
    match error {
        RunError::Missing { .. } => CliError::Unavailable(text),
        RunError::Io { .. } => CliError::Internal(text),
        RunError::Malformed { .. } | RunError::OtherSchema { .. } | RunError::Unfit { .. } => {
            CliError::Invalid(text)
        }
    }
}

fn of_history(error: &HistoryError) -> CliError {
    let text = error.to_string();
    match error {
        HistoryError::Io { .. } => CliError::Internal(text),
        HistoryError::OtherVersion { .. } | HistoryError::Malformed { .. } => {
            CliError::Invalid(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{INTERNAL, INVALID, UNAVAILABLE};

    fn report(night: u32) -> String {
        format!(
            r#"{{"schema":"gate-report/v1","started_at":"2026-11-{night:02}T03:00:00Z","revision":"{night:040x}",
                "class":"here","measurements":[{{"benchmark":"a","unit":"ns","mean":3,"median":2,"p10":{night}}}]}}"#
        )
    }

    #[test]
    fn nights_become_a_page_and_errors_have_their_codes() {
        let folder = tempfile::tempdir().unwrap();
        let gate = folder.path().join("target/gate");
        let files = Files { root: folder.path().to_owned() };
        let of = |page: Option<&str>| Arguments {
            report: None,
            history: None,
            page: page.map(|page| folder.path().join(page)),
        };
        let code = |page| run(&of(page), &files).unwrap_or_else(|error| error.exit_code());

        assert_eq!(code(None), UNAVAILABLE);
        fs::create_dir_all(&gate).unwrap();
        for night in [1, 2, 2] {
            fs::write(gate.join("report.json"), report(night)).unwrap();
            assert_eq!(code(None), 0);
        }
        assert!(fs::read_to_string(gate.join("trend.html")).unwrap().contains("2 runs"));
        let history = fs::read_to_string(gate.join("history.csv")).unwrap();
        assert_eq!(history.lines().count(), 3);

        assert_eq!(code(Some("pages/1/trend.html")), 0);
        assert!(folder.path().join("pages/1/trend.html").is_file());
        assert_eq!(code(Some("pages/..")), INVALID);
        assert_eq!(code(Some("target/gate/report.json/trend.html")), INTERNAL);
        fs::write(gate.join("history.csv"), "another\n").unwrap();
        assert_eq!(code(None), INVALID);
        fs::write(gate.join("report.json"), "{}").unwrap();
        assert_eq!(code(None), INVALID);
    }
}
