//! The rules as a table of nftables, which is loaded as a whole or not at all.

use std::fmt::Write;

use mirror::config::Transparent;

use super::plan::{Inbound, Plan, ROUTED};
use super::steps::{Line, Part, Step, When, Words};

/// Of IPv4 and IPv6 alike.
const TABLE: &str = "inet mirror";

/// The packet that begins a connection. Of one that was open before the kernel began to follow connections, another is the first that it knows.
const BEGINS: &str = "tcp flags & (fin | syn | rst | ack) == syn";

/// What a table of ours is replaced by, in one transaction: the first line makes one, where there is none, for the second to remove.
const REPLACE: [&str; 2] = ["table inet mirror", "delete table inet mirror"];

/// Loads a table.
pub(super) fn load(table: &str) -> Step {
    Step { when: When::Always, run: Words::of("nft -f -"), input: lines(table) }
}

/// Asks whether a table could be loaded.
pub(super) fn check(table: &str) -> Step {
    Step { when: When::Always, run: Words::of("nft -c -f -"), input: lines(table) }
}

/// Removes the table.
pub(super) fn remove(unless_missing: bool) -> Part {
    let step = Step {
        when: When::Succeeds(Words::of(&format!("nft list table {TABLE}"))),
        run: Words::of(&format!("nft delete table {TABLE}")),
        input: Vec::new(),
    };
    Part { unless_missing: unless_missing.then_some("nft"), ..Part::new("What nft has of ours.", step) }
}

fn lines(text: &str) -> Vec<Line> {
    text.lines().map(|line| Line::Always(line.to_owned())).collect()
}

/// The table. Its chains stand just before those of others: of iptables, and of a mesh.
pub(super) fn table(plan: &Plan) -> String {
    let mut chains = String::new();
    if plan.inbound == Some(Inbound::None) {
        // The kernel translates open connections only as long as something asks for it, and knows them only as long as something asks about them.
        chain(&mut chains, "kept", "nat hook prerouting priority -101", &["ct state invalid accept".to_owned()]);
    }
    match plan.mode {
        _ if !plan.has_inbound_rules() => {}
        Transparent::Redirect if plan.inbound == Some(Inbound::None) => {}
        Transparent::Redirect => {
            chain(&mut chains, "inbound", "nat hook prerouting priority -101", &redirect_inbound(plan));
        }
        Transparent::Tproxy => {
            chain(&mut chains, "inbound", "filter hook prerouting priority -151", &tproxy_inbound(plan));
            let mark = plan.mark;
            let answers = format!("ct mark {mark:#x} meta mark != {mark:#x} meta mark set {ROUTED:#x}");
            chain(&mut chains, "answers", "route hook output priority -151", &of_family(plan, vec![answers]));
        }
    }
    if plan.has_outbound_rules() {
        chain(&mut chains, "outbound", "nat hook output priority -101", &outbound(plan));
    }
    let [make, delete] = REPLACE;
    format!("{make}\n{delete}\ntable {TABLE} {{\n{}}}\n", chains.trim_start_matches('\n'))
}

fn chain(text: &mut String, name: &str, hook: &str, rules: &[String]) {
    let _ = write!(text, "\n    chain {name} {{\n        type {hook}; policy accept;\n");
    for rule in rules {
        let _ = writeln!(text, "        {rule}");
    }
    text.push_str("    }\n");
}

/// Before all rules: of which packets they are.
fn of_family(plan: &Plan, rules: Vec<String>) -> Vec<String> {
    let mut all = vec!["meta l4proto != tcp accept".to_owned()];
    match (plan.family.ipv4, plan.family.ipv6) {
        (true, false) => all.push("meta nfproto != ipv4 accept".to_owned()),
        (false, true) => all.push("meta nfproto != ipv6 accept".to_owned()),
        _ => {}
    }
    all.extend(rules);
    all
}

