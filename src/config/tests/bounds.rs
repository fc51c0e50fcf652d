//! Every key at its bounds and just beyond.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::keys::Draft;
use super::super::slot::Slot;
use super::{check, config, environment, errors, load};
use crate::config::{Config, ConfigErrors, Fault, Loaded, Refusal, Rule};

/// A key, its smallest and its largest value as documented, and the unit of both.
const BOUNDS: [(&str, u64, u64, &str); 27] = [
    ("database.start_timeout", 1_000, 600_000, "ms"),
    ("database.stop_after", 0, 86_400_000, "ms"),
    ("pool.min_size", 1, 500, ""),
    ("pool.max_size", 1, 500, ""),
    ("pool.max_waiting", 1, 60_000, ""),
    ("pool.acquire_timeout", 1, 300_000, "ms"),
    ("pool.connect_timeout", 10, 300_000, "ms"),
    ("pool.command_timeout", 1, 86_400_000, "ms"),
    ("pool.shutdown_timeout", 0, 300_000, "ms"),
    ("pool.cleanup_timeout", 1, 60_000, "ms"),
    ("pool.max_parallel_connects", 1, 32, ""),
    ("pool.probe_interval", 100, 60_000, "ms"),
    ("pool.max_lifetime", 60_000, 604_800_000, "ms"),
    ("pool.max_idle_time", 10_000, 86_400_000, "ms"),
    ("pool.max_queries", 1_000, 4_294_967_295, ""),
    ("pool.validation.timeout", 1, 30_000, "ms"),
    ("pool.validation.bypass_window", 0, 60_000, "ms"),
    ("pool.leaks.threshold", 0, 86_400_000, "ms"),
    ("pool.adaptive.max_size", 1, 500, ""),
    ("pool.adaptive.cooldown", 1_000, 3_600_000, "ms"),
    ("index.max_file_size", 1024, 1_073_741_824, "B"),
    ("index.max_line_length", 1024, 10_485_760, "B"),
    ("index.max_chunk_size", 256, 65_536, "B"),
    ("index.batch_size", 1, 1000, ""),
    ("jobs.max_concurrent", 1, 64, ""),
    ("jobs.queue_limit", 1, 10_000, ""),
    ("server.startup_wait", 0, 300_000, "ms"),
];

/// A file that sets one key, and the other size of the pool so that both fit together.
fn file(key: &str, value: &str) -> String {
    let mut sections: Vec<&str> = key.split('.').collect();
    let name = sections.pop().unwrap_or_default();
    let mut text = String::new();
    for (depth, section) in sections.iter().enumerate() {
        text.extend([&"  ".repeat(depth), *section, ":\n"].map(str::to_owned));
    }
    let indent = "  ".repeat(sections.len());
    text.extend([indent.as_str(), name, ": ", value, "\n"]);
    match key {
        "pool.min_size" => text.push_str("  max_size: 500\n"),
        "pool.max_size" => text.push_str("  min_size: 1\n"),
        _ => {}
    }
    text
}

fn printed(key: &str, value: &str) -> String {
    printed_in(&config(&file(key, value), &[]), key)
}

/// The value of a key as it is printed.
fn printed_in(config: &Config, key: &str) -> String {
    let mut draft = Draft::from(config);
    let key = draft.keys().into_iter().find(|known| known.path == key).unwrap();
    key.slot.print().unwrap()
}

fn refusal(key: &str, value: &str) -> Refusal {
    refused(key, load(&file(key, value), &[]))
}

/// The one reason why this key was refused.
fn refused(key: &str, loaded: Result<Loaded, ConfigErrors>) -> Refusal {
    let errors = loaded.unwrap_err();
    match &errors.problems().iter().map(|problem| &problem.fault).collect::<Vec<_>>()[..] {
        [Fault::Refused { key: refused, refusal, .. }] if *refused == key => refusal.clone(),
        other => panic!("{key}: {other:?}"),
    }
}

/// A way to give a key a value.
type Way = Box<dyn Fn(&str) -> Result<Loaded, ConfigErrors>>;

