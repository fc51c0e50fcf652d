//! The command line as a person or a script uses it.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;

use serde_json::Value;

use crate::support::{Home, Run};

#[test]
fn indexes_a_repository_and_finds_what_it_does() {
    let home = Home::new();
    let repository = home.repository();
    let indexed = home.run(["index", repository.to_str().unwrap()]).ok();
    assert!(indexed.contains("3 files written"), "{indexed}");

    let found = home.run(["search", "--json", "fire timers whose deadline has passed"]).json();
    assert_eq!(found["results"][0]["file_path"], "src/timer.rs", "{found:#}");
    let found = home.run(["search", "--json", "send a GET request over a socket"]).json();
    assert_eq!(found["results"][0]["file_path"], "src/http.py", "{found:#}");
    assert_eq!(found["coverage"]["indexed"], 3);

    let shown = home.run(["search", "timer", "wheel"]).ok();
    assert!(shown.starts_with("1. src/timer.rs:"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colors where there is no terminal: {shown:?}");
}

#[test]
fn a_second_run_writes_only_what_changed() {
    let home = Home::new();
    let repository = home.repository();
    let path = repository.to_str().unwrap();
    let counts = |run: Run| {
        let job = run.json()["job"].clone();
        ["files_indexed", "files_unchanged", "files_skipped", "files_failed"]
            .map(|field| job[field].as_i64().unwrap())
    };
    assert_eq!(counts(home.run(["index", "--json", path])), [3, 0, 0, 0]);
    assert_eq!(counts(home.run(["index", "--json", path])), [0, 3, 0, 0]);
    assert_eq!(counts(home.run(["index", "--json", "--force", path])), [3, 0, 0, 0]);

    home.write("repo/src/cache.rs", "pub fn evict_least_recently_used() {}\n");
    fs::remove_file(home.path("repo/src/http.py")).unwrap();
    assert_eq!(counts(home.run(["index", "--json", path])), [1, 2, 0, 0]);
    let found = home.run(["search", "--json", "--limit", "50", "GET request socket"]).json();
    let files: Vec<&str> = found["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|hit| hit["file_path"].as_str())
        .collect();
    assert!(!files.contains(&"src/http.py"), "a deleted file is no answer: {files:?}");
    assert!(files.contains(&"src/cache.rs"), "{files:?}");
}

#[test]
fn a_repository_that_was_emptied_answers_no_more() {
    let home = Home::new();
    let file = home.write("repo/only.rs", "/// Fires timers.\npub fn fire() {}\n");
    let path = home.path("repo");
    home.run(["index", path.to_str().unwrap()]).ok();
    fs::remove_file(file).unwrap();
    home.run(["index", path.to_str().unwrap()]).ok();
    let found = home.run(["search", "--json", "fire timers"]).json();
    assert_eq!(found["results"], serde_json::json!([]), "{found:#}");
}

/// What the user's variables say is meant for servers of theirs.
#[test]
fn variables_for_other_servers_do_not_reach_the_embedded_one() {
    let home = Home::new();
    let mut command = home.command();
    command.env("PGSSLMODE", "verify-full").env("PGOPTIONS", "-c search_path=nowhere");
    command.env("PGHOST", "db.invalid").env("PGUSER", "nobody").env("PGDATABASE", "nothing");
    Run::of(command.args(["search", "read a file"])).ok();
}

#[test]
fn what_cannot_be_indexed_is_listed_with_its_reason() {
    let home = Home::new();
    home.repository();
    home.write("repo/binary.bin", b"ELF\0\0\0");
    home.write("repo/latin1.txt", b"caf\xe9 au lait");
    home.write("repo/empty.rs", "");
    home.write("repo/bundle.min.js", "x".repeat(5_000_000));
    File::create(home.path("repo/huge.log")).unwrap().set_len(200 << 20).unwrap();
    symlink("..", home.path("repo/loop")).unwrap();
    let run = home.run(["index", "--json", home.path("repo").to_str().unwrap()]).json();
    let mut reasons: Vec<(&str, &str)> = run["left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["relative_path"].as_str().unwrap(), file["reason"].as_str().unwrap()))
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            ("binary.bin", "binary"),
            ("bundle.min.js", "long_line"),
            ("empty.rs", "empty"),
            ("huge.log", "too_large"),
            ("latin1.txt", "not_utf8"),
            ("loop", "symlink"),
        ]
    );
    let job = &run["job"];
    assert_eq!(job["files_scanned"], 9);
    assert_eq!((&job["files_indexed"], &job["files_skipped"]), (&Value::from(3), &Value::from(6)));
}

/// Root may read everything, so this runs as somebody else when the tests run as root.
#[test]
fn an_unreadable_file_is_listed_and_tried_again() {
    let home = Home::new();
    home.repository();
    let secret = home.write("repo/src/secret.rs", "pub fn open_sesame() {}\n");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let index = || {
        let mut command = home.command();
        command.args(["index", "--json", home.path("repo").to_str().unwrap()]);
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all(home.path("data")).unwrap();
            let nobody = 65_534;
            std::os::unix::fs::chown(home.path("data"), Some(nobody), Some(nobody)).unwrap();
            command.uid(nobody).gid(nobody);
        }
        Run::of(&mut command).json()
    };
    let run = index();
    assert_eq!(run["job"]["files_failed"], 1, "{run:#}");
    assert_eq!(run["left_out"][0]["relative_path"], "src/secret.rs");
    assert_eq!(run["left_out"][0]["reason"], "open");
    assert!(run["left_out"][0]["detail"].as_str().unwrap().contains("permissions"), "{run:#}");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let run = index();
    assert_eq!((&run["job"]["files_indexed"], &run["job"]["files_failed"]), (&1.into(), &0.into()));
}

#[test]
fn a_wrong_path_is_one_clear_error() {
    let home = Home::new();
    fs::create_dir(home.path("hollow")).unwrap();
    let file = home.write("file.rs", "fn main() {}");
    for (path, expected) in [
        (home.path("nowhere"), "does not exist"),
        (file, "is not a folder; give a folder"),
        // Twice: a refused folder leaves nothing behind that would let it pass.
        (home.path("hollow"), "nothing to index"),
        (home.path("hollow"), "nothing to index"),
    ] {
        let error = home.run(["index", path.to_str().unwrap()]).err();
        assert!(error.contains(expected), "{path:?}: {error}");
        assert!(error.contains(path.to_str().unwrap()), "names the path: {error}");
    }
}

#[test]
fn a_relative_path_means_the_folder_here() {
    let home = Home::new();
    home.repository();
    let run = home.run(["index", "--json", "repo"]).json();
    assert_eq!(run["job"]["repo_path"], home.path("repo").to_str().unwrap());
}

#[test]
fn a_wrong_query_is_refused_before_anything_starts() {
    let home = Home::new();
    for (arguments, expected) in [
        (vec!["search", " "], "the query is blank"),
        (vec!["search", "--limit", "0", "x"], "limit is 0"),
        (vec!["search", "--limit", "51", "x"], "limit is 51"),
        (vec!["search", "--file-type", ".rs", "x"], "without its dot"),
        (vec!["search", "--directory", "../x", "x"], "relative to the repository's root"),
    ] {
        let error = home.run(&arguments).err();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    assert!(!home.cluster().exists(), "a refused query starts no database");
}

/// Nothing holds one connection while it waits for another.
#[test]
fn a_pool_of_one_connection_is_enough() {
    let home = Home::new();
    let repository = home.repository();
    let run = |arguments: &[&str]| {
        let mut command = home.command();
        command.env("POOL_MIN_SIZE", "1").env("POOL_MAX_SIZE", "1").env("POOL_TIMEOUT", "5");
        Run::of(command.args(arguments))
    };
    for _ in 0..3 {
        run(&["index", "--force", repository.to_str().unwrap()]).ok();
    }
    let found = run(&["search", "--json", "timers in a wheel"]).json();
    assert_eq!(found["results"][0]["file_path"], "src/timer.rs", "{found:#}");
}

#[test]
fn a_search_can_be_limited_to_one_of_several_repositories() {
    let home = Home::new();
    let one = home.repository();
    home.write("other/wheel.rs", "/// Fires timers of a wheel.\npub fn fire_timers() {}\n");
    for repository in [&one, &home.path("other")] {
        home.run(["index", repository.to_str().unwrap()]).ok();
    }
    let both = home.run(["search", "fire", "timers", "of", "a", "wheel"]).ok();
    for repository in [&one, &home.path("other")] {
        assert!(
            both.contains(repository.to_str().unwrap()),
            "each hit names its repository: {both}"
        );
    }
    let other = home.run(["search", "--json", "--repository", "other", "fire timers"]).json();
    let hits = other["results"].as_array().unwrap();
    assert!(hits.iter().all(|hit| hit["file_path"] == "wheel.rs"), "{other:#}");
    assert_eq!(hits.len(), 1);
    let error = home.run(["search", "--repository", ".", "fire timers"]).err();
    assert!(error.contains("is not indexed; run"), "{error}");
}

#[test]
fn an_empty_index_says_what_to_do() {
    let home = Home::new();
    let said = home.run(["search", "read a file"]).ok();
    assert!(said.contains("codebase-mcp index PATH"), "{said}");
}

#[test]
fn a_missing_installation_names_the_command_to_run() {
    let home = Home::new();
    let mut command = home.command();
    command.env("CODEBASE_MCP__DATABASE__INSTALL_DIR", home.path("nothing"));
    let error = Run::of(command.args(["search", "read a file"])).err();
    assert!(error.contains("ci/setup"), "{error}");
}

#[test]
fn an_external_database_that_is_not_there_is_one_clear_error() {
    let home = Home::new();
    let mut command = home.command();
    // Port 1 on loopback: nobody listens there.
    command.env("DATABASE_URL", "postgres://somebody:hush@127.0.0.1:1/postgres");
    let error = Run::of(command.args(["search", "read a file"])).err();
    assert!(error.contains("refused") && !error.contains("hush"), "{error}");

    let report = Run::of(command.args(["--json"])).code;
    assert_eq!(report, Some(1));
}

#[test]
fn a_wrong_configuration_lists_every_mistake_with_its_line() {
    let home = Home::new();
    home.write(
        "codebase-mcp.yaml",
        "pool:\n  min_size: 20\n  max_sise: 10\njobs:\n  max_concurrent: 0\n",
    );
    for command in [vec!["config", "check"], vec!["search", "x"]] {
        let run = home.run(&command);
        assert_eq!(run.code, Some(2), "{run:?}");
        for expected in ["codebase-mcp.yaml:3:3", "max_size", "codebase-mcp.yaml:5:19"] {
            assert!(run.stderr.contains(expected), "{expected}: {}", run.stderr);
        }
    }
}

#[test]
fn the_printed_configuration_can_be_read_back() {
    let home = Home::new();
    let printed = home.run(["config", "print"]).ok();
    let file = home.write("printed.yaml", &printed);
    let again = home.run(["--config", file.to_str().unwrap(), "config", "print"]).ok();
    let keys = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(" #").next().unwrap().trim_end().to_owned()).collect()
    };
    assert_eq!(keys(&printed), keys(&again));
}

#[test]
fn doctor_checks_every_part() {
    let home = Home::new();
    let report = home.run(["doctor", "--json"]).json();
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["status"], "ok", "{check}");
    }
    let mut command = home.command();
    command.env("CODEBASE_MCP__DATABASE__INSTALL_DIR", home.path("nothing"));
    let run = Run::of(command.args(["doctor"]));
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("FAILED"), "{run:?}");
    assert!(run.stdout.contains("skipped"), "{run:?}");
}
