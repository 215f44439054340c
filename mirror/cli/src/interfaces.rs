//! `mirror interfaces`: what can be listened on.

#[cfg(feature = "capture")]
pub(crate) fn list() -> anyhow::Result<String> {
    let interfaces = mirror_capture::source::interfaces().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(table::of(&interfaces))
}

#[cfg(not(feature = "capture"))]
pub(crate) fn list() -> anyhow::Result<String> {
    anyhow::bail!("this `mirror` was built without its feature `capture`: it cannot listen on interfaces")
}

#[cfg(feature = "capture")]
mod table {
    use mirror_capture::source::Interface;

    const TITLES: [&str; 5] = ["name", "state", "addresses", "link types", "description"];

    /// One line an interface. What is not known is a dash, so that a line always has its columns.
    pub(super) fn of(interfaces: &[Interface]) -> String {
        let rows: Vec<[String; 5]> =
            std::iter::once(TITLES.map(str::to_owned)).chain(interfaces.iter().map(row)).collect();
        let widths: [usize; 5] =
            std::array::from_fn(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or_default());
        let line = |row: &[String; 5]| {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        rows.iter().map(line).collect()
    }

    fn row(interface: &Interface) -> [String; 5] {
        let mut state = vec![if interface.up { "up" } else { "down" }];
        if interface.loopback {
            state.push("loopback");
        }
        let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let addresses = interface.addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
        [
            interface.name.clone(),
            state.join(","),
            or_dash(addresses.join(",")),
            or_dash(interface.link_types.join(",")),
            or_dash(interface.description.clone().unwrap_or_default()),
        ]
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn one_line_an_interface() {
            let interface =
                |name: &str, addresses: &[&str], link_types: &[&str], description: Option<&str>| Interface {
                    name: name.into(),
                    description: description.map(str::to_owned),
                    addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
                    link_types: link_types.iter().map(|&name| name.to_owned()).collect(),
                    up: name != "wlan0",
                    loopback: name == "lo",
                };
            let table = of(&[
                interface("eth0", &["10.0.0.5", "fe80::1"], &["EN10MB", "DOCSIS"], None),
                interface(
                    "any",
                    &[],
                    &["LINUX_SLL", "LINUX_SLL2"],
                    Some("Pseudo-device that captures on all interfaces"),
                ),
                interface("lo", &["127.0.0.1", "::1"], &["EN10MB"], None),
                interface("wlan0", &[], &[], None),
            ]);
            let expected = "\
name   state        addresses         link types            description
eth0   up           10.0.0.5,fe80::1  EN10MB,DOCSIS         -
any    up           -                 LINUX_SLL,LINUX_SLL2  Pseudo-device that captures on all interfaces
lo     up,loopback  127.0.0.1,::1     EN10MB                -
wlan0  down         -                 -                     -
";
            assert_eq!(table, expected);
        }
    }
}
