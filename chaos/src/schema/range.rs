//! A parameter that each run draws anew: two amounts with `..` between them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::amount::{Amount, AmountError, Unit, written_unit};
use crate::seed;

/// What is drawn is a whole number of these parts of the unit in which the lower end is written.
const STEP: f64 = 0.001;
/// What is written in these units is drawn whole, as some settings know no parts of them.
const WHOLE: [&str; 3] = ["ms", "us", "B"];
/// Bytes are drawn in such steps where both ends are, as the proxy's bandwidth counts in them.
const KILOBYTE: f64 = 1000.0;

/// Two amounts of the same kind, both of which can be drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Range {
    /// As it is written.
    pub(super) text: String,
    ends: [String; 2],
    /// In the unit of the lower end.
    numbers: [f64; 2],
    unit: &'static str,
    /// The distance of two numbers that can be drawn.
    step: f64,
}

/// Why a text with `..` in it is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// One of its ends is no amount.
    #[error("`{text}` is not a range such as 1s..60s: {why}")]
    End {
        /// The text.
        text: String,
        /// What is wrong with the end.
        #[source]
        why: AmountError,
    },
    /// Its ends measure different things.
    #[error("`{text}` begins with {from} and ends with {to}; both must measure the same")]
    Units {
        /// The text.
        text: String,
        /// What the lower end measures.
        from: Unit,
        /// What the upper end measures.
        to: Unit,
    },
    /// Its upper end is below the lower one.
    #[error("`{text}` ends before it begins")]
    Reversed {
        /// The text.
        text: String,
    },
}

impl Range {
    /// Reads the value of a parameter. `None` if it is no range: neither side of a `..` is an amount.
    pub(super) fn read(text: &str) -> Option<Result<Self, RangeError>> {
        let (from, to) = text.split_once("..")?;
        let amounts: [Result<Amount, AmountError>; 2] = [from.parse(), to.parse()];
        let some = amounts.iter().any(Result::is_ok);
        some.then(|| Self::new(text, [from, to], amounts))
    }

    fn new(
        text: &str,
        ends: [&str; 2],
        [from, to]: [Result<Amount, AmountError>; 2],
    ) -> Result<Self, RangeError> {
        let text = text.to_owned();
        let end = |why| RangeError::End { text: text.clone(), why };
        let (from, to) = (from.map_err(end)?, to.map_err(end)?);
        if from.unit != to.unit {
            return Err(RangeError::Units { text, from: from.unit, to: to.unit });
        }
        if from.value > to.value {
            return Err(RangeError::Reversed { text });
        }
        // No size has parts of a byte, however it is written.
        let (unit, size) = if from.unit == Unit::Size { ("B", 1.0) } else { written_unit(ends[0]) };
        // A division leaves its last bit beside the whole number that is written.
        let nearest = |number: f64| {
            if (number - number.round()).abs() < 1e-6 { number.round() } else { number }
        };
        let numbers = [from, to].map(|amount| nearest(amount.value / size));
        let undivided = from.unit == Unit::Count || WHOLE.contains(&unit);
        let whole = numbers.iter().all(|number| number.fract() == 0.0);
        let kilobytes = unit == "B" && numbers.iter().all(|number| number % KILOBYTE == 0.0);
        let step = match (undivided && whole, kilobytes) {
            (_, true) => KILOBYTE,
            (true, false) => 1.0,
            (false, false) => STEP,
        };
        Ok(Self { text, ends: ends.map(str::to_owned), numbers, unit, step })
    }

    /// Its lower and its upper end.
    pub(super) fn ends(&self) -> &[String; 2] {
        &self.ends
    }

    /// What the run with this seed has for the parameter `name`. Each name draws for itself, so that none
    /// changes with another one.
    pub(super) fn draw(&self, name: &str, seed: u64) -> String {
        let stream = seed::stream(seed, &format!("param {name}"));
        let [from, to] = self.numbers;
        let steps =
            ChaCha8Rng::seed_from_u64(stream).random_range(0..=whole((to - from) / self.step));
        let number = format!("{:.6}", from + steps as f64 * self.step);
        let number = number.trim_end_matches('0').trim_end_matches('.');
        format!("{number}{}", self.unit)
    }
}

/// How many whole steps there are, with room for the last bit of a division.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, and no range is negative"
)]
fn whole(steps: f64) -> u64 {
    (steps + 1e-6).floor() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        Range::read(text).unwrap().unwrap()
    }

    #[test]
    fn draws_fill_the_range_and_stay_in_it() {
        for text in ["1s..60s", "500ms..2s", "10%..90%", "3x..3.5x", "1MiB..1GiB"] {
            let [from, to]: [Amount; 2] =
                range(text).ends().each_ref().map(|end| end.parse().unwrap());
            let length = to.value - from.value;
            let mut quarters = [0; 4];
            for seed in 0..400 {
                let drawn: Amount = range(text).draw("outage", seed).parse().unwrap();
                assert_eq!(drawn.unit, from.unit, "{text}");
                assert!((from.value..=to.value).contains(&drawn.value), "{text}: {drawn}");
                let part = (drawn.value - from.value) / length * 3.999;
                quarters[usize::try_from(whole(part)).unwrap()] += 1;
            }
            assert!(quarters.iter().all(|count| (60..140).contains(count)), "{text}: {quarters:?}");
        }
    }

    #[test]
    fn what_has_no_parts_is_drawn_whole_and_both_ends_are_among_it() {
        for (text, values) in [
            ("2..4", ["2", "3", "4"]),
            ("9ms..11ms", ["10ms", "11ms", "9ms"]),
            ("998us..1ms", ["1000us", "998us", "999us"]),
            ("1023B..1.0009765625KiB", ["1023B", "1024B", "1025B"]),
            ("8000B..10000B", ["10000B", "8000B", "9000B"]),
        ] {
            let mut seen: Vec<_> = (0..100).map(|seed| range(text).draw("size", seed)).collect();
            seen.sort();
            seen.dedup();
            assert_eq!(seen, values);
        }
        assert_eq!(range("7s..7s").draw("outage", 1), "7s");
    }

    #[test]
    fn a_seed_and_a_name_draw_the_same_always() {
        let outage = range("1s..60s");
        // Written down, as the reports of runs have seeds in them.
        assert_eq!(outage.draw("outage", 42), "57.906s");
        assert_ne!(outage.draw("outage", 42), outage.draw("outage", 43));
        assert_ne!(outage.draw("outage", 42), outage.draw("delay", 42));
    }

    #[test]
    fn what_is_no_range_is_told() {
        for text in ["1s", "how..why", "..", "", "../x"] {
            assert_eq!(Range::read(text), None, "{text}");
        }
        for (text, told) in [
            (
                "1s..60%",
                "`1s..60%` begins with a time with us, ms, s, m or h and ends with a share in %; both must measure the same",
            ),
            ("60s..1s", "`60s..1s` ends before it begins"),
            (
                "1s..",
                "`1s..` is not a range such as 1s..60s: `` is not a number with a unit, such as 10ms, 99.9%, 200/s, 64MiB, 2x or 5",
            ),
        ] {
            assert_eq!(Range::read(text).unwrap().unwrap_err().to_string(), told);
        }
    }
}
