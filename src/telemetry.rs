//! Logging. Log lines go to stderr: stdout belongs to the protocol.

use std::fmt;
use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::reload;

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

/// Changes what the process logs while it runs.
pub struct LogFilter {
    replace: Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>,
}

impl LogFilter {
    /// Logs what the directives of `log` say from now on; a directive that cannot be read is left out.
    ///
    /// # Errors
    /// When the process's log is not the one that [`init`] made.
    pub fn set(&self, log: &str) -> Result<(), reload::Error> {
        (self.replace)(filter(log))
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LogFilter").finish_non_exhaustive()
    }
}

/// Installs the process's log, writing to `writer`. A second call changes nothing, and the filter that it
/// returns can only say so.
pub fn init<W>(config: &Config, writer: W) -> LogFilter
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let log = tracing_subscriber::fmt().with_env_filter(filter(&config.log)).with_writer(writer);
    let (replace, installed): (Box<dyn Fn(_) -> _ + Send + Sync>, _) = match config.format {
        Format::Text => {
            let color = io::IsTerminal::is_terminal(&io::stderr());
            let log = log.with_target(false).with_ansi(color).with_filter_reloading();
            let handle = log.reload_handle();
            (Box::new(move |filter| handle.reload(filter)), log.try_init())
        }
        Format::Json => {
            let log = log.json().flatten_event(true).with_filter_reloading();
            let handle = log.reload_handle();
            (Box::new(move |filter| handle.reload(filter)), log.try_init())
        }
    };
    if let Err(error) = installed {
        tracing::debug!(error = %error, "logging was installed before");
    }
    LogFilter { replace }
}

fn filter(log: &str) -> EnvFilter {
    EnvFilter::builder().parse_lossy(log)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_filter_changes_while_the_process_runs() {
        let lines = Lines::default();
        let writer = lines.clone();
        let config = Config { log: "warn".to_owned(), format: Format::Json };
        let log = init(&config, move || writer.clone());
        tracing::info!("one");
        log.set("info").unwrap();
        tracing::info!("two");
        log.set("off").unwrap();
        tracing::error!("three");
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        let ours = |word: &str| text.contains(&format!("\"message\":\"{word}\""));
        assert_eq!(["one", "two", "three"].map(ours), [false, true, false], "{text}");
    }
}
