//! Programs built of a tree, kept by what they are made of.
//!
//! Both sides of a comparison are built in the same folder with the same settings, so that nothing but their
//! source tells them apart: two trees with the same source become the same program, byte for byte.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use codebase_mcp::config::Environment;
use serde::Deserialize;

use super::error::GateError;
use super::repository::{Repository, Tree, said};

/// How many builds are kept; those that were used last.
const KEPT: usize = 12;

/// A build is complete when its folder has this file, which is as old as the build's last use.
const MARK: &str = "used";

/// How many hexadecimal digits name a build.
const DIGITS: usize = 16;

/// What is built besides the tree's own defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// The program as it is shipped.
    Plain,
    /// With the slowdown that shows that the gate can fail.
    Slowed,
}

impl Variant {
    fn features(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &[],
            Self::Slowed => &["--features", "chaos/slow-acquire"],
        }
    }
}

/// The programs of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Build {
    /// The benchmarks.
    pub(super) benches: PathBuf,
    /// The server.
    pub(super) server: PathBuf,
}

/// Builds, and keeps what was built. While it lives no other gate of this user builds or measures.
#[derive(Debug)]
pub(super) struct Builds {
    repository: Repository,
    cache: PathBuf,
    compiler: String,
    /// Held until the end.
    _lock: File,
}

