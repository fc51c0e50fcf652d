//! The task of a connection: it waits for its sockets and for the time, and does what the core says.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};
use tokio_util::bytes::Bytes;

use super::super::wire::Stream;
use super::Link;
use super::plan::{Plan, Verdict, Work};

/// The most that is read at once, which is what Toxiproxy's toxics see as a chunk.
const CHUNK: usize = 32 * 1024;

/// How long the server may take to accept. Whoever waits for the proxy gives up earlier.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// How long a closed connection is still read: a socket that is dropped with unread data sends an RST where
/// a FIN was meant.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);

type Dial = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// What a connection's task woke up for.
enum Woken {
    Look,
    Dialled(io::Result<TcpStream>),
    Client(io::Result<Ready>),
    Server(io::Result<Ready>),
}

/// Moves the bytes of a connection until it ends, and calls `parted` when both sides were told so.
pub(in crate::proxy) async fn run(
    link: Arc<Link>,
    client: TcpStream,
    upstream: Arc<str>,
    parted: impl FnOnce() + Send,
) {
    // Only speed depends on it.
    drop(client.set_nodelay(true));
    let (server, verdict) = converse(&link, &client, &upstream).await;
    link.with(|core, _| core.note_verdict(&verdict));
    let sockets = [Some(client), server].into_iter().flatten();
    if verdict.reset {
        for socket in sockets {
            // A socket that is gone already needs no reset.
            drop(socket.set_zero_linger());
            drop(socket);
        }
        parted();
        return;
    }
    let sockets: Vec<_> = sockets.collect();
    for socket in &sockets {
        shut(socket);
    }
    parted();
    // Whoever goes on sending meets an RST after the limit.
    drop(timeout(DRAIN_LIMIT, drain(&sockets)).await);
}

async fn converse(link: &Link, client: &TcpStream, upstream: &str) -> (Option<TcpStream>, Verdict) {
    let mut server: Option<TcpStream> = None;
    let mut dial: Option<Dial> = None;
    let mut buffer = vec![0; CHUNK];
    loop {
        let plan = link.with(|core, _| core.plan());
        if let Some(verdict) = plan.verdict {
            return (server, verdict);
        }
        if plan.dial && server.is_none() && dial.is_none() {
            dial = Some(Box::pin(connect(upstream.to_owned())));
        }
        end(link, client, server.as_ref(), &plan);
        let woken = wait(link, client, server.as_ref(), dial.as_mut(), &plan).await;
        match woken {
            Woken::Look => {}
            Woken::Dialled(Ok(socket)) => {
                dial = None;
                drop(socket.set_nodelay(true));
                server = Some(socket);
                link.with(|core, _| core.on_connected());
            }
            Woken::Dialled(Err(error)) => {
                link.with(|core, _| core.on_unreachable(format!("{upstream}: {error}")));
            }
            Woken::Client(ready) => {
                move_bytes(link, client, ready, Stream::Upstream, &mut buffer);
            }
            Woken::Server(ready) => {
                if let Some(server) = &server {
                    move_bytes(link, server, ready, Stream::Downstream, &mut buffer);
                }
            }
        }
    }
}

/// Waits for whatever comes first. Cancel safe: nothing is read or written here.
async fn wait(
    link: &Link,
    client: &TcpStream,
    server: Option<&TcpStream>,
    dial: Option<&mut Dial>,
    plan: &Plan,
) -> Woken {
    let wake = plan.wake.map(|at| link.world.recorder.instant(at));
    let timer = async {
        match wake {
            Some(wake) => sleep_until(wake).await,
            None => std::future::pending().await,
        }
    };
    let dialled = async {
        match dial {
            Some(dial) => dial.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = link.changed.notified() => Woken::Look,
        () = timer => Woken::Look,
        result = dialled => Woken::Dialled(result),
        result = ready(Some(client), &plan.up, &plan.down) => Woken::Client(result),
        result = ready(server, &plan.down, &plan.up) => Woken::Server(result),
    }
}

/// Waits until a socket can do what is wanted of it: be the source of one direction, the destination of the
/// other.
async fn ready(socket: Option<&TcpStream>, source: &Work, destination: &Work) -> io::Result<Ready> {
    let interest = match (source.read, destination.write) {
        (true, true) => Interest::READABLE | Interest::WRITABLE,
        (true, false) => Interest::READABLE,
        (false, true) => Interest::WRITABLE,
        (false, false) => return std::future::pending().await,
    };
    match socket {
        Some(socket) => socket.ready(interest).await,
        None => std::future::pending().await,
    }
}

/// Reads one chunk of `source` and writes what can be written of the other direction.
fn move_bytes(
    link: &Link,
    socket: &TcpStream,
    ready: io::Result<Ready>,
    source: Stream,
    buffer: &mut [u8],
) {
    let done = ready.and_then(|ready| {
        if ready.is_writable() || ready.is_write_closed() {
            write(link, socket, source)?;
        }
        if ready.is_readable() || ready.is_read_closed() {
            read(link, socket, source, buffer)?;
        }
        Ok(())
    });
    if done.is_err() {
        link.with(|core, now| core.on_end(now, source, true));
    }
}

fn read(link: &Link, socket: &TcpStream, source: Stream, buffer: &mut [u8]) -> io::Result<()> {
    if !link.with(|core, _| core.reads(source)) {
        return Ok(());
    }
    let count = match socket.try_read(buffer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        count => count?,
    };
    let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
    link.with(|core, now| {
        if bytes.is_empty() {
            core.on_end(now, source, false);
        } else {
            core.on_bytes(now, source, bytes);
        }
    });
    Ok(())
}

/// Writes to the socket that is the source of `source` what comes from the other side.
fn write(link: &Link, socket: &TcpStream, source: Stream) -> io::Result<()> {
    let stream = match source {
        Stream::Upstream => Stream::Downstream,
        Stream::Downstream => Stream::Upstream,
    };
    // The bytes are looked up and written under one lock: a toxic that was added meanwhile stops them.
    link.with(|core, _| {
        while let Some(bytes) = core.front(stream) {
            match socket.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                written => core.on_written(stream, written?),
            }
        }
        Ok(())
    })
}

/// Forwards the ends that have come out of their directions.
fn end(link: &Link, client: &TcpStream, server: Option<&TcpStream>, plan: &Plan) {
    if plan.down.end {
        shut(client);
        link.tell(|core, _| core.on_ended(Stream::Downstream));
    }
    if let (true, Some(server)) = (plan.up.end, server) {
        shut(server);
        link.tell(|core, _| core.on_ended(Stream::Upstream));
    }
}

fn shut(socket: &TcpStream) {
    if let Err(error) = rustix::net::shutdown(socket, Shutdown::Write) {
        tracing::debug!(%error, "a socket had ended already");
    }
}

async fn connect(upstream: String) -> io::Result<TcpStream> {
    match timeout(DIAL_LIMIT, TcpStream::connect(&upstream)).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Reads and forgets until all have ended.
async fn drain(sockets: &[TcpStream]) {
    let mut buffer = vec![0; CHUNK];
    for socket in sockets {
        loop {
            if socket.readable().await.is_err() {
                break;
            }
            match socket.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    }
}
