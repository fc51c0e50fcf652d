//! What people read: the text of every error, and the name of every event.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::sleep;

use super::*;

fn snapshot() -> Snapshot {
    Snapshot {
        phase: Phase::Degraded,
        reason: HealthReason::RecentError,
        idle: 0,
        in_use: 8,
        opening: 1,
        checking: 0,
        closing: 1,
        waiting: 7,
        min_size: 2,
        max_size: 10,
    }
}

fn io_error() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused by db-7"))
}

fn holders() -> Holders {
    let held = |seconds| Held {
        connection: 3,
        location: std::panic::Location::caller(),
        held: secs(seconds),
    };
    Holders(vec![held(75), held(2)])
}

/// The full text for the log, then what clients are told.
fn told(errors: &[AcquireError]) -> String {
    let mut text = String::new();
    for error in errors {
        writeln!(text, "{error}\n  clients: {}\n", error.public()).unwrap();
    }
    // Lines of this file move.
    text.replace(&format!("{}:", file!()), "FILE:")
}

#[test]
fn every_acquire_error_says_what_happened_why_and_what_to_do() {
    let cause = || Arc::new(OpenError::Failed(io_error()));
    let errors = [
        AcquireError::TimedOut {
            waited: ms(250),
            snapshot: Box::new(snapshot()),
            holders: Holders::default(),
            last_error: None,
        },
        AcquireError::TimedOut {
            waited: secs(30),
            snapshot: Box::new(snapshot()),
            holders: holders(),
            last_error: Some("connecting took longer than 10 s".to_owned()),
        },
        AcquireError::Validation {
            waited: secs(30),
            cause: CheckError::TimedOut { limit: secs(1) },
            snapshot: Box::new(snapshot()),
        },
        AcquireError::Unavailable(Unavailable {
            cause: cause(),
            retry_after: ms(3900),
            attempts: 3,
            snapshot: Box::new(snapshot()),
        }),
        AcquireError::QueueFull { limit: 10_000, snapshot: Box::new(snapshot()) },
        AcquireError::Closed { snapshot: Box::new(snapshot()) },
    ];
    insta::with_settings!({ filters => vec![(r"FILE:\d+", "FILE:LINE")] }, {
        insta::assert_snapshot!(told(&errors));
    });
}

#[test]
fn every_other_error_says_so_too() {
    let open = [
        OpenError::TimedOut { limit: secs(10) },
        OpenError::Failed(io_error()),
        OpenError::ReadOnly,
    ];
    let check = [
        CheckError::TimedOut { limit: ms(1500) },
        CheckError::Failed(io_error()),
        CheckError::InTransaction,
        CheckError::ReadOnly,
    ];
    let mut text = String::new();
    for error in open {
        let start = StartError::Initialization {
            attempts: 3,
            cause: Arc::new(OpenError::TimedOut { limit: secs(10) }),
            snapshot: Box::new(snapshot()),
        };
        writeln!(text, "open: {error}\n  clients: {}", error.public_cause()).unwrap();
        if matches!(error, OpenError::TimedOut { .. }) {
            writeln!(text, "start: {start}").unwrap();
        }
    }
    for error in check {
        writeln!(text, "check: {error}\n  clients: {}", error.public()).unwrap();
    }
    let closed = StartError::Closed { snapshot: Box::new(snapshot()) };
    writeln!(text, "start: {closed}").unwrap();
    for cut in [slot::Cut::Shutdown, slot::Cut::Reclaimed, slot::Cut::Silent] {
        writeln!(text, "statement: {}", cut.as_str()).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn errors_of_connecting_are_told_apart_by_what_mends_them() {
    for (state, class) in [
        ("57P03", ErrorClass::Starting),
        ("53300", ErrorClass::Capacity),
        ("28P01", ErrorClass::Permanent),
        ("28000", ErrorClass::Permanent),
        ("3D000", ErrorClass::Permanent),
        ("42501", ErrorClass::Permanent),
        ("XX000", ErrorClass::Transient),
    ] {
        assert_eq!(scripted::refusal(state).class(), class, "{state}");
    }
    assert_eq!(OpenError::Failed(io_error()).class(), ErrorClass::Transient);
    assert_eq!(OpenError::ReadOnly.class(), ErrorClass::Transient);
    let wrong = OpenError::Failed(sqlx::Error::Configuration("no such TLS file".into()));
    assert_eq!(wrong.class(), ErrorClass::Permanent);
}

/// Collects the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let lines = tracing_subscriber::fmt()
            .json()
            .without_time()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || log.clone());
        tracing::subscriber::set_default(lines.finish())
    }

    /// Each event's name, with the fields of `of`.
    fn events(&self, of: &[&str]) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .filter_map(|line: serde_json::Value| {
                let fields = &line["fields"];
                let mut event = fields["event"].as_str()?.to_owned();
                for field in of {
                    if let Some(value) = fields[field].as_str() {
                        write!(event, " {field}={value}").unwrap();
                    }
                }
                Some(event)
            })
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_life_with_an_outage_is_told_change_by_change() {
    let log = Log::default();
    let _logging = log.start();
    let connector = Scripted::default();
    let pool = warm(config(1, 2), &connector).await;
    // The probe fails after two seconds; attempts follow at once and a second later, and the third, two seconds
    // after that, succeeds.
    connector.0.lock().otherwise = Some(Act::Fail);
    sleep(secs(4)).await;
    connector.0.lock().otherwise = None;
    sleep(secs(5)).await;
    let mut lease = pool.acquire().await.unwrap();
    lease.parts().1.sent();
    drop(lease);
    sleep(secs(1)).await;
    pool.resize(1, 4).unwrap();
    let lease = pool.acquire().await.unwrap();
    sleep(secs(61)).await;
    drop(lease);
    let held = pool.acquire().await.unwrap();
    pool.shutdown().await;
    drop(held);
    insta::assert_snapshot!(log.events(&["from", "to", "reason"]).join("\n"));
}

