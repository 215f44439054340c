//! The steps, run; and what to do where one fails.

use std::io::{ErrorKind, Write};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, anyhow, bail};

use crate::say::tell;

use super::steps::{Line, Part, Step, Steps, When, Words};

/// What it came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    /// Whose rules they are.
    pub(super) by: &'static str,
    /// Whether the host has IPv6.
    pub(super) ipv6: bool,
    /// Whether there was anything to do.
    pub(super) done: bool,
}

const NO_NET_ADMIN: &str = "CAP_NET_ADMIN is missing: a pod's container gets it by its securityContext (`runAsUser: 0`, \
     `capabilities: { drop: [ALL], add: [NET_ADMIN] }`; iptables-legacy takes NET_RAW beside it), elsewhere it takes root";

/// Runs all of it, to the first that fails.
pub(super) fn run(steps: &Steps) -> anyhow::Result<Used> {
    if !may_administer() {
        bail!(NO_NET_ADMIN);
    }
    let ipv6 = has_ipv6();
    if !ipv6 {
        tell!("mirror redirect: this host has no IPv6, so that nothing is done for it");
    }
    match steps {
        Steps::Parts { by, parts, .. } => parts_of(by, parts, ipv6),
        Steps::Either(first, second) => {
            let chosen = if is_open(first)? { first } else { second };
            match &**chosen {
                Steps::Parts { by, parts, .. } => parts_of(by, parts, ipv6),
                Steps::Either(..) => run(chosen),
            }
        }
    }
}

/// Whether the first way can be gone. Why not is told, but where its tool is not there.
fn is_open(first: &Steps) -> anyhow::Result<bool> {
    let Steps::Parts { check: Some(check), by, .. } = first else { return Ok(true) };
    let Some(output) = try_output(&check.run, &input(check)?)? else {
        return Ok(false);
    };
    if !output.status.success() {
        tell!("mirror redirect: {by} cannot be used here: {}", said(&output));
    }
    Ok(output.status.success())
}

fn parts_of(by: &'static str, parts: &[Part], ipv6: bool) -> anyhow::Result<Used> {
    let mut done = false;
    for part in parts {
        if part.ipv6 && !ipv6 || part.unless_missing.is_some_and(|program| !is_there(program)) {
            continue;
        }
        for step in &part.steps {
            match is_wanted(&step.when)? {
                Ok(true) => {
                    perform(step)?;
                    done = true;
                }
                Ok(false) => {}
                // It is about what may be there of other tools than those that were asked for.
                Err(why) if part.unless_missing.is_some() => tell!("mirror redirect: not looked at: {why}"),
                Err(why) => bail!(why),
            }
        }
    }
    Ok(Used { by, ipv6, done })
}

/// Whether a step is to be taken; or why that cannot be known.
fn is_wanted(when: &When) -> anyhow::Result<Result<bool, String>> {
    let (When::Succeeds(words) | When::Prints(words) | When::PrintsNothing(words)) = when else { return Ok(Ok(true)) };
    let output = output(words, "")?;
    let said = said(&output);
    if !output.status.success() && is_refusal(&said) {
        return Ok(Err(format!("`{words}` failed: {said}{}", advice(words.program(), &said))));
    }
    Ok(Ok(match when {
        When::Always => true,
        When::Succeeds(_) => output.status.success(),
        When::Prints(_) => !output.stdout.is_empty(),
        When::PrintsNothing(_) => output.stdout.is_empty(),
    }))
}

fn perform(step: &Step) -> anyhow::Result<()> {
    let output = output(&step.run, &input(step)?)?;
    if !output.status.success() {
        let said = said(&output);
        bail!("`{}` failed: {said}{}", step.run, advice(step.run.program(), &said));
    }
    Ok(())
}

fn input(step: &Step) -> anyhow::Result<String> {
    let mut text = String::new();
    for line in &step.input {
        let line = match line {
            Line::If(words, _) if !output(words, "")?.status.success() => continue,
            Line::If(_, line) | Line::Always(line) => line,
        };
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}

fn output(words: &Words, input: &str) -> anyhow::Result<Output> {
    try_output(words, input)?.ok_or_else(|| missing(words.program()))
}

/// None where there is no such program.
fn try_output(words: &Words, input: &str) -> anyhow::Result<Option<Output>> {
    let mut command = Command::new(words.program());
    command.args(&words.0[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Its words are looked for.
    command.env("LC_ALL", "C");
    let mut child = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        spawned => spawned.with_context(|| format!("`{words}` cannot be run"))?,
    };
    let mut stdin = child.stdin.take().context("a pipe")?;
    // One that ends before it has read all says why.
    match stdin.write_all(input.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
        _ => drop(stdin),
    }
    Ok(Some(child.wait_with_output().with_context(|| format!("`{words}` cannot be waited for"))?))
}

fn missing(program: &str) -> anyhow::Error {
    match program {
        "nft" => anyhow!("there is no `nft` here: it is in the package nftables; or `--backend iptables`"),
        "ip" => anyhow!("there is no `ip` here, which tproxy takes for its route: it is in the package iproute2"),
        // nft was looked for before, where it was not excluded.
        _ => anyhow!(
            "there is no `{program}` here: it is in the package iptables; nft, which serves too, is in nftables"
        ),
    }
}

/// In one line.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { output.status.to_string() } else { lines.join("; ") }
}

/// Whether a tool was not let do what it does, and so says nothing of what there is.
fn is_refusal(said: &str) -> bool {
    ["xtables.lock", "Permission denied", "not permitted"].iter().any(|words| said.contains(words))
}

/// What to do about it.
fn advice(program: &str, said: &str) -> String {
    let advice = if said.contains("xtables.lock") {
        "iptables-legacy takes its lock in /run, which has to be writable (a pod: an emptyDir at /run); `--backend nft` takes none"
    } else if is_refusal(said) {
        NO_NET_ADMIN
    } else if program.starts_with("ip6tables") {
        "where the kernel cannot do this for IPv6, `--family ipv4` leaves it out"
    } else {
        return String::new();
    };
    format!("\n{advice}")
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// An address of it, be it the loopback's.
fn has_ipv6() -> bool {
    std::fs::read_to_string("/proc/net/if_inet6").is_ok_and(|addresses| !addresses.is_empty())
}

/// Whether we have CAP_NET_ADMIN, as far as is known.
fn may_administer() -> bool {
    const NET_ADMIN: u32 = 12;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok());
    effective.is_none_or(|set| set & (1 << NET_ADMIN) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_told() {
        let lock = "Fatal: can't open lock file /run/xtables.lock: Read-only file system";
        assert!(advice("iptables-restore", lock).contains("an emptyDir at /run"));
        let refused =
            "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)";
        assert!(advice("iptables", refused).contains("add: [NET_ADMIN]"));
        assert!(
            advice("nft", "netlink: Error: cache initialization failed: Operation not permitted").contains("NET_ADMIN")
        );
        assert!(advice("ip6tables-restore", "can't initialize ip6tables table `nat'").contains("--family ipv4"));
        assert_eq!(advice("nft", "syntax error"), "");
        assert!(missing("nft").to_string().contains("package nftables"));
        assert!(missing("ip6tables-restore").to_string().contains("package iptables"));
    }
}
