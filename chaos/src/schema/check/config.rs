//! What a scenario runs against, and the settings of that.

use std::collections::BTreeMap;
use std::path::PathBuf;

use codebase_mcp::config::{self, Config, ConfigErrors, Environment, Place};

use super::super::error::{Problem, Wrong};
use super::super::place::Step;
use super::super::scalar::Mapping;
use super::super::{Target, nearest, raw};
use super::{Check, texts};

/// What the variables of settings begin with.
const PREFIX: &str = "CODEBASE_MCP__";

/// The variables with which a server has these settings.
pub fn variables(config: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    config.iter().map(|(path, value)| (variable(path), value.clone())).collect()
}

fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.to_uppercase().replace('.', "__"))
}

/// The configuration with these settings and defaults for everything else, by the server's own reader.
///
/// # Errors
/// Everything that is wrong with them.
pub fn settings(config: &BTreeMap<String, String>) -> Result<Config, ConfigErrors> {
    let variables = variables(config).into_iter().map(|(name, value)| (name, value.into()));
    let mut environment = Environment {
        variables: variables.collect(),
        effective_uid: 0,
        // Nobody can put a configuration file there.
        working_dir: PathBuf::from("/proc"),
    };
    environment.variables.insert("HOME".to_owned(), "/".into());
    Config::load(None, &environment).map(|loaded| loaded.config)
}

pub(super) fn target(
    check: &mut Check<'_>,
    environment: &raw::Environment,
    overrides: &BTreeMap<String, String>,
) -> Option<Target> {
    match (&environment.server, &environment.pool) {
        (Some(server), None) => {
            let config = Settings::new(&server.config, overrides).check(check, "server");
            Some(Target::Server { start: server.start, config })
        }
        (None, Some(pool)) => {
            let config = Settings::new(&pool.config, overrides).check(check, "pool");
            Some(Target::Pool { config })
        }
        (None, None) | (Some(_), Some(_)) => {
            let rule = "the environment has either a `server` or a `pool`";
            check.rule(&[Step::Key("environment")], rule);
            None
        }
    }
}

/// Settings by path, and those of them that are the command line's.
struct Settings<'a> {
    all: BTreeMap<String, String>,
    overrides: &'a BTreeMap<String, String>,
}

impl<'a> Settings<'a> {
    fn new(written: &Mapping, overrides: &'a BTreeMap<String, String>) -> Self {
        let mut all = texts(written);
        all.extend(overrides.clone());
        Self { all, overrides }
    }

    /// Lets the server's own reader check them. Each problem is told of the setting, by the name that it has here.
    fn check(self, check: &mut Check<'_>, section: &str) -> BTreeMap<String, String> {
        if let Err(errors) = settings(&self.all) {
            for problem in errors.problems() {
                self.tell(check, section, problem);
            }
        }
        self.all
    }

    fn tell(&self, check: &mut Check<'_>, section: &str, problem: &config::Problem) {
        let path_of = |place: &Place| {
            let Place::Variable(name) = place else { return None };
            self.all.keys().find(|path| variable(path) == *name)
        };
        let paths: Vec<&String> = problem.places.iter().filter_map(path_of).collect();
        // What the file has was right without the command line.
        let ours = paths.iter().find(|path| self.overrides.contains_key(**path));
        let path = ours.or(paths.first()).map_or("", |path| path.as_str());
        let rule = self.rule(path, &problem.fault);
        if let Some(value) = self.overrides.get(path) {
            let rule = format!("`--set config.{path}={value}`: {rule}");
            check.problems.push(Problem::whole(Wrong::Rule { rule }));
            return;
        }
        let unknown = matches!(problem.fault, config::Fault::UnknownVariable { .. });
        let setting = if unknown { Step::Name(path) } else { Step::Key(path) };
        let above = [Step::Key("environment"), Step::Key(section), Step::Key("config")];
        check.rule(&[&above[..], &[setting]].concat(), rule);
    }

    /// What is wrong and what to do, in the names of this file instead of variables.
    fn rule(&self, path: &str, fault: &config::Fault) -> String {
        if let config::Fault::UnknownVariable { nearest: variable } = fault {
            let near = variable.iter().map(|name| {
                name.strip_prefix(PREFIX).unwrap_or(name).replace("__", ".").to_lowercase()
            });
            let near: Vec<String> = near.collect();
            return match nearest(path, near.iter().map(String::as_str)) {
                Some(near) => format!("`{path}` is no setting; did you mean `{near}`?"),
                None => format!("`{path}` is no setting; remove it"),
            };
        }
        let rule = fault.rule().map(|rule| format!(" ({rule})")).unwrap_or_default();
        let told = format!("{fault}{rule}; {}", fault.fix());
        // One variable's name may be how another one's begins.
        let mut names: Vec<String> = self.all.keys().map(|path| variable(path)).collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names.iter().fold(told, |told, name| told.replace(name, "set here"))
    }
}
