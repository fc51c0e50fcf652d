//! The configuration: one YAML file and the environment, read once into the settings of each part.
//!
//! Each part owns its `Config` with the defaults. [`keys`] lists the keys that set its fields,
//! together with their bounds. A value of the environment comes before one of the file, and that
//! before the default. Whatever is wrong is collected, so that [`ConfigErrors`] lists everything at
//! once.

mod changes;
mod document;
mod environment;
mod error;
mod expand;
mod keys;
mod known;
mod print;
mod read;
mod rule;
mod rules;
mod secret;
mod slot;
#[cfg(test)]
mod tests;
mod units;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{index, jobs, pool, postgres, telemetry};

use self::document::Document;
use self::keys::Draft;
use self::known::Known;
use self::read::Reader;
use self::slot::{Given, Slot};

pub use self::changes::Change;
pub use self::environment::Environment;
pub use self::error::{ConfigErrors, Fault, Place, Position, Problem, Size, Suspect};
pub use self::expand::ExpandError;
pub use self::known::Suggestion;
pub use self::rule::{Refusal, Rule};
pub use self::secret::{DatabaseUrl, NotADatabaseUrl};
pub use self::units::Measure;

/// The name of the configuration file in the folders where it is looked for.
pub const FILE_NAME: &str = "codebase-mcp.yaml";

/// The variable that names the configuration file.
pub const FILE_VARIABLE: &str = "CODEBASE_MCP_CONFIG";

/// A commented configuration file with every key, which says the same as no file at all.
pub const DEFAULT_FILE: &str = include_str!("../../codebase-mcp.yaml");

/// Reads a duration with its unit, such as `500ms`, as the configuration does, for arguments of commands.
///
/// # Errors
/// A text that is no duration or one that is out of bounds, with what to do about it.
pub fn parse_duration(text: &str, bounds: RangeInclusive<Duration>) -> Result<Duration, String> {
    let mut duration = *bounds.start();
    let mut slot = Slot::time(&mut duration, bounds);
    let rule = slot.rule();
    let read = slot.set(&Given::Free(text));
    read.map(|_| duration).map_err(|refusal| format!("{refusal}; {}", refusal.fix(&rule, None)))
}

/// The settings of all parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Which database is used.
    pub database: Database,
    /// The connection pool.
    pub pool: pool::Config,
    /// Indexing.
    pub index: index::Config,
    /// Background jobs.
    pub jobs: jobs::Config,
    /// The server.
    pub server: Server,
    /// Logging.
    pub telemetry: telemetry::Config,
}

/// Which database is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A PostgreSQL that this program starts and stops.
    Embedded(postgres::Config),
    /// A PostgreSQL that somebody else runs.
    External {
        /// Where it is, and as whom to connect.
        url: DatabaseUrl,
    },
}

/// How the server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Longest wait of a call for a database that is still starting: 0 to 5 min. 0 refuses the call
    /// at once.
    pub startup_wait: Duration,
}

/// A configuration and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The file.
    pub origin: Origin,
    /// What is set without an effect.
    pub notices: Vec<Notice>,
    /// Where the values of the keys come from, by their paths such as `pool.max_size`. A key that
    /// is missing has its default.
    pub sources: BTreeMap<&'static str, Place>,
}

/// The file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This file.
    File(PathBuf),
    /// No file: every key not set in the environment has its default.
    BuiltIn,
}

/// Something that is set without an effect, which may surprise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Two variables for the same key.
    Overruled {
        /// The variable without an effect.
        variable: String,
        /// The variable that comes before it.
        by: String,
    },
    /// A URL, while the mode asks for the embedded database.
    UrlNotUsed {
        /// Where the URL comes from.
        url_place: Place,
        /// Where the mode comes from.
        mode_place: Place,
    },
}

/// Who runs the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Embedded,
    External,
}

impl Config {
    /// Reads the configuration: the file at `explicit`, else at [`FILE_VARIABLE`], else
    /// `codebase-mcp.yaml` in the working folder or the user's configuration folder, else none.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once. A file that is not YAML hides what else is wrong.
    pub fn load(
        explicit: Option<&Path>,
        environment: &Environment,
    ) -> Result<Loaded, ConfigErrors> {
        let found = find(explicit, environment)?;
        let (origin, document) = match found {
            Some((path, document)) => (Origin::File(path), Some(document)),
            None => (Origin::BuiltIn, None),
        };
        resolve(origin, document.as_ref(), environment)
    }

