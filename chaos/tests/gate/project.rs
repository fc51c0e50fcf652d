//! A project whose benchmarks take as long as its source says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// A project with git, and the gate's own folders.
pub(crate) struct Project {
    folder: TempDir,
}

/// A command that has ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Asserts how it ended, and shows what it said if that was otherwise.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// What the benchmarks of a build are like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Benches {
    /// What an iteration takes, in nanoseconds.
    pub(crate) nanoseconds: f64,
    /// By what share that scatters from process to process.
    pub(crate) noise: f64,
    /// How often the loop turns whose instructions are counted.
    pub(crate) turns: u32,
    /// The names.
    pub(crate) names: &'static [&'static str],
}

impl Benches {
    pub(crate) const USUAL: Self = Self {
        nanoseconds: 100.0,
        noise: 0.002,
        turns: 1000,
        names: &["pool/acquire/1", "pool/health"],
    };
}

const MANIFEST: &str = r#"[workspace]
members = ["chaos", "server"]
resolver = "3"

[profile.release]
opt-level = 1
"#;

const CHAOS: &str = r#"[package]
name = "chaos"
version = "0.0.0"
edition = "2024"

[features]
slow-acquire = []

[lib]
path = "lib.rs"

[[bench]]
name = "gate"
path = "gate.rs"
harness = false
"#;

const SERVER: &str = r#"[package]
name = "codebase-mcp"
version = "0.0.0"
edition = "2024"

[[bin]]
name = "codebase-mcp"
path = "main.rs"
"#;

/// The program of the benchmarks, with the protocol of the real one.
const GATE: &str = r#"
const SLICES: usize = 100;

/// The same in each slice of a process, another one in each process.
fn time() -> f64 {
    let mut bits = u64::from(std::process::id()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits ^= bits >> 32;
    let random = (bits % 2001) as f64 / 1000.0 - 1.0;
    (NANOSECONDS + 0.1 * steps() as f64) * (1.0 + NOISE * random)
}

fn after(word: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != word).nth(1)
}

fn steps() -> u32 {
    after("--slowness").map_or(0, |steps| steps.parse().unwrap())
}

#[inline(never)]
fn counted() {
    for turn in 0..TURNS {
        std::hint::black_box(turn);
    }
}

fn criterion(name: &str) {
    let home = std::env::var("CRITERION_HOME").unwrap();
    let folder = format!("{home}/{}/new", name.replace('/', "_"));
    std::fs::create_dir_all(&folder).unwrap();
    let time = time();
    let estimate = format!("{{\"point_estimate\":{time},\"standard_error\":0.1}}");
    let estimates = format!("{{\"mean\":{estimate},\"median\":{estimate}}}");
    std::fs::write(format!("{folder}/estimates.json"), estimates).unwrap();
    let sample = format!("{{\"iters\":[10.0,10.0],\"times\":[{0},{0}]}}", time * 10.0);
    std::fs::write(format!("{folder}/sample.json"), sample).unwrap();
}

fn main() {
    let has = |word: &str| std::env::args().any(|argument| argument == word);
    if has("list") {
        for name in NAMES {
            println!("{{\"name\":\"{name}\",\"calibration\":\"cpu\"}}");
        }
    } else if has("sample") {
        println!("{{\"iterations\":1,\"slices_ns\":{:?}}}", [time(); SLICES]);
    } else if has("count") {
        counted();
        println!("{{\"iterations\":1}}");
    } else if has("calibrate") {
        println!("{{\"median_ns\":1000.0}}");
    } else if let Some(name) = after("--exact") {
        criterion(&name);
    } else {
        panic!("{:?}", std::env::args());
    }
}
"#;

impl Project {
    /// With one commit, whose benchmarks are the usual ones.
    pub(crate) fn new() -> Self {
        let project = Self { folder: TempDir::new().unwrap() };
        for folder in ["project/scenarios", "project/chaos/faults", "project/server"] {
            fs::create_dir_all(project.folder.path().join(folder)).unwrap();
        }
        for (path, text) in [
            ("Cargo.toml", MANIFEST),
            (".gitignore", "/target\n"),
            ("scenarios/.keep", ""),
            ("chaos/faults/.keep", ""),
            ("chaos/Cargo.toml", CHAOS),
            ("chaos/lib.rs", ""),
            ("server/Cargo.toml", SERVER),
            ("server/main.rs", "fn main() {}\n"),
        ] {
            fs::write(project.root().join(path), text).unwrap();
        }
        project.becomes(Benches::USUAL);
        project.command("cargo", &["generate-lockfile", "--offline"]);
        project.command("git", &["init", "--quiet"]);
        project.commit();
        project
    }

    /// A clone that has the last commit only, and folders of its own.
    pub(crate) fn shallow(&self) -> Self {
        let clone = Self { folder: TempDir::new().unwrap() };
        let (from, to) = (format!("file://{}", self.root().display()), clone.root());
        self.command("git", &["clone", "--quiet", "--depth=1", &from, to.to_str().unwrap()]);
        clone
    }

    /// Takes over what another project has built.
    pub(crate) fn share_builds(&self, other: &Self) {
        let builds = |project: &Self| project.folder.path().join("cache/codebase-mcp/gate/builds");
        fs::remove_dir_all(builds(self)).unwrap();
        fs::rename(builds(other), builds(self)).unwrap();
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Changes the source, and commits nothing.
    pub(crate) fn becomes(&self, benches: Benches) {
        let Benches { nanoseconds, noise, turns, names } = benches;
        let constants = format!(
            "const NANOSECONDS: f64 = {nanoseconds:?};\nconst NOISE: f64 = {noise:?};\n\
             const TURNS: u32 = {turns};\nconst NAMES: &[&str] = &{names:?};\n"
        );
        fs::write(self.root().join("chaos/gate.rs"), constants + GATE).unwrap();
    }

    pub(crate) fn commit(&self) -> String {
        self.command("git", &["add", "--all"]);
        let identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"];
        self.command("git", &[&identity[..], &["commit", "--quiet", "-m", "change"]].concat());
        self.command("git", &["rev-parse", "HEAD"]).trim().to_owned()
    }

    fn command(&self, program: &str, arguments: &[&str]) -> String {
        let output =
            Command::new(program).args(arguments).current_dir(self.root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// `scenarios` with these words.
    pub(crate) fn scenarios(&self, words: &str) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_scenarios"))
            .args(words.split_whitespace())
            .current_dir(self.root())
            .env("XDG_CACHE_HOME", self.folder.path().join("cache"))
            .env("XDG_DATA_HOME", self.folder.path().join("data"))
            .env_remove("CLICOLOR_FORCE")
            .output()
            .unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The report of the last run.
    pub(crate) fn report(&self) -> Value {
        json(&self.root().join("target/gate/report.json"))
    }

    /// The row of this name in the last report.
    pub(crate) fn row(&self, name: &str) -> Value {
        let report = self.report();
        let rows = report["rows"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap().clone()
    }

    /// The file of the only class that has baselines.
    pub(crate) fn baseline(&self, file: &str) -> PathBuf {
        let mut classes = fs::read_dir(self.root().join("baselines")).unwrap();
        let class = classes.next().unwrap().unwrap().path();
        assert!(classes.next().is_none(), "one class");
        class.join(file)
    }
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}
