//! Scenarios that prove what codebase-mcp does when its database misbehaves: a real server, a real
//! PostgreSQL, a fault between them, and a verdict made of what was measured.
//!
//! # Layout, in reading order
//!
//! - [`schema`]: a scenario and a fault as people write them in YAML, checked before anything starts.
//! - [`stack`]: a PostgreSQL that can be stopped, frozen and killed: by URL, container or process.
//! - [`proxy`]: the fault proxy between server and PostgreSQL, with Toxiproxy's interface and more.
//! - [`load`]: requests at a fixed rate or by a fixed number of workers, and how long each took.
//! - [`run`]: phases, the timeline of faults and their undoing.
//! - [`record`]: what a run has measured, raw.
//! - [`verdict`]: from what was measured and what was promised to a verdict; no clock, no I/O.
//! - [`report`]: what people and machines read afterwards.
//! - [`gate`]: whether a build is slower than the one before it.
//! - [`cli`]: the command line of the binary `scenarios`.

#![expect(clippy::cast_precision_loss, reason = "what one run counts is far below 2^52")]

pub mod cli;
pub mod gate;
pub mod journal;
pub mod load;
#[cfg(test)]
mod manual;
pub mod proxy;
pub mod record;
pub mod report;
pub mod run;
pub mod schema;
mod seed;
pub mod stack;
pub mod verdict;
