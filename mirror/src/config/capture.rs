//! Where packets are taken from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml::Value;

use super::{ByteSize, Expected, ListenAddress, Period, Ports};

/// One place that packets are taken from: an interface, a saved capture, or a socket that is sent them in VXLAN. In YAML a plain string is
/// where, a colon, and the servers' ports: `:8080` (every interface), `eth0:80,8080`, `trace.pcapng:80`, `vxlan::4789:80`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureConfig {
    /// The interface, as `mirror interfaces` lists them; `any`, which is the default, is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// A saved capture: pcap or pcapng, gzipped or not. It is read as fast as it can be mirrored, and ends at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// A UDP socket that takes packets wrapped in VXLAN (RFC 7348), as cloud networks mirror them: `:4789` (every address).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vxlan: Option<ListenAddress>,
    /// The ports that servers listen on: one, a list, or `80,8080`. What goes to them is requests, what comes from them responses. An interface
    /// needs them, as the kernel then hands over nothing else. Without them, a file's and VXLAN's servers are told by SYN and by content.
    #[serde(default, skip_serializing_if = "Ports::is_empty")]
    pub ports: Ports,
    /// A filter in libpcap's language (`not host 10.0.0.9`) that packets have to pass too; by default all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpf: Option<String>,
    /// Take what the interface hears of others' traffic too, as behind a mirroring switch. Off by default: the host's own is enough.
    #[serde(default)]
    pub promiscuous: bool,
    /// The ring between kernel and program; of a VXLAN socket, its receive buffer. When it is full the kernel drops packets, and counts them.
    /// 64 MiB is half a second at 1 Gbit/s.
    #[serde(default = "default_buffer")]
    pub buffer: ByteSize,
    /// How many bytes of a packet are kept. 256 KiB, libpcap's most: on the loopback, and where the card puts segments together, a packet has 64 KiB
    /// and more, and one that is cut is a gap in the stream.
    #[serde(default = "default_snaplen")]
    pub snaplen: ByteSize,
    /// How long the kernel gathers packets before it hands them over, in whole milliseconds. It delays copies by up to twice that; longer costs
    /// fewer wake-ups, which at 1 ms are at most a thousand a second.
    #[serde(default = "default_block_time")]
    pub block_time: Period,
}

/// Where a capture takes its packets from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureFrom<'a> {
    /// Every interface.
    Any,
    /// This interface.
    Interface(&'a str),
    /// This saved capture.
    File(&'a Path),
    /// What is sent to this UDP socket, in VXLAN.
    Vxlan(ListenAddress),
}

const EXPECTED: &str =
    "what to capture and the servers' ports, as in :8080, eth0:80,8080, trace.pcapng:80 or vxlan::4789";

/// Names that end so are of files, with or without `.gz` behind.
const FILES: [&str; 3] = [".pcap", ".pcapng", ".cap"];

/// The name that stands for every interface.
const ANY: &str = "any";

impl CaptureConfig {
    /// The defaults, of every interface and without ports.
    fn new() -> Self {
        CaptureConfig {
            interface: None,
            file: None,
            vxlan: None,
            ports: Ports::default(),
            bpf: None,
            promiscuous: false,
            buffer: default_buffer(),
            snaplen: default_snaplen(),
            block_time: default_block_time(),
        }
    }

    /// Where packets come from.
    pub fn from(&self) -> CaptureFrom<'_> {
        match (&self.file, &self.vxlan, self.interface.as_deref()) {
            (Some(file), ..) => CaptureFrom::File(file),
            (_, Some(address), _) => CaptureFrom::Vxlan(*address),
            (_, _, None | Some(ANY)) => CaptureFrom::Any,
            (_, _, Some(interface)) => CaptureFrom::Interface(interface),
        }
    }

    /// The keys that a word says, with their values.
    pub(super) fn keys(&self) -> Vec<(&'static str, Value)> {
        let (key, value) = match self.from() {
            CaptureFrom::Any => ("interface", ANY.to_owned()),
            CaptureFrom::Interface(name) => ("interface", name.to_owned()),
            CaptureFrom::File(path) => ("file", path.display().to_string()),
            CaptureFrom::Vxlan(address) => ("vxlan", address.to_string()),
        };
        let ports = (!self.ports.is_empty()).then(|| ("ports", self.ports.to_string().into()));
        std::iter::once((key, value.into())).chain(ports).collect()
    }

    /// Whether it is a saved one, which has an end.
    pub fn is_saved(&self) -> bool {
        self.file.is_some()
    }
}

fn is_file(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let text = text.strip_suffix(".gz").unwrap_or(&text);
    FILES.iter().any(|extension| text.ends_with(extension))
}

