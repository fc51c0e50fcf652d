//! Parameters: values that a scenario names once and that the command line may change.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::Wrong;
use super::raw::Mapping;

/// The file with its parameters alone.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(default)]
    params: Mapping,
}

/// A text whose parameters are filled in, and their values.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) text: String,
    pub(super) values: BTreeMap<String, String>,
}

/// Fills in `${name}` everywhere in `text`; values from `settings` come before those of the file. A text
/// that is not YAML comes back as it is: whoever parses it says what is wrong.
///
/// # Errors
/// With the line, from 0, of a name that stands for nothing; without one for a setting that the file does
/// not know.
pub(super) fn fill(
    text: &str,
    settings: &BTreeMap<String, String>,
) -> Result<Filled, (Option<usize>, Wrong)> {
    let Ok(Head { params }) = serde_yaml::from_str(text) else {
        return Ok(Filled { text: text.to_owned(), values: BTreeMap::new() });
    };
    let mut values: BTreeMap<String, String> =
        params.into_iter().map(|(name, value)| (name, value.to_string())).collect();
    let known: Vec<String> = values.keys().cloned().collect();
    let near =
        |name: &str| super::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
    for (name, value) in settings {
        let Some(slot) = values.get_mut(name) else {
            let (name, nearest, known) = (name.clone(), near(name), known.clone());
            return Err((None, Wrong::UnknownSetting { name, nearest, known }));
        };
        slot.clone_from(value);
    }
    let mut filled = String::with_capacity(text.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let mut rest = line;
        // What a comment says is not filled in, so that it can explain parameters.
        let comment = line.trim_start().starts_with('#');
        while !comment && let Some((before, after)) = rest.split_once("${") {
            let Some((name, tail)) = after.split_once('}') else { break };
            let Some(value) = values.get(name) else {
                let (name, nearest, known) = (name.to_owned(), near(name), known.clone());
                return Err((Some(number), Wrong::UnknownParameter { name, nearest, known }));
            };
            filled.push_str(before);
            filled.push_str(value);
            rest = tail;
        }
        filled.push_str(rest);
    }
    Ok(Filled { text: filled, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# ${any} comment\nparams: { outage: 10s }\nfor: \"${outage}\"\n";

    fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_command_line_comes_before_the_file() {
        let filled = fill(TEXT, &BTreeMap::new()).unwrap();
        assert!(filled.text.ends_with("for: \"10s\"\n"), "{}", filled.text);
        let filled = fill(TEXT, &settings(&[("outage", "20s")])).unwrap();
        assert!(filled.text.ends_with("for: \"20s\"\n"), "{}", filled.text);
        assert_eq!(filled.values["outage"], "20s");
    }

    #[test]
    fn names_that_stand_for_nothing_are_told() {
        let (line, wrong) = fill(TEXT, &settings(&[("outag", "1s")])).unwrap_err();
        assert_eq!(line, None);
        let told = "`--set outag=…` names no parameter of this scenario; did you mean `outage`?";
        assert_eq!(wrong.to_string(), told);
        let (line, wrong) = fill("a: 1\nb: ${outage}\n", &BTreeMap::new()).unwrap_err();
        assert_eq!(line, Some(1));
        assert_eq!(wrong.to_string(), "`${outage}` is no parameter; there are none");
    }
}
