//! The built-in embedding model: a text becomes the mean of its tokens' vectors.
//!
//! [`Words`] splits a text into words, [`WordPiece`] spells each word in tokens of a fixed
//! vocabulary, and [`StaticModel`] adds up one precomputed vector per token. There is no network,
//! no GPU and no context: the price is that word order is lost, the gain is some hundred thousand
//! texts a second. The recipe that makes the weights is the member crate in `model/`, which counts
//! with the same splitter and spelling.

mod model;
mod wordpiece;
mod words;

pub use model::{DIMENSION, Identity, LoadError, MAX_TOKENS, StaticModel};
pub use wordpiece::WordPiece;
pub use words::Words;
