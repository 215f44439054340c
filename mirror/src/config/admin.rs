//! The admin endpoint's address.

use std::fmt;
use std::str::FromStr;

use super::text::one_word;
use super::{Expected, ListenAddress};

/// Where the admin endpoint is unless told otherwise.
pub const DEFAULT_ADMIN: &str = "127.0.0.1:9900";

/// The admin endpoint: `/metrics`, `/healthz`, `/readyz`, `/config`. In YAML an address, `off`, or `default`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AdminConfig {
    /// 127.0.0.1:9900; if that is taken, a warning and no endpoint.
    #[default]
    Default,
    /// None.
    Off,
    /// This; if it is taken, an error.
    Address(ListenAddress),
}

impl AdminConfig {
    /// The address to bind, where there is one.
    pub fn address(&self) -> Option<ListenAddress> {
        match self {
            AdminConfig::Default => Some(DEFAULT_ADMIN.parse().expect("an address")),
            AdminConfig::Off => None,
            AdminConfig::Address(address) => Some(*address),
        }
    }
}

impl FromStr for AdminConfig {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text {
            "default" | "true" => Ok(AdminConfig::Default),
            "off" | "false" => Ok(AdminConfig::Off),
            address => match address.parse() {
                Ok(address) => Ok(AdminConfig::Address(address)),
                Err(Expected(expected)) => Err(format!("off, or {expected}").into()),
            },
        }
    }
}

impl fmt::Display for AdminConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminConfig::Default => f.write_str("default"),
            AdminConfig::Off => f.write_str("off"),
            AdminConfig::Address(address) => address.fmt(f),
        }
    }
}

one_word!(AdminConfig, "AdminConfig", {
    "description": "The admin endpoint: off, an address (an error if it is taken), or default (127.0.0.1:9900; a warning if it is taken).",
    "anyOf": [
        { "type": "string", "pattern": r"^(off|default|.*:[0-9]{1,5})$" },
        { "type": "boolean" }
    ],
    "examples": ["off", "127.0.0.1:9900", ":9900"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for text in ["off", "default", ":9900", "127.0.0.1:9900"] {
            assert_eq!(text.parse::<AdminConfig>().unwrap().to_string(), text);
        }
        assert_eq!("false".parse(), Ok(AdminConfig::Off));
        assert_eq!("true".parse(), Ok(AdminConfig::Default));
        let error = "on".parse::<AdminConfig>().unwrap_err().to_string();
        assert!(error.starts_with("expected off, or an address"), "{error}");
        assert_eq!(AdminConfig::Default.address().unwrap().to_string(), DEFAULT_ADMIN);
    }
}
