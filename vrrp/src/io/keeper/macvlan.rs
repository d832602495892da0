//! The interface with the virtual MAC address.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use netlink_packet_core::{DefaultNla, NLA_F_NESTED, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoMacVlan, LinkAttribute,
    LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};

use crate::holding::Holding;
use crate::io::netlink::Request;

// The kernel's numbers (`IPV4_DEVCONF_…`), and the values with which an interface speaks ARP for its own addresses only.
const RP_FILTER: u16 = 8;
const ARP_ANNOUNCE: u16 = 18;
const ARP_IGNORE: u16 = 19;
const ANSWER_FOR_ITSELF: (u16, u32) = (ARP_IGNORE, 1);
const ASK_FOR_ITSELF: (u16, u32) = (ARP_ANNOUNCE, 2);

/// A macvlan on a router's interface.
///
/// It is there from when the router is configured, but down unless the router is Active: a Backup neither answers
/// nor sends anything from the virtual MAC address. Its mode is bridge, so that adverts of the other director, which
/// come from the same MAC address, reach the interface below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Macvlan {
    pub(super) name: Arc<str>,
    pub(super) parent: Arc<str>,
    mac: [u8; 6],
}

impl Macvlan {
    /// Of a holding that wants one.
    pub(super) fn of(holding: &Holding) -> Option<Self> {
        let family = match holding.addresses.first()?.address {
            _ if !holding.virtual_mac => return None,
            IpAddr::V4(_) => 4,
            IpAddr::V6(_) => 6,
        };
        let (parent, id) = (&holding.interface, holding.router_id);
        // RFC 9568 §7.3
        let mac = [0x00, 0x00, 0x5e, 0x00, if family == 4 { 1 } else { 2 }, id];
        Some(Self {
            name: format!("vrrp{family}.{id}-{}", short(parent)).into(),
            parent: Arc::clone(parent),
            mac,
        })
    }

    /// Whether its addresses are IPv4.
    pub(super) fn is_ipv4(&self) -> bool {
        self.mac[4] == 1
    }

    /// Makes it on the interface with this index, down and without an IPv6 address of its own.
    pub(super) fn create(&self, parent: u32) -> [Request; 2] {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(self.name.to_string()),
            LinkAttribute::Link(parent),
            LinkAttribute::Address(self.mac.to_vec()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::MacVlan),
                LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Bridge)])),
            ]),
        ];
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        let create = Request { message: RouteNetlinkMessage::NewLink(message), flags };
        // What comes in here is answered by the interface below, which a strict reverse path filter would not have.
        let families = vec![
            inet(&[ANSWER_FOR_ITSELF, ASK_FOR_ITSELF, (RP_FILTER, 2)]),
            AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]),
        ];
        [create, set_link(&self.name, None, vec![LinkAttribute::AfSpecUnspec(families)])]
    }
}

impl fmt::Display for Macvlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "making the macvlan {} on {}", self.name, self.parent)
    }
}

/// What the interface below a macvlan needs: that it does not answer for addresses on the macvlan, nor ask with them.
/// With the values of before if it is to be as before.
pub(super) fn settle(parent: &Arc<str>, before: Option<[u32; 2]>) -> Request {
    let [ignore, announce] = before.unwrap_or([ANSWER_FOR_ITSELF.1, ASK_FOR_ITSELF.1]);
    let families = vec![inet(&[(ARP_IGNORE, ignore), (ARP_ANNOUNCE, announce)])];
    set_link(parent, None, vec![LinkAttribute::AfSpecUnspec(families)])
}

/// The values that [`settle`] changes.
pub(super) fn settled(interface: &str) -> std::io::Result<[u32; 2]> {
    let read = |key| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{interface}/{key}"))?;
        text.trim().parse().map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))
    };
    Ok([read("arp_ignore")?, read("arp_announce")?])
}

/// Takes an interface up or down.
pub(super) fn turn(name: &Arc<str>, up: bool) -> Request {
    set_link(name, Some(up), Vec::new())
}

/// Deletes an interface.
pub(super) fn delete(name: &Arc<str>) -> Request {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_string()));
    Request { message: RouteNetlinkMessage::DelLink(message), flags: 0 }
}

fn set_link(name: &Arc<str>, up: Option<bool>, attributes: Vec<LinkAttribute>) -> Request {
    let mut message = LinkMessage::default();
    message.header.change_mask = if up.is_some() { LinkFlags::Up } else { LinkFlags::empty() };
    message.header.flags = if up == Some(true) { LinkFlags::Up } else { LinkFlags::empty() };
    message.attributes = attributes;
    message.attributes.push(LinkAttribute::IfName(name.to_string()));
    Request { message: RouteNetlinkMessage::SetLink(message), flags: 0 }
}

/// `IFLA_INET_CONF`, one attribute for each setting.
fn inet(settings: &[(u16, u32)]) -> AfSpecUnspec {
    const IFLA_INET_CONF: u16 = 1;
    let mut nested = Vec::new();
    for (setting, value) in settings {
        nested.extend(8_u16.to_ne_bytes());
        nested.extend(setting.to_ne_bytes());
        nested.extend(value.to_ne_bytes());
    }
    AfSpecUnspec::Inet(vec![AfSpecInet::Other(DefaultNla::new(IFLA_INET_CONF | NLA_F_NESTED, nested))])
}

/// The name of an interface in at most 5 characters.
fn short(name: &str) -> String {
    if name.len() <= 5 {
        return name.to_owned();
    }
    // FNV-1a
    let mut hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let mut digit = || {
        let digit = char::from_digit(hash % 36, 36).unwrap_or('0');
        hash /= 36;
        digit
    };
    std::iter::repeat_with(&mut digit).take(5).collect()
}

#[cfg(test)]
mod tests;
