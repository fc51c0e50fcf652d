//! What goes over the wire: proxies and toxics in Toxiproxy's shape, with further keys beside `attributes`.

mod strict;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ProxyError;

pub(super) use strict::{nearest, patch, proxies, proxy, toxic, toxic_patch};

/// Refuses a name that no path of the interface can have, so that nobody could delete what has it.
pub(super) fn check_name(name: &str) -> Result<(), ProxyError> {
    if !name.contains('/') {
        return Ok(());
    }
    let rule = "paths have the name in them, and there `/` would end it; take another character";
    Err(ProxyError::Value { field: "name", value: name.to_owned(), rule })
}

/// A proxy as somebody asks for it, and as it is shown with every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxySpec {
    /// Its name, the key to everything else.
    pub name: String,
    /// Where it listens, `host:port`; port 0 lets the kernel pick one, which the view then shows.
    #[serde(default = "any_port")]
    pub listen: String,
    /// Where it connects to, `host:port`. It is resolved for each connection.
    pub upstream: String,
    /// Whether it listens at all; without it there is neither listener nor connection.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Its toxics. Given at creation, they are in force before the listener accepts.
    #[serde(default)]
    pub toxics: Vec<ToxicSpec>,
}

/// A proxy as it is: [`ProxySpec`] with every default filled in and the real port.
pub type ProxyView = ProxySpec;

/// What to change of a proxy; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyPatch {
    /// Listen here instead; closes all connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Connect to this instead; closes all connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Open or close listener and connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// A fault on a proxy, as somebody asks for it. In a view every default is filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToxicSpec {
    /// Its name among the toxics of the proxy; empty means `<type>_<stream>`.
    #[serde(default)]
    pub name: String,
    /// What it does.
    #[serde(rename = "type")]
    pub kind: ToxicKind,
    /// The direction that it works on. Types that work on whole connections ignore it.
    #[serde(default)]
    pub stream: Stream,
    /// The share of connections that it strikes, drawn once for each connection, 0 to 1.
    #[serde(default = "always")]
    pub toxicity: f64,
    /// The numbers of the type; an absent one is 0.
    #[serde(default)]
    pub attributes: BTreeMap<String, u32>,
    /// Which connections it may strike; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// What its removal does to the connections that it has struck; absent means what the type does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heal: Option<Heal>,
    /// When it begins on a connection; absent means at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Trigger>,
    /// `pg_error`: the SQLSTATE, five characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// `pg_error`: the message; absent means one that names the SQLSTATE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `pg_error`: whether the connection ends with it; absent means `FATAL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

/// A toxic as it is: [`ToxicSpec`] with every default filled in.
pub type ToxicView = ToxicSpec;

/// What to change of a toxic; what is absent stays. Connections draw anew whether they are struck.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToxicPatch {
    /// Another share of connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toxicity: Option<f64>,
    /// Other numbers; the ones that are not named stay.
    #[serde(default)]
    pub attributes: BTreeMap<String, u32>,
    /// Another set of connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Another way of healing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heal: Option<Heal>,
    /// Another trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Trigger>,
    /// `pg_error`: another SQLSTATE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// `pg_error`: another message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `pg_error`: another severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

/// The type of a toxic. The first eight are Toxiproxy's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ToxicKind {
    /// Delays each chunk by `latency` ± `jitter` ms; the order stays.
    Latency,
    /// At most `rate` kB/s; 0 stalls.
    Bandwidth,
    /// Delays the end of the stream by `delay` ms.
    SlowClose,
    /// Drops all data and closes the connection after `timeout` ms without any; 0 never closes.
    Timeout,
    /// Resets the connection `timeout` ms after the next chunk.
    ResetPeer,
    /// Cuts chunks into slices of `average_size` ± `size_variation` bytes, `delay` µs apart.
    Slicer,
    /// Closes the connection after `bytes` bytes.
    LimitData,
    /// Does nothing.
    Noop,
    /// Nothing passes in either direction and no end is forwarded. To be resumed, data is held, as
    /// retransmission would; otherwise it is swallowed.
    Blackhole,
    /// Resets both sides at once, idle connections too.
    Reset,
    /// Closes the connection `after` ms after it began, whatever is sent, or after `bytes` bytes.
    Cut,
    /// New connections are accepted, and nothing is forwarded for `delay` ms.
    AcceptDelay,
    /// New connections are accepted and never answered.
    AcceptSilence,
    /// The listener is closed. Existing connections stay with scope `new`; otherwise they are closed,
    /// or reset if the attribute `reset` is 1.
    Refuse,
    /// The client gets an error as if the server had sent it.
    PgError,
}

/// A direction.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// From the client to the server.
    Upstream,
    /// From the server to the client.
    #[default]
    Downstream,
}

/// Which connections a toxic may strike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Those that were open when the toxic was added.
    Existing,
    /// Those that are accepted afterwards.
    New,
    /// Both.
    All,
    /// The n-th that is accepted afterwards, from 1.
    Nth(u64),
    /// This share of all, 0 to 1, drawn once for each connection.
    Fraction(f64),
}

/// What the removal of a toxic does to the connections that it has struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Heal {
    /// They go on.
    Resume,
    /// Both sides are closed with a FIN.
    Close,
    /// Both sides are closed with an RST.
    Reset,
    /// They stay open, nothing passes any more, and neither side learns of the other's end.
    KeepDead,
}

/// When a toxic begins on a connection that speaks PostgreSQL's protocol without encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The client is authenticated; at once where it is already.
    Startup,
    /// The server is ready for a query, and said so; at once where the connection is idle.
    Ready,
    /// A transaction is open; at once where one is already.
    InTransaction,
    /// A COMMIT was forwarded, and its reply is on the way.
    Commit,
    /// A request to cancel has arrived and was not forwarded yet.
    CancelRequest,
    /// The n-th query from now, from 1, has arrived and was not forwarded yet.
    Query(u64),
}

