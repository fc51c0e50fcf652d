//! What a server writes to stderr: events for the record, and the lines themselves for the evidence.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::record::{Event, Source};

/// The most events that are kept: a server that logs a thousand a second has a hundred seconds.
const MOST_EVENTS: usize = 100_000;
/// The most text that is kept, in bytes.
const MOST_TEXT: usize = 16 * 1024 * 1024;
/// The longest line, in bytes. A stack trace in JSON is far below it.
pub(super) const LONGEST: usize = 256 * 1024;
/// What a panic says, whatever the format of the log.
const PANIC: &str = "panicked at";

/// The log of a server.
#[derive(Debug, Clone, Default)]
pub struct Logged {
    /// What happened. The name is the line's `event`, else its level in small letters; `panic` for a panic and
    /// `stderr` for a line that is no JSON.
    pub events: Vec<Event>,
    /// The lines as they were written.
    pub text: String,
    /// How many lines are missing in `events`, because there were too many.
    pub left_out: u64,
    /// How many lines tell of a panic; every one is counted.
    pub panics: u64,
}

impl Logged {
    /// A line, without its end, that came at `at` of the record.
    pub(super) fn add(&mut self, at: Duration, line: &str) {
        let event = event(at, line);
        self.panics += u64::from(event.name == "panic");
        let room = self.text.len() + line.len() < MOST_TEXT;
        if room {
            self.text.push_str(line);
            self.text.push('\n');
        }
        let listed = self.events.len() < MOST_EVENTS;
        if listed {
            self.events.push(event);
        }
        self.left_out += u64::from(!listed);
    }
}

fn event(at: Duration, line: &str) -> Event {
    let mut fields = match serde_json::from_str(line) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Map::new(),
    };
    let plain = fields.is_empty();
    // Some formats have an event's fields below the line, others in it.
    if let Some(Value::Object(below)) = fields.remove("fields") {
        fields.extend(below);
    }
    let named = match fields.remove("event") {
        Some(Value::String(name)) => Some(name),
        Some(_) | None => fields.get("level").and_then(Value::as_str).map(str::to_lowercase),
    };
    if plain {
        fields.insert("line".to_owned(), line.into());
    }
    let panic = line.contains(PANIC).then(|| "panic".to_owned());
    let name = panic.or(named).unwrap_or_else(|| "stderr".to_owned());
    Event { at_s: at.as_secs_f64(), source: Source::Server, name, fields }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_events() {
        let mut log = Logged::default();
        for line in [
            r#"{"timestamp":"t","level":"INFO","event":"pool.phase.changed","to":"HEALTHY"}"#,
            r#"{"level":"WARN","fields":{"event":"pool.wait.long","waiting":3}}"#,
            r#"{"level":"ERROR","error":"no","message":"could not start"}"#,
            "thread 'main' panicked at src/main.rs:3:5:",
            r#"{"level":"ERROR","message":"a task panicked at last"}"#,
            "note: run with a backtrace",
        ] {
            log.add(Duration::from_millis(1500), line);
        }
        let names: Vec<_> = log.events.iter().map(|event| event.name.as_str()).collect();
        let expected =
            ["pool.phase.changed", "pool.wait.long", "error", "panic", "panic", "stderr"];
        assert_eq!(names, expected);
        assert_eq!((log.panics, log.left_out), (2, 0));
        assert_eq!(log.events[0].fields["to"], "HEALTHY");
        assert_eq!(log.events[1].fields["waiting"], 3);
        assert_eq!(log.events[5].fields["line"], "note: run with a backtrace");
        assert!(log.events.iter().all(|event| (event.at_s - 1.5).abs() < 1e-9));
        assert_eq!(log.text.lines().count(), 6);
    }

    #[test]
    fn a_log_without_end_is_bounded_and_its_panics_are_counted() {
        let mut log = Logged::default();
        let line = format!("{}{PANIC} x", "-".repeat(300));
        let lines = MOST_EVENTS + 7;
        for _ in 0..lines {
            log.add(Duration::ZERO, &line);
        }
        assert_eq!(log.events.len(), MOST_EVENTS);
        assert!(log.text.len() <= MOST_TEXT);
        assert_eq!(log.panics, lines as u64);
        assert_eq!(log.left_out, 7);
    }
}
