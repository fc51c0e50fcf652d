//! The fault proxy as a whole: create, change and delete proxies and toxics, read what happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::World;
use super::error::ProxyError;
use super::recorder::{Counters, DecisionKind, Decisions, Note, Recorder};
use super::station::{Door, Station};
use super::wire::{
    ProxyPatch, ProxySpec, ProxyView, ToxicKind, ToxicPatch, ToxicSpec, ToxicView, check_name,
};

/// Proxies at a time; a scenario has one or two.
const PROXIES_LIMIT: usize = 256;

/// How long a shutdown waits for tasks that are cleaning up.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// A fault proxy. Clones are the same one. It needs a tokio runtime that outlives its connections.
///
/// A change is in force when its call returns. The calls are cancel safe as a whole only in that a cancelled
/// one leaves the proxy usable: a listener may have been closed and not yet opened again.
#[derive(Debug, Clone)]
pub struct FaultProxy {
    world: Arc<World>,
    registry: Arc<Mutex<Registry>>,
}

#[derive(Debug, Default)]
struct Registry {
    proxies: BTreeMap<String, Entry>,
    shut_down: bool,
}

#[derive(Debug)]
struct Entry {
    station: Arc<Station>,
    /// Where to listen; with the real port once it is known.
    listen: String,
    enabled: bool,
    door: Option<Door>,
}

impl FaultProxy {
    /// A fault proxy without proxies. The same seed strikes the same connections.
    pub fn new(seed: u64) -> Self {
        let world = World {
            seed,
            recorder: Recorder::new(),
            tasks: TaskTracker::new(),
            toxics: AtomicU64::new(1),
        };
        Self { world: Arc::new(world), registry: Arc::default() }
    }

    /// The seed that it was made with.
    pub fn seed(&self) -> u64 {
        self.world.seed
    }

    /// Creates a proxy. Its toxics are in force before it listens.
    pub async fn create(&self, spec: ProxySpec) -> Result<ProxyView, ProxyError> {
        self.open_registry().await?.create(&self.world, spec).await
    }

    /// Creates each proxy that is not there already with the same addresses, replacing one of the same name.
    /// Stops at the first that fails.
    pub async fn populate(&self, specs: Vec<ProxySpec>) -> Result<Vec<ProxyView>, ProxyError> {
        let mut registry = self.open_registry().await?;
        let mut views = Vec::new();
        for spec in specs {
            views.push(registry.populate(&self.world, spec).await?);
        }
        Ok(views)
    }

    /// Changes a proxy. Another address, or disabling, closes its connections.
    pub async fn update(&self, name: &str, patch: ProxyPatch) -> Result<ProxyView, ProxyError> {
        let mut registry = self.open_registry().await?;
        let entry = registry.entry(name)?;
        entry.update(patch).await?;
        Ok(entry.view(name))
    }

    /// Deletes a proxy with its connections.
    pub async fn delete(&self, name: &str) -> Result<(), ProxyError> {
        self.registry.lock().await.delete(name).await
    }

    /// Adds a toxic to a proxy. It is in force on all connections when this returns.
    pub async fn add_toxic(&self, proxy: &str, spec: ToxicSpec) -> Result<ToxicView, ProxyError> {
        let mut registry = self.open_registry().await?;
        registry.entry(proxy)?.add_toxic(spec).await
    }

    /// Changes a toxic.
    pub async fn update_toxic(
        &self,
        proxy: &str,
        toxic: &str,
        patch: ToxicPatch,
    ) -> Result<ToxicView, ProxyError> {
        self.registry.lock().await.entry(proxy)?.station.change(toxic, patch)
    }

    /// Removes a toxic and heals what it did.
    pub async fn remove_toxic(&self, proxy: &str, toxic: &str) -> Result<(), ProxyError> {
        self.registry.lock().await.entry(proxy)?.remove_toxic(toxic).await
    }

    /// A toxic as it is.
    pub async fn toxic(&self, proxy: &str, toxic: &str) -> Result<ToxicView, ProxyError> {
        self.registry.lock().await.entry(proxy)?.station.toxic(toxic)
    }

    /// A proxy as it is.
    pub async fn view(&self, name: &str) -> Result<ProxyView, ProxyError> {
        Ok(self.registry.lock().await.entry(name)?.view(name))
    }

    /// All proxies by their names.
    pub async fn views(&self) -> BTreeMap<String, ProxyView> {
        let registry = self.registry.lock().await;
        let view = |(name, entry): (&String, &Entry)| (name.clone(), entry.view(name));
        registry.proxies.iter().map(view).collect()
    }

    /// Removes all toxics and enables all proxies.
    pub async fn reset(&self) -> Result<(), ProxyError> {
        let mut registry = self.open_registry().await?;
        for entry in registry.proxies.values_mut() {
            for toxic in entry.station.toxics() {
                entry.remove_toxic(&toxic.name).await?;
            }
            let patch = ProxyPatch { enabled: Some(true), ..ProxyPatch::default() };
            entry.update(patch).await?;
        }
        Ok(())
    }

    /// Begins another phase: what is counted from now on belongs to it.
    pub fn begin_phase(&self, name: &str) -> Result<(), ProxyError> {
        self.world.recorder.begin_phase(name)
    }

    /// What went through the proxies, for each phase.
    pub fn counters(&self) -> Counters {
        self.world.recorder.counters()
    }

    /// The decisions from the number `since` on.
    pub fn decisions(&self, since: u64) -> Decisions {
        self.world.recorder.decisions(since)
    }

