//! Where the value of a key goes: reading a value into it and writing it back as YAML.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::Mode;
use super::rule::{Refusal, Rule};
use super::secret::{DatabaseUrl, NotADatabaseUrl, quoted, redact_value, shortened};
use super::units::{AmountError, Measure, seconds};
use super::yaml::Node;
use crate::telemetry::Format;

const SWITCH: [(&str, bool); 2] = [("true", true), ("false", false)];
const MODES: [(&str, Mode); 2] = [("embedded", Mode::Embedded), ("external", Mode::External)];
const FORMATS: [(&str, Format); 2] = [("text", Format::Text), ("json", Format::Json)];

/// The field that a key sets.
pub(super) enum Slot<'a> {
    Amount { target: Target<'a>, measure: Measure, bounds: RangeInclusive<u64> },
    Switch(&'a mut bool),
    Mode(&'a mut Option<Mode>),
    Format(&'a mut Format),
    Folder(&'a mut PathBuf),
    OptionalFolder(&'a mut Option<PathBuf>),
    Account(&'a mut Option<String>),
    Url(&'a mut Option<DatabaseUrl>),
    Filter(&'a mut String),
}

/// The field of an amount.
pub(super) enum Target<'a> {
    Usize(&'a mut usize),
    U32(&'a mut u32),
    U64(&'a mut u64),
    Duration(&'a mut Duration),
}

/// A value as somebody gave it.
pub(super) enum Given<'a> {
    /// A value of the file, which has a type.
    Typed(&'a Node),
    /// Text from the environment, which stands for any type.
    Free(&'a str),
    /// Text of a variable from the time when durations were plain seconds.
    Historical(&'a str),
}

impl<'a> Slot<'a> {
    pub(super) fn count(target: Target<'a>, bounds: RangeInclusive<u64>) -> Self {
        Self::Amount { target, measure: Measure::Count, bounds }
    }

    pub(super) fn time(field: &'a mut Duration, bounds: RangeInclusive<Duration>) -> Self {
        let bounds = milliseconds(*bounds.start())..=milliseconds(*bounds.end());
        Self::Amount { target: Target::Duration(field), measure: Measure::Time, bounds }
    }

    pub(super) fn size(target: Target<'a>, bounds: RangeInclusive<u64>) -> Self {
        Self::Amount { target, measure: Measure::Size, bounds }
    }

    pub(super) fn rule(&self) -> Rule {
        match self {
            Self::Amount { measure, bounds, .. } => {
                Rule::Amount { measure: *measure, min: *bounds.start(), max: *bounds.end() }
            }
            Self::Switch(_) => Rule::Words(SWITCH.map(|(word, _)| word)),
            Self::Mode(_) => Rule::Words(MODES.map(|(word, _)| word)),
            Self::Format(_) => Rule::Words(FORMATS.map(|(word, _)| word)),
            Self::Folder(_) | Self::OptionalFolder(_) => Rule::Folder,
            Self::Account(_) => Rule::Account,
            Self::Url(_) => Rule::Url,
            Self::Filter(_) => Rule::Filter,
        }
    }

    /// Sets the field, and says whether there was a value: a key that has no default may be empty.
    pub(super) fn set(&mut self, given: &Given<'_>) -> Result<bool, Refusal> {
        if let Self::Amount { target, measure, bounds } = self {
            target.set(amount(given, *measure, bounds)?);
            return Ok(true);
        }
        if let Self::Switch(field) = self {
            **field = switch(given)?;
            return Ok(true);
        }
        let empty = match given {
            Given::Typed(Node::Text(text)) => text.is_empty(),
            Given::Typed(node) => matches!(node, Node::Nothing),
            Given::Free(text) | Given::Historical(text) => text.is_empty(),
        };
        let optional = matches!(
            self,
            Self::Folder(_) | Self::OptionalFolder(_) | Self::Account(_) | Self::Url(_)
        );
        if empty && optional {
            return Ok(false);
        }
        match given {
            Given::Typed(Node::Text(text)) => self.set_text(text)?,
            Given::Free(text) | Given::Historical(text) => self.set_text(text)?,
            Given::Typed(node) => {
                return Err(Refusal::Type { found: self.describe(node) });
            }
        }
        Ok(true)
    }

    /// Whether this field and the same one of another draft hold different values.
    pub(super) fn differs(&self, other: &Self) -> bool {
        match (self, other) {
            // Two passwords look the same when printed.
            (Self::Url(one), Self::Url(other)) => one != other,
            _ => self.print() != other.print(),
        }
    }

    /// The value as YAML without secrets, `None` when there is none.
    pub(super) fn print(&self) -> Option<String> {
        match self {
            Self::Amount { target, measure, .. } => Some(measure.print(target.get())),
            Self::Switch(field) => word_of(&SWITCH, *field),
            Self::Mode(mode) => mode.as_ref().and_then(|mode| word_of(&MODES, mode)),
            Self::Format(format) => word_of(&FORMATS, *format),
            Self::Folder(path) => Some(quote(&path.to_string_lossy())),
            Self::OptionalFolder(path) => path.as_ref().map(|path| quote(&path.to_string_lossy())),
            Self::Account(name) => name.as_deref().map(quote),
            Self::Url(url) => url.as_ref().map(|url| quote(&url.to_string())),
            Self::Filter(filter) => Some(quote(filter)),
        }
    }

    fn set_text(&mut self, text: &str) -> Result<(), Refusal> {
        match self {
            // `set` has dealt with these.
            Self::Amount { .. } | Self::Switch(_) => {}
            Self::Mode(mode) => **mode = Some(word(&MODES, text)?),
            Self::Format(format) => **format = word(&FORMATS, text)?,
            Self::Folder(path) => **path = folder(text)?,
            Self::OptionalFolder(path) => **path = Some(folder(text)?),
            Self::Account(name) => {
                let odd = |c: char| c.is_whitespace() || c.is_control() || c == ':' || c == '/';
                if text.contains(odd) {
                    return Err(malformed(text));
                }
                **name = Some(text.to_owned());
            }
            Self::Url(url) => **url = Some(parse_url(text)?),
            Self::Filter(filter) => {
                if !is_filter(text) {
                    return Err(malformed(text));
                }
                text.clone_into(filter);
            }
        }
        Ok(())
    }

    /// What a value of a wrong type is, without secrets.
    fn describe(&self, node: &Node) -> String {
        if matches!(self, Self::Url(_)) { node.kind().to_owned() } else { node.describe() }
    }
}

impl Target<'_> {
    fn get(&self) -> u64 {
        match self {
            Self::Usize(field) => **field as u64,
            Self::U32(field) => u64::from(**field),
            Self::U64(field) => **field,
            Self::Duration(field) => milliseconds(**field),
        }
    }

    fn set(&mut self, amount: u64) {
        match self {
            // The bounds of all counts fit in 32 bits.
            Self::Usize(field) => **field = usize::try_from(amount).unwrap_or(usize::MAX),
            Self::U32(field) => **field = u32::try_from(amount).unwrap_or(u32::MAX),
            Self::U64(field) => **field = amount,
            Self::Duration(field) => **field = Duration::from_millis(amount),
        }
    }
}

/// Reads an amount. Only the environment may give a count as text.
fn amount(
    given: &Given<'_>,
    measure: Measure,
    bounds: &RangeInclusive<u64>,
) -> Result<u64, Refusal> {
    let text = match given {
        Given::Typed(Node::Text(text)) if measure == Measure::Count => {
            return Err(match measure.parse(text) {
                Ok(_) => Refusal::Quoted { text: text.clone() },
                Err(_) => Refusal::Type { found: quoted(text) },
            });
        }
        Given::Typed(Node::Text(text) | Node::Number(text)) => text.as_str(),
        Given::Typed(node) => return Err(Refusal::Type { found: node.describe() }),
        Given::Free(text) | Given::Historical(text) => text.trim(),
    };
    let (min, max) = (measure.print(*bounds.start()), measure.print(*bounds.end()));
    if text.strip_prefix('-').is_some_and(|rest| measure.parse(rest).is_ok()) {
        return Err(Refusal::TooLow { value: shortened(text), min });
    }
    let seconds = match given {
        Given::Historical(_) if measure == Measure::Time => seconds(text),
        Given::Typed(_) | Given::Free(_) | Given::Historical(_) => None,
    };
    match seconds.map_or_else(|| measure.parse(text), Ok) {
        Ok(amount) if bounds.contains(&amount) => Ok(amount),
        Ok(amount) if amount < *bounds.start() => {
            Err(Refusal::TooLow { value: measure.print(amount), min })
        }
        Ok(amount) => Err(Refusal::TooHigh { value: measure.print(amount), max }),
        Err(AmountError::TooLarge) => Err(Refusal::TooHigh { value: shortened(text), max }),
        Err(AmountError::NoUnit) => Err(Refusal::NoUnit { number: text.to_owned() }),
        Err(AmountError::UnknownUnit(unit)) => {
            Err(Refusal::UnknownUnit { value: quoted(text), unit: quoted(&unit) })
        }
        Err(AmountError::NotANumber) => Err(Refusal::Type {
            found: match given {
                Given::Typed(node) => node.describe(),
                Given::Free(_) | Given::Historical(_) => quoted(text),
            },
        }),
    }
}

/// Reads a switch. The historical variables take whatever the program that had them took.
fn switch(given: &Given<'_>) -> Result<bool, Refusal> {
    let text = match given {
        Given::Typed(Node::Bool(value)) => return Ok(*value),
        Given::Typed(Node::Text(text)) if word(&SWITCH, text).is_ok() => {
            return Err(Refusal::Quoted { text: text.clone() });
        }
        Given::Typed(Node::Text(text)) => text.as_str(),
        Given::Typed(node) => return Err(Refusal::Type { found: node.describe() }),
        Given::Free(text) => text.trim(),
        Given::Historical(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "t" | "y" | "yes" | "on" => return Ok(true),
            "false" | "0" | "f" | "n" | "no" | "off" => return Ok(false),
            _ => text,
        },
    };
    word(&SWITCH, text)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn folder(text: &str) -> Result<PathBuf, Refusal> {
    let path = Path::new(text);
    if path.is_absolute() && !text.contains('\0') {
        return Ok(path.to_owned());
    }
    Err(malformed(text))
}

/// Stricter than the parser of filters: that takes a misspelled level for the name of a target,
/// and what follows a blank too. It also panics at some text that is not ASCII.
fn is_filter(text: &str) -> bool {
    let is_level =
        |directive: &str| !directive.is_empty() && directive.parse::<LevelFilter>().is_ok();
    let sound = text.split(',').all(|directive| {
        directive == directive.trim() && (directive.contains(['=', '[']) || is_level(directive))
    });
    text.is_ascii() && sound && EnvFilter::try_new(text).is_ok()
}

fn parse_url(text: &str) -> Result<DatabaseUrl, Refusal> {
    text.parse()
        .map_err(|NotADatabaseUrl| Refusal::Malformed { shown: shortened(&redact_value(text)) })
}

fn malformed(text: &str) -> Refusal {
    Refusal::Malformed { shown: quoted(text) }
}

/// The entry of `words` that is `text`.
fn word<T: Copy>(words: &[(&str, T)], text: &str) -> Result<T, Refusal> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| malformed(text))
}

fn word_of<T: PartialEq>(words: &[(&str, T)], value: &T) -> Option<String> {
    let found = words.iter().find(|(_, known)| known == value);
    found.map(|(word, _)| (*word).to_owned())
}

/// A double-quoted YAML scalar that the loader reads as `text`: its `$` are doubled.
fn quote(text: &str) -> String {
    let mut result = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => result.extend(['\\', character]),
            '$' => result.push_str("$$"),
            ' ' => result.push(' '),
            c if c.is_ascii_graphic() || c.is_alphanumeric() => result.push(c),
            c => result.extend(["\\U", &format!("{:08X}", u32::from(c))]),
        }
    }
    result.push('"');
    result
}
