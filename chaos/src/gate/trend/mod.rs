//! How the benchmarks go from night to night: the measurements of each run of the gate are appended to a
//! history, and the changes of level in it are shown. It judges nothing and holds nothing up: a change that
//! creeps in below the limit of every single gate is still seen here.
//!
//! - [`run`]: the measurements of the gate's last run.
//! - [`history`]: the file that has those of all runs.
//! - [`detect`]: where a series changes its level; no clock, no I/O.
//! - [`series`]: the history as a series for each benchmark, with its changes.
//! - [`terminal`] and [`page`]: what people read.

pub mod detect;
mod drawing;
pub mod history;
pub mod page;
pub mod run;
#[cfg(test)]
mod sample;
pub mod series;
pub mod terminal;

/// How many of a benchmark's last runs are looked at. A year and a month of nights; the time that it takes
/// to find changes grows with the square.
pub const WINDOW: usize = 400;
