//! Reading the configuration again while a server runs.

use std::convert::Infallible;
use std::path::PathBuf;

use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::app::explained;
use crate::config::{Change, Config, Environment, Loaded, Origin};
use crate::telemetry::LogFilter;

/// The configuration of a running server, and where it came from.
#[derive(Debug)]
pub(super) struct Reload {
    file: Option<PathBuf>,
    /// Where the configuration of the start was found.
    origin: Origin,
    environment: Environment,
    log: LogFilter,
    /// What is in force: that of the start, with the live keys as they were read last.
    config: watch::Sender<Config>,
}

/// The file of the start is not there any more. Somebody is replacing it, or removed it by mistake.
#[derive(Debug, thiserror::Error)]
#[error("{0} is gone; put it back, or start again to run without it")]
struct Gone(Origin);

impl Reload {
    pub(super) fn new(
        loaded: Loaded,
        file: Option<PathBuf>,
        environment: Environment,
        log: LogFilter,
    ) -> Self {
        let Loaded { config, origin, .. } = loaded;
        Self { file, origin, environment, log, config: watch::Sender::new(config) }
    }

    /// Follows what is in force.
    pub(super) fn config(&self) -> watch::Receiver<Config> {
        self.config.subscribe()
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Reads the configuration again whenever `signal` comes, from the same places and with the same
    /// variables as at the start.
    pub(super) async fn on_every(&self, mut signal: Signal) -> Infallible {
        while signal.recv().await.is_some() {
            let (file, environment) = (self.file.clone(), self.environment.clone());
            let read = move || Config::load(file.as_deref(), &environment);
            // In a thread of its own, because a file system that hangs must not hold the session up.
            match tokio::task::spawn_blocking(read).await {
                Ok(Ok(loaded))
                    if loaded.origin == Origin::BuiltIn && self.origin != loaded.origin =>
                {
                    failed(&Gone(self.origin.clone()));
                }
                Ok(Ok(loaded)) => self.apply(&loaded),
                Ok(Err(errors)) => failed(&errors),
                Err(error) => failed(&error),
            }
        }
        std::future::pending().await
    }

    fn apply(&self, loaded: &Loaded) {
        for notice in &loaded.notices {
            tracing::warn!("{notice}");
        }
        let running = self.config.borrow().clone();
        let changes = running.changes(&loaded.config);
        let (applied, waiting): (Vec<&Change>, Vec<&Change>) =
            changes.iter().partition(|change| change.live);
        let config = running.with_live_keys_of(&loaded.config);
        if config.telemetry.log != running.telemetry.log
            && let Err(error) = self.log.set(&config.telemetry.log)
        {
            failed(&error);
            return;
        }
        self.config.send_replace(config);
        let list: Vec<String> = applied.iter().map(ToString::to_string).collect();
        let applied = if list.is_empty() { "nothing".to_owned() } else { list.join(", ") };
        tracing::info!(event = "config.reloaded", origin = %loaded.origin, applied, "configuration read again");
        for change in waiting {
            tracing::warn!(
                event = "config.needs_restart",
                key = change.key,
                running = change.from,
                read = change.to,
                "changed, but takes effect at the next start"
            );
        }
    }
}

fn failed(error: &dyn std::error::Error) {
    tracing::error!(
        event = "config.reload_failed",
        error = explained(error),
        "the configuration stays as it is"
    );
}
