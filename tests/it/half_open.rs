//! The example about half-open connections shows what it claims.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::{PROGRAM, Run};

/// How long both together may take.
const LIMIT: Duration = Duration::from_secs(30);

fn run(which: &str) -> Run {
    let example = Path::new(PROGRAM).parent().unwrap().join("examples/half_open");
    assert!(example.exists(), "{} is missing; run `cargo build --examples`", example.display());
    Run::of(Command::new(example).arg(which))
}

#[test]
fn our_pool_heals_and_the_drivers_own_stays_dead() {
    let started = Instant::now();
    let (ours, sqlx) = thread::scope(|scope| {
        let sqlx = scope.spawn(|| run("sqlx"));
        (run("ours"), sqlx.join().unwrap())
    });
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());

    let ours = ours.ok();
    assert!(ours.contains("verdict: healed"), "{ours}");
    assert!(field(&ours, "failed") == "0", "{ours}");
    let sqlx = sqlx.ok();
    assert!(sqlx.contains("verdict: dead"), "{sqlx}");
    assert!(field(&sqlx, "answered") == "0", "{sqlx}");
}

/// A value of the table that the example prints.
fn field<'a>(table: &'a str, name: &str) -> &'a str {
    let line = table.lines().find_map(|line| line.trim().strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {table}")).trim()
}

#[test]
fn a_pool_that_does_not_exist_is_refused() {
    let run = run("other");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains("`ours` or `sqlx`"), "{run:?}");
}
