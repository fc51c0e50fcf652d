//! Amounts with units: counts, durations and sizes, exact in both directions.

/// One second in the unit of [`Measure::Time`].
const SECOND: u64 = 1_000;
/// One minute in the unit of [`Measure::Time`].
const MINUTE: u64 = 60 * SECOND;
/// One hour in the unit of [`Measure::Time`].
const HOUR: u64 = 60 * MINUTE;
/// 1024 bytes.
pub(super) const KIB: u64 = 1024;
/// 1024 KiB.
pub(super) const MIB: u64 = 1024 * KIB;
/// 1024 MiB.
pub(super) const GIB: u64 = 1024 * MIB;

/// What a whole number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Things. The number stands alone.
    Count,
    /// Milliseconds, written with one of `ms`, `s`, `m`, `h` and `d`.
    Time,
    /// Bytes, written with one of `B`, `KiB`, `MiB`, `GiB`, `kB`, `MB` and `GB`.
    Size,
}

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AmountError {
    /// It does not begin with a digit, has decimals, or is a count and goes on after its digits.
    NotANumber,
    /// A number that needs a unit and has none.
    NoUnit,
    /// The part after the number is not a unit.
    UnknownUnit(String),
    /// More than 64 bits hold.
    TooLarge,
}

impl Measure {
    /// Units and their factors, in the order of preference when printing.
    fn units(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Count => &[("", 1)],
            Self::Time => &[("d", 24 * HOUR), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)],
            Self::Size => &[
                ("GiB", GIB),
                ("MiB", MIB),
                ("KiB", KIB),
                ("GB", 1_000_000_000),
                ("MB", 1_000_000),
                ("kB", 1_000),
                ("B", 1),
            ],
        }
    }

    /// The unit to suggest when there is none.
    pub(super) fn plain_unit(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::Time => "s",
            Self::Size => "B",
        }
    }

    /// The names of all units, for people: `ms, s, m, h or d`.
    pub(super) fn unit_names(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::Time => "ms, s, m, h or d",
            Self::Size => "B, KiB, MiB, GiB, kB, MB or GB",
        }
    }

    /// Reads an amount in milliseconds, bytes or things.
    pub(super) fn parse(self, text: &str) -> Result<u64, AmountError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or(AmountError::NotANumber)?;
        let goes_on = unit.starts_with('.') || (self == Self::Count && !unit.is_empty());
        if number.is_empty() || goes_on {
            return Err(AmountError::NotANumber);
        }
        let Some((_, factor)) = self.units().iter().find(|(name, _)| *name == unit) else {
            return Err(match unit {
                "" => AmountError::NoUnit,
                _ => AmountError::UnknownUnit(unit.to_owned()),
            });
        };
        // Digits alone fail to parse only when there are too many of them.
        let Ok(number) = number.parse::<u64>() else { return Err(AmountError::TooLarge) };
        number.checked_mul(*factor).ok_or(AmountError::TooLarge)
    }

    /// Writes an amount with the largest unit that divides it, so that `parse` reads it back.
    pub(super) fn print(self, amount: u64) -> String {
        self.units()
            .iter()
            .find(|(_, factor)| amount >= *factor && amount.is_multiple_of(*factor))
            .map_or_else(
                || format!("0{}", self.plain_unit()),
                |(unit, factor)| format!("{}{unit}", amount / factor),
            )
    }
}

/// Reads a bare number of seconds with at most three decimals, in milliseconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(decimals) || decimals.len() > 3 {
        return None;
    }
    let milliseconds: u64 = format!("{decimals:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(SECOND)?.checked_add(milliseconds)
}
