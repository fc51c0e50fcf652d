//! A client for any Toxiproxy: this one in-process or elsewhere, or a genuine one. The crate
//! `toxiproxy_rust` does what it can say; the rest goes over HTTP.

mod worker;

use std::net::SocketAddr;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::recorder::{Counters, Decisions};
use super::wire::{ProxyPatch, ProxySpec, ProxyView, ToxicSpec, ToxicView};
use worker::Worker;

/// Commands that may wait for the thread; each caller waits for its own.
const COMMANDS_WAITING: usize = 64;

type Command = Box<dyn FnOnce(&mut Worker) + Send>;

/// A client on a thread of its own, because `toxiproxy_rust` blocks, and panics where others wait
/// asynchronously. Clones share the thread, which ends with the last of them.
///
/// Cancel safe in that a call that is dropped is still carried out.
#[derive(Debug, Clone)]
pub struct Control {
    commands: mpsc::Sender<Command>,
    ours: bool,
}

/// Why a fault proxy did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It could not be reached.
    #[error(
        "the fault proxy at {address} did not answer {request}: {cause}; check that it runs and that the address is that of its HTTP interface"
    )]
    Unreachable {
        /// The address of its interface.
        address: SocketAddr,
        /// What was asked.
        request: String,
        /// What went wrong.
        cause: String,
    },
    /// It answered with an error.
    #[error(
        "the fault proxy refused {request} with status {status}: {message}; change the request"
    )]
    Refused {
        /// What was asked.
        request: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// It said yes, and what it shows now is something else.
    #[error(
        "the fault proxy took {request}, yet shows {found} where {wanted} was meant; look whether somebody else uses it"
    )]
    Mismatch {
        /// What was asked.
        request: String,
        /// What it should show.
        wanted: String,
        /// What it shows.
        found: String,
    },
    /// Something of its name is there already.
    #[error("the fault proxy has {name} already; remove it or take another name")]
    Exists {
        /// What.
        name: String,
    },
    /// A genuine Toxiproxy cannot do this.
    #[error("the server at {address} is a Toxiproxy without {what}; use the bundled fault proxy")]
    NotOurs {
        /// The address of its interface.
        address: SocketAddr,
        /// What it lacks.
        what: String,
    },
    /// The client's thread could not be started, or has ended.
    #[error("the fault proxy's client has ended ({cause}); connect again")]
    Gone {
        /// Why.
        cause: String,
    },
}

impl Control {
    /// Connects to the HTTP interface at `address` and asks who is there.
    pub async fn connect(address: SocketAddr) -> Result<Self, ControlError> {
        let (commands, mut waiting) = mpsc::channel::<Command>(COMMANDS_WAITING);
        let (found, answer) = oneshot::channel();
        let work = move || {
            let mut worker = match Worker::connect(address) {
                Ok(worker) => worker,
                Err(error) => return found.send(Err(error)).unwrap_or_default(),
            };
            found.send(Ok(worker.is_ours())).unwrap_or_default();
            while let Some(command) = waiting.blocking_recv() {
                command(&mut worker);
            }
        };
        let thread = thread::Builder::new().name("fault-proxy-control".to_owned()).spawn(work);
        // The thread ends with its last sender; nothing waits for it.
        drop(thread.map_err(|error| ControlError::Gone { cause: error.to_string() })?);
        let ours = answer.await??;
        Ok(Self { commands, ours })
    }

    /// Whether the server understands what Toxiproxy does not.
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// Creates a proxy. With toxics it listens only once they are in force.
    pub async fn create(&self, spec: ProxySpec) -> Result<ProxyView, ControlError> {
        self.ask(|worker| worker.create(spec)).await
    }

    /// A proxy as it is.
    pub async fn view(&self, proxy: &str) -> Result<ProxyView, ControlError> {
        let proxy = proxy.to_owned();
        self.ask(move |worker| worker.view(&proxy)).await
    }

    /// Adds a toxic to a proxy.
    pub async fn add_toxic(&self, proxy: &str, spec: ToxicSpec) -> Result<ToxicView, ControlError> {
        let proxy = proxy.to_owned();
        self.ask(move |worker| worker.add_toxic(&proxy, &spec)).await
    }

    /// Removes a toxic from a proxy.
    pub async fn remove_toxic(&self, proxy: &str, toxic: &str) -> Result<(), ControlError> {
        let (proxy, toxic) = (proxy.to_owned(), toxic.to_owned());
        self.ask(move |worker| worker.remove_toxic(&proxy, &toxic)).await
    }

    /// Opens a proxy, or closes it with its connections.
    pub async fn set_enabled(&self, proxy: &str, enabled: bool) -> Result<(), ControlError> {
        let proxy = proxy.to_owned();
        self.ask(move |worker| worker.set_enabled(&proxy, enabled)).await
    }

    /// Lets a proxy connect elsewhere; closes its connections.
    pub async fn set_upstream(&self, proxy: &str, upstream: &str) -> Result<(), ControlError> {
        let proxy = proxy.to_owned();
        let patch = ProxyPatch { upstream: Some(upstream.to_owned()), ..ProxyPatch::default() };
        self.ask(move |worker| worker.update(&proxy, &patch)).await
    }

    /// Deletes a proxy with its connections.
    pub async fn delete(&self, proxy: &str) -> Result<(), ControlError> {
        let proxy = proxy.to_owned();
        self.ask(move |worker| worker.delete(&proxy)).await
    }

    /// Removes all toxics and enables all proxies.
    pub async fn reset(&self) -> Result<(), ControlError> {
        self.ask(Worker::reset).await
    }

    /// The decisions from the number `since` on. Ours only.
    pub async fn decisions(&self, since: u64) -> Result<Decisions, ControlError> {
        self.ask(move |worker| worker.decisions(since)).await
    }

    /// What went through the proxies, for each phase. Ours only.
    pub async fn counters(&self) -> Result<Counters, ControlError> {
        self.ask(|worker| worker.counters()).await
    }

    /// Begins another phase of the counters. Ours only.
    pub async fn begin_phase(&self, name: &str) -> Result<(), ControlError> {
        let name = name.to_owned();
        self.ask(move |worker| worker.begin_phase(&name)).await
    }

    async fn ask<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Worker) -> Result<R, ControlError> + Send + 'static,
    ) -> Result<R, ControlError> {
        let (reply, answer) = oneshot::channel();
        let command: Command = Box::new(move |worker| {
            // Whoever asked may have gone meanwhile.
            drop(reply.send(work(worker)));
        });
        if self.commands.send(command).await.is_err() {
            return Err(ControlError::Gone { cause: "its thread has ended".to_owned() });
        }
        answer.await?
    }
}

impl From<oneshot::error::RecvError> for ControlError {
    fn from(error: oneshot::error::RecvError) -> Self {
        Self::Gone { cause: error.to_string() }
    }
}
