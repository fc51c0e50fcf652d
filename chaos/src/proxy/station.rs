//! One proxy: its toxics, its connections, and the listener that brings new ones.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::World;
use super::error::ProxyError;
use super::link::{Link, run};
use super::recorder::{DecisionKind, Note};
use super::toxic::{Fault, Toxic};
use super::wire::{ToxicPatch, ToxicSpec, ToxicView};

/// Connections of one proxy at a time; more wait in the kernel's queue. Dead ones stay for as long as their
/// sides do, so there must be an end.
const LINKS_LIMIT: usize = 4_096;

/// Toxics of one proxy; each costs time on each chunk.
const TOXICS_LIMIT: usize = 256;

/// The pause after a failed accept, mostly for want of file descriptors, or with too many connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long to wait for the connections of a proxy that ends. Each needs two system calls.
const PART_LIMIT: Duration = Duration::from_secs(5);

/// A proxy without its listener.
#[derive(Debug)]
pub(super) struct Station {
    world: Arc<World>,
    name: Arc<str>,
    inner: Mutex<Inner>,
    /// How many connections are open.
    open: watch::Sender<usize>,
}

#[derive(Debug)]
struct Inner {
    upstream: Arc<str>,
    toxics: Vec<Arc<Toxic>>,
    /// The number of the next connection.
    next: u64,
    links: BTreeMap<u64, Arc<Link>>,
}

/// An open listener.
#[derive(Debug)]
pub(super) struct Door {
    stop: DropGuard,
    task: JoinHandle<()>,
    pub(super) address: SocketAddr,
}

impl Station {
    pub(super) fn new(world: Arc<World>, name: &str, upstream: &str) -> Self {
        let inner = Inner {
            upstream: upstream.into(),
            toxics: Vec::new(),
            next: 1,
            links: BTreeMap::new(),
        };
        Self { world, name: name.into(), inner: Mutex::new(inner), open: watch::Sender::new(0) }
    }

    pub(super) fn upstream(&self) -> Arc<str> {
        self.inner().upstream.clone()
    }

    /// New connections go there.
    pub(super) fn set_upstream(&self, upstream: &str) {
        self.inner().upstream = upstream.into();
    }

    pub(super) fn toxics(&self) -> Vec<ToxicView> {
        self.inner().toxics.iter().map(|toxic| toxic.view.clone()).collect()
    }

    pub(super) fn toxic(&self, name: &str) -> Result<ToxicView, ProxyError> {
        self.find(&self.inner(), name).map(|toxic| toxic.view.clone())
    }

    /// Adds a toxic. It is in force on every open connection when this returns, and on every new one.
    pub(super) fn add(&self, spec: ToxicSpec) -> Result<ToxicView, ProxyError> {
        let mut inner = self.inner();
        let toxic = Arc::new(Toxic::new(self.world.next_toxic(), inner.next, spec)?);
        let name = toxic.view.name.clone();
        if inner.toxics.iter().any(|toxic| toxic.view.name == name) {
            return Err(ProxyError::ToxicExists { proxy: self.name.to_string(), name });
        }
        if inner.toxics.len() >= TOXICS_LIMIT {
            return Err(ProxyError::Full { what: "toxics", limit: TOXICS_LIMIT });
        }
        inner.toxics.push(toxic.clone());
        self.note(None, Note::new(DecisionKind::ToxicAdded).by(&name));
        for link in inner.links.values() {
            link.tell(|core, now| core.attach(now, &toxic, false));
        }
        Ok(toxic.view.clone())
    }

    /// Changes a toxic; every connection draws anew whether it is struck.
    pub(super) fn change(&self, name: &str, patch: ToxicPatch) -> Result<ToxicView, ProxyError> {
        let mut inner = self.inner();
        let toxic = Arc::new(self.find(&inner, name)?.patched(patch)?);
        for place in &mut inner.toxics {
            if place.id == toxic.id {
                *place = toxic.clone();
            }
        }
        self.note(None, Note::new(DecisionKind::ToxicUpdated).by(name));
        for link in inner.links.values() {
            link.tell(|core, now| core.replace(now, &toxic));
        }
        Ok(toxic.view.clone())
    }

