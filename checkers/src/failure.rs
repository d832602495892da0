//! What an error of a socket says: something about the server, or only about ourselves.
//!
//! | when | error | outcome |
//! | --- | --- | --- |
//! | before anything is sent, `connect(2)` included | any but a refusal | not run: no descriptor, no port, no route *of ours* |
//! | while connecting | ECONNREFUSED | refused |
//! | | ECONNRESET | reset |
//! | | ETIMEDOUT | no connection |
//! | | EHOSTUNREACH, ENETUNREACH, EACCES and what else an ICMP error turns into | unreachable |
//! | connected | an error of TLS | TLS |
//! | | ECONNRESET, EPIPE, an early end | reset |
//! | | ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EACCES | unreachable |
//! | any time | all others, such as ENOBUFS | not run |
//!
//! ENETUNREACH and EHOSTUNREACH mean two things. From `connect(2)` itself they are the answer of our own routing
//! table and say nothing about the server; afterwards they are an ICMP message or a neighbour that does not answer.

use std::io;
use std::net::SocketAddr;

use crate::{Outcome, tls};

/// An error of one of our own steps on the way to the first packet; `doing` is `open a socket`.
pub(crate) fn own(error: &io::Error, doing: &str) -> Outcome {
    let hint = match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => "; the limit of open files is reached",
        Some(libc::EPERM) => "; CAP_NET_ADMIN is needed",
        _ => "",
    };
    Outcome::NotRun(format!("cannot {doing}: {error}{hint}"))
}

/// An error of a raw socket that is being opened; `otherwise` says what would do as well.
pub(crate) fn raw(error: &io::Error, otherwise: &str) -> Outcome {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Outcome::NotRun(format!("cannot open a raw socket: {error}; CAP_NET_RAW is needed{otherwise}"))
        }
        _ => own(error, "open a raw socket"),
    }
}

/// An error from `connect(2)` itself.
pub(crate) fn connect(error: &io::Error, peer: SocketAddr) -> Outcome {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => Outcome::Refused,
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES) => {
            Outcome::NotRun(format!("no route of ours to {peer}: {error}"))
        }
        Some(libc::EADDRNOTAVAIL | libc::EAGAIN) => {
            Outcome::NotRun(format!("no local address or port left to reach {peer}: {error}"))
        }
        _ => Outcome::NotRun(format!("cannot connect to {peer}: {error}")),
    }
}

/// An error that came while the connection was being opened.
pub(crate) fn connecting(error: &io::Error) -> Outcome {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => Outcome::Refused,
        Some(libc::ECONNRESET) => Outcome::Reset("while connecting".to_owned()),
        Some(libc::ETIMEDOUT) => Outcome::ConnectTimeout,
        // The last three are ICMP's "protocol unreachable", "fragmentation needed" and "source route failed".
        Some(
            libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EACCES
            | libc::EHOSTDOWN
            | libc::EPROTO
            | libc::ENOPROTOOPT
            | libc::EMSGSIZE
            | libc::EOPNOTSUPP,
        ) => Outcome::Unreachable(error.to_string()),
        _ => Outcome::NotRun(format!("cannot connect: {error}")),
    }
}

/// An error of an established connection.
pub(crate) fn established(error: &io::Error) -> Outcome {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return Outcome::Tls(tls::explain(error));
    }
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match (error.kind(), error.raw_os_error()) {
        (UnexpectedEof, _) => Outcome::Reset("closed by the server".to_owned()),
        (ConnectionReset | ConnectionAborted | BrokenPipe, _) => {
            Outcome::Reset("reset by the server".to_owned())
        }
        (_, Some(libc::ETIMEDOUT | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EACCES)) => {
            Outcome::Unreachable(error.to_string())
        }
        _ => Outcome::NotRun(format!("the connection broke: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(code: i32) -> io::Error {
        io::Error::from_raw_os_error(code)
    }

    #[test]
    fn our_routing_table_is_no_evidence() {
        let peer = "192.0.2.1:80".parse().unwrap();
        for code in [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EACCES] {
            assert!(
                matches!(connect(&os(code), peer), Outcome::NotRun(text) if text.starts_with("no route of ours"))
            );
            assert!(matches!(connecting(&os(code)), Outcome::Unreachable(_)));
            assert!(matches!(established(&os(code)), Outcome::Unreachable(_)));
        }
    }

    #[test]
    fn our_own_shortages_are_no_evidence() {
        let peer = "192.0.2.1:80".parse().unwrap();
        let codes =
            [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EPERM, libc::EAFNOSUPPORT];
        for code in codes.into_iter().chain([libc::EADDRNOTAVAIL, libc::EINVAL, libc::ENETDOWN]) {
            for outcome in [
                own(&os(code), "open a socket"),
                connect(&os(code), peer),
                connecting(&os(code)),
                established(&os(code)),
            ] {
                assert!(matches!(outcome, Outcome::NotRun(_)), "{code}: {outcome:?}");
            }
        }
    }

    #[test]
    fn the_server_speaks() {
        assert_eq!(connecting(&os(libc::ECONNREFUSED)), Outcome::Refused);
        assert_eq!(connecting(&os(libc::ETIMEDOUT)), Outcome::ConnectTimeout);
        assert!(matches!(connecting(&os(libc::ECONNRESET)), Outcome::Reset(_)));
        assert!(matches!(established(&os(libc::ECONNRESET)), Outcome::Reset(_)));
        assert!(matches!(established(&os(libc::EPIPE)), Outcome::Reset(_)));
        assert_eq!(
            established(&io::ErrorKind::UnexpectedEof.into()),
            Outcome::Reset("closed by the server".to_owned())
        );
    }

    #[test]
    fn hints() {
        let text = |outcome| match outcome {
            Outcome::NotRun(text) => text,
            other => panic!("{other:?}"),
        };
        assert!(text(own(&os(libc::EPERM), "set fwmark 7")).contains("CAP_NET_ADMIN"));
        assert!(text(own(&os(libc::EMFILE), "open a socket")).contains("limit of open files"));
    }
}
