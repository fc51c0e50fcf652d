//! Builds the static embedding model.
fn main() {}
