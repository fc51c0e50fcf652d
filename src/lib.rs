//! Code search for AI assistants over the Model Context Protocol, stored in PostgreSQL.

pub mod app;
pub mod cli;
pub mod config;
pub mod embed;
pub mod index;
pub mod jobs;
pub mod mcp;
pub mod pool;
pub mod postgres;
pub mod project;
pub mod search;
pub mod store;
pub mod telemetry;
