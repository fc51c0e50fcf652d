//! Where and of what a run was made.

use std::fmt;
use std::fs;
use std::process::Command;
use std::thread;

use chrono::Utc;

/// What numbers depend on.
#[derive(Debug)]
pub(crate) struct Machine {
    postgres: String,
}

impl Machine {
    pub(crate) fn new(postgres: String) -> Self {
        Self { postgres }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = || "unknown".to_owned();
        let cores = thread::available_parallelism().map_or_else(|_| unknown(), |n| n.to_string());
        writeln!(f, "- Processor: {}, {cores} cores", processor().unwrap_or_else(unknown))?;
        writeln!(f, "- Kernel: Linux {}", kernel().unwrap_or_else(unknown))?;
        writeln!(f, "- PostgreSQL: {}, through a Unix socket", self.postgres)?;
        writeln!(f, "- Date: {}", Utc::now().format("%Y-%m-%d"))?;
        writeln!(f, "- Commit: {}", commit().unwrap_or_else(unknown))
    }
}

fn processor() -> Option<String> {
    let table = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = table.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kernel() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/osrelease").ok()?.trim().to_owned())
}

/// The commit that was built, and whether files differed from it.
fn commit() -> Option<String> {
    let head = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--", ":!docs/performance.md"])?;
    Some(if changed.is_empty() { head } else { format!("{head}, with changes") })
}

fn git(arguments: &[&str]) -> Option<String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new("git").args(["-C", root]).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