/// The same for rules that decide about connections.
fn of_beginnings(plan: &Plan, rules: Vec<String>) -> Vec<String> {
    let mut all = of_family(plan, vec![format!("{} accept", BEGINS.replace("==", "!="))]);
    all.extend(rules);
    all
}

fn redirect_inbound(plan: &Plan) -> Vec<String> {
    let mut rules = left_inbound(plan);
    rules.push(format!("{} redirect to :{}", inbound_ports(plan), plan.to));
    of_beginnings(plan, rules)
}

fn tproxy_inbound(plan: &Plan) -> Vec<String> {
    let (mark, to) = (plan.mark, plan.to);
    let take = format!("meta mark set {ROUTED:#x} tproxy to :{to} accept");
    let mut rules = vec![
        // What the proxy sends to the application, which answers to the client's address.
        format!("iifname \"lo\" meta mark {mark:#x} ct mark set {mark:#x} accept"),
        "iifname \"lo\" accept".to_owned(),
        // Of connections that were taken when they began; all others keep their way.
        format!("meta l4proto tcp ct mark {ROUTED:#x} {take}"),
    ];
    if plan.inbound != Some(Inbound::None) {
        rules.extend(left_inbound(plan));
        rules.push(format!("{} {BEGINS} ct mark set {ROUTED:#x} {take}", inbound_ports(plan)));
    }
    of_family(plan, rules)
}

/// What of all that comes in is left alone.
fn left_inbound(plan: &Plan) -> Vec<String> {
    let mut rules = vec!["fib daddr type != local accept".to_owned()];
    rules.extend(exempt_networks(plan, "saddr"));
    if plan.inbound == Some(Inbound::All) {
        rules.push(format!("tcp dport {} accept", set(&plan.never())));
    }
    rules
}

fn inbound_ports(plan: &Plan) -> String {
    match &plan.inbound {
        Some(Inbound::Ports(ports)) => format!("tcp dport {}", set(ports)),
        _ => "meta l4proto tcp".to_owned(),
    }
}

fn outbound(plan: &Plan) -> Vec<String> {
    let (to, ports) = (plan.to, inbound_ports(plan));
    let mut rules: Vec<_> = exempt_networks(plan, "daddr").collect();
    if let Some(uid) = plan.mesh_uid {
        rules.push(format!("oifname \"lo\" meta skuid {uid} {ports} redirect to :{to}"));
    }
    let exempt = plan.exempt_uids();
    if !exempt.is_empty() {
        rules.push(format!("meta skuid {} accept", set(&exempt)));
    }
    if plan.local {
        if plan.inbound == Some(Inbound::All) {
            rules.push(format!("oifname \"lo\" tcp dport {} accept", set(&plan.never())));
        }
        rules.push(format!("oifname \"lo\" {ports} redirect to :{to}"));
    }
    if let Some(egress) = &plan.egress {
        rules.push("oifname \"lo\" accept".to_owned());
        if !plan.exempt_ports.is_empty() {
            rules.push(format!("tcp dport {} accept", set(&plan.exempt_ports)));
        }
        let ports =
            if egress.is_empty() { "meta l4proto tcp".to_owned() } else { format!("tcp dport {}", set(egress)) };
        rules.push(format!("{ports} redirect to :{to}"));
    }
    of_beginnings(plan, rules)
}

fn exempt_networks(plan: &Plan, end: &str) -> impl Iterator<Item = String> {
    let v4 = (!plan.exempt_v4.is_empty()).then(|| format!("ip {end} {} accept", set(&plan.exempt_v4)));
    let v6 = (!plan.exempt_v6.is_empty()).then(|| format!("ip6 {end} {} accept", set(&plan.exempt_v6)));
    v4.into_iter().chain(v6)
}

fn set<T: ToString>(members: &[T]) -> String {
    let members: Vec<_> = members.iter().map(T::to_string).collect();
    format!("{{ {} }}", members.join(", "))
}
