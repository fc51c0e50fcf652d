//! Projects: which one a request means, and the pool of its database.

mod error;

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use error::ProjectError;

use crate::pool::{self, AcquireOptions, PgPool, Postgres, Statistics};
use crate::store::databases::{self, DatabaseName};
use crate::store::projects::{self, ProjectRow};
use crate::store::{self, Schema};

/// How long a migration may hold its connection before that is reported.
const MIGRATION: Duration = Duration::from_mins(5);

/// The registry's database.
const REGISTRY: &str = "codebase_mcp_registry";

/// The project that is meant when nobody names one; made on first use.
const DEFAULT_PROJECT: &str = "default";
const DEFAULT_ID: Uuid = Uuid::nil();
const DEFAULT_DATABASE: &str = "cb_proj_default_00000000";

/// A project with the pool of its database.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The database that holds its index.
    pub database_name: String,
    /// The pool of its database; the only way to it.
    pub pool: PgPool,
}

/// All projects of one PostgreSQL server.
#[derive(Debug)]
pub struct Projects {
    server: PgConnectOptions,
    registry: PgPool,
    /// Held while a project is being opened, so that it is opened once.
    opening: tokio::sync::Mutex<()>,
    /// Held for moments only, so that whoever looks at the pools waits for no database.
    open: Mutex<Open>,
    /// Ends the opening of a project, which waits for its database as long as a migration may take.
    closing: CancellationToken,
}

/// The open projects, and what their pools are made with.
#[derive(Debug)]
struct Open {
    pool_config: pool::Config,
    projects: BTreeMap<Uuid, Project>,
}

impl Projects {
    /// Connects to the server that `server` describes, makes the registry if there is none, and brings it
    /// to this program's schema.
    ///
    /// `server` names a database to connect to before the registry exists, such as `postgres`.
    ///
    /// # Cancel safety
    /// A dropped future closes what it opened; a database that it made stays and is found next time.
    pub async fn connect(
        server: PgConnectOptions,
        pool_config: pool::Config,
    ) -> Result<Self, ProjectError> {
        let registry_name = DatabaseName::new(REGISTRY).expect("the registry's name is valid");
        ensure_database(&server, &pool_config, &registry_name).await?;
        let registry = open_pool("registry", &server, &pool_config, &registry_name)?;
        migrated(&registry, Schema::Registry).await?;
        let open = Mutex::new(Open { pool_config, projects: BTreeMap::new() });
        let (opening, closing) = (tokio::sync::Mutex::new(()), CancellationToken::new());
        Ok(Self { server, registry, opening, open, closing })
    }

    /// The pool of the registry's database.
    pub fn registry(&self) -> &PgPool {
        &self.registry
    }

    /// The project that `explicit` (an id or a name) means, or the default project.
    ///
    /// # Errors
    /// A project that was named and does not exist is an error, never another project.
    ///
    /// # Cancel safety
    /// As for [`connect`](Self::connect).
    pub async fn resolve(&self, explicit: Option<&str>) -> Result<Project, ProjectError> {
        let row = match explicit {
            // Text in PostgreSQL holds no NUL, so no project is called that.
            Some(id_or_name) if id_or_name.contains('\0') => {
                return Err(ProjectError::NotFound { project: id_or_name.to_owned() });
            }
            Some(id_or_name) => {
                let mut lease = self.registry.acquire().await?;
                let found = projects::find(&mut lease, id_or_name).await?;
                found.ok_or_else(|| ProjectError::NotFound { project: id_or_name.to_owned() })?
            }
            None => self.registered_default().await?,
        };
        self.open(row).await
    }

    /// The project of a job that was accepted earlier. Cancel safe as [`resolve`](Self::resolve).
    pub async fn by_id(&self, id: Uuid) -> Result<Project, ProjectError> {
        if id == DEFAULT_ID {
            return self.resolve(None).await;
        }
        self.resolve(Some(&id.to_string())).await
    }

    /// What every pool counts: the registry's first, then those of the open projects.
    pub fn statistics(&self) -> Vec<Statistics> {
        self.pools().iter().map(PgPool::statistics).collect()
    }

    /// Runs every pool with this configuration from now on, those that are opened later too.
    ///
    /// # Errors
    /// A configuration that breaks a rule changes no pool.
    pub fn reconfigure(&self, config: &pool::Config) -> Result<(), pool::ConfigError> {
        config.validate()?;
        let mut open = self.open.lock();
        if open.pool_config == *config {
            return Ok(());
        }
        open.pool_config.clone_from(config);
        let projects = open.projects.values().map(|project| &project.pool);
        std::iter::once(&self.registry)
            .chain(projects)
            .try_for_each(|pool| reconfigure(pool, config))
    }

    /// Tells every pool that the database is back, so that none waits for its next attempt.
    pub fn reconnect_now(&self) {
        self.pools().iter().for_each(PgPool::reconnect_now);
    }

