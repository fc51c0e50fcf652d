//! The JSON Schemas of scenario and fault files, for editors.

use serde_json::Value;

use super::{KINDS, events, metric, raw};

/// The schema of `scenarios/*.yaml`.
pub fn scenario_schema() -> Value {
    let mut schema = schemars::schema_for!(raw::Scenario).to_value();
    let metrics = serde_json::json!({
        "description": "With the name of a load for LOAD",
        "examples": metric::all_names(),
    });
    merge(&mut schema, "/$defs/Promise/properties/metric", &metrics);
    let events = serde_json::json!({ "enum": events::known() });
    merge(&mut schema, "/$defs/Occurrence/properties/event", &events);
    // An optional text of the derived schema, now one of the known kinds.
    let kinds = serde_json::json!({ "type": "string", "enum": KINDS });
    merge(&mut schema, "/$defs/Fault/properties/kind", &kinds);
    schema
}

/// The schema of `chaos/faults/*.yaml`.
pub fn fault_schema() -> Value {
    let mut schema = schemars::schema_for!(raw::FaultFile).to_value();
    merge(&mut schema, "/properties/kind", &serde_json::json!({ "enum": KINDS }));
    schema
}

fn merge(schema: &mut Value, place: &str, more: &Value) {
    if let (Some(Value::Object(target)), Value::Object(more)) = (schema.pointer_mut(place), more) {
        target.extend(more.clone());
    }
}
