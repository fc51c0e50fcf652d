//! Input that wants to do harm: nothing panics, hangs or grows without bound.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::super::document::Document;
use super::super::secret::{redact_line, redact_value};
use super::super::units::{Measure, seconds};
use super::{environment, errors, load, load_in};

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "database",
            "mode",
            "url",
            "data_dir",
            "pool",
            "max_size",
            "min_size",
            "validation",
            "timeout",
            "acquire_timeout",
            "index",
            "max_file_size",
            "telemetry",
            "log",
            "<<",
            "*a",
            "&a x",
            "? y",
            "!t z",
        ])
        .prop_map(str::to_owned),
        "[a-z_.]{1,12}",
    ]
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "10",
            "-1",
            "30s",
            "5m",
            "1GiB",
            "embedded",
            "external",
            "null",
            "~",
            "true",
            "1e400",
            ".nan",
            "0x7f",
            "&a 5",
            "*a",
            "*b",
            "!t x",
            "!!int x",
            "!!binary x",
            "|",
            ">-",
            "'",
            "\"",
            "[",
            "{",
            "]",
            "${HOME}",
            "${",
            "${X:-1}",
            "$$",
            "postgres://a:b@c/d",
            "mysql://a:b@c",
            "- 1",
            "---",
            "...",
            "\t",
            "%YAML 9",
            "@",
            "`",
            "info",
            "a=b=c",
            "\u{feff}",
            "\u{85}",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,12}",
    ]
}

/// Lines that look like a configuration, with any indentation.
fn yaml_like() -> impl Strategy<Value = String> {
    let line = (0..4_usize, key(), prop::option::of(scalar()), prop::bool::weighted(0.1));
    prop::collection::vec(line, 0..12).prop_map(|lines| {
        let mut text = String::new();
        for (depth, key, value, tab) in lines {
            let indent = if tab { "\t".to_owned() } else { "  ".repeat(depth) };
            let value = value.unwrap_or_default();
            writeln!(text, "{indent}{key}: {value}").unwrap();
        }
        text
    })
}

/// Loads the text and, whatever comes out, prints it.
fn exercise(text: &str) {
    let environment = environment(&[]);
    match load_in(text, &environment) {
        Ok(loaded) => {
            // A password that has been masked is not valid everywhere in a URL, but nothing else
            // may change.
            let yaml = loaded.config.to_yaml();
            if !yaml.contains("***") {
                let again = load_in(&yaml, &environment).unwrap_or_else(|e| panic!("{yaml}\n{e}"));
                assert_eq!(again.config, loaded.config);
            }
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn random_text_does_not_panic(text in "(?s).{0,200}") {
        exercise(&text);
    }

    #[test]
    fn random_ascii_does_not_panic(text in "[ -~\n\t]{0,200}") {
        exercise(&text);
    }

    #[test]
    fn text_like_yaml_does_not_panic(text in yaml_like()) {
        exercise(&text);
    }

    #[test]
    fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, &bytes).unwrap();
        if let Err(errors) = Document::open(&path, Path::new("a.yaml")) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn random_values_of_variables_do_not_panic(value in "\\PC{0,40}") {
        for key in ["POOL__MAX_SIZE", "INDEX__MAX_FILE_SIZE", "DATABASE__URL", "TELEMETRY__LOG",
            "DATABASE__DATA_DIR"] {
            if let Err(errors) = load("", &[(&format!("CODEBASE_MCP__{key}"), &value)]) {
                prop_assert!(!errors.to_string().is_empty());
            }
        }
        if let Err(errors) = load("", &[("POOL_TIMEOUT", &value)]) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn an_amount_reads_back(amount in any::<u64>(), shift in 0..64_u32) {
        for measure in [Measure::Count, Measure::Time, Measure::Size] {
            let amount = amount >> shift;
            prop_assert_eq!(measure.parse(&measure.print(amount)), Ok(amount));
        }
    }

    #[test]
    fn amounts_of_random_text_do_not_panic(text in "[0-9a-zA-Z. -]{0,30}") {
        for measure in [Measure::Count, Measure::Time, Measure::Size] {
            if let Ok(amount) = measure.parse(&text) {
                prop_assert_eq!(measure.parse(&measure.print(amount)), Ok(amount));
            }
        }
        prop_assert!(seconds(&text).is_none() || !text.contains(char::is_alphabetic));
    }

    #[test]
    fn a_password_is_hidden(
        user in "[a-z]{0,5}",
        password in "[!-~]{8,20}",
        prefix in "[ -~]{0,10}",
        at in 0..60_usize,
    ) {
        // `:` and `***` are shown next to the password, whatever it is.
        prop_assume!(!password.chars().all(|c| c == '*' || c == ':'));
        let url = format!("postgres://{user}:{password}@db/code");
        prop_assert!(!redact_value(&url).contains(&password));
        let (line, caret) = redact_line(&format!("{prefix}{url}"), at);
        prop_assert!(!line.contains(&password), "{}", line);
        prop_assert!(caret <= line.chars().count());
    }
}

#[test]
fn aliases_can_not_multiply() {
    let mut bomb = String::from("a0: &a0 {x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy}\n");
    for level in 1..20 {
        let below = level - 1;
        let entries: Vec<String> = (0..10).map(|key| format!("k{key}: *a{below}")).collect();
        writeln!(bomb, "a{level}: &a{level} {{{}}}", entries.join(", ")).unwrap();
    }
    let message = errors(&bomb, &[]);
    assert!(message.contains("multiply") || message.contains("repetition limit"), "{message}");

    let wide = format!("a: &a {{{}}}\n", "x: y, ".repeat(2000));
    let many: Vec<_> = (0..4000).map(|number| format!("b{number}: *a\n")).collect();
    let many = many.concat();
    let message = errors(&format!("{wide}{many}"), &[]);
    assert!(message.contains("multiply"), "{message}");

    let list = format!("a: &a [{}]\n{many}", "x, ".repeat(5000));
    assert!(errors(&list, &[]).contains("4001 problems"));
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", ""), ("a:\n", "")] {
        for depth in [100, 1000, 20_000] {
            let text = format!("pool: {}1{}", open.repeat(depth), close.repeat(depth));
            assert!(load(&text, &[]).is_err(), "{depth} times {open}");
        }
    }
}
