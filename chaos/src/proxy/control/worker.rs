//! The thread's side of the client: each request, and a look at what it has led to.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use toxiproxy_rust::client::Client;
use toxiproxy_rust::proxy::{Proxy, ProxyPack};

use super::super::api::{IMPLEMENTATION, PhaseRequest, Version};
use super::super::recorder::{Counters, Decisions};
use super::super::wire::{ProxyPatch, ProxySpec, ProxyView, ToxicKind, ToxicSpec, ToxicView};
use super::ControlError;

/// How long the server may take to answer. A genuine Toxiproxy gives up after 25 seconds itself.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The crate has shares in single precision.
const SHARE_TOLERANCE: f64 = 1e-6;

/// Talks to one server.
#[derive(Debug)]
pub(super) struct Worker {
    address: SocketAddr,
    agent: ureq::Agent,
    ours: bool,
}

impl Worker {
    pub(super) fn connect(address: SocketAddr) -> Result<Self, ControlError> {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_LIMIT))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .new_agent();
        let mut worker = Self { address, agent, ours: false };
        let version: Version = worker.get("version")?;
        worker.ours = version.implementation == IMPLEMENTATION;
        Ok(worker)
    }

    pub(super) fn is_ours(&self) -> bool {
        self.ours
    }

    pub(super) fn create(&self, mut spec: ProxySpec) -> Result<ProxyView, ControlError> {
        let proxies: Value = self.get("proxies")?;
        if proxies.get(&spec.name).is_some() {
            return Err(ControlError::Exists { name: format!("proxy {}", spec.name) });
        }
        if self.ours && !(spec.toxics.is_empty() && spec.enabled) {
            return self.send(Verb::Post, "proxies", Some(&spec));
        }
        let (toxics, enabled) = (std::mem::take(&mut spec.toxics), spec.enabled);
        if toxics.is_empty() && enabled {
            let pack =
                ProxyPack::new(spec.name.clone(), spec.listen.clone(), spec.upstream.clone());
            self.by_crate("populate", |client| client.populate(vec![pack]))?;
        } else {
            // A genuine server ignores toxics here. While it is disabled nobody slips through.
            spec.enabled = false;
            self.send::<_, Value>(Verb::Post, "proxies", Some(&spec))?;
            let added =
                toxics.iter().try_for_each(|toxic| self.add_toxic(&spec.name, toxic).map(drop));
            if let Err(error) = added.and_then(|()| self.set_enabled(&spec.name, enabled)) {
                // The first error says more than whether the rest could be cleared away.
                drop(self.delete(&spec.name));
                return Err(error);
            }
        }
        let view = self.view(&spec.name)?;
        let shown = (view.upstream.as_str(), view.enabled);
        compare("populate", &(spec.upstream.as_str(), enabled), &shown)?;
        Ok(view)
    }

    pub(super) fn view(&self, proxy: &str) -> Result<ProxyView, ControlError> {
        self.get(&format!("proxies/{proxy}"))
    }

    pub(super) fn add_toxic(
        &self,
        proxy: &str,
        spec: &ToxicSpec,
    ) -> Result<ToxicView, ControlError> {
        if !self.ours && !spec.is_stock() {
            return Err(self.not_ours(&format!("what toxic {} needs", spec.name())));
        }
        let name = spec.name();
        let before = self.view(proxy)?;
        if before.toxics.iter().any(|toxic| toxic.name == name) {
            return Err(ControlError::Exists { name: format!("toxic {name} on proxy {proxy}") });
        }
        let path = format!("proxies/{proxy}/toxics");
        match Say::of(spec) {
            None => drop(self.send::<_, Value>(Verb::Post, &path, Some(spec))?),
            Some(say) => self.by_crate("a toxic", |client| {
                say.tell(&client.find_proxy(proxy)?, spec);
                Ok(())
            })?,
        }
        let found: ToxicView = match self.get(&format!("{path}/{name}")) {
            // The crate does not say why; asked directly, the server does.
            Err(ControlError::Refused { status: 404, .. }) => {
                self.send(Verb::Post, &path, Some(spec))?
            }
            found => found?,
        };
        let same = found.kind == spec.kind
            && found.stream == spec.stream
            && (found.toxicity - spec.toxicity).abs() <= SHARE_TOLERANCE
            && spec.attributes.iter().all(|(key, value)| found.attributes.get(key) == Some(value));
        if same {
            return Ok(found);
        }
        compare(&format!("toxic {name}"), spec, &found)?;
        Ok(found)
    }

    pub(super) fn remove_toxic(&self, proxy: &str, toxic: &str) -> Result<(), ControlError> {
        self.send_empty(Verb::Delete, &format!("proxies/{proxy}/toxics/{toxic}"))
    }

    pub(super) fn set_enabled(&self, proxy: &str, enabled: bool) -> Result<(), ControlError> {
        self.view(proxy)?;
        self.by_crate("enabling", |client| {
            let proxy = client.find_proxy(proxy)?;
            if enabled { proxy.enable() } else { proxy.disable() }
        })?;
        compare("enabling", &enabled, &self.view(proxy)?.enabled)
    }

    pub(super) fn update(&self, proxy: &str, patch: &ProxyPatch) -> Result<(), ControlError> {
        // Every version of the interface has POST here, and only newer ones PATCH.
        let path = format!("proxies/{proxy}");
        self.send::<_, Value>(Verb::Post, &path, Some(patch)).map(drop)
    }

    pub(super) fn delete(&self, proxy: &str) -> Result<(), ControlError> {
        self.view(proxy)?;
        self.by_crate("deleting", |client| client.find_proxy(proxy)?.delete())?;
        let proxies: Value = self.get("proxies")?;
        compare("deleting", &json!(null), proxies.get(proxy).unwrap_or(&Value::Null))
    }

    pub(super) fn reset(&mut self) -> Result<(), ControlError> {
        self.by_crate("reset", Client::reset)?;
        let proxies: Value = self.get("proxies")?;
        let left = proxies.as_object().into_iter().flatten().filter(|(_, proxy)| {
            proxy.get("enabled") != Some(&json!(true))
                || proxy.get("toxics").and_then(Value::as_array).is_some_and(|all| !all.is_empty())
        });
        let left: Vec<_> = left.map(|(name, _)| name).collect();
        compare("reset", &Vec::<&String>::new(), &left)
    }

    pub(super) fn decisions(&self, since: u64) -> Result<Decisions, ControlError> {
        self.require_ours("a log of decisions")?;
        self.get(&format!("decisions?since={since}"))
    }

    pub(super) fn counters(&self) -> Result<Counters, ControlError> {
        self.require_ours("counters")?;
        self.get("counters")
    }

    pub(super) fn begin_phase(&self, name: &str) -> Result<(), ControlError> {
        self.require_ours("phases")?;
        let phase = PhaseRequest { name: name.to_owned() };
        self.request(Verb::Post, "phase", Some(&phase)).map(drop)
    }
}

