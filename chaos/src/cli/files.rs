//! Finding scenario and fault files.

use std::path::{Path, PathBuf};

use codebase_mcp::config::Environment;

use super::CliError;
use crate::schema::{Overrides, Scenario, SchemaErrors, nearest, yaml_files};

/// Where the files of a project are.
#[derive(Debug)]
pub(super) struct Files {
    /// The folder that has `scenarios` in it.
    pub(super) root: PathBuf,
}

impl Files {
    /// Looks in `root`, or else in the working folder and those above it.
    pub(super) fn find(root: Option<&Path>) -> Result<Self, CliError> {
        let working = std::env::current_dir()?;
        let candidates: Vec<PathBuf> = match root {
            Some(root) => vec![working.join(root)],
            None => working.ancestors().map(Path::to_owned).collect(),
        };
        let complete = |folder: &&PathBuf| {
            folder.join("scenarios").is_dir() && folder.join("chaos/faults").is_dir()
        };
        match candidates.iter().find(complete) {
            Some(root) => Ok(Self { root: root.clone() }),
            None => Err(CliError::Invalid(format!(
                "found no folder with `scenarios` and `chaos/faults`, neither {} nor above; \
                 go to the project's folder or name it with --root",
                candidates.first().unwrap_or(&working).display()
            ))),
        }
    }

    /// The folder of the named faults.
    pub(super) fn faults(&self) -> PathBuf {
        self.root.join("chaos/faults")
    }

    /// The folder of the scenarios.
    pub(super) fn scenarios(&self) -> PathBuf {
        self.root.join("scenarios")
    }

    /// Where runs leave their folders.
    pub(super) fn runs(&self) -> PathBuf {
        self.root.join("target/scenarios")
    }

    /// Where the gate leaves its report, and what is made of it.
    pub(super) fn gate(&self) -> PathBuf {
        self.root.join("target/gate")
    }

    /// Reads the scenario with this name, or in this file.
    pub(super) fn open(&self, name: &str, overrides: &Overrides) -> Result<Scenario, CliError> {
        let path = Path::new(name);
        let is_path = path.extension().is_some_and(|extension| extension == "yaml");
        let path = if is_path {
            path.to_owned()
        } else {
            let path = self.scenarios().join(format!("{name}.yaml"));
            if !path.is_file() {
                return Err(self.unknown(name));
            }
            path
        };
        Scenario::open(&path, &self.faults(), overrides)
            .map_err(|errors| invalid(&self.shown(errors)))
    }

    /// All scenarios; what is wrong with any of them is an error.
    pub(super) fn all(&self, overrides: &Overrides) -> Result<Vec<Scenario>, CliError> {
        let mut scenarios = Vec::new();
        let mut wrong = Vec::new();
        for path in yaml_files(&self.scenarios())? {
            match Scenario::open(&path, &self.faults(), overrides) {
                Ok(scenario) => scenarios.push(scenario),
                Err(errors) => wrong.push(self.shown(errors).to_string()),
            }
        }
        if wrong.is_empty() { Ok(scenarios) } else { Err(CliError::Invalid(wrong.join("\n"))) }
    }

    fn unknown(&self, name: &str) -> CliError {
        let files = yaml_files(&self.scenarios()).unwrap_or_default();
        let names: Vec<&str> = files.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
        let advice = match nearest(name, names.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "`scenarios list` shows all".to_owned(),
        };
        CliError::Invalid(format!("there is no scenario `{name}`; {advice}"))
    }

    /// The errors with a path that is short where that is possible.
    pub(super) fn shown(&self, mut errors: SchemaErrors) -> SchemaErrors {
        if let Ok(short) = errors.path.strip_prefix(&self.root) {
            errors.path = short.to_owned();
        }
        errors
    }
}

fn invalid(errors: &SchemaErrors) -> CliError {
    CliError::Invalid(errors.to_string())
}

/// Where the journals of running and killed runners are, unless `chosen` says otherwise.
pub(super) fn journals(chosen: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(folder) = chosen {
        return Ok(folder.to_owned());
    }
    let data = Environment::of_process().data_folder().ok_or_else(|| {
        let fix = "name one with --journals, or set HOME or XDG_DATA_HOME to an absolute path";
        CliError::Unavailable(format!("there is no folder for journals; {fix}"))
    })?;
    Ok(data.join("scenarios"))
}
