//! What is stored: SQL as free functions, one file per table or aggregate.
//!
//! A function that is one statement takes any executor, so that the caller chooses between a lease and a
//! transaction. None of them retries, logs or decides.

pub mod chunks;
pub mod databases;
pub mod embeddings;
pub mod files;
mod migrate;
pub mod projects;
pub mod repositories;

pub use migrate::{MigrateError, Schema, migrate};

/// The hash of a content: BLAKE3, 32 bytes.
pub type ContentHash = [u8; 32];
