use rustix::io::Errno;

use super::Fault;
use crate::request::Request;
use crate::table::{Destination, Family, Forwarding, Key, Mask, Persistence, Protocol, Service};

fn key() -> Key {
    Key::Address { protocol: Protocol::Tcp, address: "192.0.2.10:80".parse().unwrap() }
}

fn put_service(engine: Option<&str>) -> Request {
    let persistence = engine.map(|engine| Persistence {
        timeout: 60,
        mask: Mask::host(Family::V4),
        engine: Some(engine.parse().unwrap()),
    });
    let service = Service {
        scheduler: "wlc".parse().unwrap(),
        scheduler_flags: Default::default(),
        one_packet: false,
        persistence,
    };
    Request::PutService(key(), service)
}

fn put_destination() -> Request {
    let destination =
        Destination { forwarding: Forwarding::Nat, weight: 1, upper_threshold: 0, lower_threshold: 0 };
    Request::PutDestination(key(), "10.1.0.2:80".parse().unwrap(), destination)
}

fn text(request: &Request, errno: Errno) -> String {
    Fault::of_request(request, errno).unwrap().during(request.to_string()).to_string()
}

#[test]
fn what_is_gone_already_is_removed() {
    let Request::PutDestination(_, address, destination) = put_destination() else { panic!() };
    for request in [
        Request::RemoveService(key()),
        Request::RemoveDestination(key(), address),
        // To be changed where it is, and nowhere else.
        Request::SetDestination(key(), address, destination),
    ] {
        assert_eq!(Fault::of_request(&request, Errno::NOENT), None);
        assert_eq!(Fault::of_request(&request, Errno::SRCH), None);
        assert_eq!(Fault::of_request(&request, Errno::PERM), Some(Fault::NotPermitted(Errno::PERM)));
    }
}

#[test]
fn the_operator_reads_what_to_which_and_why() {
    assert_eq!(
        text(&put_service(None), Errno::NOENT),
        "setting the service tcp 192.0.2.10:80: the kernel has no module for it: try `modprobe ip_vs_wlc` \
         (No such file or directory (os error 2))"
    );
    assert!(text(&put_service(Some("sip")), Errno::NOENT).contains("`modprobe -a ip_vs_wlc ip_vs_pe_sip`"));
    assert_eq!(
        text(&put_destination(), Errno::SRCH),
        "setting the destination 10.1.0.2:80 of the service tcp 192.0.2.10:80: there is no such service \
         (No such process (os error 3))"
    );
    assert!(text(&put_destination(), Errno::PERM).contains("CAP_NET_ADMIN"));
    assert!(Fault::NoIpvs(Errno::NOENT).to_string().contains("`modprobe ip_vs`"));
}

#[test]
fn the_kernels_number_is_kept() {
    assert_eq!(Fault::of_request(&put_service(None), Errno::NOENT).unwrap().errno(), Some(2));
    assert_eq!(Fault::general(Errno::PERM).errno(), Some(1));
    assert_eq!(Fault::general(Errno::INVAL), Fault::Kernel(Errno::INVAL));
    assert_eq!(Fault::TimedOut.errno(), None);
}
