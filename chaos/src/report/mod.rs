//! What people and machines read after a run.
//!
//! A run leaves a raw record. [`summary`] condenses it, the runner adds names and verdicts, and the
//! [`model::Report`] that comes of it is all that the formats know:
//!
//! - [`json`]: the report itself, for programs and for [`compare`].
//! - [`html`]: one page with plots, for people.
//! - [`terminal`]: what the command line says.
//! - [`junit`] and [`github`]: for continuous integration.
//! - [`evidence`]: the files of a run in its folder.
//! - [`outcome`]: the verdict of several runs, and the exit code.

mod claim;
pub mod compare;
pub mod evidence;
pub mod github;
pub mod html;
pub mod json;
pub mod junit;
pub mod model;
pub(crate) mod number;
pub mod outcome;
#[cfg(test)]
pub(crate) mod sample;
mod story;
pub mod summary;
mod table;
pub mod terminal;
mod text;
