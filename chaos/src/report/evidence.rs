//! The files that a run leaves in its folder.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::model::Report;
use super::{html, json, junit};
use crate::record::{Outcome, Record, Sample};

/// The name of the page.
pub const PAGE: &str = "report.html";
/// The name of the file with all events, one a line.
pub const EVENTS: &str = "events.ndjson";
/// The name of the file with all requests, one a line.
pub const SAMPLES: &str = "samples.ndjson";

/// Why the files could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}; what was there before is unchanged", path.display())]
pub struct WriteError {
    /// Which file.
    pub path: PathBuf,
    /// What went wrong.
    #[source]
    pub source: io::Error,
}

/// A request, as a line of [`SAMPLES`].
#[derive(Debug, Serialize)]
struct Line<'a> {
    load: &'a str,
    due_s: f64,
    latency_ms: f64,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<u64>,
}

/// Writes `events.ndjson`, `samples.ndjson`, `junit.xml`, `report.html` and, as the last one,
/// `report.json` into the folder, which is made if it is not there. Each file is written under another
/// name and then renamed, so none is ever half there; and where there is a `report.json`, the others are
/// there too. Blocks on the disk.
pub fn write(folder: &Path, report: &Report, record: &Record) -> Result<(), WriteError> {
    fs::create_dir_all(folder).map_err(|source| WriteError { path: folder.to_owned(), source })?;
    put(folder, EVENTS, |file| lines(file, &record.events))?;
    put(folder, SAMPLES, |file| {
        record.loads.iter().try_for_each(|load| {
            lines(file, load.samples.iter().map(|sample| line(&load.id, sample)))
        })
    })?;
    write_report(folder, report)
}

/// Writes what is made of the report alone, in the same way and the same order.
pub fn write_report(folder: &Path, report: &Report) -> Result<(), WriteError> {
    fs::create_dir_all(folder).map_err(|source| WriteError { path: folder.to_owned(), source })?;
    put(folder, junit::FILE, |file| {
        let text = junit::to_text(std::slice::from_ref(report)).map_err(io::Error::other)?;
        file.write_all(text.as_bytes())
    })?;
    put(folder, PAGE, |file| file.write_all(html::page(report).as_bytes()))?;
    put(folder, json::FILE, |file| file.write_all(json::to_text(report)?.as_bytes()))
}

/// Writes one more file into the folder, in the same way.
pub fn write_text(folder: &Path, name: &str, text: &str) -> Result<(), WriteError> {
    put(folder, name, |file| file.write_all(text.as_bytes()))
}

fn put(
    folder: &Path,
    name: &str,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let written = || {
        // Left to itself, only the user could read it, and evidence is to be passed on. The process's
        // mask still applies.
        let permissions = Permissions::from_mode(0o666);
        let unfinished = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .permissions(permissions)
            .tempfile_in(folder)?;
        let mut file = BufWriter::new(unfinished);
        fill(&mut file)?;
        let unfinished = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        unfinished.persist(folder.join(name))?;
        Ok(())
    };
    written().map_err(|source| WriteError { path: folder.join(name), source })
}

fn lines<T: Serialize>(
    file: &mut dyn Write,
    values: impl IntoIterator<Item = T>,
) -> io::Result<()> {
    for value in values {
        serde_json::to_writer(&mut *file, &value)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}

fn line<'a>(load: &'a str, sample: &'a Sample) -> Line<'a> {
    let (outcome, code) = match &sample.outcome {
        Outcome::Ok => ("ok", None),
        Outcome::Failed { code } => ("failed", Some(code.as_str())),
        Outcome::TimedOut => ("timed_out", None),
        Outcome::Dropped => ("dropped", None),
        Outcome::Malformed { what } => ("malformed", Some(what.as_str())),
    };
    Line {
        load,
        due_s: sample.due.as_secs_f64(),
        latency_ms: sample.latency.as_secs_f64() * 1_000.0,
        outcome,
        code,
        value: sample.value,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn all_files_are_there_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("runs/1");
        let (report, record) = (sample::report(), sample::record());
        write(&folder, &report, &record).unwrap();
        // A second time over what is there.
        write(&folder, &report, &record).unwrap();
        let expected = [EVENTS, junit::FILE, PAGE, json::FILE, SAMPLES];
        assert_eq!(names(&folder), expected);
        assert_eq!(json::read(&folder).unwrap(), report);

        let events = fs::read_to_string(folder.join(EVENTS)).unwrap();
        assert_eq!(events.lines().count(), record.events.len());
        let samples = fs::read_to_string(folder.join(SAMPLES)).unwrap();
        let all: usize = record.loads.iter().map(|load| load.samples.len()).sum();
        assert_eq!(samples.lines().count(), all);
        let first: serde_json::Value =
            serde_json::from_str(samples.lines().next().unwrap()).unwrap();
        assert_eq!(first["load"], "reads");
        assert_eq!(first["outcome"], "ok");
    }

    #[test]
    fn a_file_that_cannot_be_finished_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let error = put(folder.path(), "a", |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        let told = error.unwrap_err().to_string();
        assert!(
            told.ends_with("a: the disk is full; what was there before is unchanged"),
            "{told}"
        );
        assert!(names(folder.path()).is_empty());
    }
}
