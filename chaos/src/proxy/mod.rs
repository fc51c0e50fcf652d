//! A fault proxy between a client and PostgreSQL, or any server that speaks TCP. It has Toxiproxy's HTTP
//! interface, faults that Toxiproxy does not know, and decides everything by one seed.
//!
//! # Layout, in reading order
//!
//! - `wire`: proxies and toxics as they are written in JSON.
//! - `toxic`: a toxic that was checked. `seed`: where its chance comes from.
//! - `pg`: PostgreSQL's messages, for triggers and injected errors.
//! - `link`: a connection: toxics on its directions, and the task that moves its bytes.
//! - `station`: a proxy with its listener. `handle`: all of them, [`FaultProxy`].
//! - `recorder`: the log of decisions and the counters.
//! - `api`: the HTTP interface. `control`: a client for it, and for a genuine Toxiproxy.
//!
//! # What must stay true
//!
//! - A change is in force when its call returns: it is made in every connection's state, under its lock.
//! - No call waits for traffic. Nothing but a connection's own task touches its sockets.
//! - Bytes are neither lost nor reordered by any toxic whose purpose is not just that.

mod api;
mod control;
mod error;
mod handle;
mod link;
mod pg;
mod recorder;
mod seed;
mod station;
mod toxic;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::task::TaskTracker;

pub use api::{IMPLEMENTATION, serve};
pub use control::{Control, ControlError};
pub use error::ProxyError;
pub use handle::FaultProxy;
pub use recorder::{
    Counters, Counts, DECISIONS_KEPT, Decision, DecisionKind, Decisions, FIRST_PHASE, PHASES_LIMIT,
    PhaseCounters,
};
pub use wire::{
    Heal, ProxyPatch, ProxySpec, ProxyView, Scope, Severity, Stream, ToxicKind, ToxicPatch,
    ToxicSpec, ToxicView, Trigger,
};

/// What all proxies of a fault proxy share.
#[derive(Debug)]
struct World {
    seed: u64,
    recorder: recorder::Recorder,
    tasks: TaskTracker,
    /// How many toxics there have been.
    toxics: AtomicU64,
}

impl World {
    /// A number that no other toxic has.
    fn next_toxic(&self) -> u64 {
        self.toxics.fetch_add(1, Ordering::Relaxed)
    }
}
