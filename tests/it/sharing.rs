//! Several processes on one embedded cluster.

use std::process::Stdio;

use serde_json::json;

use crate::support::{Home, Session, eventually};

#[test]
fn two_servers_share_a_cluster_and_one_survives_the_others_death() {
    let home = Home::new();
    let repository = home.repository();
    let mut one = Session::spawn(&mut home.command());
    let mut two = Session::spawn(&mut home.command());
    one.initialize();
    two.initialize();

    let job = one.call("start_indexing_background", json!({ "repo_path": repository }));
    let status = two.finish(&job);
    assert_eq!(status["status"], "completed", "the other process sees the job: {status:#}");
    let postmaster = home.postmaster().expect("a running cluster");

    one.kill();
    let answer = two.call("search_code", json!({ "query": "timers in a wheel" }));
    assert_eq!(answer["results"][0]["file_path"], "src/timer.rs");
    assert_eq!(home.postmaster(), Some(postmaster), "the cluster was not restarted");

    let mut three = Session::start(&mut home.command());
    let again = three.call("index_repository", json!({ "repo_path": repository }));
    assert_eq!(again["files_unchanged"], 3, "{again:#}");

    assert_eq!(two.leave(), Some(0));
    assert_eq!(three.leave(), Some(0));
    assert!(eventually(|| home.postmaster().is_none()), "the last one out stops the cluster");
}

/// Everything that is made on first use is made at the same time by several processes.
#[test]
fn processes_that_race_on_an_empty_home_all_succeed() {
    for _ in 0..3 {
        let home = Home::new();
        let start = |_| {
            let mut command = home.command();
            command.args(["search", "read a file"]).stdout(Stdio::null()).spawn().unwrap()
        };
        let racers: Vec<_> = (0..6).map(start).collect();
        for mut racer in racers {
            assert_eq!(racer.wait().unwrap().code(), Some(0));
        }
    }
}

#[test]
fn a_killed_postgres_is_started_again_under_a_running_server() {
    let home = Home::new();
    let repository = home.repository();
    let mut session = Session::start(&mut home.command());
    session.call("index_repository", json!({ "repo_path": repository }));
    let postmaster = home.postmaster().expect("a running cluster");
    let pid = rustix::process::Pid::from_raw(postmaster.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    // Without any request: sessions of the killed server answer for a moment longer, and what they say
    // proves nothing.
    let restarted = || home.postmaster().is_some_and(|pid| pid != postmaster);
    assert!(eventually(restarted), "the server looks after its PostgreSQL by itself");
    let healed = eventually(|| {
        let request = json!({ "name": "search_code", "arguments": { "query": "timers" } });
        let answer = session.request("tools/call", request);
        answer["result"]["structuredContent"]["results"][0]["file_path"] == "src/timer.rs"
    });
    assert!(healed, "and finds its way back to it");
}

#[test]
fn a_killed_indexer_leaves_whole_batches_and_the_next_run_goes_on() {
    let home = Home::new();
    for number in 0..600 {
        let body = format!("pub fn function_{number}() -> u64 {{ {number} }}\n").repeat(40);
        home.write(&format!("repo/f{number:03}.rs"), body);
    }
    let mut command = home.command();
    command.env("CODEBASE_MCP__INDEX__BATCH_SIZE", "10");
    let mut one = Session::start(&mut command);
    let request = json!({ "repo_path": home.path("repo") });
    let job = one.call("start_indexing_background", request.clone());
    let covered = |session: &mut Session| {
        let answer = session.call("search_code", json!({ "query": "function 1" }));
        answer["coverage"]["indexed"].as_i64().unwrap()
    };
    assert!(eventually(|| covered(&mut one) > 0));
    one.kill();

    let mut two = Session::start(&mut home.command());
    let kept = covered(&mut two);
    assert_eq!(kept % 10, 0, "only whole batches are there");
    assert!(kept < 600, "it was killed on the way");
    // Asked at once, while the dead process's job still looks alive.
    let rest = two.call("index_repository", request);
    assert_eq!(rest["status"], "completed", "{rest:#}");
    assert_eq!(rest["files_unchanged"].as_i64(), Some(kept), "nothing is written again: {rest:#}");
    assert_eq!(covered(&mut two), 600);
    let status = two.call("get_indexing_status", json!({ "job_id": job["job_id"] }));
    assert_eq!((&status["status"], &status["error_code"]), (&json!("failed"), &json!("ORPHANED")));
}

#[test]
fn a_repository_is_indexed_by_one_job_at_a_time() {
    let home = Home::new();
    for number in 0..300 {
        home.write(&format!("repo/f{number}.rs"), format!("pub fn function_{number}() {{}}\n"));
    }
    let mut one = Session::start(&mut home.command());
    let mut two = Session::start(&mut home.command());
    let request = json!({ "repo_path": home.path("repo") });
    let first = one.call("start_indexing_background", request.clone());
    let second = two.call("start_indexing_background", request);
    let same = first["job_id"] == second["job_id"];
    let sequential = one.finish(&first)["completed_at"].as_str().is_some() && !same;
    assert!(same || sequential, "{first} {second}");
    assert_eq!(two.finish(&second)["status"], "completed");
}
