//! The values of a condition's keys: each is read as its field asks, and written as it was.

use std::fmt;
use std::str::FromStr;

use crate::condition::{Condition, Field, Pattern, Range, network, range, text_pattern};
use crate::config::Expected;
use crate::config::text::one_word;

/// A value that conditions are made of.
pub trait Leaf: Sized {
    /// That the field is one of these.
    fn condition(field: Field, values: &[Self]) -> Condition;
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident like $field:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(Pattern);

        impl FromStr for $name {
            type Err = Expected;

            fn from_str(text: &str) -> Result<Self, Expected> {
                text_pattern(&$field, text).map($name).map_err(Expected::from)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.to_string() == other.to_string()
            }
        }

        impl Leaf for $name {
            fn condition(field: Field, values: &[Self]) -> Condition {
                Condition::Text(field, values.iter().map(|value| value.0.clone()).collect())
            }
        }

        one_word!($name, "Pattern", {
            "description": "A glob, or with ~ in front a regular expression.",
            "type": ["string", "number", "boolean"]
        });
    };
}

text! {
    /// A text, in which `*` is anything.
    Text like Field::Method
}
text! {
    /// A text in any case, in which `*` is anything.
    AnyCase like Field::Host
}
text! {
    /// A path, in which `*` is anything without a slash.
    Path like Field::Path
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident = $schema_name:literal like $field:expr, $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name(String, Range);

        impl FromStr for $name {
            type Err = Expected;

            fn from_str(text: &str) -> Result<Self, Expected> {
                Ok($name(text.to_owned(), range(&$field, text).map_err(Expected::from)?))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Leaf for $name {
            fn condition(field: Field, values: &[Self]) -> Condition {
                Condition::Number(field, values.iter().map(|value| value.1).collect())
            }
        }

        one_word!($name, $schema_name, $schema);
    };
}

number! {
    /// Statuses.
    Status = "StatusRange" like Field::Status,
    { "description": "A status, a class, or a range.", "type": ["string", "integer"], "examples": [404, "5xx", ">= 500", "200-299"] }
}
number! {
    /// Times.
    Time = "TimeRange" like Field::Latency,
    { "description": "A range of times.", "type": "string", "examples": ["> 250ms", "1s-2s"] }
}
number! {
    /// Sizes.
    Size = "SizeRange" like Field::RequestSize,
    { "description": "A range of sizes.", "type": ["string", "integer"], "examples": ["> 1MiB", "0"] }
}

/// A network, or one address.
#[derive(Debug, Clone, PartialEq)]
pub struct Network(pub(super) ipnet::IpNet);

impl FromStr for Network {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        network(text).map(Network).map_err(Expected::from)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

one_word!(Network, "Network", {
    "description": "A network or an address.",
    "type": "string",
    "examples": ["10.0.0.0/8", "2001:db8::1"]
});
