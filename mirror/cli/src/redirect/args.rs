//! The arguments of `mirror redirect`, as typed and as resolved.

use mirror::config::{DEFAULT_MARK, Fault, Faults, Transparent};

use super::plan::{Family, Inbound, Plan};
use super::words::{family, list, mark, networks, port, ports, read_ports, uid};
use crate::action::Refused;
use crate::chosen::told;

const EXAMPLES: &str = "\
Examples:
  mirror redirect install --inbound 8080 --to 15001
  mirror redirect install --inbound all --to 15001 --egress --exempt-uid 2110 --exempt-port 53,443
  mirror redirect install --inbound 8080 --to 15001 --mode tproxy
  mirror redirect print --inbound 8080 --to 15001 --mesh-uid 1337 | sh
  mirror redirect remove

The proxy itself: mirror --listen :15001 --transparent redirect --shadow :8082";

/// As typed.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum RedirectArgs {
    /// Have connections go to the proxy, in place of what was installed before. Takes CAP_NET_ADMIN. Connections that are open keep their way.
    Install(InstallArgs),
    /// Remove all that was installed.
    Remove {
        #[command(flatten)]
        by: By,
    },
    /// Print what `install` would do, as a script for sh.
    Print(InstallArgs),
}

/// What is to be redirected, as typed.
#[derive(Debug, clap::Args)]
pub(crate) struct InstallArgs {
    /// The application's ports: `8080,9090`, or `all`; or `none`, to take no more and let what is open end before `remove`.
    #[arg(long, value_name = "PORTS")]
    inbound: Option<String>,
    /// The port on which the proxy listens.
    #[arg(long, value_name = "PORT")]
    to: String,
    /// `redirect`, or `tproxy`, which keeps the client's address: as the proxy's --transparent [default: redirect].
    #[arg(long, value_name = "HOW")]
    mode: Option<String>,
    /// The port of the proxy's admin endpoint, which is not redirected, or `off` [default: 9900].
    #[arg(long, value_name = "PORT")]
    admin_port: Option<String>,
    /// Also ports that are not redirected though all are; may be repeated.
    #[arg(long, value_name = "PORTS")]
    exempt_inbound_port: Vec<String>,
    /// What this host itself sends to the inbound ports over the loopback, too.
    #[arg(long)]
    local: bool,
    /// Before the application of a service mesh: what the mesh's proxy, which runs as this uid, sends over the loopback to the inbound ports, and
    /// nothing that comes from elsewhere.
    #[arg(long, value_name = "UID")]
    mesh_uid: Option<String>,
    /// Connections that this host makes to others, too.
    #[arg(long)]
    egress: bool,
    /// Of these, those to these ports [default: all].
    #[arg(long, value_name = "PORTS")]
    egress_port: Vec<String>,
    /// Of these, not those to these ports: `53,443,6443`; may be repeated.
    #[arg(long, value_name = "PORTS")]
    exempt_port: Vec<String>,
    /// Whose connections are not redirected, the proxy's own uid among them; may be repeated.
    #[arg(long, value_name = "UIDS")]
    exempt_uid: Vec<String>,
    /// Networks that are left alone, as clients and as servers: `10.0.0.0/8,fd00::/8`; may be repeated.
    #[arg(long, value_name = "NETWORKS")]
    exempt_cidr: Vec<String>,
    /// The mark of what a tproxy sends, its `proxy.mark` [default: 2].
    #[arg(long, value_name = "N")]
    mark: Option<String>,
    /// `both`, `ipv4` or `ipv6` [default: both, where the host has both].
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
    #[command(flatten)]
    by: By,
}

#[derive(Debug, clap::Args)]
pub(crate) struct By {
    /// `auto` (nft where it works, else iptables), `nft` or `iptables` [default: auto].
    #[arg(long, value_name = "TOOL")]
    backend: Option<String>,
}

/// As resolved.
#[derive(Debug)]
pub(crate) enum Redirect {
    Install(Plan, Backend),
    Remove(Backend),
    Print(Plan, Backend),
}

/// By which tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Auto,
    Nft,
    Iptables,
}

impl RedirectArgs {
    pub(crate) fn resolve(self) -> Result<Redirect, Refused> {
        let mut faults = Faults::default();
        let (what, resolved) = match self {
            RedirectArgs::Install(install) => {
                let resolved = install.resolve(&mut faults);
                ("mirror redirect install", resolved.map(|(plan, by)| Redirect::Install(plan, by)))
            }
            RedirectArgs::Print(install) => {
                let resolved = install.resolve(&mut faults);
                ("mirror redirect print", resolved.map(|(plan, by)| Redirect::Print(plan, by)))
            }
            RedirectArgs::Remove { by } => ("mirror redirect remove", by.resolve(&mut faults).map(Redirect::Remove)),
        };
        match resolved {
            Some(redirect) if faults.0.is_empty() => Ok(redirect),
            _ => Err(Refused { what: what.to_owned(), faults }),
        }
    }
}

impl By {
    fn resolve(self, faults: &mut Faults) -> Option<Backend> {
        let asked = self.backend.is_some();
        let backend = told(faults, "--backend", self.backend, |text| match text {
            "auto" => Ok(Backend::Auto),
            "nft" => Ok(Backend::Nft),
            "iptables" => Ok(Backend::Iptables),
            _ => Err("auto, nft or iptables".into()),
        });
        if asked { backend } else { Some(Backend::Auto) }
    }
}

