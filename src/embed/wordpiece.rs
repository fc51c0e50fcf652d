//! `WordPiece`: spells a word as the fewest long pieces of a fixed vocabulary, longest first.

use std::collections::HashMap;

/// What the vocabulary file puts before a piece that continues a word.
const CONTINUATION: &str = "##";

/// A longer word is data rather than language, and its pieces would drown the words around it.
const MAX_WORD_BYTES: usize = 64;

/// A vocabulary of word starts and continuations, each with its number.
#[derive(Debug, Clone)]
pub struct WordPiece<'v> {
    starts: Pieces<'v>,
    continuations: Pieces<'v>,
}

#[derive(Debug, Clone, Default)]
struct Pieces<'v> {
    numbers: HashMap<&'v str, u32>,
    longest: usize,
}

impl<'v> WordPiece<'v> {
    /// Reads a vocabulary of one piece a line. The number of a piece is its line, counted from
    /// zero.
    pub fn new(vocabulary: &'v str) -> Self {
        let mut starts = Pieces::default();
        let mut continuations = Pieces::default();
        for (number, line) in (0..).zip(vocabulary.lines()) {
            match line.strip_prefix(CONTINUATION) {
                Some(piece) if !piece.is_empty() => continuations.insert(piece, number),
                _ => starts.insert(line, number),
            }
        }
        Self { starts, continuations }
    }

    /// Appends the pieces of a lower-case `word` to `pieces`, or nothing when some part of the word
    /// is not in the vocabulary.
    pub fn split(&self, word: &str, pieces: &mut Vec<u32>) {
        if word.len() > MAX_WORD_BYTES {
            return;
        }
        let before = pieces.len();
        let mut rest = word;
        let mut vocabulary = &self.starts;
        while !rest.is_empty() {
            let Some((number, after)) = vocabulary.longest_prefix(rest) else {
                pieces.truncate(before);
                return;
            };
            pieces.push(number);
            rest = after;
            vocabulary = &self.continuations;
        }
    }
}

impl<'v> Pieces<'v> {
    fn insert(&mut self, piece: &'v str, number: u32) {
        self.longest = self.longest.max(piece.len());
        self.numbers.insert(piece, number);
    }

    /// The number of the longest piece that `text` starts with, and the text after it.
    fn longest_prefix<'t>(&self, text: &'t str) -> Option<(u32, &'t str)> {
        (1..=self.longest.min(text.len())).rev().find_map(|length| {
            let (prefix, after) = text.split_at_checked(length)?;
            Some((*self.numbers.get(prefix)?, after))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCABULARY: &str = "un\nuni\n##code\n##cod\n##e\n##é\na\n##";

    #[test]
    fn the_longest_piece_wins() {
        let cases: &[(&str, &[u32])] = &[
            ("unicode", &[1, 2]),
            ("uncode", &[0, 2]),
            ("unicod", &[1, 3]),
            ("ae", &[6, 4]),
            ("aé", &[6, 5]),
            ("##", &[7]),
            ("", &[]),
        ];
        let vocabulary = WordPiece::new(VOCABULARY);
        for (word, expected) in cases {
            let mut pieces = Vec::new();
            vocabulary.split(word, &mut pieces);
            assert_eq!(pieces, *expected, "{word:?}");
        }
    }

    #[test]
    fn a_word_that_cannot_be_spelled_leaves_no_pieces() {
        let vocabulary = WordPiece::new(VOCABULARY);
        let mut pieces = vec![9];
        for word in ["code", "unix", "é", &"a".repeat(2), &format!("a{}", "e".repeat(64))] {
            vocabulary.split(word, &mut pieces);
            assert_eq!(pieces, [9], "{word:?}");
        }
    }
}
