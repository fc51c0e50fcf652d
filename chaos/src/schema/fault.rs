//! The kinds of faults and what each needs to know.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::amount::{Amount, Time, Unit};
use super::place;
use super::scalar::{Mapping, Scalar};

/// A fault that can be carried out, with its parameters.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", content = "with", deny_unknown_fields)]
pub enum FaultKind {
    /// Every byte towards the client takes longer, in whole milliseconds.
    #[serde(rename = "proxy.latency")]
    Latency {
        /// How much longer.
        delay: Time,
        /// Up to so much more or less, drawn for each chunk.
        #[serde(default = "none")]
        jitter: Time,
    },
    /// Bytes towards the client come slowly.
    #[serde(rename = "proxy.bandwidth")]
    Bandwidth {
        /// Bytes in each second.
        bytes: Amount,
    },
    /// Bytes towards the client come in small pieces.
    #[serde(rename = "proxy.slice")]
    Slice {
        /// The size of a piece.
        size: Amount,
        /// The pause after each.
        #[serde(default = "none")]
        delay: Time,
    },
    /// Nobody listens any more; what is open meets the fate of `connections`.
    #[serde(rename = "proxy.refuse")]
    Refuse {
        /// What becomes of open connections.
        #[serde(default)]
        connections: Fate,
    },
    /// Bytes vanish without a word, as behind a firewall that forgot the connection.
    #[serde(rename = "proxy.blackhole")]
    Blackhole {
        /// Which connections.
        #[serde(default)]
        scope: Scope,
        /// What becomes of them when the fault ends.
        #[serde(default)]
        heal: Heal,
    },
    /// Open connections get a true RST at once, idle ones too.
    #[serde(rename = "proxy.reset")]
    Reset {},
    /// New connections are accepted, and then nothing happens for a while.
    #[serde(rename = "proxy.accept_delay")]
    AcceptDelay {
        /// How long.
        delay: Time,
    },
    /// New connections are accepted, and then nothing happens.
    #[serde(rename = "proxy.accept_silence")]
    AcceptSilence {},
    /// The server seems to answer with an error that it did not make.
    #[serde(rename = "proxy.error")]
    Error {
        /// The five characters of the error's code.
        sqlstate: String,
        /// Its text.
        #[serde(default = "injected")]
        message: String,
    },
    /// A fault without any effect, to prove that such a fault is noticed.
    #[serde(rename = "proxy.noop")]
    Noop {},
    /// PostgreSQL is shut down in order, and started again at the end.
    #[serde(rename = "postgres.stop")]
    PostgresStop {},
    /// PostgreSQL and all of its processes are killed, and started again at the end: crash recovery.
    #[serde(rename = "postgres.kill")]
    PostgresKill {},
    /// PostgreSQL and all of its processes are frozen: connections stay open, nothing answers.
    #[serde(rename = "postgres.freeze")]
    PostgresFreeze {},
    /// Sessions of the server are ended by `pg_terminate_backend`.
    #[serde(rename = "postgres.terminate")]
    PostgresTerminate {
        /// How many of them, drawn from the seed.
        #[serde(default = "all")]
        share: Amount,
    },
    /// An exclusive lock on the table that every search reads: statements wait for it.
    #[serde(rename = "postgres.lock")]
    PostgresLock {},
    /// The server is asked to stop, as by a service manager.
    #[serde(rename = "server.terminate")]
    ServerTerminate {},
    /// The server's client leaves: its stdin is closed.
    #[serde(rename = "server.leave")]
    ServerLeave {},
    /// The server's client hangs: nobody reads its stdout.
    #[serde(rename = "server.stall")]
    ServerStall {},
}

const AT_LEAST_1MS: &str = "`delay` is at least 1ms";

fn none() -> Time {
    Time(Duration::ZERO)
}

fn all() -> Amount {
    Amount::new(1.0, Unit::Share)
}

fn injected() -> String {
    "injected by the fault proxy".to_owned()
}

// The proxy's attributes are whole numbers of 32 bits. What they cannot say exactly is refused, not changed.

/// A parameter that breaks a rule, and the rule.
type Broken = (&'static str, String);

fn in_steps(name: &'static str, size: &Amount, step: u32) -> Option<Broken> {
    let steps = match size.of(Unit::Size) {
        Ok(bytes) => bytes / f64::from(step),
        Err(error) => return Some((name, format!("`{name}`: {error}"))),
    };
    let said = steps.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&steps);
    let most = u64::from(step) * u64::from(u32::MAX);
    let rule = || format!("`{name}` is a multiple of {step}B from {step}B to {most}B");
    (!said).then(|| (name, rule()))
}

