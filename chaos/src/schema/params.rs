//! Parameters: values that a scenario names once, that each run may draw and the command line may change.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Overrides;
use super::amount::Amount;
use super::error::Wrong;
use super::place::{Position, Step, locate};
use super::range::Range;
use super::scalar::Mapping;

/// The most parameters that are drawn: all combinations of their ends are checked.
const MAX_DRAWN: usize = 6;

/// The file with its parameters, and the seed that draws them, alone.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(default)]
    params: Mapping,
    #[serde(default)]
    seed: u64,
}

/// Values by name.
pub(super) type Values = BTreeMap<String, String>;

/// The parameters of a file.
#[derive(Debug)]
pub(super) struct Params {
    /// As the file has them.
    own: Values,
    /// As they are without any draw; values of the command line come before those of the file.
    given: Values,
    /// Those that are drawn.
    ranges: BTreeMap<String, Range>,
    seed: u64,
}

/// What is wrong with the parameters, and where, if that is in the file.
pub(super) type Misplaced = (Option<Position>, Wrong);

impl Params {
    /// Reads those of `text`. `None` for a text that is not YAML: whoever parses it says what is wrong.
    pub(super) fn read(text: &str, overrides: &Overrides) -> Result<Option<Self>, Misplaced> {
        let Ok(Head { params, seed }) = serde_yaml::from_str(text) else { return Ok(None) };
        let own: Values =
            params.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        let mut given = own.clone();
        for (name, value) in &overrides.params {
            let Some(slot) = given.get_mut(name) else {
                let (nearest, known) = advice(name, &own);
                return Err((None, Wrong::UnknownSetting { name: name.clone(), nearest, known }));
            };
            slot.clone_from(value);
        }
        let mut ranges = BTreeMap::new();
        for (name, value) in &given {
            let in_file = !overrides.params.contains_key(name);
            let place =
                || in_file.then(|| locate(text, &[Step::Key("params"), Step::Key(name)])).flatten();
            if let Some(range) = Range::read(value) {
                let range = range.map_err(|error| (place(), Wrong::Range(error)))?;
                ranges.insert(name.clone(), range);
            }
        }
        if ranges.len() > MAX_DRAWN {
            let rule = format!("{} parameters are ranges, and {MAX_DRAWN} may be", ranges.len());
            return Err((locate(text, &[Step::Key("params")]), Wrong::Rule { rule }));
        }
        let seed = overrides.seed.unwrap_or(seed);
        Ok(Some(Self { own, given, ranges, seed }))
    }

    /// The ranges as they are written, by name.
    pub(super) fn ranges(&self) -> Values {
        self.ranges.iter().map(|(name, range)| (name.clone(), range.text.clone())).collect()
    }

    /// What the seed draws, and all that is not drawn.
    pub(super) fn drawn(&self) -> Values {
        let mut values = self.given.clone();
        let drawn =
            self.ranges.iter().map(|(name, range)| (name.clone(), range.draw(name, self.seed)));
        values.extend(drawn);
        values
    }

    /// All combinations of the ends of what is drawn; none if nothing is.
    pub(super) fn corners(&self) -> Vec<Values> {
        if self.ranges.is_empty() {
            return Vec::new();
        }
        self.ranges.iter().fold(vec![self.given.clone()], |corners, (name, range)| {
            let with = |corner: &Values, end: &String| {
                let mut corner = corner.clone();
                corner.insert(name.clone(), end.clone());
                corner
            };
            corners
                .iter()
                .flat_map(|corner| range.ends().each_ref().map(|end| with(corner, end)))
                .collect()
        })
    }

    /// Fills in `${name}` everywhere in `text`, and the amounts of `params` themselves.
    ///
    /// # Errors
    /// With the place of a name that stands for nothing.
    pub(super) fn fill(&self, text: &str, values: &Values) -> Result<String, Misplaced> {
        let mut filled = String::with_capacity(text.len());
        for (number, line) in self.resolved(text, values).split_inclusive('\n').enumerate() {
            let mut rest = line;
            // What a comment says is not filled in, so that it can explain parameters.
            let comment = line.trim_start().starts_with('#');
            while !comment && let Some((before, after)) = rest.split_once("${") {
                let Some((name, tail)) = after.split_once('}') else { break };
                let Some(value) = values.get(name) else {
                    let (nearest, known) = advice(name, values);
                    let until = line.len() - rest.len() + before.len();
                    let column = line.get(..until).map_or(0, |head| head.chars().count());
                    let place = Position { line: number + 1, column: column + 1 };
                    let name = name.to_owned();
                    return Err((Some(place), Wrong::UnknownParameter { name, nearest, known }));
                };
                filled.push_str(before);
                filled.push_str(value);
                rest = tail;
            }
            filled.push_str(rest);
        }
        Ok(filled)
    }

