//! What `docs/scenarios.md` says, for the tests that hold it against the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// The whole text.
pub(crate) fn manual() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scenarios.md")).unwrap()
}

/// What stands in backticks.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The cells of the table whose heading begins with `first`, row by row.
pub(crate) fn table<'a>(manual: &'a str, first: &str) -> Vec<Vec<&'a str>> {
    let heading = format!("| {first} |");
    let (_, rest) = manual.split_once(&heading).unwrap_or_else(|| panic!("no table {heading}"));
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands in backticks in the first column of that table.
pub(crate) fn first_column(manual: &str, first: &str) -> BTreeSet<String> {
    let rows = table(manual, first);
    rows.iter().flat_map(|row| quoted(row[0])).map(str::to_owned).collect()
}

/// Whether a word stands in backticks, alone or among others.
pub(crate) fn has_word(manual: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_./".contains(c);
    quoted(manual).any(|text| text.split(|c| !is_word(c)).any(|other| other == word))
}

/// The names of all keys, and of all values from a list, in a JSON Schema.
pub(crate) fn written(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                if key == "properties" {
                    names.extend(value.as_object().unwrap().keys().cloned());
                }
                match (key.as_str(), value) {
                    ("const", Value::String(word)) => drop(names.insert(word.clone())),
                    ("enum", Value::Array(words)) => {
                        names.extend(words.iter().map(|word| word.as_str().unwrap().to_owned()));
                    }
                    _ => {}
                }
                written(value, names);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| written(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
