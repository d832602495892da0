//! The things that are held, each by itself.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, CacheInfo};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::macvlan::{self, Macvlan};
use crate::holding::{Holding, Route, Rule};
use crate::io::links::Links;
use crate::io::netlink::Request;

/// Who has put a route or rule there (`RTPROT_…`), to be seen in `ip route`: a number that nobody else uses.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(116);

/// Of the routes to the networks of addresses on a macvlan: where its interface is in the same network, packets
/// leave by the interface.
const MACVLAN_METRIC: u32 = 2048;

/// Something that is held, in the order in which it has to be put there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    /// The macvlan of this name takes part.
    Up(Arc<str>),
    Address(Address),
    /// On the interface of this name, if on a certain one.
    Route(Option<Arc<str>>, Route),
    Rule(Rule),
}

/// An address on an interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) interface: Arc<str>,
    pub(super) address: IpAddr,
    prefix: u8,
    on_macvlan: bool,
}

/// There is no interface of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoInterface(pub(super) Arc<str>);

/// What belongs to a holding, and what of it is to be put there and taken away: not the addresses of an owner.
pub(super) fn of(holding: &Holding) -> impl Iterator<Item = Object> {
    let up = Macvlan::of(holding).map(|macvlan| Object::Up(macvlan.name));
    let own = addresses(holding).filter(|_| !holding.owner).map(Object::Address);
    let routes = holding.routes.iter().map(|route| {
        let fallback = || route.via.is_none().then(|| Arc::clone(&holding.interface));
        Object::Route(route.interface.clone().or_else(fallback), route.clone())
    });
    let rules = holding.rules.iter().cloned().map(Object::Rule);
    up.into_iter().chain(own).chain(routes).chain(rules)
}

/// The addresses of a holding, each on the interface where it belongs.
pub(super) fn addresses(holding: &Holding) -> impl Iterator<Item = Address> {
    let macvlan = Macvlan::of(holding);
    holding.addresses.iter().map(move |held| {
        let on_macvlan = held.interface.is_none() && macvlan.is_some();
        let own = macvlan.as_ref().map_or(&holding.interface, |macvlan| &macvlan.name);
        let interface = Arc::clone(held.interface.as_ref().unwrap_or(own));
        // Hosts of the link are reached only with the link's whole network.
        let link_local = matches!(held.address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let prefix = if link_local { held.prefix.min(64) } else { held.prefix };
        Address { interface, address: held.address, prefix, on_macvlan }
    })
}

impl Object {
    /// The index of the interface where it is to be; 0: on none in particular.
    pub(super) fn index(&self, links: &Links) -> Result<u32, NoInterface> {
        let (Self::Up(name) | Self::Address(Address { interface: name, .. }) | Self::Route(Some(name), _)) =
            self
        else {
            return Ok(0);
        };
        links.named(name).map(|link| link.index).ok_or_else(|| NoInterface(Arc::clone(name)))
    }

    /// Puts it on the interface with this index; the kernel says that it exists where it does.
    pub(super) fn add(&self, index: u32) -> Request {
        let message = match self {
            Self::Up(name) => return macvlan::turn(name, true),
            Self::Address(address) => RouteNetlinkMessage::NewAddress(address.message(index)),
            Self::Route(_, route) => RouteNetlinkMessage::NewRoute(route_message(index, route)),
            Self::Rule(rule) => RouteNetlinkMessage::NewRule(rule_message(rule)),
        };
        Request { message, flags: NLM_F_CREATE | NLM_F_EXCL }
    }

    /// Takes it away from there; the kernel says that there is no such thing where there is none.
    pub(super) fn remove(&self, index: u32, links: &Links) -> Request {
        let message = match self {
            Self::Up(name) => return macvlan::turn(name, false),
            Self::Address(address) => {
                let mut message = address.message(index);
                // Whoever has put it there may have chosen another network.
                let link = links.get(index);
                let prefix = link.and_then(|link| link.prefix(address.address, address.prefix));
                message.header.prefix_len = prefix.unwrap_or(address.prefix);
                RouteNetlinkMessage::DelAddress(message)
            }
            Self::Route(_, route) => RouteNetlinkMessage::DelRoute(route_message(index, route)),
            Self::Rule(rule) => RouteNetlinkMessage::DelRule(rule_message(rule)),
        };
        Request { message, flags: 0 }
    }
}

impl Address {
    fn message(&self, index: u32) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = family(self.address.is_ipv6());
        message.header.prefix_len = self.prefix;
        message.header.index = index;
        message.attributes.push(AddressAttribute::Local(self.address));
        if self.address.is_ipv6() {
            // Usable at once, but never chosen for packets that this host sends by itself.
            message.header.flags = AddressHeaderFlags::Nodad;
            let mut lifetime = CacheInfo::default();
            lifetime.ifa_valid = u32::MAX;
            message.attributes.push(AddressAttribute::CacheInfo(lifetime));
        } else {
            message.attributes.push(AddressAttribute::Address(self.address));
        }
        if self.on_macvlan {
            message.attributes.push(AddressAttribute::RoutePriority(MACVLAN_METRIC));
        }
        message
    }
}

