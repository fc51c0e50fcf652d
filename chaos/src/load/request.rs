//! One request, from when it was due to its end.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use codebase_mcp::pool::Health;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};

use crate::record::{Epoch, Outcome, Sample, UNHEALTHY};

/// What holds for every request of a load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// When the run began.
    pub(super) epoch: Epoch,
    /// When the caller gives up.
    pub(super) limit: Duration,
    /// The most samples.
    pub(super) most: u64,
}

/// What came of an operation.
pub struct Answer {
    /// How it ended.
    pub outcome: Outcome,
    /// What the operation measured itself.
    pub value: Option<u64>,
    /// What has to be done after it, which is neither measured nor limited by the caller. An outcome other than
    /// `Ok` takes the place of the operation's own.
    pub rest: Option<BoxFuture<'static, Outcome>>,
}

impl Answer {
    /// An answer that says this of the health of pools.
    pub(super) fn health(told: Health) -> Self {
        let value = match told {
            Health::Healthy => 0,
            Health::Degraded => 1,
            Health::Unhealthy => UNHEALTHY,
        };
        Self { outcome: Outcome::Ok, value: Some(value), rest: None }
    }

    /// An answer with nothing to be done after it.
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, value: None, rest: None }
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        Self::new(outcome)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outcome, value, rest } = self;
        formatter
            .debug_struct("Answer")
            .field("outcome", outcome)
            .field("value", value)
            .field("rest", &rest.is_some())
            .finish()
    }
}

/// Carries out `request`, which was due at `due`. A request that is still under way at the limit is dropped.
pub(super) async fn measured(
    shape: Shape,
    due: Instant,
    request: impl Future<Output = Answer>,
) -> Sample {
    let answer = timeout(shape.limit, AssertUnwindSafe(request).catch_unwind()).await;
    let latency = due.elapsed();
    let Answer { mut outcome, value, rest } = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => Answer::new(panicked(panic.as_ref())),
        Err(_elapsed) => Answer::new(Outcome::TimedOut),
    };
    if let Some(rest) = rest {
        let rest = AssertUnwindSafe(rest).catch_unwind().await;
        let rest = rest.unwrap_or_else(|panic| panicked(panic.as_ref()));
        if !rest.is_ok() {
            outcome = rest;
        }
    }
    Sample { due: shape.epoch.at(due), latency, outcome, value }
}

fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Outcome::Malformed { what: format!("it panicked: {}", said.unwrap_or("without a text")) }
}
