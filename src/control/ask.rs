//! The client's half: it finds the running servers and asks each.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::STATUS;
use super::folder::{Folder, Named};

/// The limit of asking one server.
const LIMIT: Duration = Duration::from_secs(2);
/// How many servers are asked at once.
const MAX_CONNECTIONS: usize = 16;
/// The longest answer, in bytes: far more than 500 pools need.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// What came of asking one server.
#[derive(Debug)]
pub struct Answer {
    /// Its process.
    pub pid: u32,
    /// Its status, as a JSON object.
    pub outcome: Result<Value, AskError>,
}

/// Why a server did not say how it is.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It did not answer in time.
    #[error("it did not answer within {} s; it may be stopped or very busy", LIMIT.as_secs())]
    TimedOut,
    /// The connection failed.
    #[error("its control socket failed: {0}")]
    Io(#[from] io::Error),
    /// The answer is not what this version understands.
    #[error("its answer cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It refused the request.
    #[error("it refused the request: {0}")]
    Refused(String),
}

/// Asks every server that has a socket in `folder`, at the same time, and removes the sockets of servers
/// that were killed. In the order of the process ids. A dropped future leaves nothing behind.
///
/// # Errors
/// When the folder cannot be read; that there is none only means that no server runs.
pub async fn ask(folder: &Folder) -> io::Result<Vec<Answer>> {
    folder.remove_unready()?;
    let answers = futures_util::stream::iter(folder.sockets()?)
        .map(ask_one)
        .buffered(MAX_CONNECTIONS)
        .filter_map(std::future::ready);
    Ok(answers.collect().await)
}

/// `None` when there is no such server any more.
async fn ask_one(socket: Named) -> Option<Answer> {
    let Named { path, pid } = socket;
    let outcome = match timeout(LIMIT, exchange(&path)).await {
        Ok(Ok(None)) => return None,
        Ok(Ok(Some(status))) => Ok(status),
        Ok(Err(error)) => Err(error),
        Err(_elapsed) => Err(AskError::TimedOut),
    };
    Some(Answer { pid, outcome })
}

async fn exchange(path: &Path) -> Result<Option<Value>, AskError> {
    let Some(mut stream) = connect(path).await? else { return Ok(None) };
    let mut line = Vec::new();
    let asked = async {
        stream.write_all(format!("{STATUS}\n").as_bytes()).await?;
        stream.take(MAX_ANSWER).read_to_end(&mut line).await
    };
    match asked.await {
        // It went away while we asked.
        Ok(0) => return Ok(None),
        Err(error) if is_gone(&error) => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let status: Value = serde_json::from_slice(&line)?;
    match status.get("error") {
        Some(Value::String(error)) if status.get("pid").is_none() => {
            Err(AskError::Refused(error.clone()))
        }
        _ => Ok(Some(status)),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// Connects to a socket. One that nobody listens on any more is removed and gives `None`.
pub(super) async fn connect(path: &Path) -> io::Result<Option<UnixStream>> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(None),
            }
        }
        Err(error) => Err(error),
    }
}
