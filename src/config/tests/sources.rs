//! Where values come from: the file, the environment, the defaults.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::keys::Draft;
use super::super::yaml::{self, Node};
use super::{check, config, environment, load};
use crate::config::{Config, DEFAULT_FILE, Database, DatabaseUrl, Environment};
use crate::postgres;
use crate::telemetry::Format;

fn key_paths() -> BTreeSet<String> {
    Draft::new(Path::new("/data")).keys().iter().map(|key| key.path.to_owned()).collect()
}

fn node_paths(prefix: &str, node: &Node, paths: &mut BTreeSet<String>) {
    let Node::Mapping(entries) = node else {
        paths.insert(prefix.to_owned());
        return;
    };
    for entry in entries {
        let dot = if prefix.is_empty() { "" } else { "." };
        node_paths(&format!("{prefix}{dot}{}", entry.key), &entry.value, paths);
    }
}

fn postgres_of(config: &Config) -> &postgres::Config {
    match &config.database {
        Database::Embedded(postgres) => postgres,
        Database::External { url } => panic!("the database is at {url}"),
    }
}

fn url_of(config: &Config) -> &DatabaseUrl {
    match &config.database {
        Database::Embedded(postgres) => panic!("the database is embedded: {postgres:?}"),
        Database::External { url } => url,
    }
}

fn notices(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let loaded = load(text, variables).unwrap_or_else(|errors| panic!("{errors}"));
    loaded.notices.iter().map(ToString::to_string).collect()
}

#[test]
fn the_default_file_says_the_same_as_none() {
    let expected = Config::default_for(&environment(&[])).unwrap();
    assert_eq!(config(DEFAULT_FILE, &[]), expected);
    for nothing in ["", "---\n", "# nothing\n", "pool:\njobs: {}\n", "null", "\u{feff}"] {
        assert_eq!(config(nothing, &[]), expected, "{nothing:?}");
    }
}

