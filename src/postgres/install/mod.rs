//! Finding a PostgreSQL with pgvector on this machine.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::config::Config;

/// The oldest PostgreSQL that is supported.
const OLDEST: u32 = 14;
/// Where Debian and its relatives install PostgreSQL: one folder a major version.
const SYSTEM: &str = "/usr/lib/postgresql";
/// Where they keep the extensions of each.
const SYSTEM_SHARE: &str = "/usr/share/postgresql";
/// The programs that must be there.
const PROGRAMS: [&str; 3] = ["bin/postgres", "bin/initdb", "bin/pg_ctl"];

/// A PostgreSQL with pgvector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The folder that has `bin`.
    pub dir: PathBuf,
    /// What its server says.
    pub version: Version,
}

/// The version of a PostgreSQL server, such as 18.6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The major version. Clusters are bound to it.
    pub major: u32,
    text: String,
}

/// Why there is no PostgreSQL to run.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The configured folder is no PostgreSQL with pgvector.
    #[error(
        "{dir}, which `database.install_dir` names, has no {missing}; name a PostgreSQL {OLDEST} \
         or newer with pgvector, or remove the setting and run `ci/setup`",
        dir = dir.display()
    )]
    Incomplete {
        /// The configured folder.
        dir: PathBuf,
        /// What it lacks.
        missing: &'static str,
    },

    /// Neither our own nor the system's PostgreSQL is there.
    #[error(
        "found no PostgreSQL with pgvector, neither in {install_default} nor a version {OLDEST} or \
         newer below {system}; run `ci/setup` to install one, or set `database.install_dir`",
        install_default = install_default.display(),
        system = system.display()
    )]
    NotFound {
        /// Where `ci/setup` installs it.
        install_default: PathBuf,
        /// Where the system does.
        system: PathBuf,
    },

    /// The server's program does not run.
    #[error("cannot run {program}; install PostgreSQL again with `ci/setup`", program = program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },

    /// The server's program is something else.
    #[error(
        "{program} --version printed {output:?}, which is no version of PostgreSQL; install it \
         again with `ci/setup`",
        program = program.display()
    )]
    Version {
        /// The program.
        program: PathBuf,
        /// What it printed.
        output: String,
    },

    /// The server is too old.
    #[error(
        "the PostgreSQL in {dir} is version {version}, and at least {OLDEST} is needed; run \
         `ci/setup` to install one, or set `database.install_dir`",
        dir = dir.display()
    )]
    TooOld {
        /// The installation.
        dir: PathBuf,
        /// Its version.
        version: Version,
    },
}

impl Installation {
    /// Finds the PostgreSQL to run: the configured one, or else the one of `ci/setup`, or else the
    /// newest of the system. Blocks while it asks the server for its version.
    pub fn find(config: &Config) -> Result<Self, InstallError> {
        Self::find_among(config, Path::new(SYSTEM), Path::new(SYSTEM_SHARE))
    }

    fn find_among(config: &Config, system: &Path, share: &Path) -> Result<Self, InstallError> {
        if let Some(dir) = &config.install_dir {
            let share = dir.strip_prefix(system).ok().map(|name| share.join(name));
            return match missing(dir, share.as_deref()) {
                None => Self::open(dir),
                Some(missing) => Err(InstallError::Incomplete { dir: dir.clone(), missing }),
            };
        }
        if missing(&config.install_default, None).is_none() {
            return Self::open(&config.install_default);
        }
        let usable = system_majors(system)
            .into_iter()
            .map(|major| major.to_string())
            .find(|major| missing(&system.join(major), Some(&share.join(major))).is_none());
        match usable {
            Some(major) => Self::open(&system.join(major)),
            None => Err(InstallError::NotFound {
                install_default: config.install_default.clone(),
                system: system.to_owned(),
            }),
        }
    }

    /// Asks the server in `dir` for its version.
    fn open(dir: &Path) -> Result<Self, InstallError> {
        let program = dir.join("bin/postgres");
        let output = Command::new(&program)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| InstallError::Program { program: program.clone(), source })?;
        // The dynamic loader complains on the other stream.
        let output = [output.stdout, output.stderr].concat();
        let output = String::from_utf8_lossy(&output).trim().to_owned();
        let Some(version) = Version::parse(&output) else {
            return Err(InstallError::Version { program, output });
        };
        if version.major < OLDEST {
            return Err(InstallError::TooOld { dir: dir.to_owned(), version });
        }
        Ok(Self { dir: dir.to_owned(), version })
    }

    /// The path of one of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }
}

impl Version {
    /// Reads what `postgres --version` prints: "postgres (PostgreSQL) 18.6 (Debian 18.6-1)".
    fn parse(output: &str) -> Option<Self> {
        let text = output.strip_prefix("postgres (PostgreSQL) ")?.split_whitespace().next()?;
        let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(Self { major: digits.parse().ok()?, text: text.to_owned() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What an installation in `dir` lacks, if anything. Its extensions are in its own `share` or in
/// the folder `share`.
fn missing(dir: &Path, share: Option<&Path>) -> Option<&'static str> {
    if let Some(program) = PROGRAMS.into_iter().find(|program| !dir.join(program).is_file()) {
        return Some(program);
    }
    let own = ["share", "share/postgresql", "share/pgsql"].map(|share| dir.join(share));
    let found = own
        .iter()
        .map(PathBuf::as_path)
        .chain(share)
        .any(|share| share.join("extension/vector.control").is_file());
    (!found).then_some("pgvector (extension/vector.control in its share folder)")
}

/// The supported major versions installed in `system`, newest first.
fn system_majors(system: &Path) -> Vec<u32> {
    let mut majors: Vec<u32> = fs::read_dir(system)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&major| major >= OLDEST)
        .collect();
    majors.sort_unstable_by(|a, b| b.cmp(a));
    majors
}

#[cfg(test)]
mod tests;
