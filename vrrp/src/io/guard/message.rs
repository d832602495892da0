//! What the daemon tells its guard, each message a datagram.

use std::io;
use std::net::IpAddr;

/// The longest message: a router with 255 IPv6 addresses and a dozen peers fits.
pub(super) const LONGEST: usize = 128 * 1024;

const PUT: u8 = 1;
const FORGET: u8 = 2;
const FAREWELL: u8 = 3;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// What is to be done for this router.
    Put(&'a str, Plan),
    /// Nothing for this router any more.
    Forget(&'a str),
    /// Nothing at all; the guard ends.
    Farewell,
}

/// What is to be done in a router's place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::io) struct Plan {
    /// Sent first.
    pub(in crate::io) resignations: Vec<Resignation>,
    /// Route netlink requests, one after the other as the kernel reads them.
    pub(in crate::io) requests: Vec<u8>,
    /// The same of netfilter.
    pub(in crate::io) netfilter: Vec<u8>,
}

/// A last advert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::io) struct Resignation {
    /// Of the interface.
    pub(in crate::io) index: u32,
    pub(in crate::io) source: IpAddr,
    pub(in crate::io) destination: IpAddr,
    pub(in crate::io) message: Vec<u8>,
}

impl<'a> Message<'a> {
    /// An error if it is longer than a guard takes.
    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        match self {
            Self::Put(router, plan) => {
                out.push(PUT);
                put_bytes(&mut out, router.as_bytes());
                put_length(&mut out, plan.resignations.len());
                for resignation in &plan.resignations {
                    out.extend(resignation.index.to_be_bytes());
                    put_address(&mut out, resignation.source);
                    put_address(&mut out, resignation.destination);
                    put_bytes(&mut out, &resignation.message);
                }
                put_bytes(&mut out, &plan.requests);
                put_bytes(&mut out, &plan.netfilter);
            }
            Self::Forget(router) => {
                out.push(FORGET);
                put_bytes(&mut out, router.as_bytes());
            }
            Self::Farewell => out.push(FAREWELL),
        }
        if out.len() > LONGEST {
            let error =
                format!("{} bytes about one router are more than the {LONGEST} a guard takes", out.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        Ok(out)
    }

    /// None if it is not a message, or something follows it.
    pub(super) fn decode(datagram: &'a [u8]) -> Option<Self> {
        let mut input = Input(datagram);
        let message = match input.array::<1>()? {
            [PUT] => {
                let router = input.text()?;
                let resignations =
                    (0..input.length()?).map(|_| input.resignation()).collect::<Option<_>>()?;
                let (requests, netfilter) = (input.bytes()?.to_vec(), input.bytes()?.to_vec());
                Self::Put(router, Plan { resignations, requests, netfilter })
            }
            [FORGET] => Self::Forget(input.text()?),
            [FAREWELL] => Self::Farewell,
            _ => return None,
        };
        input.0.is_empty().then_some(message)
    }
}

/// Nothing longer than [`LONGEST`] is sent, so that every length fits.
fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend((length as u32).to_be_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend(bytes);
}

fn put_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => put_bytes(out, &address.octets()),
        IpAddr::V6(address) => put_bytes(out, &address.octets()),
    }
}

/// What has not been read yet.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn length(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.length()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn address(&mut self) -> Option<IpAddr> {
        let bytes = self.bytes()?;
        let v6 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
        <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| v6()).ok()
    }

    fn resignation(&mut self) -> Option<Resignation> {
        Some(Resignation {
            index: self.length()?,
            source: self.address()?,
            destination: self.address()?,
            message: self.bytes()?.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests;
