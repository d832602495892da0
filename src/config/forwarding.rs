//! `forwarding`, and what has one besides the pool: `sorry_server`.

use toml::de::DeValue;

use super::dataplane::word;
use super::model::{Checksum, DataplaneKind, Forwarding, SorryServer, Tunnel};
use super::place::At;
use super::reader::Table;
use super::values::{Port, integer, one_of, peer};

const FORWARDINGS: [(&str, Forwarding); 3] =
    [("nat", Forwarding::Nat), ("direct", Forwarding::Direct), ("tunnel", Forwarding::Tunnel(Tunnel::Ipip))];

const CHECKSUMS: [(&str, Checksum); 3] =
    [("none", Checksum::None), ("sum", Checksum::Sum), ("remote", Checksum::Remote)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ipip,
    Gue,
    Gre,
}

/// `default` where none is written. With the proxy it can only be `"nat"`, which is what it does.
pub(super) fn read(table: &mut Table<'_>, dataplane: DataplaneKind, default: Forwarding) -> Forwarding {
    if dataplane == DataplaneKind::Proxy {
        let (own, all) = (&FORWARDINGS[..1], &FORWARDINGS);
        return table.take("forwarding", word(dataplane, own, all)).map_or(default, |it| it.value);
    }
    if !table.has_table("forwarding") {
        return table.take("forwarding", one_of(&FORWARDINGS)).map_or(default, |it| it.value);
    }
    let tunnel = table.table("forwarding", "forwarding = { tunnel = \"gue\", port = 6080 }").map(tunnel);
    tunnel.map_or(default, Forwarding::Tunnel)
}

fn tunnel(mut table: Table<'_>) -> Tunnel {
    let kinds = [("ipip", Kind::Ipip), ("gue", Kind::Gue), ("gre", Kind::Gre)];
    let kind = table.require("tunnel", one_of(&kinds)).map(|it| it.value);
    if kind == Some(Kind::Ipip) {
        table.refuse("checksum", "`checksum` belongs to the tunnels \"gue\" and \"gre\"");
    }
    if matches!(kind, Some(Kind::Ipip | Kind::Gre)) {
        table.refuse("port", "`port` belongs to tunnel \"gue\"");
    }
    let tunnel = match kind {
        Some(Kind::Ipip) => Tunnel::Ipip,
        Some(Kind::Gre) => Tunnel::Gre { checksum: checksum(&mut table, of_gre) },
        Some(Kind::Gue) => {
            let port = table.require("port", integer(1..=65_535)).map_or(0, |it| it.value);
            Tunnel::Gue { port, checksum: checksum(&mut table, one_of(&CHECKSUMS)) }
        }
        // One that is misspelt may have everything.
        None => {
            table.take("port", integer::<u16>(1..=65_535));
            checksum(&mut table, one_of(&CHECKSUMS));
            Tunnel::Ipip
        }
    };
    table.finish();
    tunnel
}

fn checksum(table: &mut Table<'_>, parse: impl Fn(&DeValue<'_>) -> Result<Checksum, String>) -> Checksum {
    table.take("checksum", parse).map_or(Checksum::default(), |it| it.value)
}

fn of_gre(value: &DeValue<'_>) -> Result<Checksum, String> {
    match one_of(&CHECKSUMS)(value)? {
        Checksum::Remote => Err("\"remote\" belongs to tunnel \"gue\"".to_owned()),
        checksum => Ok(checksum),
    }
}

/// An address, or a table of it and its forwarding.
pub(super) fn sorry_server(
    table: &mut Table<'_>,
    dataplane: DataplaneKind,
    default: Forwarding,
    port: Port,
) -> Option<At<SorryServer>> {
    let (address, forwarding) = if table.has_table("sorry_server") {
        let mut table = table.table("sorry_server", "sorry_server = { address = \"192.0.2.1:80\" }")?;
        let address = table.require("address", peer(port));
        let forwarding = read(&mut table, dataplane, default);
        table.finish();
        (address, forwarding)
    } else {
        (table.take("sorry_server", peer(port)), default)
    };
    address.map(|At { value: address, place }| At { value: SorryServer { address, forwarding }, place })
}
