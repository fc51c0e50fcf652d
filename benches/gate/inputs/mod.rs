//! Texts that the benchmarks work on. They are of no part of the project, and stay as they are: with another input
//! a benchmark is another one.

/// A Rust source.
pub(crate) const RUST: &str = include_str!("rust.txt");
/// A Python source.
pub(crate) const PYTHON: &str = include_str!("python.txt");
/// A scenario.
pub(crate) const SCENARIO: &str = include_str!("recovery.yaml");
/// The faults that the scenario names, by file name.
pub(crate) const FAULTS: [(&str, &str); 2] = [
    ("half-open.yaml", include_str!("faults/half-open.yaml")),
    ("refused.yaml", include_str!("faults/refused.yaml")),
];

/// Lines of a piece.
const PIECE: usize = 30;

/// Both sources in pieces of [`PIECE`] lines, which is about what a chunk has.
pub(crate) fn pieces() -> Vec<String> {
    let lines: Vec<&str> =
        [RUST, PYTHON].iter().flat_map(|text| text.split_inclusive('\n')).collect();
    lines.chunks(PIECE).map(<[&str]>::concat).collect()
}
