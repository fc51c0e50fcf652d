//! The embedded PostgreSQL: one cluster for all server processes of a user.
//!
//! # Life of a cluster
//!
//! [`Cluster::attach`] takes a share in the cluster of a data folder. The first process to do so
//! makes the cluster and starts it; the others find it running. A **keeper**, a small process of its
//! own, stops the cluster when nobody has had a share in it for a while.
//!
//! # Invariants
//!
//! All that several processes must agree on is said with three file locks, which the kernel frees
//! however a process ends:
//!
//! - `in-use.lock` is shared by all who use the cluster. Holding it alone means that nobody uses it;
//!   PostgreSQL is stopped only then.
//! - `start.lock` is held by the one who makes or starts the cluster, or starts its keeper. Garbage
//!   is removed, and a remnant of a crash repaired, only then.
//! - `keeper.lock` is held by the keeper.
//!
//! They are taken in this order. The keeper, which takes its own one first, never waits for another.
//!
//! PostgreSQL itself is no child of any of these processes and outlives each of them.
//!
//! The server takes connections only through a Unix socket in a folder that its owner alone may
//! enter; that folder is the whole of its access control. What tells a live server from a remnant
//! is `/proc`, so this needs Linux.

mod account;
mod cluster;
mod command;
mod config;
mod error;
mod install;
mod keeper;
mod layout;
mod lock;
mod postmaster;
mod start;
mod wait;

pub use account::Account;
pub use cluster::{Cluster, Endpoint};
pub use config::Config;
pub use error::ClusterError;
pub use install::{InstallError, Installation, Version};
pub use keeper::{Keeper, keep};
