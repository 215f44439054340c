//! What is to be redirected: arguments that are good.

use mirror::config::Transparent;

use super::Used;

use ipnet::{Ipv4Net, Ipv6Net};

/// The mark of packets that are this host's own, whomever they are addressed to; and of connections that TPROXY has taken.
pub(super) const ROUTED: u32 = 0x6d;

/// All that is asked for.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) mode: Transparent,
    pub(super) inbound: Option<Inbound>,
    /// Where the proxy listens.
    pub(super) to: u16,
    /// Where its admin endpoint does.
    pub(super) admin: Option<u16>,
    /// To which ports of other hosts; none are all.
    pub(super) egress: Option<Vec<u16>>,
    pub(super) own_uids: Vec<u32>,
    pub(super) exempt_inbound: Vec<u16>,
    pub(super) exempt_ports: Vec<u16>,
    pub(super) exempt_v4: Vec<Ipv4Net>,
    pub(super) exempt_v6: Vec<Ipv6Net>,
    /// Calls over the loopback too.
    pub(super) local: bool,
    /// What comes by way of a mesh's proxy, whose uid this is.
    pub(super) mesh_uid: Option<u32>,
    /// Of what the proxy sends.
    pub(super) mark: u32,
    pub(super) family: Family,
}

/// The application's ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inbound {
    All,
    /// No more: what is open is kept.
    None,
    Ports(Vec<u16>),
}

/// Which versions of IP; one at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) ipv4: bool,
    pub(super) ipv6: bool,
}

impl Plan {
    /// Whether what comes from elsewhere is redirected. With a mesh it is the mesh's first, and comes from there.
    pub(super) fn has_inbound_rules(&self) -> bool {
        self.inbound.is_some() && self.mesh_uid.is_none()
    }

    /// Whether something of what this host sends is redirected.
    pub(super) fn has_outbound_rules(&self) -> bool {
        self.egress.is_some() || self.local || self.mesh_uid.is_some()
    }

    /// Ports that are not redirected though all are.
    pub(super) fn never(&self) -> Vec<u16> {
        let ours = [Some(self.to), self.admin].into_iter().flatten();
        sorted(ours.chain(self.exempt_inbound.iter().copied()))
    }

    /// Whose connections are not redirected; a mesh's only where they go to the application.
    pub(super) fn exempt_uids(&self) -> Vec<u32> {
        match self.egress.is_some() || self.local {
            true => sorted(self.own_uids.iter().copied().chain(self.mesh_uid)),
            false => Vec::new(),
        }
    }

    /// In one line.
    pub(super) fn told(&self, used: Used) -> String {
        let Plan { mode, to, .. } = self;
        let families = match (self.family.ipv4, self.family.ipv6 && used.ipv6) {
            (true, true) => "IPv4 and IPv6",
            (true, false) => "IPv4",
            _ => "IPv6",
        };
        let mut what = Vec::new();
        if let Some(inbound) = &self.inbound {
            let ports = match inbound {
                Inbound::All => format!("all ports but {}", listed(&self.never())),
                Inbound::None => String::new(),
                Inbound::Ports(ports) => format!("port {}", listed(ports)),
            };
            what.push(match self.mesh_uid {
                _ if *inbound == Inbound::None => "what went there before, and no more".to_owned(),
                Some(uid) => format!("what uid {uid} sends over the loopback to {ports}"),
                None => format!("what comes to {ports}"),
            });
            if self.local {
                what.push("calls to the same over the loopback".to_owned());
            }
        }
        if let Some(egress) = &self.egress {
            let ports = match (egress.as_slice(), self.exempt_ports.as_slice()) {
                ([], []) => String::new(),
                ([], exempt) => format!(" but to port {}", listed(exempt)),
                (ports, _) => format!(" to port {}", listed(ports)),
            };
            what.push(format!("calls to other hosts{ports}"));
        }
        let uids = self.exempt_uids();
        let but = if uids.is_empty() { String::new() } else { format!("; never what uid {} sends", listed(&uids)) };
        let mode = match self.inbound {
            Some(_) if *mode == Transparent::Tproxy => ", tproxy",
            _ => "",
        };
        format!("to port {to} goes ({}, {families}{mode}) {}{but}", used.by, what.join(", "))
    }
}

fn listed<T: ToString>(members: &[T]) -> String {
    members.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

pub(super) fn sorted<T: Ord>(members: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_unstable();
    members.dedup();
    members
}
