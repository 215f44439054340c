//! The schema, and when another one is the same.

use serde_json::{Map, Value};

/// The schema of a recording, as it stands in the file's header, with a `doc` for every field.
///
/// What is written follows its order (`encode.rs`), as does what is read (`decode.rs`).
pub const SCHEMA: &str = include_str!("exchange.avsc");

/// The full name of the schema's record.
pub const SCHEMA_NAME: &str = "mirror.Exchange";

/// Whether data written with `other` is laid out as ours, else the full name of what it describes.
///
/// Like the spec's Parsing Canonical Form: docs, defaults, aliases and the spelling of names do not matter, so that a better
/// doc string does not make older recordings unreadable, nor a rewrite by another tool ours. Logical types do.
pub(super) fn is_ours(other: &[u8]) -> Result<(), String> {
    // A reader of many files pays for no JSON, as nearly all of them are this very text.
    if other == SCHEMA.as_bytes() {
        return Ok(());
    }
    let Ok(other) = serde_json::from_slice::<Value>(other) else { return Err("no JSON".into()) };
    let ours: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let theirs = shape(&other, "");
    if theirs == shape(&ours, "") {
        return Ok(());
    }
    let name = theirs.get("name").or(theirs.get("type")).unwrap_or(&theirs);
    Err(name.as_str().map_or_else(|| "a union".to_owned(), str::to_owned))
}

/// What of a schema says how data is laid out, with full names.
fn shape(schema: &Value, namespace: &str) -> Value {
    match schema {
        Value::String(name) => Value::String(full_name(name, namespace)),
        Value::Array(branches) => branches.iter().map(|branch| shape(branch, namespace)).collect(),
        Value::Object(object) => shape_of_object(object, namespace),
        other => other.clone(),
    }
}

fn shape_of_object(object: &Map<String, Value>, namespace: &str) -> Value {
    let Some(Value::String(kind)) = object.get("type") else {
        // `{"type": {…}}` is the inner schema.
        return object.get("type").map_or(Value::Null, |inner| shape(inner, namespace));
    };
    let mut kept = Map::new();
    for key in ["symbols", "size", "logicalType", "precision", "scale"] {
        if let Some(value) = object.get(key) {
            kept.insert(key.into(), value.clone());
        }
    }
    let mut namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace).to_owned();
    if let Some(name) = object.get("name").and_then(Value::as_str) {
        let name = full_name(name, &namespace);
        // What is inside inherits the namespace of the full name (spec: Names).
        namespace = name.rsplit_once('.').map_or(String::new(), |(namespace, _)| namespace.to_owned());
        kept.insert("name".into(), name.into());
    }
    for key in ["items", "values"] {
        if let Some(value) = object.get(key) {
            kept.insert(key.into(), shape(value, &namespace));
        }
    }
    if let Some(fields) = object.get("fields").and_then(Value::as_array) {
        let fields = fields.iter().map(|field| {
            let kind = field.get("type").map_or(Value::Null, |kind| shape(kind, &namespace));
            Value::Array(vec![field.get("name").cloned().unwrap_or_default(), kind])
        });
        kept.insert("fields".into(), fields.collect());
    }
    if kept.is_empty() {
        return Value::String(full_name(kind, &namespace)); // {"type": "string"} is "string"
    }
    kept.insert("type".into(), kind.as_str().into());
    Value::Object(kept)
}

fn full_name(name: &str, namespace: &str) -> String {
    let primitive = matches!(name, "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string");
    if primitive || name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(from: &str, to: &str) -> String {
        assert!(SCHEMA.contains(from), "{from}");
        SCHEMA.replace(from, to)
    }

    #[test]
    fn the_same_layout_is_ours_however_it_is_spelled() {
        for same in [
            SCHEMA.to_owned(),
            serde_json::from_str::<Value>(SCHEMA).unwrap().to_string(),
            edited("The target's name.", "How the target is called."),
            edited(r#", "default": null"#, ""),
            edited(r#""items": "Field""#, r#""items": "mirror.Field""#),
            edited(r#""type": "bytes""#, r#""type": {"type": "bytes"}"#),
            edited(
                r#""name": "Exchange",
  "namespace": "mirror","#,
                r#""name": "mirror.Exchange","#,
            ),
        ] {
            assert_eq!(is_ours(same.as_bytes()), Ok(()), "{same}");
        }
    }

    #[test]
    fn another_layout_is_named() {
        for (other, found) in [
            (edited("body_length", "length"), "mirror.Exchange"),
            (edited("timestamp-micros", "timestamp-millis"), "mirror.Exchange"),
            (edited(r#"["null", "long"]"#, r#"["long", "null"]"#), "mirror.Exchange"),
            (edited(r#""Exchange""#, r#""Event""#), "mirror.Event"),
            (r#"{"type":"record","name":"User","namespace":"org.example","fields":[]}"#.into(), "org.example.User"),
            (r#""string""#.into(), "string"),
            (r#"{"type":"array","items":"long"}"#.into(), "array"),
            (r#"["null","string"]"#.into(), "a union"),
            ("{".into(), "no JSON"),
        ] {
            assert_eq!(is_ours(other.as_bytes()), Err(found.to_owned()), "{other}");
        }
    }

    #[test]
    fn our_name_is_in_our_schema() {
        assert_eq!(shape(&serde_json::from_str(SCHEMA).unwrap(), "")["name"], SCHEMA_NAME);
    }
}
