//! The fault proxy before PostgreSQL, with its interface, as long as a run needs it.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::proxy::{Control, FaultProxy, ProxySpec, serve};

/// The name of the proxy before PostgreSQL.
pub(super) const PROXY: &str = "postgres";

/// A running fault proxy. Dropping it closes its ports and its connections a moment later.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) control: Control,
    /// Where the proxy listens.
    pub(super) address: SocketAddr,
    proxy: FaultProxy,
    /// Ends the interface, which holds the proxy.
    stop: DropGuard,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Front {
    /// Starts a fault proxy before `upstream`.
    ///
    /// # Errors
    /// What did not work, for people. Nothing is left then.
    pub(super) async fn start(seed: u64, upstream: SocketAddr) -> Result<Self, String> {
        let proxy = FaultProxy::new(seed);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(shown)?;
        let interface = listener.local_addr().map_err(shown)?;
        let stop = CancellationToken::new();
        let serving = TaskTracker::new().spawn(serve(proxy.clone(), listener, stop.clone()));
        let stop = stop.drop_guard();
        let control = Control::connect(interface).await.map_err(shown)?;
        let spec = ProxySpec::new(PROXY, &upstream.to_string());
        let view = control.create(spec).await.map_err(shown)?;
        let address = view.listen.parse().map_err(shown)?;
        Ok(Self { control, address, proxy, stop, serving })
    }

    /// Closes everything and waits for it, for seconds at most.
    pub(super) async fn shut_down(self) {
        self.proxy.shutdown().await;
        drop(self.stop);
        // It has nothing left to say.
        drop(self.serving.await);
    }
}

fn shown(error: impl std::fmt::Display) -> String {
    format!("the fault proxy: {error}")
}
