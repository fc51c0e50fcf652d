//! What differs between the configuration of a running server and one that was read again.

use std::fmt;

use super::Config;
use super::keys::Draft;
use crate::telemetry;

/// A key with two values. `Display` shows the key and both, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path of the key, such as `pool.max_size`.
    pub key: &'static str,
    /// The value that is in force, as YAML.
    pub from: String,
    /// The value that was read, as YAML.
    pub to: String,
    /// Whether a running server takes the new value up; else it has its effect at the next start.
    pub live: bool,
}

impl Config {
    /// The keys whose values are others in `new`, in the order of the file. Keys that only one of the two
    /// databases has are left out: that it is another database is a change by itself.
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        let (mut old, mut new) = (Draft::from(self), Draft::from(new));
        let new = new.effective_keys();
        old.effective_keys()
            .into_iter()
            .filter_map(|old| {
                let new = new.iter().find(|new| new.path == old.path)?;
                let shown = |value: Option<String>| value.unwrap_or_else(|| "unset".to_owned());
                old.slot.differs(&new.slot).then(|| Change {
                    key: old.path,
                    from: shown(old.slot.print()),
                    to: shown(new.slot.print()),
                    live: old.live,
                })
            })
            .collect()
    }

    /// This configuration with the values of `new` for the keys that can change in a running server.
    #[must_use]
    pub fn with_live_keys_of(&self, new: &Self) -> Self {
        let telemetry =
            telemetry::Config { log: new.telemetry.log.clone(), ..self.telemetry.clone() };
        Self { pool: new.pool.clone(), telemetry, ..self.clone() }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} -> {}", self.key, self.from, self.to)
    }
}
