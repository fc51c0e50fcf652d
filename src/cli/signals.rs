//! Signals that end a command.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::CliError;

/// A token that SIGTERM, SIGINT and SIGHUP (a terminal that closes) cancel.
pub(super) fn stop_on_signal() -> Result<CancellationToken, CliError> {
    stop_on(&[SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()])
}

/// A token that these signals cancel.
pub(super) fn stop_on(signals: &[SignalKind]) -> Result<CancellationToken, CliError> {
    let stop = CancellationToken::new();
    for kind in signals {
        let mut received = signal(*kind)?;
        let stop = stop.clone();
        TaskTracker::new().spawn(async move {
            received.recv().await;
            tracing::info!("stopping");
            stop.cancel();
        });
    }
    Ok(stop)
}