    /// Removes a toxic and heals the connections that it has struck.
    pub(super) fn remove(&self, name: &str) -> Result<(), ProxyError> {
        let mut inner = self.inner();
        let id = self.find(&inner, name)?.id;
        inner.toxics.retain(|toxic| toxic.id != id);
        self.note(None, Note::new(DecisionKind::ToxicRemoved).by(name));
        for link in inner.links.values() {
            link.tell(|core, now| core.detach(now, id));
        }
        Ok(())
    }

    /// Whether a toxic keeps the listener closed, not counting the one called `without`.
    pub(super) fn refuses(&self, without: Option<&str>) -> bool {
        self.inner().toxics.iter().any(|toxic| {
            matches!(toxic.fault, Fault::Refuse { .. }) && Some(toxic.view.name.as_str()) != without
        })
    }

    /// Closes all connections and waits until both sides of each were told.
    pub(super) async fn part(&self) {
        let links: Vec<_> = self.inner().links.values().cloned().collect();
        for link in links {
            link.tell(|core, _| core.stop());
        }
        let mut open = self.open.subscribe();
        // Those that are left after the limit end by themselves a little later.
        drop(timeout(PART_LIMIT, open.wait_for(|open| *open == 0)).await);
    }

    pub(super) fn note(&self, connection: Option<u64>, note: Note) {
        self.world.recorder.note(&self.name, connection, note);
    }

    fn admit(self: &Arc<Self>, client: TcpStream) {
        let mut inner = self.inner();
        let number = inner.next;
        inner.next += 1;
        let link = Arc::new(Link::new(self.world.clone(), self.name.clone(), number));
        for toxic in &inner.toxics {
            link.tell(|core, now| core.attach(now, toxic, true));
        }
        let upstream = inner.upstream.clone();
        inner.links.insert(number, link.clone());
        self.open.send_modify(|open| *open += 1);
        let station = self.clone();
        let parted = move || {
            station.inner().links.remove(&number);
            station.open.send_modify(|open| *open -= 1);
        };
        // It ends with its sides or with its proxy; the tracker waits for it.
        drop(self.world.tasks.spawn(run(link, client, upstream, parted)));
    }

    fn find<'a>(&self, inner: &'a Inner, name: &str) -> Result<&'a Arc<Toxic>, ProxyError> {
        let found = inner.toxics.iter().find(|toxic| toxic.view.name == name);
        found.ok_or_else(|| ProxyError::NoToxic {
            proxy: self.name.to_string(),
            name: name.to_owned(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change is complete before anything could panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Door {
    /// Listens and accepts from now on.
    pub(super) async fn open(station: &Arc<Station>, listen: &str) -> Result<Self, ProxyError> {
        let refused = |cause| ProxyError::Bind {
            name: station.name.to_string(),
            listen: listen.to_owned(),
            cause,
        };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let stop = CancellationToken::new();
        let task = station.world.tasks.spawn(accept(station.clone(), listener, stop.clone()));
        station.note(None, Note::new(DecisionKind::ListenerOpened).detail(address.to_string()));
        Ok(Self { stop: stop.drop_guard(), task, address })
    }

    /// Stops listening. When this returns, connections are refused.
    pub(super) async fn close(self, station: &Station) {
        drop(self.stop);
        // It only fails if accepting panicked, and then the listener is gone too.
        drop(self.task.await);
        station.note(None, Note::new(DecisionKind::ListenerClosed));
    }
}

async fn accept(station: Arc<Station>, listener: TcpListener, stop: CancellationToken) {
    loop {
        let full = *station.open.borrow() >= LINKS_LIMIT;
        let accepted: io::Result<TcpStream> = tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(ACCEPT_PAUSE), if full => continue,
            accepted = listener.accept(), if !full => accepted.map(|(client, _)| client),
        };
        match accepted {
            Ok(client) => station.admit(client),
            Err(error) => {
                station.note(None, Note::new(DecisionKind::AcceptFailed).detail(error.to_string()));
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
}
