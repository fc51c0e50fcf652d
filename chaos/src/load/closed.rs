//! The closed model: workers, each of which waits for its answer before the next request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep};

use super::gate::Gate;
use super::open::sample;
use super::request::{Answer, Shape, measured};
use crate::record::{LoadRecord, Sample};

/// Who makes the requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crew {
    pub(super) workers: usize,
    pub(super) think: Duration,
    pub(super) count: Option<u64>,
}

/// The numbers of the requests to come, for all workers together.
#[derive(Debug)]
struct Tickets {
    next: AtomicU64,
    end: u64,
}

impl Tickets {
    fn take(&self) -> Option<u64> {
        let more = |number| (number < self.end).then_some(number + 1);
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()
    }
}

/// Has workers make requests, by their number, while `gate` is open. All begin at the same instant.
pub(super) async fn run<F>(
    crew: Crew,
    shape: Shape,
    gate: Gate,
    request: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
) -> LoadRecord
where
    F: Future<Output = Answer> + Send + 'static,
{
    let end = crew.count.unwrap_or(u64::MAX).min(shape.most);
    let tickets = Arc::new(Tickets { next: AtomicU64::new(0), end });
    let start = Arc::new(Barrier::new(crew.workers));
    let mut workers = JoinSet::new();
    for _ in 0..crew.workers {
        let worker = Worker {
            gate: gate.clone(),
            start: Arc::clone(&start),
            tickets: Arc::clone(&tickets),
            think: crew.think,
            shape,
        };
        workers.spawn(worker.run(request.clone()));
    }
    let mut record = LoadRecord::default();
    while let Some(ended) = workers.join_next().await {
        record.samples.extend(sample(ended));
    }
    let all = tickets.next.load(Ordering::Relaxed) == end;
    record.capped = all && crew.count.is_none_or(|count| count > end);
    record
}

struct Worker {
    gate: Gate,
    start: Arc<Barrier>,
    tickets: Arc<Tickets>,
    think: Duration,
    shape: Shape,
}

impl Worker {
    async fn run<F>(mut self, request: impl Fn(u64) -> F) -> Vec<Sample>
    where
        F: Future<Output = Answer>,
    {
        let mut samples = Vec::new();
        if !self.gate.opened().await {
            return samples;
        }
        tokio::select! {
            biased;
            () = self.gate.shut() => return samples,
            _ = self.start.wait() => {}
        }
        while self.gate.opened().await {
            let Some(number) = self.tickets.take() else { break };
            samples.push(measured(self.shape, Instant::now(), request(number)).await);
            // An operation that never waits must not keep the others from running.
            consume_budget().await;
            if !self.think.is_zero() {
                tokio::select! {
                    () = self.gate.closed() => {}
                    () = sleep(self.think) => {}
                }
            }
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::record::{Epoch, Outcome, Phase};

    fn shape(most: u64) -> Shape {
        Shape { epoch: Epoch::now(), limit: Duration::from_secs(1), most }
    }

    fn crew(workers: usize, think_ms: u64, count: Option<u64>) -> Crew {
        Crew { workers, think: Duration::from_millis(think_ms), count }
    }

    async fn takes(time: Duration) -> Answer {
        sleep(time).await;
        Outcome::Ok.into()
    }

    #[tokio::test(start_paused = true)]
    async fn the_workers_begin_together_and_make_as_many_requests_as_were_asked_for() {
        let (_phases, phase) = watch::channel(Phase::Steady);
        let gate = Gate::new(phase, &[Phase::Steady], CancellationToken::new());
        let work = |_| takes(Duration::from_millis(30));
        let record = run(crew(100, 20, Some(1050)), shape(2000), gate, work).await;
        assert_eq!(record.samples.len(), 1050);
        assert!(!record.capped && record.pacer_lag.is_empty());
        let first: HashSet<_> = record.samples.iter().map(|sample| sample.due).collect();
        assert_eq!(first.len(), 11, "eleven rounds, each at one instant");
        assert!(record.samples.iter().all(|sample| sample.latency == Duration::from_millis(30)));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_made_in_the_phases_of_the_load_only() {
        let (phases, phase) = watch::channel(Phase::Warmup);
        let gate = Gate::new(phase, &[Phase::Steady, Phase::Recovery], CancellationToken::new());
        let shape = shape(2000);
        let running = run(crew(2, 0, None), shape, gate, |_| takes(Duration::from_millis(30)));
        let timeline = async {
            for phase in [Phase::Steady, Phase::Fault, Phase::Recovery] {
                sleep(Duration::from_secs(1)).await;
                phases.send_replace(phase);
            }
            sleep(Duration::from_secs(1)).await;
            drop(phases);
        };
        let (record, ()) = tokio::join!(running, timeline);
        let seconds: HashSet<_> = record.samples.iter().map(|one| one.due.as_secs()).collect();
        assert_eq!(seconds, HashSet::from([1, 3]));
        // A second has room for 34 beginnings of 30 ms.
        assert_eq!(record.samples.len(), 2 * 2 * 34);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_at_the_end_has_its_limit_to_end() {
        let (_phases, phase) = watch::channel(Phase::Steady);
        let stop = CancellationToken::new();
        let gate = Gate::new(phase, &[Phase::Steady], stop.clone());
        let work = |number| takes(Duration::from_millis(if number == 0 { 800 } else { 5000 }));
        let running = run(crew(2, 0, None), shape(2000), gate, work);
        let stopping = async {
            sleep(Duration::from_millis(100)).await;
            stop.cancel();
        };
        let (mut record, ()) = tokio::join!(running, stopping);
        record.samples.sort_by_key(|sample| sample.latency);
        let ends = record.samples.iter().map(|one| (one.latency.as_millis(), one.outcome.clone()));
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends, [(800, Outcome::Ok), (1000, Outcome::TimedOut)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_samples_end_a_load_that_says_so() {
        let (_phases, phase) = watch::channel(Phase::Steady);
        let gate = Gate::new(phase, &[Phase::Steady], CancellationToken::new());
        let at_once = |_| std::future::ready(Outcome::Ok.into());
        let record = run(crew(3, 0, None), shape(500), gate, at_once).await;
        assert_eq!((record.samples.len(), record.capped), (500, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_whose_phases_never_come_ends_with_them() {
        let (phases, phase) = watch::channel(Phase::Warmup);
        let gate = Gate::new(phase, &[Phase::Fault], CancellationToken::new());
        drop(phases);
        let never = |_| std::future::ready(Outcome::Ok.into());
        let record = run(crew(3, 0, Some(9)), shape(500), gate, never).await;
        assert_eq!((record.samples.len(), record.capped), (0, false));
    }
}
