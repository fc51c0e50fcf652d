//! What is wrong with a configuration: where, why and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::expand::ExpandError;
use super::known::Suggestion;
use super::rule::{Refusal, Rule};

/// Everything that is wrong with the configuration, at least one problem.
#[derive(Debug)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
    omitted: usize,
}

/// One problem. `Display` shows its places, the rule and the fix on several lines.
#[derive(Debug)]
pub struct Problem {
    /// Where the values in question come from, the one to blame first.
    pub places: Vec<Place>,
    /// What is wrong.
    pub fault: Fault,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A point in the configuration file.
    File(Position),
    /// The configuration file as a whole.
    Whole(PathBuf),
    /// The argument that names the file.
    Argument,
    /// An environment variable.
    Variable(String),
    /// The built-in default.
    Default,
}

/// A point in the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file, relative to the working folder where it is in there.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line without secrets, shortened when it is long.
    pub excerpt: String,
    /// The characters of `excerpt` that come before the point.
    pub caret: usize,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The named file does not exist.
    #[error("there is no file {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file can't be opened or read.
    #[error("the file can't be read: {source}")]
    Unreadable {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is too large for a configuration.
    #[error("the file is larger than {} KiB", limit / 1024)]
    TooLarge {
        /// The largest size, in bytes.
        limit: u64,
    },
    /// The file is not UTF-8 from here on.
    #[error("the file is not UTF-8")]
    NotUtf8,
    /// A character that YAML does not allow.
    #[error("the control character {} is not allowed", character.escape_unicode())]
    ControlCharacter {
        /// The character.
        character: char,
    },
    /// The file is not YAML.
    #[error("this is not valid YAML: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
        /// What is likely to have caused it.
        suspect: Option<Suspect>,
    },
    /// The top of the file is not a mapping.
    #[error("the file is {found} at the top, instead of sections")]
    NotSections {
        /// What it is.
        found: &'static str,
    },
    /// No section and no key has this name.
    #[error("{key} is not a key")]
    UnknownKey {
        /// The path of the key.
        key: String,
        /// What may be meant.
        suggestion: Suggestion,
    },
    /// A variable with our prefix that names no key.
    #[error("this variable belongs to no key")]
    UnknownVariable {
        /// The variable that may be meant.
        nearest: Option<String>,
    },
    /// The same key stands twice in one section.
    #[error("{key} is set again")]
    RepeatedKey {
        /// The path of the key.
        key: String,
    },
    /// A section has a value instead of keys.
    #[error("{section} is {found}")]
    NotASection {
        /// The path of the section.
        section: String,
        /// What it is.
        found: &'static str,
    },
    /// A value that breaks the rule of its key.
    #[error("{key} is {refusal}")]
    Refused {
        /// The path of the key.
        key: &'static str,
        /// What is wrong with the value.
        refusal: Refusal,
        /// The rule.
        rule: Rule,
        /// The default as it would be written, if there is one.
        default: Option<String>,
    },
    /// A value that can't be expanded.
    #[error("{key} can't be expanded: {source}")]
    Expand {
        /// The path of the key.
        key: &'static str,
        /// Why.
        #[source]
        source: ExpandError,
    },
    /// The value of an environment variable is not Unicode.
    #[error("this value for {key} is not Unicode")]
    NotUnicode {
        /// The path of the key.
        key: &'static str,
    },
    /// Two old names of one key say different things.
    #[error("{key} is {} in {}, but {} in {}", first.1, first.0, second.1, second.0)]
    Disagreement {
        /// The path of the key.
        key: &'static str,
        /// A variable and its value.
        first: (&'static str, String),
        /// The other variable and its value.
        second: (&'static str, String),
        /// The variable that comes before both.
        preferred: String,
    },
    /// A size that another one limits is larger than that.
    #[error(
        "{} ({}, {}) is more than {} ({}, {})",
        small.key, small.value, small.place, large.key, large.value, large.place
    )]
    Sizes {
        /// The size that may not be larger.
        small: Size,
        /// The size that limits it.
        large: Size,
    },
    /// A URL for a database of one's own, and an explicit wish for the embedded one.
    #[error(
        "database.url ({url}, {url_place}) is set, but database.mode ({mode_place}) is embedded"
    )]
    UrlWithEmbedded {
        /// The URL without its password.
        url: String,
        /// Where it comes from.
        url_place: Place,
        /// Where the mode comes from.
        mode_place: Place,
    },
    /// An external database without its URL.
    #[error("database.mode is external, but database.url is not set")]
    NoUrl,
    /// Nothing says where the data of the embedded database belongs.
    #[error("there is no folder for the embedded database, because HOME is not set")]
    NoDataFolder,
}

/// A size that is compared with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// The path of its key.
    pub key: &'static str,
    /// How large it is.
    pub value: u32,
    /// Where it comes from.
    pub place: Place,
}

/// A likely cause of a syntax error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspect {
    /// A tab indents the line.
    Tab,
    /// A `${NAME}` without quotes between braces, where YAML gives its braces a meaning.
    Reference,
}

/// Collects problems. Beyond a limit they are only counted, since finding a place takes time.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<Problem>,
    omitted: usize,
}

impl ConfigErrors {
    /// The problems in the order of the file, then those of the environment.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Problem {
    pub(super) fn at(place: Place, fault: Fault) -> Self {
        Self { places: vec![place], fault }
    }
}

impl Problems {
    const LIMIT: usize = 100;

