//! What is taken for an installation, and what is refused.

use super::*;

/// A machine with its own folders for what is found on a real one below /usr and in the data folder.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts programs into `dir`; the server says that it is `version`.
    ///
    /// A shell writes them, as a file that this process had open for writing could not be run while
    /// another test's child, just forked, still has a copy of it open.
    fn programs(&self, dir: &str, version: &str) {
        fs::create_dir_all(self.path(dir).join("bin")).unwrap();
        for program in PROGRAMS {
            let written = Command::new("sh")
                .args([
                    "-c",
                    r#"printf '#!/bin/sh\necho "%s"\n' "$2" >"$1" && chmod +x "$1""#,
                    "sh",
                ])
                .arg(self.path(dir).join(program))
                .arg(version)
                .status()
                .unwrap();
            assert!(written.success());
        }
    }

    fn pgvector(&self, share: &str) {
        let extension = self.path(share).join("extension");
        fs::create_dir_all(&extension).unwrap();
        fs::write(extension.join("vector.control"), "").unwrap();
    }

    fn find(&self, install_dir: Option<&str>) -> Result<Installation, InstallError> {
        let mut config = Config::new(self.path("default"), self.path("data"));
        config.install_dir = install_dir.map(|dir| self.path(dir));
        Installation::find_among(&config, &self.path("lib"), &self.path("share"))
    }

    /// The folder and version found, or the error's text.
    fn found(&self, install_dir: Option<&str>) -> Result<String, String> {
        let found = self.find(install_dir).map_err(|error| error.to_string())?;
        let dir = found.dir.strip_prefix(self.dir.path()).unwrap();
        Ok(format!("{} {}", dir.display(), found.version))
    }
}

#[test]
fn prefers_the_configured_then_the_default_then_the_newest_of_the_system() {
    let machine = Machine::new();
    let error = machine.found(None).unwrap_err();
    assert!(error.starts_with("found no PostgreSQL with pgvector"), "{error}");
    assert!(error.contains("run `ci/setup`"), "{error}");

    for major in ["9.6", "13", "14", "15", "16"] {
        machine.programs(&format!("lib/{major}"), &format!("postgres (PostgreSQL) {major}.1"));
    }
    assert!(machine.found(None).is_err());
    // Without pgvector 16 is none, and 13 is too old.
    for major in ["13", "14", "15"] {
        machine.pgvector(&format!("share/{major}"));
    }
    assert_eq!(machine.found(None).unwrap(), "lib/15 15.1");

    machine.programs("default", "postgres (PostgreSQL) 18.6 (Debian 18.6-1)");
    machine.pgvector("default/share");
    assert_eq!(machine.found(None).unwrap(), "default 18.6");

    assert_eq!(machine.found(Some("lib/14")).unwrap(), "lib/14 14.1");
}

#[test]
fn a_configured_folder_is_used_or_refused() {
    let machine = Machine::new();
    machine.programs("default", "postgres (PostgreSQL) 18.6");
    machine.pgvector("default/share");

    let error = machine.found(Some("none")).unwrap_err();
    assert!(error.contains("has no bin/postgres;"), "{error}");

    machine.programs("bare", "postgres (PostgreSQL) 18.6");
    let error = machine.found(Some("bare")).unwrap_err();
    assert!(error.contains("has no pgvector"), "{error}");

    machine.programs("old", "postgres (PostgreSQL) 13.9");
    machine.pgvector("old/share/postgresql");
    let error = machine.found(Some("old")).unwrap_err();
    assert!(error.contains("is version 13.9, and at least 14 is needed"), "{error}");

    machine.programs("other", "postgrest 12");
    machine.pgvector("other/share");
    let error = machine.found(Some("other")).unwrap_err();
    assert!(error.contains("printed \"postgrest 12\""), "{error}");
}

#[test]
fn reads_versions() {
    let cases = [
        ("postgres (PostgreSQL) 18.6", Some((18, "18.6"))),
        ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some((15, "15.18"))),
        ("postgres (PostgreSQL) 19beta1", Some((19, "19beta1"))),
        ("postgres (PostgreSQL) ", None),
        ("postgres (PostgreSQL) devel", None),
        ("postgres 18", None),
        ("", None),
    ];
    for (output, expected) in cases {
        let version = Version::parse(output);
        let found = version.as_ref().map(|version| (version.major, version.text.as_str()));
        assert_eq!(found, expected, "{output:?}");
    }
}
