//! Where the listener and an oracle are known to differ, and why. Each is pinned: when it changes, the test tells.

/// A known difference.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    /// As the comparison tells it.
    pub(crate) difference: &'static str,
    pub(crate) reason: &'static str,
}

const KNOWN: &[Known] = &[
    Known {
        name: "suricata-verify__http-chunked.pcap",
        difference: "request \"HEAD /resources/fonts/SourceSansPro-Regular.ttf HTTP/1.1\": end not told: capture",
        reason: "it announces a chunked body (RFC 9112 §6.3 goes by that, not by its Content-Length of 0), of which no byte was captured: \
                 the oracle shows no body",
    },
    Known {
        name: "zeek__tls__tls12-decryption.pcap",
        difference: "request \"GET / HTTP/1.1\" missing; response \"HTTP/1.1 301\" missing",
        reason: "TLS, which the oracle decrypted by its key log",
    },
];

/// Files of which only a part is HTTP/1, and why the rest is not looked for.
const OUT_OF_SCOPE: &[(&str, &str)] = &[
    ("arkime__http2-nghttp2.pcap", HTTP2),
    ("suricata-verify__bug-5929-02__http2_multiple_headers.pcap", HTTP2),
    ("suricata-verify__http2-authority-mismatch__authority_and_host_2.pcap", HTTP2),
    ("suricata-verify__http2-continuation.pcap", HTTP2),
    ("suricata-verify__http2-errorcode.pcap", "what its CONNECT tunnel carries is not looked at"),
    ("suricata-verify__http2-keywords2.pcap", HTTP2),
    ("zeek__http__http-09-content-length-confusion.pcap", HTTP09),
    ("zeek__mixed-vlan-mpls.pcap", HTTP09),
];

const HTTP09: &str = "HTTP/0.9 requests, which name no version, are not read";
const HTTP2: &str = "HTTP/2 streams are not looked for";

/// What is known to differ in a file.
pub(crate) fn of(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// Why something in a file is not compared.
pub(crate) fn out_of_scope(name: &str) -> Option<&'static str> {
    OUT_OF_SCOPE.iter().find(|(file, _)| *file == name).map(|(_, why)| *why)
}

/// All files named here.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.name).chain(OUT_OF_SCOPE.iter().map(|(name, _)| *name))
}
