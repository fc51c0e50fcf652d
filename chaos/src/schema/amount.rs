//! Amounts with units, as scenarios write them: `10ms`, `99.9%`, `200/s`, `64MiB`, `2x`, `5`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What an amount measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things; written without a unit.
    Count,
    /// Seconds; written with `us`, `ms`, `s`, `m` or `h`.
    Time,
    /// A part of one; written in percent.
    Share,
    /// Bytes; written with `B`, `KiB`, `MiB` or `GiB`.
    Size,
    /// Things a second; written with `/s`.
    Rate,
    /// How many times something else; written with `x`.
    Ratio,
}

/// A number with its unit, in the base of that unit: seconds, parts of one, bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// The number.
    pub value: f64,
    /// What it measures.
    pub unit: Unit,
}

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// It does not begin with a number.
    #[error("`{text}` is not a number with a unit, such as 10ms, 99.9%, 200/s, 64MiB, 2x or 5")]
    NotANumber {
        /// The text.
        text: String,
    },
    /// What follows the number is no unit.
    #[error(
        "`{suffix}` in `{text}` is not a unit; known are us, ms, s, m, h, %, /s, x, B, KiB, MiB and GiB"
    )]
    UnknownUnit {
        /// The text.
        text: String,
        /// What follows the number.
        suffix: String,
    },
    /// The unit is one of something else.
    #[error("`{text}` is {found}, and {wanted} is wanted here")]
    OtherUnit {
        /// The text.
        text: String,
        /// What its unit measures.
        found: Unit,
        /// What should be measured.
        wanted: Unit,
    },
    /// A time beyond [`LONGEST`].
    #[error("`{text}` is longer than {}h, and no time may be; give a shorter one", LONGEST.as_secs() / 3600)]
    TooLong {
        /// The text.
        text: String,
    },
    /// The second of two times is before the first.
    #[error("`{text}` ends before it begins")]
    Backwards {
        /// The text.
        text: String,
    },
}

/// The longest time that a file or the command line may have: far above any run, and so short that the sums of what one
/// file has fit every clock.
pub(super) const LONGEST: Duration = Duration::from_hours(24);

const UNITS: [(&str, Unit, f64); 13] = [
    ("", Unit::Count, 1.0),
    ("us", Unit::Time, 1e-6),
    ("ms", Unit::Time, 1e-3),
    ("s", Unit::Time, 1.0),
    ("m", Unit::Time, 60.0),
    ("h", Unit::Time, 3600.0),
    ("%", Unit::Share, 0.01),
    ("B", Unit::Size, 1.0),
    ("KiB", Unit::Size, 1024.0),
    ("MiB", Unit::Size, 1024.0 * 1024.0),
    ("GiB", Unit::Size, 1024.0 * 1024.0 * 1024.0),
    ("/s", Unit::Rate, 1.0),
    ("x", Unit::Ratio, 1.0),
];

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "a number without a unit",
            Self::Time => "a time with us, ms, s, m or h",
            Self::Share => "a share in %",
            Self::Size => "a size with B, KiB, MiB or GiB",
            Self::Rate => "a rate with /s",
            Self::Ratio => "a ratio with x",
        })
    }
}

impl Amount {
    /// An amount in the base of its unit.
    pub fn new(value: f64, unit: Unit) -> Self {
        Self { value, unit }
    }

    /// This amount if it measures `wanted`.
    pub fn of(self, wanted: Unit) -> Result<f64, AmountError> {
        if self.unit == wanted {
            return Ok(self.value);
        }
        Err(AmountError::OtherUnit { text: self.to_string(), found: self.unit, wanted })
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let begins = number.starts_with(|c: char| c.is_ascii_digit()) && !number.ends_with('.');
        let number: Option<f64> = number.parse().ok().filter(|_| begins);
        let Some(number) = number else {
            return Err(AmountError::NotANumber { text: text.to_owned() });
        };
        match UNITS.iter().find(|(name, ..)| *name == suffix) {
            Some((_, Unit::Time, factor)) if number * factor > LONGEST.as_secs_f64() => {
                Err(AmountError::TooLong { text: text.to_owned() })
            }
            Some((_, unit, factor)) => Ok(Self::new(number * factor, *unit)),
            None => {
                Err(AmountError::UnknownUnit { text: text.to_owned(), suffix: suffix.to_owned() })
            }
        }
    }
}

