//! Which provider to take, and which can be used on this machine.

use std::io;
use std::net::SocketAddr;

use codebase_mcp::postgres::{Account, Installation};
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::postgres::TRY;
use super::{Choice, Provider, StackError, Wanted, container};

/// Whether a provider can be used on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Availability {
    /// The provider.
    pub provider: Provider,
    /// Whether a server could be started with it.
    pub usable: bool,
    /// What would be used; or else why it cannot be, and what to do about it.
    pub detail: String,
}

/// Says of each provider whether it can be used, without starting anything. Takes at most some
/// seconds, if an engine or a name server does not answer.
pub async fn probe(wanted: &Wanted) -> Vec<Availability> {
    let mut found = Vec::new();
    for provider in Provider::ALL {
        let looked = match provider {
            Provider::Url => url(wanted).await,
            Provider::Container => container::look(&wanted.image).await,
            Provider::Process => process(wanted).await,
        };
        let usable = looked.is_ok();
        let detail = looked.unwrap_or_else(|error| error.whole());
        found.push(Availability { provider, usable, detail });
    }
    found
}

/// The provider to take.
pub(super) async fn decide(choice: Choice, wanted: &Wanted) -> Result<Provider, StackError> {
    match choice {
        Choice::Only(provider) => Ok(provider),
        Choice::Auto if wanted.url.is_some() => Ok(Provider::Url),
        Choice::Auto => match container::look(&wanted.image).await {
            Ok(_) => Ok(Provider::Container),
            Err(error) => {
                tracing::info!(reason = %error, "PostgreSQL runs as a process, not in a container");
                Ok(Provider::Process)
            }
        },
    }
}

/// Reads the URL of a server with which the runner can work, without looking whether it is there.
///
/// # Errors
///
/// [`StackError::Url`]: it is none.
pub fn read_url(url: &str) -> Result<PgConnectOptions, StackError> {
    let options: PgConnectOptions =
        url.parse().map_err(|error: sqlx::Error| StackError::Url { reason: error.to_string() })?;
    let refuse = |reason: String| Err(StackError::Url { reason });
    if options.get_socket().is_some() {
        return refuse("a fault proxy needs a TCP address, and it names a Unix socket".to_owned());
    }
    // They would end the part of a URL that names the user, when it is written again.
    if options.get_username().contains(['/', '?', '#', '[', ']', '\\', '@', ':']) {
        return refuse(format!("the user name {:?} needs escapes", options.get_username()));
    }
    Ok(options)
}

/// Reads a URL and finds the address of its host.
pub(super) async fn locate(url: &str) -> Result<(PgConnectOptions, SocketAddr), StackError> {
    let options = read_url(url)?;
    let (named, port) = (options.get_host().to_owned(), options.get_port());
    let host = named.trim_start_matches('[').trim_end_matches(']');
    let found = match timeout(TRY, lookup_host((host, port))).await {
        Ok(found) => found.map(|mut addresses| addresses.next()),
        Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
    };
    let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| StackError::Unreachable {
        address: format!("{named}:{port}"),
        source,
    };
    match found {
        Ok(Some(address)) => Ok((options.host(host), address)),
        Ok(None) => Err(unreachable("the host has no address".into())),
        Err(error) => Err(unreachable(format!("the host is unknown: {error}").into())),
    }
}

async fn url(wanted: &Wanted) -> Result<String, StackError> {
    let url = wanted.url.as_deref().ok_or(StackError::NoUrl)?;
    let (_, address) = locate(url).await?;
    Ok(format!("a server at {address}"))
}

async fn process(wanted: &Wanted) -> Result<String, StackError> {
    let config = wanted.installation.clone();
    let look = move || {
        let installation = Installation::find(&config)?;
        let account = Account::for_new(config.run_as.as_deref()).map_err(Box::new)?;
        let user = account.map_or_else(String::new, |account| format!(" as user {}", account.name));
        Ok(format!("PostgreSQL {} in {}{user}", installation.version, installation.dir.display()))
    };
    tokio::task::spawn_blocking(look).await.map_err(|source| StackError::Interrupted { source })?
}
