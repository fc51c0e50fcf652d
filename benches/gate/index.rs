//! Indexing.

use std::hint::black_box;

use codebase_mcp::index::{Chunker, Language};

use crate::benchmark::Kernel;
use crate::inputs::{PYTHON, RUST};

/// The default of `index.max_chunk_size`.
const MAX_BYTES: usize = 1500;

/// An iteration: a Rust and a Python source are split into chunks.
pub(crate) fn chunk() -> Kernel {
    let mut chunker = Chunker::new();
    Kernel::repeating(move || {
        let rust = chunker.chunk(black_box(RUST), Language::RUST, MAX_BYTES);
        let python = chunker.chunk(black_box(PYTHON), Language::PYTHON, MAX_BYTES);
        (rust, python)
    })
}
