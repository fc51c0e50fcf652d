//! What can go wrong with a request to the fault proxy, and the HTTP status of each.

use std::fmt;
use std::io;

/// Why a request to the fault proxy was refused.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The body is no JSON of the right shape.
    #[error("bad request body: {cause}; send JSON as Toxiproxy's interface has it")]
    Body {
        /// What is wrong with it.
        cause: String,
    },
    /// A field that must be there is not.
    #[error("missing required field: {field}; add it")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// Nobody knows this key.
    #[error("{of} has no `{key}`{}; correct or remove it", Hint(*nearest))]
    Unknown {
        /// What the key was found in.
        of: &'static str,
        /// The key.
        key: String,
        /// The known key that is most like it.
        nearest: Option<&'static str>,
    },
    /// There is no such type of toxic.
    #[error("invalid toxic type `{kind}`{}; use a known type", Hint(*nearest))]
    Type {
        /// The type.
        kind: String,
        /// The known type that is most like it.
        nearest: Option<&'static str>,
    },
    /// There is no such direction.
    #[error("stream `{stream}` was invalid; it can be upstream or downstream")]
    Stream {
        /// The direction.
        stream: String,
    },
    /// A value is out of bounds.
    #[error("`{field}` is {value}, which is not possible: {rule}")]
    Value {
        /// The key of the value.
        field: &'static str,
        /// The value.
        value: String,
        /// What is possible.
        rule: &'static str,
    },
    /// There is no proxy of this name.
    #[error("proxy not found: there is none called `{name}`; create it first")]
    NoProxy {
        /// The name.
        name: String,
    },
    /// There is no toxic of this name.
    #[error("toxic not found: proxy `{proxy}` has none called `{name}`")]
    NoToxic {
        /// The proxy.
        proxy: String,
        /// The toxic.
        name: String,
    },
    /// There is a proxy of this name.
    #[error("proxy already exists: `{name}`; delete it or take another name")]
    ProxyExists {
        /// The name.
        name: String,
    },
    /// There is a toxic of this name.
    #[error("toxic already exists: proxy `{proxy}` has one called `{name}`; take another name")]
    ToxicExists {
        /// The proxy.
        proxy: String,
        /// The toxic.
        name: String,
    },
    /// The address to listen on is not to be had.
    #[error("proxy `{name}` cannot listen on {listen}: {cause}; take another address, or port 0")]
    Bind {
        /// The proxy.
        name: String,
        /// The address.
        listen: String,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// There are too many of something.
    #[error("there are {limit} {what} already, which is the limit; remove some or start anew")]
    Full {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The fault proxy is shut down.
    #[error("the fault proxy is shut down; start another one")]
    ShutDown,
}

impl ProxyError {
    /// The HTTP status that says the same.
    pub fn status(&self) -> u16 {
        match self {
            Self::Body { .. }
            | Self::Missing { .. }
            | Self::Unknown { .. }
            | Self::Type { .. }
            | Self::Stream { .. }
            | Self::Value { .. } => 400,
            Self::NoProxy { .. } | Self::NoToxic { .. } => 404,
            Self::ProxyExists { .. } | Self::ToxicExists { .. } => 409,
            Self::Bind { .. } => 500,
            Self::Full { .. } | Self::ShutDown => 503,
        }
    }
}

/// A known word as a suggestion.
struct Hint(Option<&'static str>);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |word| write!(f, ", perhaps `{word}` is meant"))
    }
}
