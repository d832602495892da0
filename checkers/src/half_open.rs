//! Half-open checks: one SYN, and what comes in return. No connection is ever made, so that the server's program does
//! not hear of the check: for a SYN-ACK that nobody waits for, our own kernel sends a reset.

mod segment;
mod shared;

use std::net::IpAddr;

use crate::{Outcome, Target, failure, socket};

use self::shared::Shared;

/// Asks. Either result is the outcome; an error ended the exchange early.
pub(crate) async fn ask(target: &Target) -> Result<Outcome, Outcome> {
    let shared = Shared::of(target)?;
    let source = source(target)?;
    let mut answer = shared.send(source, target.address)?;
    match answer.wait().await {
        Some(segment::Kind::Open) => Ok(Outcome::Passed(String::new())),
        Some(segment::Kind::Refused) => Ok(Outcome::Refused),
        None => Err(Outcome::NotRun("the thread that hears the answers has ended".to_owned())),
    }
}

/// The address that our routing table would have us use.
fn source(target: &Target) -> Result<IpAddr, Outcome> {
    if let Some(address) = target.bind {
        return Ok(address);
    }
    let local = socket::datagram(target)?.local_addr();
    let address = local.map_err(|error| failure::own(&error, "find a local address"))?.as_socket();
    address.map(|it| it.ip()).ok_or_else(|| Outcome::NotRun("no local address of ours".to_owned()))
}
