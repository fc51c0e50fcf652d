//! How errors read: a catalogue of all of them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use super::super::document::Document;
use super::{check, environment, errors, load_in};

type Case<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// The cases with their input and their errors, for people to read.
fn catalogue(cases: &[Case<'_>]) -> String {
    let entry = |(text, variables): &Case<'_>| {
        let set: Vec<_> = variables.iter().map(|(k, v)| format!("$ {k}={v}\n")).collect();
        let set = set.concat();
        let shown = text.escape_debug().to_string().replace("\\n", "\n");
        format!("{set}{shown}\n\n{}\n", errors(text, variables))
    };
    cases.iter().map(entry).collect::<Vec<_>>().join("\n========\n")
}

#[test]
fn a_file_that_is_not_yaml() {
    check(
        "not_yaml",
        catalogue(&[
            ("pool:\n  min_size: [1, 2\njobs:\n", &[]),
            ("pool:\n\tmin_size: 1\n", &[]),
            ("pool:\n  min_size: 1\n max_size: 2\n", &[]),
            ("database:\n  url: \"postgres://ann:hunter2@db/code\n", &[]),
            ("database: {url: postgres://ann:hunter2@db/code, {\n", &[]),
            ("database:\n  url: !!int postgres://ann:hunter2@db/code\n", &[]),
            ("pool: *nothing\n", &[]),
            ("? [a, b]\n: c\n", &[]),
            ("pool:\n  max_size: 1\u{7}0\n", &[]),
            ("a: 1\n---\nb: 2\n", &[]),
            ("- pool\n- jobs\n", &[]),
            ("just words", &[]),
            ("pool: {max_size: ${SIZE}}", &[]),
        ]),
    );
}

#[test]
fn names_that_do_not_exist() {
    check(
        "unknown_names",
        catalogue(&[
            ("pool:\n  maxsize: 10\n", &[]),
            ("pool:\n  maxSize: 10\n", &[]),
            ("pool:\n  max_concurrent: 10\n", &[]),
            ("pool:\n  timeout: 10s\n", &[]),
            ("pools:\n  min_size: 1\n", &[]),
            ("max_size: 10\n", &[]),
            ("pool.max_size: 10\n", &[]),
            ("jobs:\n  colour: blue\n", &[]),
            ("colour: blue\n", &[]),
            ("validation:\n  timeout: 1s\n", &[]),
            ("jobs:\n  pool: {}\n", &[]),
            ("database:\n  password: hunter2\n  urll: postgres://ann:hunter2@db/code\n", &[]),
            ("pool: {<<: {min_size: 1}}\n", &[]),
            ("pool: {\"a\\nb\\e[2J\": 1}\n", &[]),
            ("pool:\n  max_size: 1\n  min_size: 1\n  max_size: 2\n", &[]),
            ("pool:\n  max_size: 10\njobs:\npool:\n  max_size: 20\n", &[]),
            ("pool: 5\n", &[]),
            ("pool: postgres://ann:hunter2@db/code\n", &[]),
            ("pool:\n  validation: [1s]\n", &[]),
            ("", &[("CODEBASE_MCP__POOL__MAXSIZE", "20")]),
            ("", &[("CODEBASE_MCP__pool__max_size", "20")]),
            ("", &[("CODEBASE_MCP__POOL_MAX_SIZE", "20")]),
            ("", &[("CODEBASE_MCP__COLOUR_OF_THE_BIKE_SHED_BEHIND_THE_HOUSE", "blue")]),
        ]),
    );
}

