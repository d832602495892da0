//! What can go wrong, in words for the operator.

use rustix::io::Errno;

use crate::request::Request;
use crate::table::Service;

/// What was attempted and why it failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Error {
    /// What was attempted, as in "setting the service tcp 192.0.2.10:80".
    pub what: String,
    /// Why it failed.
    pub why: Fault,
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The family is not registered.
    #[error("this kernel has no IPVS: load it with `modprobe ip_vs` ({0})")]
    NoIpvs(Errno),
    /// Every command needs the capability in the user namespace of the network namespace.
    #[error("this needs the capability CAP_NET_ADMIN ({0})")]
    NotPermitted(Errno),
    /// The kernel could not load the scheduler or the persistence engine.
    #[error("the kernel has no module for it: try `{command}` ({errno})")]
    NoModule {
        /// What to try.
        command: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// A destination for a service that is not there.
    #[error("there is no such service ({0})")]
    NoService(Errno),
    /// Anything else that the kernel said.
    #[error("{0}")]
    Kernel(Errno),
    /// No answer in time. Whether it had an effect is not known.
    #[error("the kernel did not answer in time")]
    TimedOut,
    /// An answer that cannot be right.
    #[error("the kernel's answer was not understood: {0}")]
    Malformed(String),
}

impl Fault {
    /// What the kernel said, where it did.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::NoIpvs(errno)
            | Self::NotPermitted(errno)
            | Self::NoService(errno)
            | Self::Kernel(errno) => Some(errno.raw_os_error()),
            Self::NoModule { errno, .. } => Some(errno.raw_os_error()),
            Self::TimedOut | Self::Malformed(_) => None,
        }
    }

    /// What an error means whatever was asked for.
    pub(super) fn general(errno: Errno) -> Self {
        match errno {
            Errno::PERM => Self::NotPermitted(errno),
            other => Self::Kernel(other),
        }
    }

    /// What an error of the last message for a request means; none if it is as requested.
    pub(super) fn of_request(request: &Request, errno: Errno) -> Option<Self> {
        match (request, errno) {
            // Neither the entry nor the service it would be in.
            (
                Request::RemoveService(_) | Request::RemoveDestination(..) | Request::SetDestination(..),
                Errno::NOENT | Errno::SRCH,
            ) => None,
            (Request::PutService(_, service), Errno::NOENT) => {
                Some(Self::NoModule { command: modprobe(service), errno })
            }
            (Request::PutDestination(..), Errno::SRCH) => Some(Self::NoService(errno)),
            _ => Some(Self::general(errno)),
        }
    }

    pub(super) fn during(self, what: impl Into<String>) -> Error {
        Error { what: what.into(), why: self }
    }
}

fn modprobe(service: &Service) -> String {
    let scheduler = &service.scheduler;
    match service.persistence.as_ref().and_then(|persistence| persistence.engine.as_ref()) {
        None => format!("modprobe ip_vs_{scheduler}"),
        Some(engine) => format!("modprobe -a ip_vs_{scheduler} ip_vs_pe_{engine}"),
    }
}

#[cfg(test)]
mod tests;
