//! The class of a machine: what has to be the same for stored times to be worth a comparison.

use std::fmt;
use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

/// What the tables begin with whose settings the measured programs are compiled with.
const PROFILES: [&str; 2] = ["[profile.release", "[profile.bench"];

/// How many hexadecimal digits of a hash tell two profiles apart.
const DIGITS: usize = 8;

/// Machines of one class run the same program about equally fast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// The architecture, such as `x86_64`.
    pub arch: String,
    /// The model of the processor.
    pub cpu: String,
    /// How many of them.
    pub cores: usize,
    /// The compiler's version without its patch level, such as `1.95`.
    pub rustc: String,
    /// A hash of the settings that the programs are compiled with.
    pub profile: String,
}

impl Class {
    /// This machine, with the compiler of this version such as `1.95.0`, for the project at `root`.
    pub fn here(root: &Path, rustc: &str) -> std::io::Result<Self> {
        let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|table| model(&table));
        let mut version = rustc.split('.');
        let rustc = [version.next(), version.next()].map(Option::unwrap_or_default).join(".");
        Ok(Self {
            arch: std::env::consts::ARCH.to_owned(),
            cpu: cpu.unwrap_or_else(|| "unknown".to_owned()),
            cores: available_parallelism().map_or(0, usize::from),
            rustc,
            profile: profile(&fs::read_to_string(root.join("Cargo.toml"))?),
        })
    }

    /// Whether programs of both have the same instructions, so that counts of them can be compared.
    pub fn has_instructions_of(&self, other: &Self) -> bool {
        self.arch == other.arch && self.rustc == other.rustc && self.profile == other.profile
    }
}

/// The name of the class, which is also that of its folder.
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { arch, cpu, cores, rustc, profile } = self;
        write!(f, "{arch}-{}-{cores}c-rust{rustc}-{profile}", word(cpu))
    }
}

/// The first processor's model in a text such as `/proc/cpuinfo`.
fn model(table: &str) -> Option<String> {
    let line = table.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// A name in lower case, with a hyphen for whatever is neither a letter nor a digit.
fn word(name: &str) -> String {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// A hash of these profiles in a `Cargo.toml`, without its comments.
fn profile(manifest: &str) -> String {
    let mut inside = false;
    let mut hasher = blake3::Hasher::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = PROFILES.iter().any(|profile| line.starts_with(profile));
        }
        if inside && !line.is_empty() && !line.starts_with('#') {
            hasher.update(line.as_bytes());
            hasher.update(b"\n");
        }
    }
    hasher.finalize().to_hex().chars().take(DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[package]\nname = \"x\"\n\n[profile.release]\n# Why.\ndebug = 1\n";

    #[test]
    fn a_class_has_a_name_for_a_folder() {
        let class = Class {
            arch: "x86_64".to_owned(),
            cpu: model("processor\t: 0\nmodel name\t: Intel(R) Xeon(R) @ 2.20GHz\n").unwrap(),
            cores: 2,
            rustc: "1.95".to_owned(),
            profile: "0123abcd".to_owned(),
        };
        assert_eq!(class.to_string(), "x86_64-intel-r-xeon-r-2-20ghz-2c-rust1.95-0123abcd");
    }

    #[test]
    fn only_settings_of_the_compiler_make_another_profile() {
        let same = MANIFEST.replace("\"x\"", "\"y\"").replace("# Why.", "# Because.");
        assert_eq!(profile(MANIFEST), profile(&same));
        assert_ne!(profile(MANIFEST), profile(&MANIFEST.replace("debug = 1", "debug = 2")));
        assert_eq!(profile(MANIFEST), profile(&format!("{MANIFEST}[profile.dev]\ndebug = 2\n")));
        assert_eq!(profile(MANIFEST).len(), DIGITS);
    }

    #[test]
    fn a_patch_of_the_compiler_is_the_same_class() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.toml"), MANIFEST).unwrap();
        let here = |rustc| Class::here(folder.path(), rustc).unwrap();
        assert_eq!(here("1.95.0"), here("1.95.1"));
        assert_ne!(here("1.95.0"), here("1.96.0"));
        let other = Class { cpu: "other".to_owned(), cores: 64, ..here("1.95.0") };
        assert!(here("1.95.0").has_instructions_of(&other));
        assert!(!here("1.96.0").has_instructions_of(&other));
    }
}
