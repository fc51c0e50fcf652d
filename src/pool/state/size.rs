//! How large the pool may be: resizing while it runs, by hand or after the load.

use tokio::time::Instant;

use super::{CloseReason, Event, Order, Resize, State};
use crate::pool::config::Config;

/// Above this utilisation the pool grows, by [`GROWTH`].
const HIGH: f64 = 0.9;
/// Below this utilisation the pool shrinks, by [`SHRINKAGE`].
const LOW: f64 = 0.3;
/// As a fraction: x1.5.
const GROWTH: (u32, u32) = (3, 2);
/// As a fraction: x0.7.
const SHRINKAGE: (u32, u32) = (7, 10);

/// The utilisation since the size last changed, and what is left over from a shrink.
#[derive(Debug)]
pub(super) struct Utilisation {
    /// The share of `max_size` that was in use, summed over the samples.
    sum: f64,
    samples: u32,
    since: Instant,
    /// `max_size` as somebody set it, before the load changed it.
    asked: u32,
    /// How many connections there may be while a shrink waits for leases to come back.
    ceiling: u32,
}

impl Utilisation {
    pub(super) fn new(max_size: u32, now: Instant) -> Self {
        Self { sum: 0.0, samples: 0, since: now, asked: max_size, ceiling: 0 }
    }

    /// The bound of all connections together: `max_size`, or what a shrink found above it and has not
    /// come back yet.
    pub(super) fn allowed(&self, max_size: u32) -> u32 {
        max_size.max(self.ceiling)
    }

    /// Adds a sample; after `cooldown` the mean decides the new size, if another one is due.
    fn sample(&mut self, in_use: u32, config: &Config, now: Instant) -> Option<(u32, Resize)> {
        self.sum += f64::from(in_use) / f64::from(config.max_size);
        self.samples += 1;
        if now.saturating_duration_since(self.since) < config.adaptive.cooldown {
            return None;
        }
        let mean = self.sum / f64::from(self.samples);
        self.restart(now);
        adapted(mean, config)
    }

    fn restart(&mut self, now: Instant) {
        (self.sum, self.samples, self.since) = (0.0, 0, now);
    }
}

/// The size for a mean utilisation, when it differs from the present one.
fn adapted(mean: f64, config: &Config) -> Option<(u32, Resize)> {
    let size = config.max_size;
    let (wanted, why) = if mean > HIGH {
        ((size * GROWTH.0).div_ceil(GROWTH.1), Resize::HighUtilisation)
    } else if mean < LOW {
        (size * SHRINKAGE.0 / SHRINKAGE.1, Resize::LowUtilisation)
    } else {
        return None;
    };
    let wanted = wanted.clamp(config.min_size, config.adaptive.max_size);
    (wanted != config.max_size).then_some((wanted, why))
}

impl<T, S, W> State<T, S, W> {
    /// Puts another configuration in force at once. Idle connections beyond a smaller `max_size` are
    /// closed, the longest idle first; leases beyond it are closed as they come back.
    pub(in crate::pool) fn reconfigure(&mut self, config: Config, now: Instant) {
        let mut config = config;
        let asked = std::mem::replace(&mut self.utilisation.asked, config.max_size);
        if config.adaptive.enabled && asked == config.max_size {
            // The size was not changed by hand, so it stays what the load has made of it.
            let (low, high) = (config.min_size, config.adaptive.max_size);
            config.max_size = self.config.max_size.clamp(low, high);
        }
        self.put_in_force(config, now);
    }

    fn put_in_force(&mut self, config: Config, now: Instant) {
        let (min_size, max_size) = (config.min_size, config.max_size);
        let from = std::mem::replace(&mut *self.config, config);
        if from.leaks != self.config.leaks {
            self.seats.lent_mut().for_each(|(_, _, holder)| holder.warnings = 0);
            self.count_leaks();
        }
        if (from.min_size, from.max_size) != (min_size, max_size) {
            self.fit(from.max_size, Resize::Asked, now);
        }
        self.assess(now);
    }

    pub(in crate::pool) fn resize(&mut self, min_size: u32, max_size: u32, now: Instant) {
        let config = Config { min_size, max_size, ..Config::clone(&self.config) };
        self.utilisation.asked = max_size;
        self.put_in_force(config, now);
    }

    /// Follows the load, when the configuration says so.
    pub(super) fn adapt(&mut self, now: Instant) {
        if !self.config.adaptive.enabled {
            return;
        }
        if let Some((max_size, why)) = self.utilisation.sample(self.in_use, &self.config, now) {
            let from = std::mem::replace(&mut self.config.max_size, max_size);
            self.fit(from, why, now);
        }
    }

    /// A connection is gone, so a shrink that was waiting for it has less to wait for.
    pub(super) fn lower_ceiling(&mut self) {
        self.utilisation.ceiling = self.utilisation.ceiling.min(self.total());
    }

    fn fit(&mut self, from: u32, why: Resize, now: Instant) {
        let Config { min_size, max_size, .. } = *self.config;
        self.utilisation.restart(now);
        self.utilisation.ceiling = self.total();
        // Those that are on their way out already make room as well.
        while self.total() - self.closing > max_size && !self.idle.is_empty() {
            let longest_idle = self.idle.remove(0);
            self.dismiss(longest_idle, CloseReason::Shrunk);
        }
        self.orders.push(Order::Tell(Event::Resized { min_size, max_size, from, why }));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pool::config::Adaptive;

    fn config(min_size: u32, max_size: u32, limit: u32) -> Config {
        let adaptive =
            Adaptive { enabled: true, max_size: limit, cooldown: Duration::from_secs(30) };
        Config { min_size, max_size, adaptive, ..Config::default() }
    }

    #[test]
    fn the_size_follows_the_mean_utilisation_inside_its_bounds() {
        use Resize::{HighUtilisation, LowUtilisation};
        for (mean, max_size, expected) in [
            (0.91, 10, Some((15, HighUtilisation))),
            (0.9, 10, None),
            (0.3, 10, None),
            (0.29, 10, Some((7, LowUtilisation))),
            (1.0, 15, Some((20, HighUtilisation))),
            (1.0, 20, None),
            (0.0, 3, Some((2, LowUtilisation))),
            (0.0, 2, None),
        ] {
            assert_eq!(adapted(mean, &config(2, max_size, 20)), expected, "{mean} of {max_size}");
        }
    }

    #[test]
    fn the_size_changes_at_most_once_a_cooldown() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let config = config(2, 10, 100);
        let mut utilisation = Utilisation::new(config.max_size, start);
        let changes: Vec<u64> = (1..=65)
            .filter(|second| utilisation.sample(10, &config, at(*second)).is_some())
            .collect();
        assert_eq!(changes, [30, 60]);
    }
}
