//! The history: a CSV file with a row for each benchmark of each run, which only grows.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The names of the columns. The first one, which has the time of the run, is the version of the format.
pub const COLUMNS: [&str; 9] = [
    "gate-history/v1",
    "revision",
    "class",
    "benchmark",
    "unit",
    "mean",
    "median",
    "p10",
    "instructions",
];

/// One benchmark in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// When the run of the gate began.
    #[serde(rename = "gate-history/v1")]
    pub started_at: DateTime<Utc>,
    /// The commit that was measured.
    pub revision: String,
    /// The kind of machine and build; what is measured in different ones is not compared.
    pub class: String,
    /// The benchmark.
    pub benchmark: String,
    /// The unit of the following three, such as `ns`. Less is better.
    pub unit: String,
    /// The mean of an iteration.
    pub mean: f64,
    /// The median.
    pub median: f64,
    /// What a tenth of the samples stays below.
    pub p10: f64,
    /// The instructions of an iteration, where they were counted.
    pub instructions: Option<u64>,
}

/// Why a row cannot be in the history.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RowError {
    /// A text is missing, or would not stay on its line.
    #[error("the {field} is {text:?}, where a text without control characters is needed")]
    Text {
        /// Which one.
        field: &'static str,
        /// What it is.
        text: String,
    },
    /// A number is none that can be measured.
    #[error("the {field} of `{benchmark}` is {value}, where a number from 0 is needed")]
    Number {
        /// Which one.
        field: &'static str,
        /// Of which benchmark.
        benchmark: String,
        /// What it is.
        value: f64,
    },
}

impl Row {
    /// The row, if it can be in the history.
    pub(super) fn checked(self) -> Result<Self, RowError> {
        let texts = [
            ("revision", &self.revision),
            ("class", &self.class),
            ("benchmark", &self.benchmark),
            ("unit", &self.unit),
        ];
        if let Some((field, text)) =
            texts.into_iter().find(|(_, text)| text.is_empty() || text.contains(char::is_control))
        {
            return Err(RowError::Text { field, text: text.clone() });
        }
        let numbers = [("mean", self.mean), ("median", self.median), ("p10", self.p10)];
        match numbers.into_iter().find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
            Some((field, value)) => {
                Err(RowError::Number { field, benchmark: self.benchmark, value })
            }
            None => Ok(self),
        }
    }

    /// What no other row has.
    fn key(&self) -> (DateTime<Utc>, String, String, String) {
        let Self { started_at, revision, class, benchmark, .. } = self;
        (*started_at, revision.clone(), class.clone(), benchmark.clone())
    }
}

/// Why the history could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: open, read, mend or write.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its columns are not those of this version.
    #[error(
        "{} has the columns {found:?}, and this version knows {:?}; move the file away, or name another one with --history",
        path.display(),
        COLUMNS.join(",")
    )]
    OtherVersion {
        /// Which file.
        path: PathBuf,
        /// Its first line.
        found: String,
    },
    /// A row is none.
    #[error("{}:{line}: {reason}; mend the line or take it out", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// In which line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// A history to which a run was appended.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// All rows, each once, in the order of the file.
    pub rows: Vec<Row>,
    /// How many of them are new.
    pub added: usize,
    /// Half a line at the end of the file, which a writer leaves that is killed. It was taken out.
    pub half_line: Option<String>,
}

/// Appends the rows that are not there yet, and reads all. Makes the file and its folder where there are none.
///
/// Two that append at the same time wait for each other. A writer that is killed leaves at most half a line at
/// the end, which the next one takes out; what it had in its hands is appended when it is given again. With an
/// error the file is as it was, but for such a half line. Blocks on the disk.
pub fn append(path: &Path, rows: &[Row]) -> Result<History, HistoryError> {
    let failed = |action| move |source| HistoryError::Io { action, path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
    }
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).append(true).create(true).open(path).map_err(failed("open"))?;
    // Until the file is closed.
    file.lock().map_err(failed("lock"))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed("read"))?;
    let lines = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let (whole, half) = bytes.split_at(lines);
    let mut known = HashSet::new();
    let mut is_new = |row: &Row| known.insert(row.key());
    let mut all = parse(path, whole)?;
    all.retain(&mut is_new);
    let mut fresh = rows.to_vec();
    fresh.retain(is_new);
    if !half.is_empty() {
        let length = u64::try_from(lines).unwrap_or(u64::MAX);
        file.set_len(length).map_err(failed("mend"))?;
    }
    if !fresh.is_empty() {
        let text = to_text(&fresh, lines == 0).map_err(failed("write"))?;
        write(&mut file, &text).map_err(failed("write"))?;
    }
    let added = fresh.len();
    all.append(&mut fresh);
    let half_line = (!half.is_empty()).then(|| String::from_utf8_lossy(half).into_owned());
    Ok(History { rows: all, added, half_line })
}

