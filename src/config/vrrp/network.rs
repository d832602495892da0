//! Addresses, `[[vrrp.route]]` and `[[vrrp.rule]]`

use std::net::IpAddr;

use tidegate_vrrp::holding::{HeldAddress, Route, Rule};
use toml::de::DeValue;

use crate::config::ipvs::interface;
use crate::config::place::At;
use crate::config::reader::Table;
use crate::config::values::{describe, integer, ip, string, unicast};

/// Rules are looked at in this order; the main table comes at 32,766.
const FIRST_RULE: u64 = 1;
const LAST_RULE: u64 = 32_765;

/// `"192.0.2.10/24"`, or `{ address = "192.0.2.10/24", interface = "eth1" }`
pub(super) fn held(value: &DeValue<'_>) -> Result<HeldAddress, String> {
    let (address, interface_name) = match value {
        DeValue::Table(table) => {
            let known = ["address", "interface"];
            if let Some(key) = table.keys().find(|key| !known.contains(&&**key.get_ref())) {
                return Err(format!("must have `address` and `interface`, not `{}`", key.get_ref()));
            }
            let name = table.get("interface").map(|it| interface(it.get_ref())).transpose();
            let address = table.get("address").ok_or("must have `address`")?;
            (address.get_ref(), name.map_err(|why| format!("has an `interface` that {why}"))?)
        }
        _ => (value, None),
    };
    let (address, prefix) = with_prefix(address)?;
    unicast(address)?;
    if address.is_unspecified() || address.is_loopback() {
        return Err(format!("must be an address that other hosts can reach, not {address}"));
    }
    Ok(HeldAddress { address, prefix, interface: interface_name })
}

/// Without a prefix it is the address alone.
fn with_prefix(value: &DeValue<'_>) -> Result<(IpAddr, u8), String> {
    let what = || {
        format!(
            "must be an address and its network's bits such as \"192.0.2.10/24\" or \"2001:db8::10/64\", not {}",
            describe(value)
        )
    };
    let text = string(value).map_err(|_| what())?;
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| what())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(what)?,
        None => most,
    };
    Ok((address, prefix))
}

/// A network: no bit is set behind the prefix. `"default"` is refused where a family has to be known.
fn network(value: &DeValue<'_>) -> Result<(IpAddr, u8), String> {
    let (address, prefix) = with_prefix(value)?;
    let beyond = match address {
        IpAddr::V4(it) => it.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0,
        IpAddr::V6(it) => it.to_bits().checked_shl(prefix.into()).unwrap_or(0) != 0,
    };
    if beyond {
        Err(format!("must be a network: {address} has bits behind /{prefix}"))
    } else {
        Ok((address, prefix))
    }
}

/// A route that has a destination; whatever else is wrong with it is noted.
pub(super) fn route(mut table: Table<'_>) -> Option<Route> {
    let destination = table.require("to", network);
    let via = table.take("via", ip);
    let source = table.take("source", ip);
    let interface = table.take("interface", interface).map(|it| it.value);
    let number = table.take("table", integer(1..=u64::from(u32::MAX)));
    let metric = table.take("metric", integer(0..=u64::from(u32::MAX)));
    let (to, prefix) = destination?.value;
    for (what, other) in [("via", &via), ("source", &source)] {
        if let Some(At { value, place }) = other.as_ref().filter(|it| it.value.is_ipv4() != to.is_ipv4()) {
            table.note(*place, format!("{what} {value} is of another family than {to}/{prefix}"));
        }
    }
    table.finish();
    Some(Route {
        destination: to,
        prefix,
        via: via.map(|it| it.value),
        interface,
        source: source.map(|it| it.value),
        table: number.map(|it| it.value),
        metric: metric.map(|it| it.value),
    })
}

/// A rule that has its table and its place; whatever else is wrong with it is noted.
pub(super) fn rule(mut table: Table<'_>) -> Option<Rule> {
    let from = table.take("from", network);
    let to = table.take("to", network);
    let input = table.take("input", interface);
    let fwmark = table.take("fwmark", integer(1..=u64::from(u32::MAX)));
    let number = table.require("table", integer(1..=u64::from(u32::MAX)));
    let priority = table.require("priority", integer(FIRST_RULE..=LAST_RULE));
    let is_ipv6 = |it: &At<(IpAddr, u8)>| it.value.0.is_ipv6();
    let ipv6 = from.as_ref().or(to.as_ref()).is_some_and(is_ipv6);
    if let Some(to) = to.as_ref().filter(|to| is_ipv6(to) != ipv6) {
        table.note(to.place, "`from` and `to` are of different address families");
    }
    if from.is_none() && to.is_none() && input.is_none() && fwmark.is_none() && table.whole() {
        table.note(table.place, "[[vrrp.rule]] needs `from`, `to`, `input` or `fwmark`");
    }
    table.finish();
    Some(Rule {
        ipv6,
        from: from.map(|it| it.value),
        to: to.map(|it| it.value),
        input: input.map(|it| it.value),
        fwmark: fwmark.map(|it| it.value),
        table: number?.value,
        priority: priority?.value,
    })
}
