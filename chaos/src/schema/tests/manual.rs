//! `docs/scenarios.md` says what can be written. It must name all of it, and nothing else.

use std::collections::BTreeSet;

use super::*;
use crate::manual::{first_column, has_word, manual, quoted, table, written};
use crate::report::model::Verdict;
use crate::schema::scalar::{Mapping, Scalar};

fn names<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    names.into_iter().map(|name| name.as_ref().to_owned()).collect()
}

/// What the reader of a fault's parameters knows, by what it says about a name that it does not.
fn known(kind: &str, with: &[(&str, &str)]) -> Vec<String> {
    let text = |value: &str| Scalar::Text(value.to_owned());
    let with: Mapping =
        with.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
    // Some parameters take any text, and have no names to choose from.
    let error =
        FaultKind::read(kind, &with).map_or_else(|error| error.to_string(), |_| String::new());
    let expected = error.split_once("`nothing`, expected").map_or("", |(_, expected)| expected);
    quoted(expected).map(str::to_owned).collect()
}

#[test]
fn every_kind_of_fault_and_every_parameter_is_in_it() {
    let manual = manual();
    assert_eq!(first_column(&manual, "Kind"), names(KINDS));
    let mut seen = 0;
    for row in table(&manual, "Kind") {
        let kind = quoted(row[0]).next().unwrap();
        let named: Vec<&str> = quoted(row[1]).collect();
        for parameter in known(kind, &[("nothing", "")]) {
            assert!(named.contains(&parameter.as_str()), "{kind}: {parameter}");
            for value in known(kind, &[(&parameter, "nothing")]) {
                assert!(named.contains(&value.as_str()), "{kind}: {parameter}: {value}");
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "the parameters were found: {seen}");
    let files = yaml_files(&shipped("faults")).unwrap();
    let files = files.iter().map(|path| path.file_stem().unwrap().to_str().unwrap());
    assert_eq!(first_column(&manual, "Fault file"), names(files));
}

#[test]
fn every_metric_is_in_it_with_its_unit() {
    let manual = manual();
    let quantiles: Vec<String> = all_names()
        .iter()
        .filter_map(|name| name.strip_prefix("LOAD.age."))
        .map(str::to_owned)
        .collect();
    let pattern = |name: &str| match name.rsplit_once('.') {
        Some((head, last)) if quantiles.iter().any(|quantile| quantile == last) => {
            format!("{head}.Q")
        }
        Some((head @ "LOAD.errors", _)) => format!("{head}.CODE"),
        Some(_) | None => name.to_owned(),
    };
    let all = all_names();
    assert_eq!(first_column(&manual, "Metric"), names(all.iter().map(|name| pattern(name))));
    let (_, after) = manual.split_once("`Q` one of").unwrap();
    let listed: Vec<&str> = quoted(after).take(quantiles.len()).collect();
    assert_eq!(listed, quantiles);
    for name in &all {
        let metric = Metric::parse(&name.replace("LOAD", "reads"), &["reads"]).unwrap();
        let unit = format!("{:?}", metric.unit()).to_lowercase();
        let name = pattern(name);
        let rows = table(&manual, "Metric");
        let row = rows.iter().find(|row| quoted(row[0]).any(|word| word == name)).unwrap();
        assert_eq!(row[1], unit, "{name}");
    }
}

#[test]
fn every_event_phase_and_verdict_is_in_it() {
    let manual = manual();
    assert_eq!(first_column(&manual, "Event"), names(events::known()));
    let open = ["rpc_", "spawn_", "57P01"];
    assert_eq!(first_column(&manual, "Code of a failure"), names(codes::named().chain(open)));
    assert_eq!(first_column(&manual, "Phase"), names(Phase::ALL.map(Phase::as_str)));
    assert_eq!(first_column(&manual, "Verdict"), names(Verdict::ALL.map(Verdict::as_str)));
}

#[test]
fn every_key_and_every_word_of_a_file_is_in_it() {
    let manual = manual();
    let mut all = BTreeSet::new();
    written(&scenario_schema(), &mut all);
    written(&fault_schema(), &mut all);
    assert!(all.contains("max_in_flight") && all.contains("pool.snapshot"), "{all:?}");
    for name in &all {
        assert!(has_word(&manual, name), "`{name}` is not in docs/scenarios.md");
    }
    let schema = scenario_schema();
    let mut operations = BTreeSet::new();
    written(&schema["$defs"]["OpName"], &mut operations);
    assert_eq!(first_column(&manual, "Operation"), operations);
}

#[test]
fn its_example_is_refused_and_then_read() {
    let manual = manual();
    let blocks: Vec<&str> = manual
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .filter(|block| block.contains("schema: resilience/v1"))
        .collect();
    assert_eq!(blocks.len(), 2);
    let read = |text| {
        let path = Path::new("slow-network.yaml");
        crate::schema::read(path, text, &shipped("faults"), &Overrides::default())
    };
    let refused = read(blocks[0]).unwrap_err().to_string();
    for line in refused.lines() {
        assert!(manual.contains(line.trim_end()), "{line}");
    }
    assert_eq!(read(blocks[1]).unwrap().loads.len(), 1);
}
