//! What a configuration that was read again changes.

use std::path::Path;

use super::super::keys::Draft;
use super::super::rule::Rule;
use super::{check, config};

fn changes(old: &str, new: &str) -> String {
    let changes = config(old, &[]).changes(&config(new, &[]));
    let line = |change: &crate::config::Change| {
        format!("{change}{}", if change.live { "" } else { "  (next start)" })
    };
    changes.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn only_what_differs_is_a_change() {
    let pairs = [
        ("", "pool: {max_size: 10}\ntelemetry: {log: 'warn,codebase_mcp=info'}\n"),
        ("pool: {max_lifetime: 60m}\n", "pool: {max_lifetime: 1h}\n"),
        ("pool: {max_size: 20}\n", ""),
        (
            "",
            "pool: {max_size: 20, validation: {timeout: 2s, require_primary: false}}\n\
             telemetry: {log: debug, format: json}\njobs: {max_concurrent: 5}\n",
        ),
        ("", "database: {data_dir: /elsewhere, run_as: ann, stop_after: 0s}\n"),
        // The keys of the embedded database are no changes of their own.
        ("database: {stop_after: 1s}\n", "database: {url: 'postgres://ann:hunter2@db/code'}\n"),
        (
            "database: {url: 'postgres://ann:hunter2@db/code'}\n",
            "database: {url: 'postgres://ann:hunter3@db/code'}\n",
        ),
    ];
    let shown = pairs.map(|(old, new)| format!("{old}=>\n{new}\n{}\n", changes(old, new)));
    assert!(changes(pairs[0].0, pairs[0].1).is_empty());
    assert!(changes(pairs[1].0, pairs[1].1).is_empty());
    check("changes", shown.join("========\n"));
}

/// The table says which keys are live, and this is the code that makes them so.
#[test]
fn the_live_keys_are_those_that_a_running_server_takes_up() {
    let old = config("", &[]);
    let mut draft = Draft::new(Path::new("/data"));
    for key in draft.keys() {
        let value = match key.slot.rule() {
            // The second largest value is the default of no key.
            Rule::Amount { measure, max, .. } => measure.print(max - 1),
            Rule::Words(words) => {
                let other = words.iter().find(|word| key.slot.print().as_deref() != Some(word));
                (*other.unwrap()).to_owned()
            }
            Rule::Folder => "/elsewhere".to_owned(),
            Rule::Account => "ann".to_owned(),
            Rule::Url => "postgres://elsewhere/code".to_owned(),
            Rule::Filter => "debug".to_owned(),
        };
        if key.path == "database.mode" {
            continue;
        }
        let mut variables = vec![(key.variable(), value.as_str())];
        if key.path == "pool.min_size" {
            variables.push(("POOL_MAX_SIZE".to_owned(), "500"));
        }
        let variables: Vec<_> = variables.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        let new = config("", &variables);
        let changed = old.changes(&new);
        assert!(changed.iter().any(|change| change.key == key.path), "{} {changed:?}", key.path);
        assert!(changed.iter().all(|change| change.live == key.live), "{changed:?}");
        let applied = old.with_live_keys_of(&new);
        let expected = if key.live { &new } else { &old };
        assert_eq!(&applied, expected, "{}", key.path);
    }
}
