//! What can be set about jobs.

/// Bounds of the job queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How many jobs run at once in this process. 1 to 64.
    pub max_concurrent: usize,
    /// How many accepted jobs may wait in this process; one more is refused. 1 to 10 000.
    pub queue_limit: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_concurrent: 3, queue_limit: 100 }
    }
}
