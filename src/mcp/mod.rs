//! The Model Context Protocol face: tools, resources, and errors that an assistant can act on.
//!
//! The server answers `initialize` and lists its tools at once, whatever the database does. A tool that
//! needs the database waits a bounded time for it and then says what is missing.

mod error;
mod health;
mod readiness;
mod tools;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, InitializeRequestParams,
    InitializeResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
    ResourceContents, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::sync::watch;

pub use error::{Code, ToolError};
pub use readiness::{Readiness, Services};
pub use tools::{SearchOutput, tool_result};

/// What an assistant is told about the server.
const INSTRUCTIONS: &str = "Searches source repositories by meaning. Index a repository once with \
    start_indexing_background (or index_repository for a small one), follow it with \
    get_indexing_status, then ask search_code what the code does, in words or identifiers.";

/// How much of what a client calls itself is kept, in characters.
const CLIENT_NAME_MAX: usize = 100;

/// One MCP session.
#[derive(Debug, Clone)]
pub struct Server {
    readiness: watch::Receiver<Readiness>,
    startup_wait: Duration,
    client: Arc<OnceLock<Client>>,
}

/// What a client calls itself; nothing proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its name, 100 characters at most.
    pub name: String,
    /// Its version, 100 characters at most.
    pub version: String,
}

impl Server {
    /// Serves with what `readiness` holds; a tool call waits up to `startup_wait` for it.
    pub fn new(readiness: watch::Receiver<Readiness>, startup_wait: Duration) -> Self {
        Self { readiness, startup_wait, client: Arc::default() }
    }

    /// Who is at the other end, once they have said so.
    pub fn client(&self) -> Arc<OnceLock<Client>> {
        Arc::clone(&self.client)
    }

    fn meet(&self, client: &Implementation) {
        let short = |text: &str| text.chars().take(CLIENT_NAME_MAX).collect();
        self.client
            .get_or_init(|| Client { name: short(&client.name), version: short(&client.version) });
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new("codebase-mcp", env!("CARGO_PKG_VERSION"))
            .with_title("Codebase search");
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        self.meet(&request.client_info);
        context.peer.set_peer_info(request.clone());
        self.negotiate_initialize(&request)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::list()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        // A client that does not initialize says with each request who it is.
        if let Some(client) = context.meta.client_info() {
            self.meet(&client);
        }
        tools::call(self, request, context).await
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let mut pool = Resource::new(health::CONNECTION_POOL, "connection-pool");
        pool.title = Some("Connection pool health".to_owned());
        pool.description =
            Some("Health and numbers of the database connection pools, from memory".to_owned());
        pool.mime_type = Some("application/json".to_owned());
        Ok(ListResourcesResult::with_all_items(vec![pool]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != health::CONNECTION_POOL {
            let message = format!("there is no resource {}; see resources/list", request.uri);
            return Err(ErrorData::resource_not_found(message, None));
        }
        let readiness = self.readiness.borrow().clone();
        let health = health::connection_pool(&readiness);
        let text = serde_json::to_string_pretty(&health)
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        let contents = ResourceContents::text(text, request.uri).with_mime_type("application/json");
        Ok(ReadResourceResult::new(vec![contents]).into())
    }
}
