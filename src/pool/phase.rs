//! The states of a pool, the health they imply, and the rules that decide both.

use std::fmt;

/// Where a pool is in its life. It changes in one place, and every change is logged with its reason.
///
/// ```text
/// INITIALIZING ──▶ HEALTHY ◀──▶ DEGRADED          any ──▶ SHUTTING_DOWN ──▶ TERMINATED
///       │             │            │
///       ▼             ▼            ▼
///   UNHEALTHY ◀───────┴────────────┘
///       │  ▲
///       ▼  │ attempt failed
///   RECOVERING ──▶ HEALTHY
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// Opening the first `min_size` connections.
    Initializing,
    /// No rule is broken, however busy the pool is.
    Healthy,
    /// It serves, but a rule is broken.
    Degraded,
    /// Fewer than half of `min_size` connections are usable.
    Unhealthy,
    /// Connecting again after having been unhealthy.
    Recovering,
    /// Refusing acquires, waiting for leases to come back.
    ShuttingDown,
    /// Over.
    Terminated,
}

/// How well a pool can serve, in rising order of trouble.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Everything works, however busy the pool is.
    Healthy,
    /// It serves, but something is wrong.
    Degraded,
    /// It cannot serve.
    Unhealthy,
}

/// The rule that decided a [`Health`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthReason {
    /// No rule is broken.
    Ok,
    /// No connection is usable.
    NoConnections,
    /// Fewer than half of `min_size` connections are usable.
    BelowHalf,
    /// Fewer than eight tenths of `min_size` connections are usable.
    BelowEightTenths,
    /// Opening, checking or using a connection failed within the last minute.
    RecentError,
    /// An acquire waited for more than 100 ms within the last minute.
    SlowAcquire,
    /// The first in line has waited for more than 10 s.
    LongWait,
    /// A lease is held for longer than the leak threshold.
    Leak,
}

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signals {
    /// Connections that can serve: idle, being checked, or in use unless the database has gone silent.
    pub(super) usable: u32,
    /// How many there should be at least.
    pub(super) min_size: u32,
    /// Whether too few usable connections is more than the moment in which one is being replaced.
    pub(super) lasting: bool,
    /// A broken rule that only degrades.
    pub(super) trouble: Option<HealthReason>,
}

impl Signals {
    /// The worst broken rule decides; capacity is usable connections over `min_size`.
    pub(super) fn verdict(self) -> (Health, HealthReason) {
        let short_of = |tenths: u32| self.lasting && self.usable * 10 < self.min_size * tenths;
        if self.lasting && self.usable == 0 {
            (Health::Unhealthy, HealthReason::NoConnections)
        } else if short_of(5) {
            (Health::Unhealthy, HealthReason::BelowHalf)
        } else if short_of(8) {
            (Health::Degraded, HealthReason::BelowEightTenths)
        } else if let Some(reason) = self.trouble {
            (Health::Degraded, reason)
        } else {
            (Health::Healthy, HealthReason::Ok)
        }
    }
}

impl Phase {
    const ALL: [Self; 7] = [
        Self::Initializing,
        Self::Healthy,
        Self::Degraded,
        Self::Unhealthy,
        Self::Recovering,
        Self::ShuttingDown,
        Self::Terminated,
    ];

    /// The stable label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::Healthy => "HEALTHY",
            Self::Degraded => "DEGRADED",
            Self::Unhealthy => "UNHEALTHY",
            Self::Recovering => "RECOVERING",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::Terminated => "TERMINATED",
        }
    }

    /// Whether acquires are admitted.
    #[inline]
    pub fn admits(self) -> bool {
        !matches!(self, Self::ShuttingDown | Self::Terminated)
    }

    /// Whether this phase may follow `from`.
    pub(super) fn may_follow(self, from: Self) -> bool {
        match self {
            Self::Initializing => false,
            Self::Healthy => matches!(from, Self::Initializing | Self::Degraded | Self::Recovering),
            Self::Degraded => {
                matches!(from, Self::Healthy | Self::Initializing | Self::Recovering)
            }
            Self::Unhealthy => !matches!(from, Self::ShuttingDown | Self::Terminated),
            Self::Recovering => matches!(from, Self::Unhealthy),
            Self::ShuttingDown => !matches!(from, Self::Terminated),
            Self::Terminated => matches!(from, Self::ShuttingDown),
        }
    }

    /// The health that the phase implies while `usable` connections can serve.
    pub(super) fn health(self, usable: u32) -> Health {
        match self {
            Self::Healthy => Health::Healthy,
            Self::Degraded => Health::Degraded,
            Self::Initializing | Self::Recovering if usable > 0 => Health::Degraded,
            Self::Initializing
            | Self::Recovering
            | Self::Unhealthy
            | Self::ShuttingDown
            | Self::Terminated => Health::Unhealthy,
        }
    }

    pub(super) fn from_index(index: u64) -> Self {
        usize::try_from(index)
            .ok()
            .and_then(|index| Self::ALL.get(index).copied())
            .unwrap_or(Self::Terminated)
    }
}

impl HealthReason {
    const ALL: [Self; 8] = [
        Self::Ok,
        Self::NoConnections,
        Self::BelowHalf,
        Self::BelowEightTenths,
        Self::RecentError,
        Self::SlowAcquire,
        Self::LongWait,
        Self::Leak,
    ];

    /// The stable label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NoConnections => "no_connections",
            Self::BelowHalf => "below_half",
            Self::BelowEightTenths => "below_eight_tenths",
            Self::RecentError => "recent_error",
            Self::SlowAcquire => "slow_acquire",
            Self::LongWait => "long_wait",
            Self::Leak => "leak",
        }
    }

    pub(super) fn from_index(index: u64) -> Self {
        usize::try_from(index)
            .ok()
            .and_then(|index| Self::ALL.get(index).copied())
            .unwrap_or(Self::Ok)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for HealthReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Signals = Signals { usable: 10, min_size: 10, lasting: true, trouble: None };

    #[test]
    fn capacity_decides_at_half_and_at_eight_tenths() {
        use {Health::*, HealthReason::*};
        for (usable, expected) in [
            (10, (Healthy, Ok)),
            (8, (Healthy, Ok)),
            (7, (Degraded, BelowEightTenths)),
            (5, (Degraded, BelowEightTenths)),
            (4, (Unhealthy, BelowHalf)),
            (0, (Unhealthy, NoConnections)),
        ] {
            assert_eq!(Signals { usable, ..FINE }.verdict(), expected, "{usable} of 10");
        }
    }

    #[test]
    fn a_moment_of_replacing_is_no_shortage() {
        let signals = Signals { usable: 0, lasting: false, ..FINE };
        assert_eq!(signals.verdict(), (Health::Healthy, HealthReason::Ok));
    }

    #[test]
    fn the_worst_rule_wins() {
        let trouble = Some(HealthReason::Leak);
        let short = Signals { usable: 1, trouble, ..FINE };
        assert_eq!(short.verdict(), (Health::Unhealthy, HealthReason::BelowHalf));
        let enough = Signals { trouble, ..FINE };
        assert_eq!(enough.verdict(), (Health::Degraded, HealthReason::Leak));
    }

    #[test]
    fn labels_survive_their_index() {
        for phase in Phase::ALL {
            assert_eq!(Phase::from_index(phase as u64), phase);
        }
        for reason in HealthReason::ALL {
            assert_eq!(HealthReason::from_index(reason as u64), reason);
        }
    }
}
