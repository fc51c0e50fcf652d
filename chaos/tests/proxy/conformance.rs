//! Runs `conformance.yaml` against the bundled server, and against a genuine Toxiproxy whose address is in
//! `TOXIPROXY_ADDRESS`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::{GENEROUS, Reply, SILENCE, World, ask, dial};

/// The address of a genuine Toxiproxy's HTTP interface, `host:port`; it must reach this machine's loopback.
const GENUINE: &str = "TOXIPROXY_ADDRESS";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    steps: Vec<Step>,
}

/// One step: exactly one of its keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    http: Option<Request>,
    /// What a new connection through the proxy gets after it has sent `hi`.
    connect: Option<Expected>,
    /// What the same connection gets after it has sent `hi` again.
    again: Option<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    send: String,
    body: Option<Value>,
    status: u16,
    #[serde(default)]
    part: Value,
    /// What a genuine server answers instead.
    genuine: Option<Answer>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    status: u16,
    #[serde(default)]
    part: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Expected {
    Echo,
    /// Only the first byte.
    Cut,
    Nothing,
    /// A FIN, or an RST because what was sent was never read.
    Ended,
    Refused,
}

/// Runs steps against a server.
struct Runner {
    api: SocketAddr,
    echo: String,
    genuine: bool,
    agent: ureq::Agent,
    listen: Option<SocketAddr>,
    socket: Option<TcpStream>,
}

impl Runner {
    async fn run(&mut self, case: &str, step: &Step) {
        if let Some(request) = &step.http {
            self.http(case, request).await;
        }
        if step.connect == Some(Expected::Refused) {
            let refused = TcpStream::connect(self.listen.unwrap()).await;
            assert!(refused.is_err(), "{case}: connected");
        } else if let Some(expected) = step.connect {
            self.socket = Some(dial(self.listen.unwrap()).await);
            self.talk(case, expected).await;
        }
        if let Some(expected) = step.again {
            self.talk(case, expected).await;
        }
    }

    async fn talk(&mut self, case: &str, expected: Expected) {
        let wait = if expected == Expected::Nothing { SILENCE } else { GENEROUS };
        let reply = ask(self.socket.as_mut().unwrap(), b"hi", wait).await;
        let right = match expected {
            Expected::Echo => reply == Reply::Bytes(b"hi".to_vec()),
            Expected::Cut => reply == Reply::Bytes(b"h".to_vec()),
            Expected::Nothing => reply == Reply::Silence,
            Expected::Ended => matches!(reply, Reply::End | Reply::Reset),
            Expected::Refused => false,
        };
        assert!(right, "{case}: {reply:?}");
    }

    async fn http(&mut self, case: &str, request: &Request) {
        let ours = Answer { status: request.status, part: request.part.clone() };
        let expected = request.genuine.clone().filter(|_| self.genuine).unwrap_or(ours);
        let body = request.body.as_ref().map(|body| self.filled(body)).unwrap_or_default();
        let (status, text) = self.ask(&request.send, body).await;
        assert_eq!(status, expected.status, "{case}: {}: {text}", request.send);
        let found: Value = serde_json::from_str(&text).unwrap_or_default();
        let part = serde_json::from_str(&self.filled(&expected.part)).unwrap();
        assert!(contains(&found, &part), "{case}: {}: {part} is not in {found}", request.send);
        let shown = found.pointer("/proxies/0").unwrap_or(&found);
        if let Some(listen) = shown.get("listen").and_then(Value::as_str) {
            self.listen = listen.parse().ok();
        }
    }

    async fn ask(&self, send: &str, body: String) -> (u16, String) {
        let (method, path) = send.split_once(' ').unwrap();
        let url = format!("http://{}{path}", self.api);
        let request = ureq::http::Request::builder().method(method).uri(url).body(body).unwrap();
        let agent = self.agent.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let mut response = agent.run(request).unwrap();
            (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
        });
        asked.await.unwrap()
    }

    fn filled(&self, value: &Value) -> String {
        value.to_string().replace("ECHO", &self.echo)
    }
}

/// Whether `whole` has everything of `part`; `null` is in everything.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (_, Value::Null) => true,
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && whole.iter().zip(part).all(|(whole, part)| contains(whole, part))
        }
        (Value::Number(whole), Value::Number(part)) => whole.as_f64() == part.as_f64(),
        _ => whole == part,
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .new_agent()
}

#[tokio::test]
async fn the_server_answers_as_toxiproxy_does_but_for_the_differences_listed() {
    let world = World::new().await;
    #[expect(clippy::disallowed_methods, reason = "tests have no configuration of their own")]
    let genuine = std::env::var(GENUINE).ok();
    let mut servers = vec![(world.api, false)];
    servers.extend(genuine.map(|address| (address.parse().unwrap(), true)));
    let cases: Vec<Case> = serde_yaml::from_str(include_str!("conformance.yaml")).unwrap();
    for (api, genuine) in servers {
        let echo = world.echo.to_string();
        let mut runner = Runner { api, echo, genuine, agent: agent(), listen: None, socket: None };
        for case in &cases {
            for step in &case.steps {
                runner.run(&case.case, step).await;
            }
            // A case may have deleted the proxy itself.
            let (status, text) = runner.ask("DELETE /proxies/c", String::new()).await;
            assert!([204, 404].contains(&status), "{}: {text}", case.case);
        }
    }
}

/// Not among the cases: a genuine server takes such a name, and nobody can delete the proxy then.
#[tokio::test]
async fn a_name_that_no_path_can_have_is_refused() {
    let world = World::new().await;
    let echo = world.echo.to_string();
    let runner =
        Runner { api: world.api, echo, genuine: false, agent: agent(), listen: None, socket: None };
    let proxy = r#"{"name":"a/b","upstream":"127.0.0.1:1"}"#;
    for (send, body) in
        [("POST /proxies", proxy.to_owned()), ("POST /populate", format!("[{proxy}]"))]
    {
        let (status, text) = runner.ask(send, body).await;
        assert_eq!(status, 400, "{text}");
        assert!(text.contains("`name` is a/b"), "{text}");
    }
    let (_, proxies) = runner.ask("GET /proxies", String::new()).await;
    assert_eq!(proxies, "{}");
}

#[tokio::test]
async fn a_browser_is_turned_away() {
    let world = World::new().await;
    let url = format!("http://{}/proxies", world.api);
    let asked = tokio::task::spawn_blocking(move || {
        agent().get(&url).header("User-Agent", "Mozilla/5.0").call().unwrap().status().as_u16()
    });
    assert_eq!(asked.await.unwrap(), 403);
}
