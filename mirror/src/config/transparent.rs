//! How the proxy takes connections that were meant for others.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Expected;
use super::text::one_word;

/// How connections are sent to the proxy without their clients' doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transparent {
    /// By the kernel's address translation (REDIRECT), which keeps the original destination (SO_ORIGINAL_DST). The application sees this host as
    /// its client. Takes no capability.
    Redirect,
    /// By the kernel's TPROXY, which translates nothing: the application sees the client's own address. Takes CAP_NET_ADMIN, for IP_TRANSPARENT and
    /// SO_MARK. Connections that were redirected are taken too, as an application's own calls cannot come by TPROXY.
    Tproxy,
}

/// The mark of packets on connections to the application, by which the rules of [`Transparent::Tproxy`] tell them: 2, unless the configuration has
/// another.
pub const DEFAULT_MARK: NonZeroU32 = NonZeroU32::new(2).expect("not zero");

impl FromStr for Transparent {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text {
            "redirect" => Ok(Transparent::Redirect),
            "tproxy" => Ok(Transparent::Tproxy),
            _ => Err("redirect or tproxy".into()),
        }
    }
}

impl fmt::Display for Transparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transparent::Redirect => "redirect",
            Transparent::Tproxy => "tproxy",
        })
    }
}

one_word!(Transparent, "Transparent", {
    "description": "How connections are sent to the proxy: redirect (REDIRECT, SO_ORIGINAL_DST) or tproxy (TPROXY, the client's address is kept; takes CAP_NET_ADMIN).",
    "type": "string",
    "enum": ["redirect", "tproxy"]
});

/// The [PROXY protocol] on the proxy's two sides.
///
/// [PROXY protocol]: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyProtocolConfig {
    /// Every connection to the proxy begins with a header, of either version, which names the client. One that does not is closed. Only for
    /// ports that nobody but a load balancer reaches: whoever can connect says who it is.
    pub accept: bool,
    /// Begin every connection to the application with a header that names the client: `v1` (a line of text) or `v2` (binary).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<ProxyProtocolVersion>,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocolVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for text in ["redirect", "tproxy"] {
            assert_eq!(text.parse::<Transparent>().unwrap().to_string(), text);
        }
        let error = "nat".parse::<Transparent>().unwrap_err().to_string();
        assert_eq!(error, "expected redirect or tproxy");
    }
}
