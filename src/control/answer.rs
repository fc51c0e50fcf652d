//! The server's half: it listens, and answers from memory.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::ask::connect;
use super::folder::Folder;
use super::{STATUS, Status};

/// How many connections are served at once; more wait in the kernel.
const MAX_CONNECTIONS: usize = 8;
/// The longest request, in bytes.
const MAX_REQUEST: u64 = 64;
/// The limit of reading a request, and that of writing its answer.
const LIMIT: Duration = Duration::from_secs(1);
/// The pause after an accept that failed, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// A control socket that is ready for connections. It is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    folder: Folder,
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[error("the control socket in {} could not be made: {source}", folder.display())]
pub struct OpenError {
    folder: PathBuf,
    source: io::Error,
}

impl Listener {
    /// Opens the control socket of this process, inside a Tokio runtime. Connections wait until
    /// [`serve`](Self::serve) runs.
    pub fn open(folder: &Folder) -> Result<Self, OpenError> {
        let open = || {
            folder.claim()?;
            let (unready, path) = folder.new_socket();
            let socket = UnixListener::bind(&unready)?;
            // Only now that it accepts connections it gets the name that others look for.
            if let Err(error) = fs::rename(&unready, &path) {
                drop(fs::remove_file(&unready));
                return Err(error);
            }
            tracing::debug!(event = "control.listening", path = %path.display());
            Ok(Self { socket, path, folder: folder.clone() })
        };
        open().map_err(|source| OpenError { folder: folder.path().to_owned(), source })
    }

    /// Answers with what `status` says. Dropping the future ends every connection and removes the socket.
    pub async fn serve(self, status: impl Fn() -> Status + Clone + Send + 'static) -> Infallible {
        let mut connections = JoinSet::new();
        connections.spawn(remove_stale(self.folder.clone()));
        loop {
            while connections.try_join_next().is_some() {}
            if connections.len() >= MAX_CONNECTIONS {
                connections.join_next().await;
            }
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    let answer = answer(stream, status.clone());
                    connections
                        .spawn(async { answer.await.unwrap_or_else(|error| failed(&error)) });
                }
                Err(error) => {
                    failed(&error);
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Somebody else may have removed it, which is just as well.
        drop(fs::remove_file(&self.path));
    }
}

/// A client that cannot be answered is no trouble of the server's.
fn failed(error: &io::Error) {
    tracing::debug!(event = "control.failed", error = %error);
}

async fn answer(mut stream: UnixStream, status: impl Fn() -> Status) -> io::Result<()> {
    let mut request = String::new();
    let (read, mut write) = stream.split();
    let mut reader = BufReader::new(read.take(MAX_REQUEST));
    timeout(LIMIT, reader.read_line(&mut request)).await??;
    if request.is_empty() {
        // Somebody only looked whether we live.
        return Ok(());
    }
    let mut line = if request.trim_end() == STATUS {
        serde_json::to_vec(&status())?
    } else {
        serde_json::to_vec(&serde_json::json!({ "error": "the only request is status" }))?
    };
    line.push(b'\n');
    timeout(LIMIT, write.write_all(&line)).await?
}

/// Removes what killed servers left, so that it does not pile up where nobody asks.
async fn remove_stale(folder: Folder) {
    let sockets = folder.remove_unready().and_then(|()| folder.sockets());
    match sockets {
        Ok(sockets) => {
            for socket in sockets {
                drop(connect(&socket.path).await);
            }
        }
        Err(error) => failed(&error),
    }
}
