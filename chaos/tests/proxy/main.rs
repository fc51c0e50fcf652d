//! The fault proxy over HTTP and TCP.
#![cfg(test)]

mod compatible;
mod conformance;
mod faults;
mod support;