/// In one piece, so that a reader or a kill rarely comes between two rows.
fn write(file: &mut File, text: &[u8]) -> io::Result<()> {
    file.write_all(text)?;
    file.sync_data()
}

/// The rows of complete lines; none of an empty file.
fn parse(path: &Path, text: &[u8]) -> Result<Vec<Row>, HistoryError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let malformed = |position: Option<&csv::Position>, reason| HistoryError::Malformed {
        path: path.to_owned(),
        line: position.map_or(0, csv::Position::line),
        reason,
    };
    let mut reader = csv::Reader::from_reader(text);
    if reader.headers().ok().is_none_or(|names| !names.iter().eq(COLUMNS)) {
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let found = String::from_utf8_lossy(first).into_owned();
        return Err(HistoryError::OtherVersion { path: path.to_owned(), found });
    }
    let read = |record: csv::StringRecord| -> Result<Row, String> {
        let names = csv::StringRecord::from(COLUMNS.as_slice());
        let row: Row = record.deserialize(Some(&names)).map_err(|error| reason(&error))?;
        row.checked().map_err(|error| error.to_string())
    };
    let rows = reader.records().map(|record| {
        let record = record.map_err(|error| malformed(error.position(), reason(&error)))?;
        let position = record.position().cloned();
        read(record).map_err(|reason| malformed(position.as_ref(), reason))
    });
    rows.collect()
}

/// What is wrong with a record, without where it is.
fn reason(error: &csv::Error) -> String {
    if let csv::ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() {
        format!("{len} fields instead of {expected_len}")
    } else if let csv::ErrorKind::Deserialize { err, .. } = error.kind() {
        match err.field().and_then(|field| COLUMNS.get(usize::try_from(field).ok()?)) {
            Some(column) => format!("{column}: {}", err.kind()),
            None => err.kind().to_string(),
        }
    } else if let csv::ErrorKind::Utf8 { err, .. } = error.kind() {
        err.to_string()
    } else {
        error.to_string()
    }
}

