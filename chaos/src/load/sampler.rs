//! Looks at the pools, about every 50 ms.

use std::collections::BTreeMap;
use std::time::Duration;

use codebase_mcp::config::Environment;
use codebase_mcp::control::{Folder, Status, ask};
use codebase_mcp::pool::{Health, Statistics};
use serde_json::Map;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::mcp::Server;
use super::target::Target;
use crate::record::{Epoch, Event, Gauges, Source, Span};

/// How often the pools are looked at.
const EVERY: Duration = Duration::from_millis(50);
/// The most looks that are kept: more than two hours of them. Later ones are left out.
const MOST: usize = 150_000;

/// What was seen of the pools.
#[derive(Debug, Clone, Default)]
pub struct Sampled {
    /// The pools, look by look.
    pub gauges: Vec<Gauges>,
    /// Changes of a pool's health: `pool.health.green`, `pool.health.yellow` when it is degraded, and
    /// `pool.health.red`.
    pub events: Vec<Event>,
    /// When looks at a running target failed, such as at a server that is stopped, or were too many to be kept.
    pub unseen: Vec<Span>,
    /// The last health of each pool.
    health: BTreeMap<String, Health>,
}

/// Looks at the pools of `target` until `stop` is cancelled. A server is asked at its control socket, over one
/// connection at a time, so that it is not disturbed; its memory and open files are the kernel's word. Looks that
/// take too long are not caught up with.
///
/// The values are sums over all pools: `size`, `max_size`, `idle`, `in_use`, `waiting`, `opening`, `checking`,
/// `closing`, `excess` (connections above a pool's `max_size`), `acquisitions`, `releases`, `timed_out`, `opened`,
/// `open_failed`, `leaks`, `live_leaks`; `pools` is their number, and `healthy` is 1 when all are healthy or
/// degraded, that is, can serve, else 0; a server without pools is 0. `server.rss_mib`, `server.peak_rss_mib` and
/// `server.open_files` are of the server's process.
///
/// Each look is handed to `show` as well.
///
/// # Cancel safety
/// Dropping the future loses what was seen and nothing else.
pub async fn follow(
    target: &Target,
    epoch: Epoch,
    show: impl Fn(&Gauges),
    stop: CancellationToken,
) -> Sampled {
    let mut sampled = Sampled::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let folder = match target {
        Target::Server(server) => control_folder(server),
        Target::Pool(_) => None,
    };
    loop {
        let looked = async {
            ticks.tick().await;
            (epoch.elapsed(), see(target, folder.as_ref()).await)
        };
        let (from, seen) = tokio::select! {
            biased;
            () = stop.cancelled() => return sampled,
            seen = looked => seen,
        };
        match seen {
            Some((pools, values)) => show(&sampled.add(epoch.elapsed(), &pools, values)),
            None if has_ended(target) => {}
            None => sampled.miss(Span { from, to: epoch.elapsed() }),
        }
    }
}

/// Whether there is nothing to look at any more.
fn has_ended(target: &Target) -> bool {
    matches!(target, Target::Server(server) if server.exit().is_some())
}

/// One look: the values that [`follow`] collects. `None` when a server does not answer.
pub async fn look(target: &Target) -> Option<BTreeMap<String, f64>> {
    let folder = match target {
        Target::Server(server) => control_folder(server),
        Target::Pool(_) => None,
    };
    let (pools, values) = see(target, folder.as_ref()).await?;
    Some(gauges(Duration::ZERO, &pools, values).values)
}

fn gauges(at: Duration, pools: &[Statistics], mut values: BTreeMap<String, f64>) -> Gauges {
    values.extend(sums(pools).map(|(name, value)| (name.to_owned(), value)));
    Gauges { at, values }
}

/// The pools, and what else there is to see.
async fn see(
    target: &Target,
    folder: Option<&Folder>,
) -> Option<(Vec<Statistics>, BTreeMap<String, f64>)> {
    match target {
        Target::Pool(subject) => Some((vec![subject.pool().statistics()], BTreeMap::new())),
        Target::Server(server) => {
            let pools = pools_of(server, folder?).await?;
            Some((pools, process_values(server)))
        }
    }
}

async fn pools_of(server: &Server, folder: &Folder) -> Option<Vec<Statistics>> {
    let answers = ask(folder).await.ok()?;
    let ours = answers.into_iter().find(|answer| answer.pid == server.pid())?;
    let status: Status = serde_json::from_value(ours.outcome.ok()?).ok()?;
    Some(status.pools)
}

fn process_values(server: &Server) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    // A server that has just ended has none of these.
    if let Ok(memory) = server.rss() {
        values.insert("server.rss_mib".to_owned(), mib(memory.resident));
        values.insert("server.peak_rss_mib".to_owned(), mib(memory.peak));
    }
    if let Ok(files) = server.open_files() {
        let files = u32::try_from(files).unwrap_or(u32::MAX);
        values.insert("server.open_files".to_owned(), files.into());
    }
    values
}