/// One line of what cargo says to programs.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Builds {
    /// Builds of the project at `root`, kept in `cache`. Waits for another gate of this user; `waiting` is
    /// called before that.
    pub(super) fn open(
        root: &Path,
        cache: &Path,
        waiting: impl FnOnce(),
    ) -> Result<Self, GateError> {
        fs::create_dir_all(cache).map_err(|source| GateError::io(cache, source))?;
        let path = cache.join("lock");
        let lock = File::create(&path).map_err(|source| GateError::io(&path, source))?;
        if lock.try_lock().is_err() {
            waiting();
            lock.lock().map_err(|source| GateError::io(&path, source))?;
        }
        let repository = Repository::open(root, cache)?;
        repository.recover()?;
        Ok(Self {
            repository,
            cache: cache.to_owned(),
            compiler: said(Command::new("rustc").arg("-vV").current_dir(root))?,
            _lock: lock,
        })
    }

    /// The repository whose trees are built.
    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The compiler's version, such as `1.95.0`.
    pub(super) fn rustc(&self) -> &str {
        let release = self.compiler.lines().find_map(|line| line.strip_prefix("release: "));
        release.unwrap_or("unknown")
    }

    /// The programs of this tree, built unless that was done before; `building` is called before that. What cargo
    /// says meanwhile goes to stderr.
    pub(super) fn of(
        &self,
        tree: &Tree,
        variant: Variant,
        building: impl FnOnce(),
    ) -> Result<Build, GateError> {
        let folder = self.folder(tree, variant);
        let build = Build { benches: folder.join("gate"), server: folder.join("codebase-mcp") };
        if !self.has(tree, variant) {
            building();
            self.build(tree, variant, &folder)?;
        }
        let mark = folder.join(MARK);
        fs::write(&mark, &tree.0).map_err(|source| GateError::io(&mark, source))?;
        let builds = self.cache.join("builds");
        prune(&builds).map_err(|source| GateError::io(&builds, source))?;
        Ok(build)
    }

    /// Whether its programs are there.
    pub(super) fn has(&self, tree: &Tree, variant: Variant) -> bool {
        self.folder(tree, variant).join(MARK).exists()
    }

    fn folder(&self, tree: &Tree, variant: Variant) -> PathBuf {
        self.cache.join("builds").join(self.key(tree, variant))
    }

    fn key(&self, tree: &Tree, variant: Variant) -> String {
        let words = [&tree.0, &self.compiler, &variant.features().join(" ")];
        let mut hasher = blake3::Hasher::new();
        for word in words {
            hasher.update(word.as_bytes());
            hasher.update(&[0]);
        }
        hasher.finalize().to_hex().chars().take(DIGITS).collect()
    }

    fn build(&self, tree: &Tree, variant: Variant, folder: &Path) -> Result<(), GateError> {
        let work_tree = self.cache.join("tree");
        self.repository.check_out(tree, &work_tree)?;
        let failed = |reason: String| GateError::BuildFailed { tree: tree.0.clone(), reason };
        let mut cargo = self.cargo(&work_tree, variant);
        let output = cargo
            .stderr(Stdio::inherit())
            .output()
            .map_err(|source| GateError::NotStarted { command: "cargo".to_owned(), source })?;
        if !output.status.success() {
            return Err(failed(format!("cargo ended with {}", output.status)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let messages: Vec<Message> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let store = || -> io::Result<Result<(), GateError>> {
            let parent = self.cache.join("builds");
            fs::create_dir_all(&parent)?;
            let new = tempfile::tempdir_in(&parent)?;
            for (name, kind) in [("gate", "bench"), ("codebase-mcp", "bin")] {
                let Some(program) = executable(&messages, name, kind) else {
                    return Ok(Err(failed(format!("it has no {kind} target `{name}`"))));
                };
                fs::copy(program, new.path().join(name))?;
            }
            fs::write(new.path().join(MARK), &tree.0)?;
            fs::rename(new.keep(), folder)?;
            Ok(Ok(()))
        };
        store().map_err(|source| GateError::io(folder, source))?
    }

    /// Cargo, without anything of the caller's environment that changes what is built: times of programs that
    /// were built otherwise cannot be compared.
    fn cargo(&self, work_tree: &Path, variant: Variant) -> Command {
        let mut cargo = Command::new("cargo");
        let environment = Environment::of_process();
        for name in environment.variables.keys().filter(|name| changes_builds(name)) {
            cargo.env_remove(name);
        }
        cargo
            .current_dir(work_tree)
            .env("CARGO_TARGET_DIR", self.cache.join("target"))
            .args(["build", "--release", "--locked", "--message-format=json-render-diagnostics"])
            .args(["--package", "chaos", "--bench", "gate"])
            .args(["--package", "codebase-mcp", "--bin", "codebase-mcp"])
            .args(variant.features());
        cargo
    }
}

/// Removes all builds but those that were used last, and what killed gates have left.
fn prune(builds: &Path) -> io::Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(builds)? {
        let path = entry?.path();
        let used = fs::metadata(path.join(MARK)).and_then(|mark| mark.modified()).ok();
        found.push((used, path));
    }
    found.sort();
    let too_many = found.len().saturating_sub(KEPT);
    let old = found.into_iter().enumerate();
    for (_, (_, path)) in old.filter(|(at, (used, _))| used.is_none() || *at < too_many) {
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

/// Whether a variable makes cargo, the compiler or a C compiler build something else, and not only from elsewhere.
fn changes_builds(name: &str) -> bool {
    let parts =
        ["RUSTC", "RUSTFLAGS", "CARGO_BUILD", "CARGO_PROFILE", "CARGO_TARGET", "CARGO_ENCODED"];
    let tools = ["CC", "CXX", "AR", "CFLAGS", "CXXFLAGS", "LDFLAGS"];
    let is_tool = |tool: &str| {
        let rest =
            name.strip_prefix("HOST_").or_else(|| name.strip_prefix("TARGET_")).unwrap_or(name);
        rest == tool || rest.strip_prefix(tool).is_some_and(|rest| rest.starts_with('_'))
    };
    parts.iter().any(|part| name.starts_with(part)) || tools.into_iter().any(is_tool)
}

fn executable<'a>(messages: &'a [Message], name: &str, kind: &str) -> Option<&'a Path> {
    let is_it = |message: &&Message| {
        let target = message.target.as_ref();
        message.reason == "compiler-artifact"
            && message.executable.is_some()
            && target.is_some_and(|it| it.name == name && it.kind.iter().any(|it| it == kind))
    };
    messages.iter().find(is_it)?.executable.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_that_were_used_last_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let build = |name: &str| folder.path().join(name);
        for at in 0..=KEPT {
            let path = build(&format!("{at:02}"));
            fs::create_dir(&path).unwrap();
            let mark = File::create(path.join(MARK)).unwrap();
            let age = std::time::Duration::from_secs(1000 - at as u64);
            mark.set_modified(mark.metadata().unwrap().modified().unwrap() - age).unwrap();
        }
        fs::create_dir(build("killed")).unwrap();
        prune(folder.path()).unwrap();
        assert!(!build("00").exists() && !build("killed").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), KEPT);
        prune(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), KEPT);
    }

    #[test]
    fn only_what_changes_a_build_is_kept_from_it() {
        for name in [
            "RUSTFLAGS",
            "RUSTC_WRAPPER",
            "CARGO_TARGET_DIR",
            "CARGO_PROFILE_RELEASE_LTO",
            "CC",
            "CFLAGS_x86_64_unknown_linux_gnu",
            "TARGET_CC",
        ] {
            assert!(changes_builds(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_HTTP_PROXY", "CARGO_NET_OFFLINE", "PATH", "CCACHE"] {
            assert!(!changes_builds(name), "{name}");
        }
    }
}
