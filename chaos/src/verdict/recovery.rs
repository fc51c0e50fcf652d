//! How soon a fault shows, and how soon service is back for good.

use std::time::Duration;

use crate::record::{Gauges, LoadRecord, Outcome, Phase, Record, Sample, Span, UNHEALTHY};

/// The width of the buckets that service is judged by.
const BUCKET: Duration = Duration::from_millis(200);
/// So many good buckets in a row are lasting service.
const LASTING: u32 = 5;
/// The part of a good bucket's requests that succeed.
const GOOD_SHARE: f64 = 0.999;
/// A good bucket's slow requests take at most so many times as long as those of the steady phase…
const SLOWER: u32 = 2;
/// … and so many times as long as the median there, as a steady phase with a longer tail says little about what
/// is usual…
const TAIL: u32 = 20;
/// … or as long as this, if that is more: a bucket holds few requests, and one of them may wait for the
/// machine.
const SLOWEST: Duration = Duration::from_millis(50);

/// Why there is no recovery time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// There was nothing to recover from.
    #[error("no fault was in force")]
    NoFault,
    /// The load made no requests after the faults.
    #[error("no request was made after the faults")]
    NoRequests,
    /// Service was not back, to stay, when the run ended.
    #[error("not recovered when the run ended, {:.1} s after the last fault", .after.as_secs_f64())]
    NotRecovered {
        /// How long the load went on after the last fault.
        after: Duration,
    },
}

/// When the first fault began.
pub(super) fn began_at(record: &Record) -> Option<Duration> {
    record.faults.iter().map(|fault| fault.span.from).min()
}

/// When the last fault was undone.
pub(super) fn healed_at(record: &Record) -> Option<Duration> {
    record.faults.iter().map(|fault| fault.span.to).max()
}

/// How slow the slow requests of a good bucket may be; `None` without a steady phase, as then nobody knows what is
/// usual.
pub(super) fn tolerated(record: &Record, load: &LoadRecord) -> Option<Duration> {
    let steady = latencies(load, record.phase(Phase::Steady)?);
    let (slow, median) = (slow_end(&steady)?, steady.get(steady.len() / 2)?);
    Some((slow * SLOWER).min(*median * TAIL).max(SLOWEST))
}

/// From the end of the last fault to the beginning of the first five consecutive buckets of 200 ms, each with
/// requests, in each of which 99.9 % succeed and, if there was a steady phase, 99 % are no slower than twice the
/// 99th percentile there (20 times the median if that is less; 50 ms if that is more).
pub fn recovery_time(record: &Record, load: &LoadRecord) -> Result<Duration, RecoveryError> {
    let healed = healed_at(record).ok_or(RecoveryError::NoFault)?;
    let tolerated = tolerated(record, load).unwrap_or(Duration::MAX);
    let after = |sample: &&Sample| sample.due >= healed;
    let last = load.samples.iter().filter(after).map(|sample| sample.due).max();
    let last = last.ok_or(RecoveryError::NoRequests)?;
    let count = last.saturating_sub(healed).as_nanos() / BUCKET.as_nanos();
    let mut good = 0;
    for number in 0..=u32::try_from(count).unwrap_or(u32::MAX) {
        let from = healed + BUCKET * number;
        good =
            if is_good(load, Span { from, to: from + BUCKET }, tolerated) { good + 1 } else { 0 };
        if good == LASTING {
            return Ok(BUCKET * (number + 1 - LASTING));
        }
    }
    Err(RecoveryError::NotRecovered { after: last.saturating_sub(healed) })
}

fn is_good(load: &LoadRecord, bucket: Span, tolerated: Duration) -> bool {
    let due = || load.samples.iter().filter(|sample| bucket.contains(sample.due));
    let (total, ok) = (due().count(), due().filter(|sample| sample.outcome.is_ok()).count());
    let served = total > 0 && ok as f64 >= total as f64 * GOOD_SHARE;
    served && slow_end(&latencies(load, bucket)).is_some_and(|slow| slow <= tolerated)
}

fn latencies(load: &LoadRecord, span: Span) -> Vec<Duration> {
    let due = load.samples.iter().filter(|sample| span.contains(sample.due));
    let mut latencies: Vec<Duration> =
        due.filter(|sample| sample.outcome.is_ok()).map(|sample| sample.latency).collect();
    latencies.sort();
    latencies
}

/// The 99th percentile.
fn slow_end(sorted: &[Duration]) -> Option<Duration> {
    sorted.get((sorted.len() * 99).div_ceil(100).saturating_sub(1)).copied()
}

/// From the beginning of the first fault to the first failure that came from the server, not from the
/// caller's patience.
pub fn detection_time(record: &Record, load: &LoadRecord) -> Option<Duration> {
    let began = began_at(record)?;
    let failures = load
        .samples
        .iter()
        .filter(|sample| sample.due >= began && matches!(sample.outcome, Outcome::Failed { .. }));
    failures.map(|sample| (sample.due + sample.latency).saturating_sub(began)).min()
}

/// From the end of the last fault, or the load's first request after it, to the end of the first request that
/// succeeded.
pub(super) fn first_success(record: &Record, load: &LoadRecord) -> Option<Duration> {
    let healed = healed_at(record)?;
    let after = || load.samples.iter().filter(|sample| sample.due >= healed);
    let first = after().map(|sample| sample.due).min()?;
    let success = after().filter(|sample| sample.outcome.is_ok());
    success.map(|sample| (sample.due + sample.latency).saturating_sub(first)).min()
}

/// Whether the pools were red, at one instant after the other.
type Reds = Vec<(Duration, bool)>;

/// What the looks at the pools have seen, by the gauge `healthy`.
pub(super) fn seen(record: &Record) -> Reds {
    let red = |look: &Gauges| Some((look.at, *look.values.get("healthy")? == 0.0));
    record.gauges.iter().filter_map(red).collect()
}

/// What the answers of a health load have told, each at its end.
pub(super) fn told(load: &LoadRecord) -> Reds {
    let answers = load.samples.iter().filter(|sample| sample.outcome.is_ok());
    let red = |sample: &Sample| Some((sample.due + sample.latency, sample.value? == UNHEALTHY));
    answers.filter_map(red).collect()
}

/// From the beginning of the first fault to the first red instant.
pub(super) fn time_to_red(record: &Record, reds: &Reds) -> Option<Duration> {
    let began = began_at(record)?;
    let (at, _) = reds.iter().find(|(at, red)| *at >= began && *red)?;
    Some(at.saturating_sub(began))
}

/// From the end of the last fault to the first instant from which on nothing was red any more.
pub(super) fn time_to_green(record: &Record, reds: &Reds) -> Option<Duration> {
    let healed = healed_at(record)?;
    let last_red = reds.iter().rfind(|(_, red)| *red).map(|(at, _)| *at);
    let stays = reds.iter().find(|(at, _)| *at >= healed && last_red.is_none_or(|red| *at > red));
    stays.map(|(at, _)| at.saturating_sub(healed))
}
