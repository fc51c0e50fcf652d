//! `report.json`: the whole report for programs, and reading it back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::model::{Report, SCHEMA};

/// The name of the file in the folder of a run.
pub const FILE: &str = "report.json";

/// The most bytes that are read as a report. The largest part are the seconds of the loads and the points
/// of the pool; a report of a day with ten loads stays below this.
const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Why a report could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is not there or cannot be read.
    #[error("cannot read {}: {source}; give a report.json or the folder of a run", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No report is that long.
    #[error("{} has {bytes} bytes, more than the {MAX_BYTES} of any report; is it the right file?", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// It is no report.
    #[error("{} is no report: {source}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// It is a report of another version of this program.
    #[error(
        "{} {}, and this version reads {SCHEMA:?}; read it with the version that wrote it, or run the scenario again",
        path.display(),
        found.as_ref().map_or_else(|| "names no schema".to_owned(), |found| format!("has the schema {found:?}"))
    )]
    OtherSchema {
        /// Which file.
        path: PathBuf,
        /// What it says; `None` if it says nothing.
        found: Option<String>,
    },
}

/// A report as text, indented, with a newline at its end.
///
/// # Errors
///
/// None with what this program builds: [`serde_json`] refuses only maps whose keys are no strings.
pub fn to_text(report: &Report) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}

/// Reads the text of the file `path`, which only names it in errors.
pub fn from_text(text: &str, path: &Path) -> Result<Report, ReadError> {
    #[derive(Deserialize)]
    struct Head {
        schema: Option<String>,
    }

    let malformed = |source| ReadError::Malformed { path: path.to_owned(), source };
    // First alone, for another version may differ in everything else.
    let Head { schema } = serde_json::from_str(text).map_err(malformed)?;
    if schema.as_deref() != Some(SCHEMA) {
        return Err(ReadError::OtherSchema { path: path.to_owned(), found: schema });
    }
    serde_json::from_str(text).map_err(malformed)
}

/// Reads a `report.json`, or that of a run's folder. Blocks on the file.
pub fn read(path: &Path) -> Result<Report, ReadError> {
    let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let read = || -> io::Result<(u64, String)> {
        let bytes = fs::metadata(&path)?.len();
        let text = if bytes > MAX_BYTES { String::new() } else { fs::read_to_string(&path)? };
        Ok((bytes, text))
    };
    match read() {
        Err(source) => Err(ReadError::Io { path, source }),
        Ok((bytes, _)) if bytes > MAX_BYTES => Err(ReadError::TooLong { path, bytes }),
        Ok((_, text)) => from_text(&text, &path),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn refused(text: &str) -> String {
        from_text(text, Path::new("a/report.json")).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_back() {
        for report in sample::all().into_iter().chain([sample::together()]) {
            let text = to_text(&report).unwrap();
            assert_eq!(from_text(&text, Path::new(FILE)).unwrap(), report);
        }
    }

    #[test]
    fn another_version_is_named() {
        let text = to_text(&sample::report()).unwrap().replace(SCHEMA, "resilience-report/v9");
        insta::assert_snapshot!(refused(&text), @r#"a/report.json has the schema "resilience-report/v9", and this version reads "resilience-report/v1"; read it with the version that wrote it, or run the scenario again"#);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        insta::assert_snapshot!(refused("[1"), @"a/report.json is no report: invalid type: integer `1`, expected a string at line 1 column 2");
        insta::assert_snapshot!(refused(r#"{"schema":"resilience-report/v1"}"#), @"a/report.json is no report: missing field `scenario` at line 1 column 33");
        insta::assert_snapshot!(refused("{}"), @r#"a/report.json names no schema, and this version reads "resilience-report/v1"; read it with the version that wrote it, or run the scenario again"#);
    }

    #[test]
    fn a_folder_stands_for_its_report() {
        let folder = tempfile::tempdir().unwrap();
        let report = sample::report();
        fs::write(folder.path().join(FILE), to_text(&report).unwrap()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), report);
        assert_eq!(read(&folder.path().join(FILE)).unwrap(), report);
        let missing = read(&folder.path().join("other.json")).unwrap_err().to_string();
        assert!(missing.contains("other.json: No such file"), "{missing}");
    }

    #[test]
    fn the_file_reads_like_this() {
        let mut report = sample::report();
        sample::shorten(&mut report);
        let text = to_text(&report).unwrap();
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("report.json", text);
        });
    }
}
