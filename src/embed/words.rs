//! Splits code and prose into lower-case words, so that `parseHTTPHeader`, `parse_http_header` and
//! "parse HTTP header" become the same three.
//!
//! Letters and digits never share a word: prose writes "UTF-8" and "SHA-256" where code writes
//! `utf8` and `sha256`, and both must meet.

use std::str::Chars;

/// Walks the words of a text. Lends each word from one buffer, so a text costs one allocation.
#[derive(Debug, Clone)]
pub struct Words<'t> {
    chars: Chars<'t>,
    word: String,
}

/// What a character is to the splitter. A letter without case counts as lower-case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Upper,
    Lower,
    Digit,
}

impl<'t> Words<'t> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'t str) -> Self {
        Self { chars: text.chars(), word: String::new() }
    }

    /// Returns the next word: never empty, lower-case, without punctuation.
    pub fn next_word(&mut self) -> Option<&str> {
        self.word.clear();
        while let Some(c) = self.chars.next() {
            let Some(kind) = Kind::of(c) else { continue };
            if c.is_ascii() {
                self.word.push(c.to_ascii_lowercase());
            } else {
                self.word.extend(c.to_lowercase());
            }
            if self.ends_after(kind) {
                return Some(&self.word);
            }
        }
        None
    }

    /// Whether the word ends after a character of `kind`, judged by the characters that follow it.
    fn ends_after(&self, kind: Kind) -> bool {
        let mut ahead = self.chars.clone();
        let Some(next) = ahead.next().and_then(Kind::of) else { return true };
        match (kind, next) {
            (Kind::Lower, Kind::Upper) => true,
            (Kind::Upper, Kind::Upper) => starts_capitalized(ahead),
            _ => (kind == Kind::Digit) != (next == Kind::Digit),
        }
    }
}

impl Kind {
    /// Returns `None` for a character that separates words.
    fn of(c: char) -> Option<Self> {
        if c.is_numeric() {
            Some(Self::Digit)
        } else if c.is_uppercase() {
            Some(Self::Upper)
        } else if c.is_alphabetic() {
            Some(Self::Lower)
        } else {
            None
        }
    }
}

/// Whether the capital just read starts a word of its own, as the `S` of `HTTPServer` does. The
/// plural of an acronym does not: `URLs` is one word.
fn starts_capitalized(mut after: Chars<'_>) -> bool {
    let Some(c) = after.next() else { return false };
    let is_plural = c == 's' && after.next().and_then(Kind::of) != Some(Kind::Lower);
    Kind::of(c) == Some(Kind::Lower) && !is_plural
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<String> {
        let mut words = Words::new(text);
        let mut found = Vec::new();
        while let Some(word) = words.next_word() {
            found.push(word.to_owned());
        }
        found
    }

    #[test]
    fn identifiers_and_prose_split_alike() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("+++ \n\t", &[]),
            ("readLines", &["read", "lines"]),
            ("ReadLines", &["read", "lines"]),
            ("read_lines", &["read", "lines"]),
            ("read-lines", &["read", "lines"]),
            ("READ_LINES", &["read", "lines"]),
            ("__init__", &["init"]),
            ("HTTPServer", &["http", "server"]),
            ("parseHTTP", &["parse", "http"]),
            ("getURLs", &["get", "urls"]),
            ("URLsByID", &["urls", "by", "id"]),
            ("isA", &["is", "a"]),
            ("aB", &["a", "b"]),
            ("X", &["x"]),
            ("utf8", &["utf", "8"]),
            ("UTF-8", &["utf", "8"]),
            ("sha256Sum", &["sha", "256", "sum"]),
            ("SHA256", &["sha", "256"]),
            ("Vec3D", &["vec", "3", "d"]),
            ("don't stop", &["don", "t", "stop"]),
            ("fn next(&mut self)", &["fn", "next", "mut", "self"]),
            ("groß_ÄrgerÜber", &["groß", "ärger", "über"]),
            ("日本語 text", &["日本語", "text"]),
            ("日本語Text", &["日本語", "text"]),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text), *expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_word_is_lower_case_and_not_empty(text in any::<String>()) {
            for word in split(&text) {
                prop_assert!(!word.is_empty());
                prop_assert_eq!(&word, &word.to_lowercase());
            }
        }

        #[test]
        fn a_word_of_ascii_is_not_split_again(text in "[ -~]{0,60}") {
            for word in split(&text) {
                prop_assert_eq!(split(&word), vec![word]);
            }
        }
    }
}
