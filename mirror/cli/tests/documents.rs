//! What the program says of itself.

use std::process::Command;

use mirror::config::Config;
use serde_json::Value;

fn mirror(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_mirror")).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_schema_names_every_key_and_refers_to_nothing_it_lacks() {
    let schema: Value = serde_json::from_str(&mirror(&["schema"])).unwrap();
    let known = schema["properties"].as_object().unwrap();
    let yaml: serde_yaml::Mapping = serde_yaml::from_str(&Config::default().to_yaml()).unwrap();
    let optional = ["upstream", "record", "replay", "discard", "exit_after"];
    for key in yaml.keys().map(|key| key.as_str().unwrap()).chain(optional) {
        assert!(known.contains_key(key), "{key}");
        assert!(known[key].to_string().contains("description"), "{key} says nothing");
    }
    assert_eq!(known.len(), yaml.len() + optional.len());
    refer(&schema, &schema);
}

fn refer(schema: &Value, part: &Value) {
    match part {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            map.values().for_each(|part| refer(schema, part));
        }
        Value::Array(list) => list.iter().for_each(|part| refer(schema, part)),
        _ => {}
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = mirror(&["completions", shell]);
        assert!(script.contains("shadow-concurrency"), "{shell}");
    }
}

#[test]
fn the_man_page() {
    let page = mirror(&["man"]);
    assert!(page.contains(".TH mirror 1"), "{page}");
    assert!(page.contains("shadow\\-concurrency"), "{page}");
}

#[test]
fn help_has_headings_and_examples() {
    let help = mirror(&["--help"]);
    for part in
        ["Source:", "Shadow:", "Record:", "Engine:", "Running:", "Settings:", "Examples:", "mirror run mirror.yaml"]
    {
        assert!(help.contains(part), "{part}");
    }
    assert!(mirror(&["--version"]).starts_with("mirror 0."));
}