impl Worker {
    fn require_ours(&self, what: &str) -> Result<(), ControlError> {
        if self.ours { Ok(()) } else { Err(self.not_ours(what)) }
    }

    fn not_ours(&self, what: &str) -> ControlError {
        ControlError::NotOurs { address: self.address, what: what.to_owned() }
    }

    /// Lets the crate do something. It ignores HTTP statuses, so look at the result afterwards; and it panics
    /// where the server is not to be reached.
    fn by_crate<R>(
        &self,
        request: &str,
        work: impl FnOnce(&Client) -> Result<R, String>,
    ) -> Result<R, ControlError> {
        // A panic poisons the lock in the client, so each call has one of its own.
        let client = Client::new(self.address);
        let result = catch_unwind(AssertUnwindSafe(|| work(&client)));
        let cause = match result {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(cause)) => cause,
            Err(_) => "the connection failed".to_owned(),
        };
        Err(ControlError::Unreachable { address: self.address, request: request.to_owned(), cause })
    }

    fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R, ControlError> {
        self.send::<(), R>(Verb::Get, path, None)
    }

    fn send<B: Serialize, R: DeserializeOwned>(
        &self,
        verb: Verb,
        path: &str,
        body: Option<&B>,
    ) -> Result<R, ControlError> {
        let text = self.request(verb, path, body)?;
        serde_json::from_str(&text).map_err(|error| self.unreachable(path, &error.to_string()))
    }

    fn send_empty(&self, verb: Verb, path: &str) -> Result<(), ControlError> {
        self.request::<()>(verb, path, None).map(drop)
    }

    /// Sends a request; an answer that is not a success is an error.
    fn request<B: Serialize>(
        &self,
        verb: Verb,
        path: &str,
        body: Option<&B>,
    ) -> Result<String, ControlError> {
        let url = format!("http://{}/{path}", self.address);
        let sent = match (verb, body) {
            (Verb::Get, _) => self.agent.get(&url).call(),
            (Verb::Delete, _) => self.agent.delete(&url).call(),
            (Verb::Post, Some(body)) => self.agent.post(&url).send_json(body),
            (Verb::Post, None) => self.agent.post(&url).send_empty(),
        };
        let mut response = sent.map_err(|error| self.unreachable(path, &error.to_string()))?;
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .read_to_string()
            .map_err(|error| self.unreachable(path, &error.to_string()))?;
        if (200..300).contains(&status) {
            return Ok(text);
        }
        let parsed: Value = serde_json::from_str(&text).unwrap_or_default();
        let message = parsed.get("error").and_then(Value::as_str).unwrap_or(&text).to_owned();
        Err(ControlError::Refused { request: path.to_owned(), status, message })
    }

    fn unreachable(&self, request: &str, cause: &str) -> ControlError {
        let (request, cause) = (request.to_owned(), cause.to_owned());
        ControlError::Unreachable { address: self.address, request, cause }
    }
}

