//! What a client asks a server for.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codebase_mcp::pool::Health;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::error::CallError;
use super::server::{Server, Shared, lock};
use super::violation::Breach;
use super::wire;

/// The protocol's version that is asked for.
const PROTOCOL: &str = "2025-06-18";
/// The address of the pools' health.
const HEALTH: &str = "health://connection-pool";
/// How often an indexing job is looked at.
const FOLLOW: Duration = Duration::from_millis(100);

/// A request that is under way; dropped before its answer, it is cancelled.
struct UnderWay {
    shared: Arc<Shared>,
    id: u64,
    /// Whether the server knows of it, and may be told that nobody waits any more.
    cancellable: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if lock(&self.shared.calls).give_up(self.id) && self.cancellable {
            let params = json!({ "requestId": self.id, "reason": "the caller waits no more" });
            self.shared.tell(&json!({
                "jsonrpc": wire::VERSION, "method": "notifications/cancelled", "params": params,
            }));
        }
    }
}

/// Each of these waits for its answer without a limit.
///
/// # Cancel safety
/// A dropped future cancels the request at the server, except for [`initialize`](Self::initialize), which the
/// protocol does not let cancel.
impl Server {
    /// Makes the handshake and gives what the server says about itself.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn initialize(&self) -> Result<Value, CallError> {
        let client = json!({ "name": "scenarios", "version": env!("CARGO_PKG_VERSION") });
        let params =
            json!({ "protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client });
        let info = self.request("initialize", params).await?;
        let whole = info.get("protocolVersion").is_some_and(Value::is_string)
            && info.get("capabilities").is_some_and(Value::is_object)
            && info.pointer("/serverInfo/name").is_some_and(Value::is_string);
        if !whole {
            return Err(self.broken(Breach::Result, &info));
        }
        self.shared().greeted.get_or_init(|| self.epoch().elapsed());
        let done = json!({ "jsonrpc": wire::VERSION, "method": "notifications/initialized" });
        let stdin = self.shared().stdin().ok_or(CallError::Gone)?;
        stdin.send(done.to_string()).await.map_err(|_closed| CallError::Gone)?;
        Ok(info)
    }

    /// Sends a request and gives its result.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn request(&self, method: &str, params: Value) -> Result<Value, CallError> {
        let stdin = self.shared().stdin().ok_or(CallError::Gone)?;
        let (id, answer) = lock(&self.shared().calls).begin().ok_or(CallError::Gone)?;
        let shared = Arc::clone(self.shared());
        let mut under_way = UnderWay { shared, id, cancellable: false };
        let line =
            json!({ "jsonrpc": wire::VERSION, "id": id, "method": method, "params": params });
        stdin.send(line.to_string()).await.map_err(|_closed| CallError::Gone)?;
        // One more sender would keep the pipe open when it is to be closed.
        drop(stdin);
        under_way.cancellable = method != "initialize";
        let reply = answer.await.map_err(|_closed| CallError::Gone)?;
        reply.map_err(|error| CallError::Refused { code: error.code, message: error.message })
    }

    /// Calls a tool and gives its structured result.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn call(&self, tool: &str, arguments: Value) -> Result<Value, CallError> {
        let params = json!({ "name": tool, "arguments": arguments });
        let mut result = self.request("tools/call", params).await?;
        let failed = wire::tool_failed(&result).map_err(|breach| self.broken(breach, &result))?;
        let structured = result.get_mut("structuredContent").map(Value::take).unwrap_or_default();
        if failed { Err(tool_error(&structured)) } else { Ok(structured) }
    }

    /// Asks `search_code` a question, which must have hits once [`index`](Self::index) has come to its end: a server
    /// whose database fails must say so, and not that there is nothing.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn call_search(&self, query: &str) -> Result<Value, CallError> {
        // An answer may be from before an index that is made while it is under way.
        let indexed = self.shared().indexed.load(Ordering::Acquire);
        let found = self.call("search_code", json!({ "query": query })).await?;
        if is_search_result(&found, indexed) {
            Ok(found)
        } else {
            Err(self.broken(Breach::Result, &found))
        }
    }

    /// Indexes a repository and follows the job to its end, which gives its last status. A job that fails is
    /// [`CallError::Tool`] with the job's code.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn index(&self, repository: &Path) -> Result<Value, CallError> {
        let arguments = json!({ "repo_path": repository });
        let job = self.call("start_indexing_background", arguments).await?;
        let Some(id) = job.get("job_id").and_then(Value::as_str) else {
            return Err(self.broken(Breach::Result, &job));
        };
        loop {
            let status = self.call("get_indexing_status", json!({ "job_id": id })).await?;
            let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default();
            match text("status") {
                "completed" => {
                    self.shared().indexed.store(true, Ordering::Release);
                    return Ok(status);
                }
                "failed" => {
                    let (code, message) = (text("error_code"), text("error_message"));
                    let (code, message) = (code.to_owned(), message.to_owned());
                    return Err(CallError::Tool { code, message });
                }
                "pending" | "running" => sleep(FOLLOW).await,
                _ => return Err(self.broken(Breach::Result, &status)),
            }
        }
    }

    /// Reads the health of the pools: the worst one's, and the whole of what is said.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn health(&self) -> Result<(Health, Value), CallError> {
        let answer = self.request("resources/read", json!({ "uri": HEALTH })).await?;
        let text = answer.pointer("/contents/0/text").and_then(Value::as_str);
        let health: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
        let told = health.and_then(|health| {
            let status = Health::deserialize(health.get("status")?).ok()?;
            Some((status, health))
        });
        told.ok_or_else(|| self.broken(Breach::Result, &answer))
    }

    /// Lists the tools.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn list_tools(&self) -> Result<Value, CallError> {
        let answer = self.request("tools/list", json!({})).await?;
        let tools = answer.get("tools").and_then(Value::as_array);
        let whole = tools.is_some_and(|tools| {
            tools.iter().all(|tool| tool.get("name").is_some_and(Value::is_string))
        });
        if whole { Ok(answer) } else { Err(self.broken(Breach::Result, &answer)) }
    }

    /// Counts an answer that breaks a rule.
    fn broken(&self, breach: Breach, answer: &Value) -> CallError {
        self.shared().violate(breach, answer.to_string().as_bytes());
        CallError::Broken { breach }
    }
}

/// Whether it is what a search gives: hits, if a repository was `indexed`, and what only its databases can say, which
/// project that is and how many of its files are indexed.
fn is_search_result(found: &Value, indexed: bool) -> bool {
    let said = |key| found.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let hits = found.get("results").and_then(Value::as_array);
    hits.is_some_and(|hits| !(indexed && hits.is_empty()))
        && said("project_id")
        && said("database_name")
        && found.pointer("/coverage/indexed").is_some_and(Value::is_u64)
}

/// The error of a tool, whose parts have been looked at.
fn tool_error(error: &Value) -> CallError {
    let text = |part| error.get(part).and_then(Value::as_str).unwrap_or_default().to_owned();
    CallError::Tool { code: text("code"), message: text("message") }
}
