//! Runs of shortened copies of the shipped scenarios.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use chaos::report::model::{Report, Verdict};
use tempfile::TempDir;

/// The binary.
const SCENARIOS: &str = env!("CARGO_BIN_EXE_scenarios");
/// The project's folder.
const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// One run at a time, also where the tests are threads of one process.
static ALONE: Mutex<()> = Mutex::new(());

/// A copy of a shipped scenario in a project of its own, with the shipped faults. Removed at the end.
pub(crate) struct Shortened {
    project: TempDir,
    name: &'static str,
    /// The server program, if it is not the one that is built in.
    server: Option<PathBuf>,
}

impl Shortened {
    /// The scenario with other phases; everything else is as it is shipped.
    pub(crate) fn new(name: &'static str, phases: &str) -> Self {
        let project = tempfile::tempdir().unwrap();
        for folder in ["scenarios", "chaos/faults"] {
            fs::create_dir_all(project.path().join(folder)).unwrap();
        }
        for fault in fs::read_dir(Path::new(PROJECT).join("chaos/faults")).unwrap() {
            let fault = fault.unwrap();
            let copy = project.path().join("chaos/faults").join(fault.file_name());
            fs::copy(fault.path(), copy).unwrap();
        }
        let shipped = Path::new(PROJECT).join(format!("scenarios/{name}.yaml"));
        let text = fs::read_to_string(shipped).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("phases:")).collect();
        let [line] = lines[..] else { panic!("{name} has {} lines of phases", lines.len()) };
        let shortened = Self { project, name, server: None };
        shortened.write(&replaced(&text, line, &format!("phases: {phases}")));
        shortened
    }

    /// Something else in the place of what is shipped.
    pub(crate) fn with(self, shipped: &str, other: &str) -> Self {
        let text = fs::read_to_string(self.path()).unwrap();
        self.write(&replaced(&text, shipped, other));
        self
    }

    /// The server whose answers pass through this script of `sed`.
    pub(crate) fn wrapped(self, edit: &str) -> Self {
        let file = self.project.path().join("server");
        let edit = format!("> >(exec /bin/sed -u '{edit}')");
        // The process is that of the server, so that the runner finds it by its id.
        let text = format!("#!/bin/bash\nexec -a codebase-mcp {SCENARIOS} \"$@\" {edit}\n");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        Self { server: Some(file), ..self }
    }

    /// Runs it with `settings`, each as for `--set`. A run in which this machine was too busy to say anything is made
    /// again, twice at most.
    pub(crate) fn run(&self, settings: &[&str]) -> Report {
        let said_something = |report: &Report| report.verdict != Verdict::Inconclusive;
        let mut runs = (0..2).map(|_| self.run_once(settings));
        runs.find(said_something).unwrap_or_else(|| self.run_once(settings))
    }

    fn run_once(&self, settings: &[&str]) -> Report {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut command = Command::new(SCENARIOS);
        command.arg("--root").arg(self.project.path()).args(["run", self.name]);
        command.args(["--provider", "process", "--format", "json"]);
        command
            .args(self.server.iter().flat_map(|file| [OsStr::new("--server"), file.as_os_str()]));
        command.args(settings.iter().flat_map(|setting| ["--set", *setting]));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        let reports: Result<Vec<Report>, _> = serde_json::from_slice(&output.stdout);
        let Ok([report]) = reports.as_deref() else { panic!("{}: {told}", output.status) };
        report.clone()
    }

    fn path(&self) -> PathBuf {
        self.project.path().join(format!("scenarios/{}.yaml", self.name))
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }
}

/// The text with a part of it replaced, which must be there once.
fn replaced(text: &str, part: &str, by: &str) -> String {
    assert_eq!(text.matches(part).count(), 1, "`{part}` in\n{text}");
    text.replace(part, by)
}

/// Nothing is broken.
#[track_caller]
pub(crate) fn assert_passes(report: &Report) {
    assert_eq!(report.verdict, Verdict::Pass, "{}", story(report));
}

/// The run failed, and `promises` are among those that are broken.
#[track_caller]
pub(crate) fn assert_breaks(report: &Report, promises: &[&str]) {
    assert_eq!(report.verdict, Verdict::Fail, "{}", story(report));
    assert_each(report, promises, Verdict::Fail);
}

/// `promises` are among those that hold.
#[track_caller]
pub(crate) fn assert_holds(report: &Report, promises: &[&str]) {
    assert_each(report, promises, Verdict::Pass);
}

#[track_caller]
fn assert_each(report: &Report, promises: &[&str], verdict: Verdict) {
    for promise in promises {
        let told = report.assertions.iter().find(|assertion| assertion.text == *promise);
        let told = told.map(|assertion| assertion.verdict);
        assert_eq!(told, Some(verdict), "{promise}\n{}", story(report));
    }
}

/// What a report says, what did not pass before the rest: whoever shows a message may cut off its end.
fn story(report: &Report) -> String {
    let (passed, others): (Vec<_>, Vec<_>) =
        report.assertions.iter().partition(|assertion| assertion.verdict == Verdict::Pass);
    let lines = others.into_iter().chain(passed).map(|assertion| {
        let because = assertion.because.as_deref().unwrap_or_default();
        format!("{}: {} {because}\n", assertion.verdict.as_str(), assertion.text)
    });
    let reason = report.reason.as_deref().unwrap_or_default();
    format!("{} {reason}\n{}", report.scenario, lines.collect::<String>())
}
