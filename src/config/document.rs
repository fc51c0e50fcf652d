//! A configuration file: its text, its tree and the places in it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::error::{ConfigErrors, Fault, Place, Position, Problem, Suspect};
use super::secret::{redact_line, redact_urls};
use super::yaml::{self, Node, Part};

/// The largest file that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// A longer line is shown in part.
const MAX_COLUMNS: usize = 100;

/// A configuration file that is YAML with a mapping, or nothing, at the top.
pub(super) struct Document {
    /// The path as people know it, relative to the working folder where it is in there.
    path: PathBuf,
    text: String,
    /// The top of the tree.
    pub(super) root: Node,
}

impl Document {
    /// Reads and parses the file at `path`, shown as `shown`. `None` when there is none.
    pub(super) fn open(path: &Path, shown: &Path) -> Result<Option<Self>, ConfigErrors> {
        let fault = match read(path) {
            Ok(bytes) if bytes.len() as u64 > MAX_BYTES => Fault::TooLarge { limit: MAX_BYTES },
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => return Self::parse(shown, text).map(Some),
                Err(error) => {
                    let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                    let place = place(shown, &text, error.utf8_error().valid_up_to());
                    return Err(Problem::at(place, Fault::NotUtf8).into());
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => Fault::Unreadable { source },
        };
        Err(Problem::at(Place::Whole(shown.to_owned()), fault).into())
    }

    /// Parses the text of a file shown as `path`.
    pub(super) fn parse(path: &Path, text: String) -> Result<Self, ConfigErrors> {
        // The parser skips the mark too, and counts bytes without it.
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        if let Some((at, character)) = text.char_indices().find(|(_, c)| is_forbidden(*c)) {
            let fault = Fault::ControlCharacter { character };
            return Err(Problem::at(place(path, &text, at), fault).into());
        }
        match yaml::parse(&text) {
            Ok(root @ (Node::Mapping(_) | Node::Nothing)) => {
                Ok(Self { path: path.to_owned(), text, root })
            }
            Ok(root) => {
                let found = root.kind();
                let start = yaml::locate(&text, &[], Part::Value).unwrap_or_default();
                let place = place(path, &text, start);
                Err(Problem::at(place, Fault::NotSections { found }).into())
            }
            Err(error) => {
                let place = match error.offset {
                    Some(at) => place(path, &text, at),
                    None => Place::Whole(path.to_owned()),
                };
                let suspect = error.offset.and_then(|at| suspect(&text, at));
                let message = redact_urls(&error.message);
                Err(Problem::at(place, Fault::Syntax { message, suspect }).into())
            }
        }
    }

    /// The value of a key such as `pool.max_size`, and its path in entry numbers.
    pub(super) fn find(&self, key: &str) -> Option<(Vec<usize>, &Node)> {
        let mut path = Vec::new();
        let mut node = &self.root;
        for name in key.split('.') {
            let Node::Mapping(entries) = node else { return None };
            let (index, entry) = entries.iter().enumerate().find(|(_, entry)| entry.key == name)?;
            path.push(index);
            node = &entry.value;
        }
        Some((path, node))
    }

    /// The place of an entry, given by its path in entry numbers.
    pub(super) fn place(&self, path: &[usize], part: Part) -> Place {
        match yaml::locate(&self.text, path, part) {
            Some(offset) => place(&self.path, &self.text, offset),
            None => Place::Whole(self.path.clone()),
        }
    }
}

/// Reads at most one byte more than is allowed, so that an endless file ends here.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn place(path: &Path, text: &str, at: usize) -> Place {
    let (before, after) = text.split_at(text.floor_char_boundary(at));
    let head = before.rsplit('\n').next().unwrap_or_default();
    let tail = after.split('\n').next().unwrap_or_default();
    let line: String = [head, tail].concat();
    let (excerpt, caret) = window(redact_line(line.trim_end_matches('\r'), head.len()));
    Place::File(Position {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: head.chars().count() + 1,
        excerpt,
        caret,
    })
}

/// Shortens a long line to the part around its caret, and makes every character one column wide.
fn window((line, caret): (String, usize)) -> (String, usize) {
    let clean = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    let start = caret.saturating_sub(MAX_COLUMNS / 2);
    let start = if line.chars().count() <= MAX_COLUMNS { 0 } else { start };
    let mut shown: String = line.chars().map(clean).skip(start).take(MAX_COLUMNS).collect();
    if start + MAX_COLUMNS < line.chars().count() {
        shown.push('…');
    }
    if start > 0 {
        shown.insert(0, '…');
        return (shown, caret - start + 1);
    }
    (shown, caret)
}

/// The parser refuses these as well, but doesn't say where they are.
fn is_forbidden(character: char) -> bool {
    character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{85}')
}

/// A likely cause of a syntax error at the byte `at`.
fn suspect(text: &str, at: usize) -> Option<Suspect> {
    let (before, after) = text.split_at(text.floor_char_boundary(at));
    let head = before.rsplit('\n').next().unwrap_or_default();
    let blank = head.chars().all(|c| c == ' ' || c == '\t');
    if blank && (head.contains('\t') || after.starts_with('\t')) {
        Some(Suspect::Tab)
    } else if head.ends_with('$') && after.starts_with('{') {
        Some(Suspect::Reference)
    } else {
        None
    }
}