fn to_text(rows: &[Row], is_new: bool) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(is_new).from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(io::Error::from)?;
    }
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(night: u32, benchmark: &str) -> Row {
        Row {
            started_at: format!("2026-11-{night:02}T03:00:11.250Z").parse().unwrap(),
            revision: format!("{night:040x}"),
            class: "x86_64-somewhere".to_owned(),
            benchmark: benchmark.to_owned(),
            unit: "ns".to_owned(),
            mean: 130.25,
            median: 127.5,
            p10: 1.0 / 3.0,
            instructions: (benchmark == "a").then_some(1_234),
        }
    }

    fn night(night: u32) -> Vec<Row> {
        ["a", "b, or \"c\""].map(|benchmark| row(night, benchmark)).into()
    }

    struct Kept {
        folder: tempfile::TempDir,
    }

    impl Kept {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("gate/history.csv")
        }

        fn append(&self, rows: &[Row]) -> Result<History, HistoryError> {
            append(&self.path(), rows)
        }

        fn bytes(&self) -> Vec<u8> {
            fs::read(self.path()).unwrap()
        }

        fn put(&self, bytes: &[u8]) {
            fs::create_dir_all(self.path().parent().unwrap()).unwrap();
            fs::write(self.path(), bytes).unwrap();
        }
    }

    #[test]
    fn it_reads_like_this() {
        let kept = Kept::new();
        kept.append(&night(1)).unwrap();
        insta::assert_snapshot!(String::from_utf8(kept.bytes()).unwrap(), @r#"
        gate-history/v1,revision,class,benchmark,unit,mean,median,p10,instructions
        2026-11-01T03:00:11.250Z,0000000000000000000000000000000000000001,x86_64-somewhere,a,ns,130.25,127.5,0.3333333333333333,1234
        2026-11-01T03:00:11.250Z,0000000000000000000000000000000000000001,x86_64-somewhere,"b, or ""c""",ns,130.25,127.5,0.3333333333333333,
        "#);
    }

    #[test]
    fn nights_add_up_and_none_counts_twice() {
        let kept = Kept::new();
        assert_eq!(kept.append(&night(1)).unwrap().added, 2);
        let text = kept.bytes();
        assert_eq!(kept.append(&night(1)).unwrap().added, 0);
        assert_eq!(kept.bytes(), text);
        let elsewhere = Row { class: "aarch64-elsewhere".to_owned(), ..row(1, "a") };
        let history = kept.append(&[night(2), vec![elsewhere.clone()]].concat()).unwrap();
        assert_eq!(history.added, 3);
        assert_eq!(history.rows, [night(1), night(2), vec![elsewhere]].concat());
        assert_eq!(history.half_line, None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_writer_may_be_killed_anywhere(at in any::<prop::sample::Index>()) {
            let kept = Kept::new();
            kept.append(&night(1)).unwrap();
            let before = kept.bytes().len();
            kept.append(&night(2)).unwrap();
            let complete = kept.bytes();
            for (from, first) in [(0, &[][..]), (before, &night(1)[..])] {
                let killed = &complete[..from + at.index(complete.len() - from)];
                kept.put(killed);
                let history = kept.append(&[]).unwrap();
                prop_assert!(history.rows.starts_with(first));
                prop_assert_eq!(history.half_line.is_some(), !killed.is_empty() && !killed.ends_with(b"\n"));
                prop_assert!(kept.append(&[]).unwrap().half_line.is_none());
                kept.append(&[night(1), night(2)].concat()).unwrap();
                prop_assert_eq!(kept.bytes(), &complete[..]);
            }
        }
    }

    #[test]
    fn another_version_is_left_alone() {
        let kept = Kept::new();
        let text = "gate-history/v2,revision\n1,2\nhalf a l";
        kept.put(text.as_bytes());
        let error = kept.append(&night(1)).unwrap_err().to_string();
        let path = kept.path().display().to_string();
        let expected = format!(
            "{path} has the columns \"gate-history/v2,revision\", and this version knows \
             \"gate-history/v1,revision,class,benchmark,unit,mean,median,p10,instructions\"; \
             move the file away, or name another one with --history"
        );
        assert_eq!(error, expected);
        assert_eq!(kept.bytes(), text.as_bytes());
    }

    #[test]
    fn a_row_that_is_none_is_named_by_its_line() {
        let told = |line: &[u8]| {
            let kept = Kept::new();
            kept.append(&night(1)).unwrap();
            let text = [&kept.bytes(), line, b"\nhalf"].concat();
            kept.put(&text);
            let error = kept.append(&night(2)).unwrap_err().to_string();
            assert_eq!(kept.bytes(), text);
            error.split_once("history.csv:").unwrap().1.to_owned()
        };
        let good = "2026-11-02T03:00:11Z,1f,class,a,ns,1,1,1,";
        let all = [
            told(good.replace("ns,1", "ns,fast").as_bytes()),
            told(good.replace("ns,1", "ns,NaN").as_bytes()),
            told(good.replace("2026-11-02", "yesterday").as_bytes()),
            told(b"2026-11-02T03:00:11Z,1f"),
            told(&[b"\xff", good.as_bytes()].concat()),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
        4: mean: invalid float literal; mend the line or take it out
        4: the mean of `a` is NaN, where a number from 0 is needed; mend the line or take it out
        4: input contains invalid characters; mend the line or take it out
        4: 2 fields instead of 9; mend the line or take it out
        4: invalid utf-8: invalid UTF-8 in field 0 near byte index 0; mend the line or take it out
        ");
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let kept = Kept::new();
        fs::create_dir_all(kept.path()).unwrap();
        let error = kept.append(&night(1)).unwrap_err().to_string();
        assert!(error.starts_with("cannot open ") && error.contains("history.csv: "), "{error}");
    }
}
