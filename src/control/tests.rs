//! Both halves together: what is answered, who is hung up on, and what is removed.

use std::os::unix::net::UnixListener as StdListener;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::{Answer, AskError, Folder, Listener, State, Status, ask};

fn folder() -> (TempDir, Folder) {
    let data = tempfile::tempdir().unwrap();
    let folder = Folder::below(data.path()).unwrap();
    (data, folder)
}

fn status() -> Status {
    Status {
        pid: std::process::id(),
        version: "1.2.3".to_owned(),
        started_at: "2026-03-01T12:00:00Z".parse().unwrap(),
        client: None,
        state: State::Starting,
        error: None,
        pools: Vec::new(),
    }
}

/// A server, until what is returned is dropped.
fn serve(folder: &Folder) -> JoinSet<std::convert::Infallible> {
    let mut server = JoinSet::new();
    server.spawn(Listener::open(folder).unwrap().serve(status));
    server
}

/// A socket as a killed server leaves it.
fn leave_socket(folder: &Folder) -> std::path::PathBuf {
    folder.claim().unwrap();
    let (_, path) = folder.new_socket();
    drop(StdListener::bind(&path).unwrap());
    path
}

async fn exchange(folder: &Folder, request: &[u8]) -> Vec<u8> {
    let socket = folder.sockets().unwrap().remove(0);
    let mut stream = UnixStream::connect(socket.path).await.unwrap();
    // Whoever is hung up on in the middle of a long request cannot write the rest.
    drop(stream.write_all(request).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    answer
}

#[tokio::test]
async fn a_status_is_one_line_of_json() {
    let (_data, folder) = folder();
    let _server = serve(&folder);
    let line = exchange(&folder, b"status\n").await;
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
    assert_eq!(serde_json::from_slice::<Status>(&line).unwrap(), status());
    let mut answers = ask(&folder).await.unwrap();
    let Answer { pid, outcome } = answers.remove(0);
    assert_eq!((pid, answers.len()), (std::process::id(), 0));
    assert_eq!(serde_json::from_value::<Status>(outcome.unwrap()).unwrap(), status());
}

#[tokio::test]
async fn other_requests_are_refused() {
    let (_data, folder) = folder();
    let _server = serve(&folder);
    for request in [b"stop\n".as_slice(), b"\n", &vec![b'x'; 1_000_000], b"status status\n"] {
        let answer = exchange(&folder, request).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        // The answer to an overlong request may be lost when its connection is cut.
        assert!(answer.is_null() || answer["error"].is_string(), "{answer}");
        assert!(request.len() > 64 || answer["error"].is_string(), "{answer}");
    }
    assert_eq!(exchange(&folder, b"\xff\n").await, b"", "what is no text has no answer");
    assert!(ask(&folder).await.unwrap()[0].outcome.is_ok(), "and the server goes on");
}

#[tokio::test(start_paused = true)]
async fn silent_connections_are_hung_up_on_and_keep_nobody_out() {
    let (_data, folder) = folder();
    let _server = serve(&folder);
    let path = folder.sockets().unwrap().remove(0).path;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(UnixStream::connect(&path).await.unwrap());
    }
    let answered = async {
        loop {
            if ask(&folder).await.unwrap()[0].outcome.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), answered).await.unwrap();
    let mut nothing = Vec::new();
    drop(silent.remove(0).read_to_end(&mut nothing).await);
    assert_eq!(nothing, b"");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_told_from_one_that_is_gone() {
    let (_data, folder) = folder();
    let gone = leave_socket(&folder);
    let (_, path) = folder.new_socket();
    let _hanging = StdListener::bind(&path).unwrap();
    let answers = ask(&folder).await.unwrap();
    assert!(matches!(&answers[..], [Answer { outcome: Err(AskError::TimedOut), .. }]));
    assert!(path.exists() && !gone.exists());
}

#[tokio::test]
async fn a_socket_lives_as_long_as_its_server() {
    let (_data, folder) = folder();
    let stale = leave_socket(&folder);
    let mut server = serve(&folder);
    let other = Listener::open(&folder).unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while stale.exists() {
        assert!(tokio::time::Instant::now() < deadline, "a new server removes what others left");
        tokio::task::yield_now().await;
    }
    assert_eq!(folder.sockets().unwrap().len(), 2, "and nothing of those that live");
    drop(other);
    server.shutdown().await;
    assert_eq!(folder.sockets().unwrap(), []);
    assert!(ask(&folder).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_an_error() {
    let (_data, folder) = folder();
    folder.claim().unwrap();
    let (_, path) = folder.new_socket();
    let socket = tokio::net::UnixListener::bind(&path).unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        for answer in ["hello\n", "{\"error\":\"no\"}\n", ""] {
            let (mut stream, _) = socket.accept().await.unwrap();
            stream.read_exact(&mut [0; 7]).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let outcome = async || ask(&folder).await.unwrap().pop().map(|answer| answer.outcome);
    assert!(matches!(outcome().await, Some(Err(AskError::Malformed(_)))));
    assert!(matches!(outcome().await, Some(Err(AskError::Refused(error))) if error == "no"));
    assert!(outcome().await.is_none(), "it went away while it was asked");
}
