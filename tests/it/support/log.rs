//! What the code under test writes to the log.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tracing::subscriber::DefaultGuard;

/// The log of this thread from its making to its drop. A runtime of one thread logs all here but for what
/// it computes on other threads.
pub(crate) struct Log {
    lines: Lines,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn capture() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || writer.clone())
            .finish();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The fields of all events with this name, in order.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let text = String::from_utf8(self.lines.0.lock().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let fields = lines.map(|mut line| line["fields"].take());
        fields.filter(|fields| fields["event"] == name).collect()
    }

    /// The phases into which the pool has gone.
    pub(crate) fn phases(&self) -> Vec<String> {
        let moves = self.events("pool.phase.changed");
        moves.iter().map(|fields| fields["to"].as_str().unwrap().to_owned()).collect()
    }

    /// Whether the pool was healthy, was not, and recovered.
    pub(crate) fn tells_a_recovery(&self) -> bool {
        is_a_recovery(self.phases().iter().map(String::as_str))
    }
}

/// `HEALTHY`, `UNHEALTHY`, `RECOVERING`, `HEALTHY`; with as many attempts to recover as it took, and with
/// `DEGRADED` wherever a pool is healthy otherwise.
fn is_a_recovery<'a>(phases: impl Iterator<Item = &'a str>) -> bool {
    let mut path: Vec<&str> = phases.filter(|&phase| phase != "DEGRADED").collect();
    path.dedup();
    let ["HEALTHY", attempts @ .., "HEALTHY"] = path.as_slice() else { return false };
    let failed = attempts.chunks(2).all(|pair| pair == ["UNHEALTHY", "RECOVERING"]);
    !attempts.is_empty() && failed
}

#[test]
fn a_recovery_is_told_from_other_paths() {
    let down =
        "HEALTHY DEGRADED UNHEALTHY RECOVERING UNHEALTHY RECOVERING HEALTHY DEGRADED HEALTHY";
    assert!(is_a_recovery(down.split(' ')));
    for other in ["HEALTHY", "HEALTHY UNHEALTHY HEALTHY", "HEALTHY DEGRADED", "HEALTHY RECOVERING"]
    {
        assert!(!is_a_recovery(other.split(' ')), "{other}");
    }
}
