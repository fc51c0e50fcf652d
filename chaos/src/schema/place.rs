//! Where in a YAML text something is. The parser's values carry no positions, but its errors do: so a
//! place is found by walking down to it again and failing there.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One step down from the top of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// Into the value of a key.
    Key(&'a str),
    /// To a key itself.
    Name(&'a str),
    /// To an item of a list, from 0.
    Item(usize),
}

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

struct Walk<'a>(&'a [Step<'a>]);

/// Where the parser met an error, and what it says without that.
pub(super) fn told(error: &serde_yaml::Error) -> (Option<Position>, String) {
    let position = error
        .location()
        .map(|location| Position { line: location.line(), column: location.column() });
    let said = error.to_string();
    let plain = match &position {
        Some(Position { line, column }) => {
            said.replace(&format!(" at line {line} column {column}"), "")
        }
        None => said,
    };
    (position, plain)
}

/// The position of the value at `path`, or else of the last one on the way that there is.
pub(super) fn locate(text: &str, path: &[Step<'_>]) -> Option<Position> {
    (0..=path.len()).rev().find_map(|length| {
        let walk = Walk(path.get(..length)?);
        let error = walk.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
        let location = error.location()?;
        Some(Position { line: location.line(), column: location.column() })
    })
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0.first() {
            // `Walk` refuses text, and the parser everything else, each at the value.
            None => deserializer.deserialize_str(self),
            Some(Step::Key(_) | Step::Name(_)) => deserializer.deserialize_map(self),
            Some(Step::Item(_)) => deserializer.deserialize_seq(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a place")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        match self.0.split_first() {
            Some((Step::Key(name), rest)) => {
                while let Some(key) = entries.next_key::<String>()? {
                    if key == *name {
                        entries.next_value_seed(Walk(rest))?;
                    } else {
                        entries.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(())
            }
            Some((Step::Name(name), _)) => {
                while entries.next_key_seed(Other(name))?.is_some() {
                    entries.next_value::<IgnoredAny>()?;
                }
                Ok(())
            }
            Some((Step::Item(_), _)) | None => Err(A::Error::custom("here")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((Step::Item(number), rest)) = self.0.split_first() else {
            return Err(A::Error::custom("here"));
        };
        for _ in 0..*number {
            items.next_element::<IgnoredAny>()?;
        }
        items.next_element_seed(Walk(rest))?;
        // What is left unread would be an error too, and at another place.
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Refuses a key, at the key.
struct Other<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Other<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Other<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        if key == self.0 { Err(E::custom("here")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_maps_and_lists() {
        let text = "name: a\nload:\n  - { id: reads, rate: 200/s }\n  - id: health\n    rate: 5\n";
        let cases: [(&[Step<'_>], (usize, usize)); 8] = [
            (&[Step::Key("load"), Step::Item(0), Step::Name("rate")], (3, 18)),
            (&[Step::Key("load"), Step::Item(1), Step::Name("op")], (4, 5)),
            (&[Step::Key("name")], (1, 7)),
            (&[Step::Key("load"), Step::Item(0), Step::Key("rate")], (3, 24)),
            (&[Step::Key("load"), Step::Item(1), Step::Key("rate")], (5, 11)),
            // What is not there is shown where it should be.
            (&[Step::Key("load"), Step::Item(1), Step::Key("op")], (4, 5)),
            (&[Step::Key("load"), Step::Item(0), Step::Key("op")], (3, 5)),
            (&[Step::Key("faults")], (1, 1)),
        ];
        for (path, (line, column)) in cases {
            assert_eq!(locate(text, path), Some(Position { line, column }), "{path:?}");
        }
    }
}
