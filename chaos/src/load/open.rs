//! The open model: requests come when they are due, whatever the answers do.

use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;
use tokio::time::Instant;

use super::alarm::Alarm;
use super::arrivals::Schedule;
use super::gate::Gate;
use super::request::{Answer, Shape, measured};
use crate::record::{LoadRecord, Outcome, Sample};
use crate::schema::Arrivals;

/// When requests come, and how many may be under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) arrivals: Arrivals,
    pub(super) rate: f64,
    pub(super) max_in_flight: usize,
    pub(super) seed: u64,
}

/// Makes a request, by its number, at every arrival while `gate` is open. Each time that it opens is a period with
/// a schedule of its own.
pub(super) async fn run<F>(
    pace: Pace,
    shape: Shape,
    mut gate: Gate,
    request: &impl Fn(u64) -> F,
) -> LoadRecord
where
    F: Future<Output = Answer> + Send + 'static,
{
    let mut pacer = Pacer {
        max_in_flight: pace.max_in_flight,
        shape,
        request,
        alarm: Alarm::new(),
        number: 0,
        under_way: JoinSet::new(),
        record: LoadRecord::default(),
    };
    let mut period = 0;
    while !pacer.record.capped && gate.opened().await {
        let schedule = Schedule::new(pace.arrivals, pace.rate, pace.seed, period);
        pacer.period(schedule, &mut gate).await;
        period += 1;
    }
    pacer.finish().await
}

struct Pacer<'a, R> {
    max_in_flight: usize,
    shape: Shape,
    request: &'a R,
    alarm: Alarm,
    /// How many requests were due so far.
    number: u64,
    under_way: JoinSet<Sample>,
    record: LoadRecord,
}

impl<R, F> Pacer<'_, R>
where
    R: Fn(u64) -> F,
    F: Future<Output = Answer> + Send + 'static,
{
    /// Makes the requests that are due from now until the gate closes; also those that were due before the pacer
    /// noticed that it did, as they would have been sent by one that is never late.
    async fn period(&mut self, schedule: Schedule, gate: &mut Gate) {
        let begun = Instant::now();
        let mut end = None;
        for offset in schedule {
            let due = begun + offset;
            if end.is_none() && Instant::now() < due {
                tokio::select! {
                    biased;
                    () = gate.closed() => end = Some(Instant::now()),
                    () = self.alarm.until(due) => {}
                }
            } else if end.is_none() {
                // Those who are behind must let others run all the same.
                consume_budget().await;
                end = (!gate.is_open()).then(Instant::now);
            }
            if end.is_some_and(|end| due > end) {
                return;
            }
            if self.number == self.shape.most {
                self.record.capped = true;
                return;
            }
            self.send(due);
        }
        // A rate without arrivals must not be asked for its next period at once.
        gate.closed().await;
    }

    fn send(&mut self, due: Instant) {
        while let Some(ended) = self.under_way.try_join_next() {
            self.record.samples.push(sample(ended));
        }
        let (number, late) = (self.number, due.elapsed());
        self.number += 1;
        if self.under_way.len() >= self.max_in_flight {
            let (due, outcome) = (self.shape.epoch.at(due), Outcome::Dropped);
            self.record.samples.push(Sample { due, latency: late, outcome, value: None });
            return;
        }
        self.record.pacer_lag.push(late);
        self.under_way.spawn(measured(self.shape, due, (self.request)(number)));
    }

    /// Waits for what is under way, each request of which ends at its limit.
    async fn finish(mut self) -> LoadRecord {
        while let Some(ended) = self.under_way.join_next().await {
            self.record.samples.push(sample(ended));
        }
        self.record
    }
}

