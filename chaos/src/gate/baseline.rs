//! Stored baselines: `baselines/<class>/rolling.json`, and `anchor.json` beside it. Only
//! `scenarios baseline accept` writes them.
//!
//! The rolling baseline moves on with what was accepted. The anchor stays for a whole release, so that many
//! small steps, none of which is a regression, do not add up unseen.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::class::Class;
use super::screen::Stored;

/// The version of the format, in its field `schema`.
pub const SCHEMA: &str = "gate-baseline/v1";

/// A baseline is made of no fewer runs.
pub const MIN_RUNS: usize = 8;

/// Which of the two baselines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What was accepted last.
    Rolling,
    /// What the last release was.
    Anchor,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Rolling, Self::Anchor];

    /// The ratio of the means beyond which it is a regression against this baseline.
    pub fn limit(self) -> f64 {
        match self {
            Self::Rolling => 1.10,
            Self::Anchor => 1.25,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Rolling => "rolling.json",
            Self::Anchor => "anchor.json",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rolling => "rolling",
            Self::Anchor => "anchor",
        })
    }
}

/// What a class of machines needed for a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// [`SCHEMA`].
    pub schema: String,
    /// The class.
    pub class: Class,
    /// The kernel that it was measured on.
    pub kernel: String,
    /// The commit that was measured.
    pub revision: String,
    /// Its tree, which names what was built of it also where the commit itself is not at hand.
    pub tree: String,
    /// When it was accepted, RFC 3339 in UTC.
    pub accepted_at: String,
    /// The benchmarks by name.
    pub benchmarks: BTreeMap<String, Stored>,
    /// The objectives of scenarios, by provider of PostgreSQL and by name.
    pub objectives: BTreeMap<String, BTreeMap<String, StoredObjective>>,
}

/// What a baseline says of an objective of a scenario: the middle of several runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredObjective {
    /// The value, in seconds.
    pub seconds: f64,
    /// How far the runs scatter, in logarithms.
    pub tau: f64,
    /// How many runs it is made of.
    pub runs: usize,
}

/// Why a baseline could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// A file or folder could not be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no baseline.
    #[error(
        "{} is no baseline: {source}; take it from the repository again, or accept another one",
        path.display()
    )]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A file has the format of another version.
    #[error(
        "{} has the format `{found}`, this program knows `{SCHEMA}`; accept a baseline with this version",
        path.display()
    )]
    OtherSchema {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: String,
    },
}

/// The folder of all baselines.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// The baselines of the project at `root`.
    pub fn of(root: &Path) -> Self {
        Self { folder: root.join("baselines") }
    }

    /// The baseline of this kind for this class; `None` if there is none.
    pub fn get(&self, class: &Class, kind: Kind) -> Result<Option<Baseline>, BaselineError> {
        let path = self.folder.join(class.to_string()).join(kind.file());
        if path.exists() { read(&path).map(Some) } else { Ok(None) }
    }

    /// All baselines of this kind, the one that was accepted last at the end.
    pub fn all(&self, kind: Kind) -> Result<Vec<Baseline>, BaselineError> {
        let wrong = |source| BaselineError::Io { path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(wrong)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(wrong)?.path().join(kind.file());
            if path.is_file() {
                found.push(read(&path)?);
            }
        }
        found.sort_by(|a, b| a.accepted_at.cmp(&b.accepted_at));
        Ok(found)
    }

    /// Stores a baseline in place of the one of its kind and class, and says where. A reader sees the old one or
    /// the new one.
    pub fn put(&self, baseline: &Baseline, kind: Kind) -> Result<PathBuf, BaselineError> {
        let folder = self.folder.join(baseline.class.to_string());
        let path = folder.join(kind.file());
        let written = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            serde_json::to_writer_pretty(&mut file, baseline)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            // A temporary file is closed to others, a file of the repository is not.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            file.as_file().set_permissions(mode)?;
            file.persist(&path)?;
            Ok(())
        };
        written().map_err(|source| BaselineError::Io { path: path.clone(), source })?;
        Ok(path)
    }
}

fn read(path: &Path) -> Result<Baseline, BaselineError> {
    /// All that a file of any version has.
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    let text = fs::read_to_string(path)
        .map_err(|source| BaselineError::Io { path: path.to_owned(), source })?;
    let malformed = |source| BaselineError::Malformed { path: path.to_owned(), source };
    let Head { schema } = serde_json::from_str(&text).map_err(malformed)?;
    if schema != SCHEMA {
        return Err(BaselineError::OtherSchema { path: path.to_owned(), found: schema });
    }
    serde_json::from_str(&text).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::sample;

    #[test]
    fn what_is_stored_is_found_again() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::of(root.path());
        let baseline = sample::baseline();
        assert_eq!(shelf.get(&baseline.class, Kind::Rolling).unwrap(), None);
        assert!(shelf.all(Kind::Rolling).unwrap().is_empty());

        let path = shelf.put(&baseline, Kind::Rolling).unwrap();
        assert!(path.ends_with(format!("baselines/{}/rolling.json", baseline.class)));
        assert_eq!(shelf.get(&baseline.class, Kind::Rolling).unwrap().as_ref(), Some(&baseline));
        assert_eq!(shelf.get(&baseline.class, Kind::Anchor).unwrap(), None);

        let other = Class { cores: 64, ..baseline.class.clone() };
        let later = Baseline {
            class: other,
            accepted_at: "2027-01-01T00:00:00Z".to_owned(),
            ..baseline.clone()
        };
        shelf.put(&later, Kind::Rolling).unwrap();
        assert_eq!(shelf.all(Kind::Rolling).unwrap(), [baseline, later]);
    }

    #[test]
    fn the_projects_own_baselines_are_complete() {
        let shelf = Shelf::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        let rolling = shelf.all(Kind::Rolling).unwrap();
        assert!(!rolling.is_empty());
        for Baseline { benchmarks, objectives, .. } in &rolling {
            assert!(benchmarks.contains_key("pool/acquire/1"));
            assert!(objectives.values().any(|objectives| !objectives.is_empty()));
            assert!(benchmarks.values().all(|stored| stored.runs >= MIN_RUNS));
            assert!(objectives.values().flatten().all(|(_, stored)| stored.runs >= MIN_RUNS));
        }
        for anchor in shelf.all(Kind::Anchor).unwrap() {
            assert!(rolling.iter().any(|rolling| rolling.class == anchor.class));
        }
    }

    #[test]
    fn what_is_no_baseline_is_refused_with_its_path() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::of(root.path());
        let baseline = sample::baseline();
        let path = shelf.put(&baseline, Kind::Anchor).unwrap();
        let said = |text: &str| {
            fs::write(&path, text).unwrap();
            shelf.get(&baseline.class, Kind::Anchor).unwrap_err().to_string()
        };
        assert!(said("{}").contains("anchor.json is no baseline: missing field `schema`"));
        assert!(said("{\"schema\": \"gate-baseline/v9\"}").contains("`gate-baseline/v9`"));
        let half = serde_json::to_string(&baseline).unwrap();
        assert!(said(&half[..half.len() / 2]).contains("is no baseline: EOF"));
    }
}
