//! The rules that the compiler does not hold: who may use whom, how long a file may be, and what must
//! not be in the tree.

use std::fs;
use std::path::{Path, PathBuf};

/// Which modules of the crate a module may name, besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("pool", &[]),
    ("embed", &[]),
    ("telemetry", &[]),
    ("postgres", &[]),
    ("control", &["pool"]),
    ("store", &["pool"]),
    ("project", &["store", "pool"]),
    ("jobs", &["store", "pool"]),
    ("index", &["embed", "store", "pool"]),
    ("search", &["embed", "store", "pool"]),
    // Of `index` only the check of a path; of `store` only what an answer is made of.
    ("mcp", &["search", "jobs", "project", "pool", "index", "store", "embed"]),
    // Only the `Config` types of the parts.
    ("config", &["pool", "postgres", "index", "jobs", "telemetry"]),
    (
        "app",
        &[
            "config", "control", "embed", "index", "jobs", "mcp", "pool", "postgres", "project",
            "search", "store",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "config",
            "control",
            "embed",
            "index",
            "jobs",
            "pool",
            "postgres",
            "search",
            "store",
            "telemetry",
        ],
    ),
];

/// The same for the scenario runner. Of `manual` only tests.
const RUNNER_LAYERS: &[(&str, &[&str])] = &[
    ("manual", &[]),
    ("journal", &[]),
    ("proxy", &["manual"]),
    ("record", &[]),
    ("seed", &[]),
    ("stack", &["journal"]),
    // Of `report` only the words of its model; of `proxy` only the names of its decisions.
    ("schema", &["manual", "proxy", "record", "report", "seed"]),
    ("load", &["record", "schema"]),
    ("report", &["record", "schema"]),
    ("verdict", &["record", "report", "schema"]),
    (
        "run",
        &["journal", "load", "proxy", "record", "report", "schema", "seed", "stack", "verdict"],
    ),
    ("gate", &["report", "schema"]),
    (
        "cli",
        &[
            "gate", "journal", "load", "manual", "proxy", "record", "report", "run", "schema",
            "stack",
        ],
    ),
];

/// Lines of a file before its tests.
const MAX_LINES: usize = 500;

/// Folders that hold our own text.
const OWN: &[&str] = &[
    "src",
    "tests",
    "benches",
    "examples",
    "model",
    "chaos",
    "scenarios",
    "ci",
    "docs",
    "migrations",
];

struct Source {
    /// Relative to the repository.
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                waiting.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Our own text files, wherever they are.
fn sources() -> Vec<Source> {
    let folders = OWN.iter().flat_map(|folder| files_below(&root().join(folder)));
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    folders
        .chain(top.filter(|path| path.is_file()))
        .filter_map(|path| {
            Some(Source { text: fs::read_to_string(&path).ok()?, path: relative(&path) })
        })
        .collect()
}

fn rust() -> Vec<Source> {
    let mut rust = sources();
    rust.retain(|source| extension(&source.path) == "rs");
    assert!(rust.len() > 50, "the walk found the sources");
    rust
}

/// The modules that a text names after `crate::`, one by one or in braces.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split("crate::").skip(1).flat_map(|rest| match rest.strip_prefix('{') {
        Some(list) => list.split('}').next().unwrap().split(',').map(first_word).collect(),
        None => vec![first_word(rest)],
    })
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(text.len());
    text.get(..end).unwrap()
}

#[test]
fn modules_name_only_what_is_below_them() {
    let mut broken = Vec::new();
    for source in rust() {
        let (inside, layers) = match source.path.strip_prefix("chaos/src/") {
            Some(inside) => (inside, RUNNER_LAYERS),
            None => (source.path.strip_prefix("src/").unwrap_or_default(), LAYERS),
        };
        let module = inside.split(['/', '.']).next().unwrap();
        if matches!(module, "" | "lib" | "main") {
            continue;
        }
        let (_, allowed) = layers
            .iter()
            .find(|(layer, _)| *layer == module)
            .unwrap_or_else(|| panic!("`{module}` is in no layer; add it to its table"));
        for name in names(&source.text).filter(|name| !name.is_empty()) {
            if name != module && !allowed.contains(&name) {
                broken.push(format!("{}: `{module}` may not use `crate::{name}`", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_say_what_they_are_and_stay_short() {
    let mut broken = Vec::new();
    for Source { path, text } in rust() {
        if !text.starts_with("//!") {
            broken
                .push(format!("{path}: the first line must be a `//!` that says what the file is"));
        }
        let before_tests = text.split("#[cfg(test)]\nmod").next().unwrap().lines().count();
        if before_tests > MAX_LINES {
            broken.push(format!(
                "{path}: {before_tests} lines before the tests, {MAX_LINES} at most"
            ));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn sql_lives_where_it_belongs() {
    let allowed = |path: &str| {
        path.starts_with("src/store/")
            || matches!(path, "src/jobs/queue.rs" | "src/pool/postgres.rs")
            || !path.starts_with("src/")
    };
    for Source { path, text } in rust() {
        let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let sql = code.any(|line| line.contains("sqlx::query"));
        assert!(allowed(&path) || !sql, "{path}: SQL outside of store/");
    }
}

#[test]
fn the_environment_is_read_in_config_only() {
    for Source { path, text } in rust() {
        let reads = ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("];
        let found = reads.iter().any(|call| text.contains(&format!("std::{call}")));
        let tests = path.starts_with("tests/") || path.starts_with("chaos/tests/");
        let allowed = path == "src/config/environment.rs" || tests;
        assert!(allowed || !found, "{path} reads the environment");
    }
}

#[test]
fn nothing_is_unfinished_and_nothing_reports_on_the_work() {
    // Written in two parts, so that this file does not find itself.
    let marks =
        [("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("unimpl", "emented!"), ("#[ign", "ore")];
    let reports = ["summary", "completion", "handoff", "progress", "report", "notes"];
    let mut broken = Vec::new();
    for Source { path, text } in sources() {
        let generated = extension(&path) == "lock" || path.ends_with("vocab.txt");
        for (head, tail) in marks {
            let mark = format!("{head}{tail}");
            let whole = |(at, _): (usize, &str)| {
                let is_letter = |c: char| c.is_ascii_alphanumeric();
                let before = text.get(..at).is_some_and(|head| head.ends_with(is_letter));
                let after =
                    text.get(at + mark.len()..).is_some_and(|tail| tail.starts_with(is_letter));
                !before && !after
            };
            if !generated && text.match_indices(&mark).any(whole) {
                broken.push(format!("{path}: {mark}"));
            }
        }
        let name = path.rsplit('/').next().unwrap().to_lowercase();
        let document = matches!(extension(&name), "md" | "txt");
        if document && reports.iter().any(|word| name.contains(word)) {
            broken.push(format!("{path}: a document about the work"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_readme_names_the_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for command in ["ci/quickstart", "ci/test"] {
        assert!(readme.contains(command), "{command}");
        assert!(root().join(command).is_file(), "{command}");
    }
}