/// Where the server has its control socket, by the environment that it was started with.
fn control_folder(server: &Server) -> Option<Folder> {
    let program = server.program();
    let environment = Environment {
        variables: program.env.clone(),
        effective_uid: rustix::process::geteuid().as_raw(),
        working_dir: program.dir.clone(),
    };
    Folder::below(&environment.data_folder()?).ok()
}

impl Sampled {
    fn add(&mut self, at: Duration, pools: &[Statistics], values: BTreeMap<String, f64>) -> Gauges {
        for pool in pools {
            let before = self.health.insert(pool.name.clone(), pool.health);
            if before != Some(pool.health) {
                self.events.push(changed(at, pool, before));
            }
        }
        let gauges = gauges(at, pools, values);
        if self.gauges.len() < MOST {
            self.gauges.push(gauges.clone());
        } else {
            self.miss(Span { from: at, to: at });
        }
        gauges
    }

    /// A look that is missing. One that follows another makes it longer.
    fn miss(&mut self, look: Span) {
        match self.unseen.last_mut() {
            Some(last) if look.from.saturating_sub(last.to) < 2 * EVERY => last.to = look.to,
            _ => self.unseen.push(look),
        }
    }
}

fn sums(pools: &[Statistics]) -> impl Iterator<Item = (&'static str, f64)> {
    let sum = |of: fn(&Statistics) -> f64| pools.iter().map(of).sum::<f64>();
    let serves = !pools.is_empty() && pools.iter().all(|pool| pool.health != Health::Unhealthy);
    [
        ("pools", sum(|_| 1.0)),
        ("healthy", f64::from(u8::from(serves))),
        ("size", sum(|pool| pool.snapshot.total().into())),
        ("max_size", sum(|pool| pool.snapshot.max_size.into())),
        ("idle", sum(|pool| pool.snapshot.idle.into())),
        ("in_use", sum(|pool| pool.snapshot.in_use.into())),
        ("waiting", sum(|pool| pool.snapshot.waiting.into())),
        ("opening", sum(|pool| pool.snapshot.opening.into())),
        ("checking", sum(|pool| pool.snapshot.checking.into())),
        ("closing", sum(|pool| pool.snapshot.closing.into())),
        ("excess", sum(|pool| pool.snapshot.total().saturating_sub(pool.snapshot.max_size).into())),
        ("acquisitions", sum(|pool| count(pool.total_acquisitions))),
        ("releases", sum(|pool| count(pool.total_releases))),
        ("timed_out", sum(|pool| count(pool.timed_out))),
        ("opened", sum(|pool| count(pool.opened))),
        ("open_failed", sum(|pool| count(pool.open_failed))),
        ("leaks", sum(|pool| count(pool.leaks))),
        ("live_leaks", sum(|pool| pool.live_leaks.into())),
    ]
    .into_iter()
}

fn changed(at: Duration, pool: &Statistics, before: Option<Health>) -> Event {
    let mut fields = Map::new();
    fields.insert("pool".to_owned(), pool.name.as_str().into());
    fields.insert("phase".to_owned(), pool.snapshot.phase.to_string().into());
    fields.insert("reason".to_owned(), pool.snapshot.reason.to_string().into());
    if let Some(before) = before {
        fields.insert("from".to_owned(), color(before).into());
    }
    // It is the runner that noticed, by looking; the server's own word is in its log.
    let name = format!("pool.health.{}", color(pool.health));
    Event { at_s: at.as_secs_f64(), source: Source::Runner, name, fields }
}

fn color(health: Health) -> &'static str {
    match health {
        Health::Healthy => "green",
        Health::Degraded => "yellow",
        Health::Unhealthy => "red",
    }
}

/// A count as a value; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a run counts far less than 2^53 of anything")]
fn count(value: u64) -> f64 {
    value as f64
}

fn mib(kib: u64) -> f64 {
    count(kib) / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(from: u64, to: u64) -> Span {
        Span { from: Duration::from_millis(from), to: Duration::from_millis(to) }
    }

    #[test]
    fn looks_that_fail_one_after_the_other_are_one_time_without_sight() {
        let mut sampled = Sampled::default();
        for missed in [look(0, 40), look(50, 1050), look(1100, 1101), look(3000, 3001)] {
            sampled.miss(missed);
        }
        assert_eq!(sampled.unseen, [look(0, 1101), look(3000, 3001)]);
    }

    #[test]
    fn looks_beyond_those_that_are_kept_are_missing() {
        let mut sampled = Sampled::default();
        for number in 0..MOST + 3 {
            let at = EVERY * u32::try_from(number).unwrap();
            sampled.add(at, &[], BTreeMap::new());
        }
        let first = EVERY * u32::try_from(MOST).unwrap();
        assert_eq!(sampled.gauges.len(), MOST);
        assert_eq!(sampled.unseen, [Span { from: first, to: first + 2 * EVERY }]);
    }
}
