//! One line of a server: what it says, or which rule it breaks.

use serde_json::{Map, Value};

use super::violation::Breach;

/// The only version there is.
pub(super) const VERSION: &str = "2.0";

/// An answer to a request: its result, or the protocol's error.
pub(super) type Reply = Result<Value, RpcError>;

/// An error of the protocol, not of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RpcError {
    pub(super) code: i64,
    pub(super) message: String,
}

/// A well-formed message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// To a request of ours. The id may be any.
    Answer { id: Value, reply: Reply },
    /// The server asks.
    Request { id: Value, method: String },
    /// The server tells; nothing is to be answered.
    Notification,
}

/// Reads a line without its end.
pub(super) fn parse(line: &[u8]) -> Result<Message, Breach> {
    let value: Value = serde_json::from_slice(line).map_err(|_error| Breach::NotJson)?;
    let Value::Object(mut message) = value else { return Err(Breach::NotJsonRpc) };
    if message.get("jsonrpc").and_then(Value::as_str) != Some(VERSION) {
        return Err(Breach::NotJsonRpc);
    }
    let id = message.remove("id");
    if let Some(method) = message.get("method") {
        let method = method.as_str().ok_or(Breach::NotJsonRpc)?;
        return asked(id, method, &message);
    }
    let id = id.ok_or(Breach::NotJsonRpc)?;
    let reply = match (message.remove("result"), message.remove("error")) {
        (Some(result), None) => Ok(result),
        (None, Some(error)) => Err(rpc_error(&error).ok_or(Breach::NotJsonRpc)?),
        (Some(_), Some(_)) | (None, None) => return Err(Breach::NotOneOutcome),
    };
    Ok(Message::Answer { id, reply })
}

fn asked(id: Option<Value>, method: &str, message: &Map<String, Value>) -> Result<Message, Breach> {
    let answers = message.contains_key("result") || message.contains_key("error");
    let structured =
        message.get("params").is_none_or(|params| params.is_object() || params.is_array());
    if answers || !structured {
        return Err(Breach::NotJsonRpc);
    }
    match id {
        None => Ok(Message::Notification),
        Some(id) if id.is_string() || id.is_i64() || id.is_u64() => {
            Ok(Message::Request { id, method: method.to_owned() })
        }
        Some(_) => Err(Breach::NotJsonRpc),
    }
}

fn rpc_error(error: &Value) -> Option<RpcError> {
    let code = error.get("code")?.as_i64()?;
    Some(RpcError { code, message: error.get("message")?.as_str()?.to_owned() })
}

/// Whether a tool failed; its structured result is then an error with all its parts, else any object.
pub(super) fn tool_failed(result: &Value) -> Result<bool, Breach> {
    if !result.get("content").is_some_and(Value::is_array) {
        return Err(Breach::Result);
    }
    let failed = match result.get("isError") {
        None => false,
        Some(failed) => failed.as_bool().ok_or(Breach::Result)?,
    };
    let structured = result.get("structuredContent");
    if !failed {
        return if structured.is_some_and(Value::is_object) {
            Ok(false)
        } else {
            Err(Breach::Result)
        };
    }
    let error = structured.ok_or(Breach::ToolError)?;
    let said = |part| error.get(part).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let whole = ["code", "message", "suggestion"].into_iter().all(said)
        && error.get("details").is_some_and(Value::is_object);
    if whole { Ok(true) } else { Err(Breach::ToolError) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(line: &str) -> Result<Message, Breach> {
        parse(line.as_bytes())
    }

    #[test]
    fn messages_are_told_apart() {
        let answer = of(r#"{"jsonrpc":"2.0","id":7,"result":{"a":1}}"#).unwrap();
        assert_eq!(answer, Message::Answer { id: json!(7), reply: Ok(json!({ "a": 1 })) });
        let error = of(r#"{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"no"}}"#).unwrap();
        let reply = Err(RpcError { code: -1, message: "no".to_owned() });
        assert_eq!(error, Message::Answer { id: json!(7), reply });
        let ping = of(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#).unwrap();
        assert_eq!(ping, Message::Request { id: json!("a"), method: "ping".to_owned() });
        let told = of(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#);
        assert_eq!(told, Ok(Message::Notification));
    }

    #[test]
    fn what_is_no_message_is_found() {
        for (line, breach) in [
            ("starting", Breach::NotJson),
            ("", Breach::NotJson),
            (r#"{"jsonrpc":"2.0""#, Breach::NotJson),
            (r#"{"jsonrpc":"2.0","method":"a"} {}"#, Breach::NotJson),
            (r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#, Breach::NotJsonRpc),
            (r#"{"id":1,"result":{}}"#, Breach::NotJsonRpc),
            (r#"{"jsonrpc":2.0,"id":1,"result":{}}"#, Breach::NotJsonRpc),
            (r#"{"jsonrpc":"2.0","result":{}}"#, Breach::NotJsonRpc),
            (r#"{"jsonrpc":"2.0","id":1}"#, Breach::NotOneOutcome),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#,
                Breach::NotOneOutcome,
            ),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"message":"no"}}"#, Breach::NotJsonRpc),
            (r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#, Breach::NotJsonRpc),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#, Breach::NotJsonRpc),
            (r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#, Breach::NotJsonRpc),
            (r#"{"jsonrpc":"2.0","method":"a","params":3}"#, Breach::NotJsonRpc),
            (r#"{"jsonrpc":"2.0","method":3}"#, Breach::NotJsonRpc),
        ] {
            assert_eq!(of(line), Err(breach), "{line}");
        }
        assert_eq!(parse(b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}"), Err(Breach::NotJson));
    }

    #[test]
    fn a_tools_error_has_all_its_parts() {
        let whole = json!({ "code": "X", "message": "m", "suggestion": "s", "details": {} });
        let result =
            |error: &Value| json!({ "content": [], "isError": true, "structuredContent": error });
        assert_eq!(tool_failed(&result(&whole)), Ok(true));
        for part in ["code", "message", "suggestion", "details"] {
            for wrong in [json!(null), json!(3), json!("")] {
                let mut error = whole.clone();
                error[part] = wrong;
                assert_eq!(tool_failed(&result(&error)), Err(Breach::ToolError), "{error}");
            }
        }
        let bare = json!({ "content": [{ "type": "text", "text": "oops" }], "isError": true });
        assert_eq!(tool_failed(&bare), Err(Breach::ToolError));
    }

    #[test]
    fn a_tools_result_is_structured() {
        let result = json!({ "content": [], "structuredContent": { "a": 1 } });
        assert_eq!(tool_failed(&result), Ok(false));
        for wrong in [
            json!({ "structuredContent": {} }),
            json!({ "content": [] }),
            json!({ "content": [], "structuredContent": [] }),
            json!({ "content": [], "structuredContent": {}, "isError": "no" }),
            json!(null),
        ] {
            assert_eq!(tool_failed(&wrong), Err(Breach::Result), "{wrong}");
        }
    }
}
