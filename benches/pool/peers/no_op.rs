//! Connections that do nothing, and count how many there were.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{Source, Work};

/// Opens connections that do nothing. Clones share the count.
#[derive(Debug, Clone)]
pub(crate) struct NoOp {
    connect_takes: Duration,
    opened: Arc<AtomicU32>,
}

/// As large as a `PgConnection`, so that moving it costs the same.
#[derive(Debug)]
pub(crate) struct Nothing(u64);

impl NoOp {
    pub(crate) fn new(connect_takes: Duration) -> Self {
        Self { connect_takes, opened: Arc::default() }
    }

    /// How many have been begun to open.
    pub(crate) fn opened(&self) -> u32 {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Source for NoOp {
    type Connection = Nothing;

    async fn open(&self) -> Result<Nothing, sqlx::Error> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.connect_takes.is_zero() {
            tokio::time::sleep(self.connect_takes).await;
        }
        Ok(Nothing(number.into()))
    }
}

impl Work for Nothing {
    async fn work(&mut self) {
        black_box(self.0);
    }
}
