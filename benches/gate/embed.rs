//! The embedding model.

use std::hint::black_box;

use codebase_mcp::embed::{StaticModel, WordPiece, Words};

use crate::benchmark::{Kernel, Prepared};
use crate::inputs::{RUST, pieces};

const VOCABULARY: &str = include_str!("../../model/weights/vocab.txt");

/// An iteration: both sources are embedded, piece by piece.
pub(crate) fn embed() -> Prepared {
    let model = StaticModel::builtin()?;
    let pieces = pieces();
    Ok(Kernel::repeating(move || {
        for piece in &pieces {
            black_box(model.embed(black_box(piece)));
        }
    }))
}

/// An iteration: the Rust source is split into words and those into tokens.
pub(crate) fn tokenize() -> Kernel {
    let vocabulary = WordPiece::new(VOCABULARY);
    let mut tokens = Vec::new();
    Kernel::repeating(move || {
        tokens.clear();
        let mut words = Words::new(black_box(RUST));
        while let Some(word) = words.next_word() {
            vocabulary.split(word, &mut tokens);
        }
        black_box(&tokens);
    })
}
