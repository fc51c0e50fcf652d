//! The integration tests, in one binary: the real program against a real PostgreSQL.
#![cfg(test)]

mod cli;
mod half_open;
mod lost;
mod mcp;
mod mcp_client;
mod operations;
mod pool;
mod pool_borrowers;
mod pool_cancel;
mod pool_deadline;
mod pool_faults;
mod pool_outage;
mod pool_restart;
mod pool_session;
mod pool_shutdown;
mod postgres;
mod sharing;
mod store;
mod support;
mod tidy;
