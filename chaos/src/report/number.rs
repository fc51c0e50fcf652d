//! Numbers as people read them, and the conversions that lose nothing that matters in a report.

pub(crate) use codebase_mcp::cli::output::{counted, number as count};

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "no count of a run comes near 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// A measured number as a whole one: rounded, and kept within the type.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, which is what is asked for"
)]
pub(crate) fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// A latency of so many milliseconds in three digits: `85 µs`, `4.12 ms`, `412 ms`, `2.01 s`.
pub(crate) fn latency(ms: f64) -> String {
    if ms < 0.9995 {
        format!("{:.0} µs", ms * 1_000.0)
    } else if ms < 999.5 {
        format!("{} ms", three_digits(ms))
    } else {
        format!("{} s", three_digits(ms / 1_000.0))
    }
}

/// A time of so many nanoseconds in three digits: `8.12 ns`, `412 ns`, `85.0 µs`, `4.12 ms`, `2.01 s`.
pub(crate) fn nanoseconds(ns: f64) -> String {
    let units = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6)];
    let unit = units.into_iter().find(|(_, length)| ns / length < 999.5).unwrap_or(("s", 1e9));
    format!("{} {}", three_digits(ns / unit.1), unit.0)
}

/// A time of so many seconds: `0.4 s`, `41.2 s`, `2 min 5 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 119.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = whole(seconds);
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

/// The part in the whole in percent. What is not all never reads as `100 %`, and what is not nothing
/// never as `0 %`.
pub(crate) fn share(part: u64, of: u64) -> String {
    if part == 0 || of == 0 {
        return "0 %".to_owned();
    }
    if part >= of {
        return "100 %".to_owned();
    }
    let percent = float(part) / float(of) * 100.0;
    let text = (0..=2).map(|digits| format!("{percent:.digits$}")).find(|text| {
        let shown: f64 = text.parse().unwrap_or(percent);
        shown > 0.0 && shown < 100.0 && (percent < 99.0 || (100.0 - shown) * 2.0 > 100.0 - percent)
    });
    match text {
        Some(text) => format!("{text} %"),
        None if percent < 50.0 => "< 0.01 %".to_owned(),
        None => "> 99.99 %".to_owned(),
    }
}

/// A number whose unit is not known: whole ones grouped, others with up to three decimals.
pub(crate) fn plain(value: f64) -> String {
    if !value.is_finite() {
        return "no number".to_owned();
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let size = value.abs();
    if size.fract() == 0.0 && size < 1e15 {
        return format!("{sign}{}", count(whole(size)));
    }
    if !(0.001..1e15).contains(&size) {
        return format!("{value:.3e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn three_digits(value: f64) -> String {
    let decimals = usize::from(value < 9.995) + usize::from(value < 99.95);
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (ms, text) in [
            (0.085, "85 µs"),
            (0.9996, "1.00 ms"),
            (4.123, "4.12 ms"),
            (9.996, "10.0 ms"),
            (412.4, "412 ms"),
            (999.6, "1.00 s"),
            (2_010.0, "2.01 s"),
            (60_000.0, "60.0 s"),
        ] {
            assert_eq!(latency(ms), text);
        }
        for (ns, text) in [
            (0.0, "0.00 ns"),
            (8.124, "8.12 ns"),
            (999.4, "999 ns"),
            (999.6, "1.00 µs"),
            (85_040.0, "85.0 µs"),
            (4.12e6, "4.12 ms"),
            (2.01e9, "2.01 s"),
        ] {
            assert_eq!(nanoseconds(ns), text);
        }
        for (time, text) in [(0.44, "0.4 s"), (41.2, "41.2 s"), (125.0, "2 min 5 s")] {
            assert_eq!(seconds(time), text);
        }
        for (value, text) in [
            (0.0, "0"),
            (1_234.0, "1,234"),
            (-2.5, "-2.5"),
            (0.12345, "0.123"),
            (0.000_012, "1.200e-5"),
            (f64::NAN, "no number"),
        ] {
            assert_eq!(plain(value), text);
        }
        assert_eq!(counted(1, "sample"), "1 sample");
        assert_eq!(counted(1_200, "sample"), "1,200 samples");
    }

    #[test]
    fn a_share_is_never_rounded_to_all_or_nothing() {
        for (part, of, text) in [
            (0, 0, "0 %"),
            (0, 10, "0 %"),
            (10, 10, "100 %"),
            (1, 3, "33 %"),
            (1, 1_000, "0.1 %"),
            (999, 1_000, "99.9 %"),
            (9_999, 10_000, "99.99 %"),
            (1, 1_000_000, "< 0.01 %"),
            (999_999, 1_000_000, "> 99.99 %"),
        ] {
            assert_eq!(share(part, of), text, "{part} of {of}");
        }
    }
}