fn route_message(index: u32, route: &Route) -> RouteMessage {
    let Route { destination, prefix, via, interface: _, source, table, metric } = route;
    let mut message = RouteMessage::default();
    let direct = via.is_none() && destination.is_ipv4();
    message.header = RouteHeader {
        address_family: family(destination.is_ipv6()),
        destination_prefix_length: *prefix,
        table: table.map_or(RouteHeader::RT_TABLE_MAIN, small_table),
        protocol: PROTOCOL,
        scope: if direct { RouteScope::Link } else { RouteScope::Universe },
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    let attributes = [
        (*prefix > 0).then(|| RouteAttribute::Destination(RouteAddress::from(*destination))),
        via.map(|via| RouteAttribute::Gateway(via.into())),
        (index != 0).then_some(RouteAttribute::Oif(index)),
        source.map(|source| RouteAttribute::PrefSource(source.into())),
        table.map(RouteAttribute::Table),
        metric.map(RouteAttribute::Priority),
    ];
    message.attributes.extend(attributes.into_iter().flatten());
    message
}

fn rule_message(rule: &Rule) -> RuleMessage {
    let Rule { ipv6, from, to, input, fwmark, table, priority } = rule;
    let mut message = RuleMessage::default();
    message.header.family = family(*ipv6);
    message.header.src_len = from.map_or(0, |(_, prefix)| prefix);
    message.header.dst_len = to.map_or(0, |(_, prefix)| prefix);
    message.header.table = small_table(*table);
    message.header.action = RuleAction::ToTable;
    let attributes = [
        from.map(|(address, _)| RuleAttribute::Source(address)),
        to.map(|(address, _)| RuleAttribute::Destination(address)),
        input.as_ref().map(|name| RuleAttribute::Iifname(name.to_string())),
        fwmark.map(RuleAttribute::FwMark),
        Some(RuleAttribute::Table(*table)),
        Some(RuleAttribute::Priority(*priority)),
        Some(RuleAttribute::Protocol(PROTOCOL)),
    ];
    message.attributes.extend(attributes.into_iter().flatten());
    message
}

fn family(ipv6: bool) -> AddressFamily {
    if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet }
}

/// For the header, which has one byte for it; 0 where it does not fit.
fn small_table(table: u32) -> u8 {
    u8::try_from(table).unwrap_or(0)
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up(name) => write!(f, "macvlan {name}"),
            Self::Address(Address { interface, address, prefix, .. }) => {
                write!(f, "address {address}/{prefix} on {interface}")
            }
            Self::Route(_, Route { destination, prefix, .. }) => write!(f, "route to {destination}/{prefix}"),
            Self::Rule(Rule { priority, table, .. }) => write!(f, "rule {priority} for table {table}"),
        }
    }
}

impl fmt::Display for NoInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no interface {}", self.0)
    }
}