#[test]
fn the_default_file_has_every_key() {
    let is_key = |line: &str| {
        let (name, _) = line.split_once(':').unwrap_or_default();
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    // Keys without a fixed default are comments.
    let text: Vec<String> = DEFAULT_FILE
        .lines()
        .map(|line| match line.strip_prefix("  # ") {
            Some(rest) if is_key(rest) => format!("  {rest}"),
            _ => line.to_owned(),
        })
        .filter(|line| !line.trim_start().starts_with("embedded:"))
        .collect();
    let mut paths = BTreeSet::new();
    node_paths("", &yaml::parse(&text.join("\n")).unwrap(), &mut paths);
    assert_eq!(paths, key_paths());
}

#[test]
fn the_environment_comes_before_the_file_and_the_file_before_the_default() {
    let file = "pool: {max_size: 20, validation: {timeout: 2s}}";
    let variables = [("CODEBASE_MCP__POOL__VALIDATION__TIMEOUT", "3s")];
    let loaded = load(file, &variables).unwrap();
    assert_eq!(loaded.config.pool.validation.timeout, Duration::from_secs(3));
    assert_eq!(loaded.config.pool.max_size, 20);
    assert_eq!(loaded.config.pool.min_size, 2);
    let sources: Vec<String> =
        loaded.sources.iter().map(|(key, place)| format!("{key}: {place}")).collect();
    assert_eq!(
        sources,
        [
            "pool.max_size: codebase-mcp.yaml:1:18",
            "pool.validation.timeout: CODEBASE_MCP__POOL__VALIDATION__TIMEOUT",
        ]
    );
}

#[test]
fn every_key_has_a_variable() {
    let values = [
        ("mode", "external"),
        ("url", "postgres://elsewhere/code"),
        ("install_dir", "/elsewhere"),
        ("data_dir", "/elsewhere"),
        ("run_as", "ann"),
        ("log", "debug"),
        ("format", "json"),
        ("timeout", "7s"),
        ("probe_interval", "7s"),
        ("max_lifetime", "7m"),
        ("max_idle_time", "7m"),
        ("max_queries", "7000"),
        ("threshold", "7s"),
        ("cooldown", "7s"),
        ("require_primary", "false"),
        ("trace", "true"),
        ("reclaim", "true"),
        ("max_file_size", "7MiB"),
        ("max_line_length", "7KiB"),
        ("max_chunk_size", "700B"),
    ];
    let mut draft = Draft::new(Path::new("/data"));
    for key in draft.keys() {
        let name = key.path.rsplit('.').next().unwrap_or_default();
        let value = values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let is_time = ["_timeout", "_after", "_window", "_wait"].iter().any(|e| name.ends_with(e));
        let value = match key.path {
            "pool.leaks.enabled" => "false",
            "pool.adaptive.enabled" => "true",
            _ => value.unwrap_or(if is_time { "7s" } else { "7" }),
        };
        let mut variables = vec![(key.variable(), value)];
        if name == "mode" {
            variables.push(("DATABASE_URL".to_owned(), "postgres://elsewhere/code"));
        }
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        let loaded = load("", &variables).unwrap_or_else(|errors| panic!("{}: {errors}", key.path));
        assert_eq!(loaded.sources[key.path].to_string(), key.variable());
        assert_ne!(loaded.config, config("", &[]), "{}", key.path);
        let from = format!("  # from {}", key.variable());
        let lines = [format!("{name}: {value}{from}"), format!("{name}: \"{value}\"{from}")];
        let yaml = loaded.to_yaml();
        let shown = yaml.lines().any(|line| lines.iter().any(|known| known == line.trim_start()));
        assert!(shown, "{lines:?}\n{yaml}");
    }
}

#[test]
fn historical_variables_work() {
    let config = config(
        "",
        &[
            ("POOL_MIN_SIZE", "3"),
            ("POOL_MAX_SIZE", "30"),
            ("POOL_TIMEOUT", "12"),
            ("POOL_COMMAND_TIMEOUT", "30.25"),
            ("POOL_MAX_QUERIES", "60000"),
            ("POOL_MAX_IDLE_TIME", "90"),
            ("POOL_MAX_CONNECTION_LIFETIME", "3600.5"),
            ("POOL_ENABLE_LEAK_DETECTION", "False"),
            ("POOL_LEAK_DETECTION_TIMEOUT", "0"),
            ("MAX_CONCURRENT_INDEXING_JOBS", "5"),
            ("DATABASE_URL", "postgres://ann:hunter2@db/code"),
        ],
    );
    assert_eq!((config.pool.min_size, config.pool.max_size), (3, 30));
    assert_eq!(config.pool.acquire_timeout, Duration::from_secs(12));
    assert_eq!(config.pool.command_timeout, Duration::from_millis(30_250));
    assert_eq!(config.pool.max_queries, 60_000);
    assert_eq!(config.pool.max_idle_time, Duration::from_secs(90));
    assert_eq!(config.pool.max_lifetime, Duration::from_millis(3_600_500));
    assert!(!config.pool.leaks.enabled);
    assert_eq!(config.pool.leaks.threshold, Duration::ZERO);
    assert_eq!(config.jobs.max_concurrent, 5);
    assert_eq!(url_of(&config).expose(), "postgres://ann:hunter2@db/code");
}

#[test]
fn historical_durations_are_seconds_and_may_have_units() {
    let cases = [
        ("30", 30_000),
        ("30.0", 30_000),
        ("0.5", 500),
        ("0.001", 1),
        ("30s", 30_000),
        ("2m", 120_000),
    ];
    for (text, milliseconds) in cases {
        for name in ["POOL_TIMEOUT", "POOL_ACQUIRE_TIMEOUT"] {
            let timeout = config("", &[(name, text)]).pool.acquire_timeout;
            assert_eq!(timeout, Duration::from_millis(milliseconds), "{name}={text}");
        }
    }
    for text in ["1.", ".5", "1e3", "-1", "+1", "1.0001", "30.0s", "18446744073709551615"] {
        assert!(load("", &[("POOL_TIMEOUT", text)]).is_err(), "{text}");
    }
}

#[test]
fn old_spellings_must_agree_and_yield_to_the_new_one() {
    let both = [("POOL_TIMEOUT", "40"), ("POOL_ACQUIRE_TIMEOUT", "40s")];
    assert_eq!(config("", &both).pool.acquire_timeout, Duration::from_secs(40));

    let all = [
        ("POOL_TIMEOUT", "40"),
        ("POOL_ACQUIRE_TIMEOUT", "50s"),
        ("CODEBASE_MCP__POOL__ACQUIRE_TIMEOUT", "1s"),
    ];
    assert_eq!(config("", &all).pool.acquire_timeout, Duration::from_secs(1));
    assert_eq!(
        notices("", &all),
        [
            "POOL_ACQUIRE_TIMEOUT is not used, because CODEBASE_MCP__POOL__ACQUIRE_TIMEOUT comes \
             before it",
            "POOL_TIMEOUT is not used, because CODEBASE_MCP__POOL__ACQUIRE_TIMEOUT comes before it",
        ]
    );
}

#[test]
fn an_empty_variable_is_not_set() {
    let variables =
        [("POOL_MAX_SIZE", ""), ("DATABASE_URL", ""), ("CODEBASE_MCP__JOBS__QUEUE_LIMIT", "")];
    assert_eq!(load("", &variables).unwrap(), load("", &[]).unwrap());
}

#[test]
fn a_url_selects_the_external_database() {
    let file = "database: {url: 'postgresql://db/code', stop_after: 1h}";
    assert_eq!(url_of(&config(file, &[])).expose(), "postgresql://db/code");
    let elsewhere = config(file, &[("DATABASE_URL", "postgres://elsewhere/code")]);
    assert_eq!(url_of(&elsewhere).expose(), "postgres://elsewhere/code");
    let explicit = config("database: {mode: external}", &[("DATABASE_URL", "postgres://db/code")]);
    assert_eq!(url_of(&explicit).expose(), "postgres://db/code");
    assert_eq!(config("database: {url: }", &[]), config("", &[]));
    assert_eq!(config("database: {url: '${DB:-}'}", &[]), config("", &[]));
}

#[test]
fn an_explicit_embedded_database_leaves_urls_for_others_alone() {
    let file = "database: {mode: embedded}";
    for url in ["postgres://db/code", "mysql://db/shop"] {
        let variables = [("DATABASE_URL", url)];
        postgres_of(&config(file, &variables));
        assert_eq!(
            notices(file, &variables),
            ["the database URL of DATABASE_URL is not used, because database.mode \
              (codebase-mcp.yaml:1:18) is embedded"]
        );
    }
    let switch = [("CODEBASE_MCP__DATABASE__MODE", "embedded")];
    let file = "database: {url: 'postgres://db/code'}";
    postgres_of(&config(file, &switch));
    assert_eq!(
        notices(file, &switch),
        ["the database URL of codebase-mcp.yaml:1:17 is not used, because database.mode \
          (CODEBASE_MCP__DATABASE__MODE) is embedded"]
    );
}

#[test]
fn references_expand_in_values() {
    let variables =
        [("SIZE", "20"), ("EMPTY", ""), ("DIR", "/data"), ("ODD", "a: [${SIZE}"), ("WORD", "json")];
    let path = |text: &str| {
        let config = config(&format!("database: {{data_dir: \"{text}\"}}"), &variables);
        postgres_of(&config).data_dir.clone()
    };
    assert_eq!(path("${DIR}/x"), Path::new("/data/x"));
    assert_eq!(path("${NONE:-/default}/x"), Path::new("/default/x"));
    assert_eq!(path("${EMPTY:-/default}"), Path::new("/default"));
    assert_eq!(path("/${EMPTY}x${DIR}"), Path::new("/x/data"));
    assert_eq!(path("/a$$b$c$"), Path::new("/a$b$c$"));
    assert_eq!(path("/$${DIR}"), Path::new("/${DIR}"));
    assert_eq!(path("/${ODD}"), Path::new("/a: [${SIZE}"));
    assert_eq!(path("/${NONE:-}"), Path::new("/"));
    assert_eq!(config("pool: {max_size: '${SIZE}'}", &variables).pool.max_size, 20);
    assert_eq!(config("pool: {max_size: '${NONE:-30}'}", &variables).pool.max_size, 30);
    assert_eq!(config("telemetry: {format: '${WORD}'}", &variables).telemetry.format, Format::Json);
    assert!(load("'${WORD}': 1", &variables).is_err(), "keys do not expand");
    assert!(load("pool: {max_size: '2$$0'}", &variables).is_err());
}

/// A user, variables and the folder.
type FolderCase<'a> = (u32, &'a [(&'a str, &'a str)], Option<&'a str>);

#[test]
fn data_belongs_where_the_environment_says() {
    let folder = |uid, variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
        let working_dir = PathBuf::from("/srv/app");
        Environment { variables, effective_uid: uid, working_dir }.data_folder()
    };
    let cases: [FolderCase<'_>; 8] = [
        (1000, &[("HOME", "/home/ann")], Some("/home/ann/.local/share/codebase-mcp")),
        (0, &[("HOME", "/root")], Some("/var/lib/codebase-mcp")),
        (0, &[], Some("/var/lib/codebase-mcp")),
        (0, &[("XDG_DATA_HOME", "/xdg")], Some("/xdg/codebase-mcp")),
        (1000, &[("HOME", "/h"), ("XDG_DATA_HOME", "/xdg")], Some("/xdg/codebase-mcp")),
        (1000, &[("HOME", "/h"), ("XDG_DATA_HOME", "xdg")], Some("/h/.local/share/codebase-mcp")),
        (1000, &[("HOME", "h")], None),
        (1000, &[], None),
    ];
    for (uid, variables, expected) in cases {
        assert_eq!(folder(uid, variables).as_deref(), expected.map(Path::new), "{variables:?}");
    }
    let config = config("", &[("XDG_DATA_HOME", "/xdg")]);
    let postgres = postgres_of(&config);
    assert_eq!(postgres.data_dir, Path::new("/xdg/codebase-mcp/cluster"));
    assert_eq!(postgres.install_default, Path::new("/xdg/codebase-mcp/postgresql"));
}

