//! The configuration.

use std::collections::BTreeMap;
use std::fs;

use codebase_mcp::config::{Config, Environment, FILE_NAME};

use crate::benchmark::{Kernel, Prepared};

/// Most keys, each with its default. It does not follow the default file: keys that are added make no loader slower.
const FILE: &str = include_str!("inputs/config.yaml");

/// An iteration: a file is found, read and checked, as `config check` does it.
pub(crate) fn parse() -> Prepared {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join(FILE_NAME), FILE)?;
    // The same for everybody.
    let environment = Environment {
        variables: BTreeMap::from([("HOME".to_owned(), "/home/gate".into())]),
        effective_uid: 1000,
        working_dir: folder.path().to_owned(),
    };
    Config::load(None, &environment)?;
    Ok(Kernel::repeating(move || {
        let _kept = &folder;
        Config::load(None, &environment)
    }))
}
