//! What the pool says in its log when it runs in the runner's own process, as events of the run.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use tracing::Level;
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::record::{Epoch, Event, Source};

/// The most events that one run keeps: far above what a pool says in a minute, 100 MB at most.
const MAX_EVENTS: usize = 200_000;

/// The events of the process, collected while a run asks for them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Capture(Arc<Mutex<Option<Kept>>>);

#[derive(Debug)]
struct Kept {
    epoch: Epoch,
    events: Vec<Event>,
    /// How many were too many.
    left_out: u64,
}

/// Makes the process's log go to a [`Capture`]. A process has one log; a second call gives a capture that stays
/// empty.
pub fn install() -> Capture {
    let capture = Capture::default();
    // Each acquire and each release has an event below that, which would slow down what is measured.
    let ours = Targets::new().with_target("codebase_mcp", Level::DEBUG);
    let layer = Collect(capture.clone()).with_filter(ours);
    if let Err(error) = tracing_subscriber::registry().with(layer).try_init() {
        tracing::debug!(%error, "the log of this process goes elsewhere");
    }
    capture
}

impl Capture {
    /// Collects from now on.
    pub(super) fn begin(&self, epoch: Epoch) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Kept { epoch, events: Vec::new(), left_out: 0 });
    }

    /// What was collected since then, and how many events more there were.
    pub(super) fn end(&self) -> (Vec<Event>, u64) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.map(|kept| (kept.events, kept.left_out)).unwrap_or_default()
    }

    fn add(&self, name: String, fields: Map<String, Value>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Kept { epoch, events, left_out }) = kept.as_mut() else { return };
        if events.len() < MAX_EVENTS {
            let at_s = epoch.elapsed().as_secs_f64();
            events.push(Event { at_s, source: Source::Server, name, fields });
        } else {
            *left_out += 1;
        }
    }
}

struct Collect(Capture);

impl<S: tracing::Subscriber> Layer<S> for Collect {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        // Only what has a name can be asked for.
        if let Some(name) = fields.name {
            self.0.add(name, fields.others);
        }
    }
}

#[derive(Default)]
struct Fields {
    name: Option<String>,
    others: Map<String, Value>,
}

impl Fields {
    fn keep(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            self.name = Some(value.to_owned());
        } else {
            self.keep(field, value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_events_are_collected_while_a_run_asks_for_them() {
        let capture = Capture::default();
        let subscriber = tracing_subscriber::registry().with(Collect(capture.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(event = "pool.closed", "before");
            capture.begin(Epoch::now());
            tracing::info!(event = "pool.closed", pool = "p", closed = 3_u64, reason = %"age", "during");
            tracing::info!("without a name");
        });
        let (events, left_out) = capture.end();
        assert_eq!((events.len(), left_out), (1, 0));
        assert_eq!(events[0].name, "pool.closed");
        let told =
            serde_json::json!({ "pool": "p", "closed": 3, "reason": "age", "message": "during" });
        assert_eq!(Value::Object(events[0].fields.clone()), told);
        assert!(capture.end().0.is_empty());
    }

    #[test]
    fn events_that_are_too_many_are_counted() {
        let capture = Capture::default();
        capture.begin(Epoch::now());
        for _ in 0..MAX_EVENTS + 3 {
            capture.add("pool.closed".to_owned(), Map::new());
        }
        let (events, left_out) = capture.end();
        assert_eq!((events.len(), left_out), (MAX_EVENTS, 3));
    }
}
