//! `serve`: one MCP session over stdin and stdout.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{CliError, keeper};
use crate::app;
use crate::config::Config;

pub(super) async fn run(config: Config) -> Result<(), CliError> {
    let keeper = keeper(&config)?;
    let stop = stop_on_signal()?;
    app::serve(config, keeper, rmcp::transport::io::stdio(), stop)
        .await
        .map_err(|error| CliError::Failed(format!("the MCP session could not begin: {error}")))
}

/// A token that SIGTERM, SIGINT and SIGHUP (a terminal that closes) cancel.
pub(super) fn stop_on_signal() -> Result<CancellationToken, CliError> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let cancel = stop.clone();
    TaskTracker::new().spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
        tracing::info!("stopping");
        cancel.cancel();
    });
    Ok(stop)
}