#[test]
fn values_that_break_their_rule() {
    let long = "x".repeat(300);
    check(
        "broken_rules",
        catalogue(&[
            ("pool:\n  max_size: 501\n", &[]),
            ("pool:\n  max_size: 0\n", &[]),
            ("pool:\n  max_size: -1\n", &[]),
            ("pool:\n  max_size: \"10\"\n", &[]),
            ("pool:\n  max_size:\n", &[]),
            ("pool:\n  max_size: many\n", &[]),
            ("pool:\n  acquire_timeout: 30\n", &[]),
            ("pool:\n  acquire_timeout: 30 seconds\n", &[]),
            ("index:\n  max_file_size: 10485760\n", &[]),
            ("index:\n  max_file_size: 2GiB\n", &[]),
            ("telemetry:\n  format: jsn\n", &[]),
            ("telemetry:\n  format: xml\n", &[]),
            ("telemetry:\n  log: codebase_mcp=loud\n", &[]),
            ("telemetry:\n  log: [info]\n", &[]),
            (&format!("telemetry:\n  log: {long}={long}\n"), &[]),
            ("database:\n  data_dir: cluster\n", &[]),
            ("database:\n  data_dir: ~/cluster\n", &[]),
            ("database:\n  data_dir: 5\n", &[]),
            ("database:\n  install_dir: \"/a\\0b\"\n", &[]),
            ("database:\n  run_as: 1000\n", &[]),
            ("database:\n  run_as: a b\n", &[]),
            ("database:\n  mode: embeded\n", &[]),
            ("database:\n  mode: true\n", &[]),
            ("pool:\n  leaks: {enabled: yes}\n", &[]),
            ("pool:\n  leaks: {enabled: \"true\"}\n", &[]),
            ("pool:\n  leaks: {enabled: 1}\n", &[]),
            ("pool:\n  leaks: true\n", &[]),
            ("pool:\n  adaptive: {enabled: true, max_size: 9}\n", &[]),
            ("pool: {min_size: 1, # first\n  max_size: 900}\n", &[]),
            ("a: &x 900\npool: {max_size: *x}\n", &[]),
            ("\u{feff}pool:\r\n  max_size: 900\r\n", &[]),
            ("# größer als möglich 🙂\npool: {\"max_size\":\t900}\n", &[]),
        ]),
    );
}

#[test]
fn values_of_the_environment() {
    check(
        "environment",
        catalogue(&[
            ("", &[("CODEBASE_MCP__POOL__MAX_SIZE", "many")]),
            ("", &[("CODEBASE_MCP__POOL__MAX_SIZE", "501")]),
            ("", &[("CODEBASE_MCP__POOL__ACQUIRE_TIMEOUT", "30")]),
            ("", &[("POOL_TIMEOUT", "0")]),
            ("", &[("POOL_TIMEOUT", "30.0001")]),
            ("", &[("POOL_TIMEOUT", "30"), ("POOL_ACQUIRE_TIMEOUT", "40s")]),
            ("", &[("POOL_MAX_SIZE", "30s")]),
            ("", &[("POOL_MIN_SIZE", "20")]),
            ("", &[("CODEBASE_MCP__POOL__LEAKS__ENABLED", "yes")]),
            ("", &[("POOL_ENABLE_LEAK_DETECTION", "maybe")]),
            ("", &[("CODEBASE_MCP__POOL__ADAPTIVE__ENABLED", "true"), ("POOL_MAX_SIZE", "101")]),
            ("pool:\n  max_size: ${SIZE}\n", &[]),
            ("pool:\n  max_size: ${SIZE}\n", &[("SIZE", "many")]),
            ("pool:\n  max_size: ${SIZE:-900}\n", &[]),
            ("database:\n  data_dir: ${HOME\n", &[]),
            ("database:\n  data_dir: ${1A}/x\n", &[]),
            ("database:\n  url: ${}\n", &[]),
        ]),
    );
}

#[test]
fn databases() {
    check(
        "databases",
        catalogue(&[
            ("database:\n  mode: external\n", &[]),
            ("database:\n  mode: embedded\n  url: postgres://ann:hunter2@db/code\n", &[]),
            (
                "database: {mode: embedded}\n",
                &[("CODEBASE_MCP__DATABASE__URL", "postgres://a:hunter2@b/c")],
            ),
            ("database:\n  url: mysql://ann:hunter2@db/code\n", &[]),
            ("database:\n  url: hunter2\n", &[]),
            ("database:\n  url: 1234\n", &[]),
            ("database:\n  url: \"postgres://ann:hunter 2@db/code\"\n", &[]),
            ("database:\n  url: [\"postgres://ann:hunter2@db/code\"]\n", &[]),
            ("database: {url: \"mysql://ann:hun@ter2@db/code\", mode: external}\n", &[]),
            ("database: {url: \"postgres://ann:hunter2@db/code\", modus: external}\n", &[]),
            ("", &[("DATABASE_URL", "mysql://ann:hunter2@db/code?password=hunter2")]),
            ("", &[("DATABASE_URL", "hunter2")]),
            ("database:\n  mode: external\n  url: ${DB:-}\n", &[]),
        ]),
    );
}

