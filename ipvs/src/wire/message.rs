//! Commands and whole messages.

use std::ffi::CStr;
use std::fmt::Debug;

use netlink_packet_core::{DecodeError, Emitable, NetlinkBuffer, NetlinkMessage, ParseableParametrized};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};

use super::value::{Nested, attributes, parse_all};
use super::{DaemonAttribute, DestinationAttribute, InfoAttribute, ServiceAttribute};

/// `IPVS_GENL_NAME`.
pub const FAMILY_NAME: &CStr = c"IPVS";
/// `IPVS_GENL_VERSION`.
pub const FAMILY_VERSION: u8 = 1;

/// The longest content of one message that is decoded. The kernel's are well below 1 KB.
pub const MAX_CONTENT: usize = 16 * 1024;

/// `IPVS_CMD_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    /// Add a service; in answers, a service.
    NewService = 1,
    /// Change a service.
    SetService,
    /// Delete a service.
    DelService,
    /// One service, or as a dump all.
    GetService,
    /// Add a destination; in answers, a destination.
    NewDestination,
    /// Change a destination.
    SetDestination,
    /// Delete a destination.
    DelDestination,
    /// The destinations of a service, as a dump.
    GetDestination,
    /// Start a synchronisation daemon; in answers, one that runs.
    NewDaemon,
    /// Stop a synchronisation daemon.
    DelDaemon,
    /// The daemons that run, as a dump.
    GetDaemon,
    /// Set the timeouts; in answers, the timeouts.
    SetConfig,
    /// The timeouts.
    GetConfig,
    /// In answers only: what IPVS is.
    SetInfo,
    /// What IPVS is.
    GetInfo,
    /// Reset the statistics of one service or of all.
    Zero,
    /// Delete all services.
    Flush,
}

impl Command {
    const ALL: [Self; 17] = [
        Self::NewService,
        Self::SetService,
        Self::DelService,
        Self::GetService,
        Self::NewDestination,
        Self::SetDestination,
        Self::DelDestination,
        Self::GetDestination,
        Self::NewDaemon,
        Self::DelDaemon,
        Self::GetDaemon,
        Self::SetConfig,
        Self::GetConfig,
        Self::SetInfo,
        Self::GetInfo,
        Self::Zero,
        Self::Flush,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|command| *command as u8 == code)
    }
}

attributes! {
    /// `IPVS_CMD_ATTR_*`: what a command is about.
    Attribute {
        /// Which service, or a whole one.
        Service(Nested<ServiceAttribute>) = 1,
        /// Which destination, or a whole one.
        Destination(Nested<DestinationAttribute>) = 2,
        /// A synchronisation daemon.
        Daemon(Nested<DaemonAttribute>) = 3,
        /// Seconds; 0 in a request leaves it as it is.
        TimeoutTcp(u32) = 4,
        /// Seconds, after a FIN; 0 in a request leaves it as it is.
        TimeoutTcpFin(u32) = 5,
        /// Seconds; 0 in a request leaves it as it is.
        TimeoutUdp(u32) = 6,
    }
}

/// A message of the family: what follows the netlink header and the generic header's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The answer to [`Command::GetInfo`], whose attributes are numbered for themselves.
    Info(Vec<InfoAttribute>),
    /// Any other.
    Command(Command, Vec<Attribute>),
}

impl Message {
    /// A command about one service.
    pub fn about_service(command: Command, service: Vec<ServiceAttribute>) -> Self {
        Self::Command(command, vec![Attribute::Service(Nested::new(service))])
    }
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        "IPVS"
    }

    fn command(&self) -> u8 {
        match self {
            Self::Info(_) => Command::SetInfo as u8,
            Self::Command(command, _) => *command as u8,
        }
    }

    fn version(&self) -> u8 {
        FAMILY_VERSION
    }
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        match self {
            Self::Info(attributes) => attributes.as_slice().buffer_len(),
            Self::Command(_, attributes) => attributes.as_slice().buffer_len(),
        }
    }

    fn emit(&self, buffer: &mut [u8]) {
        match self {
            Self::Info(attributes) => attributes.as_slice().emit(buffer),
            Self::Command(_, attributes) => attributes.as_slice().emit(buffer),
        }
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Message {
    fn parse_with_param(content: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        if content.len() > MAX_CONTENT {
            return Err(
                format!("{} bytes are more than the {MAX_CONTENT} of any message", content.len()).into()
            );
        }
        match Command::from_code(header.cmd) {
            Some(Command::SetInfo) => parse_all(content).map(Self::Info),
            Some(command) => parse_all(content).map(|attributes| Self::Command(command, attributes)),
            None => Err(format!("{} is not a command of IPVS", header.cmd).into()),
        }
    }
}

/// The messages in a datagram, of whatever family `M` is.
pub fn decode_datagram<M>(mut datagram: &[u8]) -> Result<Vec<NetlinkMessage<GenlMessage<M>>>, DecodeError>
where
    M: ParseableParametrized<[u8], GenlHeader> + Debug,
{
    let mut messages = Vec::new();
    while !datagram.is_empty() {
        let length = NetlinkBuffer::new_checked(datagram)?.length() as usize;
        messages.push(NetlinkMessage::deserialize(datagram)?);
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(messages)
}
