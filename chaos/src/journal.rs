//! What must be undone if the runner dies: a file of JSON lines that is written before the thing is
//! done and struck out after it was undone. `scenarios recover` reads the files that a killed runner
//! left behind.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use codebase_mcp::config::DatabaseUrl;
use serde::{Deserialize, Serialize};

/// How the files' names end.
const EXTENSION: &str = "jsonl";

/// One thing that somebody else must undo when the runner cannot. It names no process, so it can be noted before
/// there is one, and it holds of children that have lost their parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Undo {
    /// Remove every container with the label of this run.
    Containers {
        /// The value of the label.
        run: String,
    },
    /// End every process that a run has started in this folder and remove it.
    Place {
        /// Its absolute path.
        folder: PathBuf,
    },
    /// Drop every database of codebase-mcp on a server that somebody else runs.
    Databases {
        /// The server, with a superuser's name and password. That is why nobody else may read a journal.
        #[serde(with = "exposed")]
        url: DatabaseUrl,
    },
}

/// A URL with its password, which only the file has.
mod exposed {
    use super::DatabaseUrl;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(url: &DatabaseUrl, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(url.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DatabaseUrl, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Containers { run } => write!(f, "the containers of {run}"),
            Self::Place { folder } => {
                write!(f, "the folder {} and what was started in it", folder.display())
            }
            Self::Databases { url } => {
                let url = url.to_string();
                // What follows says how to connect, which nobody asks for here.
                let server = url.split('?').next().unwrap_or_default();
                write!(f, "the databases of codebase-mcp on {server}")
            }
        }
    }
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// Who writes it: the process id of the runner and its start time.
    Runner { pid: u32, started: u64 },
    /// Something to undo, with a number of its own.
    Begun { number: u64, undo: Undo },
    /// That was undone.
    Ended { number: u64 },
}

/// The journal of one run. Clones write to the same file.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    next: AtomicU64,
}

/// An entry that is still to be undone.
#[derive(Debug)]
#[must_use = "an entry that nobody ends is undone by `recover`"]
pub struct Entry {
    journal: Journal,
    number: u64,
}

/// A journal that somebody left behind, or keeps.
#[derive(Debug)]
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// Whether its runner still lives. What it has begun is then its own business.
    pub alive: bool,
    /// What is still to be undone, the latest first.
    pub open: Vec<Undo>,
}

impl Journal {
    /// Begins the journal of the run `run` in `folder`, which is made if it is absent. Its owner alone may read the
    /// file.
    pub fn open(folder: &Path, run: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = path_of(folder, run);
        let pid = std::process::id();
        let started = start_time(pid).ok_or(io::ErrorKind::NotFound)?;
        // It says from its first instant on whose it is: one of nobody could be removed.
        let file = tempfile::Builder::new().append(true).tempfile_in(folder)?;
        write(file.as_file(), &Line::Runner { pid, started })?;
        let file = file.persist_noclobber(&path)?;
        Ok(Self(Arc::new(Inner { path, file, next: AtomicU64::new(1) })))
    }

    /// Notes that `undo` will be necessary. Call it before the thing is done.
    pub fn begin(&self, undo: Undo) -> io::Result<Entry> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        write(&self.0.file, &Line::Begun { number, undo })?;
        Ok(Entry { journal: self.clone(), number })
    }

    /// What is in it now.
    pub fn look(&self) -> io::Result<Found> {
        read(self.0.path.clone())
    }
}

/// One write of one line, so that a killed runner leaves whole lines.
fn write(mut file: &File, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    file.write_all(text.as_bytes())
}

impl Entry {
    /// Notes that the thing was undone.
    pub fn end(self) -> io::Result<()> {
        write(&self.journal.0.file, &Line::Ended { number: self.number })
    }
}

