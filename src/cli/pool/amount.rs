//! Amounts in few characters, so that columns stay where they are.

use std::time::Duration;

use super::super::output::number;

/// A time with three digits, in at most seven characters: `0.12 ms`, `1.50 s`.
pub(super) fn time(milliseconds: f64) -> String {
    let seconds = milliseconds / 1000.0;
    match milliseconds {
        ms if !ms.is_finite() || ms < 0.0 => "-".to_owned(),
        ms if ms < 9.995 => format!("{ms:.2} ms"),
        ms if ms < 99.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 9_995.0 => format!("{seconds:.2} s"),
        ms if ms < 99_950.0 => format!("{seconds:.1} s"),
        ms if ms < 5_940_000.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

/// How many in a second: `0`, `0.5`, `12`, `1,204`.
pub(super) fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 9.95 {
        return format!("{per_second:.1}");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and a rate is not negative"
    )]
    number(per_second.round() as u64)
}

/// How long something lasts or how long ago it was, in its two largest units: `5 s`, `3 min`, `2 h 5 min`.
pub(super) fn age(duration: Duration) -> String {
    let minutes = duration.as_secs() / 60;
    let (hours, days) = (minutes / 60, minutes / (24 * 60));
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{} s", duration.as_secs()),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_three_digits_and_at_most_seven_characters() {
        let cases = [
            (0.0, "0.00 ms"),
            (0.124, "0.12 ms"),
            (9.994, "9.99 ms"),
            (9.996, "10.0 ms"),
            (99.96, "100 ms"),
            (999.4, "999 ms"),
            (999.6, "1.00 s"),
            (9_996.0, "10.0 s"),
            (99_940.0, "99.9 s"),
            (99_960.0, "2 min"),
            (5_939_000.0, "99 min"),
            (5_941_000.0, "2 h"),
            (f64::NAN, "-"),
            (-1.0, "-"),
        ];
        for (milliseconds, text) in cases {
            assert_eq!(time(milliseconds), text, "{milliseconds}");
            assert!(time(milliseconds).len() <= 7);
        }
    }

    #[test]
    fn rates_and_ages_are_short() {
        let rates = [(0.0, "0"), (0.04, "0.0"), (0.25, "0.2"), (9.94, "9.9"), (9.96, "10")];
        for (per_second, text) in rates.into_iter().chain([(1204.4, "1,204")]) {
            assert_eq!(rate(per_second), text, "{per_second}");
        }
        let ages = [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3_600, "1 h 0 min")];
        for (seconds, text) in
            ages.into_iter().chain([(86_399, "23 h 59 min"), (90_000, "1 d 1 h")])
        {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }
}
