//! The rules for iptables and ip6tables: chains of our own, to which the kernel's jump before they come to anything else.
//!
//! A table is written as a whole (iptables-restore), the jump's new place and its old one in one.

use mirror::config::Transparent;

use super::plan::{Inbound, Plan, ROUTED};
use super::steps::{Line, Part, Step, When, Words};

const IN: &str = "MIRROR_IN";
const OUT: &str = "MIRROR_OUT";

/// The kernel's chains, each with ours.
const HOOKS: [(&str, &str); 2] = [("PREROUTING", IN), ("OUTPUT", OUT)];

/// Leaves out all but the packet that begins a connection. Of one that was open before the kernel began to follow connections, another is the first
/// that it knows.
const ONLY_BEGINNINGS: &str = "-p tcp ! --syn -j RETURN";

/// The most ports that one rule names.
const MULTIPORT: usize = 15;

/// Which of the two, and what it works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    V4,
    V6,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Tool::V4 => "iptables",
            Tool::V6 => "ip6tables",
        }
    }

    /// One of its commands. It waits for others that have the lock.
    fn asks(self, table: &str, what: &str) -> Words {
        Words::of(&format!("{} -w 5 -t {table} {what}", self.name()))
    }

    fn restore(self) -> Words {
        Words::of(&format!("{}-restore -w 5 --noflush", self.name()))
    }
}

pub(super) fn install(plan: &Plan) -> Vec<Part> {
    let tools = [(plan.family.ipv4, Tool::V4), (plan.family.ipv6, Tool::V6)];
    tools
        .into_iter()
        .map(|(wanted, tool)| {
            let steps = if wanted { tables(plan, tool) } else { vec![clear(tool, "nat"), clear(tool, "mangle")] };
            let why = match (wanted, tool) {
                (true, Tool::V4) => "The rules for IPv4, in place of those that were there.",
                (true, Tool::V6) => "The rules for IPv6, in place of those that were there.",
                (false, _) => "None of the other family.",
            };
            let unless_missing = (!wanted).then(|| tool.name());
            Part { why, ipv6: tool == Tool::V6, unless_missing, steps }
        })
        .collect()
}

/// Removes what is there of either.
pub(super) fn remove(unless_missing: bool) -> Vec<Part> {
    [Tool::V4, Tool::V6]
        .map(|tool| Part {
            why: match tool {
                Tool::V4 => "What iptables has of ours.",
                Tool::V6 => "What ip6tables has of ours.",
            },
            ipv6: tool == Tool::V6,
            unless_missing: unless_missing.then(|| tool.name()),
            steps: vec![clear(tool, "nat"), clear(tool, "mangle")],
        })
        .into()
}

fn tables(plan: &Plan, tool: Tool) -> Vec<Step> {
    let (nat_in, mangle) = match plan.mode {
        _ if !plan.has_inbound_rules() => (Vec::new(), None),
        Transparent::Redirect => (redirect_inbound(plan, tool), None),
        Transparent::Tproxy => (Vec::new(), Some([tproxy_inbound(plan, tool), answers(plan)])),
    };
    let nat_in = match plan.inbound {
        // The kernel translates open connections only as long as something asks for it, and knows them only as long as something asks about them.
        Some(Inbound::None) => vec!["-m conntrack --ctstate INVALID -j RETURN".to_owned()],
        _ => nat_in,
    };
    let nat_out = if plan.has_outbound_rules() { outbound(plan, tool) } else { Vec::new() };
    let mangle = match mangle {
        Some(rules) => fill(tool, "mangle", &rules),
        None => clear(tool, "mangle"),
    };
    let nat = match nat_in.is_empty() && nat_out.is_empty() {
        true => clear(tool, "nat"),
        false => fill(tool, "nat", &[nat_in, nat_out]),
    };
    vec![nat, mangle]
}

/// Has a table's chains of ours be these. One without rules is there too, and nothing jumps to it.
fn fill(tool: Tool, table: &str, rules: &[Vec<String>; 2]) -> Step {
    let mut input = vec![Line::Always(format!("*{table}"))];
    // One that is there is emptied.
    input.extend(HOOKS.map(|(_, chain)| Line::Always(format!(":{chain} - [0:0]"))));
    for ((hook, chain), rules) in HOOKS.into_iter().zip(rules) {
        input.push(without_jump(tool, table, hook, chain));
        if !rules.is_empty() {
            input.push(Line::Always(format!("-I {hook} 1 -p tcp -j {chain}")));
        }
        input.extend(rules.iter().map(|rule| Line::Always(format!("-A {chain} {rule}"))));
    }
    input.push(Line::Always("COMMIT".to_owned()));
    Step { when: When::Always, run: tool.restore(), input }
}

/// Removes a table's chains of ours, which are there both or not at all.
fn clear(tool: Tool, table: &str) -> Step {
    let mut input = vec![Line::Always(format!("*{table}"))];
    input.extend(HOOKS.map(|(hook, chain)| without_jump(tool, table, hook, chain)));
    for action in ["-F", "-X"] {
        input.extend(HOOKS.map(|(_, chain)| Line::Always(format!("{action} {chain}"))));
    }
    input.push(Line::Always("COMMIT".to_owned()));
    Step { when: When::Succeeds(tool.asks(table, &format!("-S {IN}"))), run: tool.restore(), input }
}

