//! The protocol over pipes: every line of stdout is looked at.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::{Home, Session};

#[test]
fn a_session_from_handshake_to_answer() {
    let home = Home::new();
    let repository = home.repository();
    let mut session = Session::start(&mut home.command());

    let tools = session.request("tools/list", json!({}));
    let tools = tools["result"]["tools"].as_array().unwrap().clone();
    let names: Vec<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(
        names,
        ["search_code", "index_repository", "start_indexing_background", "get_indexing_status"]
    );
    insta::assert_json_snapshot!("tools", tools);

    let before = session.call("search_code", json!({ "query": "timers" }));
    assert_eq!(before["results"], json!([]));
    assert!(before["note"].as_str().unwrap().contains("nothing is indexed yet"));

    let job = session.call("start_indexing_background", json!({ "repo_path": repository }));
    let status = session.finish(&job);
    assert_eq!(status["status"], "completed", "{status:#}");
    assert_eq!((&status["files_scanned"], &status["files_indexed"]), (&json!(3), &json!(3)));

    let answer =
        session.call("search_code", json!({ "query": "fire timers in order", "limit": 2 }));
    assert_eq!(answer["results"][0]["file_path"], "src/timer.rs", "{answer:#}");
    assert_eq!(answer["coverage"], json!({ "indexed": 3, "skipped": 0, "failed": 0 }));
    let filtered = session.call("search_code", json!({ "query": "timers", "file_type": "PY" }));
    assert_eq!(filtered["results"][0]["file_path"], "src/http.py", "{filtered:#}");
    let repository = &answer["results"][0]["repository_id"];
    let same = json!({ "query": "timers", "repository_id": repository });
    assert_eq!(session.call("search_code", same)["results"][0]["repository_id"], *repository);
    let none = session.call("search_code", json!({ "query": "timers", "directory": "sr" }));
    assert_eq!(none["total_count"], 0, "a folder's name is not a prefix");

    let resources = session.request("resources/list", json!({}));
    assert_eq!(resources["result"]["resources"][0]["uri"], "health://connection-pool");
    let health = read_health(&mut session);
    assert_eq!(health["database"]["status"], "connected", "{health:#}");
    assert_eq!(health["pools"]["registry"]["max_size"], 10);

    assert_eq!(session.leave(), Some(0));
}

fn read_health(session: &mut Session) -> Value {
    let answer = session.request("resources/read", json!({ "uri": "health://connection-pool" }));
    let text = answer["result"]["contents"][0]["text"].as_str().unwrap();
    serde_json::from_str(text).unwrap()
}

#[test]
fn indexing_reports_progress_to_a_client_that_asked() {
    let home = Home::new();
    for number in 0..200 {
        home.write(&format!("repo/f{number}.rs"), format!("pub fn function_{number}() {{}}\n"));
    }
    let mut session = Session::start(&mut home.command());
    let answer = session.request(
        "tools/call",
        json!({
            "name": "index_repository",
            "arguments": { "repo_path": home.path("repo") },
            "_meta": { "progressToken": "token-1" },
        }),
    );
    let result = &answer["result"]["structuredContent"];
    assert_eq!((&result["status"], &result["files_indexed"]), (&json!("completed"), &json!(200)));
    let progress: Vec<&Value> = session
        .notifications
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .map(|message| &message["params"])
        .collect();
    assert!(!progress.is_empty());
    assert!(progress.iter().all(|params| params["progressToken"] == "token-1"));
    let done: Vec<f64> = progress.iter().filter_map(|params| params["progress"].as_f64()).collect();
    assert!(done.is_sorted_by(|one, next| one < next), "progress only grows: {done:?}");
    assert_eq!(done.last(), Some(&200.0));
}