#[test]
fn several_at_once_in_the_order_of_the_file() {
    check(
        "several",
        errors(
            "jobs:\n  queue_limit: 0\npool:\n  min_size: 20\n  max_size: 10\n  size: 3\n",
            &[("CODEBASE_MCP__TELEMETRY__FORMAT", "xml")],
        ),
    );
}

#[test]
fn a_pool_smaller_than_its_default_minimum_names_the_default() {
    check("pool_smaller_than_default", errors("pool:\n  max_size: 1\n", &[]));
}

#[test]
fn a_home_is_needed_for_the_embedded_database_alone() {
    let homeless = super::Environment { effective_uid: 1000, ..Default::default() };
    check("no_home", load_in("", &homeless).unwrap_err());
    assert!(load_in("database: {url: 'postgres://db/code'}", &homeless).is_ok());
    assert!(load_in("database: {install_dir: /pg, data_dir: /data}", &homeless).is_ok());
    assert!(load_in("database: {data_dir: /data}", &homeless).is_err());
}

#[test]
fn values_that_are_not_unicode() {
    let mut environment = environment(&[]);
    let odd = OsString::from_vec(vec![b'1', 0xff]);
    environment.variables.insert("POOL_MAX_SIZE".to_owned(), odd.clone());
    environment.variables.insert("ODD".to_owned(), odd);
    check("not_unicode", load_in("database: {run_as: \"${ODD}\"}", &environment).unwrap_err());
}

#[test]
fn more_problems_than_anyone_reads_are_counted() {
    let text: Vec<_> = (0..5000).map(|number| format!("key{number}: 1\n")).collect();
    let errors = errors(&text.concat(), &[]);
    assert!(errors.starts_with("the configuration has 5000 problems\n"), "{errors}");
    assert!(errors.ends_with("\n\nand 4900 more"), "{errors}");
}

#[test]
fn a_long_line_is_shown_in_part() {
    let text = format!("pool: {{{}max_size: 900{}}}", " ".repeat(300), " ".repeat(300));
    let errors = Document::parse(Path::new("a.yaml"), text)
        .and_then(|document| {
            super::resolve(super::Origin::BuiltIn, Some(&document), &environment(&[]))
        })
        .unwrap_err();
    check("long_line", errors);
}

#[test]
fn no_error_shows_a_password() {
    let urls = [
        "mysql://ann:hunter2@db/code",
        "postgres ://ann:hunter2@db/code",
        "postgres://ann:x@hunter2@db/code",
        "postgres://ann:hun'ter hunter2@db/code",
        "postgresql:/ann:hunter2@db/code",
        "pg://db/code?user=ann&password=hunter2",
        "pg://db/code?user=ann&PASSWORD=hunter2&x=y",
        "pg://ann:hunter2",
        "pg://[::1]:5432/code?password=hunter2",
        "hunter2",
    ];
    let shapes = ["{}", "\"{}\"", "[\"{}\"]", "{a: \"{}\"}", "\"{}", ">-\n    {}", "!url \"{}\""];
    for url in urls {
        for shape in shapes {
            let value = shape.replace("{}", url);
            for text in [
                format!("database:\n  url: {value}\n"),
                format!("database: {{colour: 1, url: {value}, mode: external}}\n"),
                format!("database:\n  mode: embedded\n  url: {value}\n"),
            ] {
                if let Err(errors) = super::load(&text, &[]) {
                    assert!(!errors.to_string().contains("hunter2"), "{text}\n{errors}");
                }
            }
        }
        if let Err(errors) = super::load("", &[("DATABASE_URL", url)]) {
            assert!(!errors.to_string().contains("hunter2"), "{errors}");
            assert!(!format!("{errors:?}").contains("hunter2"), "{errors:?}");
        }
    }
}