/// The longest time has fewer milliseconds than fit.
fn in_millis(name: &'static str, time: &Time) -> Option<Broken> {
    let exact = time.0.subsec_nanos().is_multiple_of(1_000_000);
    (!exact).then(|| (name, format!("`{name}` is in whole milliseconds")))
}

fn in_micros(name: &'static str, time: &Time) -> Option<Broken> {
    let exact = time.0.subsec_nanos().is_multiple_of(1000);
    let said = exact && time.0.as_micros() <= u128::from(u32::MAX);
    (!said).then(|| (name, format!("`{name}` is in whole microseconds, up to {}us", u32::MAX)))
}

/// What becomes of open connections when the listener goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// They go on.
    Keep,
    /// They are closed.
    #[default]
    Close,
    /// They get an RST.
    Reset,
}

/// Which connections a fault touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Those that are open when it begins.
    Existing,
    /// Those that are opened while it lasts.
    New,
    /// All.
    #[default]
    All,
}

/// What becomes of the touched connections when a fault ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Heal {
    /// They go on, with the bytes that were held meanwhile.
    #[default]
    Resume,
    /// They are closed.
    Close,
    /// They get an RST.
    Reset,
    /// They stay dead for ever, and neither side is told.
    KeepDead,
}

/// The names of all kinds, in the order of the reference.
pub const KINDS: [&str; 18] = [
    "proxy.latency",
    "proxy.bandwidth",
    "proxy.slice",
    "proxy.refuse",
    "proxy.blackhole",
    "proxy.reset",
    "proxy.accept_delay",
    "proxy.accept_silence",
    "proxy.error",
    "proxy.noop",
    "postgres.stop",
    "postgres.kill",
    "postgres.freeze",
    "postgres.terminate",
    "postgres.lock",
    "server.terminate",
    "server.leave",
    "server.stall",
];

/// What must be there for a fault to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Any fault proxy with Toxiproxy's interface.
    Proxy,
    /// A fault proxy with our extensions.
    ExtendedProxy,
    /// A PostgreSQL whose processes the runner may stop and start.
    PostgresControl,
    /// A superuser's session at PostgreSQL.
    PostgresSession,
    /// A server process.
    Server,
}

/// What is wrong with a fault, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct KindError {
    pub(super) part: Part,
    pub(super) message: String,
}

/// A part of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Its kind.
    Kind,
    /// Its parameters as a whole.
    With,
    /// The name of a parameter.
    Name(String),
    /// The value of a parameter.
    Value(String),
}

impl KindError {
    /// What the parser says. It names a value by its path and a key in its text.
    fn parsed(said: &str) -> Self {
        let (path, message) = said.split_once(": ").unwrap_or(("with", said));
        let unknown = message.strip_prefix("unknown field `").and_then(|name| name.split_once('`'));
        let (part, message) = match (path, path.strip_prefix("with."), unknown) {
            (_, _, Some((name, _))) => (Part::Name(name.to_owned()), message.to_owned()),
            (_, Some(name), None) => (Part::Value(name.to_owned()), format!("`{name}`: {message}")),
            ("kind", ..) => (Part::Kind, message.to_owned()),
            _ => (Part::With, message.to_owned()),
        };
        Self { part, message }
    }
}