/// For people: with the unit in which the number is easy to read, and three significant digits.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        let fits = |(_, unit, factor): &&(&str, Unit, f64)| {
            *unit == self.unit && value.abs() >= *factor && *factor <= 1e9
        };
        let smallest = UNITS.iter().find(|(_, unit, _)| *unit == self.unit);
        // Minutes and hours are hard to compare with limits in seconds.
        let candidates = UNITS.iter().rev().filter(|(name, ..)| !matches!(*name, "m" | "h"));
        let chosen = match self.unit {
            Unit::Count | Unit::Share | Unit::Rate | Unit::Ratio => smallest,
            Unit::Time | Unit::Size => candidates
                .filter(|unit| fits(unit))
                .max_by(|a, b| a.2.partial_cmp(&b.2).unwrap_or(std::cmp::Ordering::Equal)),
        };
        let Some((name, _, factor)) = chosen.or(smallest) else { return write!(f, "{value}") };
        let scaled = value / factor;
        if value == 0.0 {
            return f.write_str(match self.unit {
                Unit::Time => "0s",
                Unit::Size => "0B",
                Unit::Share => "0%",
                Unit::Rate => "0/s",
                Unit::Ratio => "0x",
                Unit::Count => "0",
            });
        }
        let exact = (scaled - scaled.round()).abs() < 1e-9;
        let digits = match scaled.abs() {
            _ if exact => 0,
            // 99.95 % and 99.9 % are different promises.
            _ if self.unit == Unit::Share => 2,
            size if size >= 100.0 => 0,
            size if size >= 10.0 => 1,
            _ => 2,
        };
        write!(f, "{scaled:.digits$}{name}")
    }
}

/// The unit at the end of an amount as it is written, and its size in the base of what it measures.
pub(super) fn written_unit(text: &str) -> (&'static str, f64) {
    let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let unit = UNITS.iter().find(|(name, ..)| *name == suffix);
    unit.map_or(("", 1.0), |(name, _, size)| (*name, *size))
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written(str::parse))
    }
}

/// Reads what is written with a unit by a function of its text. What it refuses is told at its own place, as an error
/// made later would be told at that of everything around it.
pub(super) struct Written<T>(pub(super) fn(&str) -> Result<T, AmountError>);

// YAML reads a bare number as such, everything with a unit as text.
impl<T> serde::de::Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number with a unit, such as 10ms")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<T, E> {
        (self.0)(value).map_err(E::custom)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number with its unit: 10ms, 99.9%, 200/s, 64MiB, 2x, 5, or a parameter such as ${outage}. A time is at most 24h",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": r"^(\d+(\.\d+)?(us|ms|s|m|h|%|B|KiB|MiB|GiB|/s|x)?|\$\{[a-z_]+\})$" },
            ],
        })
    }
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written(str::parse))
    }
}

impl FromStr for Time {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let seconds = text.parse::<Amount>()?.of(Unit::Time)?;
        // An amount has no sign and is no longer than the longest, so none fails.
        Duration::try_from_secs_f64(seconds)
            .map(Self)
            .map_err(|_beyond| AmountError::TooLong { text: text.to_owned() })
    }
}

impl schemars::JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A time with its unit, us, ms, s, m or h, at most 24h, or a parameter such as ${outage}",
            "type": "string",
            "pattern": r"^(\d+(\.\d+)?(us|ms|s|m|h)|\$\{[a-z_]+\})$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written() {
        let cases = [
            ("10ms", 0.01, Unit::Time, "10ms"),
            ("1.5s", 1.5, Unit::Time, "1.50s"),
            ("2m", 120.0, Unit::Time, "120s"),
            ("250us", 0.000_25, Unit::Time, "250us"),
            ("99.9%", 0.999, Unit::Share, "99.90%"),
            ("100%", 1.0, Unit::Share, "100%"),
            ("200/s", 200.0, Unit::Rate, "200/s"),
            ("64MiB", 67_108_864.0, Unit::Size, "64MiB"),
            ("3x", 3.0, Unit::Ratio, "3x"),
            ("0", 0.0, Unit::Count, "0"),
            ("0s", 0.0, Unit::Time, "0s"),
        ];
        for (text, value, unit, shown) in cases {
            let amount: Amount = text.parse().unwrap();
            assert!((amount.value - value).abs() < 1e-9, "{text}: {amount:?}");
            assert_eq!((amount.unit, amount.to_string().as_str()), (unit, shown), "{text}");
        }
    }

    #[test]
    fn a_time_has_a_bound() {
        assert_eq!("2m".parse(), Ok(Time(Duration::from_mins(2))));
        assert_eq!("24h".parse(), Ok(Time(LONGEST)));
        for text in ["86401s", "1441m", "10000000000000000000s", "99999999999999999999h"] {
            let error = text.parse::<Time>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("`{text}` is longer than 24h, and no time may be; give a shorter one")
            );
            assert_eq!(text.parse::<Amount>().unwrap_err(), error);
        }
        // Other amounts are as large as they are.
        assert!("10000000000000000000B".parse::<Amount>().is_ok());
    }

    #[test]
    fn what_is_no_amount_is_told() {
        for (text, told) in [
            ("ms", "`ms` is not a number with a unit"),
            ("-5ms", "`-5ms` is not a number"),
            ("1.s", "not a number"),
            ("10 ms", "` ms` in `10 ms` is not a unit"),
            ("10sec", "`sec` in `10sec` is not a unit; known are us, ms"),
        ] {
            let error = text.parse::<Amount>().unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        let error = Amount::new(0.01, Unit::Time).of(Unit::Share).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`10ms` is a time with us, ms, s, m or h, and a share in % is wanted here"
        );
    }
}
