//! The HTTP interface: Toxiproxy's, and beside it `/decisions`, `/counters` and `/phase`.

use std::io;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::error::ProxyError;
use super::handle::FaultProxy;
use super::wire;

/// What `/version` names as the implementation, by which a client knows that the further keys are understood.
pub const IMPLEMENTATION: &str = "codebase-mcp fault proxy";

/// The release of Toxiproxy whose interface this is.
const COMPATIBLE_WITH: &str = "2.12.0";

/// How long requests that are under way may take once the server is to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

type Answer = Result<Response, Failure>;

/// An error as an answer.
struct Failure(ProxyError);

impl From<ProxyError> for Failure {
    fn from(error: ProxyError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        failure(status, &self.0.to_string())
    }
}

/// Serves the interface of `proxy` on `listener` until `stop` is cancelled. The proxy itself goes on: shut it
/// down afterwards.
pub async fn serve(
    proxy: FaultProxy,
    listener: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let stopping = stop.clone();
    let serving = axum::serve(listener, router(proxy))
        .with_graceful_shutdown(async move { stopping.cancelled().await });
    let limit = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_LIMIT).await;
    };
    tokio::select! {
        result = serving => result,
        () = limit => Ok(()),
    }
}

fn router(proxy: FaultProxy) -> Router {
    Router::new()
        .route("/proxies", get(list).post(create))
        .route("/populate", post(populate))
        .route("/proxies/{proxy}", get(show).patch(update).post(update).delete(delete))
        .route("/proxies/{proxy}/toxics", get(toxics).post(add_toxic))
        .route(
            "/proxies/{proxy}/toxics/{toxic}",
            get(show_toxic).patch(update_toxic).post(update_toxic).delete(remove_toxic),
        )
        .route("/reset", post(reset))
        .route("/version", get(version))
        .route("/decisions", get(decisions))
        .route("/counters", get(counters))
        .route("/phase", post(phase))
        .fallback(async || failure(StatusCode::NOT_FOUND, "there is no such path; see /proxies"))
        .method_not_allowed_fallback(async || {
            failure(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method")
        })
        .layer(from_fn(no_browsers))
        .with_state(proxy)
}

/// A page in a browser must not be able to change proxies, as with Toxiproxy.
async fn no_browsers(request: Request, next: Next) -> Response {
    let agent = request.headers().get(header::USER_AGENT);
    if agent.is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/")) {
        return failure(StatusCode::FORBIDDEN, "browsers are not served; use another client");
    }
    next.run(request).await
}

async fn list(State(proxy): State<FaultProxy>) -> Response {
    Json(proxy.views().await).into_response()
}

async fn create(State(proxy): State<FaultProxy>, body: Bytes) -> Answer {
    let view = proxy.create(wire::proxy(&body)?).await?;
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

async fn populate(State(proxy): State<FaultProxy>, body: Bytes) -> Answer {
    let views = proxy.populate(wire::proxies(&body)?).await?;
    // Clients rely on there being no other key.
    Ok((StatusCode::CREATED, Json(json!({ "proxies": views }))).into_response())
}

async fn show(State(proxy): State<FaultProxy>, Path(name): Path<String>) -> Answer {
    Ok(Json(proxy.view(&name).await?).into_response())
}

async fn update(State(proxy): State<FaultProxy>, Path(name): Path<String>, body: Bytes) -> Answer {
    Ok(Json(proxy.update(&name, wire::patch(&body)?).await?).into_response())
}

async fn delete(State(proxy): State<FaultProxy>, Path(name): Path<String>) -> Answer {
    proxy.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn toxics(State(proxy): State<FaultProxy>, Path(name): Path<String>) -> Answer {
    Ok(Json(proxy.view(&name).await?.toxics).into_response())
}

async fn add_toxic(
    State(proxy): State<FaultProxy>,
    Path(name): Path<String>,
    body: Bytes,
) -> Answer {
    Ok(Json(proxy.add_toxic(&name, wire::toxic(&body)?).await?).into_response())
}

async fn show_toxic(
    State(proxy): State<FaultProxy>,
    Path((name, toxic)): Path<(String, String)>,
) -> Answer {
    Ok(Json(proxy.toxic(&name, &toxic).await?).into_response())
}

async fn update_toxic(
    State(proxy): State<FaultProxy>,
    Path((name, toxic)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let patch = wire::toxic_patch(&body)?;
    Ok(Json(proxy.update_toxic(&name, &toxic, patch).await?).into_response())
}

async fn remove_toxic(
    State(proxy): State<FaultProxy>,
    Path((name, toxic)): Path<(String, String)>,
) -> Answer {
    proxy.remove_toxic(&name, &toxic).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn reset(State(proxy): State<FaultProxy>) -> Answer {
    proxy.reset().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What `/version` answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) version: String,
    #[serde(default)]
    pub(super) implementation: String,
}

async fn version() -> Response {
    let version = COMPATIBLE_WITH.to_owned();
    Json(Version { version, implementation: IMPLEMENTATION.to_owned() }).into_response()
}

async fn decisions(State(proxy): State<FaultProxy>, uri: Uri) -> Answer {
    let since = uri.query().and_then(|query| {
        query.split('&').find_map(|pair| pair.strip_prefix("since=")).map(str::to_owned)
    });
    let since = since.unwrap_or_else(|| "0".to_owned());
    let rule = "it is the number of a decision, from 0";
    let Ok(number) = since.parse() else {
        return Err(ProxyError::Value { field: "since", value: since, rule }.into());
    };
    Ok(Json(proxy.decisions(number)).into_response())
}

async fn counters(State(proxy): State<FaultProxy>) -> Response {
    Json(proxy.counters()).into_response()
}

/// What `/phase` asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PhaseRequest {
    pub(super) name: String,
}

async fn phase(State(proxy): State<FaultProxy>, body: Bytes) -> Answer {
    let request: PhaseRequest = serde_json::from_slice(&body)
        .map_err(|error| ProxyError::Body { cause: error.to_string() })?;
    proxy.begin_phase(&request.name)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn failure(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error, "status": status.as_u16() }))).into_response()
}
