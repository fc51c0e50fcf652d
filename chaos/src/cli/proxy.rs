//! `scenarios proxy`: the fault proxy on its own, for any client of Toxiproxy.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::CliError;
use super::output::note;
use crate::proxy::{FaultProxy, serve};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Serve Toxiproxy's HTTP interface until a signal comes
    Serve(Serve),
}

/// Where to listen.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// The address of the interface
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8474")]
    listen: SocketAddr,
    /// The seed of everything random
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub(super) async fn run(command: &Command) -> Result<u8, CliError> {
    let Command::Serve(Serve { listen, seed }) = command;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        CliError::Unavailable(format!(
            "cannot listen on {listen}: {error}; choose another with --listen"
        ))
    })?;
    let address = listener.local_addr()?;
    note(format_args!("fault proxy at http://{address}, seed {seed}"));
    let proxy = FaultProxy::new(*seed);
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let ending = stop.clone();
    let served = serve(proxy.clone(), listener, stop);
    tokio::pin!(served);
    tokio::select! {
        outcome = &mut served => outcome?,
        _ = interrupt.recv() => { ending.cancel(); served.await?; }
        _ = terminate.recv() => { ending.cancel(); served.await?; }
    }
    proxy.shutdown().await;
    Ok(0)
}