/// Every way to give a key a value: the file, its variable, and its historical variables.
fn ways(key: &'static str) -> Vec<Way> {
    let mut draft = Draft::new(Path::new("/data"));
    let key = draft.keys().into_iter().find(|known| known.path == key).unwrap();
    let names = key.historical.iter().map(|name| (*name).to_owned()).chain([key.variable()]);
    // The other size of the pool, so that both fit together.
    let companion = match key.path {
        "pool.min_size" => ("CODEBASE_MCP__POOL__MAX_SIZE", "500"),
        "pool.max_size" => ("CODEBASE_MCP__POOL__MIN_SIZE", "1"),
        _ => ("HOME", "/home/ann"),
    };
    let mut ways: Vec<Way> = Vec::new();
    for name in names {
        ways.push(Box::new(move |value| load("", &[(&name, value), companion])));
    }
    let path = key.path;
    ways.push(Box::new(move |value| load(&file(path, value), &[])));
    ways
}

#[test]
fn the_bounds_are_included_and_nothing_beyond() {
    for (key, min, max, unit) in BOUNDS {
        for set in ways(key) {
            for inside in [min, min + 1, max - 1, max] {
                set(&format!("{inside}{unit}"))
                    .unwrap_or_else(|errors| panic!("{key}: {inside}{unit}: {errors}"));
            }
            let above = refused(key, set(&format!("{}{unit}", max + 1)));
            assert!(matches!(above, Refusal::TooHigh { .. }), "{key}: {above:?}");
            let below = min.checked_sub(1).map_or("-1".to_owned(), |below| below.to_string());
            let below = refused(key, set(&format!("{below}{unit}")));
            assert!(matches!(below, Refusal::TooLow { .. }), "{key}: {below:?}");
        }
    }
}

#[test]
fn a_switch_is_on_or_off_and_nothing_else() {
    let mut draft = Draft::new(Path::new("/data"));
    let switches: Vec<_> =
        draft.keys().into_iter().filter(|key| matches!(key.slot, Slot::Switch(_))).collect();
    assert!(!switches.is_empty());
    for key in switches {
        for value in ["true", "false"] {
            for text in [file(key.path, value), file(key.path, "${SWITCH}")] {
                let loaded = load(&text, &[("SWITCH", value)]).unwrap();
                assert_eq!(printed_in(&loaded.config, key.path), value, "{text}");
            }
            let loaded = load("", &[(&key.variable(), value)]).unwrap();
            assert_eq!(printed_in(&loaded.config, key.path), value);
        }
        for value in ["yes", "on", "1", "\"true\"", "truth", "[true]", ""] {
            refusal(key.path, value);
        }
        for value in ["yes", "True", "1", "on"] {
            refused(key.path, load("", &[(&key.variable(), value)]));
        }
    }
}

/// The program that had these variables took them in many spellings.
#[test]
fn a_historical_switch_is_generous() {
    let enabled = |text| config("", &[("POOL_ENABLE_LEAK_DETECTION", text)]).pool.leaks.enabled;
    for text in ["true", "True", "TRUE", "1", "yes", "on", "y", "t"] {
        assert!(enabled(text), "{text}");
    }
    for text in ["false", "False", "FALSE", "0", "no", "off", "n", "f"] {
        assert!(!enabled(text), "{text}");
    }
    for text in ["2", "truth", "enabled", "-"] {
        refused("pool.leaks.enabled", load("", &[("POOL_ENABLE_LEAK_DETECTION", text)]));
    }
}

#[test]
fn every_amount_is_in_the_table() {
    let mut draft = Draft::new(Path::new("/data"));
    let amounts = draft.keys().into_iter().filter_map(|key| match key.slot.rule() {
        Rule::Amount { min, max, .. } => Some((key.path, min, max)),
        Rule::Words(_) | Rule::Folder | Rule::Account | Rule::Url | Rule::Filter => None,
    });
    let declared: BTreeSet<_> = amounts.collect();
    let tested: BTreeSet<_> = BOUNDS.iter().map(|(key, min, max, _)| (*key, *min, *max)).collect();
    assert_eq!(declared, tested);
}

