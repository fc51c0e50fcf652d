//! How the benchmarks go from night to night. It judges nothing and holds nothing up: a change that
//! creeps in below the limit of every single gate is still seen here.
//!
//! - [`run`]: the measurements of the gate's last run.
//! - [`history`]: the file that has those of all runs.
//! - [`detect`]: where a series changes its level; no clock, no I/O.

pub mod detect;
pub mod history;
pub mod run;
