//! What the configuration accepts, where values come from and how errors read.

mod bounds;
mod changes;
mod errors;
mod hostile;
mod search;
mod sources;

use std::path::{Path, PathBuf};

use super::document::Document;
use super::{Config, ConfigErrors, Environment, Loaded, Origin, resolve};

/// A user with a home, and these variables.
fn environment(variables: &[(&str, &str)]) -> Environment {
    let home = [("HOME", "/home/ann")];
    let variables = home.iter().chain(variables).map(|(k, v)| ((*k).to_owned(), (*v).into()));
    Environment {
        variables: variables.collect(),
        effective_uid: 1000,
        working_dir: PathBuf::from("/srv/app"),
    }
}

fn load_in(text: &str, environment: &Environment) -> Result<Loaded, ConfigErrors> {
    let document = Document::parse(Path::new("codebase-mcp.yaml"), text.to_owned())?;
    let origin = Origin::File(PathBuf::from("/srv/app/codebase-mcp.yaml"));
    resolve(origin, Some(&document), environment)
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    load_in(text, &environment(variables))
}

fn config(text: &str, variables: &[(&str, &str)]) -> Config {
    load(text, variables).unwrap_or_else(|errors| panic!("{errors}")).config
}

fn errors(text: &str, variables: &[(&str, &str)]) -> String {
    match load(text, variables) {
        Ok(loaded) => panic!("{text} is accepted as {loaded:?}"),
        Err(errors) => errors.to_string(),
    }
}

/// Compares with the snapshot of this name.
fn check(name: &str, text: impl std::fmt::Display) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, text);
    });
}