/// An error unless the server shows what was meant.
fn compare<T: std::fmt::Debug + ?Sized>(
    request: &str,
    wanted: &T,
    found: &T,
) -> Result<(), ControlError> {
    let (wanted, found) = (format!("{wanted:?}"), format!("{found:?}"));
    if wanted == found {
        return Ok(());
    }
    Err(ControlError::Mismatch { request: request.to_owned(), wanted, found })
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Get,
    Post,
    Delete,
}

/// A toxic that the crate can say, with the default name and every number.
#[derive(Debug, Clone, Copy)]
enum Say {
    Latency,
    Bandwidth,
    SlowClose,
    Timeout,
    Slicer,
    LimitData,
}

impl Say {
    fn of(spec: &ToxicSpec) -> Option<Self> {
        let default = ToxicSpec { name: String::new(), ..spec.clone() }.name();
        if !spec.is_stock() || spec.name() != default {
            return None;
        }
        let known = spec.kind.attributes();
        if spec.attributes.keys().any(|key| !known.contains(&key.as_str())) {
            return None;
        }
        match spec.kind {
            ToxicKind::Latency => Some(Self::Latency),
            ToxicKind::Bandwidth => Some(Self::Bandwidth),
            ToxicKind::SlowClose => Some(Self::SlowClose),
            ToxicKind::Timeout => Some(Self::Timeout),
            ToxicKind::Slicer => Some(Self::Slicer),
            ToxicKind::LimitData => Some(Self::LimitData),
            ToxicKind::ResetPeer
            | ToxicKind::Noop
            | ToxicKind::Blackhole
            | ToxicKind::Reset
            | ToxicKind::Cut
            | ToxicKind::AcceptDelay
            | ToxicKind::AcceptSilence
            | ToxicKind::Refuse
            | ToxicKind::PgError => None,
        }
    }

    fn tell(self, proxy: &Proxy, spec: &ToxicSpec) {
        let number = |name: &str| spec.attributes.get(name).copied().unwrap_or(0);
        let stream = spec.stream.as_str().to_owned();
        #[expect(clippy::cast_possible_truncation, reason = "the crate has single precision")]
        let toxicity = spec.toxicity as f32;
        match self {
            Self::Latency => {
                proxy.with_latency(stream, number("latency"), number("jitter"), toxicity)
            }
            Self::Bandwidth => proxy.with_bandwidth(stream, number("rate"), toxicity),
            Self::SlowClose => proxy.with_slow_close(stream, number("delay"), toxicity),
            Self::Timeout => proxy.with_timeout(stream, number("timeout"), toxicity),
            Self::Slicer => proxy.with_slicer(
                stream,
                number("average_size"),
                number("size_variation"),
                number("delay"),
                toxicity,
            ),
            Self::LimitData => proxy.with_limit_data(stream, number("bytes"), toxicity),
        };
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::super::super::{FaultProxy, Heal, serve};
    use super::*;

    /// Does `work` as if the server did not understand more than Toxiproxy does.
    async fn with_stock(work: impl FnOnce(Worker) + Send + 'static) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let tasks = TaskTracker::new();
        tasks.spawn(serve(FaultProxy::new(1), listener, stop.clone()));
        let blocking = move || {
            let worker = Worker::connect(address).unwrap();
            assert!(worker.is_ours());
            work(Worker { ours: false, ..worker });
        };
        tasks.spawn_blocking(blocking).await.unwrap();
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn a_genuine_server_gets_toxics_before_it_listens_and_nothing_of_ours() {
        with_stock(|worker| {
            let latency = ToxicSpec::new(ToxicKind::Latency).with("latency", 5);
            let ours = ToxicSpec { heal: Some(Heal::Reset), ..latency.clone() };
            let proxy = ProxySpec::new("p", "127.0.0.1:1");
            let refused =
                worker.create(ProxySpec { toxics: vec![latency.clone(), ours], ..proxy.clone() });
            assert!(matches!(refused, Err(ControlError::NotOurs { .. })), "{refused:?}");
            let left: Value = worker.get("proxies").unwrap();
            assert_eq!(left, json!({}), "a proxy that could not be completed is deleted");

            let view = worker.create(ProxySpec { toxics: vec![latency], ..proxy }).unwrap();
            assert!(view.enabled && view.toxics.len() == 1 && !view.listen.ends_with(":0"));
            assert!(matches!(worker.decisions(0), Err(ControlError::NotOurs { .. })));
            assert!(matches!(worker.counters(), Err(ControlError::NotOurs { .. })));
            assert!(matches!(worker.begin_phase("x"), Err(ControlError::NotOurs { .. })));
            worker.delete("p").unwrap();
        })
        .await;
    }
}
