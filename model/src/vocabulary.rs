//! The part of the base model's vocabulary that a text can reach.

use codebase_mcp::embed::Words;

/// Tokens that the word splitter can produce, in the order of the base model.
pub(crate) struct Vocabulary {
    tokens: Vec<String>,
    base_numbers: Vec<u32>,
}

impl Vocabulary {
    /// Keeps the tokens of `base`, one a line, that are a whole word to the splitter. Left out are
    /// punctuation, the unused and special tokens and words that the splitter would cut.
    pub(crate) fn reachable(base: &str) -> Self {
        let kept = (0..).zip(base.lines()).filter(|(_, token)| is_reachable(token));
        let (base_numbers, tokens) = kept.map(|(number, token)| (number, token.to_owned())).unzip();
        Self { tokens, base_numbers }
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The numbers that the kept tokens have in the base model.
    pub(crate) fn base_numbers(&self) -> &[u32] {
        &self.base_numbers
    }

    /// The file that the library reads: one token a line.
    pub(crate) fn lines(&self) -> String {
        let mut lines = self.tokens.join("\n");
        lines.push('\n');
        lines
    }
}

fn is_reachable(token: &str) -> bool {
    let piece = token.strip_prefix("##").unwrap_or(token);
    Words::new(piece).next_word() == Some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_splitter_can_produce_is_kept() {
        let base = "[PAD]\n[unused1]\n[CLS]\n!\nfile\n##ing\n##!\n19th\n日\n256\n";
        let vocabulary = Vocabulary::reachable(base);
        assert_eq!(vocabulary.lines(), "file\n##ing\n日\n256\n");
        assert_eq!(vocabulary.base_numbers(), [4, 5, 8, 9]);
    }
}
