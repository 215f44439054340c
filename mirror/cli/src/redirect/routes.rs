//! For TPROXY: what is marked is this host's own, whomever it is addressed to. A routing table of our own says so, and a rule sends marked packets to it.

use mirror::config::Transparent;

use super::plan::{Plan, ROUTED};
use super::steps::{Part, Step, When, Words};

/// Of the table and of the rule's place, which is before the main table's: a number that others are unlikely to have.
const TABLE: u32 = 2102;

pub(super) fn install(plan: &Plan) -> Vec<Part> {
    if !is_for(plan) {
        return Vec::new();
    }
    let part = |ipv6| Part {
        why: if ipv6 { "The same for IPv6." } else { "Packets with the mark are this host's own." },
        ipv6,
        unless_missing: None,
        steps: vec![
            step(When::Always, ipv6, format!("route replace local default dev lo table {TABLE}")),
            step(
                When::PrintsNothing(command(ipv6, &show_rule())),
                ipv6,
                format!("rule add priority {TABLE} fwmark {ROUTED:#x} lookup {TABLE}"),
            ),
        ],
    };
    [(plan.family.ipv4, false), (plan.family.ipv6, true)]
        .into_iter()
        .filter(|(wanted, _)| *wanted)
        .map(|(_, ipv6)| part(ipv6))
        .collect()
}

/// Removes those that a plan has no use for.
pub(super) fn remove_others(plan: &Plan) -> Vec<Part> {
    let (ipv4, ipv6) = if is_for(plan) { (plan.family.ipv4, plan.family.ipv6) } else { (false, false) };
    [(ipv4, false), (ipv6, true)].into_iter().filter(|(kept, _)| !kept).map(|(_, ipv6)| remove_of(ipv6)).collect()
}

pub(super) fn remove() -> Vec<Part> {
    vec![remove_of(false), remove_of(true)]
}

fn is_for(plan: &Plan) -> bool {
    plan.mode == Transparent::Tproxy && plan.has_inbound_rules()
}

/// The route goes after the rule, as nothing is sent to it then.
fn remove_of(ipv6: bool) -> Part {
    Part {
        why: if ipv6 {
            "The rule and the route of IPv6 for marked packets."
        } else {
            "The rule and the route for marked packets."
        },
        ipv6,
        unless_missing: Some("ip"),
        steps: vec![
            step(When::Prints(command(ipv6, &show_rule())), ipv6, format!("rule del priority {TABLE}")),
            step(
                When::Prints(command(ipv6, &format!("route show table {TABLE}"))),
                ipv6,
                format!("route flush table {TABLE}"),
            ),
        ],
    }
}

fn show_rule() -> String {
    format!("rule show priority {TABLE}")
}

fn step(when: When, ipv6: bool, what: String) -> Step {
    Step { when, run: command(ipv6, &what), input: Vec::new() }
}

fn command(ipv6: bool, what: &str) -> Words {
    Words::of(&format!("ip {} {what}", if ipv6 { "-6" } else { "-4" }))
}