impl Found {
    /// Removes the file. One that is gone is removed.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// The file of the journal of the run `run`; it is there while something of the run is to be undone.
pub fn path_of(folder: &Path, run: &str) -> PathBuf {
    folder.join(format!("{run}.{EXTENSION}"))
}

/// The journals in `folder`; none if there is no such folder.
pub fn find(folder: &Path) -> io::Result<Vec<Found>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        match read(path) {
            // Its runner has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            journal => found.push(journal?),
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn read(path: PathBuf) -> io::Result<Found> {
    let lives = |lines: &[Line]| {
        let runner = lines.iter().find_map(|line| match line {
            Line::Runner { pid, started } => Some((*pid, *started)),
            Line::Begun { .. } | Line::Ended { .. } => None,
        });
        runner.is_some_and(|(pid, started)| start_time(pid) == Some(started))
    };
    let mut lines = read_lines(&path)?;
    let alive = lives(&lines);
    if !alive {
        // It may have written its last lines, and died, after they were read.
        lines = read_lines(&path)?;
    }
    let mut open = Vec::new();
    for line in lines {
        match line {
            Line::Runner { .. } => {}
            Line::Begun { number, undo } => open.push((number, undo)),
            Line::Ended { number } => open.retain(|(begun, _)| *begun != number),
        }
    }
    open.reverse();
    Ok(Found { path, alive, open: open.into_iter().map(|(_, undo)| undo).collect() })
}

fn read_lines(path: &Path) -> io::Result<Vec<Line>> {
    let text = fs::read_to_string(path)?;
    // A line that was cut off by a full disk is of something that was not begun.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// When a process began, in the kernel's ticks; `None` if there is none that runs. A process that has
/// ended and waits to be reaped does not run.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses, which may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if state == "Z" { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_says_what_is_left_to_undo_and_whether_its_runner_lives() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(&folder.path().join("absent")).unwrap().is_empty());
        let journal = Journal::open(folder.path(), "run").unwrap();
        let again = Journal::open(folder.path(), "run").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        let data = journal.begin(Undo::Place { folder: "/data".into() }).unwrap();
        let containers = Undo::Containers { run: "run".to_owned() };
        let kept = journal.begin(containers.clone()).unwrap();
        let later = journal.begin(Undo::Place { folder: "/later".into() }).unwrap();
        data.end().unwrap();

        let found = find(folder.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].alive);
        assert_eq!(found[0].open, [Undo::Place { folder: "/later".into() }, containers]);

        kept.end().unwrap();
        later.end().unwrap();
        let found = journal.look().unwrap();
        assert_eq!(found.open, []);
        found.remove().unwrap();
        found.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_password_is_in_the_file_alone_which_its_owner_alone_reads() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), "run").unwrap();
        let url = "postgres://u:secret@h:1/d?sslmode=prefer";
        let undo = Undo::Databases { url: url.parse().unwrap() };
        let _entry = journal.begin(undo.clone()).unwrap();
        let found = journal.look().unwrap();
        assert_eq!(found.open, std::slice::from_ref(&undo));
        assert!(fs::read_to_string(&found.path).unwrap().contains(url));
        let mode = fs::metadata(&found.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(undo.to_string(), "the databases of codebase-mcp on postgres://u:***@h:1/d");
        assert!(!format!("{undo:?}").contains("secret"));
    }

    #[test]
    fn a_process_of_another_time_is_not_the_runner() {
        let folder = tempfile::tempdir().unwrap();
        let begun = r#"{"begun":{"number":1,"undo":{"place":{"folder":"/data"}}}}"#;
        let torn = r#"{"begun":{"number":2,"un"#;
        // A process lives under this number, but not since then: no kernel counts so many ticks.
        let started = u64::MAX;
        let runner = format!("{{\"runner\":{{\"pid\":1,\"started\":{started}}}}}");
        let text = format!("{runner}\n{begun}\n{torn}");
        fs::write(folder.path().join("old.jsonl"), text).unwrap();
        let found = find(folder.path()).unwrap();
        assert!(!found[0].alive);
        assert_eq!(found[0].open, [Undo::Place { folder: "/data".into() }]);
    }
}
