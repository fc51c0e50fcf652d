//! The rule of a key, in words, and the ways to break it.

use std::fmt;

use super::units::Measure;

/// What a key accepts. `Display` says it in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// An amount within bounds, both included, in the measure's smallest unit.
    Amount {
        /// What is counted.
        measure: Measure,
        /// The smallest amount.
        min: u64,
        /// The largest amount.
        max: u64,
    },
    /// One of two words.
    Words([&'static str; 2]),
    /// An absolute path.
    Folder,
    /// The name of a user of the system.
    Account,
    /// The URL of a PostgreSQL database, a secret.
    Url,
    /// The filter of the log.
    Filter,
}

/// How a value breaks its rule. `Display` continues the sentence "the key is".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A value of another type.
    #[error("{found}")]
    Type {
        /// What it is.
        found: String,
    },
    /// A number in quotes.
    #[error("{text:?}, which is text")]
    Quoted {
        /// The text, which would be accepted without quotes.
        text: String,
    },
    /// Less than the smallest amount.
    #[error("{value}, less than {min}")]
    TooLow {
        /// The value.
        value: String,
        /// The smallest amount.
        min: String,
    },
    /// More than the largest amount.
    #[error("{value}, more than {max}")]
    TooHigh {
        /// The value.
        value: String,
        /// The largest amount.
        max: String,
    },
    /// A number that needs a unit.
    #[error("{number}, without a unit")]
    NoUnit {
        /// The number.
        number: String,
    },
    /// A number with something that is not a unit.
    #[error("{value}, and {unit} is not a unit")]
    UnknownUnit {
        /// The value.
        value: String,
        /// What stands in place of the unit.
        unit: String,
    },
    /// A text that can't be read as what it should be.
    #[error("{shown}")]
    Malformed {
        /// The value, without secrets.
        shown: String,
    },
}

impl Refusal {
    /// What to do about it.
    pub(super) fn fix(&self, rule: &Rule, default: Option<&str>) -> String {
        match self {
            Self::Quoted { text } => format!("remove the quotes: {text}"),
            Self::TooLow { min, .. } => format!("set it to {min} or more"),
            Self::TooHigh { max, .. } => format!("set it to {max} or less"),
            Self::NoUnit { number } => format!("add a unit: {number}{}", rule.plain_unit()),
            Self::UnknownUnit { .. } => {
                format!("write a number and one of {}, without a space", rule.unit_names())
            }
            Self::Malformed { shown } => rule.advice(shown),
            Self::Type { .. } => match default {
                Some(default) => {
                    format!("write a value such as {default}, or leave it out for this default")
                }
                None => rule.advice(""),
            },
        }
    }
}

impl Rule {
    fn plain_unit(&self) -> &'static str {
        self.measure().map_or("", Measure::plain_unit)
    }

    fn unit_names(&self) -> &'static str {
        self.measure().map_or("", Measure::unit_names)
    }

    fn measure(&self) -> Option<Measure> {
        match self {
            Self::Amount { measure, .. } => Some(*measure),
            Self::Words(_) | Self::Folder | Self::Account | Self::Url | Self::Filter => None,
        }
    }

    fn advice(&self, shown: &str) -> String {
        match self {
            Self::Amount { measure, min, .. } => {
                format!("write a value such as {}", measure.print(*min))
            }
            Self::Words(words) => {
                let shown = shown.trim_matches('"').to_ascii_lowercase();
                let near =
                    |word: &&&str| strsim::normalized_damerau_levenshtein(word, &shown) > 0.5;
                match words.iter().find(near) {
                    Some(word) => format!("write {word}"),
                    None => format!("write {}", words.join(" or ")),
                }
            }
            Self::Folder => "write the whole path, from / on; ${HOME} is your home".to_owned(),
            Self::Account => "write the name of a user, such as postgres".to_owned(),
            Self::Url => {
                "write it as postgres://user:password@host:5432/database; in the password, percent-\
                 encode characters such as @ and blanks"
                    .to_owned()
            }
            Self::Filter => {
                "write a level (error, warn, info, debug, trace, off) or directives such as \
                 codebase_mcp=debug,sqlx=warn"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount { measure, min, max } => {
                let what = match measure {
                    Measure::Count => "a whole number",
                    Measure::Time => "a duration: a whole number with a unit (ms, s, m, h, d),",
                    Measure::Size => {
                        "a size: a whole number with a unit (B, KiB, MiB, GiB, kB, MB, GB),"
                    }
                };
                write!(formatter, "{what} from {} to {}", measure.print(*min), measure.print(*max))
            }
            Self::Words(words) => formatter.write_str(&words.join(" or ")),
            Self::Folder => formatter.write_str("an absolute path"),
            Self::Account => formatter.write_str("the name of a user of this system"),
            Self::Url => formatter.write_str("a URL that starts with postgres:// or postgresql://"),
            Self::Filter => {
                formatter.write_str("a log level, or directives of the form target=level, in ASCII")
            }
        }
    }
}
