//! Bodies of requests, read strictly: a key that nobody knows is an error that names the nearest known
//! one, where Toxiproxy would ignore it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::error::ProxyError;
use super::{ProxyPatch, ProxySpec, ToxicKind, ToxicPatch, ToxicSpec};

const PROXY_KEYS: &[&str] = &["name", "listen", "upstream", "enabled", "toxics"];
const TOXIC_KEYS: &[&str] = &[
    "name",
    "type",
    "stream",
    "toxicity",
    "attributes",
    "scope",
    "heal",
    "on",
    "sqlstate",
    "message",
    "severity",
];
/// What Toxiproxy's own server adds to its answers by accident, and its clients send back.
const IGNORED: &str = "logger";

/// Below this likeness (Jaro-Winkler) a suggestion would only confuse.
const LIKENESS: f64 = 0.7;

/// The known word that is most like `word`, if any is like it.
pub(in crate::proxy) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |known: &&str| strsim::jaro_winkler(word, known);
    known
        .iter()
        .copied()
        .filter(|known| likeness(known) >= LIKENESS)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

/// Reads a new proxy.
pub(in crate::proxy) fn proxy(body: &[u8]) -> Result<ProxySpec, ProxyError> {
    proxy_value(parse(body)?)
}

/// Reads a list of new proxies.
pub(in crate::proxy) fn proxies(body: &[u8]) -> Result<Vec<ProxySpec>, ProxyError> {
    let values: Vec<Value> = serde_json::from_slice(body)
        .map_err(|error| ProxyError::Body { cause: error.to_string() })?;
    values.into_iter().map(proxy_value).collect()
}

/// Reads what to change of a proxy. Clients may send the whole proxy.
pub(in crate::proxy) fn patch(body: &[u8]) -> Result<ProxyPatch, ProxyError> {
    let value = parse(body)?;
    typed(known(value, PROXY_KEYS, "a proxy")?)
}

/// Reads a new toxic.
pub(in crate::proxy) fn toxic(body: &[u8]) -> Result<ToxicSpec, ProxyError> {
    typed(toxic_value(parse(body)?)?)
}

/// Reads what to change of a toxic. Clients may send the whole toxic.
pub(in crate::proxy) fn toxic_patch(body: &[u8]) -> Result<ToxicPatch, ProxyError> {
    let value = parse(body)?;
    typed(known(value, TOXIC_KEYS, "a toxic")?)
}

fn proxy_value(value: Value) -> Result<ProxySpec, ProxyError> {
    let mut map = known(value, PROXY_KEYS, "a proxy")?;
    for field in ["name", "upstream"] {
        if !map.contains_key(field) {
            return Err(ProxyError::Missing { field });
        }
    }
    if let Some(Value::Array(toxics)) = map.get_mut("toxics") {
        for toxic in toxics {
            *toxic = Value::Object(toxic_value(toxic.take())?);
        }
    }
    typed(map)
}

/// Checks the keys and the type, for which serde's list of all types would be the only hint.
fn toxic_value(value: Value) -> Result<Map<String, Value>, ProxyError> {
    let map = known(value, TOXIC_KEYS, "a toxic")?;
    let Some(kind) = map.get("type").and_then(Value::as_str) else {
        return Err(ProxyError::Missing { field: "type" });
    };
    let kinds = ToxicKind::ALL.map(ToxicKind::as_str);
    if !kinds.contains(&kind) {
        let kind = kind.to_owned();
        return Err(ProxyError::Type { nearest: nearest(&kind, &kinds), kind });
    }
    match map.get("stream").and_then(Value::as_str) {
        None | Some("upstream" | "downstream") => Ok(map),
        Some(stream) => Err(ProxyError::Stream { stream: stream.to_owned() }),
    }
}

fn parse(body: &[u8]) -> Result<Value, ProxyError> {
    serde_json::from_slice(body).map_err(|error| ProxyError::Body { cause: error.to_string() })
}

/// The object without what means "absent" to Toxiproxy's clients: nulls and empty words.
fn known(
    value: Value,
    keys: &[&'static str],
    of: &'static str,
) -> Result<Map<String, Value>, ProxyError> {
    let Value::Object(mut map) = value else {
        return Err(ProxyError::Body { cause: format!("{of} is an object") });
    };
    map.retain(|key, value| {
        let empty = value.is_null() || value.as_str() == Some("");
        !empty && !key.eq_ignore_ascii_case(IGNORED)
    });
    match map.keys().find(|key| !keys.contains(&key.as_str())) {
        None => Ok(map),
        Some(key) => Err(ProxyError::Unknown { of, key: key.clone(), nearest: nearest(key, keys) }),
    }
}

fn typed<T: DeserializeOwned>(map: Map<String, Value>) -> Result<T, ProxyError> {
    serde_json::from_value(Value::Object(map))
        .map_err(|error| ProxyError::Body { cause: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_or_type_is_refused_with_the_nearest_known_one() {
        let error = toxic(br#"{"type":"latncy"}"#).unwrap_err().to_string();
        assert!(error.contains("latncy") && error.contains("`latency`"), "{error}");
        let error = toxic(br#"{"type":"latency","atributes":{}}"#).unwrap_err().to_string();
        assert!(error.contains("`attributes`"), "{error}");
        let error = proxy(br#"{"name":"a","upsteam":"b:1"}"#).unwrap_err().to_string();
        assert!(error.contains("`upstream`"), "{error}");
        let error = toxic(br#"{"type":"noop","stream":"sideways"}"#).unwrap_err().to_string();
        assert!(error.contains("sideways"), "{error}");
    }

    #[test]
    fn a_whole_toxic_with_what_servers_leak_is_read() {
        let text = br#"{"name":"","type":"timeout","stream":"upstream","toxicity":0.5,
            "attributes":{"timeout":7},"Logger":{},"scope":{"nth":2},"heal":"keep_dead","on":{"query":3}}"#;
        let toxic = toxic(text).unwrap();
        assert_eq!(toxic.name(), "timeout_upstream");
        assert_eq!(toxic.scope, Some(super::super::Scope::Nth(2)));
        assert_eq!(toxic.heal, Some(super::super::Heal::KeepDead));
        assert_eq!(toxic.on, Some(super::super::Trigger::Query(3)));
    }
}
