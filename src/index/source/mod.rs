//! Reads one file as text, whatever has become of it since the scan.

use std::fs::File;
use std::io::{self, Read};

use crate::index::root::Opened;
use crate::index::{Config, FailCause, Language, Root, SkipRule};

/// So much of a file shows whether it is binary before the rest is read. Bytes.
const SNIFFED: u64 = 8 * 1024;

/// The text of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The content without a byte order mark. Has a character that is not whitespace.
    pub text: String,
    /// The BLAKE3 hash of the file's bytes, byte order mark included.
    pub hash: [u8; 32],
    /// The number of the file's bytes, byte order mark included.
    pub size: u64,
    /// The language.
    pub language: Language,
}

/// Why a file has no [`Source`].
#[derive(Debug)]
pub enum Unreadable {
    /// A rule keeps the file out.
    Skip(SkipRule),
    /// The file could not be read.
    Fail(FailCause),
}

/// Reads the file at `relative`, a path from a scan of `root`. Blocks the thread.
///
/// Reads one byte more than `config.max_file_size` at most, follows no symbolic link, and does not
/// wait for the other end of a pipe.
pub fn read(root: &Root, relative: &str, config: &Config) -> Result<Source, Unreadable> {
    let (mut file, expected) = match root.open(relative).map_err(Unreadable::Fail)? {
        Opened::Regular(file, metadata) => (file, metadata.len()),
        Opened::Symlink => return Err(Unreadable::Skip(SkipRule::Symlink)),
        Opened::Special => return Err(Unreadable::Skip(SkipRule::NotAFile)),
    };
    let limit = config.max_file_size;
    if expected > limit {
        return Err(Unreadable::Skip(SkipRule::TooLarge { size: expected, limit }));
    }
    let failed = |source| Unreadable::Fail(FailCause::Read { source });
    let bytes = read_bytes(&mut file, expected, limit).map_err(failed)?;
    let size = bytes.len() as u64;
    if size > limit {
        return Err(Unreadable::Skip(SkipRule::TooLarge { size, limit }));
    }
    let hash = *blake3::hash(&bytes).as_bytes();
    let text = text(bytes, config.max_line_length).map_err(Unreadable::Skip)?;
    let language = Language::of(relative, &text);
    Ok(Source { text, hash, size, language })
}

/// Reads to the end, but not beyond `limit` by more than one byte nor, in a binary file, beyond its
/// start.
fn read_bytes(file: &mut File, expected: u64, limit: u64) -> io::Result<Vec<u8>> {
    // A changing file may have another size by now; the size only spares the vector its growth.
    let mut bytes = Vec::with_capacity(usize::try_from(expected.min(limit)).unwrap_or(0) + 1);
    file.take(SNIFFED.min(limit + 1)).read_to_end(&mut bytes)?;
    if !bytes.contains(&0) {
        let rest = (limit + 1).saturating_sub(bytes.len() as u64);
        file.take(rest).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Checks that `bytes` are text worth an index, and removes a byte order mark.
fn text(bytes: Vec<u8>, max_line_length: usize) -> Result<String, SkipRule> {
    if bytes.contains(&0) {
        return Err(SkipRule::Binary);
    }
    let mut text = String::from_utf8(bytes)
        .map_err(|error| SkipRule::NotUtf8 { offset: error.utf8_error().valid_up_to() })?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    if text.trim().is_empty() {
        return Err(SkipRule::Empty);
    }
    match text.lines().map(str::len).find(|length| *length > max_line_length) {
        Some(length) => Err(SkipRule::LongLine { length, limit: max_line_length }),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests;