#[test]
fn wrong_arguments_are_refused_before_anything_is_made() {
    let home = Home::new();
    let file = home.write("file.rs", "fn main() {}");
    std::fs::create_dir(home.path("hollow")).unwrap();
    let mut session = Session::start(&mut home.command());
    for (tool, arguments, code) in [
        ("search_code", json!({}), "VALIDATION_ERROR"),
        ("search_code", json!({ "query": "  " }), "VALIDATION_ERROR"),
        ("search_code", json!({ "query": "x", "limit": 0 }), "VALIDATION_ERROR"),
        ("search_code", json!({ "query": "x", "limit": 51 }), "VALIDATION_ERROR"),
        ("search_code", json!({ "query": "x", "limit": "many" }), "VALIDATION_ERROR"),
        ("search_code", json!({ "query": "x", "lines": 3 }), "VALIDATION_ERROR"),
        ("search_code", json!({ "query": "x", "repository_id": "1" }), "VALIDATION_ERROR"),
        ("search_code", json!({ "query": "x", "project_id": "nobody" }), "PROJECT_NOT_FOUND"),
        ("search_code", json!({ "query": "x", "project_id": "a\u{0}b" }), "PROJECT_NOT_FOUND"),
        ("search_code", json!({ "query": "x", "directory": "a\u{0}b" }), "VALIDATION_ERROR"),
        (
            "search_code",
            json!({ "query": "x", "repository_id": "00000000-0000-4000-8000-000000000000" }),
            "VALIDATION_ERROR",
        ),
        ("index_repository", json!({ "repo_path": "relative/path" }), "VALIDATION_ERROR"),
        ("index_repository", json!({ "repo_path": home.path("gone") }), "VALIDATION_ERROR"),
        ("index_repository", json!({ "repo_path": file }), "VALIDATION_ERROR"),
        ("index_repository", json!({ "repo_path": home.path("hollow") }), "INDEXING_ERROR"),
        ("start_indexing_background", json!({ "repo_path": "../x" }), "VALIDATION_ERROR"),
        ("get_indexing_status", json!({ "job_id": "x" }), "VALIDATION_ERROR"),
        (
            "get_indexing_status",
            json!({ "job_id": "00000000-0000-4000-8000-000000000000" }),
            "JOB_NOT_FOUND",
        ),
    ] {
        let error = session.refused(tool, arguments.clone());
        assert_eq!(error["code"], code, "{tool} {arguments}: {error:#}");
    }
    let unknown = session.request("tools/call", json!({ "name": "rm", "arguments": {} }));
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    let unknown = session.request("resources/read", json!({ "uri": "health://nothing" }));
    assert!(unknown["error"]["message"].as_str().unwrap().contains("health://nothing"));
    let unknown = session.request("no/such/method", json!({}));
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
}

/// The handshake and the tool list need no database; a tool says what is missing, and the stream stays
/// clean all the while.
#[test]
fn a_server_without_its_database_still_answers() {
    let home = Home::new();
    // Accepts connections and never says a word, as a server that hangs.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = home.command();
    command
        .env("DATABASE_URL", format!("postgres://u:secret@{}/x", silent.local_addr().unwrap()))
        .env("CODEBASE_MCP__SERVER__STARTUP_WAIT", "0s");
    let mut session = Session::start(&mut command);
    let tools = session.request("tools/list", json!({}));
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 4);
    for (tool, arguments) in [
        ("search_code", json!({ "query": "timers" })),
        ("index_repository", json!({ "repo_path": home.path("") })),
    ] {
        let error = session.refused(tool, arguments);
        assert_eq!(error["code"], "NOT_READY", "{error:#}");
        assert!(!error.to_string().contains("secret"), "{error:#}");
    }
    assert_eq!(read_health(&mut session)["status"], "unhealthy");
    session.send_line("this is not JSON");
    let ping = session.request("ping", json!({}));
    assert!(ping.get("result").is_some(), "the session survives a malformed line: {ping}");
    assert_eq!(session.leave(), Some(0));
}

#[test]
fn a_server_whose_database_appears_heals_by_itself() {
    let home = Home::new();
    let blocked = home.write("data/codebase-mcp/cluster", "a file where the cluster belongs");
    let mut session = Session::start(&mut home.command());
    let error = session.refused("search_code", json!({ "query": "timers" }));
    assert_eq!(error["code"], "NOT_READY", "{error:#}");
    std::fs::remove_file(blocked).unwrap();
    let healed = crate::support::eventually(|| {
        let request = json!({ "name": "search_code", "arguments": { "query": "timers" } });
        session.request("tools/call", request)["result"]["isError"] == false
    });
    assert!(healed);
}
