//! What is wrong with a scenario or fault file: where, why and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::amount::AmountError;
use super::metric::UnknownMetric;
use super::place::Position;
use super::range::RangeError;

/// Everything that is wrong with a file, at least one problem.
#[derive(Debug)]
pub struct SchemaErrors {
    /// The file, as the user named it.
    pub path: PathBuf,
    /// The problems in the order of the file.
    pub problems: Vec<Problem>,
}

/// One problem and its place.
#[derive(Debug)]
pub struct Problem {
    /// Where it is, if it is at one place.
    pub position: Option<Position>,
    /// The line there, with parameters filled in.
    pub excerpt: String,
    /// What is wrong.
    pub fault: Wrong,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// The file cannot be read.
    #[error("the file can't be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It is not YAML, or a value is of the wrong type, or a key is unknown.
    #[error("{message}")]
    Shape {
        /// What the parser says, with advice.
        message: String,
    },
    /// `${name}` stands for nothing.
    #[error("`${{{name}}}` is no parameter; {}", known_or(.nearest.as_deref(), .known))]
    UnknownParameter {
        /// Its name.
        name: String,
        /// What may be meant.
        nearest: Option<String>,
        /// The parameters that there are.
        known: Vec<String>,
    },
    /// `--set` names a parameter that the file does not have.
    #[error("`--set {name}=…` names no parameter of this scenario; {}", known_or(.nearest.as_deref(), .known))]
    UnknownSetting {
        /// Its name.
        name: String,
        /// What may be meant.
        nearest: Option<String>,
        /// The parameters that there are.
        known: Vec<String>,
    },
    /// The name in the file is not that of the file.
    #[error("the name is `{name}`, and the file's is `{file}`; make them the same")]
    OtherName {
        /// In the file.
        name: String,
        /// Of the file.
        file: String,
    },
    /// A name is used twice, or is one that metrics begin with.
    #[error("`{name}` {why}; choose another name")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A metric is unknown.
    #[error(transparent)]
    Metric(#[from] UnknownMetric),
    /// An amount is of the wrong kind.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// A parameter is meant as a range and is none.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// An event is unknown.
    #[error("there is no event `{name}`; {}", known_or(.nearest.as_deref(), .known))]
    UnknownEvent {
        /// Its name.
        name: String,
        /// What may be meant.
        nearest: Option<String>,
        /// All events.
        known: Vec<String>,
    },
    /// An event has no such field.
    #[error("this event has no field `{name}`; {}", known_or(.nearest.as_deref(), .known))]
    UnknownField {
        /// The name of the field.
        name: String,
        /// What may be meant.
        nearest: Option<String>,
        /// All fields of the event.
        known: Vec<String>,
    },
    /// A kind of fault, or one of its parameters, is wrong.
    #[error("{message}")]
    FaultKind {
        /// What is wrong, with advice.
        message: String,
    },
    /// A fault file is not there.
    #[error("there is no fault `{name}` in {}; {}", folder.display(), known_or(.nearest.as_deref(), .known))]
    UnknownFault {
        /// Its name.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// What may be meant.
        nearest: Option<String>,
        /// The faults that there are.
        known: Vec<String>,
    },
    /// A key must be there, or must not, or does not go with another one.
    #[error("{rule}")]
    Rule {
        /// The rule that is broken and what to do.
        rule: String,
    },
}

/// Advice about a name: the nearest one, else all.
fn known_or(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => format!("known are {}", known.join(", ")),
    }
}

impl std::error::Error for SchemaErrors {}

impl fmt::Display for SchemaErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.path.display())?;
            match problem.position {
                Some(Position { line, column }) => {
                    writeln!(f, ":{line}:{column}: {}", problem.fault)?;
                    writeln!(f, "  {line:>4} | {}", problem.excerpt)?;
                    write!(f, "       | {}^", " ".repeat(column.saturating_sub(1)))?;
                }
                None => write!(f, ": {}", problem.fault)?,
            }
        }
        Ok(())
    }
}

/// What the parser says, with the nearest name where it does not know one.
pub(super) fn advised(message: &str) -> String {
    let unknown = ["unknown field `", "unknown variant `"];
    let Some((name, rest)) = unknown.iter().find_map(|mark| {
        let (_, rest) = message.split_once(mark)?;
        rest.split_once('`')
    }) else {
        return message.to_owned();
    };
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    match super::nearest(name, known.iter().copied()) {
        Some(nearest) => {
            let (head, _) = message.split_once(", expected").unwrap_or((message, ""));
            format!("{head}; did you mean `{nearest}`?")
        }
        None => message.to_owned(),
    }
}
