//! The configuration.

use std::collections::BTreeMap;
use std::fs;

use codebase_mcp::config::{Config, DEFAULT_FILE, Environment, FILE_NAME};

use crate::benchmark::{Kernel, Prepared};

/// An iteration: the file with every key is found, read and checked, as `config check` does it. It is the one input
/// that grows with the code, because a loader takes no file but that of its own keys.
pub(crate) fn parse() -> Prepared {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join(FILE_NAME), DEFAULT_FILE)?;
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
