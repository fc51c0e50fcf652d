//! Logging. Log lines go to stderr: stdout belongs to the protocol.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// What is logged, and how a line looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Filter directives of `tracing_subscriber::EnvFilter`, such as `warn` or
    /// `warn,codebase_mcp=debug`. `off` logs nothing.
    pub log: String,
    /// How a log line looks.
    pub format: Format,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line, for log collectors.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self { log: "warn,codebase_mcp=info".to_owned(), format: Format::Text }
    }
}

/// Installs the process's log, writing to `writer`. A second call changes nothing.
pub fn init<W>(config: &Config, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse_lossy(&config.log);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let installed = match config.format {
        Format::Text => {
            let color = io::IsTerminal::is_terminal(&io::stderr());
            log.with_target(false).with_ansi(color).try_init()
        }
        Format::Json => log.json().flatten_event(true).try_init(),
    };
    if let Err(error) = installed {
        tracing::debug!(error = %error, "logging was installed before");
    }
}
