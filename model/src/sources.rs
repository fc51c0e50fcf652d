//! How often each token occurs in real code, and the weight that follows from it.

use std::{fs, path::Path};

use codebase_mcp::embed::{WordPiece, Words};
use ignore::WalkBuilder;

use crate::Error;

/// File name extensions of the source files that are counted.
const EXTENSIONS: [&str; 7] = ["c", "cpp", "h", "js", "py", "rs", "ts"];

/// Added to every inverse document frequency, so that the commonest words keep a voice: a question
/// often has no other.
const BASE_WEIGHT: f64 = 2.0;

/// No token weighs more. The rarest tokens, and those never seen, are as likely noise as they are
/// names.
const MAX_WEIGHT: f64 = 6.0;

/// In how many files each token occurs. A file counts a token once, so that tables and generated
/// code have no more to say than any other file.
pub(crate) struct Frequencies {
    pub(crate) files: u32,
    by_token: Vec<u32>,
}

impl Frequencies {
    /// Counts the source files under `folder`. Tokens are numbered by their line in `vocabulary`.
    pub(crate) fn count(folder: &Path, vocabulary: &str) -> Result<Self, Error> {
        let pieces = WordPiece::new(vocabulary);
        let mut counts = Self { files: 0, by_token: vec![0; vocabulary.lines().count()] };
        for entry in WalkBuilder::new(folder).standard_filters(false).build() {
            let path = entry?.into_path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if path.is_file() && extension.is_some_and(|known| EXTENSIONS.contains(&known)) {
                let bytes = fs::read(&path).map_err(|source| Error::Read { path, source })?;
                counts.add(&String::from_utf8_lossy(&bytes), &pieces);
            }
        }
        if counts.files == 0 {
            return Err(Error::NoSources { path: folder.to_owned() });
        }
        Ok(counts)
    }

    fn add(&mut self, text: &str, pieces: &WordPiece<'_>) {
        let mut tokens = Vec::new();
        let mut words = Words::new(text);
        while let Some(word) = words.next_word() {
            pieces.split(word, &mut tokens);
        }
        tokens.sort_unstable();
        tokens.dedup();
        for token in tokens {
            if let Some(count) = self.by_token.get_mut(token as usize) {
                *count += 1;
            }
        }
        self.files += 1;
    }

    /// How many tokens occur at all.
    pub(crate) fn seen(&self) -> usize {
        self.by_token.iter().filter(|count| **count > 0).count()
    }

    /// What each token counts for in the mean of a text: its inverse document frequency, raised and
    /// capped.
    pub(crate) fn weights(&self) -> impl Iterator<Item = f64> {
        let files = f64::from(self.files) + 1.0;
        let weigh = move |count: &u32| (files / (f64::from(*count) + 1.0)).ln() + BASE_WEIGHT;
        self.by_token.iter().map(move |count| weigh(count).min(MAX_WEIGHT))
    }

    /// What each token counts for when the projection is fitted: the square root of its frequency.
    /// Common words thus decide which directions all code shares, without deciding it alone.
    pub(crate) fn shares(&self) -> impl Iterator<Item = f64> {
        self.by_token.iter().map(|count| f64::from(*count).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_tokens_weigh_more_up_to_the_cap() {
        let pieces = WordPiece::new("read\nfile\nnever\n");
        let mut counts = Frequencies { files: 0, by_token: vec![0; 3] };
        for text in ["readFile file", "read", "read", ""] {
            counts.add(text, &pieces);
        }
        assert_eq!((counts.files, counts.by_token.as_slice()), (4, [3, 1, 0].as_slice()));
        assert_eq!(counts.seen(), 2);
        let weights: Vec<f64> = counts.weights().collect();
        assert_eq!(weights, [1.25, 2.5, 5.0].map(|odds: f64| odds.ln() + 2.0));

        counts.files = 1_000_000;
        assert!(counts.weights().all(|weight| weight <= MAX_WEIGHT));
    }
}
