//! A server as a child process: started, read, signalled, and seen to its end.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::calls::Calls;
use super::lines::{self, Line, Lines};
use super::log::{self, Logged};
use super::process::{self, Memory};
use super::program::Program;
use super::violation::{Breach, Violations};
use super::wire::{self, Message};
use crate::record::{Epoch, Event};

/// How many lines wait to be written to a server that does not read; callers wait for room.
const UNWRITTEN: usize = 256;
/// How long after a server's end its pipes are read. What it has written is there already; only another process
/// that has its pipes could hold them open.
const READ_OUT: Duration = Duration::from_secs(1);
/// What a server that asks for something that we do not have is told.
const NO_METHOD: i64 = -32601;

/// A running server, or one that has ended. Clones are handles of the same; with the last one a server that still
/// runs is killed.
#[derive(Debug, Clone)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    program: Program,
    pid: u32,
    /// When it was started, in the time of the record.
    started: Duration,
    shared: Arc<Shared>,
    ended: watch::Receiver<Option<Exit>>,
    /// Dropped, it kills the server and ends everything else.
    _child: JoinSet<()>,
}

/// What the tasks of a server share with its handles.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) epoch: Epoch,
    pub(super) calls: Mutex<Calls>,
    pub(super) violations: Mutex<Violations>,
    log: Mutex<Logged>,
    /// When the handshake was answered, in the time of the record.
    pub(super) greeted: OnceLock<Duration>,
    /// Whether a repository was indexed, so that searches have something to find.
    pub(super) indexed: AtomicBool,
    /// Where lines to the server go; `None` once its stdin is closed.
    stdin: Mutex<Option<mpsc::Sender<String>>>,
    /// Whether its stdout is read.
    reading: watch::Sender<bool>,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, if it ended by itself.
    pub code: Option<i32>,
    /// The signal, if one ended it.
    pub signal: Option<i32>,
    /// When, in the time of the record.
    pub at: Duration,
}

impl Exit {
    fn new(status: ExitStatus, at: Duration) -> Self {
        Self { code: status.code(), signal: status.signal(), at }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(formatter, "exit code {code}"),
            (None, Some(signal)) => write!(formatter, "signal {signal}"),
            (None, None) => write!(formatter, "no exit code"),
        }
    }
}

