//! The shipped scenarios can fail: each is run with what it guards broken, and must say so.
#![cfg(test)]

mod pool;
mod server;
mod support;
