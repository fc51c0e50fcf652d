//! What people see in a terminal.

use std::fmt;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

/// A heading or a name.
pub(super) const STRONG: Style = Style::new().bold();
/// What matters less.
pub(super) const FAINT: Style = Style::new().dimmed();
/// Success.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Failure.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

/// Text in a style, where the terminal shows styles.
pub(super) fn styled(style: Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes a result to stdout, with a line end.
pub(super) fn say(text: impl fmt::Display) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")
}

/// Writes what happens to stderr, with a line end.
pub(super) fn note(text: impl fmt::Display) {
    // With stderr gone there is nobody left to tell.
    drop(writeln!(anstream::stderr().lock(), "{text}"));
}

/// Writes an error to stderr.
pub(super) fn error(error: &dyn fmt::Display) {
    note(format_args!("{} {error}", styled(BAD, "error:")));
}
