//! What the arguments' words are made of: ports, uids, networks.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use mirror::config::{Faults, Ports};

use super::plan::{Family, ROUTED, sorted};
use crate::chosen::told;

/// A list's members, of all times that it was given.
pub(super) fn list<T: Ord>(
    faults: &mut Faults,
    flag: &str,
    words: &[String],
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let members = words.iter().flat_map(|word| word.split(',')).map(|word| word.trim().to_owned());
    sorted(members.filter_map(|word| told(faults, flag, Some(word), &read)))
}

pub(super) fn ports(faults: &mut Faults, flag: &str, words: &[String]) -> Vec<u16> {
    list(faults, flag, words, port)
}

pub(super) fn read_ports(text: &str) -> Result<Vec<u16>, String> {
    let ports = text.parse::<Ports>().map_err(|expected| expected.0.into_owned())?;
    Ok(sorted(ports.as_slice().iter().copied()))
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    match read_ports(text).as_deref() {
        Ok([port]) => Ok(*port),
        _ => Err("a port from 1 to 65535".into()),
    }
}

pub(super) fn uid(text: &str) -> Result<u32, String> {
    number(text).filter(|uid| *uid != u32::MAX).ok_or_else(|| "a user's number, as in 2110".into())
}

pub(super) fn mark(text: &str) -> Result<u32, String> {
    let mark = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => number(text),
    };
    mark.filter(|mark| ![0, ROUTED].contains(mark))
        .ok_or_else(|| format!("a number but 0 and {ROUTED}, which is in use"))
}

/// Not u32's own parse alone, which takes "+1".
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

pub(super) fn family(text: &str) -> Result<Family, String> {
    match text {
        "both" => Ok(Family { ipv4: true, ipv6: true }),
        "ipv4" => Ok(Family { ipv4: true, ipv6: false }),
        "ipv6" => Ok(Family { ipv4: false, ipv6: true }),
        _ => Err("both, ipv4 or ipv6".into()),
    }
}

/// Networks without those that lie in others: nft takes none of them twice.
pub(super) fn networks(faults: &mut Faults, words: &[String]) -> (Vec<Ipv4Net>, Vec<Ipv6Net>) {
    let networks = list(faults, "--exempt-cidr", words, |text| {
        let network = IpNet::from_str(text).ok().or_else(|| IpAddr::from_str(text).ok().map(IpNet::from));
        network.map(|network| network.trunc()).ok_or_else(|| "a network, as in 10.0.0.0/8 or fd00::/8".to_owned())
    });
    let mut sorted = (Vec::new(), Vec::new());
    for network in IpNet::aggregate(&networks) {
        match network {
            IpNet::V4(network) => sorted.0.push(network),
            IpNet::V6(network) => sorted.1.push(network),
        }
    }
    sorted
}