fn without_jump(tool: Tool, table: &str, hook: &str, chain: &str) -> Line {
    let jump = format!("{hook} -p tcp -j {chain}");
    Line::If(tool.asks(table, &format!("-C {jump}")), format!("-D {jump}"))
}

fn redirect_inbound(plan: &Plan, tool: Tool) -> Vec<String> {
    let redirect = redirect(plan);
    let mut rules = vec![ONLY_BEGINNINGS.to_owned()];
    rules.extend(left_inbound(plan, tool));
    rules.extend(inbound_ports(plan).iter().map(|ports| format!("{ports} {redirect}")));
    rules
}

fn tproxy_inbound(plan: &Plan, tool: Tool) -> Vec<String> {
    let mark = plan.mark;
    let take =
        format!("-p tcp -m connmark --mark {ROUTED:#x} -j TPROXY --on-port {} --tproxy-mark {ROUTED:#x}", plan.to);
    let mut rules = vec![
        // What the proxy sends to the application, which answers to the client's address.
        format!("-i lo -m mark --mark {mark:#x} -j CONNMARK --set-mark {mark:#x}"),
        "-i lo -j RETURN".to_owned(),
        // Of connections that were taken when they began; all others keep their way.
        take.clone(),
    ];
    if plan.inbound == Some(Inbound::None) {
        return rules;
    }
    rules.extend(left_inbound(plan, tool));
    rules.extend(inbound_ports(plan).iter().map(|ports| format!("{ports} --syn -j CONNMARK --set-mark {ROUTED:#x}")));
    rules.push(take);
    rules
}

fn answers(plan: &Plan) -> Vec<String> {
    let mark = plan.mark;
    vec![format!("-m connmark --mark {mark:#x} -m mark ! --mark {mark:#x} -j MARK --set-mark {ROUTED:#x}")]
}

/// What of all that comes in is left alone.
fn left_inbound(plan: &Plan, tool: Tool) -> Vec<String> {
    let mut rules = vec!["-m addrtype ! --dst-type LOCAL -j RETURN".to_owned()];
    rules.extend(exempt_networks(plan, tool, "-s"));
    if plan.inbound == Some(Inbound::All) {
        rules.extend(ports(&plan.never()).iter().map(|ports| format!("{ports} -j RETURN")));
    }
    rules
}

fn outbound(plan: &Plan, tool: Tool) -> Vec<String> {
    let redirect = redirect(plan);
    let mut rules = vec![ONLY_BEGINNINGS.to_owned()];
    rules.extend(exempt_networks(plan, tool, "-d"));
    let to_inbound = inbound_ports(plan);
    if let Some(uid) = plan.mesh_uid {
        rules.extend(to_inbound.iter().map(|ports| format!("-o lo -m owner --uid-owner {uid} {ports} {redirect}")));
    }
    rules.extend(plan.exempt_uids().iter().map(|uid| format!("-m owner --uid-owner {uid} -j RETURN")));
    if plan.local {
        if plan.inbound == Some(Inbound::All) {
            rules.extend(ports(&plan.never()).iter().map(|ports| format!("-o lo {ports} -j RETURN")));
        }
        rules.extend(to_inbound.iter().map(|ports| format!("-o lo {ports} {redirect}")));
    }
    if let Some(egress) = &plan.egress {
        rules.push("-o lo -j RETURN".to_owned());
        rules.extend(ports(&plan.exempt_ports).iter().map(|ports| format!("{ports} -j RETURN")));
        let egress = if egress.is_empty() { vec!["-p tcp".to_owned()] } else { ports(egress) };
        rules.extend(egress.iter().map(|ports| format!("{ports} {redirect}")));
    }
    rules
}

fn redirect(plan: &Plan) -> String {
    format!("-j REDIRECT --to-ports {}", plan.to)
}

fn exempt_networks(plan: &Plan, tool: Tool, end: &str) -> Vec<String> {
    let networks: Vec<String> = match tool {
        Tool::V4 => plan.exempt_v4.iter().map(ToString::to_string).collect(),
        Tool::V6 => plan.exempt_v6.iter().map(ToString::to_string).collect(),
    };
    networks.iter().map(|network| format!("{end} {network} -j RETURN")).collect()
}

fn inbound_ports(plan: &Plan) -> Vec<String> {
    match &plan.inbound {
        Some(Inbound::Ports(inbound)) => ports(inbound),
        _ => vec!["-p tcp".to_owned()],
    }
}

/// That a port is one of these, in as many rules as it takes.
fn ports(ports: &[u16]) -> Vec<String> {
    let words = |chunk: &[u16]| chunk.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    ports.chunks(MULTIPORT).map(|chunk| format!("-p tcp -m multiport --dports {}", words(chunk))).collect()
}
