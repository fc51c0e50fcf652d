//! The client finds what a server must not write.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chaos::load::Target;
use chaos::load::mcp::{Breach, CallError, Program, Server};
use chaos::record::{Epoch, Outcome, UNHEALTHY};
use chaos::schema::{Load, Op};
use serde_json::json;
use tokio::time::timeout;

use crate::support::{PATIENCE, carry_out, failures, load, times};

/// A child that follows a script of the shell.
fn script(text: &str) -> Server {
    let program = Program {
        path: "/bin/sh".into(),
        name: None,
        args: vec!["-c".into(), text.into()],
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".into())]),
        dir: Path::new("/").to_owned(),
    };
    Server::spawn(&program, Epoch::now()).unwrap()
}

fn breaches(server: &Server) -> Vec<Breach> {
    server.violations().kept.iter().map(|violation| violation.breach).collect()
}

#[tokio::test]
async fn each_broken_rule_is_found() {
    let server = script(
        r#"read request
        printf '%s\n' 'Starting up' '{"jsonrpc":"1.0","id":1,"result":{}}' \
            '{"jsonrpc":"2.0","id":2,"result":{}}' '{"jsonrpc":"2.0","id":1}' \
            '{"jsonrpc":"2.0","method":"notifications/message","params":{}}' \
            '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}' \
            '{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}'
        printf '{"jsonrpc":'"#,
    );
    let tools = server.list_tools().await.unwrap();
    assert_eq!(tools["tools"][0]["name"], "a");
    let exit = server.wait_exit(PATIENCE).await.unwrap();
    assert_eq!((exit.code, exit.signal), (Some(0), None));
    let expected = [
        Breach::NotJson,
        Breach::NotJsonRpc,
        Breach::UnknownId,
        Breach::NotOneOutcome,
        Breach::AnsweredAgain,
        Breach::Torn,
    ];
    assert_eq!(breaches(&server), expected);
    let violations = server.violations();
    assert_eq!(violations.count, 6);
    assert_eq!(violations.kept[0].text, "Starting up");
    assert_eq!(server.list_tools().await, Err(CallError::Gone));
}

#[tokio::test]
async fn answers_are_looked_at() {
    let server = script(
        r#"read request
        echo '{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}'
        read request
        echo '{"jsonrpc":"2.0","id":2,"result":{"content":[],"isError":true,"structuredContent":
            {"code":"DATABASE_ERROR","message":"m","suggestion":"s","details":{}}}}' | tr -d '\n'
        echo
        read request
        echo '{"jsonrpc":"2.0","id":3,"error":{"code":-32602,"message":"no"}}'
        read request
        echo '{"jsonrpc":"2.0","id":4,"result":{"content":[],"structuredContent":{"hits":[]}}}'
        read request"#,
    );
    let wanted = [
        Outcome::Malformed { what: "tool_error".to_owned() },
        Outcome::Failed { code: "DATABASE_ERROR".to_owned() },
        Outcome::Failed { code: "rpc_-32602".to_owned() },
        Outcome::Malformed { what: "result".to_owned() },
    ];
    for outcome in wanted {
        let failed = server.call_search("timers").await.unwrap_err();
        assert_eq!(failed.outcome(), outcome, "{failed}");
    }
    assert_eq!(breaches(&server), [Breach::ToolError, Breach::Result]);
    let (exit, _took) = server.leave(PATIENCE).await.unwrap();
    // The last `read` finds the end of its input.
    assert_eq!(exit.code, Some(1));
}

/// What no real server says.
#[tokio::test]
async fn a_server_that_finds_nothing_in_what_it_has_indexed_is_found() {
    let server = script(
        r#"tool() {
            read request
            printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[],"structuredContent":%s}}\n' "$1" "$2"
        }
        nothing='"results":[],"project_id":"a","coverage":{"indexed":0}'
        tool 1 "{$nothing}"
        tool 2 "{$nothing,\"database_name\":\"b\"}"
        tool 3 '{"job_id":"1"}'
        tool 4 '{"status":"completed"}'
        tool 5 "{$nothing,\"database_name\":\"b\"}"
        read request"#,
    );
    let malformed = Err(CallError::Broken { breach: Breach::Result });
    assert_eq!(server.call_search("timers").await, malformed, "of no database");
    assert_eq!(server.call_search("timers").await.unwrap()["results"], json!([]));
    server.index(Path::new("/repository")).await.unwrap();
    assert_eq!(server.call_search("timers").await, malformed, "it has something to find");
    assert_eq!(breaches(&server), [Breach::Result, Breach::Result]);
}

