//! Indexing: scan, chunk, embed, write.

pub mod chunk;
mod config;
mod ignored;
mod language;
mod pipeline;
mod prepare;
mod reason;
mod root;
pub mod scan;
pub mod source;

pub use chunk::{Chunk, ChunkKind, Chunker};
pub use config::Config;
pub use language::Language;
pub use pipeline::{Force, IndexError, Indexer, Phase, Progress};
pub use reason::{FailCause, SkipRule};
pub use root::{Root, RootError};
pub use scan::{Cancelled, Scan, Walked, scan};
pub use source::{Source, Unreadable, read};
