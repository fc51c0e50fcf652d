//! Loads against what they are made for: a real server, a real PostgreSQL, and children that break the protocol.
#![cfg(test)]

mod pool;
mod server;
mod strict;
mod support;
