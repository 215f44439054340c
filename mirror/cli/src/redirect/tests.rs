use clap::Parser;

use super::*;
use crate::args::{Args, Command};

fn resolved(line: &str) -> Redirect {
    let words = ["mirror", "redirect"].into_iter().chain(line.split_whitespace());
    match Args::try_parse_from(words).expect("arguments").command {
        Some(Command::Redirect(arguments)) => arguments.resolve().expect("good ones"),
        other => panic!("{other:?}"),
    }
}

/// The script that is printed for these, without its head.
fn printed(line: &str) -> String {
    match resolved(&format!("print {line}")) {
        Redirect::Print(plan, backend) => {
            let script = shell::script(&install(&plan, backend));
            script
                .strip_prefix(
                    "#!/bin/sh\n# Made by `mirror redirect print`; `mirror redirect install` does the same.\nset -eu\n",
                )
                .expect("its head")
                .to_owned()
        }
        other => panic!("{other:?}"),
    }
}

/// The rules that nft would load.
fn table(line: &str) -> String {
    match resolved(&format!("install {line}")) {
        Redirect::Install(plan, _) => nft::table(&plan),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_but_what_is_asked_for() {
    assert_eq!(
        table("--inbound 9090,8080 --to 15001"),
        r#"table inet mirror
delete table inet mirror
table inet mirror {
    chain inbound {
        type nat hook prerouting priority -101; policy accept;
        meta l4proto != tcp accept
        tcp flags & (fin | syn | rst | ack) != syn accept
        fib daddr type != local accept
        tcp dport { 8080, 9090 } redirect to :15001
    }
}
"#
    );
}

#[test]
fn exemptions_come_before_what_they_are_from() {
    assert_eq!(
        table(
            "--inbound all --to 15001 --admin-port 9901 --exempt-inbound-port 22 --local --egress --exempt-port 443,53 --exempt-uid 2102,0 \
             --exempt-cidr 10.0.0.0/8,10.1.0.0/16,fd00::1 --family ipv6"
        ),
        r#"table inet mirror
delete table inet mirror
table inet mirror {
    chain inbound {
        type nat hook prerouting priority -101; policy accept;
        meta l4proto != tcp accept
        meta nfproto != ipv6 accept
        tcp flags & (fin | syn | rst | ack) != syn accept
        fib daddr type != local accept
        ip saddr { 10.0.0.0/8 } accept
        ip6 saddr { fd00::1/128 } accept
        tcp dport { 22, 9901, 15001 } accept
        meta l4proto tcp redirect to :15001
    }

    chain outbound {
        type nat hook output priority -101; policy accept;
        meta l4proto != tcp accept
        meta nfproto != ipv6 accept
        tcp flags & (fin | syn | rst | ack) != syn accept
        ip daddr { 10.0.0.0/8 } accept
        ip6 daddr { fd00::1/128 } accept
        meta skuid { 0, 2102 } accept
        oifname "lo" tcp dport { 22, 9901, 15001 } accept
        oifname "lo" meta l4proto tcp redirect to :15001
        oifname "lo" accept
        tcp dport { 53, 443 } accept
        meta l4proto tcp redirect to :15001
    }
}
"#
    );
}

/// What comes from elsewhere is the mesh's, and so is what the mesh's proxy sends elsewhere.
#[test]
fn before_a_meshs_application() {
    assert_eq!(
        table("--inbound 8080 --to 15101 --mesh-uid 1337 --egress --egress-port 80 --exempt-uid 2102"),
        r#"table inet mirror
delete table inet mirror
table inet mirror {
    chain outbound {
        type nat hook output priority -101; policy accept;
        meta l4proto != tcp accept
        tcp flags & (fin | syn | rst | ack) != syn accept
        oifname "lo" meta skuid 1337 tcp dport { 8080 } redirect to :15101
        meta skuid { 1337, 2102 } accept
        oifname "lo" accept
        tcp dport { 80 } redirect to :15101
    }
}
"#
    );
}

#[test]
fn tproxy_by_nft() {
    assert_eq!(
        printed("--inbound 8080 --to 15001 --mode tproxy --mark 0x10 --backend nft --family ipv4")
            .split("\n    # What iptables")
            .next()
            .unwrap_or_default()
            .split("\n# What iptables")
            .next(),
        Some(
            r#"
# Packets with the mark are this host's own.
ip -4 route replace local default dev lo table 2102
if [ -z "$(ip -4 rule show priority 2102 2>/dev/null)" ]; then ip -4 rule add priority 2102 fwmark 0x6d lookup 2102; fi

# The rules, all at once, in place of those that were there.
nft -f - <<'EOF'
table inet mirror
delete table inet mirror
table inet mirror {
    chain inbound {
        type filter hook prerouting priority -151; policy accept;
        meta l4proto != tcp accept
        meta nfproto != ipv4 accept
        iifname "lo" meta mark 0x10 ct mark set 0x10 accept
        iifname "lo" accept
        meta l4proto tcp ct mark 0x6d meta mark set 0x6d tproxy to :15001 accept
        fib daddr type != local accept
        tcp dport { 8080 } tcp flags & (fin | syn | rst | ack) == syn ct mark set 0x6d meta mark set 0x6d tproxy to :15001 accept
    }

    chain answers {
        type route hook output priority -151; policy accept;
        meta l4proto != tcp accept
        meta nfproto != ipv4 accept
        ct mark 0x10 meta mark != 0x10 meta mark set 0x6d
    }
}
EOF
"#
        )
    );
}

#[test]
fn by_iptables() {
    let script = printed(
        "--inbound 8080 --to 15001 --backend iptables --local --exempt-uid 2102 --exempt-cidr 10.0.0.0/8,fd00::/8",
    );
    let (v4, rest) = script.split_once("\n# The rules for IPv6").expect("both");
    assert_eq!(
        v4,
        r#"
# The rules for IPv4, in place of those that were there.
{
    echo '*nat'
    echo ':MIRROR_IN - [0:0]'
    echo ':MIRROR_OUT - [0:0]'
    if iptables -w 5 -t nat -C PREROUTING -p tcp -j MIRROR_IN >/dev/null 2>&1; then echo '-D PREROUTING -p tcp -j MIRROR_IN'; fi
    echo '-I PREROUTING 1 -p tcp -j MIRROR_IN'
    echo '-A MIRROR_IN -p tcp ! --syn -j RETURN'
    echo '-A MIRROR_IN -m addrtype ! --dst-type LOCAL -j RETURN'
    echo '-A MIRROR_IN -s 10.0.0.0/8 -j RETURN'
    echo '-A MIRROR_IN -p tcp -m multiport --dports 8080 -j REDIRECT --to-ports 15001'
    if iptables -w 5 -t nat -C OUTPUT -p tcp -j MIRROR_OUT >/dev/null 2>&1; then echo '-D OUTPUT -p tcp -j MIRROR_OUT'; fi
    echo '-I OUTPUT 1 -p tcp -j MIRROR_OUT'
    echo '-A MIRROR_OUT -p tcp ! --syn -j RETURN'
    echo '-A MIRROR_OUT -d 10.0.0.0/8 -j RETURN'
    echo '-A MIRROR_OUT -m owner --uid-owner 2102 -j RETURN'
    echo '-A MIRROR_OUT -o lo -p tcp -m multiport --dports 8080 -j REDIRECT --to-ports 15001'
    echo 'COMMIT'
} | iptables-restore -w 5 --noflush
if iptables -w 5 -t mangle -S MIRROR_IN >/dev/null 2>&1; then {
    echo '*mangle'
    if iptables -w 5 -t mangle -C PREROUTING -p tcp -j MIRROR_IN >/dev/null 2>&1; then echo '-D PREROUTING -p tcp -j MIRROR_IN'; fi
    if iptables -w 5 -t mangle -C OUTPUT -p tcp -j MIRROR_OUT >/dev/null 2>&1; then echo '-D OUTPUT -p tcp -j MIRROR_OUT'; fi
    echo '-F MIRROR_IN'
    echo '-F MIRROR_OUT'
    echo '-X MIRROR_IN'
    echo '-X MIRROR_OUT'
    echo 'COMMIT'
} | iptables-restore -w 5 --noflush; fi
"#
    );
    assert!(rest.contains("echo '-A MIRROR_IN -s fd00::/8 -j RETURN'") && !rest.contains("10.0.0.0"), "{rest}");
    assert!(
        rest.contains("} | ip6tables-restore -w 5 --noflush") && rest.contains("ip -6 rule del priority 2102"),
        "{rest}"
    );
}

/// A rule of iptables names fifteen ports at most.
#[test]
fn many_ports_are_several_rules() {
    let many: Vec<_> = (1..=40).map(|port| (8000 + port).to_string()).collect();
    let script = printed(&format!("--inbound {} --to 15001 --backend iptables --family ipv4", many.join(",")));
    assert_eq!(script.matches("-j REDIRECT --to-ports 15001").count(), 3);
    assert!(script.contains("--dports 8031,8032,8033,8034,8035,8036,8037,8038,8039,8040 -j REDIRECT"), "{script}");
}

/// Which of the two is found out by the script itself.
#[test]
fn auto_has_both() {
    let script = printed("--inbound 8080 --to 15001");
    assert!(script.starts_with(
        "\n# nft where it works, else iptables.\nif nft -c -f - 2>/dev/null <<'EOF'\ntable inet mirror\n"
    ));
    assert!(script.contains("\nEOF\nthen\n") && script.contains("\nelse\n") && script.ends_with("\nfi\n"), "{script}");
}

#[test]
fn what_is_redirected_is_told_in_a_line() {
    let told = |line: &str, ipv6| match resolved(&format!("install {line}")) {
        Redirect::Install(plan, _) => plan.told(Used { by: "nft", ipv6, done: true }),
        other => panic!("{other:?}"),
    };
    for (line, expected) in [
        ("--inbound 8080,9090 --to 15001", "to port 15001 goes (nft, IPv4 and IPv6) what comes to port 8080,9090"),
        (
            "--inbound all --to 15001 --mode tproxy --egress --exempt-port 53 --exempt-uid 2102",
            "to port 15001 goes (nft, IPv4 and IPv6, tproxy) what comes to all ports but 9900,15001, calls to other hosts but to port 53; \
             never what uid 2102 sends",
        ),
        (
            "--inbound 80 --to 15001 --mesh-uid 1337 --local --exempt-uid 2102",
            "to port 15001 goes (nft, IPv4 and IPv6) what uid 1337 sends over the loopback to port 80, calls to the same over the loopback; \
             never what uid 1337,2102 sends",
        ),
        ("--inbound none --to 15001", "to port 15001 goes (nft, IPv4 and IPv6) what went there before, and no more"),
    ] {
        assert_eq!(told(line, true), expected);
        assert_eq!(told(line, false), expected.replace("IPv4 and IPv6", "IPv4"));
    }
}
