//! What a server wrote that it must not write.

use std::fmt;
use std::time::Duration;

/// The most violations that are kept; more are only counted. One is enough to fail.
const MOST: usize = 1000;
/// The most that is kept of a line, in bytes.
pub(super) const EXCERPT: usize = 2000;

/// The rule that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// A line is longer than anything that a server has to say.
    TooLong,
    /// The last line has no end. A server that was killed may leave one.
    Torn,
    /// A line is no JSON in UTF-8.
    NotJson,
    /// A line is JSON, but no JSON-RPC 2.0 message.
    NotJsonRpc,
    /// An answer has both a result and an error, or none of them.
    NotOneOutcome,
    /// An answer has an id that no request had.
    UnknownId,
    /// A request was answered again.
    AnsweredAgain,
    /// A result is not what its method gives.
    Result,
    /// A tool's error lacks its code, its message, its suggestion or its details.
    ToolError,
}

impl Breach {
    /// The stable label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Torn => "torn",
            Self::NotJson => "not_json",
            Self::NotJsonRpc => "not_json_rpc",
            Self::NotOneOutcome => "not_one_outcome",
            Self::UnknownId => "unknown_id",
            Self::AnsweredAgain => "answered_again",
            Self::Result => "result",
            Self::ToolError => "tool_error",
        }
    }
}

/// A broken rule and what broke it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When, in the time of the record.
    pub at: Duration,
    /// The rule.
    pub breach: Breach,
    /// What was written, cut after 2000 bytes.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.breach.as_str(), self.text)
    }
}

/// All violations of a server.
#[derive(Debug, Clone, Default)]
pub struct Violations {
    /// How many there were.
    pub count: u64,
    /// The first thousand of them.
    pub kept: Vec<Violation>,
}

impl Violations {
    pub(super) fn add(&mut self, at: Duration, breach: Breach, line: &[u8]) {
        self.count += 1;
        if self.kept.len() < MOST {
            let start = line.get(..EXCERPT).unwrap_or(line);
            let text = String::from_utf8_lossy(start).into_owned();
            self.kept.push(Violation { at, breach, text });
        }
    }
}