#[test]
fn an_amount_prints_in_the_largest_unit_that_divides_it() {
    let cases = [
        ("pool.acquire_timeout", "300s", "5m"),
        ("pool.acquire_timeout", "90s", "90s"),
        ("pool.acquire_timeout", "1500ms", "1500ms"),
        ("pool.command_timeout", "24h", "1d"),
        ("pool.command_timeout", "1d", "1d"),
        ("pool.shutdown_timeout", "0ms", "0s"),
        ("index.max_file_size", "1048576B", "1MiB"),
        ("index.max_file_size", "2MB", "2MB"),
        ("index.max_file_size", "1500B", "1500B"),
        ("index.max_file_size", "64kB", "64kB"),
        ("index.batch_size", "0x40", "64"),
    ];
    for (key, written, expected) in cases {
        assert_eq!(printed(key, written), expected, "{key}: {written}");
    }
}

#[test]
fn an_amount_of_the_wrong_form_is_refused() {
    let cases = [
        ("pool.max_size", "\"10\""),
        ("pool.max_size", "10.0"),
        ("pool.max_size", "1e2"),
        ("pool.max_size", ".nan"),
        ("pool.max_size", "true"),
        ("pool.max_size", "10s"),
        ("pool.max_size", "[10]"),
        ("pool.max_size", "{a: 1}"),
        ("pool.max_size", "!new 10"),
        ("pool.max_size", ""),
        ("pool.max_size", "99999999999999999999999999"),
        ("pool.max_size", "999999999999999999999999999999999999999999999999"),
        ("pool.acquire_timeout", "30"),
        ("pool.acquire_timeout", "0.5"),
        ("pool.acquire_timeout", "1.5s"),
        ("pool.acquire_timeout", "30 s"),
        ("pool.acquire_timeout", "30S"),
        ("pool.acquire_timeout", "30sec"),
        ("pool.acquire_timeout", "s"),
        ("pool.acquire_timeout", "1m30s"),
        ("pool.acquire_timeout", "99999999999999999999s"),
        ("pool.acquire_timeout", "18446744073709551615d"),
        ("index.max_file_size", "10485760"),
        ("index.max_file_size", "10mb"),
        ("index.max_file_size", "10M"),
    ];
    let refused = cases.map(|(key, value)| format!("{key}: {value}\n  is {}", refusal(key, value)));
    check("refused_amounts", refused.join("\n"));
}

#[test]
fn a_filter_is_a_level_or_has_levels() {
    let filters = [
        "info",
        "WARN",
        "off",
        "codebase_mcp=debug,sqlx=warn",
        "info,a::b=trace",
        "a[span]=debug",
        "[s{a=1}]=info,warn",
        "info,a=",
    ];
    for filter in filters {
        let config = config(&format!("telemetry: {{log: '{filter}'}}"), &[]);
        assert_eq!(config.telemetry.log, filter);
    }
    let others = [
        "",
        " info",
        "inof",
        "verbose",
        "info, sqlx=warn",
        "sqlx=warn, info",
        "a=loud",
        "info,",
        "ä=info",
        "\u{2000}À=",
        "a[",
    ];
    for other in others {
        let refused = refusal("telemetry.log", &format!("\"{other}\""));
        assert!(matches!(refused, Refusal::Malformed { .. }), "{other}: {refused:?}");
    }
}

#[test]
fn sizes_of_the_pool_must_fit_together() {
    let adaptive = |enabled, max_size| format!("{{enabled: {enabled}, max_size: {max_size}}}");
    for (enabled, max_size) in [(true, 10), (true, 11), (false, 9)] {
        config(&format!("pool: {{adaptive: {}}}", adaptive(enabled, max_size)), &[]);
    }
    assert!(
        errors(&format!("pool: {{adaptive: {}}}", adaptive(true, 9)), &[])
            .contains("pool.max_size (10,")
    );
    assert_eq!(config("pool: {min_size: 7, max_size: 7}", &[]).pool.min_size, 7);
    assert!(errors("pool: {min_size: 8, max_size: 7}", &[]).contains("pool.min_size (8,"));
}

#[test]
fn no_amount_is_needed_to_have_a_configuration() {
    assert_eq!(config("", &[]), Config::default_for(&environment(&[])).unwrap());
}