/// The sample of a task, which catches the panics of its request and is never aborted.
pub(super) fn sample<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch;
    use tokio::time::sleep;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::record::{Epoch, Phase};

    const MILLI: Duration = Duration::from_millis(1);

    fn pace(rate: f64, max_in_flight: usize) -> Pace {
        Pace { arrivals: Arrivals::Constant, rate, max_in_flight, seed: 1 }
    }

    fn shape(most: u64) -> Shape {
        Shape { epoch: Epoch::now(), limit: Duration::from_secs(1), most }
    }

    /// Runs a load for `time` and waits for its end.
    async fn load<F>(
        pace: Pace,
        most: u64,
        time: Duration,
        request: impl Fn(u64) -> F,
    ) -> LoadRecord
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let (_phases, phase) = watch::channel(Phase::Steady);
        let stop = CancellationToken::new();
        let gate = Gate::new(phase, &[Phase::Steady], stop.clone());
        let running = run(pace, shape(most), gate, &request);
        let stopping = async {
            sleep(time).await;
            stop.cancel();
        };
        tokio::join!(running, stopping).0
    }

    async fn takes(time: Duration) -> Answer {
        sleep(time).await;
        Outcome::Ok.into()
    }

    fn percentile(record: &LoadRecord, of_hundred: usize) -> Duration {
        let mut latencies: Vec<_> = record.samples.iter().map(|sample| sample.latency).collect();
        latencies.sort();
        latencies[latencies.len() * of_hundred / 100]
    }

    #[tokio::test(start_paused = true)]
    async fn each_arrival_has_one_sample_on_time() {
        let time = Duration::from_millis(9995);
        let record = load(pace(100.0, 10), 5000, time, |_| takes(20 * MILLI)).await;
        assert_eq!((record.samples.len(), record.pacer_lag.len()), (1000, 1000));
        assert!(record.samples.iter().all(|sample| sample.outcome.is_ok()));
        // The paused clock moves in whole milliseconds.
        assert!(record.samples.iter().all(|sample| sample.latency.as_millis() / 2 == 10));
        assert!(record.pacer_lag.iter().all(|lag| *lag <= MILLI));
        assert!(!record.capped);
    }

    /// A service of 1 ms that stands still for 3 s. Workers who wait for their answers would count one slow request
    /// each; here those who came meanwhile waited too.
    #[tokio::test(start_paused = true)]
    async fn a_stall_shows_in_everything_that_it_held_up() {
        let begun = Instant::now();
        let stall = begun + Duration::from_secs(10);
        let service = move |_| async move {
            let now = Instant::now();
            if now >= stall {
                sleep((stall + Duration::from_secs(3)).saturating_duration_since(now)).await;
            }
            takes(MILLI).await
        };
        let (_phases, phase) = watch::channel(Phase::Steady);
        let stop = CancellationToken::new();
        let gate = Gate::new(phase, &[Phase::Steady], stop.clone());
        let limit = Duration::from_mins(1);
        let shape = Shape { limit, ..shape(50_000) };
        let running = run(pace(200.0, 100_000), shape, gate, &service);
        let stopping = async {
            sleep(Duration::from_secs(30)).await;
            stop.cancel();
        };
        let record = tokio::join!(running, stopping).0;
        assert!(percentile(&record, 50) < 5 * MILLI);
        let p95 = percentile(&record, 95);
        assert!((1450..1550).contains(&p95.as_millis()), "{p95:?}");
    }

    /// A generator that stands still is no excuse for a fast answer.
    #[tokio::test(start_paused = true)]
    async fn the_pacers_own_stall_is_in_the_latency_and_in_the_lag() {
        let stalls = |number| async move {
            if number == 10 {
                // Nobody else runs meanwhile, as if the thread were gone.
                tokio::time::advance(Duration::from_millis(500)).await;
            }
            Outcome::Ok.into()
        };
        let record = load(pace(100.0, 1000), 5000, Duration::from_millis(1005), stalls).await;
        assert_eq!(record.samples.len(), 101);
        let late = |times: Vec<Duration>| times.iter().filter(|one| **one > 100 * MILLI).count();
        assert!(late(record.pacer_lag.clone()) >= 35);
        assert!(late(record.samples.iter().map(|sample| sample.latency).collect()) >= 35);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_beyond_the_most_in_flight_is_dropped_and_counted() {
        let time = Duration::from_millis(995);
        let record = load(pace(100.0, 5), 5000, time, |_| takes(100 * MILLI)).await;
        assert_eq!(record.samples.len(), 100);
        let dropped = record.samples.iter().filter(|one| one.outcome == Outcome::Dropped).count();
        assert!((45..=55).contains(&dropped), "{dropped}");
        assert_eq!(record.pacer_lag.len() + dropped, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_stop_requests_have_their_limit_and_none_is_lost() {
        let work = |number| takes(if number % 2 == 0 { 900 * MILLI } else { 5000 * MILLI });
        let record = load(pace(10.0, 100), 5000, Duration::from_millis(950), work).await;
        let (ok, rest): (Vec<_>, Vec<_>) =
            record.samples.iter().partition(|sample| sample.outcome.is_ok());
        assert_eq!((ok.len(), rest.len()), (5, 5));
        assert!(rest.iter().all(|sample| sample.outcome == Outcome::TimedOut));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_panics_is_a_sample_too() {
        async fn odd(number: u64) -> Answer {
            assert!(number != 3, "number {number}");
            Outcome::Ok.into()
        }
        let record = load(pace(10.0, 100), 5000, Duration::from_millis(950), odd).await;
        let broken = record.samples.iter().filter(|sample| !sample.outcome.is_ok());
        let broken: Vec<_> = broken.map(|sample| sample.outcome.clone()).collect();
        let what = "it panicked: number 3".to_owned();
        assert_eq!(broken, [Outcome::Malformed { what }]);
        assert_eq!(record.samples.len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_an_operation_is_not_measured_and_may_spoil_it() {
        let work = |number| async move {
            let end = if number == 0 { Outcome::Ok } else { Outcome::TimedOut };
            let rest = async move {
                sleep(Duration::from_secs(20)).await;
                end
            };
            Answer { outcome: Outcome::Ok, value: Some(number), rest: Some(Box::pin(rest)) }
        };
        let record = load(pace(10.0, 100), 5000, Duration::from_millis(150), work).await;
        let ends: Vec<_> = record.samples.iter().map(|one| (one.value, &one.outcome)).collect();
        assert_eq!(ends, [(Some(0), &Outcome::Ok), (Some(1), &Outcome::TimedOut)]);
        assert!(record.samples.iter().all(|sample| sample.latency < 10 * MILLI));
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_samples_end_a_load_that_says_so() {
        let time = Duration::from_secs(100);
        let record = load(pace(100.0, 5), 50, time, |_| takes(MILLI)).await;
        assert_eq!((record.samples.len(), record.capped), (50, true));
    }

    #[tokio::test(start_paused = true)]
    async fn each_time_the_phase_comes_the_schedule_begins_anew() {
        let (phases, phase) = watch::channel(Phase::Warmup);
        let stop = CancellationToken::new();
        let gate = Gate::new(phase, &[Phase::Steady, Phase::Recovery], stop.clone());
        let at_once = |_| std::future::ready(Outcome::Ok.into());
        let timeline = async {
            for phase in [Phase::Steady, Phase::Fault, Phase::Recovery, Phase::Drain] {
                sleep(Duration::from_millis(1005)).await;
                phases.send_replace(phase);
            }
            stop.cancel();
        };
        let (record, ()) = tokio::join!(run(pace(10.0, 5), shape(5000), gate, &at_once), timeline);
        let due: Vec<_> = record.samples.iter().map(|one| one.due.as_millis()).collect();
        assert_eq!(due.len(), 22);
        assert_eq!((due[0], due[10], due[11], due[21]), (1005, 2005, 3015, 4015));
    }
}
