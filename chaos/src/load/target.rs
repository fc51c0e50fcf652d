//! What requests are made to, and how each is made.

use rand_chacha::ChaCha8Rng;

use super::mcp::{self, Server};
use super::pool::{self, Subject};
use super::request::Answer;
use crate::record::Outcome;
use crate::schema::Op;

/// What requests are made to. Clones are handles of the same.
#[derive(Debug, Clone)]
pub enum Target {
    /// A server, through its pipes.
    Server(Server),
    /// A pool in this process.
    Pool(Subject),
}

/// Carries out an operation once, with what it draws from `rng`. It has no limit of its own.
///
/// # Cancel safety
/// Dropping the future cancels the request, as the caller of the server or of the pool would: the server is told,
/// the pool gets its connection back.
pub async fn perform(op: &Op, target: &Target, rng: ChaCha8Rng) -> Answer {
    match target {
        Target::Server(server) => mcp::perform(op, server).await,
        Target::Pool(subject) => pool::perform(op, subject, rng).await,
    }
}

/// The scenario's mistake, which its check finds before a run.
pub(super) fn foreign(op: &Op) -> Answer {
    let needs = if op.is_of_pool() { "a pool in this process" } else { "a server" };
    let what = format!("the operation {} needs {needs}, and its target is none", op.as_str());
    Answer::new(Outcome::Malformed { what })
}