    pub(super) fn push(&mut self, problem: impl FnOnce() -> Problem) {
        if self.list.len() < Self::LIMIT {
            self.list.push(problem());
        } else {
            self.omitted += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems in the order of the file, then those of the environment.
    pub(super) fn into_errors(mut self) -> ConfigErrors {
        self.list.sort_by_key(|problem| match problem.places.first().and_then(Place::position) {
            Some(position) => (0, position.line, position.column),
            None => (1, 0, 0),
        });
        ConfigErrors { problems: self.list, omitted: self.omitted }
    }
}

impl Fault {
    /// The rule that is broken, where there is one beyond the message.
    pub fn rule(&self) -> Option<String> {
        match self {
            Self::Refused { rule, .. } => Some(rule.to_string()),
            Self::TooLarge { limit } => Some(format!("at most {} KiB", limit / 1024)),
            Self::NotSections { .. } => Some("sections with keys and values".to_owned()),
            Self::NotASection { section, .. } => {
                Some(format!("{section} is a section: keys and values below it, indented"))
            }
            Self::RepeatedKey { .. } => Some("a key stands once in its section".to_owned()),
            Self::Sizes { small, large } => {
                Some(format!("{} is at most as large as {}", small.key, large.key))
            }
            Self::UrlWithEmbedded { .. } => {
                Some("a database is either embedded or has a URL".to_owned())
            }
            Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::NotUtf8
            | Self::ControlCharacter { .. }
            | Self::Syntax { .. }
            | Self::UnknownKey { .. }
            | Self::UnknownVariable { .. }
            | Self::Expand { .. }
            | Self::NotUnicode { .. }
            | Self::Disagreement { .. }
            | Self::NoUrl
            | Self::NoDataFolder => None,
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Missing { .. } => "correct the path, or create the file".to_owned(),
            Self::Unreadable { .. } => "make it a file that this user can read".to_owned(),
            Self::TooLarge { .. } => "check that this is the right file".to_owned(),
            Self::NotUtf8 => "save the file as UTF-8".to_owned(),
            Self::ControlCharacter { .. } => {
                "delete it, or write it as an escape in double quotes".to_owned()
            }
            Self::Syntax { suspect, .. } => match suspect {
                Some(Suspect::Tab) => "indent with spaces instead of tabs",
                Some(Suspect::Reference) => "between braces, put ${NAME} in quotes: \"${NAME}\"",
                None => "check the indentation, quotes and brackets here and in the line above",
            }
            .to_owned(),
            Self::NotSections { .. } => "begin with a section such as pool:".to_owned(),
            Self::UnknownKey { suggestion, .. } => suggestion.to_string(),
            Self::UnknownVariable { nearest: Some(nearest) } => {
                format!("rename it to {nearest}")
            }
            Self::UnknownVariable { nearest: None } => "unset it".to_owned(),
            Self::RepeatedKey { .. } => "keep one of them".to_owned(),
            Self::NotASection { section, .. } => {
                format!("write the keys of {section} below it, or remove {section}")
            }
            Self::Refused { refusal, rule, default, .. } => refusal.fix(rule, default.as_deref()),
            Self::Expand { source, .. } => source.fix(),
            Self::NotUnicode { .. } => "set the variable to text, or unset it".to_owned(),
            Self::Disagreement { preferred, .. } => {
                format!("unset one of them, or set {preferred}, which comes before both")
            }
            Self::Sizes { small, large } => format!(
                "lower {} to {} or less, or raise {} to {} or more",
                small.key, large.value, large.key, small.value
            ),
            Self::UrlWithEmbedded { .. } => {
                "remove database.url, or set database.mode to external".to_owned()
            }
            Self::NoUrl => "set database.url (or the variable DATABASE_URL), or set database.mode \
                            to embedded"
                .to_owned(),
            Self::NoDataFolder => "set HOME or XDG_DATA_HOME to an absolute path, or set \
                                   database.data_dir and database.install_dir, or set database.url"
                .to_owned(),
        }
    }
}

impl From<Problem> for ConfigErrors {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem], omitted: 0 }
    }
}

impl std::error::Error for ConfigErrors {}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.fault)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() + self.omitted {
            1 => formatter.write_str("the configuration has a problem")?,
            count => write!(formatter, "the configuration has {count} problems")?,
        }
        for problem in &self.problems {
            write!(formatter, "\n\n{problem}")?;
        }
        if self.omitted > 0 {
            write!(formatter, "\n\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.places.first() {
            write!(formatter, "{place}: ")?;
        }
        write!(formatter, "{}", self.fault)?;
        let positions: Vec<&Position> = self.places.iter().filter_map(Place::position).collect();
        let width = positions.iter().map(|position| position.line.to_string().len()).max();
        let width = width.unwrap_or_default();
        for position in &positions {
            let Position { line, excerpt, caret, .. } = position;
            write!(formatter, "\n  {line:>width$} | {excerpt}")?;
            write!(formatter, "\n  {:width$} | {:caret$}^", "", "")?;
        }
        if let Some(rule) = self.fault.rule() {
            write!(formatter, "\n  rule: {rule}")?;
        }
        write!(formatter, "\n  fix:  {}", self.fault.fix())
    }
}

impl Place {
    fn position(&self) -> Option<&Position> {
        match self {
            Self::File(position) => Some(position),
            Self::Whole(_) | Self::Argument | Self::Variable(_) | Self::Default => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(Position { path, line, column, .. }) => {
                write!(formatter, "{}:{line}:{column}", path.display())
            }
            Self::Whole(path) => write!(formatter, "{}", path.display()),
            Self::Argument => formatter.write_str("--config"),
            Self::Variable(name) => formatter.write_str(name),
            Self::Default => formatter.write_str("the default"),
        }
    }
}