impl InstallArgs {
    /// None only with a fault told.
    fn resolve(self, faults: &mut Faults) -> Option<(Plan, Backend)> {
        self.look_alone(faults);
        let backend = self.by.resolve(faults);
        let to = told(faults, "--to", Some(self.to), port);
        let admin = match self.admin_port.as_deref() {
            None => Some(9900),
            Some("off") => None,
            Some(_) => told(faults, "--admin-port", self.admin_port, port),
        };
        let exempt_inbound = ports(faults, "--exempt-inbound-port", &self.exempt_inbound_port);
        let inbound = told(faults, "--inbound", self.inbound, |text| match text {
            "all" => Ok(Inbound::All),
            "none" => Ok(Inbound::None),
            _ => read_ports(text).map(Inbound::Ports).map_err(|_| "`all`, or ports as in 8080 or 8080,9090".into()),
        });
        if let Some(Inbound::Ports(ports)) = &inbound {
            let never = [("--to", to), ("--admin-port", admin)].map(|(flag, port)| (flag, port.into_iter().collect()));
            let never = never.into_iter().chain([("--exempt-inbound-port", exempt_inbound.clone())]);
            for (flag, never) in never {
                faults.0.extend(ports.iter().filter(|port| never.contains(*port)).map(|port| {
                    Fault::new("--inbound", port, format!("none of the ports of `{flag}`, which are never redirected"))
                }));
            }
        }
        let egress_ports = ports(faults, "--egress-port", &self.egress_port);
        let (exempt_v4, exempt_v6) = networks(faults, &self.exempt_cidr);
        let plan = Plan {
            mode: told(faults, "--mode", self.mode, |text| {
                text.parse::<Transparent>().map_err(|expected| expected.0.into_owned())
            })
            .unwrap_or(Transparent::Redirect),
            inbound,
            to: to.unwrap_or_default(),
            admin,
            egress: self.egress.then_some(egress_ports),
            own_uids: list(faults, "--exempt-uid", &self.exempt_uid, uid),
            exempt_inbound,
            exempt_ports: ports(faults, "--exempt-port", &self.exempt_port),
            exempt_v4,
            exempt_v6,
            local: self.local,
            mesh_uid: told(faults, "--mesh-uid", self.mesh_uid, uid),
            mark: told(faults, "--mark", self.mark, mark).unwrap_or(DEFAULT_MARK.get()),
            family: told(faults, "--family", self.family, family).unwrap_or(Family { ipv4: true, ipv6: true }),
        };
        check(&plan, faults);
        backend.map(|backend| (plan, backend))
    }

    /// Flags that mean nothing without another.
    fn look_alone(&self, faults: &mut Faults) {
        let mut need = |given: bool, flag: &str, has: bool, expected: &str| {
            if given && !has {
                faults.0.push(Fault::missing(flag, expected));
            }
        };
        need(
            self.inbound.is_none() && !self.egress,
            "--inbound",
            false,
            "the application's ports, as in `--inbound 8080`; or `--egress` for its own calls",
        );
        let to_inbound = "`--inbound` beside it, whose ports it is for";
        need(self.local, "--local", self.inbound.is_some(), to_inbound);
        need(self.mesh_uid.is_some(), "--mesh-uid", self.inbound.is_some(), to_inbound);
        need(!self.exempt_inbound_port.is_empty(), "--exempt-inbound-port", self.inbound.is_some(), to_inbound);
        let of_egress = "`--egress` beside it, which it narrows";
        need(!self.egress_port.is_empty(), "--egress-port", self.egress, of_egress);
        need(!self.exempt_port.is_empty(), "--exempt-port", self.egress, of_egress);
        let outbound = self.egress || self.local;
        need(
            !self.exempt_uid.is_empty(),
            "--exempt-uid",
            outbound,
            "`--egress` or `--local` beside it, which it narrows",
        );
        need(
            outbound && self.exempt_uid.is_empty(),
            "--exempt-uid",
            false,
            "the uid that the proxy runs as, as in `--exempt-uid 2110`: with `--egress` or `--local` its own connections would come back to it",
        );
        need(
            self.mark.is_some(),
            "--mark",
            self.mode.as_deref() == Some("tproxy"),
            "`--mode tproxy` beside it, whose packets have one",
        );
    }
}

/// What does not go together.
fn check(plan: &Plan, faults: &mut Faults) {
    if plan.inbound == Some(Inbound::None) && plan.has_outbound_rules() {
        let expected = "the application's ports; `none` takes no more, and goes with none of `--local`, `--mesh-uid` and `--egress`";
        faults.0.push(Fault::new("--inbound", "none", expected));
    }
    let Some(mesh) = plan.mesh_uid else { return };
    if plan.mode == Transparent::Tproxy {
        let expected = "redirect with `--mesh-uid`: what comes from a mesh's proxy comes over the loopback, which TPROXY does not see";
        faults.0.push(Fault::new("--mode", plan.mode, expected));
    }
    if plan.inbound == Some(Inbound::All) {
        let expected = "the application's ports with `--mesh-uid`, as in 8080: a mesh's proxy calls itself too";
        faults.0.push(Fault::new("--inbound", "all", expected));
    }
    if plan.own_uids.contains(&mesh) {
        faults.0.push(Fault::new("--mesh-uid", mesh, "another uid than those of `--exempt-uid`"));
    }
}
