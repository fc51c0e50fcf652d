//! The tools, one file each: what a tool takes, does and gives back.

mod get_indexing_status;
mod index_repository;
mod search_code;
mod start_indexing_background;

use std::path::Path;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, JsonObject, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use search_code::Output as SearchOutput;

use super::Server;
use super::error::{Code, ToolError};
use super::readiness::Services;
use crate::index::Root;
use crate::jobs::Request;
use crate::project::Project;

/// All tools, as clients see them.
pub(super) fn list() -> Vec<Tool> {
    vec![
        search_code::tool(),
        index_repository::tool(),
        start_indexing_background::tool(),
        get_indexing_status::tool(),
    ]
}

/// Calls a tool. A tool that fails is a result for the assistant to read; only an unknown tool is an
/// error of the protocol.
pub(super) async fn call(
    server: &Server,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let arguments = request.arguments.unwrap_or_default();
    let outcome = match request.name.as_ref() {
        search_code::NAME => tool_result(search_code::call(server, arguments).await),
        index_repository::NAME => {
            tool_result(index_repository::call(server, arguments, &context).await)
        }
        start_indexing_background::NAME => {
            tool_result(start_indexing_background::call(server, arguments).await)
        }
        get_indexing_status::NAME => {
            tool_result(get_indexing_status::call(server, arguments).await)
        }
        unknown => {
            let message = format!("there is no tool {unknown}; see tools/list");
            return Err(ErrorData::invalid_params(message, None));
        }
    };
    Ok(outcome.into())
}

/// What a client receives for `outcome`: its JSON as structured content and once more as text, or an error that an
/// assistant can read.
pub fn tool_result(outcome: Result<impl Serialize, ToolError>) -> CallToolResult {
    let value = outcome.and_then(|output| {
        serde_json::to_value(output).map_err(|error| {
            tracing::error!(error = %error, "a result could not be encoded");
            ToolError::new(Code::Indexing, "the result could not be encoded", "report this error")
        })
    });
    match value {
        Ok(value) => CallToolResult::structured(value),
        Err(error) => error.into_result(),
    }
}

/// A tool that takes `I` and gives `O`.
fn describe<I: JsonSchema + 'static, O: JsonSchema + 'static>(
    name: &'static str,
    title: &str,
    description: &'static str,
    annotations: ToolAnnotations,
) -> Tool {
    Tool::new(name, description, JsonObject::new())
        .with_title(title)
        .with_input_schema::<I>()
        .with_output_schema::<O>()
        .with_annotations(annotations.open_world(false))
}

/// Reads the arguments of a tool.
fn parse<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, ToolError> {
    serde_json::from_value(arguments.into()).map_err(|error| {
        ToolError::new(
            Code::Validation,
            format!("the arguments do not fit: {error}"),
            "see the tool's input schema in tools/list",
        )
    })
}

/// The arguments of the two tools that index.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct IndexInput {
    /// The repository's folder, as an absolute path.
    repo_path: String,
    /// Id or name of the project; the default project when left out.
    #[serde(default)]
    project_id: Option<String>,
    /// Index files again although they have not changed.
    #[serde(default)]
    force_reindex: bool,
}

/// Checks the path, then resolves the project: nothing is made for a request that is refused.
async fn accept(services: &Services, input: &IndexInput) -> Result<(Project, Request), ToolError> {
    let root = Root::resolve(Path::new(&input.repo_path))?;
    let project = services.projects.resolve(input.project_id.as_deref()).await?;
    let request = Request {
        project_id: project.id,
        repo_path: root.as_str().to_owned(),
        force_reindex: input.force_reindex,
    };
    Ok((project, request))
}