/// Locks what no panic can leave half-changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// Starts a server, inside a Tokio runtime with I/O. Its times count from `epoch`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(program: &Program, epoch: Epoch) -> io::Result<Self> {
        let started = epoch.elapsed();
        let mut child = program
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::other("the started program has no pipes");
        let pid = child.id().ok_or_else(missing)?;
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let (lines, unwritten) = mpsc::channel(UNWRITTEN);
        let shared = Arc::new(Shared {
            epoch,
            calls: Mutex::default(),
            violations: Mutex::default(),
            log: Mutex::default(),
            greeted: OnceLock::new(),
            indexed: AtomicBool::new(false),
            stdin: Mutex::new(Some(lines)),
            reading: watch::Sender::new(true),
        });
        let mut pipes = JoinSet::new();
        pipes.spawn(write(stdin, unwritten));
        let mut readers = JoinSet::new();
        readers.spawn(read_messages(stdout, Arc::clone(&shared)));
        readers.spawn(read_log(stderr, Arc::clone(&shared)));
        let (end, ended) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let watched = Arc::clone(&shared);
        tasks.spawn(async move {
            // Ends with this task.
            let _pipes = pipes;
            let exit = see_to_the_end(child, readers, &watched).await;
            end.send_replace(exit);
        });
        let program = program.clone();
        Ok(Self(Arc::new(Inner { program, pid, started, shared, ended, _child: tasks })))
    }

    /// How it was started.
    pub fn program(&self) -> &Program {
        &self.0.program
    }

    /// What its times count from.
    pub fn epoch(&self) -> Epoch {
        self.0.shared.epoch
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// From its start to its answer to `initialize`; `None` while there is none.
    pub fn start_time(&self) -> Option<Duration> {
        let greeted = self.0.shared.greeted.get()?;
        Some(greeted.saturating_sub(self.0.started))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        // An id that was given back may be somebody else's.
        let pid = pid.filter(|_| self.exit().is_none()).ok_or(rustix::io::Errno::SRCH)?;
        Ok(kill_process(pid, signal)?)
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        *self.0.ended.borrow()
    }

    /// Waits for its end, at most for `limit`. Everything that it has written is then read.
    pub async fn wait_exit(&self, limit: Duration) -> Option<Exit> {
        let mut ended = self.0.ended.clone();
        let exit = timeout(limit, ended.wait_for(Option::is_some)).await.ok()?.ok()?;
        *exit
    }

    /// Closes its stdin, as a client that goes away, and waits for its end, at most for `limit`. Gives that and
    /// how long it took.
    pub async fn leave(&self, limit: Duration) -> Option<(Exit, Duration)> {
        let left = self.epoch().elapsed();
        self.close_stdin();
        let exit = self.wait_exit(limit).await?;
        Some((exit, exit.at.saturating_sub(left)))
    }

    /// Closes its stdin once what was sent before is written.
    pub fn close_stdin(&self) {
        drop(lock(&self.0.shared.stdin).take());
    }

    /// Reads its stdout from now on, or no more, as a client that hangs: what it writes fills the pipe then. What is
    /// on its way into the client's buffer is still read.
    pub fn read(&self, on: bool) {
        self.0.shared.reading.send_replace(on);
    }

    /// The rules that it has broken so far.
    pub fn violations(&self) -> Violations {
        lock(&self.0.shared.violations).clone()
    }

    /// What it has logged so far.
    pub fn log(&self) -> Logged {
        lock(&self.0.shared.log).clone()
    }

    /// The events of its log so far.
    pub fn events(&self) -> Vec<Event> {
        lock(&self.0.shared.log).events.clone()
    }

    /// How many events of its log are missing in these, because there were too many.
    pub fn events_left_out(&self) -> u64 {
        lock(&self.0.shared.log).left_out
    }

    /// How many panics it has logged so far.
    pub fn panics(&self) -> u64 {
        lock(&self.0.shared.log).panics
    }

    /// Its memory.
    ///
    /// # Errors
    /// When it has ended.
    pub fn rss(&self) -> io::Result<Memory> {
        Memory::of(self.pid())
    }

    /// How many file descriptors it has open.
    ///
    /// # Errors
    /// When it has ended.
    pub fn open_files(&self) -> io::Result<usize> {
        process::open_files(self.pid())
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}

impl Shared {
    pub(super) fn violate(&self, breach: Breach, line: &[u8]) {
        lock(&self.violations).add(self.epoch.elapsed(), breach, line);
    }

    /// Where lines to the server go, while it can be written to.
    pub(super) fn stdin(&self) -> Option<mpsc::Sender<String>> {
        lock(&self.stdin).clone()
    }

    /// Sends what nobody waits for, if there is room: a server that reads nothing needs no more of it.
    pub(super) fn tell(&self, message: &Value) {
        if let Some(stdin) = self.stdin() {
            // What does not fit is left out, as said above.
            drop(stdin.try_send(message.to_string()));
        }
    }

    fn take(&self, line: &[u8]) {
        let taken = wire::parse(line).and_then(|message| match message {
            Message::Answer { id, reply } => lock(&self.calls).answer(&id, reply),
            Message::Request { id, method } => {
                self.tell(&own_answer(&id, &method));
                Ok(())
            }
            Message::Notification => Ok(()),
        });
        if let Err(breach) = taken {
            self.violate(breach, line);
        }
    }
}

/// The answer to a request of the server's. A client must answer a ping; it has offered nothing else.
fn own_answer(id: &Value, method: &str) -> Value {
    if method == "ping" {
        return json!({ "jsonrpc": wire::VERSION, "id": id, "result": {} });
    }
    let error = json!({ "code": NO_METHOD, "message": "this client has no such method" });
    json!({ "jsonrpc": wire::VERSION, "id": id, "error": error })
}

/// Writes lines until all senders are gone or the server reads no more, and closes the pipe.
async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<String>) {
    while let Some(mut line) = lines.recv().await {
        line.push('\n');
        if stdin.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_messages(stdout: ChildStdout, shared: Arc<Shared>) {
    let mut lines = Lines::new(BufReader::new(stdout), lines::LONGEST);
    let mut reading = shared.reading.subscribe();
    // A pipe that cannot be read is at its end.
    while let Ok(()) = reading.wait_for(|on| *on).await.map(drop)
        && let Ok(Some(line)) = lines.next().await
    {
        match line {
            Line::Whole(line) => shared.take(line),
            Line::TooLong(line) => shared.violate(Breach::TooLong, line),
            Line::Torn(line) => shared.violate(Breach::Torn, line),
        }
    }
    lock(&shared.calls).close();
}

async fn read_log(stderr: ChildStderr, shared: Arc<Shared>) {
    let mut lines = Lines::new(BufReader::new(stderr), log::LONGEST);
    while let Ok(Some(Line::Whole(line) | Line::TooLong(line) | Line::Torn(line))) =
        lines.next().await
    {
        let at = shared.epoch.elapsed();
        lock(&shared.log).add(at, &String::from_utf8_lossy(line));
    }
}

/// Reaps the server and reads what it has left in its pipes.
async fn see_to_the_end(
    mut child: Child,
    mut readers: JoinSet<()>,
    shared: &Shared,
) -> Option<Exit> {
    // The system refuses to wait only for what is no child.
    let status = child.wait().await.ok()?;
    let exit = Exit::new(status, shared.epoch.at(Instant::now()));
    let read_out = async { while readers.join_next().await.is_some() {} };
    if timeout(READ_OUT, read_out).await.is_err() {
        readers.shutdown().await;
        lock(&shared.calls).close();
    }
    drop(lock(&shared.stdin).take());
    Some(exit)
}
