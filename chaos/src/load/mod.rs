//! Requests at a fixed rate or by a fixed number of workers, and how long each took.
//!
//! [`run`] carries out one load of a scenario against one [`Target`]: a server, through the protocol's own
//! pipes, or a connection pool in this process.
//!
//! # What must stay true
//!
//! - Every request that was due has exactly one sample, whatever became of it.
//! - In an open load the time counts from when a request was due, so that a stall of whoever is measured, or of the
//!   generator itself, shows in every request that it held up.
//! - A sample's end is taken before anything that follows it, such as ending a server that was started.

mod alarm;
mod arrivals;
mod closed;
mod gate;
pub mod mcp;
mod open;
mod pool;
mod request;
mod sampler;
mod tally;
mod target;

use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::record::{Epoch, LoadRecord, Phase};
use crate::schema::{Load, Model, Op};

use self::gate::Gate;

pub use arrivals::Schedule;
pub use pool::Subject;
pub use request::Answer;
pub use sampler::{Sampled, follow, look};
pub use tally::{Counts, Tally};
pub use target::{Target, perform};

/// The most samples of one load: 160 MB of them. A load that gets there stops, and its record says so.
pub const MAX_SAMPLES: u64 = 2_000_000;

/// The run that a load is part of.
#[derive(Debug, Clone)]
pub struct Course {
    /// What times count from.
    pub epoch: Epoch,
    /// What everything that is drawn comes from; another one for each load.
    pub seed: u64,
    /// The phase that the run is in.
    pub phases: watch::Receiver<Phase>,
    /// Whether the target takes requests. Those that are due before wait for it, each within its own limit.
    pub ready: watch::Receiver<bool>,
    /// Counts along.
    pub tally: Tally,
    /// Ends the load.
    pub stop: CancellationToken,
}

/// Carries out a load: makes requests while the phase is one of `load.during`, until `stop` is cancelled, the
/// sender of the phases is gone, or the load has made all its requests. What is under way then gets its own limit
/// to end.
///
/// Needs a Tokio runtime with time and I/O.
///
/// # Cancel safety
/// Dropping the future drops the requests under way and all samples.
pub async fn run(load: &Load, target: &Target, course: Course) -> LoadRecord {
    let Course { epoch, seed, phases, ready, tally, stop } = course;
    let gate = Gate::new(phases, &load.during, stop);
    let (op, target) = (Arc::new(load.op.clone()), target.clone());
    let request = move |number| {
        let (op, target, pending) = (Arc::clone(&op), target.clone(), tally.request());
        let mut ready = ready.clone();
        async move {
            // Another server is asked nothing of the target. Where nobody is left to say that it is ready, the request
            // itself shows it.
            if !matches!(*op, Op::Start) {
                drop(ready.wait_for(|ready| *ready).await);
            }
            let answer = perform(&op, &target, draws(seed, number)).await;
            pending.ended(answer.outcome.is_ok());
            answer
        }
    };
    let shape = request::Shape { epoch, limit: load.timeout, most: MAX_SAMPLES };
    let mut record = match &load.model {
        Model::Open { rate, arrivals, max_in_flight } => {
            let pace = open::Pace {
                arrivals: *arrivals,
                rate: *rate,
                max_in_flight: *max_in_flight,
                seed,
            };
            open::run(pace, shape, gate, &request).await
        }
        Model::Closed { workers, think, count } => {
            let crew = closed::Crew { workers: *workers, think: *think, count: *count };
            closed::run(crew, shape, gate, request).await
        }
    };
    record.id.clone_from(&load.id);
    record.samples.sort_by_key(|sample| sample.due + sample.latency);
    record
}

/// What the request with this number draws from, whenever and wherever it runs.
fn draws(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn a_request_draws_the_same_whenever_it_runs_and_not_what_others_draw() {
        let of = |seed, number| draws(seed, number).random::<u64>();
        assert_eq!(of(1, 5), of(1, 5));
        assert_ne!(of(1, 5), of(1, 6));
        assert_ne!(of(1, 5), of(2, 5));
    }
}
