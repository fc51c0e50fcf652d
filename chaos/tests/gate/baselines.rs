//! Where baselines come from, and what the gate does without one.

use std::fs;

use super::project::{Benches, Project, json};

#[test]
fn without_a_baseline_there_is_nothing_to_compare_with() {
    let project = Project::new();
    let ended = project.scenarios("gate").expect(5);
    assert!(ended.stderr.contains("scenarios baseline accept"), "{}", ended.stderr);
    let ended = project.scenarios("gate --base no-such-revision").expect(5);
    assert!(ended.stderr.contains("no-such-revision is not in this clone"), "{}", ended.stderr);
    assert!(project.scenarios("baseline show").expect(0).stdout.contains("no baseline is stored"));

    project.scenarios("gate --base HEAD").expect(0);
    assert_eq!(project.row("pool/health")["screening"]["finding"], "no_baseline");
    assert_eq!(project.row("pool/health")["proof"]["rounds"], 15);
}

#[test]
fn a_baseline_names_a_commit_that_was_measured() {
    let project = Project::new();
    project.becomes(Benches { nanoseconds: 90.0, ..Benches::USUAL });
    let ended = project.scenarios("baseline accept").expect(4);
    assert!(ended.stderr.contains("commit or stash"), "{}", ended.stderr);
    assert!(!project.root().join("baselines").exists());

    let commit = project.commit();
    project.scenarios("baseline accept").expect(0);
    let stored = json(&project.baseline("rolling.json"));
    assert_eq!(stored["revision"], commit);
    let health = &stored["benchmarks"]["pool/health"];
    assert_eq!((&health["runs"], &health["samples"]), (&8.into(), &2.into()));
    assert!((health["mean"].as_f64().unwrap() - 90.0).abs() < 0.2, "{health}");
    assert!(health["instructions"].as_f64().unwrap() > 1000.0, "{health}");
    assert!(!project.baseline("anchor.json").exists());
    let shown = project.scenarios("baseline show").expect(0).stdout;
    assert!(shown.contains("rolling") && shown.contains("pool/health"), "{shown}");
}

#[test]
fn small_steps_do_not_add_up_unseen() {
    let project = Project::new();
    project.scenarios("baseline accept --anchor").expect(0);
    project.commit();
    for nanoseconds in [109.0, 118.0, 128.0] {
        project.becomes(Benches { nanoseconds, ..Benches::USUAL });
        project.commit();
        let code = if nanoseconds > 125.0 { 3 } else { 0 };
        let ended = project.scenarios("gate").expect(code);
        assert_eq!(ended.stdout.contains("(anchor)"), nanoseconds > 110.0, "{}", ended.stdout);
        project.scenarios("baseline accept").expect(0);
        project.commit();
    }
    let rows = project.report()["rows"].as_array().unwrap().clone();
    let slow = rows.iter().filter(|row| row["verdict"] == "regression");
    assert!(slow.clone().count() > 0 && slow.clone().all(|row| row["against"] == "anchor"));
}

#[test]
fn what_was_accepted_to_be_gone_or_new_is_no_matter_of_the_anchor() {
    let project = Project::new();
    project.scenarios("baseline accept --anchor").expect(0);
    project.becomes(Benches { names: &["pool/health", "pool/new"], ..Benches::USUAL });
    project.commit();
    project.scenarios("baseline accept").expect(0);
    project.commit();
    let ended = project.scenarios("gate").expect(0);
    assert!(ended.stdout.contains("pool/health (anchor)"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("pool/acquire/1"), "{}", ended.stdout);
}

#[test]
fn a_machine_of_another_class_proves_everything_and_says_so() {
    let project = Project::new();
    project.scenarios("baseline accept").expect(0);
    // As if it had been accepted on a machine with more cores.
    let path = project.baseline("rolling.json");
    let mut stored = json(&path);
    stored["class"]["cores"] = 64.into();
    fs::write(&path, stored.to_string()).unwrap();
    fs::rename(path.parent().unwrap(), project.root().join("baselines/another")).unwrap();
    project.commit();

    let ended = project.scenarios("gate").expect(0);
    assert!(ended.stdout.contains("no stored times for this one"), "{}", ended.stdout);
    let row = project.row("pool/health");
    assert_eq!(
        (&row["proof"]["outcome"], &row["instructions"]["growth"]),
        (&"not_slower".into(), &"none".into())
    );
    assert_eq!(project.report()["against"][0]["stored"], false);
    project.becomes(Benches { nanoseconds: 120.0, ..Benches::USUAL });
    project.scenarios("gate").expect(3);
}

#[test]
fn a_shallow_clone_needs_the_baseline_only_for_suspects_that_were_not_built_yet() {
    let project = Project::new();
    project.scenarios("baseline accept").expect(0);
    project.commit();
    let shallow = project.shallow();
    shallow.scenarios("gate").expect(0);
    shallow.becomes(Benches { nanoseconds: 120.0, ..Benches::USUAL });
    let ended = shallow.scenarios("gate").expect(5);
    assert!(ended.stderr.contains("git fetch --unshallow"), "{}", ended.stderr);
    shallow.share_builds(&project);
    shallow.scenarios("gate").expect(3);
}

#[test]
fn a_broken_baseline_is_named_and_stops_the_gate() {
    let project = Project::new();
    project.scenarios("baseline accept").expect(0);
    let path = project.baseline("rolling.json");
    fs::write(&path, "{\"schema\": \"gate-baseline/v9\"}").unwrap();
    let ended = project.scenarios("gate").expect(4);
    assert!(ended.stderr.contains("rolling.json") && ended.stderr.contains("gate-baseline/v9"));
}
