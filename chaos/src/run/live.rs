//! How a run is going, for whoever shows it meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::load::{Counts, Tally};
use crate::record::{Gauges, Phase};

/// What is going on in a run. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    state: State,
    /// Each load's name and its counters, which run on.
    tallies: Vec<(String, Tally)>,
}

/// What is going on, at one instant.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// What the runner does.
    pub stage: Stage,
    /// The faults in force, by name.
    pub faults: Vec<String>,
    /// Each load's name and what it has counted.
    pub loads: Vec<(String, Counts)>,
    /// The last look at the pools.
    pub gauges: Option<Gauges>,
}

/// What the runner does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// PostgreSQL, proxy and server are being started.
    #[default]
    SettingUp,
    /// A phase of the scenario.
    Phase {
        /// Which.
        phase: Phase,
        /// When it ends, if nothing takes longer than planned.
        until: Instant,
        /// When all of it ends.
        end: Instant,
    },
    /// Everything is taken down.
    TearingDown,
}

impl Live {
    /// A copy of what is going on.
    pub fn look(&self) -> State {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let loads = inner.tallies.iter().map(|(id, tally)| (id.clone(), tally.counts()));
        State { loads: loads.collect(), ..inner.state.clone() }
    }

    /// Changes what is going on.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).state);
    }

    /// Shows these counters from now on.
    pub(super) fn follow(&self, tallies: Vec<(String, Tally)>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tallies = tallies;
    }
}

impl Stage {
    /// How long until the end of the phase, and of everything.
    pub fn left(&self, now: Instant) -> Option<(Duration, Duration)> {
        match self {
            Self::Phase { until, end, .. } => {
                Some((until.saturating_duration_since(now), end.saturating_duration_since(now)))
            }
            Self::SettingUp | Self::TearingDown => None,
        }
    }
}
