//! `serve`: one MCP session over stdin and stdout.

use tokio::signal::unix::{SignalKind, signal};

use super::reload::Reload;
use super::signals::stop_on;
use super::{CliError, control_folder, keeper};
use crate::app;
use crate::control::Listener;

pub(super) async fn run(reload: Reload) -> Result<(), CliError> {
    let config = reload.config();
    let keeper = keeper(&config.borrow())?;
    let stop = stop_on(&[SignalKind::terminate(), SignalKind::interrupt()])?;
    let hangup = signal(SignalKind::hangup())?;
    let control = listen(&reload);
    let served = app::serve(config, keeper, control, rmcp::transport::io::stdio(), stop);
    let outcome = tokio::select! {
        outcome = served => outcome,
        never = reload.on_every(hangup) => match never {},
    };
    outcome.map_err(|error| CliError::Failed(format!("the MCP session could not begin: {error}")))
}

/// Opens the control socket. A server serves without it too.
fn listen(reload: &Reload) -> Option<Listener> {
    let opened = control_folder(reload.environment())
        .and_then(|folder| Listener::open(&folder).map_err(CliError::failed));
    opened
        .inspect_err(|error| {
            let hint = "`codebase-mcp pool status` will not see this server";
            tracing::warn!(event = "control.unavailable", error = %error, "{hint}");
        })
        .ok()
}
