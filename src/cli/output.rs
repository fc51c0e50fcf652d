//! What people see in a terminal.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

/// A heading or a name.
pub(super) const STRONG: Style = Style::new().bold();
/// What matters less.
pub(super) const FAINT: Style = Style::new().dimmed();
/// Success.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Something to look at.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();
/// Failure.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

/// Text in a style, where the terminal shows styles.
pub(super) fn styled(style: Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes an error to stderr.
pub(super) fn error(error: &dyn fmt::Display) {
    let mut stderr = anstream::stderr().lock();
    // With stderr gone there is nobody left to tell.
    drop(writeln!(stderr, "{} {error}", styled(BAD, "error:")));
}

/// `1,234`.
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 file`, `2 files`.
pub fn counted(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {one}{plural}", number(count))
}

/// `0.4 s`, `12 s`, `2 min 5 s`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 60.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        for (count, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(count), text);
        }
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(1_200, "file"), "1,200 files");
        for (milliseconds, text) in [(440, "0.4 s"), (12_300, "12 s"), (125_000, "2 min 5 s")] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
    }
}
