//! Where a run takes place, as far as it explains what was measured.

use std::fs;
use std::thread::available_parallelism;

use crate::report::model::Environment;

/// This machine and this build. PostgreSQL and the proxy are filled in when they are there.
pub(super) fn here() -> Environment {
    Environment {
        server: format!("codebase-mcp {}", env!("CARGO_PKG_VERSION")),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        os: os(),
        cpu: field("/proc/cpuinfo", "model name")
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cpus: available_parallelism().map_or(0, usize::from),
        memory_mib: memory_mib(),
        load_average: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        ..Environment::default()
    }
}

/// A file of the system; what cannot be read is nothing.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path);
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn os() -> String {
    let name = read("/etc/os-release")
        .lines()
        .find_map(|line| Some(line.strip_prefix("PRETTY_NAME=")?.trim_matches('"').to_owned()))
        .unwrap_or_else(|| std::env::consts::OS.to_owned());
    format!("{name}, kernel {}", read("/proc/sys/kernel/osrelease").trim())
}

fn memory_mib() -> u64 {
    let total = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kib: u64 = total.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
    kib / 1024
}
