//! What a virtual server takes in: `listen` and `protocol`, or `fwmark`.

use super::dataplane::word;
use super::model::{DataplaneKind, Family, Listen, Protocol};
use super::place::At;
use super::reader::Table;
use super::values::{self, Port, integer, one_of};

const PROTOCOLS: [(&str, Protocol); 3] =
    [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)];
/// Those of the proxy.
const TCP_AND_UDP: usize = 2;

/// What is taken in, and of which protocol: none with an fwmark.
pub(super) fn read(table: &mut Table<'_>, dataplane: DataplaneKind) -> (Vec<At<Listen>>, Option<Protocol>) {
    if dataplane == DataplaneKind::Proxy {
        // An fwmark has been refused already: nothing is missing then.
        let protocols = word(dataplane, &PROTOCOLS[..TCP_AND_UDP], &PROTOCOLS);
        let protocol = table.take("protocol", protocols).map_or(Protocol::Tcp, |it| it.value);
        needed(table, "`listen`");
        return (addresses(table, protocol, Port::Needed), Some(protocol));
    }
    let mark = table.take("fwmark", integer(1..=u64::from(u32::MAX)));
    if table.has("fwmark") {
        table.refuse("listen", "`listen` and `fwmark` exclude each other");
        table.refuse("protocol", "`protocol` does not go with `fwmark`: a mark may be on packets of any");
        let families = one_of(&[("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)]);
        let family = table.take("fwmark_family", families).map_or(Family::default(), |it| it.value);
        let listen =
            mark.map(|At { value: mark, place }| At { value: Listen::Fwmark { mark, family }, place });
        return (listen.into_iter().collect(), None);
    }
    table.refuse("fwmark_family", "`fwmark_family` needs `fwmark`");
    needed(table, "`listen` or `fwmark`");
    let protocol = table.take("protocol", one_of(&PROTOCOLS)).map_or(Protocol::Tcp, |it| it.value);
    let listen = addresses(table, protocol, Port::OrAll);
    for it in &listen {
        of_ipvs(table, it);
    }
    (listen, Some(protocol))
}

fn needed(table: &Table<'_>, what: &str) {
    if !table.has("listen") && !table.has("fwmark") && table.whole() {
        table.note(table.place, format!("[[virtual_server]] needs {what}"));
    }
}

fn addresses(table: &mut Table<'_>, protocol: Protocol, port: Port) -> Vec<At<Listen>> {
    let at = |At { value: address, place }| At { value: Listen::Address { protocol, address }, place };
    table.list("listen", values::listen(port)).into_iter().map(at).collect()
}

/// The kernel compares addresses: it has no wildcards, and all ports only with persistence.
fn of_ipvs(table: &Table<'_>, listen: &At<Listen>) {
    let Listen::Address { address, .. } = listen.value else { return };
    if address.ip().is_unspecified() {
        table.note(
            listen.place,
            format!(
                "IPVS takes in single addresses, not all of them ({}): list them, or use `fwmark`",
                address.ip()
            ),
        );
    }
    if address.port() == 0 && !table.has("persistence") && table.whole() {
        table.note(listen.place, "port 0, which is all ports, needs `persistence`");
    }
}
