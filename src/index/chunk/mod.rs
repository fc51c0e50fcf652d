//! Splits a text into chunks: pieces of bounded size that follow the text's structure.
//!
//! A front end (`syntax` for languages with a grammar, `prose` for the rest) cuts the text into
//! pieces, runs of whole lines that fit into a chunk, and says which definition each belongs to.
//! `pack` then joins neighboring pieces and names the result. The chunks of a text hold every
//! character that is not whitespace exactly once and in order. They are made of whole lines; only a
//! line that does not fit into a chunk is cut.
//!
//! The result depends on nothing but the arguments: work is bounded by counts, never by time.

mod lines;
mod pack;
mod prose;
mod scopes;
mod syntax;

use std::fmt;

use lines::Lines;
use pack::pack;
use syntax::Syntax;

use crate::index::Language;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The first byte: the start of a line, unless a line had to be cut.
    pub start: usize,
    /// The byte after the last one. Whitespace at the end of the last line is left out.
    pub end: usize,
    /// The first line, counted from 1.
    pub start_line: u32,
    /// The last line, counted from 1.
    pub end_line: u32,
    /// What the chunk mostly is.
    pub kind: ChunkKind,
    /// The definition that most of the chunk belongs to, with those around it, such as
    /// `Runtime::block_on`, `impl Wheel`, `Session.request` or `Install > Linux`. Where most of it
    /// belongs to the file itself, the first definition in it. At most 200 characters.
    pub symbol: Option<String>,
}

/// What a chunk mostly is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkKind {
    /// A function, method or macro.
    Function,
    /// A struct, enum, union, trait, class or alias.
    Type,
    /// An `impl` block.
    Implementation,
    /// A constant or static.
    Constant,
    /// A module, or code outside of definitions.
    Module,
    /// A text without a grammar.
    Text,
}

/// Splits texts. Holds the parsers, which a worker keeps for many files.
pub struct Chunker {
    rust: Syntax,
    python: Syntax,
}

impl ChunkKind {
    /// Returns a stable name in `snake_case`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Type => "type",
            Self::Implementation => "implementation",
            Self::Constant => "constant",
            Self::Module => "module",
            Self::Text => "text",
        }
    }
}

impl Chunker {
    /// Makes the parsers.
    pub fn new() -> Self {
        Self { rust: Syntax::rust(), python: Syntax::python() }
    }

    /// Splits `text` into chunks of at most `max_bytes` bytes, or of one character where that has
    /// more. A text of whitespace has no chunks.
    pub fn chunk(&mut self, text: &str, language: Language, max_bytes: usize) -> Vec<Chunk> {
        let lines = Lines::new(text);
        let max_bytes = max_bytes.max(1);
        let syntax = match language {
            Language::RUST => Some(&mut self.rust),
            Language::PYTHON => Some(&mut self.python),
            _ => None,
        };
        let split = syntax.and_then(|syntax| syntax.split(&lines, max_bytes));
        let (pieces, scopes) = split.unwrap_or_else(|| match language {
            Language::MARKDOWN => prose::sections(&lines, max_bytes),
            _ => prose::plain(&lines, max_bytes),
        });
        pack(&lines, &scopes, &pieces, max_bytes)
    }
}

impl Default for Chunker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Chunker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
