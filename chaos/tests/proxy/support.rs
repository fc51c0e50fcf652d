//! A fault proxy with its HTTP interface, a server that answers with what it is sent, and clients.

use std::net::SocketAddr;
use std::time::Duration;

use chaos::proxy::{FaultProxy, ProxySpec, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Far longer than anything here takes; only a hang reaches it.
pub(crate) const GENEROUS: Duration = Duration::from_secs(20);

/// Long enough for bytes to arrive if they ever do.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

/// A fault proxy, its interface and an echo server. All end when it is dropped.
pub(crate) struct World {
    pub(crate) proxy: FaultProxy,
    pub(crate) api: SocketAddr,
    pub(crate) echo: SocketAddr,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = listener.local_addr().unwrap();
        let proxy = FaultProxy::new(42);
        tasks.spawn(serve(proxy.clone(), listener, stop.clone()));
        let echo = serve_echo(&tasks, &stop).await;
        Self { proxy, api, echo, stop }
    }

    /// A proxy to the echo server; where it listens.
    pub(crate) async fn proxied(&self, name: &str) -> SocketAddr {
        let spec = ProxySpec::new(name, &self.echo.to_string());
        self.proxy.create(spec).await.unwrap().listen.parse().unwrap()
    }
}

/// A server that sends back what it gets, and ends when its client does.
pub(crate) async fn serve_echo(tasks: &TaskTracker, stop: &CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, connections) = (stop.clone(), tasks.clone());
    tasks.spawn(stop.run_until_cancelled_owned(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let (mut reader, mut writer) = socket.split();
                // How it ends is the business of the test.
                drop(tokio::io::copy(&mut reader, &mut writer).await);
            });
        }
    }));
    address
}

/// What became of bytes that were sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Bytes(Vec<u8>),
    Silence,
    End,
    Reset,
}

/// A client that is connected.
pub(crate) async fn dial(address: SocketAddr) -> TcpStream {
    timeout(GENEROUS, TcpStream::connect(address)).await.unwrap().unwrap()
}

/// Sends `bytes` and waits up to `wait` for the echo.
pub(crate) async fn ask(socket: &mut TcpStream, bytes: &[u8], wait: Duration) -> Reply {
    if socket.write_all(bytes).await.is_err() {
        return Reply::Reset;
    }
    hear(socket, wait).await
}

/// Waits up to `wait` for something to arrive.
pub(crate) async fn hear(socket: &mut TcpStream, wait: Duration) -> Reply {
    let mut buffer = vec![0; 1024];
    match timeout(wait, socket.read(&mut buffer)).await {
        Err(_) => Reply::Silence,
        Ok(Ok(0)) => Reply::End,
        Ok(Ok(count)) => Reply::Bytes(buffer[..count].to_vec()),
        Ok(Err(error)) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            Reply::Reset
        }
    }
}
