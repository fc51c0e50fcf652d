//! The gate from outside: the binary `scenarios` with a real git, a real cargo and a real callgrind, in a small
//! project whose benchmarks take as long as its source says.
#![cfg(test)]

mod baselines;
mod project;
mod verdicts;