    /// The defaults, without any file or override. The environment says where data belongs.
    ///
    /// # Errors
    ///
    /// When the environment doesn't say that.
    pub fn default_for(environment: &Environment) -> Result<Self, ConfigErrors> {
        let mut folders = environment.clone();
        folders.variables.retain(|name, _| name == "HOME" || name == "XDG_DATA_HOME");
        resolve(Origin::BuiltIn, None, &folders).map(|loaded| loaded.config)
    }

    /// The configuration as YAML with every key that has an effect. The password of the database
    /// is masked; everything else reads back as it is.
    pub fn to_yaml(&self) -> String {
        print::yaml(Draft::from(self), |_| None)
    }
}

impl Loaded {
    /// As [`Config::to_yaml`], with a comment at each value that is not the default.
    pub fn to_yaml(&self) -> String {
        print::yaml(Draft::from(&self.config), |key| {
            self.sources.get(key).map(|source| format!("from {source}"))
        })
    }
}

impl Default for Server {
    fn default() -> Self {
        Self { startup_wait: Duration::from_secs(10) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::BuiltIn => formatter.write_str("the built-in defaults"),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overruled { variable, by } => {
                write!(formatter, "{variable} is not used, because {by} comes before it")
            }
            Self::UrlNotUsed { url_place, mode_place } => write!(
                formatter,
                "the database URL of {url_place} is not used, because database.mode ({mode_place}) \
                 is embedded"
            ),
        }
    }
}

/// Finds and parses the file. A file that somebody named must exist.
fn find(
    explicit: Option<&Path>,
    environment: &Environment,
) -> Result<Option<(PathBuf, Document)>, ConfigErrors> {
    let working_dir = &environment.working_dir;
    let open = |path: &Path| {
        let path = working_dir.join(path);
        let shown = path.strip_prefix(working_dir).unwrap_or(&path);
        Document::open(&path, shown)
            .map(|document| document.map(|document| (path.clone(), document)))
    };
    let variable = environment.value(FILE_VARIABLE).map(Path::new);
    if let Some(path) = explicit.or(variable) {
        let place = match explicit {
            Some(_) => Place::Argument,
            None => Place::Variable(FILE_VARIABLE.to_owned()),
        };
        let missing = || Problem::at(place, Fault::Missing { path: path.to_owned() }).into();
        return open(path)?.ok_or_else(missing).map(Some);
    }
    for folder in [Some(working_dir.clone()), environment.config_folder()].into_iter().flatten() {
        if let Some(found) = open(&folder.join(FILE_NAME))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn resolve(
    origin: Origin,
    document: Option<&Document>,
    environment: &Environment,
) -> Result<Loaded, ConfigErrors> {
    let data_folder = environment.data_folder();
    let mut draft = Draft::new(data_folder.as_deref().unwrap_or(Path::new("")));
    let mut reader = Reader::new(document, environment);
    reader.check_names(&Known::new(&draft.keys()));

    // The mode first: where it asks for the embedded database, a DATABASE_URL that is in the
    // environment for other programs does not even have to be valid.
    let is_mode = |key: &keys::Key<'_>| key.path == "database.mode";
    draft.keys().into_iter().filter(is_mode).for_each(|key| reader.read(key));
    if draft.mode == Some(Mode::Embedded) && reader.ignore("DATABASE_URL") {
        let url_place = Place::Variable("DATABASE_URL".to_owned());
        let mode_place = reader.source("database.mode");
        reader.notices.push(Notice::UrlNotUsed { url_place, mode_place });
    }
    draft.keys().into_iter().filter(|key| !is_mode(key)).for_each(|key| reader.read(key));

    rules::check_pool(&draft, &mut reader);
    let database = rules::database(&draft, data_folder.as_deref(), &mut reader);
    let Reader { problems, notices, sources, .. } = reader;
    match database {
        Some(database) if problems.is_empty() => {
            let Draft { pool, index, jobs, server, telemetry, .. } = draft;
            let config = Config { database, pool, index, jobs, server, telemetry };
            Ok(Loaded { config, origin, notices, sources })
        }
        _ => Err(problems.into_errors()),
    }
}
