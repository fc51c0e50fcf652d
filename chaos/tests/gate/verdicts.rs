//! What the gate says of a build, and with which exit code.

use super::project::{Benches, Project};

/// With an accepted baseline of the usual benchmarks.
fn accepted() -> Project {
    let project = Project::new();
    project.scenarios("baseline accept").expect(0);
    project.commit();
    project
}

#[test]
fn the_same_code_passes_on_the_screen_alone() {
    let project = accepted();
    let ended = project.scenarios("gate").expect(0);
    assert!(ended.stdout.starts_with("PASS gate"), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("2 passed, 0 regressions, 0 inconclusive, 0 skipped\n"));
    let row = project.row("pool/health");
    assert_eq!(row["screening"]["finding"], "fine");
    assert!(row["proof"].is_null() && row["instructions"]["growth"] == "none", "{row}");
    assert_eq!(project.report()["changed"], false);
}

#[test]
fn a_fifth_more_time_is_a_regression_and_a_twentieth_is_none() {
    let project = accepted();
    project.becomes(Benches { nanoseconds: 120.0, ..Benches::USUAL });
    let ended = project.scenarios("gate --format github").expect(3);
    assert!(ended.stdout.starts_with("::error title=pool/acquire/1%3A regression::its mean"));
    let row = project.row("pool/health");
    assert_eq!(
        (&row["screening"]["finding"], &row["proof"]["outcome"]),
        (&"slower".into(), &"slower".into())
    );
    assert_eq!(project.report()["changed"], true);
    let markdown = std::fs::read_to_string(project.root().join("target/gate/report.md")).unwrap();
    assert!(markdown.starts_with("### Performance gate: regression\n"), "{markdown}");

    project.becomes(Benches { nanoseconds: 105.0, ..Benches::USUAL });
    project.scenarios("gate").expect(0);
    assert!(project.row("pool/health")["proof"].is_null());
    // What the screen cannot acquit, the proof can.
    project.scenarios("gate --base HEAD").expect(0);
    assert_eq!(project.row("pool/health")["proof"]["outcome"], "not_slower");
}

#[test]
fn more_instructions_are_a_regression_at_the_same_time() {
    let project = accepted();
    project.becomes(Benches { turns: 1120, ..Benches::USUAL });
    let ended = project.scenarios("gate").expect(3);
    assert!(ended.stdout.contains("instructions, and +10.0 % are allowed"), "{}", ended.stdout);
    project.becomes(Benches { turns: 1050, ..Benches::USUAL });
    project.scenarios("gate").expect(0);
    assert_eq!(project.row("pool/health")["instructions"]["growth"], "notable");
}

#[test]
fn a_machine_that_cannot_tell_is_no_pass() {
    let project = accepted();
    project.becomes(Benches { noise: 0.3, ..Benches::USUAL });
    project.commit();
    let ended = project.scenarios("gate --base HEAD").expect(2);
    assert!(ended.stdout.contains("the machine is too busy"), "{}", ended.stdout);
    assert_eq!(project.row("pool/health")["proof"]["rounds"], 60);
}

#[test]
fn what_is_new_passes_and_what_is_gone_must_be_accepted() {
    let project = accepted();
    project.becomes(Benches { names: &["pool/health", "pool/new"], ..Benches::USUAL });
    project.scenarios("gate").expect(2);
    assert_eq!(project.row("pool/new")["presence"], "new");
    assert_eq!(project.row("pool/new")["verdict"], "pass");
    assert_eq!(project.row("pool/acquire/1")["presence"], "gone");
    assert_eq!(project.row("pool/acquire/1")["verdict"], "inconclusive");
    project.scenarios("gate pool/new").expect(0);
    project.becomes(Benches { names: &["pool/acquire/1"], ..Benches::USUAL });
    project.scenarios("gate pool/acquire/1").expect(0);
    project.scenarios("gate pool").expect(2);
    project.becomes(Benches { names: &["pool/health", "pool/new"], ..Benches::USUAL });
    // Without stored times the baseline's build says what it had.
    project.scenarios("gate --base HEAD").expect(2);
    assert_eq!(project.row("pool/new")["presence"], "new");
    assert_eq!(project.row("pool/acquire/1")["presence"], "gone");
    let ended = project.scenarios("gate nonsense").expect(4);
    assert!(ended.stderr.contains("nothing that is gated has `nonsense`"), "{}", ended.stderr);
}

#[test]
fn an_injected_slowdown_is_found_or_passes_as_it_should() {
    let project = accepted();
    project.scenarios("gate pool/acquire --slowdown 20").expect(3);
    let slowdown = &project.report()["slowdown"];
    assert!((slowdown["measured"].as_f64().unwrap() - 1.2).abs() < 0.02, "{slowdown}");
    project.scenarios("gate pool/acquire --slowdown 5").expect(0);
    project.scenarios("gate --slowdown much").expect(4);
}

#[test]
fn a_build_that_fails_is_an_error_and_never_a_verdict() {
    let project = accepted();
    project.scenarios("gate").expect(0);
    std::fs::write(project.root().join("chaos/lib.rs"), "no rust").unwrap();
    let ended = project.scenarios("gate").expect(70);
    assert!(ended.stderr.contains("could not be built"), "{}", ended.stderr);
    assert!(!project.root().join("target/gate/report.json").exists());
}
