//! The regression gate: is this build slower than the one before it by more than 10 %?
//!
//! Machines that measure are shared and noisy, and a stored number by itself convicts the innocent. So there are
//! three lanes, and `docs/gate.md` says what each of them means to whoever it stops:
//!
//! - [`screen`] holds one run of every benchmark against stored times of the same [`class`] of machine. It
//!   acquits.
//! - [`proof`] measures suspects in turn with a build of the baseline, in the same minutes. It alone convicts
//!   by time.
//! - [`instructions`] counts them, which no other load disturbs.
//!
//! [`trend`] looks at what was measured from night to night and stops nothing.
//!
//! # What must stay true
//!
//! - Lanes judge without clock and without I/O. What they are given is measured by [`program`], of programs
//!   that [`builds`] makes of trees of the [`repository`].
//! - What could not be measured is never a pass.
//! - A [`baseline`] is written by [`accept()`] alone, of at least eight runs of a commit.

mod accept;
pub mod baseline;
mod builds;
pub mod class;
mod criterion;
mod database;
mod error;
pub mod instructions;
mod lanes;
pub mod model;
mod objective;
mod program;
pub mod proof;
mod repository;
mod run;
#[cfg(test)]
pub(crate) mod sample;
pub mod screen;
mod side;
mod slowdown;
mod statistic;
mod step;
pub mod text;
pub mod trend;

pub use accept::{Accepted, accept};
pub use error::GateError;
pub use objective::RunScenario;
pub use run::{Options, Scenarios, Tell, run};
pub use step::Step;