    /// Deletes all proxies and waits, for seconds at most, until nothing of them runs. Nothing can be created
    /// afterwards.
    pub async fn shutdown(&self) {
        let mut registry = self.registry.lock().await;
        registry.shut_down = true;
        while let Some(name) = registry.proxies.keys().next().cloned() {
            // It was there a moment ago, and the lock is held.
            drop(registry.delete(&name).await);
        }
        self.world.tasks.close();
        // Tasks that are left end by themselves: each has a limit of its own.
        drop(timeout(SHUTDOWN_LIMIT, self.world.tasks.wait()).await);
    }

    async fn open_registry(&self) -> Result<MutexGuard<'_, Registry>, ProxyError> {
        let registry = self.registry.lock().await;
        if registry.shut_down { Err(ProxyError::ShutDown) } else { Ok(registry) }
    }
}

impl Registry {
    async fn create(
        &mut self,
        world: &Arc<World>,
        spec: ProxySpec,
    ) -> Result<ProxyView, ProxyError> {
        for (field, value) in [("name", &spec.name), ("upstream", &spec.upstream)] {
            if value.is_empty() {
                return Err(ProxyError::Missing { field });
            }
        }
        check_name(&spec.name)?;
        if self.proxies.contains_key(&spec.name) {
            return Err(ProxyError::ProxyExists { name: spec.name });
        }
        if self.proxies.len() >= PROXIES_LIMIT {
            return Err(ProxyError::Full { what: "proxies", limit: PROXIES_LIMIT });
        }
        let station = Arc::new(Station::new(world.clone(), &spec.name, &spec.upstream));
        for toxic in spec.toxics {
            station.add(toxic)?;
        }
        let mut entry = Entry { station, listen: spec.listen, enabled: spec.enabled, door: None };
        entry.open().await?;
        entry.station.note(None, Note::new(DecisionKind::ProxyCreated));
        let view = entry.view(&spec.name);
        self.proxies.insert(spec.name, entry);
        Ok(view)
    }

    async fn populate(
        &mut self,
        world: &Arc<World>,
        spec: ProxySpec,
    ) -> Result<ProxyView, ProxyError> {
        if let Some(entry) = self.proxies.get_mut(&spec.name) {
            if entry.listen == spec.listen && *entry.station.upstream() == *spec.upstream {
                let patch = ProxyPatch { enabled: Some(spec.enabled), ..ProxyPatch::default() };
                entry.update(patch).await?;
                return Ok(entry.view(&spec.name));
            }
            self.delete(&spec.name).await?;
        }
        self.create(world, spec).await
    }

    async fn delete(&mut self, name: &str) -> Result<(), ProxyError> {
        let entry = self.entry(name)?;
        entry.close().await;
        entry.station.part().await;
        entry.station.note(None, Note::new(DecisionKind::ProxyDeleted));
        // Last: whoever gives up in between can delete it again.
        self.proxies.remove(name);
        Ok(())
    }

    fn entry(&mut self, name: &str) -> Result<&mut Entry, ProxyError> {
        self.proxies.get_mut(name).ok_or_else(|| ProxyError::NoProxy { name: name.to_owned() })
    }
}

impl Entry {
    fn view(&self, name: &str) -> ProxyView {
        ProxyView {
            name: name.to_owned(),
            listen: self.listen.clone(),
            upstream: self.station.upstream().to_string(),
            enabled: self.enabled,
            toxics: self.station.toxics(),
        }
    }

    async fn update(&mut self, patch: ProxyPatch) -> Result<(), ProxyError> {
        let enabled = patch.enabled.unwrap_or(self.enabled);
        let listen = patch.listen.unwrap_or_else(|| self.listen.clone());
        let upstream = patch.upstream.unwrap_or_else(|| self.station.upstream().to_string());
        let moved = listen != self.listen || *upstream != *self.station.upstream();
        if moved || !enabled {
            self.close().await;
            self.station.part().await;
        }
        self.station.set_upstream(&upstream);
        self.listen = listen;
        self.enabled = enabled;
        let opened = self.open().await;
        // A proxy that cannot listen is a disabled one, as its view then says.
        self.enabled &= opened.is_ok();
        opened
    }

    async fn add_toxic(&mut self, spec: ToxicSpec) -> Result<ToxicView, ProxyError> {
        let refuses = spec.kind == ToxicKind::Refuse;
        let view = self.station.add(spec)?;
        if refuses {
            self.close().await;
        }
        Ok(view)
    }

    async fn remove_toxic(&mut self, name: &str) -> Result<(), ProxyError> {
        self.station.toxic(name)?;
        // The listener comes first: if its port was taken meanwhile, nothing has changed.
        if !self.station.refuses(Some(name)) {
            self.open_if(true).await?;
        }
        self.station.remove(name)
    }

    /// Listens, if it should and does not.
    async fn open(&mut self) -> Result<(), ProxyError> {
        let allowed = !self.station.refuses(None);
        self.open_if(allowed).await
    }

    async fn open_if(&mut self, allowed: bool) -> Result<(), ProxyError> {
        if self.enabled && allowed && self.door.is_none() {
            let door = Door::open(&self.station, &self.listen).await?;
            self.listen = door.address.to_string();
            self.door = Some(door);
        }
        Ok(())
    }

    async fn close(&mut self) {
        if let Some(door) = self.door.take() {
            door.close(&self.station).await;
        }
    }
}
