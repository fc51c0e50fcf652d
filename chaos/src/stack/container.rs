//! The provider `container`: a container of an image with pgvector.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error as EngineError;
use testcontainers::bollard::query_parameters::{
    KillContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use testcontainers::core::client::docker_client_instance;
use testcontainers::core::{ContainerPort, IntoContainerPort};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::net::lookup_host;
use tokio::time::{Instant, sleep, timeout};

use super::postgres::{LOG_BYTES, SUPERUSER};
use super::{Action, StackError, Wanted, random};
use crate::journal::{Entry, Journal, Undo};

/// The label of every container; its value is the run.
pub(super) const LABEL: &str = "codebase-mcp.scenarios.run";
/// PostgreSQL's port inside.
const PORT: u16 = 5432;
/// How long an engine may take to answer a simple question.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a gentle stop may take: it ends the sessions and writes a checkpoint.
const STOP: Duration = Duration::from_secs(30);
/// Between two looks whether a container has ended.
const POLL: Duration = Duration::from_millis(50);
/// How long nothing is found before it is believed that there is nothing. An engine that was asked for a container
/// an instant before the runner died goes on to make it, which takes it up to a second or two on a busy machine.
const IN_THE_MAKING: Duration = Duration::from_secs(3);
/// How long containers that were removed may be listed.
const GONE: Duration = Duration::from_secs(10);
/// How often a container is removed that somebody else removes too: an engine takes some seconds at most.
const REMOVALS: u32 = 100;
/// The most lines of a log that are asked for.
const LOG_LINES: &str = "10000";

/// A container with a PostgreSQL. Dropping it removes it, if there is a runtime.
#[derive(Debug)]
pub(super) struct Container {
    engine: Docker,
    name: String,
    /// `None` once it is gone.
    guard: Option<ContainerAsync<GenericImage>>,
    entry: Option<Entry>,
}

impl Container {
    /// Makes a container and starts it; says where it takes connections, and the superuser's password.
    pub(super) async fn create(
        wanted: &Wanted,
        run: &str,
        journal: &Journal,
    ) -> Result<(Self, SocketAddr, String), StackError> {
        look(&wanted.image).await?;
        let engine = engine().await?;
        let undo = Undo::Containers { run: run.to_owned() };
        let entry = journal.begin(undo).map_err(|source| StackError::Journal { source })?;
        let (name, password) =
            (format!("codebase-mcp-scenarios-{}", random::name()), random::password());
        let (image, tag) = split(&wanted.image);
        let started = GenericImage::new(image, tag)
            .with_exposed_port(PORT.tcp())
            .with_container_name(&name)
            .with_label(LABEL, run)
            .with_env_var("POSTGRES_USER", SUPERUSER)
            .with_env_var("POSTGRES_PASSWORD", &password)
            .with_cmd(std::iter::once("postgres".to_owned()).chain(wanted.arguments()))
            .start()
            .await;
        let mut made = Self { engine, name, guard: None, entry: Some(entry) };
        match started {
            Ok(container) => {
                made.guard = Some(container);
                let address = made.address().await?;
                Ok((made, address, password))
            }
            Err(error) => {
                let error = made.failed("start", error);
                // It may have been created and not started.
                made.remove().await?;
                Err(error)
            }
        }
    }

    /// Takes a step; after a start says the new address.
    pub(super) async fn act(&mut self, step: Action) -> Result<Option<SocketAddr>, StackError> {
        let Some(container) = &self.guard else { return Ok(None) };
        match step {
            Action::Freeze => container.pause().await.map_err(|e| self.failed("pause", e))?,
            Action::Thaw => container.unpause().await.map_err(|e| self.failed("unpause", e))?,
            Action::Kill => self.signal("SIGKILL").await?,
            // The one on which PostgreSQL ends its sessions. An image may name another one for a stop,
            // on which it waits until they have ended by themselves.
            Action::Stop => self.signal("SIGINT").await?,
            Action::Start => {
                container.start().await.map_err(|error| self.failed("start", error))?;
                return match self.address().await {
                    // One that ended at once has none; its log says why, to who waits for it.
                    Err(_) if self.has_ended().await? => Ok(None),
                    address => address.map(Some),
                };
            }
        }
        Ok(None)
    }

    /// Whether the server has ended by itself.
    pub(super) async fn has_ended(&self) -> Result<bool, StackError> {
        match &self.guard {
            None => Ok(true),
            Some(container) => {
                let running = container.is_running().await;
                running.map(|running| !running).map_err(|error| self.failed("inspect", error))
            }
        }
    }

    /// The end of the log.
    pub(super) async fn log(&self) -> String {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(LOG_LINES).build();
        let mut lines = self.engine.logs(&self.name, Some(options));
        let mut log = String::new();
        while let Ok(Some(line)) = timeout(ANSWER, lines.next()).await {
            match line {
                Ok(line) => log.push_str(&String::from_utf8_lossy(&line.into_bytes())),
                Err(error) => {
                    log.push_str(&error.to_string());
                    break;
                }
            }
            if log.len() > 2 * LOG_BYTES {
                log = end_of(log);
            }
        }
        end_of(log)
    }

    /// Removes the container and its volume.
    pub(super) async fn remove(mut self) -> Result<(), StackError> {
        // What it does not manage, the line below does or says.
        if let Some(container) = self.guard.take()
            && let Err(error) = container.rm().await
        {
            tracing::debug!(%error, "a container was not removed at the first try");
        }
        remove(&self.engine, &self.name).await?;
        match self.entry.take() {
            Some(entry) => entry.end().map_err(|source| StackError::Journal { source }),
            None => Ok(()),
        }
    }

    /// Sends a signal that ends the server, and waits for that.
    async fn signal(&self, signal: &str) -> Result<(), StackError> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        let sent = self.engine.kill_container(&self.name, Some(options)).await;
        // One that has ended by itself is where it should be.
        if let Err(error) = sent
            && !self.has_ended().await?
        {
            return Err(self.failed("signal", error));
        }
        let deadline = Instant::now() + STOP;
        while !self.has_ended().await? {
            if Instant::now() >= deadline {
                return Err(StackError::Stop { waited: STOP });
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Where the server takes connections now: the port changes at each start.
    async fn address(&self) -> Result<SocketAddr, StackError> {
        let lost = |source: Box<dyn std::error::Error + Send + Sync>| StackError::Engine {
            doing: "find the address of",
            container: self.name.clone(),
            source,
        };
        let Some(container) = &self.guard else {
            return Err(lost("it is gone".into()));
        };
        let port = ContainerPort::Tcp(PORT);
        let port = container.get_host_port_ipv4(port).await.map_err(|error| lost(error.into()))?;
        let host = container.get_host().await.map_err(|error| lost(error.into()))?.to_string();
        let addresses =
            lookup_host((host.as_str(), port)).await.map_err(|error| lost(error.into()))?;
        // The port is that of the older kind of address.
        let mut addresses = addresses.filter(SocketAddr::is_ipv4);
        addresses.next().ok_or_else(|| lost(format!("{host} has no IPv4 address").into()))
    }

    fn failed(
        &self,
        doing: &'static str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> StackError {
        StackError::Engine { doing, container: self.name.clone(), source: Box::new(source) }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Its own `drop` removes it and needs a runtime for that. Without one it is left to the journal.
        if let Some(container) = self.guard.take()
            && tokio::runtime::Handle::try_current().is_err()
        {
            std::mem::forget(container);
            tracing::warn!(name = self.name, "a container is left; `scenarios recover` removes it");
        }
    }
}

/// Removes every container of the run `run`, in whatever state it is, with its volume. If there is none, it looks
/// for a few seconds whether one is still being made.
///
/// # Errors
///
/// No engine answers, or it refuses; what is left stays labelled.
///
/// # Cancel safety
///
/// What was removed stays removed.
pub async fn sweep(run: &str) -> Result<(), StackError> {
    let engine = engine().await?;
    let mut deadline = Instant::now() + IN_THE_MAKING;
    let mut seen = false;
    loop {
        let found = labelled(&engine, run).await?;
        let late = Instant::now() >= deadline;
        match found.first() {
            None if seen || late => return Ok(()),
            None => {}
            Some(id) if seen && late => {
                let (container, source) = (id.clone(), "it is listed again and again".into());
                return Err(StackError::Engine { doing: "remove", container, source });
            }
            Some(_) if seen => {}
            Some(_) => {
                seen = true;
                deadline = Instant::now() + GONE;
            }
        }
        // One that is still being made is listed before it can be removed.
        for id in &found {
            remove(&engine, id).await?;
        }
        sleep(POLL).await;
    }
}

/// Says what engine and image would be used.
pub(super) async fn look(image: &str) -> Result<String, StackError> {
    let engine = engine().await?;
    let version = timeout(ANSWER, engine.version()).await;
    let version = version
        .map_err(|elapsed| StackError::NoEngine { source: Box::new(elapsed) })?
        .map_err(|error| StackError::NoEngine { source: Box::new(error) })?;
    let found = timeout(ANSWER, engine.inspect_image(image)).await;
    match found.map_err(|elapsed| StackError::NoEngine { source: Box::new(elapsed) })? {
        Ok(_) => {
            let version = version.version.unwrap_or_default();
            Ok(format!("{image} on engine {version}"))
        }
        Err(EngineError::DockerResponseServerError { status_code: 404, message: _ }) => {
            Err(StackError::NoImage { image: image.to_owned() })
        }
        Err(error) => Err(StackError::NoEngine { source: Box::new(error) }),
    }
}

/// The engine that testcontainers finds by the environment.
async fn engine() -> Result<Docker, StackError> {
    docker_client_instance().await.map_err(|error| StackError::NoEngine { source: Box::new(error) })
}

/// The ids of all containers of a run, in whatever state.
pub(super) async fn labelled(engine: &Docker, run: &str) -> Result<Vec<String>, StackError> {
    let label = format!("{LABEL}={run}");
    let filters = HashMap::from([("label".to_owned(), vec![label.clone()])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    match engine.list_containers(Some(options)).await {
        Ok(found) => Ok(found.into_iter().filter_map(|container| container.id).collect()),
        Err(error) => {
            let source = Box::new(error);
            Err(StackError::Engine { doing: "find", container: label, source })
        }
    }
}

/// Removes a container by its name or id; one that is not there is removed.
async fn remove(engine: &Docker, container: &str) -> Result<(), StackError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let Err(error) = engine.remove_container(container, Some(options)).await else {
            return Ok(());
        };
        let code = if let EngineError::DockerResponseServerError { status_code, .. } = &error {
            Some(*status_code)
        } else {
            None
        };
        match code {
            Some(404) => return Ok(()),
            // Somebody else is removing it.
            Some(409) if tries < REMOVALS => sleep(POLL).await,
            _ => {
                let (container, source) = (container.to_owned(), Box::new(error));
                return Err(StackError::Engine { doing: "remove", container, source });
            }
        }
    }
}

/// The part of a log that is kept.
fn end_of(mut log: String) -> String {
    let mut from = log.len().saturating_sub(LOG_BYTES);
    while !log.is_char_boundary(from) {
        from += 1;
    }
    log.split_off(from)
}

/// The name and the tag of an image. A colon before a slash belongs to a port.
fn split(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        Some(_) | None => (image, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_end_is_kept() {
        assert_eq!(end_of("short".to_owned()), "short");
        let long = format!("{}end", "ö".repeat(LOG_BYTES));
        let kept = end_of(long);
        assert!((LOG_BYTES - 1..=LOG_BYTES).contains(&kept.len()));
        assert!(kept.ends_with("öend"));
    }

    #[test]
    fn an_image_has_a_name_and_a_tag() {
        assert_eq!(split("pgvector/pgvector:pg17"), ("pgvector/pgvector", "pg17"));
        assert_eq!(split("localhost:5000/pgvector"), ("localhost:5000/pgvector", "latest"));
        assert_eq!(split("localhost:5000/pgvector:1"), ("localhost:5000/pgvector", "1"));
    }
}
