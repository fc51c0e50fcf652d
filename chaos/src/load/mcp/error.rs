//! How a request to a server fails.

use super::violation::Breach;
use crate::record::Outcome;

/// Why a request did not get the answer that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// A tool failed and said why.
    #[error("the tool failed with {code}: {message}")]
    Tool {
        /// Its code, such as `DATABASE_ERROR`.
        code: String,
        /// Its message.
        message: String,
    },
    /// The server refused the request itself.
    #[error("the server refused the request with {code}: {message}")]
    Refused {
        /// The code of JSON-RPC.
        code: i64,
        /// The message.
        message: String,
    },
    /// The server's pipes are closed, so nothing can be asked or answered.
    #[error("the server has closed its pipes; its log says why it ended")]
    Gone,
    /// The answer breaks a rule; it is among the violations.
    #[error("the answer breaks the rule {}", breach.as_str())]
    Broken {
        /// The rule.
        breach: Breach,
    },
}

impl CallError {
    /// The outcome for a sample. The codes of refusals are `rpc_` and the number; that of a server whose pipes are
    /// closed is `server_gone`.
    pub fn outcome(&self) -> Outcome {
        let code = match self {
            Self::Tool { code, .. } => code.clone(),
            Self::Refused { code, .. } => format!("rpc_{code}"),
            Self::Gone => "server_gone".to_owned(),
            Self::Broken { breach } => {
                return Outcome::Malformed { what: breach.as_str().to_owned() };
            }
        };
        Outcome::Failed { code }
    }
}
