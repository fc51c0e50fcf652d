//! The runner from outside: the binary `scenarios` with real servers, killed, interrupted, and left to its end.
#![cfg(test)]

mod ended;
mod files;
mod interrupted;
mod kept;
mod killed;
mod silent;
mod support;
mod url;
