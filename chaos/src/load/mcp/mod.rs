//! A thin and strict client of an MCP server that speaks over its stdin and stdout.
//!
//! It takes nothing on trust: a line of stdout that is no JSON-RPC 2.0 message, an answer that nobody waits for, a
//! tool's error without its parts is a [`Violation`], counted and kept. What the server writes to stderr becomes
//! events and is kept as it is.

mod calls;
mod error;
mod lines;
mod log;
mod process;
mod program;
mod requests;
mod server;
mod violation;
mod wire;

use std::time::Duration;

use super::request::Answer;
use super::target::foreign;
use crate::record::Outcome;
use crate::schema::Op;

pub use error::CallError;
pub use log::Logged;
pub use process::Memory;
pub use program::{Program, is_server};
pub use server::{Exit, Server};
pub use violation::{Breach, Violation, Violations};

/// How long a server that was only started may take to leave: twice what a server promises.
const LEAVE: Duration = Duration::from_mins(1);

/// Carries out an operation on a server once.
pub(super) async fn perform(op: &Op, server: &Server) -> Answer {
    let done = match op {
        Op::Search { query } => server.call_search(query).await.map(|_found| Outcome::Ok.into()),
        Op::Health => server.health().await.map(|(told, _whole)| Answer::health(told)),
        Op::ListTools => server.list_tools().await.map(|_tools| Outcome::Ok.into()),
        Op::Start => return start(server).await,
        Op::PoolAcquire
        | Op::PoolQuery { .. }
        | Op::PoolCancel { .. }
        | Op::PoolPanic { .. }
        | Op::PoolHealth
        | Op::PoolSnapshot
        | Op::PoolOpen => return foreign(op),
    };
    done.unwrap_or_else(|error| error.outcome().into())
}

/// Starts another server like `like`. A dropped future kills it.
async fn start(like: &Server) -> Answer {
    let started = match Server::spawn(like.program(), like.epoch()) {
        Ok(started) => started,
        Err(error) => {
            let code = format!("spawn_{}", error.kind());
            return Answer::new(Outcome::Failed { code: code.replace(' ', "_") });
        }
    };
    let outcome = match started.initialize().await {
        Ok(_info) => Outcome::Ok,
        Err(error) => error.outcome(),
    };
    let rest = async move { left(&started).await };
    Answer { outcome, value: None, rest: Some(Box::pin(rest)) }
}

/// Lets a server leave, and says what was wrong with how it did.
async fn left(server: &Server) -> Outcome {
    let Some((exit, _took)) = server.leave(LEAVE).await else {
        return Outcome::Malformed { what: format!("it did not leave within {LEAVE:?}") };
    };
    if exit.code != Some(0) {
        return Outcome::Malformed { what: format!("it left with {exit}") };
    }
    if server.panics() > 0 {
        return Outcome::Malformed { what: "it panicked".to_owned() };
    }
    match server.violations().kept.first() {
        Some(violation) => Outcome::Malformed { what: violation.to_string() },
        None => Outcome::Ok,
    }
}
