//! Why a walked file is not in the index: the rule that skipped it or the cause of its failure.

use std::path::PathBuf;
use std::{fmt, io};

/// A rule that keeps a file out of the index for as long as the file stays as it is.
///
/// `Display` is a sentence for people; [`label`](Self::label) is stored and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipRule {
    /// Larger than the limit. Both in bytes; a file that grew while it was read has at least `size`.
    TooLarge {
        /// The file's size.
        size: u64,
        /// `index.max_file_size`.
        limit: u64,
    },
    /// Contains a NUL byte, as do UTF-16 texts.
    Binary,
    /// Contains bytes that are no UTF-8, but no NUL byte.
    NotUtf8 {
        /// Bytes before the first wrong one.
        offset: usize,
    },
    /// A line is longer than the limit, as in minified and generated files. Both in bytes.
    LongLine {
        /// The length of the first such line without its line break.
        length: usize,
        /// `index.max_line_length`.
        limit: usize,
    },
    /// A symbolic link, whether to a file or to a folder.
    Symlink,
    /// A pipe, a socket or a device, or by now a folder.
    NotAFile,
    /// Empty, or nothing but whitespace.
    Empty,
    /// A file or folder whose name is not UTF-8.
    NotUtf8Name,
}

/// What kept a file, or all of a folder, from being read. The next scan tries again.
#[derive(Debug, thiserror::Error)]
pub enum FailCause {
    /// The folder's entries are unknown, so are all files below it.
    #[error("cannot list the folder; check its permissions")]
    List {
        /// The system's answer.
        source: io::Error,
    },
    /// What an ignore file leaves out is unknown, so nothing below its folder is read.
    #[error(
        "cannot apply the ignore file {}; the folder is left out because it may hide private files",
        path.display()
    )]
    IgnoreFile {
        /// The ignore file.
        path: PathBuf,
        /// The system's answer, or what is wrong with the content.
        source: io::Error,
    },
    /// The file's size and time are unknown.
    #[error("cannot read the size and time of the file")]
    Metadata {
        /// The system's answer.
        source: io::Error,
    },
    /// The file, or a folder on the way to it, cannot be opened, or is a link by now.
    #[error("cannot open the file; check its permissions, or whether it was moved")]
    Open {
        /// The system's answer.
        source: io::Error,
    },
    /// Reading stopped in the middle.
    #[error("cannot read the file to its end")]
    Read {
        /// The system's answer.
        source: io::Error,
    },
    /// The path is absolute, or empty, or has `.` or `..` in it.
    #[error("the path is not a plain path below the root; paths come from a scan")]
    OutsideRoot,
}

impl SkipRule {
    /// Returns a stable name in `snake_case`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Binary => "binary",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::LongLine { .. } => "long_line",
            Self::Symlink => "symlink",
            Self::NotAFile => "not_a_file",
            Self::Empty => "empty",
            Self::NotUtf8Name => "not_utf8_name",
        }
    }
}

impl fmt::Display for SkipRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { size, limit } => write!(
                f,
                "the file has {size} bytes and the limit is {limit}; raise `index.max_file_size` \
                 to index it"
            ),
            Self::Binary => f.write_str("the file has a NUL byte, so it is no text"),
            Self::NotUtf8 { offset } => {
                write!(f, "the file is not UTF-8 from byte {offset} on; convert it to index it")
            }
            Self::LongLine { length, limit } => write!(
                f,
                "a line has {length} bytes and the limit is {limit}, so the file looks generated; \
                 raise `index.max_line_length` to index it"
            ),
            Self::Symlink => f.write_str("a symbolic link; links are not followed"),
            Self::NotAFile => {
                f.write_str("not a regular file, but a pipe, socket, device or folder")
            }
            Self::Empty => f.write_str("the file has no text"),
            Self::NotUtf8Name => f.write_str("the name is not UTF-8; rename it to index it"),
        }
    }
}

impl FailCause {
    /// Returns a stable name in `snake_case`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::List { .. } => "list",
            Self::IgnoreFile { .. } => "ignore_file",
            Self::Metadata { .. } => "metadata",
            Self::Open { .. } => "open",
            Self::Read { .. } => "read",
            Self::OutsideRoot => "outside_root",
        }
    }
}
