//! The YAML parser behind two functions, [`parse`] and [`locate`].
//!
//! The only file that knows the parser. Its values carry no positions, but its errors do: the
//! parser marks an error raised by a visitor with the node that was being visited. So a position is
//! found by walking down to the node again and failing there.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::secret::{quoted, shortened};

/// Bytes and nodes after following all aliases. A plain file of the largest size stays below;
/// a small file whose aliases multiply does not.
const BUDGET: usize = 1024 * 1024;

/// Opening brackets in a file. The time to parse grows with the square of their depth.
const MAX_BRACKETS: usize = 1000;

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// No value, or `null`.
    Nothing,
    /// `true` or `false`.
    Bool(bool),
    /// A number. Only a whole number is digits alone.
    Number(String),
    /// Text, quoted or not.
    Text(String),
    /// A list, whatever is in it.
    List,
    /// A value with a tag such as `!secret`.
    Tagged,
    /// Keys and values in the order of the file; a key may occur again.
    Mapping(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Node,
}

/// Which half of the last entry of a path is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Value,
}

/// Why a text is not YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// What the parser says, without the position.
    pub(super) message: String,
    /// How many bytes come before the problem, where that is known.
    pub(super) offset: Option<usize>,
}

/// Builds a [`Node`], counting down what is left of the budget.
struct Build<'b>(&'b Cell<usize>);

/// Reads a key, which must be a scalar.
struct ReadKey<'b>(&'b Cell<usize>);

/// Walks down entry by entry and fails at the end of the path.
struct Walk<'p> {
    path: &'p [usize],
    part: Part,
}

/// Refuses whatever it visits.
struct Stop;

impl Node {
    /// What the value is, without showing it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "empty",
            Self::Bool(_) => "a truth value",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List => "a list",
            Self::Tagged => "a value with a tag",
            Self::Mapping(_) => "a section",
        }
    }

    /// What the value is, with a short value itself.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Bool(value) => format!("the truth value {value}"),
            Self::Number(number) => format!("the number {}", shortened(number)),
            Self::Text(text) => quoted(text),
            Self::Nothing | Self::List | Self::Tagged | Self::Mapping(_) => self.kind().to_owned(),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Build<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        spend(self.0, 0)?;
        Ok(Node::Nothing)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        spend(self.0, 0)?;
        Ok(Node::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        spend(self.0, 0)?;
        Ok(Node::Number(value.to_string()))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Node, E> {
        spend(self.0, 0)?;
        Ok(Node::Number(value.to_string()))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Node, E> {
        spend(self.0, 0)?;
        Ok(Node::Number(value.to_string()))
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Node, E> {
        spend(self.0, 0)?;
        Ok(Node::Number(value.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        spend(self.0, 0)?;
        // `Debug` keeps the decimal point of 10.0, which is not a whole number here.
        Ok(Node::Number(format!("{value:?}")))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Node, E> {
        spend(self.0, value.len())?;
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        spend(self.0, 0)?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::List)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Node, A::Error> {
        spend(self.0, 0)?;
        let (IgnoredAny, value) = tagged.variant()?;
        let IgnoredAny = value.newtype_variant()?;
        Ok(Node::Tagged)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Node, A::Error> {
        spend(self.0, 0)?;
        let mut entries = Vec::new();
        while let Some(key) = mapping.next_key_seed(ReadKey(self.0))? {
            let value = mapping.next_value_seed(Build(self.0))?;
            entries.push(Entry { key, value });
        }
        Ok(Node::Mapping(entries))
    }
}

impl<'de> DeserializeSeed<'de> for ReadKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for ReadKey<'_> {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a word as key")
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<String, E> {
        spend(self.0, value.len())?;
        Ok(value.to_owned())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.path {
            [] => deserializer.deserialize_str(Stop),
            _ => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a section")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<(), A::Error> {
        let Some((skipped, rest)) = self.path.split_first() else {
            return Ok(());
        };
        for _ in 0..*skipped {
            if mapping.next_entry::<IgnoredAny, IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        if rest.is_empty() && self.part == Part::Key {
            return mapping.next_key_seed(Stop).map(|_| ());
        }
        if mapping.next_key::<IgnoredAny>()?.is_none() {
            return Ok(());
        }
        mapping.next_value_seed(Walk { path: rest, part: self.part })
    }
}

impl<'de> DeserializeSeed<'de> for Stop {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Stop {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("nothing")
    }
}

/// Parses one document. An empty text is [`Node::Nothing`].
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut brackets = text.match_indices(['[', '{']);
    if let Some((offset, _)) = brackets.nth(MAX_BRACKETS) {
        let message = format!("there are more than {MAX_BRACKETS} brackets");
        return Err(SyntaxError { message, offset: Some(offset) });
    }
    let budget = Cell::new(BUDGET);
    Build(&budget).deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
        let location = error.location();
        let mut message = error.to_string();
        if let Some(location) = &location {
            let suffix = format!(" at line {} column {}", location.line(), location.column());
            message = message.replacen(&suffix, "", 1);
        }
        SyntaxError { message, offset: location.map(|location| location.index()) }
    })
}

/// How many bytes come before the entry at the end of `path`, a list of entry numbers from
/// the top. A value that is an alias is found where its anchor is.
pub(super) fn locate(text: &str, path: &[usize], part: Part) -> Option<usize> {
    let walk = Walk { path, part };
    let error = walk.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    error.location().map(|location| location.index())
}

fn spend<E: serde::de::Error>(budget: &Cell<usize>, length: usize) -> Result<(), E> {
    match budget.get().checked_sub(length + 1) {
        Some(rest) => {
            budget.set(rest);
            Ok(())
        }
        None => Err(E::custom("the aliases of this file multiply to more than 1 MiB")),
    }
}
