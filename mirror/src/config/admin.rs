//! The admin endpoint: where it is, and what may be done there.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::one_word;
use super::{Expected, ListenAddress};

/// Where the admin endpoint is unless told otherwise.
pub const DEFAULT_ADMIN: &str = "127.0.0.1:9900";

/// The admin endpoint: `/metrics`, `/healthz`, `/readyz`, `/config`, `/sinks`. In YAML a plain word is its address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Where it is: an address, `off`, or `default`.
    pub address: AdminAddress,
    /// Whether whoever reaches it may pause and resume sinks, set their fractions, and have the settings reloaded. (A reload that is asked for on
    /// this host needs no leave.) Off by default: nobody is asked for a password.
    pub control: bool,
}

/// Where the admin endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AdminAddress {
    /// 127.0.0.1:9900; if that is taken, a warning and no endpoint.
    #[default]
    Default,
    /// None.
    Off,
    /// This; if it is taken, an error.
    Address(ListenAddress),
}

impl AdminConfig {
    /// None.
    pub fn off() -> AdminConfig {
        AdminConfig { address: AdminAddress::Off, control: false }
    }
}

impl AdminAddress {
    /// The address to bind, where there is one.
    pub fn bound(&self) -> Option<ListenAddress> {
        match self {
            AdminAddress::Default => Some(DEFAULT_ADMIN.parse().expect("an address")),
            AdminAddress::Off => None,
            AdminAddress::Address(address) => Some(*address),
        }
    }
}

impl FromStr for AdminAddress {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text {
            "default" | "true" => Ok(AdminAddress::Default),
            "off" | "false" => Ok(AdminAddress::Off),
            address => match address.parse() {
                Ok(address) => Ok(AdminAddress::Address(address)),
                Err(Expected(expected)) => Err(format!("off, or {expected}").into()),
            },
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminAddress::Default => f.write_str("default"),
            AdminAddress::Off => f.write_str("off"),
            AdminAddress::Address(address) => address.fmt(f),
        }
    }
}

one_word!(AdminAddress, "AdminAddress", {
    "description": "Where the admin endpoint is: off, an address (an error if it is taken), or default (127.0.0.1:9900; a warning if it is taken).",
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
            assert_eq!(text.parse::<AdminAddress>().unwrap().to_string(), text);
        }
        assert_eq!("false".parse(), Ok(AdminAddress::Off));
        assert_eq!("true".parse(), Ok(AdminAddress::Default));
        let error = "on".parse::<AdminAddress>().unwrap_err().to_string();
        assert!(error.starts_with("expected off, or an address"), "{error}");
        assert_eq!(AdminAddress::Default.bound().unwrap().to_string(), DEFAULT_ADMIN);
    }

    #[test]
    fn a_word_is_the_address() {
        let admin = |yaml: &str| serde_yaml::from_str::<crate::config::Config>(yaml).map(|config| config.admin);
        assert_eq!(admin("admin: ':9900'").unwrap().address.to_string(), ":9900");
        assert_eq!(admin("admin: false").unwrap(), AdminConfig::off());
        let both = admin("admin: {address: ':9900', control: true}").unwrap();
        assert!(both.control && both.address.to_string() == ":9900");
        assert_eq!(admin("admin: {control: true}").unwrap().address, AdminAddress::Default);
        assert!(
            admin("admin: 7").unwrap_err().to_string().contains("expected off, an address"),
            "{:?}",
            admin("admin: 7")
        );
    }
}
