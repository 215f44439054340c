//! `mirror redirect`: what it installs stands once, in place of what it installed before, and goes without a trace.

use std::process::Command;

use mirror_tests::redirected::{BACKENDS, Hosts};
use mirror_tests::{Namespace, Unprivileged, binary, refusal, run_to_end};

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn installed_twice_it_is_there_once_and_removed_it_is_gone() {
    let Some(hosts) = Hosts::new() else { return };
    assert_eq!(hosts.redirect("remove"), "mirror redirect: nothing was there\n");
    for backend in BACKENDS {
        let by = format!("--backend {backend}");
        for rules in [
            "--inbound 8080,9090 --to 15001",
            "--inbound all --to 15001 --exempt-inbound-port 22 --exempt-cidr 10.9.0.0/16,fd99::/16",
            "--inbound 8080 --to 15001 --mode tproxy --egress --exempt-uid 2102 --exempt-port 53,443 --local",
            "--inbound 8080 --to 15001 --mesh-uid 1337 --family ipv4",
            "--to 15001 --egress --egress-port 80 --exempt-uid 2102,0 --family ipv6",
        ] {
            let said = hosts.redirect(&format!("install {rules} {by}"));
            assert!(said.starts_with("mirror redirect: to port 15001 goes (") && count(&said, "\n") == 1, "{said}");
            let once = hosts.rules();
            hosts.redirect(&format!("install {rules} {by}"));
            assert_eq!(hosts.rules(), once, "{rules} {by}");
            assert_eq!(once.contains("ip -4 rule 2102:\tfrom all fwmark 0x6d lookup 2102"), rules.contains("tproxy"));
            assert_eq!(once.contains("ip -6 route local default dev lo"), rules.contains("tproxy"), "{once}");
            // Nothing of the other's.
            assert_eq!(once.contains("table inet mirror"), backend == "nft", "{once}");
            assert_eq!(once.contains("tables -A"), backend == "iptables", "{once}");
        }
        assert_eq!(hosts.redirect("remove"), "mirror redirect: removed\n");
        assert_eq!(hosts.rules(), "");
        assert_eq!(hosts.redirect("remove"), "mirror redirect: nothing was there\n");
    }
}

/// Whatever others have put first, before it was installed and since.
#[test]
fn its_rules_come_before_others() {
    let Some(hosts) = Hosts::new() else { return };
    let first = |table: &str, hook: &str| {
        let rules = hosts.shell(&format!("iptables -t {table} -S {hook}"));
        rules.lines().nth(1).unwrap_or_default().to_owned()
    };
    hosts.shell(
        "iptables -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports 15006; iptables -t nat -A OUTPUT -j ACCEPT",
    );
    let install = "install --inbound 8080 --to 15001 --egress --exempt-uid 2102 --backend iptables";
    hosts.redirect(install);
    hosts.shell("iptables -t nat -I PREROUTING 1 -p tcp -j REDIRECT --to-ports 15006");
    hosts.redirect(install);
    assert_eq!(first("nat", "PREROUTING"), "-A PREROUTING -p tcp -j MIRROR_IN");
    assert_eq!(first("nat", "OUTPUT"), "-A OUTPUT -p tcp -j MIRROR_OUT");
    hosts.redirect("remove --backend iptables");
    let left = hosts.shell("iptables-save -t nat");
    assert_eq!((count(&left, "-j REDIRECT"), count(&left, "MIRROR")), (2, 0), "{left}");
}

/// By sh, which has to do the same as the program itself.
#[test]
fn what_is_printed_does_the_same() {
    let Some(hosts) = Hosts::new() else { return };
    for backend in ["auto", "nft", "iptables"] {
        for rules in [
            "--inbound all --to 15001 --exempt-cidr 10.9.0.0/16 --egress --exempt-uid 2102 --exempt-port 53",
            "--inbound 8080 --to 15001 --mode tproxy --local --exempt-uid 2102",
        ] {
            let arguments = format!("{rules} --backend {backend}");
            hosts.redirect(&format!("install {arguments}"));
            let installed = hosts.rules();
            assert_eq!(hosts.shell(&format!("mirror redirect print {arguments} | sh")), "");
            assert_eq!(hosts.rules(), installed, "over the same");
            hosts.redirect("remove");
            assert_eq!(hosts.shell(&format!("mirror redirect print {arguments} | sh")), "");
            assert_eq!(hosts.rules(), installed, "over nothing");
        }
    }
}