#[tokio::test]
async fn an_armed_leak_report_has_the_stack_of_the_acquire() {
    let log = Log::default();
    let _logging = log.start();
    let leaks = Leaks { threshold: ms(1), trace: true, ..Leaks::default() };
    let pool = warm(Config { leaks, ..config(1, 1) }, &Scripted::default()).await;
    let _held = pool.acquire().await.unwrap();
    let reported = async {
        while log.events(&["trace"]).iter().all(|event| !event.contains("trace=")) {
            sleep(ms(10)).await;
        }
    };
    tokio::time::timeout(secs(20), reported).await.expect("no report");
    let events = log.events(&["location", "trace"]);
    let report = events.iter().find(|event| event.contains("trace=")).unwrap();
    let here = "an_armed_leak_report_has_the_stack_of_the_acquire";
    assert!(report.contains("texts.rs") && report.contains(here), "{report}");
}

/// The cases that docs/pool.md promises are tests that exist.
#[test]
fn every_test_that_the_table_of_cases_names_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_to_string(root.join("docs/pool.md")).unwrap();
    let mut cases = 0;
    for line in docs.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells[1].parse::<u32>() != Ok(cases + 1) {
            continue;
        }
        cases += 1;
        for name in cells[3].split('`').skip(1).step_by(2) {
            let Some((file, test)) = name.rsplit_once("::") else { continue };
            let file = file.replace("::", "/");
            let places =
                ["src/pool/tests/", "src/pool/", "tests/it/"].map(|place| format!("{place}{file}"));
            let texts = places.iter().flat_map(|place| {
                [format!("{place}.rs"), format!("{place}/mod.rs")].map(|path| root.join(path))
            });
            let found = texts.filter_map(|path| std::fs::read_to_string(path).ok());
            let exists = found.into_iter().any(|text| {
                text.contains(&format!("fn {test}(")) || file.ends_with("tests") && test == "model"
            });
            assert!(exists, "case {cases}: there is no test {name}");
        }
    }
    assert_eq!(cases, 48);
}

/// The log's names are a promise; docs/pool.md lists them.
#[test]
fn every_event_of_the_source_is_documented_and_every_documented_one_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("src/pool")];
    let mut names = std::collections::BTreeSet::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod").next().unwrap();
        for rest in text.split("event = \"pool.").skip(1) {
            names.insert(format!("pool.{}", rest.split('"').next().unwrap()));
        }
    }
    names.remove("pool.");
    let docs = std::fs::read_to_string(root.join("docs/pool.md")).unwrap();
    let documented: std::collections::BTreeSet<String> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `pool."))
        .map(|rest| format!("pool.{}", rest.split('`').next().unwrap()))
        .collect();
    assert_eq!(names, documented);
}