    /// Closes every pool, all at once, so that their limits do not add up. After a dropped future the pools close by
    /// themselves as their leases end.
    pub async fn shutdown(&self) {
        self.closing.cancel();
        let projects = async {
            // A project that is being opened is among them, or is given up.
            let _opening = self.opening.lock().await;
            let projects = self.open.lock().projects.clone();
            let closing = projects.values().map(|project| project.pool.shutdown());
            futures_util::future::join_all(closing).await;
        };
        tokio::join!(self.registry.shutdown(), projects);
    }

    fn pools(&self) -> Vec<PgPool> {
        let open = self.open.lock();
        let projects = open.projects.values().map(|project| project.pool.clone());
        std::iter::once(self.registry.clone()).chain(projects).collect()
    }

    /// The default project as it is registered, or as it will be.
    async fn registered_default(&self) -> Result<ProjectRow, ProjectError> {
        let mut lease = self.registry.acquire().await?;
        let registered = projects::find(&mut lease, DEFAULT_PROJECT).await?;
        Ok(registered.unwrap_or_else(default_project))
    }

    async fn open(&self, row: ProjectRow) -> Result<Project, ProjectError> {
        let known = |id| self.open.lock().projects.get(id).cloned();
        if let Some(project) = known(&row.id) {
            return Ok(project);
        }
        let _opening = self.opening.lock().await;
        if let Some(project) = known(&row.id) {
            return Ok(project);
        }
        let row = self.ensure(row).await?;
        let name = database_name(&row)?;
        let config = self.open.lock().pool_config.clone();
        let title = format!("project {}", row.name);
        let pool = open_pool(&title, &self.server, &config, &name)?;
        tokio::select! {
            migrated = migrated(&pool, Schema::Project) => migrated?,
            () = self.closing.cancelled() => return Err(ProjectError::Closing),
        }
        let ProjectRow { id, name, database_name } = row;
        let project = Project { id, name, database_name, pool };
        let mut open = self.open.lock();
        if open.pool_config != config {
            // It has changed in the meantime, and this pool was not among the others.
            reconfigure(&project.pool, &open.pool_config)?;
        }
        open.projects.insert(project.id, project.clone());
        Ok(project)
    }

    /// Makes the project's database and registers the project, unless that was done before, here or
    /// elsewhere. The database comes first: a crash in between leaves an empty database that the next
    /// call finds, and never a project without one.
    async fn ensure(&self, row: ProjectRow) -> Result<ProjectRow, ProjectError> {
        let mut lease = self.registry.acquire().await?;
        let name = database_name(&row)?;
        if !databases::exists(&mut lease, &name).await? {
            databases::create(&mut lease, &name).await?;
            tracing::info!(project = row.name, "project database created");
        }
        Ok(projects::register(&mut lease, &row).await?)
    }
}

fn default_project() -> ProjectRow {
    ProjectRow {
        id: DEFAULT_ID,
        name: DEFAULT_PROJECT.to_owned(),
        database_name: DEFAULT_DATABASE.to_owned(),
    }
}

fn database_name(row: &ProjectRow) -> Result<DatabaseName, ProjectError> {
    DatabaseName::new(row.database_name.as_str())
        .ok_or_else(|| ProjectError::DatabaseName { project: row.name.clone() })
}

/// The pool of a database, called `title` in logs and statistics.
fn open_pool(
    title: &str,
    server: &PgConnectOptions,
    config: &pool::Config,
    name: &DatabaseName,
) -> Result<PgPool, ProjectError> {
    let options = server.clone().database(name.as_str());
    let session = format!("codebase-mcp {}", name.as_str());
    let connector = Postgres::new(options, &session, config.command_timeout);
    Ok(PgPool::new(title, config.clone(), connector)?)
}

/// Puts another configuration in force. The server keeps the limit of statements for us, so that one holds for
/// connections that are opened from now on.
fn reconfigure(pool: &PgPool, config: &pool::Config) -> Result<(), pool::ConfigError> {
    pool.connector().set_command_timeout(config.command_timeout);
    pool.reconfigure(config.clone())
}

async fn migrated(pool: &PgPool, schema: Schema) -> Result<(), ProjectError> {
    // A long migration is no leak.
    let options = AcquireOptions { leak_after: Some(MIGRATION), ..AcquireOptions::default() };
    Ok(store::migrate(pool.acquire_with(options).await?, schema).await?)
}

/// Makes the database through a pool of its own to the server's maintenance database.
async fn ensure_database(
    server: &PgConnectOptions,
    config: &pool::Config,
    name: &DatabaseName,
) -> Result<(), ProjectError> {
    let config = pool::Config { min_size: 1, max_size: 1, ..config.clone() };
    let connector = Postgres::new(server.clone(), "codebase-mcp start", config.command_timeout);
    let pool = PgPool::new("start", config, connector)?;
    let mut lease = pool.acquire().await?;
    if !databases::exists(&mut lease, name).await? {
        databases::create(&mut lease, name).await?;
    }
    Ok(())
}