/// How bad an injected error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// The query fails and the connection goes on.
    Error,
    /// The connection ends.
    Fatal,
}

impl ToxicSpec {
    /// A toxic of `kind` on the way to the client, with no numbers, on every connection, at once.
    pub fn new(kind: ToxicKind) -> Self {
        Self {
            name: String::new(),
            kind,
            stream: Stream::default(),
            toxicity: always(),
            attributes: BTreeMap::new(),
            scope: None,
            heal: None,
            on: None,
            sqlstate: None,
            message: None,
            severity: None,
        }
    }

    /// The same with one more number.
    #[must_use]
    pub fn with(mut self, attribute: &str, value: u32) -> Self {
        self.attributes.insert(attribute.to_owned(), value);
        self
    }

    /// The name, or the default one.
    pub fn name(&self) -> String {
        if self.name.is_empty() {
            format!("{}_{}", self.kind.as_str(), self.stream.as_str())
        } else {
            self.name.clone()
        }
    }

    /// Whether a genuine Toxiproxy could take it: no key of ours, no type of ours.
    pub fn is_stock(&self) -> bool {
        self.kind.is_stock()
            && self.scope.is_none()
            && self.heal.is_none()
            && self.on.is_none()
            && self.sqlstate.is_none()
            && self.message.is_none()
            && self.severity.is_none()
    }
}

impl ProxySpec {
    /// An enabled proxy to `upstream` on a port of the kernel's choice, without toxics.
    pub fn new(name: &str, upstream: &str) -> Self {
        Self {
            name: name.to_owned(),
            listen: any_port(),
            upstream: upstream.to_owned(),
            enabled: true,
            toxics: Vec::new(),
        }
    }
}

impl ToxicKind {
    /// All types, Toxiproxy's first.
    pub const ALL: [Self; 15] = [
        Self::Latency,
        Self::Bandwidth,
        Self::SlowClose,
        Self::Timeout,
        Self::ResetPeer,
        Self::Slicer,
        Self::LimitData,
        Self::Noop,
        Self::Blackhole,
        Self::Reset,
        Self::Cut,
        Self::AcceptDelay,
        Self::AcceptSilence,
        Self::Refuse,
        Self::PgError,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Bandwidth => "bandwidth",
            Self::SlowClose => "slow_close",
            Self::Timeout => "timeout",
            Self::ResetPeer => "reset_peer",
            Self::Slicer => "slicer",
            Self::LimitData => "limit_data",
            Self::Noop => "noop",
            Self::Blackhole => "blackhole",
            Self::Reset => "reset",
            Self::Cut => "cut",
            Self::AcceptDelay => "accept_delay",
            Self::AcceptSilence => "accept_silence",
            Self::Refuse => "refuse",
            Self::PgError => "pg_error",
        }
    }

    /// The names of its numbers.
    pub fn attributes(self) -> &'static [&'static str] {
        match self {
            Self::Latency => &["latency", "jitter"],
            Self::Bandwidth => &["rate"],
            Self::SlowClose | Self::AcceptDelay => &["delay"],
            Self::Timeout | Self::ResetPeer => &["timeout"],
            Self::Slicer => &["average_size", "size_variation", "delay"],
            Self::LimitData => &["bytes"],
            Self::Cut => &["after", "bytes"],
            Self::Refuse => &["reset"],
            Self::Noop | Self::Blackhole | Self::Reset | Self::AcceptSilence | Self::PgError => &[],
        }
    }

    /// Whether it is one of Toxiproxy's.
    pub fn is_stock(self) -> bool {
        self <= Self::Noop
    }

    /// What its removal does unless it says otherwise.
    pub fn default_heal(self) -> Heal {
        if self == Self::Timeout { Heal::Close } else { Heal::Resume }
    }
}

impl Stream {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
        }
    }
}

fn any_port() -> String {
    "127.0.0.1:0".to_owned()
}

fn yes() -> bool {
    true
}

fn always() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::manual::{first_column, has_word, manual, quoted, table, written};

    #[test]
    fn the_manual_has_every_toxic_and_every_key() {
        let manual = manual();
        let kinds = ToxicKind::ALL.map(|kind| kind.as_str().to_owned());
        assert_eq!(first_column(&manual, "Toxic"), kinds.into());
        for kind in ToxicKind::ALL {
            let rows = table(&manual, "Toxic");
            let row = rows.iter().find(|row| quoted(row[0]).any(|name| name == kind.as_str()));
            let named: Vec<&str> = quoted(row.unwrap()[1]).collect();
            assert_eq!(named, kind.attributes(), "{}", kind.as_str());
        }
        let mut all = BTreeSet::new();
        written(schemars::schema_for!(ToxicSpec).as_value(), &mut all);
        written(schemars::schema_for!(ProxySpec).as_value(), &mut all);
        assert!(all.contains("cancel_request") && all.contains("keep_dead"), "{all:?}");
        for name in &all {
            assert!(has_word(&manual, name), "`{name}` is not in docs/scenarios.md");
        }
    }

    #[test]
    fn the_examples_of_the_manual_are_toxics() {
        let manual = manual();
        let (_, rest) = manual.split_once("```json\n").unwrap();
        let (examples, _) = rest.split_once("```").unwrap();
        assert_eq!(examples.lines().count(), 4);
        for line in examples.lines() {
            let spec = toxic(line.as_bytes()).unwrap();
            assert!(super::super::toxic::Toxic::new(1, 1, spec).is_ok(), "{line}");
        }
    }
}