#[test]
fn what_is_printed_reads_back() {
    let files = [
        DEFAULT_FILE,
        "pool: {acquire_timeout: 1500ms, validation: {bypass_window: 0ms}}\nindex: {max_file_size: 2MB}",
        "database: {data_dir: \"/a $$ ${HOME} \\\"b\\\" \\\\ ä \\u2028 \\t\", run_as: 'null', install_dir: /x}",
        "database: {url: 'postgres://db:5432/code?a=b'}\ntelemetry: {log: 'a=debug,b[c]=warn', format: json}",
    ];
    for file in files {
        let config = config(file, &[]);
        let yaml = config.to_yaml();
        assert_eq!(super::config(&yaml, &[]), config, "{yaml}");
    }
    check("printed_defaults", config("", &[]).to_yaml());
    let file = "database:\n  url: postgres://ann:hunter2@db/code?password=hunter2&x=y\n";
    let external = load(file, &[("POOL_MIN_SIZE", "1")]).unwrap();
    check("printed_external", external.to_yaml());
}

#[test]
fn secrets_do_not_show() {
    let loaded =
        load("database: {url: 'postgres://ann:hunter2@db/code'}", &[("HIDDEN", "hunter2")]);
    let loaded = loaded.unwrap();
    let url = url_of(&loaded.config);
    let shown =
        format!("{loaded:?} {url} {url:?} {} {}", loaded.config.to_yaml(), loaded.to_yaml());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(url.to_string(), "postgres://ann:***@db/code");
    let environment = format!("{:?}", environment(&[("HIDDEN", "hunter2")]));
    assert!(!environment.contains("hunter2"), "{environment}");
}