    /// The text whose `params` say the amounts that are in force. Other texts stay, as they may need quotes.
    fn resolved(&self, text: &str, values: &Values) -> String {
        let changed = self.own.iter().filter_map(|(name, own)| {
            let value = values.get(name).filter(|value| *value != own)?;
            value.parse::<Amount>().is_ok().then_some((name, own, value))
        });
        changed.fold(text.to_owned(), |text, (name, own, value)| {
            let place = locate(&text, &[Step::Key("params"), Step::Key(name)]);
            place.and_then(|place| replaced(&text, place, own, value)).unwrap_or(text)
        })
    }
}

/// The text with `to` instead of `from` at this place; `None` if something else is there.
fn replaced(text: &str, place: Position, from: &str, to: &str) -> Option<String> {
    let before: usize =
        text.split_inclusive('\n').take(place.line.checked_sub(1)?).map(str::len).sum();
    let (_, line) = text.split_at_checked(before)?;
    let (column, _) = line.char_indices().nth(place.column.checked_sub(1)?)?;
    let (head, tail) = text.split_at_checked(before + column)?;
    let quoted = tail.strip_prefix(['"', '\'']).unwrap_or(tail);
    let rest = quoted.strip_prefix(from)?;
    let quote = tail.strip_suffix(quoted)?;
    Some([head, quote, to, rest].concat())
}

/// The nearest name, and all there are.
fn advice(name: &str, values: &Values) -> (Option<String>, Vec<String>) {
    let nearest = super::nearest(name, values.keys().map(String::as_str)).map(str::to_owned);
    (nearest, values.keys().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# ${any} comment\nseed: 7\nparams: { outage: 10s, slo: '1s' }\nfor: \"${outage}\"\n";

    fn overrides(pairs: &[(&str, &str)]) -> Overrides {
        let params =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Overrides { params, ..Overrides::default() }
    }

    fn read(text: &str, pairs: &[(&str, &str)]) -> Params {
        Params::read(text, &overrides(pairs)).unwrap().unwrap()
    }

    fn filled(text: &str, pairs: &[(&str, &str)]) -> String {
        let params = read(text, pairs);
        params.fill(text, &params.drawn()).unwrap()
    }

    #[test]
    fn the_command_line_comes_before_the_file() {
        assert_eq!(filled(TEXT, &[]), TEXT.replace("${outage}", "10s"));
        let told = filled(TEXT, &[("outage", "20s"), ("slo", "5s")]);
        let expected =
            "# ${any} comment\nseed: 7\nparams: { outage: 20s, slo: '5s' }\nfor: \"20s\"\n";
        assert_eq!(told, expected);
    }

    #[test]
    fn names_that_stand_for_nothing_are_told() {
        let (place, wrong) = Params::read(TEXT, &overrides(&[("outag", "1s")])).unwrap_err();
        assert_eq!(place, None);
        let told = "`--set outag=…` names no parameter of this scenario; did you mean `outage`?";
        assert_eq!(wrong.to_string(), told);
        let text = "a: 1\nb: ${outage}\n";
        let (place, wrong) = read(text, &[]).fill(text, &Values::new()).unwrap_err();
        assert_eq!(place, Some(Position { line: 2, column: 4 }));
        assert_eq!(wrong.to_string(), "`${outage}` is no parameter; there are none");
    }

    #[test]
    fn a_range_is_drawn_once_for_all_its_uses() {
        let text =
            "seed: 7\nparams: { outage: 1s..60s, slo: 10s }\na: \"${outage}\"\nb: \"${outage}\"\n";
        let drawn = read(text, &[]).drawn();
        let outage = &drawn["outage"];
        let told = format!(
            "seed: 7\nparams: {{ outage: {outage}, slo: 10s }}\na: \"{outage}\"\nb: \"{outage}\"\n"
        );
        assert_eq!(filled(text, &[]), told);
        // Another parameter beside it changes nothing, another seed does.
        let more = text.replace("params: { ", "params: { aside: 1..9, ");
        assert_eq!(read(&more, &[]).drawn()["outage"], *outage);
        let seed = Overrides { seed: Some(8), ..Overrides::default() };
        assert_ne!(Params::read(text, &seed).unwrap().unwrap().drawn()["outage"], *outage);
        // The command line fixes it, and draws from another range.
        assert_eq!(read(text, &[("outage", "5s")]).drawn()["outage"], "5s");
        assert!(read(text, &[("outage", "5s")]).corners().is_empty());
        assert_eq!(read(text, &[("slo", "2s..3s")]).ranges().len(), 2);
    }

    #[test]
    fn the_corners_are_all_combinations_of_ends() {
        let params = read("params: { a: 1s..2s, b: 3..4, c: x }\n", &[]);
        let corners: Vec<_> = params
            .corners()
            .iter()
            .map(|corner| corner.values().cloned().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(corners, ["1s 3 x", "1s 4 x", "2s 3 x", "2s 4 x"]);
    }
}
