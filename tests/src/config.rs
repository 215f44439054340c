//! What a test configures: a file for `mirror run`. JSON is YAML too, which spares a YAML library.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

/// A configuration that listens on ports of the system's choice and logs JSON, for the tests to read the ports from.
#[derive(Debug, Clone)]
pub struct Config(Value);

impl Config {
    /// Before this upstream.
    pub fn upstream(address: SocketAddr) -> Config {
        Config(json!({
            "listen": "127.0.0.1:0",
            "upstream": address.to_string(),
            "shadow": [],
            "admin": "127.0.0.1:0",
            "log": { "format": "json" },
            // The same on every machine.
            "proxy": { "threads": 2 },
        }))
    }

    /// Without a proxy: what is captured, as in `lo:8080` or a list of settings.
    pub fn capture(from: impl Into<Value>) -> Config {
        Config(json!({
            "capture": from.into(),
            "shadow": [],
            "admin": "127.0.0.1:0",
            "log": { "format": "json" },
        }))
    }

    /// Without a proxy: what is replayed, as in `traffic.avro` or a map of settings.
    pub fn replay(what: impl Into<Value>) -> Config {
        Config(json!({
            "replay": what.into(),
            "shadow": [],
            "admin": "127.0.0.1:0",
            "log": { "format": "json" },
        }))
    }

    /// With a target; `name` is what metrics and the summary call it.
    #[must_use]
    pub fn shadow(self, name: &str, address: SocketAddr) -> Config {
        self.shadow_with(name, address, json!({}))
    }

    /// With a target that has settings of its own, `target` among them if it is to be more than the address.
    ///
    /// # Panics
    /// When `settings` is not a map.
    #[must_use]
    pub fn shadow_with(mut self, name: &str, address: SocketAddr, settings: Value) -> Config {
        let mut shadow = json!({ "name": name, "target": address.to_string() });
        let Value::Object(settings) = settings else { panic!("not a map: {settings}") };
        shadow.as_object_mut().expect("a map").extend(settings);
        self.0["shadow"].as_array_mut().expect("a list").push(shadow);
        self
    }

    /// With another value at this path, as in `proxy.read_timeout`.
    ///
    /// # Panics
    /// When the path leads through something that is not a map.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Config {
        let mut at = &mut self.0;
        for key in path.split('.') {
            if at.is_null() {
                *at = Value::Object(Map::new());
            }
            at = at.as_object_mut().expect("a map on the way").entry(key).or_insert(Value::Null);
        }
        *at = value.into();
        self
    }

    /// The file's text.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.0)
    }
}
