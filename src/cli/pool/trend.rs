//! What successive reports say about speed.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};

use super::Server;
use crate::control::Status;
use crate::pool::Statistics;

/// How many rates are kept for each pool.
const KEPT: usize = 60;
/// A rate as a bar, from none to the highest, which has this level.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const HIGHEST: f64 = 7.0;

/// A pool among all servers: a process id may come again, a start does not.
type Key = (u32, DateTime<Utc>, String);

/// The latest rates of all pools.
#[derive(Debug, Default)]
pub(super) struct Trends {
    pools: BTreeMap<Key, Trend>,
}

/// The latest rates of a pool.
#[derive(Debug, Default)]
pub(super) struct Trend {
    /// When it was looked at, in the pool's own time, and what it had counted by then.
    last: Option<(f64, u64)>,
    /// Acquires in a second, the oldest first.
    rates: VecDeque<f64>,
}

impl Trends {
    /// Takes the next reports in, and forgets servers that are gone.
    pub(super) fn add(&mut self, servers: &[Server]) {
        self.pools.retain(|(pid, ..), _| servers.iter().any(|server| server.pid() == *pid));
        for server in servers {
            let Server::Answered(status) = server else { continue };
            for pool in &status.pools {
                self.pools.entry(key(status, pool)).or_default().add(pool);
            }
        }
    }

    /// The rates of a pool that was in the reports.
    pub(super) fn of(&self, status: &Status, pool: &Statistics) -> Option<&Trend> {
        self.pools.get(&key(status, pool))
    }
}

impl Trend {
    fn add(&mut self, pool: &Statistics) {
        let now = (pool.uptime_seconds, pool.total_acquisitions);
        let Some((then, count)) = self.last.replace(now) else { return };
        let (seconds, acquired) = (now.0 - then, now.1.checked_sub(count));
        match acquired {
            Some(acquired) if seconds > 0.0 => {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a rate is shown with three digits"
                )]
                self.rates.push_back(acquired as f64 / seconds);
                if self.rates.len() > KEPT {
                    self.rates.pop_front();
                }
            }
            // Another pool with the same name.
            _ => self.rates.clear(),
        }
    }

    /// Acquires in a second between the last two reports.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rates.back().copied()
    }

    /// The latest `width` rates as bars, relative to the highest of them; the newest is the last.
    pub(super) fn bars(&self, width: usize) -> String {
        let shown = || self.rates.iter().skip(self.rates.len().saturating_sub(width));
        let highest = shown().copied().fold(0.0, f64::max);
        let bar = |rate: &f64| {
            let level = if highest > 0.0 { rate / highest * HIGHEST } else { 0.0 };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to 7"
            )]
            BARS.get(level.ceil() as usize).copied().unwrap_or(' ')
        };
        shown().map(bar).collect()
    }
}

fn key(status: &Status, pool: &Statistics) -> Key {
    (status.pid, status.started_at, pool.name.clone())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{pool, server};
    use super::*;

    fn trend_of(counts: &[(f64, u64)]) -> Trend {
        let mut trend = Trend::default();
        for (uptime_seconds, total_acquisitions) in counts.iter().copied() {
            trend.add(&Statistics { total_acquisitions, uptime_seconds, ..pool("registry") });
        }
        trend
    }

    #[test]
    fn a_rate_needs_two_reports() {
        assert_eq!(trend_of(&[(10.0, 100)]).rate(), None);
        assert_eq!(trend_of(&[(10.0, 100), (12.0, 160)]).rate(), Some(30.0));
        assert_eq!(trend_of(&[(10.0, 100), (12.0, 160), (13.0, 160)]).rate(), Some(0.0));
    }

    #[test]
    fn a_pool_that_was_made_again_starts_over() {
        assert_eq!(trend_of(&[(10.0, 100), (12.0, 160), (1.0, 5)]).rate(), None);
        assert_eq!(trend_of(&[(10.0, 100), (12.0, 160), (1.0, 5), (2.0, 9)]).rate(), Some(4.0));
    }

    #[test]
    fn bars_are_relative_to_the_highest_one_shown() {
        let trend = trend_of(&[(0.0, 0), (1.0, 1), (2.0, 101), (3.0, 101), (4.0, 151)]);
        assert_eq!(trend.bars(9), "▂█▁▅");
        assert_eq!(trend.bars(2), "▁█");
        assert_eq!(trend_of(&[(0.0, 0), (1.0, 0)]).bars(9), "▁", "nothing is the lowest");
        assert_eq!(trend_of(&[(0.0, 0)]).bars(9), "");
    }

    #[test]
    fn rates_are_bounded_and_forgotten_with_their_server() {
        let mut trends = Trends::default();
        for second in 0..1000 {
            let mut server = server(7, vec![pool("registry")]);
            if let Server::Answered(status) = &mut server {
                status.pools[0].uptime_seconds = f64::from(second);
            }
            trends.add(&[server]);
        }
        let lengths: Vec<usize> = trends.pools.values().map(|trend| trend.rates.len()).collect();
        assert_eq!(lengths, [KEPT]);
        trends.add(&[server(8, vec![pool("registry")])]);
        assert!(trends.pools.keys().all(|(pid, ..)| *pid == 8));
    }
}
