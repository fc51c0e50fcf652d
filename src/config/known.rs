//! The names of all keys and sections, and which of them somebody may have meant.

use std::fmt;

use super::keys::Key;

/// How alike two names must be, from 0 to 1, for one to be taken for the other.
const ALIKE: f64 = 0.6;

/// The names of all keys.
pub(super) struct Known {
    keys: Vec<(&'static str, String)>,
}

/// What may be meant by an unknown key. `Display` is the advice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suggestion {
    /// A key of the same section.
    Rename {
        /// Its name in the section.
        name: String,
    },
    /// A key of another section.
    Move {
        /// The section, empty at the top of the file.
        section: String,
        /// The key's name in that section.
        name: String,
    },
    /// Nothing is near. These are the names in the section.
    Remove {
        /// The section, empty at the top of the file.
        section: String,
        /// The names of its keys and sections.
        names: Vec<String>,
    },
}

impl Known {
    pub(super) fn new(keys: &[Key<'_>]) -> Self {
        Self { keys: keys.iter().map(|key| (key.path, key.variable())).collect() }
    }

    /// Whether there is a key or a section with this path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.is_section(path) || self.keys.iter().any(|(key, _)| *key == path)
    }

    pub(super) fn is_section(&self, path: &str) -> bool {
        self.paths().any(|(section, _)| section == path)
    }

    /// What may be meant by `name`, which `section` does not have.
    pub(super) fn suggest(&self, section: &str, name: &str) -> Suggestion {
        let dotted = name.rsplit_once('.');
        let exact = self.paths().find(|path| path.1 == name || Some(*path) == dotted);
        let near = || best(name, self.paths().filter(|(other, _)| *other == section));
        let far = || best(name, self.paths());
        match exact.or_else(near).or_else(far) {
            Some((found, name)) if found == section => Suggestion::Rename { name: name.to_owned() },
            Some((found, name)) => {
                Suggestion::Move { section: found.to_owned(), name: name.to_owned() }
            }
            None => {
                let mut names: Vec<String> = self
                    .paths()
                    .filter(|(other, _)| *other == section)
                    .map(|(_, name)| name.to_owned())
                    .collect();
                names.dedup();
                Suggestion::Remove { section: section.to_owned(), names }
            }
        }
    }

    pub(super) fn is_variable(&self, name: &str) -> bool {
        self.keys.iter().any(|(_, variable)| variable == name)
    }

    /// The variable that may be meant by `name`.
    pub(super) fn nearest_variable(&self, name: &str) -> Option<String> {
        let upper = name.to_ascii_uppercase();
        let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&upper, known);
        self.keys
            .iter()
            .map(|(_, variable)| (likeness(variable), variable))
            .filter(|(likeness, _)| *likeness >= ALIKE)
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, variable)| variable.clone())
    }

    /// Every section and key as a pair of the section that it is in and its name there.
    fn paths(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.keys.iter().flat_map(|(key, _)| {
            let ends = key.match_indices('.').map(|(dot, _)| dot).chain([key.len()]);
            ends.filter_map(|end| {
                let path = key.get(..end)?;
                Some(path.rsplit_once('.').unwrap_or(("", path)))
            })
        })
    }
}

/// The candidate whose name is most like `name`, among those that are alike at all.
fn best(
    name: &str,
    candidates: impl Iterator<Item = (&'static str, &'static str)>,
) -> Option<(&'static str, &'static str)> {
    let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    let name = plain(name);
    candidates
        .map(|path| (strsim::normalized_damerau_levenshtein(&name, &plain(path.1)), path))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, path)| path)
}

impl fmt::Display for Suggestion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rename { name } => write!(formatter, "rename it to {name}"),
            Self::Move { section, name } if section.is_empty() => {
                write!(formatter, "move it to the top of the file, as {name}")
            }
            Self::Move { section, name } => {
                write!(formatter, "move it to the section {section}, as {name}")
            }
            Self::Remove { section, names } if section.is_empty() => {
                write!(formatter, "remove it; the sections are {}", names.join(", "))
            }
            Self::Remove { section, names } => {
                write!(formatter, "remove it; {section} has {}", names.join(", "))
            }
        }
    }
}