#[test]
fn all_that_does_not_go_together_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let said = refusal(
        folder.path(),
        &[
            "redirect",
            "install",
            "--to=15001",
            "--inbound=15001,9900",
            "--local",
            "--exempt-port=53",
            "--mesh-uid=me",
            "--exempt-cidr=10.0.0.0/40",
            "--backend=pf",
            "--mode=nat",
            "--family=ipx",
            "--mark=109",
        ],
    );
    assert!(said.starts_with("mirror redirect install: 11 faults\n"), "{said}");
    for fault in [
        "--exempt-port: expected `--egress` beside it",
        "--exempt-uid: expected the uid that the proxy runs as",
        "--inbound: \"15001\": expected none of the ports of `--to`",
        "--inbound: \"9900\": expected none of the ports of `--admin-port`",
        "--mesh-uid: \"me\": expected a user's number",
        "--exempt-cidr: \"10.0.0.0/40\": expected a network",
        "--backend: \"pf\": expected auto, nft or iptables",
        "--mode: \"nat\": expected redirect or tproxy",
        "--family: \"ipx\": expected both, ipv4 or ipv6",
        "--mark: \"109\": expected a number but",
        "--mark: expected `--mode tproxy` beside it",
    ] {
        assert!(said.contains(fault), "{fault}\n{said}");
    }
    let said = refusal(folder.path(), &["redirect", "print", "--to=15001"]);
    assert!(said.contains("mirror redirect print: 1 fault\n--inbound: expected the application's ports"), "{said}");
    let mesh = ["redirect", "print", "--to=15001", "--inbound=all", "--mode=tproxy", "--mesh-uid=1337"];
    let said = refusal(folder.path(), &mesh);
    assert!(said.contains("2 faults\n--mode: \"tproxy\": expected redirect with `--mesh-uid`"), "{said}");
}

/// Who may not, and where a tool is not there: what to do is said.
#[test]
fn why_it_cannot_is_told() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let install = ["redirect", "install", "--inbound=8080", "--to=15001"];
    if let Some(nobody) = Unprivileged::find() {
        for arguments in [&install[..], &["redirect", "remove"]] {
            let ran = nobody.run(folder.path(), arguments);
            let said = String::from_utf8_lossy(&ran.stderr);
            assert_eq!(ran.status.code(), Some(1), "{said}");
            assert!(
                said.starts_with("mirror: CAP_NET_ADMIN is missing: ") && said.contains("add: [NET_ADMIN]"),
                "{said}"
            );
        }
        // It takes nothing to print.
        assert!(nobody.run(folder.path(), &["redirect", "print", "--inbound=all", "--to=15001"]).status.success());
    }
    let Some(host) = Namespace::new() else { return };
    let without = |tools: &[&str], arguments: &[&str]| {
        let path = folder.path().join("bin");
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("a folder of our own");
        for tool in tools {
            let found =
                ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(|folder| std::path::Path::new(folder).join(tool));
            let found = found.iter().find(|path| path.exists()).expect("a tool");
            std::os::unix::fs::symlink(found, path.join(tool)).expect("a link of our own");
        }
        let mut command = Command::new(binary());
        command.args(arguments).env("PATH", &path);
        let output = host.within(|| command.output()).expect("the binary");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = without(&[], &install);
    assert_eq!(code, Some(1), "{said}");
    for package in ["there is no `iptables", "package iptables", "nftables"] {
        assert!(said.contains(package), "{said}");
    }
    let (_, said) = without(&[], &[&install[..], &["--backend=nft"]].concat());
    assert!(said.contains("there is no `nft` here: it is in the package nftables"), "{said}");
    let (_, said) = without(&["nft"], &[&install[..], &["--mode=tproxy"]].concat());
    assert!(said.contains("package iproute2"), "{said}");
    // What there is, is used.
    for tools in [&["nft"][..], &["iptables", "iptables-restore", "ip6tables", "ip6tables-restore"]] {
        assert_eq!(without(tools, &install), (Some(0), String::new()), "{tools:?}");
        assert_eq!(without(tools, &["redirect", "remove"]), (Some(0), String::new()), "{tools:?}");
    }
    assert_eq!(run_to_end(folder.path(), &["redirect", "--help"]).status.code(), Some(0));
}
