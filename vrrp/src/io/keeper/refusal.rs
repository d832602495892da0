//! Packets to addresses that a router does not accept (RFC 9568 §6.1, Accept_Mode): a table of nftables of our own.
//!
//! The rules may be there whether the addresses are or not, so they are written when the configuration changes, by a
//! thread of their own: starting a program takes longer than a takeover may wait. At first they are written in any
//! case, so that those of a predecessor go.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use netlink_packet_core::{DefaultNla, Emitable, NLM_F_REQUEST};
use rustix::io::Errno;

use super::report::{Report, Reports};
use crate::io::netlink;

/// The table's name.
const TABLE: &str = "tidegate_vrrp";

/// No such table, or no tables at all.
const NO_TABLE: [Errno; 3] = [Errno::NOENT, Errno::OPNOTSUPP, Errno::PROTONOSUPPORT];

/// After a failure.
const RETRY: Duration = Duration::from_secs(5);

pub(super) struct Refusal {
    reports: Reports,
    /// What is refused; none: nobody knows.
    last: Option<BTreeSet<IpAddr>>,
    writer: Option<(Sender<BTreeSet<IpAddr>>, JoinHandle<()>)>,
}

impl Refusal {
    pub(super) fn new(reports: Reports) -> Self {
        Self { reports, last: None, writer: None }
    }

    /// Packets from others to these addresses are dropped from soon on, and to no others.
    pub(super) fn refuse(&mut self, addresses: BTreeSet<IpAddr>) {
        if self.last.as_ref() == Some(&addresses) {
            return;
        }
        if self.writer.is_none() {
            let (sender, receiver) = channel();
            let reports = self.reports.clone();
            match Builder::new().name("refusal".to_owned()).spawn(move || write_all(&receiver, &reports)) {
                Ok(writer) => self.writer = Some((sender, writer)),
                Err(error) => return report(&self.reports, &format!("no thread can be had for it: {error}")),
            }
        }
        if let Some((sender, _)) = &self.writer {
            let _ended = sender.send(addresses.clone());
            self.last = Some(addresses);
        }
    }

    /// Removes the table.
    pub(super) fn end(&mut self) {
        self.refuse(BTreeSet::new());
        if let Some((sender, writer)) = self.writer.take() {
            drop(sender);
            let _panicked = writer.join();
        }
    }
}

/// Writes the last of what is to be refused, until it is written.
fn write_all(wanted: &Receiver<BTreeSet<IpAddr>>, reports: &Reports) {
    let mut failed = None;
    let Ok(mut addresses) = wanted.recv() else { return };
    loop {
        addresses = wanted.try_iter().last().unwrap_or(addresses);
        let result = if addresses.is_empty() { remove() } else { nft(&script(&addresses)) };
        let next = match &result {
            Ok(()) => wanted.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Err(_) => wanted.recv_timeout(RETRY),
        };
        if let Err(why) = result
            && failed.as_ref() != Some(&why)
        {
            report(reports, &why);
            failed = Some(why);
        }
        match next {
            Ok(next) => addresses = next,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn report(reports: &Reports, why: &str) {
    let what = format!(
        "which packets are dropped for `accept = false` cannot be changed: {why}; will be tried again"
    );
    reports.send(Report::Trouble { what });
}

/// Replaces the table as a whole. Its chain comes after IPVS's, whose virtual servers so go on serving.
fn script(addresses: &BTreeSet<IpAddr>) -> String {
    let mut script = format!("table inet {TABLE}\ndelete table inet {TABLE}\n");
    let _infallible = write!(
        script,
        "table inet {TABLE} {{ chain input {{ type filter hook input priority 110; policy accept;\n\
         iifname lo accept\n\
         icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept\n"
    );
    for (key, ipv6) in [("ip", false), ("ip6", true)] {
        let own: Vec<_> =
            addresses.iter().filter(|address| address.is_ipv6() == ipv6).map(IpAddr::to_string).collect();
        if !own.is_empty() {
            let _infallible = writeln!(script, "{key} daddr {{ {} }} drop", own.join(", "));
        }
    }
    script.push_str("}\n}\n");
    script
}

fn nft(script: &str) -> Result<(), String> {
    let mut process = Command::new("timeout")
        .args(["10", "nft", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("nft cannot be started: {error}"))?;
    // A program that does not read to the end says why.
    let _unread = process.stdin.take().map(|mut input| input.write_all(script.as_bytes()));
    let output = process.wait_with_output().map_err(|error| format!("nft: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("nft: {}", said.trim())) }
}

/// Without nft, which only those need who refuse something.
fn remove() -> Result<(), String> {
    match netlink::tell_netfilter(&removal()) {
        Err(error) if !NO_TABLE.iter().any(|absent| Errno::from_io_error(&error) == Some(*absent)) => {
            Err(format!("nftables: {error}"))
        }
        _ => Ok(()),
    }
}

/// What removes the table, as nfnetlink reads it: a batch of one message.
pub(super) fn removal() -> Vec<u8> {
    const NFNL_SUBSYS_NFTABLES: u16 = 10;
    const NFT_MSG_DELTABLE: u16 = 2;
    const NFPROTO_INET: u8 = 1;
    let name = [TABLE.as_bytes(), b"\0"].concat();
    let attribute = DefaultNla::new(1, name);
    let mut table = vec![0; attribute.buffer_len()];
    attribute.emit(&mut table);
    let [subsystem_high, subsystem_low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
    let batch = [0, 0, subsystem_high, subsystem_low];
    let messages = [
        (0x10, batch, [].as_slice()),
        (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, [NFPROTO_INET, 0, 0, 0], &table),
        (0x11, batch, &[]),
    ];
    let mut bytes = Vec::new();
    for (kind, family, attributes) in messages {
        let length = 16 + family.len() + attributes.len();
        bytes.extend((length as u32).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(NLM_F_REQUEST.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(family);
        bytes.extend(attributes);
    }
    bytes
}

#[cfg(test)]
mod tests;
