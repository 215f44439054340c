//! `--input-raw`: what is listened to.

use std::net::IpAddr;

use serde_yaml::Value;

use super::line::Line;
use super::{Settings, limit, value};

/// The flag that all of this is about.
const RAW: &str = "input-raw";

/// The port of VXLAN.
const VXLAN_PORT: &str = "4789";

/// What names of saved captures end with.
const SAVED: [&str; 3] = [".pcap", ".pcapng", ".cap"];

/// How packets are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Live,
    File,
    Vxlan,
}

/// Where packets are taken from, in GoReplay's words.
struct Place {
    /// The key and its value.
    from: (&'static str, String),
    ports: String,
    /// Which of them are meant, where that is not all to these ports and back.
    filter: Option<String>,
}

pub(super) fn map(line: &Line, settings: &mut Settings) {
    let engine = engine(line, settings);
    if let Some(word) = line.last("input-raw-protocol").filter(|word| !["", "http"].contains(word)) {
        let paid = "http; other protocols are of GoReplay's paid edition";
        settings.fault("input-raw-protocol", word, paid);
    }
    let vxlan_port = line.last("input-raw-vxlan-port").unwrap_or(VXLAN_PORT);
    let mut at = 0;
    for word in line.all(RAW) {
        let address = match limit::split(word) {
            Ok((address, _)) => address,
            Err(_) => {
                settings.fault(RAW, word, limit::EXPECTED);
                continue;
            }
        };
        match place(address, engine, vxlan_port, line.is_on("input-raw-promisc")) {
            Ok(place) => {
                let mut from = vec![(place.from.0, Value::from(place.from.1))];
                if !place.ports.is_empty() {
                    from.push(("ports", place.ports.into()));
                }
                let from = from.into_iter().map(|(key, value)| (Value::from(key), value)).collect();
                settings.set(&format!("capture.{at}"), Value::Mapping(from), RAW);
                options(line, at, place.filter, settings);
                at += 1;
            }
            Err(expected) => settings.fault(RAW, word, expected),
        }
    }
    if let Some(header) = line.last("input-raw-realip-header").filter(|header| !header.is_empty()) {
        let header = super::map([("set", super::map([(header, "{client}".into())]))]);
        settings.stage("rewrite", super::map([("header", header)]), "input-raw-realip-header");
    }
}

fn engine(line: &Line, settings: &mut Settings) -> Engine {
    match line.last("input-raw-engine").unwrap_or_default() {
        "" | "libpcap" => Engine::Live,
        "raw_socket" | "af_packet" => {
            settings.tell(
                "input-raw-engine",
                "packets are taken by libpcap in any case, which has the kernel's ring for it",
            );
            Engine::Live
        }
        "pcap_file" => Engine::File,
        "vxlan" => Engine::Vxlan,
        other => {
            settings.fault("input-raw-engine", other, "one of libpcap, raw_socket, af_packet, pcap_file, vxlan");
            Engine::Live
        }
    }
}

/// Reads an address: `[host, interface or file]:port[,port]`.
fn place(address: &str, engine: Engine, vxlan_port: &str, promiscuous: bool) -> Result<Place, String> {
    if address.starts_with("k8s://") {
        return Err("an interface or an address: not supported yet (finding pods)".to_owned());
    }
    let Some((host, ports)) = address.rsplit_once(':') else {
        return Err("an address with a port, as in :8080, eth0:80,8080 or 127.0.0.1:8080".to_owned());
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let all = |from| Ok(Place { from, ports: ports.to_owned(), filter: None });
    match engine {
        Engine::Vxlan => return all(("vxlan", format!(":{vxlan_port}"))),
        Engine::File => return all(("file", host.to_owned())),
        Engine::Live if SAVED.iter().any(|extension| host.trim_end_matches(".gz").ends_with(extension)) => {
            return all(("file", host.to_owned()));
        }
        Engine::Live if ports.is_empty() => {
            return Err(
                "the servers' ports behind the colon, as in eth0:80,8080: without them all that passes would be read"
                    .to_owned(),
            );
        }
        Engine::Live => {}
    }
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    let (interface, of_host) = match host.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => ("lo", Some(address)),
        Ok(address) if !address.is_unspecified() => ("any", Some(address)),
        Ok(_) => ("any", None),
        Err(_) => (if host.is_empty() { "any" } else { host }, None),
    };
    let filter = match of_host {
        Some(address) => Some(to_and_from(ports, &format!("dst host {address}"), &format!("src host {address}"))),
        // GoReplay looks for what is sent to this host's own addresses, and so do we, save where it is told to hear all: what this host asks of
        // others on the same port is not meant. (On `lo` nothing else comes.)
        None if promiscuous || interface == "lo" => None,
        None => Some(to_and_from(ports, "inbound", "")),
    };
    Ok(Place { from: ("interface", interface.to_owned()), ports: ports.to_owned(), filter })
}

/// A filter in libpcap's language for what goes to ports so and comes from them so.
fn to_and_from(ports: &str, to: &str, from: &str) -> String {
    let each = |side: &str| {
        let ports: Vec<String> = ports.split(',').map(|port| format!("{side} port {}", port.trim())).collect();
        if ports.len() == 1 { ports.concat() } else { format!("({})", ports.join(" or ")) }
    };
    let from = if from.is_empty() { each("src") } else { format!("({from} and {})", each("src")) };
    format!("({to} and {}) or {from}", each("dst"))
}

/// What is said of all captures.
fn options(line: &Line, at: usize, filter: Option<String>, settings: &mut Settings) {
    let key = |name: &str| format!("capture.{at}.{name}");
    let vlans: Vec<&str> = line.all("input-raw-vlan-vid").collect();
    let vlan = match vlans.as_slice() {
        [] => None,
        [vlan] if value::number(vlan).is_some_and(|vlan| vlan < 4096) => Some(format!("vlan {vlan}")),
        [vlan] => {
            settings.fault("input-raw-vlan-vid", vlan, "a VLAN's number, from 0 to 4095");
            None
        }
        several => {
            settings.fault(
                "input-raw-vlan-vid",
                &several.join(", "),
                "one VLAN: libpcap's filters look for one at a time",
            );
            None
        }
    };
    // GoReplay's own filter gives way to one that is given. With us the ports still hold.
    let (given, flag) = match line.last("input-raw-bpf-filter").filter(|filter| !filter.is_empty()) {
        Some(given) => (Some(given.to_owned()), "input-raw-bpf-filter"),
        None => (filter, RAW),
    };
    match (vlan, given) {
        (Some(vlan), Some(filter)) => settings.set(&key("bpf"), format!("{vlan} and ({filter})"), "input-raw-vlan-vid"),
        (Some(vlan), None) => settings.set(&key("bpf"), vlan, "input-raw-vlan-vid"),
        (None, Some(filter)) => settings.set(&key("bpf"), filter, flag),
        (None, None) => {}
    }
    if line.is_on("input-raw-promisc") {
        settings.set(&key("promiscuous"), true, "input-raw-promisc");
    }
    if let Some(bytes @ 1..) = line.last("input-raw-buffer-size").and_then(value::size) {
        settings.set_size(&key("buffer"), bytes, "input-raw-buffer-size");
    }
    // None is GoReplay's word for its default.
    if let Some(time) = line.last("input-raw-buffer-timeout").and_then(value::time).filter(|time| !time.is_zero()) {
        settings.set_time(&key("block_time"), time, "input-raw-buffer-timeout");
    }
}