impl FaultKind {
    /// Reads the parameters of a kind.
    pub(super) fn read(kind: &str, with: &Mapping) -> Result<Self, KindError> {
        #[derive(Serialize)]
        struct Entry<'a> {
            kind: &'a str,
            with: &'a BTreeMap<String, Scalar>,
        }
        // The parser says which key is wrong of a text, and not of values that are read already.
        let read = serde_yaml::to_string(&Entry { kind, with })
            .and_then(|text| serde_yaml::from_str::<Self>(&text))
            .map_err(|error| KindError::parsed(&place::told(&error).1))?;
        match read.wrong() {
            Some((name, message)) => Err(KindError { part: Part::Value(name.to_owned()), message }),
            None => Ok(read),
        }
    }

    /// The parameter that breaks a rule and the rule, if any does.
    fn wrong(&self) -> Option<Broken> {
        match self {
            Self::Latency { delay, jitter } => {
                let none = delay.0.is_zero() && jitter.0.is_zero();
                let idle = none.then(|| ("delay", AT_LEAST_1MS.to_owned()));
                idle.or_else(|| in_millis("delay", delay)).or_else(|| in_millis("jitter", jitter))
            }
            // Toxiproxy counts in kilobytes.
            Self::Bandwidth { bytes } => in_steps("bytes", bytes, 1000),
            Self::Slice { size, delay } => {
                in_steps("size", size, 1).or_else(|| in_micros("delay", delay))
            }
            Self::AcceptDelay { delay } => {
                let idle = delay.0.is_zero().then(|| ("delay", AT_LEAST_1MS.to_owned()));
                idle.or_else(|| in_millis("delay", delay))
            }
            Self::Error { sqlstate, .. } => {
                let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
                let right = sqlstate.len() == 5 && sqlstate.chars().all(plain);
                let rule = "`sqlstate` is five digits and capital letters, such as 53300";
                (!right).then(|| ("sqlstate", rule.to_owned()))
            }
            Self::PostgresTerminate { share } => match share.of(Unit::Share) {
                Ok(value) if value > 0.0 && value <= 1.0 => None,
                Ok(_) => Some(("share", "`share` is above 0% and at most 100%".to_owned())),
                Err(error) => Some(("share", format!("`share`: {error}"))),
            },
            Self::Refuse { .. }
            | Self::Blackhole { .. }
            | Self::Reset {}
            | Self::AcceptSilence {}
            | Self::Noop {}
            | Self::PostgresStop {}
            | Self::PostgresKill {}
            | Self::PostgresFreeze {}
            | Self::PostgresLock {}
            | Self::ServerTerminate {}
            | Self::ServerLeave {}
            | Self::ServerStall {} => None,
        }
    }

    /// What it needs.
    pub fn need(&self) -> Need {
        match self {
            Self::Latency { .. } | Self::Bandwidth { .. } | Self::Slice { .. } | Self::Noop {} => {
                Need::Proxy
            }
            Self::Refuse { .. }
            | Self::Blackhole { .. }
            | Self::Reset {}
            | Self::AcceptDelay { .. }
            | Self::AcceptSilence {}
            | Self::Error { .. } => Need::ExtendedProxy,
            Self::PostgresStop {} | Self::PostgresKill {} | Self::PostgresFreeze {} => {
                Need::PostgresControl
            }
            Self::PostgresTerminate { .. } | Self::PostgresLock {} => Need::PostgresSession,
            Self::ServerTerminate {} | Self::ServerLeave {} | Self::ServerStall {} => Need::Server,
        }
    }

    /// Whether it happens at one instant and leaves nothing to undo.
    pub fn is_instant(&self) -> bool {
        matches!(
            self,
            Self::Reset {}
                | Self::PostgresTerminate { .. }
                | Self::ServerTerminate {}
                | Self::ServerLeave {}
        )
    }

    /// An event that proves that it was felt; `None` for one that nobody feels.
    pub(super) fn proof(&self) -> Option<&'static str> {
        Some(match self {
            Self::Latency { .. }
            | Self::Bandwidth { .. }
            | Self::Slice { .. }
            | Self::AcceptDelay { .. } => "proxy.toxic_engaged",
            Self::Refuse { connections: Fate::Keep } => "proxy.listener_closed",
            Self::Refuse { connections: Fate::Close } => "proxy.connection_cut",
            Self::Refuse { connections: Fate::Reset } | Self::Reset {} => "proxy.connection_reset",
            Self::Blackhole { .. } | Self::AcceptSilence {} => "proxy.connection_blackholed",
            Self::Error { .. } => "proxy.error_injected",
            Self::PostgresStop {} | Self::PostgresKill {} | Self::PostgresFreeze {} => {
                "pool.health.red"
            }
            Self::PostgresTerminate { .. } => "postgres.session_terminated",
            Self::PostgresLock {} => "pool.wait.long",
            Self::ServerTerminate {} | Self::ServerLeave {} => "server.exited",
            // It is told only by a server that is asked to stop meanwhile.
            Self::ServerStall {} => "session.unread",
            Self::Noop {} => return None,
        })
    }

    /// What is done to undo it, for people.
    pub fn undo(&self) -> &'static str {
        match self {
            Self::Latency { .. }
            | Self::Bandwidth { .. }
            | Self::Slice { .. }
            | Self::Blackhole { .. }
            | Self::AcceptDelay { .. }
            | Self::AcceptSilence {}
            | Self::Error { .. }
            | Self::Noop {} => "the toxic is removed",
            Self::Refuse { .. } => "the proxy listens again",
            Self::PostgresStop {} | Self::PostgresKill {} => "PostgreSQL is started again",
            Self::PostgresFreeze {} => "PostgreSQL goes on",
            Self::PostgresLock {} => "the lock is released",
            Self::ServerStall {} => "the client reads again",
            Self::Reset {}
            | Self::PostgresTerminate { .. }
            | Self::ServerTerminate {}
            | Self::ServerLeave {} => "nothing is left to undo",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<FaultKind, String> {
        let (kind, with) = yaml.split_once(' ').unwrap();
        let with: Mapping = serde_yaml::from_str(with).unwrap();
        FaultKind::read(kind, &with).map_err(|error| error.to_string())
    }

    #[test]
    fn kinds_are_read_with_their_parameters() {
        let delay = Time(Duration::from_millis(800));
        let jitter = Time(Duration::ZERO);
        let cases = [
            ("proxy.latency {delay: 800ms}", FaultKind::Latency { delay, jitter }),
            ("proxy.refuse {}", FaultKind::Refuse { connections: Fate::Close }),
            (
                "proxy.blackhole {scope: existing, heal: keep_dead}",
                FaultKind::Blackhole { scope: Scope::Existing, heal: Heal::KeepDead },
            ),
            ("postgres.kill {}", FaultKind::PostgresKill {}),
        ];
        for (yaml, kind) in cases {
            assert_eq!(read(yaml).unwrap(), kind);
        }
    }

    #[test]
    fn wrong_parameters_are_refused() {
        for (yaml, told) in [
            ("proxy.latency {delai: 800ms}", "unknown field `delai`"),
            ("proxy.latency {}", "missing field `delay`"),
            (
                "proxy.latency {delay: 800}",
                "`delay`: `800` is a number without a unit, and a time with us, ms, s, m or h is wanted",
            ),
            ("proxy.blackhole {scope: old}", "unknown variant `old`"),
            ("postgres.kill {hard: true}", "unknown field `hard`"),
            ("proxy.lag {}", "unknown variant `proxy.lag`"),
            ("proxy.latency {delay: 500us}", "`delay` is in whole milliseconds"),
            ("proxy.latency {delay: 0s}", "`delay` is at least 1ms"),
            ("proxy.bandwidth {bytes: 10ms}", "`bytes`: `10ms` is a time"),
            (
                "proxy.bandwidth {bytes: 10B}",
                "`bytes` is a multiple of 1000B from 1000B to 4294967295000B",
            ),
            ("proxy.bandwidth {bytes: 1999B}", "`bytes` is a multiple of 1000B"),
            ("proxy.bandwidth {bytes: 4294967296000B}", "`bytes` is a multiple of 1000B"),
            ("proxy.slice {size: 0B}", "`size` is a multiple of 1B from 1B to 4294967295B"),
            ("proxy.slice {size: 1.5B}", "`size` is a multiple of 1B"),
            ("proxy.slice {size: 4GiB}", "`size` is a multiple of 1B"),
            (
                "proxy.slice {size: 7B, delay: 2h}",
                "`delay` is in whole microseconds, up to 4294967295us",
            ),
            ("proxy.slice {size: 7B, delay: 0.5us}", "`delay` is in whole microseconds"),
            ("proxy.accept_delay {delay: 0s}", "`delay` is at least 1ms"),
            ("proxy.accept_delay {delay: 1.5ms}", "`delay` is in whole milliseconds"),
            ("proxy.slice {size: 7}", "`size`: `7` is a number without a unit"),
            ("proxy.error {sqlstate: nonsense}", "`sqlstate` is five digits"),
            ("postgres.terminate {share: 50}", "`share`: `50` is a number without a unit"),
            ("postgres.terminate {share: 200%}", "`share` is above 0% and at most 100%"),
        ] {
            let error = read(yaml).unwrap_err();
            assert!(error.contains(told), "{yaml}: {error}");
        }
    }

    #[test]
    fn every_kind_has_its_name_in_the_list() {
        let error = read("nothing {}").unwrap_err();
        for kind in KINDS {
            assert!(error.contains(&format!("`{kind}`")), "{kind}: {error}");
        }
        assert_eq!(error.matches('`').count(), 2 * (KINDS.len() + 1), "{error}");
    }
}
