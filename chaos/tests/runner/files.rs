//! The commands that read files and start nothing.

use std::path::Path;

use serde_json::Value;

use crate::support::{FROZEN, Project, QUICK};

#[tokio::test]
async fn a_name_that_is_unknown_has_a_nearest_one() {
    let project = Project::with(&[("quick", QUICK), ("frozen", FROZEN)]);
    for arguments in [&["frozens"][..], &["run", "frozn"], &["plan", "frozn"]] {
        let ended = project.scenarios(arguments).await;
        assert_eq!(ended.code, Some(4));
        assert!(ended.stderr.contains("did you mean `frozen`?"), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[tokio::test]
async fn a_wrong_file_is_told_with_line_and_column() {
    let project = Project::with(&[("quick", &QUICK.replace("rate: 50/s", "rat: 50/s"))]);
    for (arguments, on_stdout) in
        [(&["quick"][..], false), (&["validate"], true), (&["list"], false)]
    {
        let ended = project.scenarios(arguments).await;
        assert_eq!(ended.code, Some(4));
        let said = if on_stdout { &ended.stdout } else { &ended.stderr };
        assert!(said.contains("quick.yaml:12:47: "), "{said}");
        assert!(said.contains("unknown field `rat`"), "{said}");
    }
}

#[tokio::test]
async fn arguments_that_do_not_go_together_are_refused() {
    let project = Project::with(&[("quick", QUICK)]);
    let cases: [(&[&str], &str); 8] = [
        (&["--all", "--tag", "fixture"], "'--all' cannot be used with '--tag <TAG>'"),
        (&["quick", "--repeat", "0"], "'--repeat <N>': 0 is not in 1..=10000"),
        (&["quick", "--out", "scenarios/quick.yaml/out"], "name another folder with --out"),
        (&["quick", "--url", "nonsense"], "--url: not a URL that starts with postgres://"),
        (&["quick", "--provider", "url"], "--url <URL>"),
        (&["quick", "--set", "size"], "has no `=`"),
        (&["quick", "--set", "sise=3"], "did you mean `size`?"),
        (&["--tag", "nobody"], "no scenario has the tag `nobody`"),
    ];
    for (arguments, expected) in cases {
        let ended = project.scenarios(arguments).await;
        assert_eq!(ended.code, Some(4));
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn scenarios_are_listed() {
    let project = Project::with(&[("quick", QUICK), ("frozen", FROZEN)]);
    let listed = project.scenarios(&["list"]).await;
    assert_eq!(listed.code, Some(0));
    insta::assert_snapshot!(listed.stdout, @"
    frozen  PostgreSQL is frozen for ever
    quick   A pool answers
            fixture  SC-002
    ");
    let listed = project.scenarios(&["list", "--tag", "fixture", "--json"]).await;
    assert_eq!(listed.code, Some(0));
    let as_run_says_it = ["list", "--tag", "fixture", "--format", "json"];
    assert_eq!(project.scenarios(&as_run_says_it).await.stdout, listed.stdout);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    insta::assert_json_snapshot!(listed, @r#"
    {
      "scenarios": [
        {
          "criteria": [
            "SC-002"
          ],
          "name": "quick",
          "params": {
            "size": "4"
          },
          "seconds": 1.2,
          "summary": "A pool answers",
          "tags": [
            "fixture"
          ]
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn a_plan_says_what_a_run_would_do() {
    let project = Project::with(&[("frozen", FROZEN)]);
    let plan = project.scenarios(&["plan", "frozen"]).await;
    assert_eq!(plan.code, Some(0));
    insta::assert_snapshot!(plan.stdout, @"
    frozen: PostgreSQL is frozen for ever
    seed 0

    against a server process

    load
      health: health, 10/s whatever the answers do, 500 at once at most, gives up after 2s, in warmup, steady, fault, recovery

    timeline
        0.0 s  warmup
        0.2 s  steady
        0.5 s  fault
        0.5 s      begin freeze (postgres.freeze)
      600.5 s      undo freeze (postgres.freeze): PostgreSQL goes on
      600.5 s  recovery
      601.5 s  end

    promises
      always: server.panics = 0
      sometimes: pool.health.red ≥ 1
    ");
}

#[tokio::test]
async fn the_files_of_this_project_are_right() {
    let project = Project::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.to_str().unwrap();
    let valid = project.scenarios(&["--root", root, "validate"]).await;
    assert_eq!(valid.code, Some(0));
    assert!(valid.stdout.contains("right, 0 wrong"), "{}", valid.stdout);
    let plan = project.scenarios(&["--root", root, "plan", "outage-recovery"]).await;
    assert_eq!(plan.code, Some(0));
    assert!(plan.stdout.contains("begin outage (proxy.refuse)"), "{}", plan.stdout);
}