impl FromStr for CaptureConfig {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let new = CaptureConfig::new();
        if let Some(address) = text.strip_prefix("vxlan:") {
            return vxlan(address);
        }
        if is_file(text) {
            return Ok(CaptureConfig { file: Some(text.into()), ..new });
        }
        let Some((from, ports)) = text.rsplit_once(':') else {
            let hint = match text {
                "" => String::new(),
                text if text.bytes().all(|b| b.is_ascii_digit() || b == b',') => {
                    format!("; of every interface it is :{text}")
                }
                text => format!("; an interface needs ports, as in {text}:80"),
            };
            return Err(format!("{EXPECTED}{hint}").into());
        };
        let ports: Ports = ports.parse()?;
        match from {
            "" | ANY => Ok(CaptureConfig { ports, ..new }),
            file if is_file(file) => Ok(CaptureConfig { file: Some(file.into()), ports, ..new }),
            file if file.contains('/') => Err(
                "a file whose name ends in .pcap, .pcapng or .cap, with or without .gz; the key `file` takes any name"
                    .into(),
            ),
            name if is_interface(name) => Ok(CaptureConfig { interface: Some(name.to_owned()), ports, ..new }),
            _ => Err(EXPECTED.into()),
        }
    }
}

/// What follows `vxlan:`.
fn vxlan(text: &str) -> Result<CaptureConfig, Expected> {
    let expected = || {
        Expected::from(
            "an address to take VXLAN at, as in vxlan::4789 (every address), vxlan:10.0.0.5:4789 or, with the servers' ports, vxlan::4789:80",
        )
    };
    let (address, ports) = match (text.parse::<ListenAddress>(), text.rsplit_once(':')) {
        (Ok(address), _) => (address, Ports::default()),
        (Err(_), Some((address, ports))) => (address.parse().map_err(|_| expected())?, ports.parse()?),
        (Err(_), None) => return Err(expected()),
    };
    Ok(CaptureConfig { vxlan: Some(address), ports, ..CaptureConfig::new() })
}

/// Whether an interface may be called so.
pub(super) fn is_interface(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':')
}

impl fmt::Display for CaptureFrom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureFrom::Any => f.write_str(ANY),
            CaptureFrom::Interface(name) => f.write_str(name),
            CaptureFrom::File(path) => path.display().fmt(f),
            CaptureFrom::Vxlan(address) => write!(f, "vxlan:{address}"),
        }
    }
}

impl fmt::Display for CaptureConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.from().fmt(f)?;
        if !self.ports.is_empty() {
            write!(f, ":{}", self.ports)?;
        }
        Ok(())
    }
}

fn default_buffer() -> ByteSize {
    ByteSize::mib(64)
}
fn default_snaplen() -> ByteSize {
    ByteSize::kib(256)
}
fn default_block_time() -> Period {
    Period(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(text: &str) -> CaptureConfig {
        text.parse().unwrap()
    }

    #[test]
    fn forms() {
        let address = ":4789".parse().unwrap();
        for (text, from, ports, shown) in [
            (":8080", CaptureFrom::Any, &[8080][..], "any:8080"),
            ("any:80,443", CaptureFrom::Any, &[80, 443], "any:80,443"),
            ("eth0:80", CaptureFrom::Interface("eth0"), &[80], "eth0:80"),
            ("br-1.5@x:1,65535", CaptureFrom::Interface("br-1.5@x"), &[1, 65535], "br-1.5@x:1,65535"),
            ("trace.pcapng:80", CaptureFrom::File(Path::new("trace.pcapng")), &[80], "trace.pcapng:80"),
            ("/a:b/trace.CAP.gz", CaptureFrom::File(Path::new("/a:b/trace.CAP.gz")), &[], "/a:b/trace.CAP.gz"),
            ("a/t.pcap:80,81", CaptureFrom::File(Path::new("a/t.pcap")), &[80, 81], "a/t.pcap:80,81"),
            ("vxlan::4789", CaptureFrom::Vxlan(address), &[], "vxlan::4789"),
            ("vxlan::4789:80,81", CaptureFrom::Vxlan(address), &[80, 81], "vxlan::4789:80,81"),
            ("vxlan:[::1]:1", CaptureFrom::Vxlan("[::1]:1".parse().unwrap()), &[], "vxlan:[::1]:1"),
            ("vxlan:10.0.0.5:1:80", CaptureFrom::Vxlan("10.0.0.5:1".parse().unwrap()), &[80], "vxlan:10.0.0.5:1:80"),
        ] {
            let read = capture(text);
            assert_eq!((read.from(), read.ports.as_slice(), &*read.to_string()), (from, ports, shown), "{text}");
            assert_eq!(capture(shown), read);
        }
    }

    #[test]
    fn what_cannot_be_captured() {
        for (text, said) in [
            ("", "what to capture"),
            ("80", "it is :80"),
            ("eth0", "as in eth0:80"),
            ("eth0:", "ports from 1 to 65535"),
            (":0", "ports from 1 to 65535"),
            ("eth0:70000", "ports from 1 to 65535"),
            (":80,", "ports from 1 to 65535"),
            (":80;81", "ports from 1 to 65535"),
            ("a b:80", "what to capture"),
            ("10.0.0.1:80:80", "what to capture"),
            ("/tmp/trace:80", "`file` takes any name"),
            ("vxlan:", "vxlan::4789"),
            ("vxlan:4789", "vxlan::4789"),
            ("vxlan:host:4789", "vxlan::4789"),
            ("vxlan::4789:0", "ports from 1 to 65535"),
        ] {
            let error = text.parse::<CaptureConfig>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn the_constructor_and_yaml_have_the_same_defaults() {
        assert_eq!(serde_yaml::from_str::<CaptureConfig>("ports: 80").unwrap(), capture(":80"));
    }
}