#[tokio::test]
async fn a_health_is_told_by_its_word_and_no_other() {
    let server = script(
        r#"told() {
            read request
            printf '{"jsonrpc":"2.0","id":%s,"result":{"contents":[{"text":"{%s}"}]}}\n' "$1" "$2"
        }
        told 1 '\"status\":\"healthy\"'
        told 2 '\"status\":\"degraded\"'
        told 3 '\"status\":\"unhealthy\"'
        told 4 '\"status\":\"fine\"'
        told 5 '\"state\":\"healthy\"'
        read request"#,
    );
    let healths = load(Op::Health, times(1, 5));
    let record = carry_out(&healths, &Target::Server(server.clone()), server.epoch()).await;
    let values: Vec<_> = record.samples.iter().map(|sample| sample.value).collect();
    assert_eq!(values, [Some(0), Some(1), Some(UNHEALTHY), None, None], "{record:?}");
    let malformed = Outcome::Malformed { what: "result".to_owned() };
    assert_eq!(failures(&record), [&malformed, &malformed]);
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_cancelled_and_its_late_answer_is_no_violation() {
    // What the server reads becomes its log.
    let server = script(
        r#"read request; echo "$request" >&2; read cancelled; echo "$cancelled" >&2
        echo '{"jsonrpc":"2.0","id":1,"result":{}}'
        read next; echo "$next" >&2
        echo '{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}'
        echo '{"jsonrpc":"2.0","id":1,"result":{}}'"#,
    );
    let given_up = timeout(Duration::from_millis(200), server.call_search("timers")).await;
    assert!(given_up.is_err());
    server.list_tools().await.unwrap();
    server.wait_exit(PATIENCE).await.unwrap();
    let log = server.log();
    let lines = log.text.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<serde_json::Value> = lines.collect();
    assert_eq!(lines[0]["method"], "tools/call");
    assert_eq!(lines[0]["params"]["arguments"], json!({ "query": "timers" }));
    assert_eq!(lines[1]["method"], "notifications/cancelled");
    assert_eq!(lines[1]["params"]["requestId"], lines[0]["id"]);
    assert_eq!(breaches(&server), [Breach::AnsweredAgain], "the second late answer is one");
}

#[tokio::test]
async fn a_load_on_a_server_that_dies_has_a_sample_for_each_request() {
    let server = script("read a; read b; echo \"thread 'main' panicked at here\" >&2; kill -9 $$");
    let target = Target::Server(server.clone());
    let short = Duration::from_secs(20);
    let load = Load { timeout: short, ..load(Op::ListTools, times(4, 10)) };
    let record = carry_out(&load, &target, server.epoch()).await;
    assert_eq!((record.id.as_str(), record.samples.len()), ("list_tools", 10));
    let gone = Outcome::Failed { code: "server_gone".to_owned() };
    assert!(failures(&record).iter().all(|outcome| **outcome == gone), "{record:?}");
    assert_eq!(failures(&record).len(), 10);
    let exit = server.wait_exit(PATIENCE).await.unwrap();
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    assert_eq!((server.panics(), server.events()[0].name.as_str()), (1, "panic"));
    assert!(server.signal(rustix::process::Signal::TERM).is_err());
    assert!(server.rss().is_err());
}

#[tokio::test]
async fn a_ping_is_answered_and_other_requests_are_refused() {
    let server = script(
        r#"echo '{"jsonrpc":"2.0","id":"p","method":"ping"}'
        echo '{"jsonrpc":"2.0","id":7,"method":"roots/list"}'
        read one; echo "$one" >&2; read two; echo "$two" >&2"#,
    );
    server.wait_exit(PATIENCE).await.unwrap();
    let log = server.log().text;
    assert!(log.contains(r#""id":"p""#) && log.contains(r#""result":{}"#), "{log}");
    assert!(log.contains(r#""id":7"#) && log.contains("-32601"), "{log}");
    assert_eq!(server.violations().count, 0);
}

#[tokio::test]
async fn a_server_without_handles_is_killed() {
    let server = script("echo ready >&2; read never; read never");
    let pid = server.pid();
    drop(server);
    let process = format!("/proc/{pid}/status");
    let gone = async {
        // A process that was killed and not yet reaped is gone as well.
        while std::fs::read_to_string(&process).is_ok_and(|status| !status.contains("State:\tZ")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}
