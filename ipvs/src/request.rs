//! What can be asked for. Pure.

use std::fmt;
use std::net::SocketAddr;

use crate::codec::{destination_key, encode_destination, encode_service, service_key};
use crate::table::{Destination, Key, Service};
use crate::wire::{Attribute, Command, DestinationAttribute, Message, Nested};

/// How one entry shall be. One that is so already succeeds without effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A service that is there with these attributes. Its destinations and connections stay.
    PutService(Key, Service),
    /// A service that is not there, nor its destinations.
    RemoveService(Key),
    /// A destination that is there with these attributes. Its connections stay.
    PutDestination(Key, SocketAddr, Destination),
    /// The same of a destination that is there; one that is not stays away.
    SetDestination(Key, SocketAddr, Destination),
    /// A destination that is not there.
    RemoveDestination(Key, SocketAddr),
}

impl Request {
    /// Whether it takes something away.
    pub fn removes(&self) -> bool {
        matches!(self, Self::RemoveService(_) | Self::RemoveDestination(..))
    }

    /// The message that is sent first: what is put is taken to be new.
    pub fn message(&self) -> Message {
        match self {
            Self::PutService(key, service) => {
                Message::about_service(Command::NewService, encode_service(key, service))
            }
            Self::RemoveService(key) => Message::about_service(Command::DelService, service_key(key)),
            Self::PutDestination(key, address, destination) => {
                about_destination(Command::NewDestination, key, encode_destination(address, destination))
            }
            Self::SetDestination(key, address, destination) => {
                about_destination(Command::SetDestination, key, encode_destination(address, destination))
            }
            Self::RemoveDestination(key, address) => {
                about_destination(Command::DelDestination, key, destination_key(address))
            }
        }
    }

    /// The message for an entry that turned out to be there already; none for what makes no entry.
    pub fn change_message(&self) -> Option<Message> {
        let command = match self {
            Self::PutService(..) => Command::SetService,
            Self::PutDestination(..) => Command::SetDestination,
            Self::SetDestination(..) | Self::RemoveService(_) | Self::RemoveDestination(..) => return None,
        };
        match self.message() {
            Message::Command(_, attributes) => Some(Message::Command(command, attributes)),
            Message::Info(_) => None,
        }
    }

    /// Requests that can be on their way together: at most `limit`, and no removal after a put. A put may need a
    /// second message, and nothing may be taken away before what takes its place is there.
    pub fn batches(requests: &[Self], limit: usize) -> impl Iterator<Item = &[Self]> {
        requests
            .chunk_by(|before, after| before.removes() || !after.removes())
            .flat_map(move |together| together.chunks(limit))
    }
}

fn about_destination(command: Command, key: &Key, destination: Vec<DestinationAttribute>) -> Message {
    let service = Attribute::Service(Nested::new(service_key(key)));
    Message::Command(command, vec![service, Attribute::Destination(Nested::new(destination))])
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PutService(key, _) => write!(f, "setting the service {key}"),
            Self::RemoveService(key) => write!(f, "removing the service {key}"),
            Self::PutDestination(key, address, _) | Self::SetDestination(key, address, _) => {
                write!(f, "setting the destination {address} of the service {key}")
            }
            Self::RemoveDestination(key, address) => {
                write!(f, "removing the destination {address} of the service {key}")
            }
        }
    }
}
