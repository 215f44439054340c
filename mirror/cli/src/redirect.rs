//! `mirror redirect`: the kernel's rules that send connections to the proxy, and take them away again. What a pod's init container runs.
//!
//! ```text
//!  args ─▶ plan ─┬─▶ nft ──────┐
//!  (typed) (good)├─▶ iptables ─┼─▶ steps ─┬─▶ shell: printed
//!                └─▶ routes ───┘          └─▶ execute: run
//! ```
//!
//! The same steps are printed and run, so that what is printed is what would be done.

use std::process::ExitCode;

use crate::say;

mod args;
mod execute;
mod iptables;
mod nft;
mod plan;
mod routes;
mod shell;
mod steps;
mod words;

pub(crate) use args::{Redirect, RedirectArgs};

use args::Backend;
use execute::Used;
use plan::Plan;
use steps::{Part, Steps};

pub(crate) fn run(redirect: &Redirect) -> anyhow::Result<ExitCode> {
    match redirect {
        Redirect::Install(plan, backend) => {
            let used = execute::run(&install(plan, *backend))?;
            say::all(&format!("mirror redirect: {}\n", plan.told(used)))
        }
        Redirect::Remove(backend) => {
            let used = execute::run(&remove(*backend))?;
            say::all(if used.done { "mirror redirect: removed\n" } else { "mirror redirect: nothing was there\n" })
        }
        Redirect::Print(plan, backend) => say::all(&shell::script(&install(plan, *backend))),
    }
}

/// What puts a plan's rules in place of those that were there. Routes come before what sends packets to them.
fn install(plan: &Plan, backend: Backend) -> Steps {
    let table = nft::table(plan);
    let by_nft = |check| Steps::Parts {
        by: "nft",
        parts: join([
            routes::install(plan),
            vec![Part::new("The rules, all at once, in place of those that were there.", nft::load(&table))],
            iptables::remove(true),
            routes::remove_others(plan),
        ]),
        check,
    };
    let by_iptables = || Steps::Parts {
        by: "iptables",
        parts: join([
            routes::install(plan),
            iptables::install(plan),
            vec![nft::remove(true)],
            routes::remove_others(plan),
        ]),
        check: None,
    };
    match backend {
        Backend::Nft => by_nft(None),
        Backend::Iptables => by_iptables(),
        Backend::Auto => Steps::Either(Box::new(by_nft(Some(nft::check(&table)))), Box::new(by_iptables())),
    }
}

/// What takes away all that [`install`] may have put anywhere.
fn remove(backend: Backend) -> Steps {
    let rules = match backend {
        Backend::Nft => vec![nft::remove(false)],
        Backend::Iptables => iptables::remove(false),
        Backend::Auto => join([vec![nft::remove(true)], iptables::remove(true)]),
    };
    // Rules first: without them nothing is sent to the routes.
    Steps::Parts { by: "", parts: join([rules, routes::remove()]), check: None }
}

fn join<const N: usize>(parts: [Vec<Part>; N]) -> Vec<Part> {
    parts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
