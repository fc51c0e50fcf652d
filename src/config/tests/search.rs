//! Which file is read.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::Origin;
use crate::config::{Config, ConfigErrors, Environment, Loaded};

/// A folder with a working folder `work` and a home `home`.
struct Folders(tempfile::TempDir);

impl Folders {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("work")).unwrap();
        Self(folder)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Writes a file that sets the largest size of the pool.
    fn write(&self, path: &str, max_size: u32) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("pool: {{max_size: {max_size}}}")).unwrap();
        path
    }

    fn load(
        &self,
        explicit: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Loaded, ConfigErrors> {
        let home = ("HOME".to_owned(), self.path("home").into_os_string());
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.into()));
        let environment = Environment {
            variables: [home].into_iter().chain(variables).collect(),
            effective_uid: 1000,
            working_dir: self.path("work"),
        };
        Config::load(explicit.map(Path::new), &environment)
    }
}

fn error(result: Result<Loaded, ConfigErrors>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_first_file_in_the_order_is_read() {
    let folders = Folders::new();
    let check = |explicit, variables: &[(&str, &str)], size: u32, path: Option<&PathBuf>| {
        let loaded = folders.load(explicit, variables).unwrap();
        assert_eq!(loaded.config.pool.max_size, size);
        assert_eq!(loaded.origin, path.cloned().map_or(Origin::BuiltIn, Origin::File));
    };
    check(None, &[], 10, None);
    let home = folders.write("home/.config/codebase-mcp/codebase-mcp.yaml", 11);
    check(None, &[], 11, Some(&home));
    let xdg = folders.write("xdg/codebase-mcp/codebase-mcp.yaml", 12);
    let xdg_home = folders.path("xdg");
    let xdg_home = [("XDG_CONFIG_HOME", xdg_home.to_str().unwrap())];
    check(None, &xdg_home, 12, Some(&xdg));
    let work = folders.write("work/codebase-mcp.yaml", 13);
    check(None, &xdg_home, 13, Some(&work));
    let named = folders.write("work/named.yaml", 14);
    let variable = [("CODEBASE_MCP_CONFIG", "named.yaml")];
    check(None, &variable, 14, Some(&named));
    let explicit = folders.write("explicit.yaml", 15);
    let argument = explicit.to_str().unwrap();
    check(Some(argument), &variable, 15, Some(&explicit));
    check(None, &[("CODEBASE_MCP_CONFIG", "")], 13, Some(&work));
}

#[test]
fn a_named_file_must_be_there() {
    let folders = Folders::new();
    folders.write("work/codebase-mcp.yaml", 13);
    let argument = error(folders.load(Some("no.yaml"), &[]));
    assert_eq!(
        argument,
        "the configuration has a problem\n\n--config: there is no file no.yaml\n  \
         fix:  correct the path, or create the file"
    );
    let variable = error(folders.load(None, &[("CODEBASE_MCP_CONFIG", "no.yaml")]));
    assert_eq!(variable, argument.replace("--config", "CODEBASE_MCP_CONFIG"));
}

#[test]
fn what_can_not_be_read_is_an_error() {
    let folders = Folders::new();
    fs::create_dir(folders.path("work/codebase-mcp.yaml")).unwrap();
    let folder = error(folders.load(None, &[]));
    assert!(folder.contains("codebase-mcp.yaml: the file can't be read: "), "{folder}");

    fs::write(folders.path("work/odd.yaml"), b"pool:\n  max_size: \xff\n").unwrap();
    let odd = error(folders.load(Some("odd.yaml"), &[]));
    assert!(odd.contains("odd.yaml:2:13: the file is not UTF-8\n"), "{odd}");

    let endless = error(folders.load(Some("/dev/zero"), &[]));
    assert!(endless.contains("/dev/zero: the file is larger than 64 KiB\n"), "{endless}");
}

#[test]
fn the_real_environment_can_be_read() {
    let environment = Environment::of_process();
    assert!(environment.working_dir.is_absolute());
    assert!(!environment.variables.is_empty());
}
