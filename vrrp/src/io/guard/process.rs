//! The guard's process.

use std::collections::BTreeMap;
use std::io::{self, stdin};
use std::process::ExitCode;

use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::message::{LONGEST, Message, Plan};
use crate::io::{netlink, realtime, socket::Sender};

/// Keeps what it is told on its standard input, a socket, until that closes. Then it lets go of everything, unless
/// it was told farewell. It is started with all signals blocked. Its exit code is 0 if it could do what it is there for.
pub fn main() -> ExitCode {
    match watch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate guard: {error}");
            ExitCode::FAILURE
        }
    }
}

fn watch() -> io::Result<()> {
    // Where the daemon has used up the memory, this process is not the one to be killed for it.
    let _not_permitted = std::fs::write("/proc/self/oom_score_adj", "-1000");
    let sender = Sender::open()?;
    let route = netlink::connect(NETLINK_ROUTE)?;
    let mut buffer = vec![0; LONGEST + 1];
    let _as_far_as_permitted = realtime::claim(realtime::FOREMOST);
    let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
    loop {
        let length = match recv(stdin(), &mut buffer[..], RecvFlags::empty()) {
            Ok((0, _)) | Err(Errno::CONNRESET) => break,
            Ok((length, _)) => length,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        match Message::decode(&buffer[..length]) {
            Some(Message::Put(router, plan)) => drop(plans.insert(router.to_owned(), plan)),
            Some(Message::Forget(router)) => drop(plans.remove(router)),
            Some(Message::Farewell) => return Ok(()),
            None => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "what the daemon says makes no sense",
                ));
            }
        }
    }
    let_go(&plans, &sender, &route)
}

/// The addresses come off after the adverts, which are sent from this host's own.
fn let_go(plans: &BTreeMap<String, Plan>, sender: &Sender, route: &Socket) -> io::Result<()> {
    let mut result = Ok(());
    for resignation in plans.values().flat_map(|plan| &plan.resignations) {
        let (index, from, to) = (resignation.index, resignation.source, resignation.destination);
        if let Err(error) = sender.send(index, from, to, &resignation.message) {
            eprintln!("tidegate guard: an advert with priority 0 to {to} was not sent: {error}");
            result = Err(error);
        }
    }
    for plan in plans.values().filter(|plan| !plan.requests.is_empty()) {
        result = result.and(route.send(&plan.requests, 0).map(drop));
    }
    for plan in plans.values().filter(|plan| !plan.netfilter.is_empty()) {
        result = result.and(netlink::tell_netfilter(&plan.netfilter));
    }
    if !plans.is_empty() {
        let routers: Vec<_> = plans.keys().map(String::as_str).collect();
        eprintln!(
            "tidegate guard: the daemon has not ended in order; took off what is left of {}, and resigned for those \
             that were Active",
            routers.join(", ")
        );
    }
    result
}
